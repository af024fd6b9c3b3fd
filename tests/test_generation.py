"""What generate_video promises: exactness, seeds, progress, cancelling, turns, and a pipeline that is left as it was."""

import json
import operator
import threading
import time

import numpy as np
import pytest
import torch
from helpers import TINY_SIZE, make_picture
from PIL import Image

import svd_lab.generation
from svd_lab import Cancelled, generate_video
from svd_lab.images import open_image
from svd_lab.recipe import image_name

SMALL = {"num_frames": 2, "num_inference_steps": 2}


def bare_recipe(pipe, image, seed, num_frames=10, num_inference_steps=10, decode_chunk_size=2, **settings):
    """The class's call in plain diffusers, with the seeded global generator as the class makes it."""
    state = torch.get_rng_state()
    try:
        generator = torch.manual_seed(seed)
        return pipe(
            image,
            decode_chunk_size=decode_chunk_size,
            generator=generator,
            num_frames=num_frames,
            num_inference_steps=num_inference_steps,
            height=image.height,
            width=image.width,
            **settings,
        ).frames[0]
    finally:
        torch.set_rng_state(state)


def difference(frames, others):
    """Largest absolute difference of two lists of PIL frames, 0 to 255."""
    assert len(frames) == len(others) and frames[0].size == others[0].size
    return max(
        int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max())
        for a, b in zip(frames, others, strict=True)
    )


@pytest.fixture
def run(tiny_pipe, tmp_path):
    """generate_video on the tiny pipeline, two frames and two steps unless told, into tmp_path."""

    def run(image=None, video_file=None, seed=42, **settings):
        image = make_picture() if image is None else image
        return generate_video(image, video_file or tmp_path / "out.mp4", seed, pipe=tiny_pipe, **{**SMALL, **settings})

    return run


@pytest.mark.parametrize(
    ("seed", "settings"),
    [
        (42, {}),
        (0, {"num_frames": 2, "num_inference_steps": 1, "decode_chunk_size": 1}),
        (2**32 - 1, {"num_frames": 5, "num_inference_steps": 3, "decode_chunk_size": 2}),
        (1972088094, {"num_frames": 7, "num_inference_steps": 4, "decode_chunk_size": 14}),
        (7, {"num_frames": 3, "num_inference_steps": 2, "max_guidance_scale": 1.0}),
        (
            8,
            {
                "num_frames": 3,
                "num_inference_steps": 2,
                "fps": 20,
                "motion_bucket_id": 0,
                "noise_aug_strength": 0.5,
            },
        ),
        (
            9,
            {"num_frames": 4, "num_inference_steps": 2, "min_guidance_scale": 2.0, "max_guidance_scale": 2.0},
        ),
    ],
)
def test_frames_equal_the_bare_diffusers_recipe_exactly(tiny_pipe, picture_file, tmp_path, seed, settings):
    clip = generate_video(str(picture_file), tmp_path / "a.mp4", seed, pipe=tiny_pipe, **settings)
    expected = bare_recipe(tiny_pipe, Image.open(picture_file).convert("RGB"), seed, **settings)
    assert difference(clip.frames, expected) == 0
    assert difference(clip.frames, [clip.frames[0]] * len(clip.frames)) > 0, (
        "the frames must differ for this to mean anything"
    )


def test_another_size_is_exact_too(run, tiny_pipe):
    clip = run(make_picture((64, 96)), height=96, width=64)
    assert clip.frames[0].size == (64, 96)
    assert difference(clip.frames, bare_recipe(tiny_pipe, make_picture((64, 96)), 42, **SMALL)) == 0


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_picture_of_another_shape_is_fitted_as_open_image_does(run, tiny_pipe, fit):
    picture = make_picture((50, 90))
    fitted = open_image(picture, size=TINY_SIZE, fit=fit)
    assert difference(run(picture, fit=fit).frames, bare_recipe(tiny_pipe, fitted, 42, **SMALL)) == 0


def test_seeds_decide_the_frames(run):
    assert difference(run(seed=5).frames, run(seed=np.int64(5)).frames) == 0
    assert difference(run(seed=5).frames, run(seed=6).frames) > 0


def test_seed_minus_one_draws_a_seed_and_reports_it(run, capsys):
    clips = [run(seed=-1), run(seed=-1)]
    printed = [int(line.split()[1]) for line in capsys.readouterr().out.splitlines() if line.startswith("seed ")]
    assert printed == [clip.seed for clip in clips] == [clip.recipe["seed"] for clip in clips]
    assert all(0 <= clip.seed < 2**32 for clip in clips) and clips[0].seed != clips[1].seed
    assert difference(clips[0].frames, run(seed=clips[0].seed).frames) == 0


def test_numpy_whole_numbers_count_as_integers(run):
    plain = run(num_frames=3, num_inference_steps=2, decode_chunk_size=2, motion_bucket_id=100)
    numpy = run(
        num_frames=np.int64(3),
        num_inference_steps=np.uint8(2),
        decode_chunk_size=np.float64(2.0),
        motion_bucket_id=np.array(100),
        noise_aug_strength=np.float32(0.02),
    )
    assert len(numpy.frames) == 3
    assert {type(numpy.recipe[name]) for name in ("num_frames", "decode_chunk_size", "motion_bucket_id")} == {int}
    assert numpy.recipe["noise_aug_strength"] == pytest.approx(plain.recipe["noise_aug_strength"])


def test_the_callers_random_state_is_neither_used_nor_changed(run):
    import random

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())
    first = run()
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    torch.manual_seed(2)
    assert difference(first.frames, run().frames) == 0


def test_the_recipe_makes_the_clip_again_and_tells_no_folders(run, tiny_pipe, picture_file, tmp_path):
    clip = run(picture_file, seed=3, fps=9, motion_bucket_id=50, video_file=tmp_path / "first.mp4")
    recipe = json.loads(json.dumps(clip.recipe))
    assert recipe == clip.recipe
    assert str(tmp_path) not in json.dumps(recipe) and str(picture_file.parent) not in json.dumps(recipe)
    assert recipe["image"] == picture_file.name
    assert recipe["model"] == "tiny-svd" and recipe["device"] == "cpu" and recipe["dtype"] == "float32"
    assert set(recipe["versions"]) == {"python", "torch", "diffusers", "transformers", "svd_lab"}
    assert recipe["playback_fps"] == 9
    keywords = {name: recipe[name] for name in generate_video.__kwdefaults__ if name in recipe}
    assert set(generate_video.__kwdefaults__) - set(keywords) == {"pipe", "on_step", "cancel"}
    again = generate_video(picture_file, tmp_path / "again.mp4", recipe["seed"], pipe=tiny_pipe, **keywords)
    assert difference(clip.frames, again.frames) == 0 and again.recipe == recipe


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("https://me:secret@example.org/a/b/rocket.png?token=secret", "https://example.org/a/b/rocket.png"),
        ("/home/me/rocket.png", "rocket.png"),
        (b"bytes", "bytes"),
        (np.zeros((2, 2)), "ndarray"),
    ],
)
def test_the_recipe_names_a_picture_without_secrets(image, name):
    assert image_name(image) == name


def test_on_step_counts_every_step_with_a_falling_estimate(run):
    seen = []
    run(num_inference_steps=5, on_step=lambda step, total, left: seen.append((step, total, left)))
    assert [(step, total) for step, total, _ in seen] == [(step, 5) for step in range(1, 6)]
    assert all(left >= 0 for *_, left in seen) and seen[-1][2] < seen[0][2]


def test_on_step_silences_diffusers_bar_for_the_call_only(run, tiny_pipe, capfd):
    tiny_pipe.set_progress_bar_config(disable=False)
    try:
        capfd.readouterr()
        run(on_step=lambda *_: None)
        assert "it/s" not in capfd.readouterr().err
        assert tiny_pipe._progress_bar_config == {"disable": False}
        run()
        assert "100%" in capfd.readouterr().err
    finally:
        tiny_pipe.set_progress_bar_config(disable=True)


def test_a_cancelled_run_ends_within_one_step_and_leaves_no_file(run, tiny_pipe, model_calls, tmp_path):
    expected = run(video_file=tmp_path / "before.mp4")
    cancel = threading.Event()
    model_calls.update(unet=0, vae=0)
    with pytest.raises(Cancelled, match="step 2 of 8"):
        run(
            video_file=tmp_path / "folder" / "cancelled.mp4",
            num_inference_steps=8,
            cancel=cancel,
            on_step=lambda step, *_: step == 2 and cancel.set(),
        )
    assert model_calls["unet"] == 2 and model_calls["vae"] == 1, "two steps, the encoder, no decoder"
    assert not list(tmp_path.rglob("*cancelled*"))
    assert difference(run().frames, expected.frames) == 0


def test_cancel_from_another_thread_is_heard(run, tmp_path):
    cancel, stepped = threading.Event(), threading.Event()
    threading.Thread(target=lambda: (stepped.wait(60), cancel.set())).start()
    seen = []

    def on_step(step, *_):
        seen.append(step)
        stepped.set()
        cancel.wait(60)

    with pytest.raises(Cancelled):
        run(num_inference_steps=50, cancel=cancel, on_step=on_step)
    assert seen == [1] and not list(tmp_path.iterdir())


def test_a_run_cancelled_before_its_start_touches_no_model(run, model_calls, tmp_path):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled, match="before"):
        run(cancel=cancel)
    assert set(model_calls.values()) == {0} and not list(tmp_path.iterdir())


def test_a_run_can_be_cancelled_between_chunks_of_decoding(run, tiny_pipe, tmp_path):
    cancel = threading.Event()
    decoded = []

    def after_first_chunk(*_):
        decoded.append(1)
        cancel.set()

    hook = tiny_pipe.vae.decoder.register_forward_hook(after_first_chunk)
    try:
        with pytest.raises(Cancelled, match="decoding"):
            run(num_frames=6, decode_chunk_size=2, cancel=cancel)
    finally:
        hook.remove()
    assert len(decoded) == 1 and not list(tmp_path.iterdir())
    assert "decode" not in vars(tiny_pipe.vae)


def snapshot(pipe):
    """What a failed call could leave changed: dtypes, scheduler, own attributes of the VAE, hooks, the bar."""
    scheduler = {name: value for name, value in vars(pipe.scheduler).items() if not torch.is_tensor(value)}
    scheduler["sigmas"], scheduler["timesteps"] = (
        pipe.scheduler.sigmas.tolist(),
        pipe.scheduler.timesteps.tolist(),
    )
    dtypes = {name: str(pipe.components[name].dtype) for name in ("vae", "unet", "image_encoder")}
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in (pipe.vae, pipe.vae.decoder, pipe.unet)]
    return repr((scheduler, dtypes, hooks, sorted(vars(pipe.vae)), pipe._progress_bar_config))


PLACES = ["image_encoder", "vae.encoder", "unet", "vae.decoder", "on_step", "save"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [MemoryError("boom"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_a_failure_anywhere_leaves_the_pipeline_as_it_was(run, tiny_pipe, tmp_path, monkeypatch, place, error):
    expected = run(video_file=tmp_path / "before.mp4")
    (tmp_path / "before.mp4").unlink()
    before = snapshot(tiny_pipe)

    def fail(*_args, **_keywords):
        raise error

    settings, hook = {}, None
    if place == "on_step":
        settings["on_step"] = fail
    elif place == "save":
        monkeypatch.setattr(svd_lab.generation.Clip, "save", fail)
    else:
        hook = operator.attrgetter(place)(tiny_pipe).register_forward_pre_hook(fail)
    with pytest.raises(type(error)):
        run(**settings)
    if hook:
        hook.remove()
    monkeypatch.undo()
    assert snapshot(tiny_pipe) == before
    assert not list(tmp_path.iterdir())
    assert difference(run().frames, expected.frames) == 0


def test_a_half_precision_vae_is_cast_without_a_warning_that_names_nothing(tiny_pipe, caplog):
    """Two at each call with real weights, in red under the cell."""
    from svd_lab import runner

    with runner.borrow(tiny_pipe), caplog.at_level("WARNING", logger="diffusers"):
        tiny_pipe.vae.to(dtype=torch.float32)
    assert not caplog.records
    tiny_pipe.vae.to(dtype=torch.float32)
    assert "kept in float32: []" in caplog.text, "diffusers no longer warns: the filter can go"


def test_a_half_precision_vae_is_cast_back_when_encoding_fails(tiny_folder, tmp_path):
    from svd_lab import load_video_pipeline

    pipe = load_video_pipeline(tiny_folder, device="cpu")
    pipe.vae.to(torch.float16)
    assert pipe.vae.config.force_upcast
    seen = []

    def fail(*_):
        seen.append(pipe.vae.dtype)
        raise MemoryError("boom")

    hook = pipe.vae.encoder.register_forward_pre_hook(fail)
    with pytest.raises(MemoryError):
        generate_video(make_picture(), tmp_path / "a.mp4", pipe=pipe, **SMALL)
    hook.remove()
    assert seen == [torch.float32], "diffusers upcasts here; otherwise this test says nothing"
    assert {parameter.dtype for parameter in pipe.vae.parameters()} == {torch.float16}


def test_offload_hooks_are_freed_when_a_run_is_cancelled(run, tiny_pipe, monkeypatch):
    freed = []
    monkeypatch.setattr(type(tiny_pipe), "maybe_free_model_hooks", lambda pipe: freed.append(pipe))
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        run(cancel=cancel, on_step=lambda *_: cancel.set())
    assert freed == [tiny_pipe]


@pytest.mark.parametrize("place", ["unet", "decoder"])
def test_nan_raises_instead_of_a_black_video(run, tiny_pipe, tmp_path, place):
    weight = (tiny_pipe.unet if place == "unet" else tiny_pipe.vae.decoder).conv_out.bias
    kept = weight.detach().clone()
    try:
        weight.data[0] = float("nan")
        with pytest.raises(FloatingPointError, match="float32"):
            run()
    finally:
        weight.data.copy_(kept)
    assert not list(tmp_path.iterdir())
    run()


def test_two_threads_on_one_pipeline_take_turns(run, tiny_pipe, tmp_path):
    expected = {seed: run(seed=seed, num_inference_steps=4).frames for seed in range(4)}
    inside, results, errors = [], {}, []

    def on_step(*_):
        inside.append(threading.get_ident())

    def work(seed):
        try:
            results[seed] = run(
                seed=seed, num_inference_steps=4, on_step=on_step, video_file=tmp_path / f"{seed}.mp4"
            ).frames
        except Exception as error:  # a thread's errors are told by the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors and sorted(results) == sorted(expected)
    assert all(difference(results[seed], expected[seed]) == 0 for seed in expected)
    runs = [inside[i : i + 4] for i in range(0, 16, 4)]
    assert all(len(set(steps)) == 1 for steps in runs), "a run's steps stand together: nobody else was inside"


def test_a_run_that_waits_for_its_turn_can_be_cancelled(run, tmp_path):
    started, go_on, cancel = threading.Event(), threading.Event(), threading.Event()
    first = threading.Thread(
        target=lambda: run(video_file=tmp_path / "first.mp4", on_step=lambda *_: (started.set(), go_on.wait(60)))
    )
    first.start()
    assert started.wait(60)
    threading.Timer(0.2, cancel.set).start()
    begun = time.monotonic()
    with pytest.raises(Cancelled, match="waiting"):
        run(cancel=cancel, video_file=tmp_path / "second.mp4")
    assert time.monotonic() - begun < 30
    go_on.set()
    first.join(120)
    assert (tmp_path / "first.mp4").exists() and not (tmp_path / "second.mp4").exists()


def test_a_call_from_inside_its_own_on_step_is_refused(run, tmp_path):
    with pytest.raises(RuntimeError, match="inside its own on_step"):
        run(on_step=lambda *_: run(video_file=tmp_path / "inner.mp4"))
    run()


def test_without_a_pipe_auto_is_loaded_once_and_kept(monkeypatch, tiny_pipe, tmp_path):
    from svd_lab import pipelines

    loaded = []
    monkeypatch.setattr(pipelines, "load_video_pipeline", lambda model: loaded.append(model) or tiny_pipe)
    pipelines._default_video_pipeline.cache_clear()
    try:
        threads = [
            threading.Thread(target=generate_video, args=(make_picture(), tmp_path / f"{i}.mp4"), kwargs=SMALL)
            for i in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    finally:
        pipelines._default_video_pipeline.cache_clear()
    assert loaded == ["auto"] and len(list(tmp_path.glob("*.mp4"))) == 3


def test_the_file_plays_at_playback_fps(run, tmp_path):
    import imageio_ffmpeg

    for settings, rate in (({"fps": 9}, 9), ({"fps": 9, "playback_fps": 4}, 4)):
        clip = run(video_file=tmp_path / "sub" / "folder" / "out.mp4", num_frames=4, **settings)
        reader = imageio_ffmpeg.read_frames(str(clip.path))
        facts = next(reader)
        reader.close()
        assert facts["fps"] == rate and facts["size"] == TINY_SIZE
