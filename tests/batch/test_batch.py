"""What a batch promises: the frames of single calls, on several processes, resumable, and undisturbed by bad pictures."""

import contextlib
import json
import os
import re
import signal
from dataclasses import asdict

import pytest
from helpers import make_picture

from svd_lab import generate_text2video, generate_video, read_recipe
from svd_lab.batch import worker
from svd_lab.batch.generate import generate_batch
from svd_lab.batch.items import BatchRequest, list_items, request_hash
from svd_lab.commands.main import main

SETTINGS = {"num_frames": 3, "num_inference_steps": 2, "decode_chunk_size": 1, "motion_bucket_id": 90}
FLAGS = ["--num-frames", "3", "--num-inference-steps", "2", "--decode-chunk-size", "1", "--motion-bucket-id", "90"]


@pytest.fixture
def pictures(tmp_path):
    """A folder of three pictures, one broken picture, and a text."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(("ant.png", "bee.jpg", "cow.webp")):
        make_picture((80, 60), seed=number).save(folder / name)
    (folder / "bad.png").write_bytes(b"\x89PNG and then nothing")
    (folder / "notes.txt").write_text("no picture")
    return folder


def quiet(line):
    pass


def hashes(folder):
    return {path.name: read_recipe(path)["frames_sha256"] for path in sorted(folder.glob("*.mp4"))}


@pytest.mark.slow
def test_two_processes_make_the_frames_of_single_calls(pictures, tiny_folder, tiny_pipe, tmp_path):
    out, alone, lines = tmp_path / "out", tmp_path / "alone", []
    result = generate_batch(
        pictures, out, 5, model=tiny_folder, device="cpu", processes=2, say=lines.append, **SETTINGS
    )
    assert result.made == ["ant.mp4", "bee.mp4", "cow.mp4"] and not result.kept
    assert list(result.failed) == ["bad.mp4"] and "bad.png" in result.failed["bad.mp4"] and not result.ok
    assert sorted(line.split()[0] for line in lines) == ["1/4", "2/4", "3/4", "4/4"]
    assert result.item_seconds.keys() == {*result.made} and min(result.item_seconds.values()) > 0
    for name in ("ant.png", "bee.jpg", "cow.webp"):
        generate_video(pictures / name, alone / f"{name.split('.')[0]}.mp4", 5, pipe=tiny_pipe, **SETTINGS)
    assert hashes(out) == hashes(alone) and len(set(hashes(out).values())) == 3
    assert not [path for path in out.iterdir() if path.suffix != ".mp4"]


def test_the_command_lists_failures_and_continues_when_given_again(pictures, tiny_folder, tmp_path, capfd):
    out = tmp_path / "out"
    arguments = ["batch", str(pictures), str(out), "--model", str(tiny_folder), "--device", "cpu", *FLAGS]
    assert main(arguments) == 1
    output, errors = capfd.readouterr()
    assert re.search(r"3 made \([\d.]+ s per video\), 0 done before, 1 failed", output)
    assert "bad.mp4: " in errors and "bad.png" in errors
    first = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (pictures / "bad.png").unlink()
    assert main(arguments) == 0
    assert "0 made, 3 done before, 0 failed" in capfd.readouterr()[0]
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == first


@pytest.mark.slow
def test_a_video_of_another_request_is_made_again(pictures, tiny_folder, tmp_path):
    out = tmp_path / "out"
    both = [pictures / "ant.png", pictures / "bee.jpg"]

    def again(seed=5, **changes):
        options = {"model": tiny_folder, "device": "cpu", "say": quiet} | SETTINGS | changes
        result = generate_batch(both, out, seed, **options)
        return result.made, result.kept

    names = ["ant.mp4", "bee.mp4"]
    assert again() == (names, [])
    assert again() == ([], names)
    assert again(seed=6) == (names, [])
    assert again(seed=6, fps=8) == (names, [])
    assert again(seed=6, fps=8, playback_fps=8) == ([], names)  # its default, given explicitly
    make_picture((80, 60), seed=9).save(pictures / "ant.png")
    assert again(seed=6, fps=8) == (["ant.mp4"], ["bee.mp4"])
    (out / "bee.mp4").write_bytes((out / "bee.mp4").read_bytes()[:2000])
    assert again(seed=6, fps=8) == (["bee.mp4"], ["ant.mp4"])


@pytest.fixture
def one_video(tmp_path, monkeypatch):
    """An ffmpeg that encodes one video; further encoders wait as long as their process lives, so that it can be killed in time."""
    from imageio_ffmpeg import get_ffmpeg_exe

    script = tmp_path / "ffmpeg"
    script.write_text(
        f"""#!/bin/sh
case "$*" in *rawvideo*)
    mkdir '{tmp_path}/first' 2>/dev/null || {{ while kill -0 $PPID 2>/dev/null; do sleep 0.1; done; exit 1; }} ;;
esac
exec '{get_ffmpeg_exe()}' "$@"
"""
    )
    script.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(script))


@pytest.mark.slow
def test_a_batch_resumes_after_a_process_was_killed(pictures, tiny_folder, tmp_path, one_video, monkeypatch):
    """One of two processes is killed: the launcher ends the other, what is missing has failed, and the next batch makes it."""
    import psutil

    for number in range(3):
        make_picture((80, 60), seed=50 + number).save(pictures / f"more{number}.png")
    (pictures / "bad.png").unlink()
    killed = []

    def kill_one(line):
        if not killed:
            commands = {}
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # has just ended
                    commands[child.pid] = child.cmdline()
            workers = [pid for pid, words in commands.items() if words[1:4] == ["-u", "-m", "svd_lab.batch.worker"]]
            killed.append(workers[-1])
            os.kill(workers[-1], signal.SIGKILL)

    options = {"model": tiny_folder, "device": "cpu", "num_inference_steps": 2, "num_frames": 3}
    result = generate_batch(pictures, tmp_path / "out", processes=2, say=kill_one, **options)
    assert killed and result.failed and "run the batch again" in next(iter(result.failed.values()))
    complete = hashes(tmp_path / "out")
    assert 1 <= len(complete) < 6 and {*result.made} <= complete.keys()
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
    result = generate_batch(pictures, tmp_path / "out", say=quiet, **options)
    assert result.kept == list(complete) and len(result.made) == 6 - len(complete) and result.ok
    assert complete.items() <= hashes(tmp_path / "out").items() and len(hashes(tmp_path / "out")) == 6


def test_prompts_make_the_frames_of_single_calls(tiny_folder, tiny_image_folder, tiny_pipe, tiny_image_pipe, tmp_path):
    prompts = ["a red rocket", "a city at night, aerial view!", "  "]
    options = {"model": tiny_folder, "image_model": tiny_image_folder, "device": "cpu", "say": quiet}
    options |= {"num_frames": 2, "num_inference_steps": 1, "image_num_inference_steps": 2}
    result = generate_batch(prompts=prompts, out=tmp_path / "out", seed=3, **options)
    assert result.made == ["001-a-red-rocket.mp4", "002-a-city-at-night-aerial-view.mp4"]
    assert list(result.failed) == ["003.mp4"] and "prompt" in result.failed["003.mp4"]
    alone = tmp_path / "alone.mp4"
    generate_text2video(
        "a red rocket", alone, 3, pipe=tiny_pipe, image_pipe=tiny_image_pipe, num_frames=2, num_inference_steps=1,
        image_num_inference_steps=2, on_image=quiet,
    )  # fmt: skip
    assert hashes(tmp_path / "out")[result.made[0]] == read_recipe(alone)["frames_sha256"]
    assert generate_batch(prompts=prompts, out=tmp_path / "out", seed=3, **options).kept == result.made


def test_a_process_that_cannot_load_the_model_gives_the_reason(pictures, tmp_path, monkeypatch):
    request = BatchRequest(
        items=[], text=False, seed=42, settings={}, model=str(pictures), image_model="auto", device="cpu", dtype=None,
        speed="exact", memory="auto", parent=os.getpid(),
    )  # fmt: skip
    request_file, outcome_file = tmp_path / "request.json", tmp_path / "outcomes.jsonl"
    request_file.write_text(json.dumps(asdict(request)))
    outcome_file.touch()
    monkeypatch.setattr("sys.argv", ["worker", str(request_file), str(outcome_file)])
    worker.main()
    assert "model_index.json is missing" in json.loads(outcome_file.read_text())["fatal"]


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({}, TypeError, "either"),
        ({"pictures": "nowhere"}, FileNotFoundError, "nowhere"),
        ({"pictures": []}, FileNotFoundError, "no picture"),
        ({"prompts": []}, ValueError, "empty"),
        ({"prompts": ["a"], "fit": "crop"}, TypeError, "'fit'"),
        ({"pictures": ["a.png"], "steps": 3}, TypeError, "num_inference_steps"),
        ({"pictures": ["a.png"], "num_frames": 0}, ValueError, "num_frames"),
        ({"pictures": ["a.png"], "seed": -1}, ValueError, "resumed"),
        ({"pictures": ["a.png"], "processes": 0}, ValueError, "at least 1"),
    ],
)
def test_a_wrong_argument_is_refused_before_a_model_is_loaded(monkeypatch, tmp_path, keywords, error, words):
    from svd_lab import pipelines

    monkeypatch.setattr(pipelines, "load_video_pipeline", lambda *_, **__: pytest.fail("a model was loaded"))
    with pytest.raises(error, match=words):
        generate_batch(out=tmp_path / "out", **keywords)


def test_no_two_videos_have_the_same_name(tmp_path):
    def names(*files):
        return [os.path.basename(item["video"]) for item in list_items(files, None, tmp_path)]

    assert names("x/a.png", "x/b.png") == ["a.mp4", "b.mp4"]
    assert names("x/a.png", "x/A.jpg", "x/b.png") == ["a.png.mp4", "A.jpg.mp4", "b.mp4"]
    assert len({*names("x/a.png", "y/a.png", "z/A.PNG")}) == 3
    prompts = [item["video"] for item in list_items(None, ["한글 로켓", "한글 로켓", "../../etc"], tmp_path)]
    assert len({*prompts}) == 3 and all(os.path.dirname(video) == str(tmp_path) for video in prompts)


def test_a_request_does_not_depend_on_the_machine():
    recipe = {
        "call": "generate_video",
        "seed": 1,
        "playback_fps": 7,
        "model": "mini",
        "device": "cuda:0",
        "versions": {"torch": "2"},
    }
    assert request_hash(recipe) == request_hash(
        recipe | {"playback_fps": 7.0, "device": "cuda:1", "versions": {}, "fit": "pad"}
    )
    assert request_hash(recipe) != request_hash(recipe | {"seed": 2})
