"""What `svd-lab generate PICTURE` promises: its settings, the frames of generate_video, readable failures, and progress."""

import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from helpers import hear_ctrl_c

import svd_lab
from svd_lab import generate_video
from svd_lab.commands import main

FAST = ["--num-frames", "2", "--num-inference-steps", "2"]
GENERATE = [sys.executable, "-m", "svd_lab.commands.main", "generate"]


@pytest.fixture
def generate(tiny_folder, picture_file, tmp_path, monkeypatch):
    """svd-lab generate on the tiny model, in this process: generate("--seed", "7") → exit status."""
    monkeypatch.chdir(tmp_path)

    def generate(*options, picture=picture_file, video="out.mp4"):
        return main.main(
            ["generate", str(picture), video, "--model", str(tiny_folder), "--device", "cpu", *FAST, *options]
        )

    return generate


def test_every_keyword_of_generate_video_is_an_option():
    options = {a.dest: a for a in main.build_parser()._subparsers._group_actions[0].choices["generate"]._actions}
    assert set(generate_video.__kwdefaults__) - set(options) == {"pipe", "on_step", "cancel"}
    for name, default in generate_video.__kwdefaults__.items():
        if name in options:
            assert options[name].default == default
    assert options["seed"].default == generate_video.__defaults__[0]


def test_it_makes_the_same_video_as_the_call(generate, tiny_pipe, picture_file, tmp_path, monkeypatch, capsys):
    clips = []

    def recorded(*arguments, **keywords):
        clips.append(generate_video(*arguments, **keywords))
        return clips[-1]

    recorded.__kwdefaults__ = generate_video.__kwdefaults__
    monkeypatch.setattr(svd_lab, "generate_video", recorded)
    extra = ["--seed", "7", "--fps", "9", "--motion-bucket-id", "50", "--noise-aug-strength", "0.1"]
    extra += ["--min-guidance-scale", "1.5", "--max-guidance-scale", "2.5", "--decode-chunk-size", "1"]
    extra += ["--height", "96", "--width", "64", "--fit", "pad", "--playback-fps", "5", "--dtype", "float32"]
    assert generate(*extra, video="folder/out.mp4") == 0
    expected = generate_video(
        picture_file,
        tmp_path / "b.mp4",
        7,
        pipe=tiny_pipe,
        num_frames=2,
        num_inference_steps=2,
        fps=9,
        motion_bucket_id=50,
        noise_aug_strength=0.1,
        min_guidance_scale=1.5,
        max_guidance_scale=2.5,
        decode_chunk_size=1,
        height=96,
        width=64,
        fit="pad",
        playback_fps=5,
    )
    assert [frame.tobytes() for frame in clips[0].frames] == [frame.tobytes() for frame in expected.frames]
    assert clips[0].recipe == expected.recipe
    assert (tmp_path / "folder" / "out.mp4").stat().st_size > 0
    out, err = capsys.readouterr()
    assert "folder/out.mp4: 2 frames of 64x96, seed 7" in out
    assert "out.mp4: step 1/2, about" in err and "step 2/2" in err, "plain lines where there is no terminal"


def test_a_drawn_seed_is_printed(generate, capsys):
    assert generate("--seed", "-1") == 0
    while_running, at_the_end = re.findall(r"seed (\d+)", capsys.readouterr().out)
    assert while_running == at_the_end


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fps", "0"], "fps must be"),
        (["--fit", "cover"], "'cover'"),
        (["--height", "65"], "height must be a multiple of 8"),
        (["--seed", "-7"], "-7"),
    ],
)
def test_a_wrong_setting_is_one_readable_line_and_status_1(generate, tmp_path, capsys, options, words):
    assert generate(*options) == 1
    out, err = capsys.readouterr()
    assert words in err and err.startswith("svd-lab: ") and err.count("\n") == 1 and "Traceback" not in err
    assert out == "" and not list(tmp_path.iterdir()), "refused before a model was loaded"


def test_a_missing_picture_or_a_wrong_target_is_refused_before_loading(generate, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(svd_lab, "load_video_pipeline", lambda *_, **__: pytest.fail("a model was loaded"))
    assert generate(picture=tmp_path / "no.png") == 1 and "no.png" in capsys.readouterr().err
    assert generate(video="out.gif") == 1 and "out.gif" in capsys.readouterr().err


def test_debug_shows_the_traceback(generate):
    with pytest.raises(ValueError, match="fps"):
        generate("--fps", "0", "--debug")


def test_ctrl_c_ends_with_130_and_leaves_no_file(tiny_folder, picture_file, tmp_path):
    arguments = [str(picture_file), str(tmp_path / "out.mp4"), "--model", str(tiny_folder), "--device", "cpu"]
    process = subprocess.Popen(
        [*GENERATE, *arguments, "--num-inference-steps", "900", "--num-frames", "2"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    try:
        line = process.stderr.readline()
        while line and "step 2/900" not in line:
            line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate()[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped" in rest and "Traceback" not in rest
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo terminal")
def test_a_terminal_gets_a_bar(tiny_folder, picture_file, tmp_path):
    master, slave = pty.openpty()
    arguments = [str(picture_file), str(tmp_path / "out.mp4"), "--model", str(tiny_folder), "--device", "cpu", *FAST]
    process = subprocess.run([*GENERATE, *arguments], stderr=slave, stdout=subprocess.DEVNULL, check=False)
    os.set_blocking(master, False)
    text = os.read(master, 100_000).decode(errors="replace")  # a few short lines wait in the terminal's buffer
    os.close(slave)
    os.close(master)
    assert process.returncode == 0 and "2/2" in text and "s left" in text and "\r" in text
    assert "step 1/2, about" not in text
