"""Check the settings of a call before any model works: what was wrong, what was given, what to do."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from svd_lab.images import FITS

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline

_LARGEST_SIDE = 4096  # pixels. SVD was trained at 1024; beyond this a call is a slip, and asks for hundreds of GiB


def check_settings(
    *,
    seed: Any,
    num_frames: Any,
    num_inference_steps: Any,
    decode_chunk_size: Any,
    fps: Any,
    motion_bucket_id: Any,
    noise_aug_strength: Any,
    min_guidance_scale: Any,
    max_guidance_scale: Any,
    height: Any,
    width: Any,
    fit: Any,
    playback_fps: Any,
    on_step: Callable[[int, int, float], object] | None = None,
    cancel: Any = None,
) -> dict[str, Any]:
    """The settings of generate_video as plain int, float and str; playback_fps filled in, height and width perhaps None.

    NumPy integers and whole NumPy numbers count as integers; True and False do not. Raises TypeError (the wrong kind of
    thing) or ValueError (out of range).
    """
    checked = {
        "seed": whole("seed", seed, -1, 2**32 - 1, "-1 draws one at random"),
        "num_frames": whole("num_frames", num_frames, 2, 1000, "the models were trained on 14 or 25"),
        "num_inference_steps": whole("num_inference_steps", num_inference_steps, 1, 1000, "10 to 25 are usual"),
        "decode_chunk_size": whole(
            "decode_chunk_size", decode_chunk_size, 1, 1000, "2 is usual; num_frames decodes all at once"
        ),
        "fps": whole("fps", fps, 1, 120, "7 is usual"),
        "motion_bucket_id": whole("motion_bucket_id", motion_bucket_id, 0, 255, "127 is usual, more moves more"),
        "noise_aug_strength": real("noise_aug_strength", noise_aug_strength, 0, 10, "0.02 is usual"),
        "min_guidance_scale": real("min_guidance_scale", min_guidance_scale, 0, 100, "1.0 is usual"),
        "max_guidance_scale": real("max_guidance_scale", max_guidance_scale, 0, 100, "3.0 is usual"),
        "height": None if height is None else _side("height", height),
        "width": None if width is None else _side("width", width),
        "fit": fit,
        "playback_fps": None if playback_fps is None else real("playback_fps", playback_fps, 0.1, 120, "7 is usual"),
    }
    if checked["min_guidance_scale"] > checked["max_guidance_scale"]:
        raise ValueError(
            f"min_guidance_scale must not exceed max_guidance_scale, but {min_guidance_scale!r} > {max_guidance_scale!r}. "
            "Set both, for example 1.0 and 3.0"
        )
    if not isinstance(fit, str) or fit not in FITS:
        kind = ValueError if isinstance(fit, str) else TypeError
        raise kind(f"fit must be one of {', '.join(map(repr, FITS))}, not {_shown(fit)}")
    if on_step is not None and not callable(on_step):
        raise TypeError(f"on_step must be a function of (step, total, seconds_left), not {_shown(on_step)}")
    if cancel is not None and (isinstance(cancel, type) or not callable(getattr(cancel, "is_set", None))):
        raise TypeError(f"cancel must be a threading.Event, not {_shown(cancel)}. Make one: cancel = threading.Event()")
    if checked["playback_fps"] is None:
        checked["playback_fps"] = checked["fps"]
    return checked


def check_image_settings(
    *, guidance_scale: Any, image_num_inference_steps: Any, on_image: Callable[[Any], object] | None
) -> dict[str, Any]:
    """The settings that generate_text2video has for its image, as plain int and float; raises as check_settings."""
    if on_image is not None and not callable(on_image):
        raise TypeError(f"on_image must be a function of the image, not {_shown(on_image)}")
    steps = whole("image_num_inference_steps", image_num_inference_steps, 1, 1000, "20 to 50 are usual")
    return {
        "guidance_scale": real("guidance_scale", guidance_scale, 0, 100, "7.5 is usual"),
        "image_num_inference_steps": steps,
    }


def check_size(
    pipe: StableVideoDiffusionPipeline,
    height: int | None,
    width: int | None,
    image_pipe: StableDiffusionPipeline | None = None,
) -> dict[str, int]:
    """{"height", "width"} for this pipeline, and for `image_pipe` where there is one: the native size of `pipe` where None;
    ValueError for what their layers cannot halve."""
    from svd_lab.pipelines import native_size, size_step

    native_width, native_height = native_size(pipe)
    size = {"height": height or native_height, "width": width or native_width}
    step = math.lcm(size_step(pipe), size_step(image_pipe)) if image_pipe is not None else size_step(pipe)
    for name, side in size.items():
        if side % step:
            below = side // step * step
            near = f"{below} or {below + step}" if below else f"{step}"
            what = "this model" if image_pipe is None else "these two models"
            raise ValueError(
                f"{name} must be a multiple of {step} for {what}, not {side}: give {near}, or leave it out"
            )
    return size


def whole(name: str, value: Any, low: int, high: int, hint: str) -> int:
    """`value` as an int within low..high."""
    wanted = f"{name} must be a whole number from {low} to {high} ({hint}), not {_shown(value)}"
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        value = value.item()  # a NumPy scalar as Python's: int, float, bool or str
        if isinstance(value, float) and value.is_integer():
            value = int(value)
    if isinstance(value, bool | str | bytes):
        raise TypeError(f"{wanted}. {_kind_hint(name, value)}")
    try:
        number = operator.index(value)
    except TypeError:
        if isinstance(value, float):
            rounded = f". Give {int(value)}" if math.isfinite(value) and low <= int(value) <= high else ""
            raise TypeError(f"{wanted}: no decimal point here{rounded}") from None
        raise TypeError(f"{wanted}. Give a single int, or leave it out") from None
    if not low <= number <= high:
        raise ValueError(f"{wanted}. Give one from {low} to {high}")
    return number


def real(name: str, value: Any, low: float, high: float, hint: str) -> float:
    """`value` as a finite float within low..high."""
    wanted = f"{name} must be a number from {low} to {high} ({hint}), not {_shown(value)}"
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool | str | bytes):
        raise TypeError(f"{wanted}. {_kind_hint(name, value)}")
    if not hasattr(value, "__float__") and not hasattr(value, "__index__"):
        raise TypeError(f"{wanted}. Give a single number, or leave it out")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # an array or tensor of many, a huge int
        raise TypeError(f"{wanted}. Give a single number, or leave it out") from None
    if not low <= number <= high:  # NaN and infinity fail here, too
        raise ValueError(f"{wanted}. Give one from {low} to {high}")
    return number


def _side(name: str, value: Any) -> int:
    side = whole(name, value, 8, _LARGEST_SIDE, "pixels, a multiple of 8")
    if side % 8:
        raise ValueError(
            f"{name} must be a multiple of 8 (pixels), not {side}: give {side // 8 * 8} or {side // 8 * 8 + 8}"
        )
    return side


def _kind_hint(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "True and False are not numbers here"
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    try:
        number = float(text)
    except ValueError:
        return "Give a number, without quotes"
    return (
        f"Write it without quotes: {name}={text.strip()}" if math.isfinite(number) else "Give a number, without quotes"
    )


def _shown(value: Any) -> str:
    """A value's repr on one line of bounded length: an array or a long list must not fill the screen."""
    text = " ".join(reprlib.repr(value).split())
    return text if isinstance(value, int | float | str | None) else f"{text} ({type(value).__name__})"
