"""What the svd-lab command promises: its keywords, exit statuses, readable failures, progress, and the demo."""

import importlib.util
import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from conftest import hear_ctrl_c, make_picture
from PIL import Image

import svd_lab
from svd_lab.bundled import PICTURE_FOLDER
from svd_lab import generate_video
from svd_lab.commands import main
from svd_lab.models.table import VIDEO

FAST = ["--num-frames", "2", "--num-inference-steps", "2"]


@pytest.fixture
def generate(tiny_folder, picture_file, tmp_path, monkeypatch):
    """svd-lab generate on the tiny model, in this process: generate("--seed", "7") → exit status."""
    monkeypatch.chdir(tmp_path)

    def generate(*options, picture=picture_file, video="out.mp4"):
        return main.main(
            ["generate", str(picture), video, "--model", str(tiny_folder), "--device", "cpu", *FAST, *options]
        )

    return generate


def command(*arguments, **keywords):
    """svd-lab in a process of its own."""
    return [sys.executable, "-m", "svd_lab.commands.main", *map(str, arguments)]


def test_generate_takes_every_keyword_of_generate_video():
    options = {a.dest: a for a in main.build_parser()._subparsers._group_actions[0].choices["generate"]._actions}
    assert set(generate_video.__kwdefaults__) - set(options) == {"pipe", "on_step", "cancel"}
    for name, default in generate_video.__kwdefaults__.items():
        if name in options:
            assert options[name].default == default
    assert options["seed"].default == generate_video.__defaults__[0]


def test_generate_makes_the_same_video_as_the_call(generate, tiny_pipe, picture_file, tmp_path, monkeypatch, capsys):
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


def test_a_drawn_seed_is_told(generate, capsys):
    assert generate("--seed", "-1") == 0
    drawn, told = re.findall(r"seed (\d+)", capsys.readouterr().out)
    assert drawn == told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fps", "0"], "fps must be"),
        (["--fit", "cover"], "'cover'"),
        (["--height", "65"], "height must be a multiple of 8"),
        (["--seed", "-7"], "-7"),
    ],
)
def test_a_failed_run_is_one_readable_line_and_status_1(generate, tmp_path, capsys, options, words):
    assert generate(*options) == 1
    out, err = capsys.readouterr()
    assert words in err and err.startswith("svd-lab: ") and err.count("\n") == 1 and "Traceback" not in err
    assert out == "" and not list(tmp_path.iterdir()), "refused before a model was loaded"


def test_a_missing_picture_or_a_bad_target_is_refused_before_loading(generate, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(svd_lab, "load_video_pipeline", lambda *_, **__: pytest.fail("a model was loaded"))
    assert generate(picture=tmp_path / "no.png") == 1 and "no.png" in capsys.readouterr().err
    assert generate(video="out.gif") == 1 and "out.gif" in capsys.readouterr().err


def test_debug_shows_the_traceback(generate):
    with pytest.raises(ValueError, match="fps"):
        generate("--fps", "0", "--debug")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["make"],
        ["generate"],
        ["generate", "a.png"],
        ["generate", "a.png", "b.mp4", "--seed", "x"],
        ["demo", "--foo"],
    ],
)
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    assert caught.value.code == 2 and "usage: svd-lab" in capsys.readouterr().err


def test_help_is_a_manual_with_the_defaults(capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(["generate", "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for word in ("--motion-bucket-id", "(127)", "(0.02)", "(crop)", "-1 draws one (42)", "--device"):
        assert word in text


def test_demo_makes_a_video_a_picture_and_one_contact_sheet(tiny_folder, tmp_path, monkeypatch, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed, name in enumerate(["rocket.png", "rabbit.jpg"]):
        make_picture((120, 80), seed).save(pictures / name)
    (pictures / "CREDITS.md").write_text("not a picture")
    monkeypatch.setitem(generate_video.__kwdefaults__, "num_frames", 2)
    monkeypatch.setitem(generate_video.__kwdefaults__, "num_inference_steps", 1)
    out = tmp_path / "results" / "deep"
    arguments = ["demo", "--out", out, "--pictures", pictures, "--model", tiny_folder, "--device", "cpu"]
    assert main.main([str(argument) for argument in arguments]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["contact-sheet.png", "rabbit.mp4", "rocket.mp4"]
    sheet = Image.open(out / "contact-sheet.png")
    assert sheet.width >= 2 * 96 and sheet.height >= 2 * 64
    halves = [sheet.crop((0, top, sheet.width, top + sheet.height // 2)).tobytes() for top in (0, sheet.height // 2)]
    assert halves[0] != halves[1], "each video has its own row"
    text = capsys.readouterr().out
    assert str(out / "rocket.mp4") in text and str(out / "contact-sheet.png") in text


def test_demo_without_pictures_says_where_it_looked(tmp_path, capsys):
    assert main.main(["demo", "--pictures", str(tmp_path / "none")]) == 1
    err = capsys.readouterr().err
    assert str(tmp_path / "none") in err and "--pictures" in err


def test_models_says_what_is_here_where_and_what_is_missing(tiny_folder, tmp_path, monkeypatch, capsys):
    import shutil

    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    shutil.copytree(tiny_folder, tmp_path / "models" / "svd")
    shutil.copytree(tiny_folder, tmp_path / "models" / "mini")
    (tmp_path / "models" / "svd" / "vae" / "config.json").unlink()
    monkeypatch.setenv("SVD_LAB_MODELS", os.pathsep.join([str(tmp_path / "models"), str(tmp_path / "gone")]))
    assert main.main(["models"]) == 0
    text = capsys.readouterr().out
    assert all(key in text for key in VIDEO.models)
    assert str(tmp_path / "models" / "mini") in text and re.search(r"SVD_LAB_MODELS, \d+ MB", text)
    assert "vae/config.json is missing" in text
    assert f"not here; the Hub has it as {VIDEO.models['svd-xt'].hub_id}" in text
    assert f"{tmp_path / 'gone'}, which is not a folder" in text


def test_models_and_help_do_not_import_torch(tmp_path):
    code = "import sys; from svd_lab.commands.main import main; main(['models']); print('torch' in sys.modules, 'diffusers' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert told.stdout.splitlines()[-1] == "False False"


def test_ctrl_c_ends_with_130_and_leaves_no_file(tiny_folder, picture_file, tmp_path):
    arguments = command("generate", picture_file, tmp_path / "out.mp4", "--model", tiny_folder, "--device", "cpu")
    process = subprocess.Popen(
        [*arguments, "--num-inference-steps", "900", "--num-frames", "2"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    try:
        line = process.stderr.readline()
        while line and "step 2/900" not in line:
            line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped" in rest and "Traceback" not in rest
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo terminal")
def test_a_terminal_gets_a_bar(tiny_folder, picture_file, tmp_path):
    master, slave = pty.openpty()
    arguments = command(
        "generate", picture_file, tmp_path / "out.mp4", "--model", tiny_folder, "--device", "cpu", *FAST
    )
    process = subprocess.run(arguments, stderr=slave, stdout=subprocess.DEVNULL, check=False, timeout=120)
    os.set_blocking(master, False)
    text = os.read(master, 100_000).decode(errors="replace")  # a few short lines wait in the terminal's buffer
    os.close(slave)
    os.close(master)
    assert process.returncode == 0 and "2/2" in text and "s left" in text and "\r" in text
    assert "step 1/2, about" not in text


def test_the_bundled_pictures_lie_where_the_demo_looks():
    assert importlib.util.find_spec("svd_lab").submodule_search_locations[0] in str(PICTURE_FOLDER)
