"""Run a pipeline: one caller at a time, with progress and cancellation; its state is restored afterwards."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from svd_lab.language import say
from svd_lab.performance.out_of_memory import explained
from svd_lab.pipe_facts import uncompiled

if TYPE_CHECKING:
    import torch

_TURNS: weakref.WeakKeyDictionary[Any, threading.Lock] = weakref.WeakKeyDictionary()
_PACES: weakref.WeakKeyDictionary[Any, Pace] = weakref.WeakKeyDictionary()
_TURNS_GUARD = threading.Lock()
_MINE = (
    threading.local()
)  # .pipes: ids of the pipelines that this thread is running; .look: the function that sees its latents


class Cancelled(RuntimeError):
    """The `cancel` event was set: the run has ended, no file was written, and the pipeline can be used again."""


def refuse_cancelled(cancel: threading.Event | None) -> None:
    """Raise Cancelled where `cancel` is set before a run has started."""
    if cancel is not None and cancel.is_set():
        raise Cancelled(say("cancelled before the start; no file was written"))


@dataclass(frozen=True)
class Pace:
    """The speed of a run.

    Attributes:
        step: Seconds of a denoising step for each pixel of each frame.
        decode: How many steps take as long as the decoding.
    """

    step: float
    decode: float


def pace(pipe: Any) -> Pace | None:
    """Return the pace of the pipeline's latest run, known from its first step on; None before it has run."""
    return _PACES.get(pipe)


@contextmanager
def watching(look: Callable[[Any, int, torch.Tensor], object] | None) -> Iterator[None]:
    """Show `look` the latents of every run that this thread starts inside the block.

    Args:
        look: Called as look(pipe, step, latents) after each denoising step, step from 0. It must not change the latents, which are
            (1, frames, channels, h, w) for a video and (1, channels, h, w) for an image. What it raises ends the run.
    """
    before, _MINE.look = getattr(_MINE, "look", None), look
    try:
        yield
    finally:
        _MINE.look = before


@contextmanager
def borrow(pipe: Any) -> Iterator[None]:
    """Hold the pipeline's lock to use its networks directly; its state is restored afterwards."""
    with turn(pipe, None), _restored_state(pipe, quiet=False):
        yield


def run(
    pipe: Any,
    arguments: dict[str, Any],
    noun: str,
    decode_worth: float,
    remedy: str,
    on_step: Callable[[int, int, float], object] | None = None,
    cancel: threading.Event | None = None,
) -> Any:
    """Call pipe(**arguments) under the pipeline's lock, with progress, cancellation and a check for overflow.

    Args:
        pipe: A video or an image pipeline.
        arguments: Checked arguments of its call.
        noun: What is made, for messages: "video" or "image".
        decode_worth: How many steps take as long as the decoding, until that has been measured.
        remedy: The settings to lower when numbers overflow, for the message.
        on_step: Called as on_step(step, total, seconds_left) after each denoising step.
        cancel: Ends the run, within a step or a decoded chunk, once it is set.

    Returns:
        What the pipeline returns.

    Raises:
        Cancelled: `cancel` was set.
        FloatingPointError: The latents or the pixels hold NaN or infinite values.
        MemoryError: Memory ran out; the message says what to try next.
        RuntimeError: Called from inside its own on_step.
    """
    total = arguments["num_inference_steps"]
    pixels = arguments["width"] * arguments["height"] * arguments.get("num_frames", 1)
    marks: list[float] = []  # when each step ended

    def stop_if_asked(where: str) -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled(say("cancelled {where}; no file was written", where=where))

    def check_finite(tensor: torch.Tensor, where: str) -> None:
        if not tensor.isfinite().all():
            raise FloatingPointError(
                say(
                    "the model's numbers overflowed (NaN or infinite) {where}, in {dtype}: the {noun} "
                    "would be black. Load the pipeline with dtype=torch.float32, or lower {remedy}; if nothing "
                    "helps, the weights are damaged",
                    where=where,
                    dtype=str(pipe.unet.dtype).removeprefix("torch."),
                    noun=say(noun),
                    remedy=remedy,
                )
            )

    def after_step(_pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        check_finite(
            tensors["latents"], say("in step {index} of {total}", index=index + 1, total=total)
        )  # also waits for the GPU: honest times
        marks.append(time.perf_counter())
        seconds = (marks[-1] - start) if index == 0 else (marks[-1] - marks[0]) / index
        decode = known.decode if (known := pace(pipe)) else decode_worth
        _PACES[pipe] = Pace(seconds / pixels, decode)
        if (look := getattr(_MINE, "look", None)) is not None:
            look(pipe, index, tensors["latents"])
        if on_step is not None:
            on_step(index + 1, total, seconds * (total - 1 - index + decode))
        stop_if_asked(say("after step {index} of {total} of the {noun}", index=index + 1, total=total, noun=say(noun)))
        return tensors

    def before_decode() -> None:
        stop_if_asked(say("while decoding the {noun}", noun=say(noun)))

    with (
        turn(pipe, cancel),
        _restored_state(pipe, quiet=on_step is not None),
        _watched_decode(pipe, before_decode, lambda pixels: check_finite(pixels, say("while decoding"))),
    ):
        stop_if_asked(say("before the start"))
        start = time.perf_counter()
        with explained(pipe, arguments, noun):
            result = pipe(**arguments, callback_on_step_end=after_step)
        if len(marks) > 1:
            step = (marks[-1] - marks[0]) / (len(marks) - 1)
            _PACES[pipe] = Pace(step / pixels, (time.perf_counter() - marks[-1]) / step)
    stop_if_asked(say("after the {noun} was made", noun=say(noun)))
    return result


@contextmanager
def turn(pipe: Any, cancel: threading.Event | None) -> Iterator[None]:
    """Hold the pipeline's lock, which also guards its tokenizer; one thread at a time.

    Raises:
        Cancelled: `cancel` was set while waiting.
        RuntimeError: This thread holds the lock already.
    """
    with _TURNS_GUARD:
        lock = _TURNS.setdefault(pipe, threading.Lock())
    mine = _MINE.__dict__.setdefault("pipes", set())
    if id(pipe) in mine:
        raise RuntimeError(
            say("a pipeline was started again from inside its own on_step: wait until the first run has returned")
        )
    while not lock.acquire(timeout=0.05):
        if cancel is not None and cancel.is_set():
            raise Cancelled(say("cancelled while waiting for another run on this pipeline; no file was written"))
    mine.add(id(pipe))
    try:
        yield
    finally:
        mine.discard(id(pipe))
        lock.release()


@contextmanager
def _restored_state(pipe: Any, quiet: bool) -> Iterator[None]:
    """Restore the VAE's dtype, the scheduler, the offload hooks and the progress bar, whatever happens inside.

    diffusers casts an fp16 VAE to fp32 to encode, and neither casts it back nor frees the hooks when a call ends early. Each cast
    also warns of modules kept in float32 without naming any [diffusers 0.42, ModelMixin.to]; that warning is dropped.
    """
    vae_dtype = pipe.vae.dtype
    scheduler = pipe.scheduler
    scheduler_state = dict(vars(scheduler))
    bar_config = getattr(pipe, "_progress_bar_config", None)
    if quiet:
        pipe.set_progress_bar_config(**{**(bar_config or {}), "disable": True})
    casts = logging.getLogger("diffusers.models.modeling_utils")
    casts.addFilter(_names_a_module)
    try:
        yield
    except BaseException:
        if pipe.vae.dtype != vae_dtype:
            pipe.vae.to(dtype=vae_dtype)
        pipe.maybe_free_model_hooks()
        raise
    finally:
        casts.removeFilter(_names_a_module)
        vars(scheduler).clear()
        vars(scheduler).update(scheduler_state)
        if bar_config is not None:
            pipe._progress_bar_config = bar_config
        elif hasattr(pipe, "_progress_bar_config"):
            del pipe._progress_bar_config


def _names_a_module(record: logging.LogRecord) -> bool:
    return "kept in float32: []" not in str(record.msg)


@contextmanager
def _watched_decode(pipe: Any, before: Callable[[], None], after: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Call `before()` before each image or chunk of frames that the VAE decodes, and `after(pixels)` after it."""
    vae = uncompiled(pipe.vae)
    plain, had_own = vae.decode, "decode" in vars(vae)

    def decode(*args: Any, **kwargs: Any) -> Any:
        before()
        result = plain(*args, **kwargs)
        after(result[0])  # a tuple, or what diffusers can index like one
        return result

    vae.decode = decode
    try:
        yield
    finally:
        if had_own:
            vae.decode = plain
        else:
            del vae.decode
