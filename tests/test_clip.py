"""Clip: what it writes and what it shows. What is left when writing fails: test_ffmpeg.py."""

import base64
import io
import os
import re
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from svd_lab import clip as clip_module
from svd_lab.clip import Clip

FFMPEG = get_ffmpeg_exe()
posix = pytest.mark.skipif(os.name != "posix", reason="uses shell scripts, pipes and POSIX permissions")


def make_clip(count=6, size=(96, 64), seed=5):
    """A disc that goes to the right over a gradient that is another one for every seed."""
    y, x = np.mgrid[: size[1], : size[0]]
    frames = []
    for i in range(count):
        frame = np.stack([x * 255 // size[0], y * 255 // size[1], np.full_like(x, seed * 20 % 256)], -1)
        frame[(x - size[0] * (i + 1) // (count + 1)) ** 2 + (y - size[1] // 2) ** 2 < (size[1] // 4) ** 2] = 230
        frames.append(Image.fromarray(frame.astype(np.uint8)))
    return Clip(frames, seed, {"seed": seed, "num_frames": count})


def decode(source, size):
    """The frames of a video file or its bytes, (frames, H, W, 3) uint8, through ffmpeg."""
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    folder = Path(os.environ["PYTEST_DECODE_FOLDER"])
    (folder / "in.mp4").write_bytes(data)
    command = [
        FFMPEG,
        "-loglevel",
        "error",
        "-i",
        folder / "in.mp4",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 3)


@pytest.fixture(autouse=True)
def decode_folder(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PYTEST_DECODE_FOLDER", str(tmp_path_factory.mktemp("decode")))


def pixels(clip):
    return np.stack([np.asarray(frame) for frame in clip.frames])


def psnr(a, b):
    return 10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b) ** 2)))


def boxes(data):
    """The names of an mp4's top-level boxes, in order, [ISO/IEC 14496-12 §4.2]."""
    names, at = [], 0
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    assert at == len(data), "the last box is cut"
    return names


# --- what it writes ---


def test_the_mp4_is_h264_yuv420p_with_faststart_at_the_given_rate(tmp_path):
    path = make_clip(14).save(tmp_path / "a.mp4", fps=7)
    names = boxes(path.read_bytes())
    assert names[0] == "ftyp" and names.index("moov") < names.index("mdat")
    told = subprocess.run([FFMPEG, "-hide_banner", "-i", path], capture_output=True, text=True).stderr
    assert re.search(r"Video: h264 .*yuv420p\(tv, bt709, progressive\), 96x64.* 7 fps", told)
    assert "Duration: 00:00:02.00" in told and "Audio" not in told


@pytest.mark.parametrize("fps", [0.5, 7, 24000 / 1001, 120, np.float32(8), np.int64(9)])
def test_every_frame_comes_back_in_order_and_in_its_colours(tmp_path, fps):
    clip = make_clip(9)
    frames = decode(clip.save(tmp_path / "a.mp4", fps=fps), (96, 64))
    assert frames.shape == pixels(clip).shape
    for i, frame in enumerate(frames):
        likeness = [psnr(frame, other) for other in pixels(clip)]
        assert np.argmax(likeness) == i and likeness[i] > 30


def test_flat_colours_are_kept_within_rounding(tmp_path):
    colours = [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (128, 128, 128),
        (255, 255, 255),
        (0, 0, 0),
        (200, 120, 30),
    ]
    for colour in colours:
        clip = Clip([Image.new("RGB", (64, 64), colour)] * 2, 0, {})
        assert np.abs(decode(clip.save(tmp_path / "a.mp4"), (64, 64)).astype(int) - colour).max() <= 4


@pytest.mark.parametrize("size", [(63, 65), (64, 65), (63, 64), (1, 1), (3, 17)])
def test_odd_sizes_get_one_more_row_or_column_and_lose_none(tmp_path, size):
    even = tuple(side + side % 2 for side in size)
    clip = Clip([Image.new("RGB", size, (40, 150, 90))] * 3, 0, {})
    frames = decode(clip.save(tmp_path / "a.mp4"), even)
    assert len(frames) == 3
    assert np.abs(frames.astype(int) - (40, 150, 90)).max() <= 4  # the added row repeats the last: no dark line
    assert clip.frames[0].size == size


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_frames_of_other_modes_are_written_as_rgb(tmp_path, mode):
    clip = Clip([frame.convert(mode) for frame in make_clip(2).frames], 0, {})
    assert decode(clip.save(tmp_path / "a.mp4"), (96, 64)).shape == (2, 64, 96, 3)


def test_missing_folders_are_made_and_the_path_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    clip = make_clip(2)
    for name in ("a.mp4", "새 폴더/로켓 #1 100%.mp4", "x:y/-b.MP4", "~/c.mp4", Path("d/e/f.mp4")):
        path = clip.save(name)
        expected = tmp_path / "home" / "c.mp4" if str(name).startswith("~") else tmp_path / name
        assert path == clip.path == expected and len(decode(path, (96, 64))) == 2


def test_a_saved_file_has_ordinary_permissions_and_is_alone(tmp_path):
    path = make_clip(2).save(tmp_path / "a.mp4")
    (tmp_path / "reference").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "reference").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "reference"]


@posix
def test_a_symbolic_link_is_followed_not_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "disk" / "a.mp4")
    make_clip(2).save(tmp_path / "link.mp4")
    assert (tmp_path / "link.mp4").is_symlink() and len(decode(tmp_path / "disk" / "a.mp4", (96, 64))) == 2


def test_the_gif_loops_keeps_its_frames_and_does_not_flicker(tmp_path):
    clip = make_clip(9)
    path = clip.save_gif(tmp_path / "a.gif", fps=10)
    assert clip.path is None
    with Image.open(path) as gif:
        assert gif.n_frames == 9 and gif.info["loop"] == 0 and gif.info["duration"] == 100
        frames = []
        for i in range(9):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("RGB")))
    frames, expected = np.stack(frames), pixels(clip)
    assert psnr(frames, expected) > 30
    still = np.ptp(expected, axis=0).max(-1) == 0
    assert np.ptp(frames, axis=0)[still].max() == 0


# --- what it shows ---


def embedded(text):
    return base64.b64decode(re.search(r'<video src="data:video/mp4;base64,([^"]+)"', text)[1])


def test_repr_is_one_useful_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = make_clip()
    assert repr(clip) == "Clip(6 frames of 96x64, seed 5, not saved)" and len(clip) == 6
    clip.save("videos/a.mp4")
    assert repr(clip) == "Clip(6 frames of 96x64, seed 5, videos/a.mp4)"
    monkeypatch.chdir("/")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert repr(clip).endswith(f", {tmp_path}/videos/a.mp4)")


def test_a_saved_clip_is_embedded_byte_for_byte(tmp_path):
    clip = make_clip()
    path = clip.save(tmp_path / "a.mp4")
    text = clip._repr_html_()
    assert embedded(text) == path.read_bytes()
    for attribute in ("autoplay", "loop", "muted", "playsinline", "controls"):
        assert f" {attribute}" in text.split(">")[0]
    assert "<div>" not in text and str(tmp_path) not in text


def test_the_bundle_has_text_html_and_a_picture(tmp_path):
    clip = make_clip()
    clip.save(tmp_path / "a.mp4")
    bundle = clip._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == repr(clip) and "<video" in bundle["text/html"]
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/jpeg"]))) as sheet:
        assert sheet.width <= 800 and sheet.width > 4 * sheet.height


def test_ipython_shows_the_bundle(tmp_path):
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    clip = make_clip()
    clip.save(tmp_path / "a.mp4")
    data, _ = formatter.format(clip)
    assert embedded(data["text/html"]) == clip.path.read_bytes() and data["text/plain"] == repr(clip)


def test_an_unsaved_or_deleted_clip_plays_from_memory_and_says_so(tmp_path):
    clip = make_clip(seed=3)
    text = clip._repr_html_()
    assert "This clip is not saved" in text and psnr(decode(embedded(text), (96, 64)), pixels(clip)) > 30
    clip.save(tmp_path / "<a>.mp4").unlink()
    text = clip._repr_html_()
    assert "&lt;a&gt;.mp4 is no longer there" in text and "<a>" not in text
    assert psnr(decode(embedded(text), (96, 64)), pixels(clip)) > 30
    assert os.listdir(tmp_path) == []


def test_a_clip_never_shows_another_clip_of_the_same_name(tmp_path):
    first, second = make_clip(seed=1), make_clip(seed=9)
    first.save(tmp_path / "a.mp4")
    second.save(tmp_path / "a.mp4")
    text = first._repr_html_()
    assert "was overwritten" in text and psnr(decode(embedded(text), (96, 64)), pixels(first)) > 30
    assert embedded(second._repr_html_()) == (tmp_path / "a.mp4").read_bytes() and "<div>" not in second._repr_html_()


def test_a_large_clip_is_linked_from_the_notebooks_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(clip_module, "EMBED_BYTES", 100)
    monkeypatch.chdir(tmp_path)
    clip = make_clip()
    clip.save("my videos/로켓 #1.mp4")
    text = clip._repr_html_()
    link = re.search(r'<video src="([^"]+)"', text)[1]
    assert link == "my%20videos/%EB%A1%9C%EC%BC%93%20%231.mp4" and f'<a href="{link}"' in text
    assert "?" not in link  # JupyterLab would quote it
    clip.path.unlink()
    text = clip._repr_html_()
    assert "no longer there" in text and "too large" in text and "<video" not in text and "<img" in text


def test_a_link_starts_at_the_notebook_also_after_chdir(tmp_path, monkeypatch):
    interactive = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    monkeypatch.setattr(clip_module, "EMBED_BYTES", 100)
    monkeypatch.chdir(tmp_path)
    shell = interactive.instance()
    try:
        shell.user_ns["_dh"] = [str(tmp_path)]
        clip = make_clip()
        clip.save("a.mp4")
        (tmp_path / "data").mkdir()
        monkeypatch.chdir(tmp_path / "data")
        assert '<video src="a.mp4"' in clip._repr_html_()
    finally:
        interactive.clear_instance()


def test_small_clips_are_shown_enlarged_and_large_ones_as_they_are():
    assert "width:448px;max-width:100%" in make_clip()._repr_html_()
    assert "width:640px;max-width:100%" in make_clip(1, (640, 64))._repr_html_()


def test_the_contact_sheet_shows_the_frames_in_reading_order():
    clip = Clip([Image.new("RGB", (40, 20), (i * 20, 255 - i * 20, 0)) for i in range(12)], 0, {})

    def colours(sheet, columns, rows):
        cells = [(i, j) for j in range(rows) for i in range(columns)]
        places = [(int((i + 0.5) * sheet.width / columns), int((j + 0.5) * sheet.height / rows)) for i, j in cells]
        return [sheet.getpixel(place)[0] // 20 if sheet.getpixel(place)[2] == 0 else None for place in places]

    sheet = clip.contact_sheet()
    assert sheet.mode == "RGB" and 940 <= sheet.width <= 960
    assert colours(sheet, 5, 3) == [*range(12), None, None, None]  # white where no frame is left
    assert colours(clip.contact_sheet(columns=12, width=480), 12, 1) == [*range(12)]
    assert colours(clip.contact_sheet(columns=1, frames=3, width=50), 1, 3) == [0, 6, 11]
    assert colours(clip.contact_sheet(frames=[-1, 0, 4]), 3, 1) == [11, 0, 4]
    assert colours(clip.contact_sheet(frames=100), 5, 3)[:12] == [*range(12)]
    assert colours(clip.contact_sheet(frames=1, columns=9), 1, 1) == [0]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"columns": 0}, ValueError),
        ({"columns": 2.5}, TypeError),
        ({"width": 0}, ValueError),
        ({"width": 20}, ValueError),
        ({"width": "960"}, TypeError),
        ({"frames": 0}, ValueError),
        ({"frames": []}, ValueError),
        ({"frames": [99]}, IndexError),
        ({"frames": True}, TypeError),
    ],
)
def test_impossible_sheets_are_refused(settings, error):
    with pytest.raises(error):
        make_clip().contact_sheet(**settings)


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([], ValueError),
        ([Image.new("RGB", (8, 8)), Image.new("RGB", (8, 9))], ValueError),
        ([np.zeros((8, 8, 3))], TypeError),
        (Image.new("RGB", (8, 8)), TypeError),
        (None, TypeError),
    ],
)
def test_a_clip_needs_pictures_of_one_size(frames, error):
    with pytest.raises(error, match="frames"):
        Clip(frames, 0, {})
