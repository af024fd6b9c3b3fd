"""What `svd-lab generate --prompt` promises: its settings, the frames of generate_text2video, and readable failures."""

import re

import pytest

import svd_lab
from svd_lab import generate_text2video
from svd_lab.commands import main

FAST = ["--num-frames", "2", "--num-inference-steps", "2", "--image-num-inference-steps", "2"]


@pytest.fixture
def generate(tiny_folder, tiny_image_folder, tmp_path, monkeypatch):
    """svd-lab generate on the tiny models, in this process: generate("--prompt", "a horse", "out.mp4") → exit status."""
    monkeypatch.chdir(tmp_path)
    models = ["--model", str(tiny_folder), "--image-model", str(tiny_image_folder), "--device", "cpu"]
    return lambda *words: main.main(["generate", *words, *models, *FAST])


def options(prompted):
    parser = main.build_parser(prompted)._subparsers._group_actions[0].choices["generate"]
    return {action.dest: action for action in parser._actions}


def test_every_keyword_of_generate_text2video_is_an_option():
    there = options(prompted=True)
    missing = set(generate_text2video.__kwdefaults__) - set(there)
    assert missing == {"image_pipe", "pipe", "on_image", "on_step", "cancel"}
    for name, default in generate_text2video.__kwdefaults__.items():
        if name in there:
            assert there[name].default == default
    assert there["seed"].default == options(prompted=False)["seed"].default == 42, "a command repeats; the call draws"
    assert "picture" not in there and "fit" not in there
    assert "guidance_scale" not in options(prompted=False)


def test_a_prompt_makes_the_same_video_as_the_call(generate, tiny_image_pipe, tiny_pipe, tmp_path, monkeypatch, capsys):
    clips = []

    def recorded(*arguments, **keywords):
        clips.append(generate_text2video(*arguments, **keywords))
        return clips[-1]

    recorded.__kwdefaults__, recorded.__defaults__ = (
        generate_text2video.__kwdefaults__,
        generate_text2video.__defaults__,
    )
    monkeypatch.setattr(svd_lab, "generate_text2video", recorded)
    more = ["--negative-prompt", "rain", "--guidance-scale", "4", "--fps", "9", "--width", "64", "--height", "96"]
    assert generate("--seed", "7", "folder/out.mp4", "--prompt", "말을 탄 우주인", *more) == 0
    settings = {"num_frames": 2, "num_inference_steps": 2, "image_num_inference_steps": 2, "width": 64, "height": 96}
    settings |= {"negative_prompt": "rain", "guidance_scale": 4, "fps": 9}
    pipes = {"image_pipe": tiny_image_pipe, "pipe": tiny_pipe}
    expected = generate_text2video("말을 탄 우주인", tmp_path / "b.mp4", 7, **pipes, **settings)
    assert [frame.tobytes() for frame in clips[0].frames] == [frame.tobytes() for frame in expected.frames]
    assert clips[0].recipe == expected.recipe and (tmp_path / "folder" / "out.mp4").stat().st_size > 0
    out, err = capsys.readouterr()
    assert "folder/out.mp4: 2 frames of 64x96, seed 7" in out
    assert "out.mp4: step 1/4, about" in err and "step 4/4" in err


def test_a_drawn_seed_is_printed_while_it_runs_and_at_the_end(generate, capsys):
    assert generate("--prompt=a red rocket", "out.mp4", "--seed", "-1") == 0
    out = capsys.readouterr().out
    while_running, at_the_end = re.findall(r"seed (\d+)", out)
    assert while_running == at_the_end and "default" not in out


def test_the_default_seed_repeats_the_video_and_says_so(generate, tmp_path, capsys):
    assert [generate("--prompt=a red rocket", name) for name in ("a.mp4", "b.mp4")] == [0, 0]
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert "seed 42 (the default: the same command makes the same video" in capsys.readouterr().out


def test_a_prompt_that_is_too_long_is_one_plain_warning(generate, capsys):
    assert generate("--prompt", "rocket " * 100, "out.mp4") == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "tokens" in line]
    assert line.startswith("svd-lab: prompt is longer than the 77 tokens")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", " ", "out.mp4"], "prompt is empty"),
        (["--prompt", "a horse", "out.gif"], "out.gif"),
        (["--prompt", "a horse", "out.mp4", "--guidance-scale", "-1"], "guidance_scale must be"),
    ],
)
def test_a_wrong_setting_is_one_readable_line_before_loading(
    generate, tmp_path, monkeypatch, capsys, arguments, message
):
    for name in ("load_image_pipeline", "load_video_pipeline"):
        monkeypatch.setattr(svd_lab, name, lambda *_, **__: pytest.fail("a model was loaded"))
    assert generate(*arguments) == 1
    out, err = capsys.readouterr()
    assert message in err and err.startswith("svd-lab: ") and err.count("\n") == 1 and out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["--prompt", "a horse"],
        ["--prompt", "a horse", "rocket.png", "out.mp4"],
        ["--prompt", "a horse", "out.mp4", "--fit", "pad"],
        ["rocket.png", "out.mp4", "--guidance-scale", "7"],
    ],
)
def test_a_picture_and_a_prompt_exclude_each_other(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(["generate", *words])
    assert caught.value.code == 2 and "usage: svd-lab" in capsys.readouterr().err


def test_help_describes_pictures_and_prompts(capsys):
    for words, expected in ((["--help"], "--prompt TEXT --help"), (["--prompt", "x", "--help"], "the prompt (7.5)")):
        with pytest.raises(SystemExit) as caught:
            main.main(["generate", *words])
        text = " ".join(capsys.readouterr().out.split())
        assert caught.value.code == 0 and expected in text and "(PICTURE | --prompt TEXT) OUT.mp4" in text
