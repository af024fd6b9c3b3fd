"""What generate_text2video promises: exactness, one generator for both models, progress, cancelling, and what is left."""

import json
import threading

import numpy as np
import pytest
import torch
from test_generation import difference, snapshot

from svd_lab import Cancelled, generate_text2video, generate_video, pipelines

HORSE = "a photograph of an astronaut riding a horse"
SMALL = {"image_num_inference_steps": 2, "num_frames": 2, "num_inference_steps": 2}
IMAGE_KEYWORDS = {"image_num_inference_steps": "num_inference_steps"}
IMAGE_KEYWORDS |= {name: name for name in ("guidance_scale", "negative_prompt")}


def bare_recipe(image_pipe, pipe, prompt, seed, width=96, height=64, generator=None, **settings):
    """The class's two calls in plain diffusers with the seeded global generator: (image, frames)."""
    state = torch.get_rng_state()
    image_settings = {ours: settings.pop(name) for name, ours in IMAGE_KEYWORDS.items() if name in settings}
    try:
        generator = torch.manual_seed(seed)
        size = {"width": width, "height": height}
        image = image_pipe(prompt, **{"guidance_scale": 7.5, **image_settings}, **size, generator=generator).images[0]
        defaults = {"decode_chunk_size": 2, "num_frames": 12, "num_inference_steps": 10}
        return image, pipe(image, generator=generator, **{**defaults, **settings}, **size).frames[0]
    finally:
        torch.set_rng_state(state)


@pytest.fixture
def run(tiny_image_pipe, tiny_pipe, tmp_path):
    """generate_text2video on the tiny pipelines, two steps of each and two frames unless told, into tmp_path."""

    def run(prompt=HORSE, seed=42, video_file=None, **settings):
        pipes = {"image_pipe": tiny_image_pipe, "pipe": tiny_pipe}
        return generate_text2video(prompt, video_file or tmp_path / "out.mp4", seed, **pipes, **{**SMALL, **settings})

    return run


@pytest.mark.parametrize(
    ("prompt", "seed", "settings"),
    [
        (HORSE, 1972088094, {}),
        ("An aerial view of a city at night, long exposure, instagram contest", 3815670667, SMALL),
        ("말을 탄 우주인 🚀", 0, SMALL | {"num_frames": 3, "guidance_scale": 12.0}),
        (HORSE, 2**32 - 1, SMALL | {"image_num_inference_steps": 1, "guidance_scale": 1.0}),
        (HORSE, 7, SMALL | {"negative_prompt": "a red rocket", "decode_chunk_size": 1}),
        (HORSE, 8, SMALL | {"num_inference_steps": 1, "fps": 20, "motion_bucket_id": 0, "noise_aug_strength": 0.5}),
        (HORSE, 9, SMALL | {"width": 64, "height": 96, "min_guidance_scale": 2.0, "max_guidance_scale": 2.0}),
        ("horse " * 200, 10, SMALL),
    ],
)
@pytest.mark.filterwarnings("ignore::svd_lab.prompts.PromptWarning")
def test_image_and_frames_equal_the_classs_bare_recipe_exactly(
    tiny_image_pipe, tiny_pipe, tmp_path, prompt, seed, settings
):
    pipes = {"image_pipe": tiny_image_pipe, "pipe": tiny_pipe}
    clip = generate_text2video(prompt, tmp_path / "a.mp4", seed, **pipes, **settings)
    image, frames = bare_recipe(tiny_image_pipe, tiny_pipe, prompt, seed, **settings)
    assert difference([clip.image], [image]) == 0 and difference(clip.frames, frames) == 0
    assert np.asarray(image).std() > 1 and difference(clip.frames, [clip.frames[0]] * len(clip.frames)) > 0
    assert clip.path.stat().st_size > 0 and clip.image.size == clip.frames[0].size


def test_the_video_goes_on_with_the_generator_where_the_image_left_it(run, tiny_pipe, tmp_path):
    clip = run(num_frames=3, seed=5)
    settings = {"num_frames": 3, "num_inference_steps": 2, "pipe": tiny_pipe}
    fresh = generate_video(clip.image, tmp_path / "fresh.mp4", 5, **settings)
    assert difference(clip.frames, fresh.frames) > 0, "a fresh generator of the same seed draws other noise"


def test_prompt_and_seed_decide_the_image(run):
    same, again = run(), run()
    assert difference([same.image], [again.image]) == 0 and difference(same.frames, again.frames) == 0
    assert difference([same.image], [run(seed=43).image]) > 0
    assert difference([same.image], [run("a red rocket").image]) > 0
    assert difference([same.image], [run(negative_prompt="a red rocket").image]) > 0
    assert difference([same.image], [run(negative_prompt="  ").image]) == 0


def test_the_default_seed_is_drawn_and_reported(tiny_image_pipe, tiny_pipe, tmp_path, capsys):
    pipes = {"image_pipe": tiny_image_pipe, "pipe": tiny_pipe}
    clips = [generate_text2video(HORSE, tmp_path / f"{i}.mp4", **pipes, **SMALL) for i in range(2)]
    printed = [int(line.split()[1]) for line in capsys.readouterr().out.splitlines() if line.startswith("seed ")]
    assert printed == [clip.seed for clip in clips] == [clip.recipe["seed"] for clip in clips]
    assert clips[0].seed != clips[1].seed


def test_the_recipe_makes_the_clip_again(run, tmp_path):
    clip = run(seed=3, guidance_scale=4, negative_prompt="rain", fps=9, image_num_inference_steps=np.int64(3))
    recipe = json.loads(json.dumps(clip.recipe))
    assert recipe == clip.recipe and str(tmp_path) not in json.dumps(recipe)
    assert (recipe["prompt"], recipe["negative_prompt"], recipe["guidance_scale"]) == (HORSE, "rain", 4.0)
    assert recipe["image_num_inference_steps"] == 3 and recipe["playback_fps"] == 9
    assert (recipe["image_model"], recipe["model"]) == ("tiny-sd", "tiny-svd")
    assert recipe["image_scheduler"] == "EulerDiscreteScheduler" and recipe["image_dtype"] == "float32"
    keywords = {name: recipe[name] for name in generate_text2video.__kwdefaults__ if name in recipe}
    left = set(generate_text2video.__kwdefaults__) - set(keywords)
    assert left == {"image_pipe", "pipe", "on_image", "on_step", "cancel"}
    again = run(recipe["prompt"], recipe["seed"], **keywords)
    assert difference(clip.frames, again.frames) == 0 and again.recipe == recipe


def test_the_callers_random_state_is_neither_used_nor_changed(run):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = run()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert difference(first.frames, run().frames) == 0


def test_a_video_from_a_picture_carries_the_picture_as_the_model_got_it(tiny_pipe, picture_file, tmp_path):
    settings = {"num_frames": 2, "num_inference_steps": 1, "pipe": tiny_pipe}
    clip = generate_video(picture_file, tmp_path / "a.mp4", width=64, height=96, **settings)
    assert clip.image.size == (64, 96) and clip.image.mode == "RGB"


def test_on_step_counts_through_both_models(run):
    seen = []
    settings = {"image_num_inference_steps": 4, "num_inference_steps": 3}
    run(**settings)
    run(on_step=lambda step, total, left: seen.append((step, total, left)), **settings)
    assert [(step, total) for step, total, _ in seen] == [(step, 7) for step in range(1, 8)]
    assert all(left >= 0 for *_, left in seen) and seen[-1][2] < seen[0][2]


def test_the_first_estimate_includes_the_video_that_never_ran(tiny_image_pipe, tiny_pipe, tmp_path, monkeypatch):
    from svd_lab import runner

    pipes = {"image_pipe": tiny_image_pipe, "pipe": tiny_pipe}

    def first_estimate(**settings):
        runner._PACES.clear()
        seen = []
        settings = SMALL | settings | {"on_step": lambda step, total, left: seen.append(left)}
        generate_text2video(HORSE, tmp_path / "a.mp4", 1, **pipes, **settings)
        return seen[1]  # of the second step: the first one warms up

    assert first_estimate(num_inference_steps=40) > 3 * first_estimate(num_inference_steps=1)


def test_on_image_gets_the_image_before_the_video_begins(run):
    order = []
    clip = run(on_image=lambda image: order.append(image), on_step=lambda step, *_: order.append(step))
    assert order[:2] == [1, 2] and order[2] is clip.image and order[3:] == [3, 4]


def test_a_notebook_shows_the_image_and_a_script_does_not(run, monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    run()
    assert shown == []
    monkeypatch.setattr(IPython, "get_ipython", lambda: type("Shell", (), {"kernel": object()})())
    clip = run()
    assert shown == [clip.image]
    run(on_image=lambda image: None)
    assert len(shown) == 1, "a function of one's own is called instead"


@pytest.fixture
def unet_calls(tiny_image_pipe, tiny_pipe):
    """How often each of the two UNets ran: {"image": 0, "video": 0}."""
    calls = {"image": 0, "video": 0}
    hooks = [
        pipe.unet.register_forward_pre_hook(lambda *_, name=name: calls.update({name: calls[name] + 1}))
        for name, pipe in (("image", tiny_image_pipe), ("video", tiny_pipe))
    ]
    yield calls
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize(
    ("at", "ran", "words"), [(2, (2, 0), "2 of 6 of the image"), (8, (6, 2), "2 of 5 of the video")]
)
def test_a_cancelled_run_ends_within_one_step_of_either_model(
    run, tiny_image_pipe, tiny_pipe, unet_calls, tmp_path, at, ran, words
):
    expected, before = run(), (snapshot_of(tiny_image_pipe), snapshot(tiny_pipe))
    (tmp_path / "out.mp4").unlink()
    unet_calls.update(image=0, video=0)
    cancel = threading.Event()
    steps = {"image_num_inference_steps": 6, "num_inference_steps": 5}
    with pytest.raises(Cancelled, match=words):
        run(cancel=cancel, on_step=lambda step, *_: step == at and cancel.set(), **steps)
    assert (unet_calls["image"], unet_calls["video"]) == ran
    assert not list(tmp_path.iterdir()) and (snapshot_of(tiny_image_pipe), snapshot(tiny_pipe)) == before
    assert difference(run().frames, expected.frames) == 0


def snapshot_of(image_pipe):
    """As test_generation.snapshot, of a pipeline without an image encoder."""
    scheduler = {name: value for name, value in vars(image_pipe.scheduler).items() if not torch.is_tensor(value)}
    scheduler["sigmas"] = image_pipe.scheduler.sigmas.tolist()
    hooks = [len(module._forward_hooks) for module in (image_pipe.vae, image_pipe.unet)]
    return repr(
        (scheduler, str(image_pipe.vae.dtype), hooks, sorted(vars(image_pipe.vae)), image_pipe._progress_bar_config)
    )


def test_cancel_works_before_between_and_inside_both_models(run, tiny_image_pipe, unet_calls, tmp_path):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled, match="before"):
        run(cancel=cancel)
    assert unet_calls == {"image": 0, "video": 0}
    cancel.clear()
    with pytest.raises(Cancelled):
        run(cancel=cancel, on_image=lambda image: cancel.set())
    assert unet_calls["video"] == 0
    cancel.clear()
    hook = tiny_image_pipe.vae.decoder.register_forward_pre_hook(lambda *_: cancel.set())
    try:
        with pytest.raises(Cancelled, match="after the image was made"):
            run(cancel=cancel)
    finally:
        hook.remove()
    assert unet_calls["video"] == 0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["text_encoder", "unet", "vae.decoder", "on_image", "video"])
@pytest.mark.parametrize("error", [MemoryError("boom"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_a_failure_anywhere_leaves_both_pipelines_as_they_were(run, tiny_image_pipe, tiny_pipe, tmp_path, place, error):
    expected, before = run(), (snapshot_of(tiny_image_pipe), snapshot(tiny_pipe))
    (tmp_path / "out.mp4").unlink()

    def fail(*_):
        raise error

    modules = {
        "text_encoder": tiny_image_pipe.text_encoder,
        "unet": tiny_image_pipe.unet,
        "vae.decoder": tiny_image_pipe.vae.decoder,
        "video": tiny_pipe.unet,
    }
    hook = modules[place].register_forward_pre_hook(fail) if place in modules else None
    with pytest.raises(type(error)):
        run(**({} if hook else {"on_image": fail}))
    if hook:
        hook.remove()
    assert not list(tmp_path.iterdir()) and (snapshot_of(tiny_image_pipe), snapshot(tiny_pipe)) == before
    assert difference(run().frames, expected.frames) == 0


@pytest.mark.parametrize("place", ["unet", "decoder"])
def test_nan_in_the_image_raises_instead_of_a_black_image(run, tiny_image_pipe, unet_calls, tmp_path, place):
    weight = (tiny_image_pipe.unet if place == "unet" else tiny_image_pipe.vae.decoder).conv_out.bias
    kept = weight.detach().clone()
    try:
        weight.data[0] = float("nan")
        with pytest.raises(FloatingPointError, match="image would be black.*float32.*guidance_scale"):
            run()
    finally:
        weight.data.copy_(kept)
    assert unet_calls["video"] == 0 and not list(tmp_path.iterdir())
    run()


def test_threads_on_the_same_pipelines_take_turns(run, tmp_path):
    expected = {seed: run(seed=seed).frames for seed in range(3)}
    results, errors = {}, []

    def work(seed):
        try:
            results[seed] = run(seed=seed, video_file=tmp_path / f"{seed}.mp4").frames
        except Exception as error:  # a thread's errors are told by the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors and sorted(results) == sorted(expected)
    assert all(difference(results[seed], expected[seed]) == 0 for seed in expected)


def test_a_tokenizer_in_use_by_another_run_is_not_touched(run, tmp_path, monkeypatch):
    # Its padding and truncation are state: a second thread that counts tokens would change what the first one encodes.
    seen, inside, go_on = [], threading.Event(), threading.Event()
    monkeypatch.setattr(
        "svd_lab.text2video.warn_about_prompt", lambda *_, **__: seen.append(threading.current_thread().name)
    )

    def hold(step, *_):
        inside.set()
        assert go_on.wait(60)

    first = threading.Thread(target=run, kwargs=dict(on_step=hold, video_file=tmp_path / "1.mp4"), name="first")
    second = threading.Thread(target=run, kwargs=dict(video_file=tmp_path / "2.mp4"), name="second")
    first.start()
    assert inside.wait(60)
    second.start()
    second.join(0.5)
    assert seen == ["first"]
    go_on.set()
    first.join(60)
    second.join(60)
    assert seen == ["first", "second"] and len(list(tmp_path.glob("*.mp4"))) == 2


def test_a_call_from_inside_its_own_on_step_is_refused(run, tmp_path):
    with pytest.raises(RuntimeError, match="inside its own on_step"):
        run(on_step=lambda *_: run(video_file=tmp_path / "inner.mp4"))
    run()


def test_without_pipes_the_default_ones_are_loaded_once(monkeypatch, tiny_image_pipe, tiny_pipe, tmp_path):
    loaded = []
    load_image, load_video = (lambda model: loaded.append("image") or tiny_image_pipe), lambda model: tiny_pipe
    monkeypatch.setattr(pipelines, "load_image_pipeline", load_image)
    monkeypatch.setattr(pipelines, "load_video_pipeline", load_video)
    caches = pipelines._default_image_pipeline, pipelines._default_video_pipeline
    for cache in caches:
        cache.cache_clear()
    try:
        for name in "ab":
            generate_text2video(HORSE, tmp_path / f"{name}.mp4", 1, **SMALL)
    finally:
        for cache in caches:
            cache.cache_clear()
    assert loaded == ["image"] and len(list(tmp_path.glob("*.mp4"))) == 2


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        ({"guidance_scale": "7.5"}, TypeError, "Write it without quotes: guidance_scale=7.5"),
        ({"guidance_scale": float("nan")}, ValueError, "guidance_scale must be a number from 0 to 100"),
        ({"image_num_inference_steps": 0}, ValueError, "image_num_inference_steps must be a whole number from 1"),
        ({"image_num_inference_steps": 2.5}, TypeError, "image_num_inference_steps"),
        ({"num_frames": 1}, ValueError, "num_frames"),
        ({"seed": -2}, ValueError, "seed"),
        ({"width": 100}, ValueError, "multiple of 8"),
        ({"on_image": 3}, TypeError, "on_image must be a function"),
        ({"negative_prompt": 3}, TypeError, "negative_prompt must be a text"),
        ({"video_file": "out.gif"}, ValueError, "out.gif"),
        ({"image_pipe": "mini"}, TypeError, r"image_pipe=load_image_pipeline\('mini'\)"),
        ({"fit": "pad"}, TypeError, "fit"),
    ],
)
def test_a_wrong_setting_is_refused_before_any_model_works(
    tiny_image_pipe, tiny_pipe, unet_calls, tmp_path, bad, kind, words
):
    call = {"image_pipe": tiny_image_pipe, "pipe": tiny_pipe, "video_file": tmp_path / "a.mp4", **bad}
    with pytest.raises(kind, match=words):
        generate_text2video(HORSE, **call)
    assert unet_calls == {"image": 0, "video": 0} and not list(tmp_path.iterdir())


def test_a_video_pipeline_is_no_image_pipeline_and_the_other_way_round(tiny_image_pipe, tiny_pipe, tmp_path):
    with pytest.raises(TypeError, match="image_pipe must be a StableDiffusionPipeline"):
        generate_text2video(HORSE, tmp_path / "a.mp4", image_pipe=tiny_pipe, pipe=tiny_pipe)
    with pytest.raises(TypeError, match="pipe must be a StableVideoDiffusionPipeline"):
        generate_text2video(HORSE, tmp_path / "a.mp4", image_pipe=tiny_image_pipe, pipe=tiny_image_pipe)


def test_a_size_must_suit_both_models(tiny_image_pipe, tiny_pipe, monkeypatch, tmp_path):
    monkeypatch.setattr(tiny_image_pipe, "vae_scale_factor", 16)
    with pytest.raises(ValueError, match="width must be a multiple of 16 for these two models, not 72: give 64 or 80"):
        generate_text2video(HORSE, tmp_path / "a.mp4", image_pipe=tiny_image_pipe, pipe=tiny_pipe, width=72, height=64)
