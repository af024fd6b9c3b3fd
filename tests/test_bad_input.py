"""Bad input is refused before any model works: what was wrong, what was given, what to do; nothing is written."""

import io
import math
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import make_picture
from PIL import Image

from svd_lab import generate_video

PNG = io.BytesIO()
make_picture().save(PNG, "PNG")
PNG = PNG.getvalue()
WRONG = (ValueError, TypeError, OSError)


def file_of(folder, name, content):
    """A file in a folder beside the one that the call writes into."""
    path = folder / "inputs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def setting(name, value, *words):
    """One case: the setting given, and the words that the message must hold beside the setting's name."""
    return pytest.param({name: value}, (name, *words), id=f"{name}={str(value)[:24]!r}")


def picture(make, *words, id):
    return pytest.param({"image": make}, words, id=f"picture: {id}")


def target(make, *words, id):
    return pytest.param({"video_file": make}, words, id=f"target: {id}")


SETTINGS = [
    setting("seed", -2, "-2", "-1 draws"),
    setting("seed", 2**32, "4294967296", "4294967295"),
    setting("seed", 2**64, "18446744073709551616"),
    setting("seed", "42", "'42'", "without quotes", "seed=42"),
    setting("seed", "random", "'random'"),
    setting("seed", 1.5, "1.5", "decimal"),
    setting("seed", True, "True"),
    setting("seed", None, "None"),
    setting("seed", [1, 2], "[1, 2]"),
    setting("seed", math.nan, "nan"),
    setting("num_frames", 0, "0", "from 2"),
    setting("num_frames", 1, "1", "from 2"),
    setting("num_frames", -1, "-1"),
    setting("num_frames", 10.0, "10.0", "Give 10"),
    setting("num_frames", "10", "'10'", "num_frames=10"),
    setting("num_frames", None, "None"),
    setting("num_frames", 10**9, "1000000000"),
    setting("num_frames", np.array([3, 4]), "array", "single"),
    setting("num_frames", np.float64(2.5), "2.5", "Give 2"),
    setting("num_frames", np.bool_(True), "True"),
    setting("num_inference_steps", 0, "0", "from 1"),
    setting("num_inference_steps", -5, "-5"),
    setting("num_inference_steps", 2000, "2000", "1000"),
    setting("num_inference_steps", math.inf, "inf"),
    setting("decode_chunk_size", 0, "0", "from 1"),
    setting("decode_chunk_size", None, "None", "num_frames decodes all"),
    setting("fps", 0, "0"),
    setting("fps", 1000, "1000", "120"),
    setting("fps", "7fps", "'7fps'"),
    setting("fps", 7.5, "7.5", "Give 7"),
    setting("motion_bucket_id", -5, "-5", "0 to 255"),
    setting("motion_bucket_id", 1000, "1000", "0 to 255"),
    setting("motion_bucket_id", b"127", "b'127'", "motion_bucket_id=127"),
    setting("noise_aug_strength", -1, "-1", "0.02"),
    setting("noise_aug_strength", math.nan, "nan"),
    setting("noise_aug_strength", math.inf, "inf"),
    setting("noise_aug_strength", "0,02", "'0,02'"),
    setting("noise_aug_strength", False, "False"),
    setting("noise_aug_strength", torch.tensor([0.1, 0.2]), "tensor", "single"),
    setting("min_guidance_scale", math.nan, "nan"),
    setting("min_guidance_scale", 5.0, "max_guidance_scale", "5.0", "3.0"),
    setting("max_guidance_scale", 0.5, "min_guidance_scale", "0.5", "1.0"),
    setting("max_guidance_scale", -math.inf, "-inf"),
    setting("max_guidance_scale", 1e9, "1000000000"),
    setting("max_guidance_scale", 1 + 2j, "(1+2j)"),
    setting("height", 0, "0", "multiple of 8"),
    setting("height", -64, "-64"),
    setting("height", 65, "65", "64 or 72"),
    setting("height", "64", "'64'", "height=64"),
    setting("height", 64.0, "64.0", "Give 64"),
    setting("width", 100, "100", "96 or 104"),
    setting("width", 10**6, "1000000", "4096"),
    setting("width", (96, 64), "(96, 64)", "single"),
    setting("fit", "cover", "'cover'", "'crop', 'pad', 'stretch'"),
    setting("fit", None, "None", "'crop'"),
    setting("fit", ["crop"], "['crop']"),
    setting("playback_fps", 0, "0"),
    setting("playback_fps", -7, "-7"),
    setting("playback_fps", 121, "121", "120"),
    setting("playback_fps", "fast", "'fast'"),
    setting("playback_fps", math.nan, "nan"),
    setting("on_step", "print", "'print'", "step, total"),
    setting("cancel", True, "True", "threading.Event()"),
    setting("cancel", threading.Event, "Event"),
    setting("pipe", "mini", "load_video_pipeline('mini')"),
    setting("pipe", torch.nn.Linear(1, 1), "Linear", "load_video_pipeline()"),
]

PICTURES = [
    picture(lambda folder: folder / "rocke.png", "rocke.png", id="missing file"),
    picture(
        lambda folder: str(file_of(folder, "Rocket.png", PNG).with_name("roket.png")),
        "roket.png",
        id="typing slip",
    ),
    picture(lambda folder: folder, "folder", id="a folder"),
    picture(lambda folder: "", "image", id="empty string"),
    picture(lambda folder: None, "NoneType", id="None"),
    picture(lambda folder: 42, "int", id="a number"),
    picture(lambda folder: [], "list", id="empty list"),
    picture(lambda folder: [make_picture(), make_picture()], "list", "each", id="two pictures"),
    picture(lambda folder: file_of(folder, "empty.png", b""), "empty.png", "0 bytes", id="empty file"),
    picture(lambda folder: file_of(folder, "cut.png", PNG[: len(PNG) // 2]), "cut.png", id="cut file"),
    picture(
        lambda folder: file_of(folder, "page.jpg", b"<!doctype html><html></html>"),
        "page.jpg",
        "HTML",
        id="HTML",
    ),
    picture(
        lambda folder: file_of(folder, "a.mp4", b"\0\0\0\x18ftypisom" + b"\0" * 64),
        "a.mp4",
        "video",
        id="a video",
    ),
    picture(lambda folder: file_of(folder, "a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "SVG", id="SVG"),
    picture(lambda folder: b"nonsense", "bytes", id="bytes of nothing"),
    picture(lambda folder: np.zeros((2, 3, 64, 64)), "batch", id="a batch"),
    picture(lambda folder: np.full((8, 8, 3), 300.0), "0..1", "300", id="floats out of range"),
    picture(lambda folder: np.full((8, 8, 3), math.nan), "NaN", id="NaN pixels"),
    picture(lambda folder: np.zeros((0, 8, 3), np.uint8), "no pixels", id="no pixels"),
    picture(lambda folder: "file:///etc/passwd", "file", id="file:// address"),
    picture(lambda folder: "ftp://example.org/rocket.png", "ftp", id="ftp:// address"),
    picture(lambda folder: "http://127.0.0.1:9/rocket.png", "127.0.0.1:9", id="nobody answers"),
    picture(lambda folder: "https:/rocket.png", "rocket.png", id="a slash too few"),
]

TARGETS = [
    target(lambda folder: None, "None", id="None"),
    target(lambda folder: 7, "int", "mp4", id="a number"),
    target(lambda folder: "", "mp4", id="empty string"),
    target(lambda folder: folder, str, "mp4", id="a folder"),
    target(lambda folder: folder / "out", "out", "mp4", id="no suffix"),
    target(lambda folder: folder / "out.gif", "out.gif", "mp4", id="gif"),
    target(lambda folder: folder / "out.webm", "out.webm", "mp4", id="webm"),
    target(lambda folder: folder / "rocket.jpg", "rocket.jpg", "mp4", id="arguments swapped"),
    target(lambda folder: folder / (300 * "x" + ".mp4"), "long", id="name too long"),
    target(lambda folder: f"{folder}/a\0b.mp4", id="NUL in the name"),
    target(lambda folder: file_of(folder, "a.mp4", PNG) / "b.mp4", "b.mp4", id="a file as folder"),
    target(lambda folder: folder / "broken.mp4" / "..", "folder", id="a folder, roundabout"),
]
CASES = SETTINGS + PICTURES + TARGETS


def contents(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("bad", "words"), CASES)
def test_bad_input_is_refused_before_any_model_work(
    tiny_pipe, model_calls, picture_file, tmp_path, monkeypatch, bad, words
):
    monkeypatch.chdir(tmp_path)
    bad = {name: make(tmp_path) if name in ("image", "video_file") else make for name, make in bad.items()}
    call = {
        "image": picture_file,
        "video_file": tmp_path / "out.mp4",
        "pipe": tiny_pipe,
        "num_frames": 2,
    } | bad
    before, here = contents(tmp_path), sorted(os.listdir(tmp_path))
    with pytest.raises(WRONG) as caught:
        generate_video(call.pop("image"), call.pop("video_file"), call.pop("seed", 42), **call)
    message = str(caught.value)
    assert set(model_calls.values()) == {0}, "a model has worked"
    assert contents(tmp_path) == before and sorted(os.listdir(tmp_path)) == here, "something was written"
    for word in words:
        assert (str(tmp_path) if word is str else word) in message
    assert len(message) > 40 and len(message) < 900, message


def test_there_are_enough_cases():
    assert len(CASES) >= 60


@pytest.mark.parametrize("size", [{"height": 8}, {"width": 104}])
def test_a_size_that_a_deeper_unet_cannot_halve_is_refused(tiny_pipe, model_calls, monkeypatch, tmp_path, size):
    monkeypatch.setattr(tiny_pipe, "vae_scale_factor", 16)  # with one halving in the UNet: multiples of 32
    with pytest.raises(ValueError, match="multiple of 32"):
        generate_video(make_picture(), tmp_path / "out.mp4", pipe=tiny_pipe, **size)
    assert set(model_calls.values()) == {0} and not os.listdir(tmp_path)


def test_the_pipeline_still_works_after_bad_input(tiny_pipe, model_calls, picture_file, tmp_path):
    for case in (SETTINGS[0], SETTINGS[10], PICTURES[0], TARGETS[5]):
        bad = {name: make(tmp_path) if callable(make) else make for name, make in case.values[0].items()}
        call = {"image": picture_file, "video_file": tmp_path / "out.mp4", "num_frames": 2, "seed": 42} | bad
        with pytest.raises(WRONG):
            generate_video(call.pop("image"), call.pop("video_file"), pipe=tiny_pipe, **call)
        good = generate_video(picture_file, tmp_path / "good.mp4", pipe=tiny_pipe, num_frames=2, num_inference_steps=1)
        assert len(good.frames) == 2 and Path(good.path).stat().st_size > 0
        assert not (tmp_path / "out.mp4").exists()
    assert model_calls["unet"] == 4


def test_a_bad_setting_is_refused_without_loading_a_model(monkeypatch, tmp_path):
    from svd_lab import pipelines

    monkeypatch.setattr(pipelines, "default_video_pipeline", lambda: pytest.fail("a model was loaded"))
    for bad in ({"fps": 0}, {"height": 65}):
        with pytest.raises(ValueError):
            generate_video(make_picture(), tmp_path / "a.mp4", **bad)
    with pytest.raises(FileNotFoundError):
        generate_video(tmp_path / "no.png", tmp_path / "a.mp4")
    with pytest.raises(ValueError):
        generate_video(make_picture(), tmp_path / "a.txt")


def test_a_read_only_picture_object_is_not_changed(tiny_pipe, tmp_path):
    picture = Image.new("RGBA", (20, 30), (255, 0, 0, 128))
    before = picture.tobytes()
    generate_video(picture, tmp_path / "a.mp4", pipe=tiny_pipe, num_frames=2, num_inference_steps=1)
    assert picture.mode == "RGBA" and picture.tobytes() == before
