"""Make a video from a picture: check the settings, run the pipeline, report progress, stop when asked.

`generate_video` is the class's helper. With the same weights, seed, settings and a picture of the right size its frames equal
those of the bare diffusers recipe exactly:

    generator = torch.manual_seed(seed)
    pipe(image, decode_chunk_size=2, generator=generator, num_frames=10, num_inference_steps=10).frames[0]
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from svd_lab.clip import Clip, check_video_path
from svd_lab.images import open_image
from svd_lab.recipe import make_recipe
from svd_lab.settings import check_settings, check_size

if TYPE_CHECKING:
    import torch
    from diffusers import StableVideoDiffusionPipeline

# Until this pipeline has decoded once: decoding a frame takes about as long as 4 denoising steps of it. Counted in FLOP it is
# 3.5 for SVD and 4.6 for the mini.
_STEPS_PER_DECODE = 4.0

_TURNS: weakref.WeakKeyDictionary[Any, threading.Lock] = weakref.WeakKeyDictionary()
_STEPS_MEASURED: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
_TURNS_GUARD = threading.Lock()
_MINE = threading.local()  # .pipes: ids of the pipelines that this thread is running


class Cancelled(RuntimeError):
    """The `cancel` event was set: the run has ended, no file was written, and the pipeline can be used again."""


def generate_video(
    image: Any,
    video_file: str | os.PathLike[str],
    seed: int = 42,
    *,
    pipe: StableVideoDiffusionPipeline | None = None,
    num_frames: int = 10,
    num_inference_steps: int = 10,
    decode_chunk_size: int = 2,
    fps: int = 7,
    motion_bucket_id: int = 127,
    noise_aug_strength: float = 0.02,
    min_guidance_scale: float = 1.0,
    max_guidance_scale: float = 3.0,
    height: int | None = None,
    width: int | None = None,
    fit: str = "crop",
    playback_fps: float | None = None,
    on_step: Callable[[int, int, float], object] | None = None,
    cancel: threading.Event | None = None,
) -> Clip:
    """Make a video that starts from `image`, write it to `video_file` (.mp4), and return it as a Clip.

    image: whatever `open_image` takes: a path, a URL, bytes, a PIL image, an array.
    seed: 0 to 2**32 - 1; -1 draws one and prints it. The same seed and settings give the same video.
    pipe: from load_video_pipeline(); None loads load_video_pipeline("auto") once and keeps it for later calls.
    num_frames: at least 2. The models were trained on 14 (mini, svd) or 25 (svd-xt).
    num_inference_steps: denoising steps; more are better and slower, in proportion.
    decode_chunk_size: frames decoded at a time. More take more memory (SVD: about 1.1 GiB a frame) and flicker less; the
        pixels depend on it. num_frames decodes all at once.
    fps: the rate the model imagines, a condition of the motion [arXiv 2311.15127, micro-conditioning].
    motion_bucket_id: 0 to 255, how much should move.
    noise_aug_strength: noise added to the picture, in its range of -1 to 1; more leaves more freedom.
    min_guidance_scale, max_guidance_scale: classifier-free guidance of the first and of the last frame, linear between.
    height, width: pixels; None: the size the model was trained at.
    fit: how the picture gets that size: "crop", "pad" or "stretch".
    playback_fps: frames a second in the file; None: `fps`.
    on_step(step, total, seconds_left): called after each denoising step, in this thread, step 1 to total; seconds_left
        includes the decoding that follows. Replaces diffusers' own progress bar. What it raises ends the run.
    cancel: an Event; once it is set the run ends within a step (or a decoded chunk) and raises Cancelled.

    Names and defaults are diffusers'. Everything is checked before any model works: ValueError or TypeError for a wrong
    setting, what `open_image` and `check_video_path` raise for the picture and the path. FloatingPointError when the model's
    numbers overflow. Whatever is raised, no file is left and the pipeline is as it was. Two threads that share a pipeline
    take turns. The caller's random state is neither used nor changed.
    """
    settings = check_settings(
        seed=seed,
        num_frames=num_frames,
        num_inference_steps=num_inference_steps,
        decode_chunk_size=decode_chunk_size,
        fps=fps,
        motion_bucket_id=motion_bucket_id,
        noise_aug_strength=noise_aug_strength,
        min_guidance_scale=min_guidance_scale,
        max_guidance_scale=max_guidance_scale,
        height=height,
        width=width,
        fit=fit,
        playback_fps=playback_fps,
        on_step=on_step,
        cancel=cancel,
    )
    path = check_video_path(video_file)
    picture = open_image(image)
    if cancel is not None and cancel.is_set():
        raise Cancelled("cancelled before the start; no file was written")
    pipe = _check_pipe(pipe)
    settings |= check_size(pipe, settings["height"], settings["width"])
    if settings["seed"] == -1:
        settings["seed"] = secrets.randbelow(2**32)
        print(f"seed {settings['seed']}")
    picture = open_image(picture, size=(settings["width"], settings["height"]), fit=fit)

    frames = _run(pipe, picture, settings, on_step, cancel)
    clip = Clip(frames, settings["seed"], make_recipe(pipe, image, picture, settings))
    clip.save(path, fps=settings["playback_fps"])
    return clip


def _check_pipe(pipe: StableVideoDiffusionPipeline | None) -> StableVideoDiffusionPipeline:
    from svd_lab.pipelines import default_video_pipeline

    if pipe is None:
        return default_video_pipeline()
    from diffusers import StableVideoDiffusionPipeline

    if not isinstance(pipe, StableVideoDiffusionPipeline):
        hint = f"; write pipe=load_video_pipeline({str(pipe)!r})" if isinstance(pipe, str | os.PathLike) else ""
        raise TypeError(
            f"pipe must be a StableVideoDiffusionPipeline from load_video_pipeline(), not a {type(pipe).__name__}{hint}"
        )
    return pipe


def _run(
    pipe: StableVideoDiffusionPipeline,
    picture: Any,
    settings: dict[str, Any],
    on_step: Callable[[int, int, float], object] | None,
    cancel: threading.Event | None,
) -> list[Any]:
    """The pipeline's frames (PIL), under its lock, with progress, cancelling and NaN checks; settings are checked ones."""
    import torch

    total = settings["num_inference_steps"]
    marks: list[float] = []  # when each step ended

    def stop_if_asked(where: str) -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"cancelled {where}; no file was written")

    def after_step(_pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        _check_finite(
            tensors["latents"], f"in step {index + 1} of {total}", pipe
        )  # also waits for the GPU: honest times
        marks.append(time.perf_counter())
        step_seconds = (marks[-1] - start) if index == 0 else (marks[-1] - marks[0]) / index
        if on_step is not None:
            on_step(
                index + 1,
                total,
                step_seconds * (total - 1 - index + _STEPS_MEASURED.get(pipe, _STEPS_PER_DECODE)),
            )
        stop_if_asked(f"after step {index + 1} of {total}")
        return tensors

    def before_decode() -> None:
        stop_if_asked("while decoding the frames")

    names = (
        "num_frames",
        "num_inference_steps",
        "decode_chunk_size",
        "fps",
        "motion_bucket_id",
        "noise_aug_strength",
    )
    names += ("min_guidance_scale", "max_guidance_scale", "height", "width")
    with (
        _turn(pipe, cancel),
        _left_as_it_was(pipe, quiet=on_step is not None),
        _watched_decode(pipe, before_decode),
    ):
        stop_if_asked("before the start")
        start = time.perf_counter()
        # A CPU generator gives the same numbers on every device, and one of our own leaves torch's global one alone.
        generator = torch.Generator().manual_seed(settings["seed"])
        frames = pipe(
            picture,
            generator=generator,
            callback_on_step_end=after_step,
            **{name: settings[name] for name in names},
        ).frames[0]
        if len(marks) > 1:
            _STEPS_MEASURED[pipe] = (time.perf_counter() - marks[-1]) * (len(marks) - 1) / (marks[-1] - marks[0])
    stop_if_asked("after the last frame")
    return frames


def _check_finite(tensor: torch.Tensor, where: str, pipe: StableVideoDiffusionPipeline) -> None:
    if not tensor.isfinite().all():
        raise FloatingPointError(
            f"the model's numbers overflowed (NaN or infinite) {where}, in {str(pipe.unet.dtype).removeprefix('torch.')}: the "
            "video would be black. Load the pipeline with dtype=torch.float32, or lower max_guidance_scale or "
            "noise_aug_strength; if nothing helps, the weights are damaged"
        )


@contextmanager
def _turn(pipe: StableVideoDiffusionPipeline, cancel: threading.Event | None) -> Iterator[None]:
    """Hold the pipeline's lock; while waiting for it, keep an eye on `cancel`."""
    with _TURNS_GUARD:
        lock = _TURNS.setdefault(pipe, threading.Lock())
    mine = _MINE.__dict__.setdefault("pipes", set())
    if id(pipe) in mine:
        raise RuntimeError(
            "generate_video was called from inside its own on_step with the same pipe: wait until it returns"
        )
    while not lock.acquire(timeout=0.05):
        if cancel is not None and cancel.is_set():
            raise Cancelled("cancelled while waiting for another run on this pipeline; no file was written")
    mine.add(id(pipe))
    try:
        yield
    finally:
        mine.discard(id(pipe))
        lock.release()


@contextmanager
def _left_as_it_was(pipe: StableVideoDiffusionPipeline, quiet: bool) -> Iterator[None]:
    """Whatever happens inside: VAE dtype, scheduler, offload hooks and progress bar end as they began.

    diffusers casts an fp16 VAE to fp32 to encode, and neither casts it back nor frees the hooks when a call ends early.
    """
    vae_dtype = pipe.vae.dtype
    scheduler = pipe.scheduler
    scheduler_state = dict(vars(scheduler))
    bar_config = getattr(pipe, "_progress_bar_config", None)
    if quiet:
        pipe.set_progress_bar_config(**{**(bar_config or {}), "disable": True})
    try:
        yield
    except BaseException:
        if pipe.vae.dtype != vae_dtype:
            pipe.vae.to(dtype=vae_dtype)
        pipe.maybe_free_model_hooks()
        raise
    finally:
        vars(scheduler).clear()
        vars(scheduler).update(scheduler_state)
        if bar_config is not None:
            pipe._progress_bar_config = bar_config
        elif hasattr(pipe, "_progress_bar_config"):
            del pipe._progress_bar_config


@contextmanager
def _watched_decode(pipe: StableVideoDiffusionPipeline, before: Callable[[], None]) -> Iterator[None]:
    """Call `before()` ahead of each chunk of frames that the VAE decodes, and refuse chunks that are not finite."""
    vae = getattr(pipe.vae, "_orig_mod", pipe.vae)  # under torch.compile
    plain, had_own = vae.decode, "decode" in vars(vae)

    def decode(*args: Any, **kwargs: Any) -> Any:
        before()
        result = plain(*args, **kwargs)
        _check_finite(result.sample, "while decoding", pipe)
        return result

    vae.decode = decode
    try:
        yield
    finally:
        if had_own:
            vae.decode = plain
        else:
            del vae.decode
