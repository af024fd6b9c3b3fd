"""Writing a clip: what is left when it fails, and which places are refused before the work."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import hear_ctrl_c
from imageio_ffmpeg import count_frames_and_secs, get_ffmpeg_exe
from PIL import Image

from svd_lab.clip import Clip, check_video_path

FFMPEG = get_ffmpeg_exe()
posix = pytest.mark.skipif(os.name != "posix", reason="uses shell scripts, pipes and POSIX permissions")


def make_clip(count):
    return Clip([Image.new("RGB", (96, 64), (i * 4, 90, 40)) for i in range(count)], 0, {})


# --- what it leaves when writing fails ---


def wrap_ffmpeg(folder, monkeypatch, line):
    """Put a shell script in ffmpeg's place; $FFMPEG is the real one. Its id goes into the file pid."""
    script = folder / "ffmpeg"
    tell = f"echo $$ > '{folder}/part'; mv '{folder}/part' '{folder}/pid'"
    script.write_text(f"#!/bin/sh\nFFMPEG='{FFMPEG}'\n{tell}\n{line}\n")
    script.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(script))


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


@pytest.fixture
def tools(tmp_path_factory):
    return tmp_path_factory.mktemp("tools")


@posix
@pytest.mark.parametrize("older", [None, b"the older video"], ids=["new", "existing"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_a_killed_encoder_leaves_no_file_or_the_older_one(tmp_path, tools, monkeypatch, older, number, kind):
    wrap_ffmpeg(tools, monkeypatch, 'exec "$FFMPEG" -re "$@"')  # -re: one frame a second, so 60 seconds
    clip, target = make_clip(60), tmp_path / f"a.{kind}"
    if older:
        target.write_bytes(older)
    seen = []

    def kill():
        pid = int(wait_for(lambda: (tools / "pid").exists() and (tools / "pid").read_text()))
        wait_for(lambda: any(name.startswith(".svd-lab-") for name in os.listdir(tmp_path)))
        seen.append(sorted(os.listdir(tmp_path)))
        os.kill(pid, number)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(OSError, match="ffmpeg ended with"):
        (clip.save if kind == "mp4" else clip.save_gif)(target, fps=1)
    killer.join()
    assert len(seen[0]) == (2 if older else 1), "the hidden file was there when the encoder was killed"
    assert os.listdir(tmp_path) == ([target.name] if older else [])
    assert not older or target.read_bytes() == older
    assert clip.path is None
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    assert count_frames_and_secs(make_clip(2).save(tmp_path / "a.mp4"))[0] == 2  # and it works again


@posix
def test_an_interrupt_leaves_no_file_and_no_encoder(tmp_path, tools, monkeypatch):
    wrap_ffmpeg(tools, monkeypatch, 'exec "$FFMPEG" -re "$@"')
    code = (
        "from PIL import Image; from svd_lab.clip import Clip; import sys\n"
        "Clip([Image.new('RGB', (64, 64))] * 60, 0, {}).save(sys.argv[1], fps=1)"
    )
    arguments = [sys.executable, "-c", code, tmp_path / "a.mp4"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c)
    pid = int(wait_for(lambda: (tools / "pid").exists() and (tools / "pid").read_text()))
    wait_for(lambda: os.listdir(tmp_path))
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=20)[1]
    assert os.listdir(tmp_path) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@posix
@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("exit 1", "ended with 1"),
        ("cat > /dev/null; echo wrong >&2; exit 1", "wrong"),
        ('trap \'\' XFSZ; ulimit -f 1; exec "$FFMPEG" "$@"', "too large"),  # a write fails, as on a full disk
        ('"$FFMPEG" "$@"; kill -9 $$', "ended with -9"),  # dies after the last byte
    ],
    ids=["at once", "at the end", "while writing", "after writing"],
)
def test_a_failing_encoder_leaves_no_file_and_its_words(tmp_path, tools, monkeypatch, line, word):
    wrap_ffmpeg(tools, monkeypatch, line)
    (tmp_path / "old.mp4").write_bytes(b"old")
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 96, 3), np.uint8)
    clip = Clip([Image.fromarray(frame) for frame in noise], 0, {})
    for name in ("new.mp4", "old.mp4", "folder/new.mp4"):
        with pytest.raises(OSError, match=word):
            clip.save(tmp_path / name)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["old.mp4"]
    assert (tmp_path / "old.mp4").read_bytes() == b"old" and clip.path is None


def test_a_missing_ffmpeg_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/no/such/ffmpeg")
    with pytest.raises(OSError, match="/no/such/ffmpeg.*IMAGEIO_FFMPEG_EXE"):
        make_clip(2).save(tmp_path / "a.mp4")
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    monkeypatch.setattr("imageio_ffmpeg._utils._get_ffmpeg_exe", lambda: None)
    with pytest.raises(OSError, match="pip install"):
        make_clip(2).save(tmp_path / "a.mp4")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("fps", [0, -7, 121, float("nan"), float("inf")])
def test_impossible_rates_are_refused(tmp_path, fps):
    with pytest.raises(ValueError, match="fps"):
        make_clip(2).save(tmp_path / "a.mp4", fps=fps)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("fps", ["7", None, True, [7]])
def test_rates_of_the_wrong_type_are_refused(tmp_path, fps):
    with pytest.raises(TypeError, match="fps"):
        make_clip(2).save_gif(tmp_path / "a.gif", fps=fps)
    assert os.listdir(tmp_path) == []


# --- where it may be written ---


@posix
@pytest.mark.parametrize(
    ("name", "error", "word"),
    [
        ("", ValueError, "needs a name"),
        ("  ", ValueError, "needs a name"),
        ("a\0.mp4", ValueError, "NUL"),
        ("a", ValueError, r"end in \.mp4"),
        ("a.gif", ValueError, r"end in \.mp4"),
        ("a.webm", ValueError, r"end in \.mp4"),
        (".mp4", ValueError, r"end in \.mp4"),
        ("https://host/out.mp4", ValueError, "not to an address"),
        (Path("https://host/out.mp4"), ValueError, "not to an address"),
        ("file:///tmp/out.mp4", ValueError, "not to an address"),
        ("s3://bucket/out.mp4", ValueError, "not to an address"),
        ("a.mp4.", ValueError, r"end in \.mp4"),
        ("a" * 252 + ".mp4", ValueError, "too long"),
        ("비" * 90 + ".mp4", ValueError, "too long"),
        ("/".join(["folder"] * 700) + "/a.mp4", ValueError, "too long"),
        ("\ud800.mp4", ValueError, "half a character"),
        ("folder.mp4", IsADirectoryError, "folder"),
        ("new/folder.mp4/", IsADirectoryError, "folder"),
        (".", IsADirectoryError, "folder"),
        ("file.txt/a.mp4", NotADirectoryError, "file.txt is not a folder"),
        ("file.txt/deeper/a.mp4", NotADirectoryError, "file.txt is not a folder"),
        ("pipe.mp4", OSError, "device or a pipe"),
        ("/proc/a.mp4", OSError, "cannot be written"),
        ("/dev/null/a.mp4", NotADirectoryError, "not a folder"),
        (None, TypeError, "str or Path"),
        (3, TypeError, "str or Path"),
        (b"a.mp4", TypeError, "str or Path"),
        (io.BytesIO(), TypeError, "str or Path"),
    ],
)
def test_impossible_places_are_refused_before_the_work_and_nothing_is_left(tmp_path, monkeypatch, name, error, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file.txt").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(error, match=word):
        check_video_path(name)
    with pytest.raises(error, match=word):
        make_clip(2).save(name)
    assert sorted(os.listdir(tmp_path)) == ["file.txt", "folder.mp4", "pipe.mp4"]


@posix
def test_a_place_without_permission_is_refused(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o555)
    (tmp_path / "closed" / "old.mp4").touch()
    monkeypatch.chdir(tmp_path / "closed")  # parents may be closed to others
    tmp_path.chmod(0o755)
    user = os.geteuid()
    if user == 0:  # root may write everywhere
        os.seteuid(65534)
    try:
        for name in ("new.mp4", "sub/new.mp4", "old.mp4"):
            with pytest.raises(PermissionError, match=f"{name} cannot be written"):
                check_video_path(name)
    finally:
        os.seteuid(user)


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "keep.mp4").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "keep.mp4")  # root passes the real one
    with pytest.raises(PermissionError, match="read-only"):
        check_video_path(tmp_path / "keep.mp4")


def test_a_possible_place_is_returned_and_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.mp4").write_bytes(b"old")
    assert check_video_path("new/folders/a.mp4") == tmp_path / "new" / "folders" / "a.mp4"
    assert check_video_path(Path("old.mp4")) == tmp_path / "old.mp4"
    assert check_video_path("x/../b.mp4") == tmp_path / "b.mp4"
    assert check_video_path("a" * 251 + ".mp4").name == "a" * 251 + ".mp4"
    assert os.listdir(tmp_path) == ["old.mp4"] and (tmp_path / "old.mp4").read_bytes() == b"old"
