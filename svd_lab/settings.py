"""Check the settings of a call before any model works: what was wrong, what was given, what to do."""

from __future__ import annotations

import math
import operator
import reprlib
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from svd_lab.language import mark, say
from svd_lab.pipe_facts import native_size, size_step
from svd_lab.prompts import check_prompts
from svd_lab.settings_table import FITS, LARGEST_SIDE, SETTINGS, default_of, settings_of

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline

#: Arguments of the calls that are not settings: they say how a run is watched and stopped.
CALLBACKS = ("on_step", "on_image", "cancel")


def check_call(call: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of a call of `generate_video` or `generate_text2video`, as its `locals()` hold them.

    Args:
        call: "generate_video" or "generate_text2video".
        arguments: At least some of the call's arguments by name; those that are neither settings nor CALLBACKS are ignored.

    Returns:
        The settings, as `check_settings` returns them.

    Raises:
        TypeError, ValueError: As `check_settings`; TypeError also for a callback that cannot be called.
    """
    names = settings_of(call)
    settings = check_settings(call, {name: value for name, value in arguments.items() if name in names})
    on_step, on_image, cancel = (arguments.get(name) for name in CALLBACKS)
    if on_step is not None and not callable(on_step):
        raise TypeError(
            say("on_step must be a function of (step, total, seconds_left), not {on_step}", on_step=_shown(on_step))
        )
    if on_image is not None and not callable(on_image):
        raise TypeError(say("on_image must be a function of the image, not {on_image}", on_image=_shown(on_image)))
    if cancel is not None and (isinstance(cancel, type) or not callable(getattr(cancel, "is_set", None))):
        raise TypeError(
            say(
                "cancel must be a threading.Event, not {cancel}. Make one: cancel = threading.Event()",
                cancel=_shown(cancel),
            )
        )
    return settings


def check_settings(call: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check settings of a call and fill in the defaults; imports no torch.

    Args:
        call: "generate_video" or "generate_text2video".
        given: Any of the call's settings by name; what is left out gets its default.

    Returns:
        Every setting of the call as plain int, float and str. NumPy integers and whole NumPy numbers count as integers; True and
        False do not. playback_fps is filled in; height and width may be None until `complete`.

    Raises:
        TypeError: A name that the call does not have, or a value of the wrong kind.
        ValueError: A value out of range.
    """
    rows = settings_of(call)
    unknown = sorted(given.keys() - rows.keys())
    if unknown:
        raise TypeError(
            say(
                "{call} has no setting {unknown!r}; it has {listed}",
                call=call,
                unknown=unknown[0],
                listed=", ".join(rows),
            )
        )
    values = {name: given.get(name, default_of(name, call)) for name in rows}
    checked: dict[str, Any] = {}
    if "prompt" in rows:
        checked |= check_prompts(values["prompt"], values["negative_prompt"])
    checked |= {name: check_value(name, values[name]) for name in rows if name not in checked}
    low, high = values["min_guidance_scale"], values["max_guidance_scale"]
    if checked["min_guidance_scale"] > checked["max_guidance_scale"]:
        raise ValueError(
            say(
                "min_guidance_scale must not exceed max_guidance_scale, but {low!r} > {high!r}. Set both, "
                "for example 1.0 and 3.0",
                low=low,
                high=high,
            )
        )
    if checked["playback_fps"] is None:
        checked["playback_fps"] = checked["fps"]
    return checked


def check_value(name: str, value: Any) -> Any:
    """Check one setting that is not a prompt by its row of the table; raises as `check_settings`."""
    row = SETTINGS[name]
    if row.kind == "fit":
        if not isinstance(value, str) or value not in FITS:
            kind = ValueError if isinstance(value, str) else TypeError
            raise kind(
                say("fit must be one of {listed}, not {value}", listed=", ".join(map(repr, FITS)), value=_shown(value))
            )
        return value
    if value is None and row.default is None:
        return None
    if row.kind == "side":
        return _side(name, value)
    return (whole if row.kind == "whole" else real)(name, value, row.low, row.high, row.usual)


def complete(
    settings: dict[str, Any], pipe: StableVideoDiffusionPipeline, image_pipe: StableDiffusionPipeline | None = None
) -> dict[str, Any]:
    """Checked settings with what only the pipelines and chance decide: the size, and the seed where it is -1, which is printed.

    Raises:
        ValueError: A size that the pipelines cannot make.
    """
    settings = settings | check_size(pipe, settings["height"], settings["width"], image_pipe)
    if settings["seed"] == -1:
        settings["seed"] = secrets.randbelow(2**32)
        print(say("seed {seed}", seed=settings["seed"]))
    return settings


def check_size(
    pipe: StableVideoDiffusionPipeline,
    height: int | None,
    width: int | None,
    image_pipe: StableDiffusionPipeline | None = None,
) -> dict[str, int]:
    """{"height", "width"} for this pipeline, and for `image_pipe` where there is one: the native size of `pipe` where None;
    ValueError for what their layers cannot halve."""
    native_width, native_height = native_size(pipe)
    size = {"height": height or native_height, "width": width or native_width}
    step = math.lcm(size_step(pipe), size_step(image_pipe)) if image_pipe is not None else size_step(pipe)
    for name, side in size.items():
        if side % step:
            below = side // step * step
            near = say("{below} or {above}", below=below, above=below + step) if below else f"{step}"
            what = say("this model") if image_pipe is None else say("these two models")
            raise ValueError(
                say(
                    "{name} must be a multiple of {step} for {what}, not {side}: give {near}, or leave it out",
                    name=name,
                    step=step,
                    what=what,
                    side=side,
                    near=near,
                )
            )
    return size


def whole(name: str, value: Any, low: int, high: int, hint: str) -> int:
    """`value` as an int within low..high."""
    wanted = say(
        "{name} must be a whole number from {low} to {high} ({hint}), not {value}",
        name=name,
        low=low,
        high=high,
        hint=say(hint),
        value=_shown(value),
    )
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
            rounded = (
                say(". Give {value}", value=int(value)) if math.isfinite(value) and low <= int(value) <= high else ""
            )
            raise TypeError(say("{wanted}: no decimal point here{rounded}", wanted=wanted, rounded=rounded)) from None
        raise TypeError(say("{wanted}. Give a single int, or leave it out", wanted=wanted)) from None
    if not low <= number <= high:
        raise ValueError(say("{wanted}. Give one from {low} to {high}", wanted=wanted, low=low, high=high))
    return number


def real(name: str, value: Any, low: float, high: float, hint: str) -> float:
    """`value` as a finite float within low..high."""
    wanted = say(
        "{name} must be a number from {low} to {high} ({hint}), not {value}",
        name=name,
        low=low,
        high=high,
        hint=say(hint),
        value=_shown(value),
    )
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool | str | bytes):
        raise TypeError(f"{wanted}. {_kind_hint(name, value)}")
    if not hasattr(value, "__float__") and not hasattr(value, "__index__"):
        raise TypeError(say("{wanted}. Give a single number, or leave it out", wanted=wanted))
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # an array or tensor of many, a huge int
        raise TypeError(say("{wanted}. Give a single number, or leave it out", wanted=wanted)) from None
    if not low <= number <= high:  # NaN and infinity fail here, too
        raise ValueError(say("{wanted}. Give one from {low} to {high}", wanted=wanted, low=low, high=high))
    return number


def _side(name: str, value: Any) -> int:
    side = whole(name, value, 8, LARGEST_SIDE, mark("pixels, a multiple of 8"))
    if side % 8:
        raise ValueError(
            say(
                "{name} must be a multiple of 8 (pixels), not {side}: give {below} or {above}",
                name=name,
                side=side,
                below=side // 8 * 8,
                above=side // 8 * 8 + 8,
            )
        )
    return side


def _kind_hint(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return say("True and False are not numbers here")
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    try:
        number = float(text)
    except ValueError:
        return say("Give a number, without quotes")
    return (
        say("Write it without quotes: {name}={text}", name=name, text=text.strip())
        if math.isfinite(number)
        else say("Give a number, without quotes")
    )


def _shown(value: Any) -> str:
    """A value's repr on one line of bounded length: an array or a long list must not fill the screen."""
    text = " ".join(reprlib.repr(value).split())
    return text if isinstance(value, int | float | str | None) else f"{text} ({type(value).__name__})"
