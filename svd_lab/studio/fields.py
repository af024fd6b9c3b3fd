"""The studio's fields: the settings in the studio's order, and how typed text is read and checked. Knows no widgets."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from svd_lab.language import mark, say
from svd_lab.settings_table import FITS, Setting, settings_of

#: The one field that is not a setting: the file name, which the calls take as `video_file`.
FILE = Setting(
    "file", "name", None, mark("File name"),
    mark("name of the video's file; chosen automatically if blank"),
    blank=mark("automatic"),
)  # fmt: skip


def _fields(call: str) -> tuple[Setting, ...]:
    """A call's settings, the basic ones first, then the file name. The prompt gets several lines to write in."""
    rows = [replace(row, kind="lines") if row.name == "prompt" else row for row in settings_of(call).values()]
    return (*(row for row in rows if row.basic), *(row for row in rows if not row.basic), FILE)


VIDEO_FIELDS = _fields("generate_video")
TEXT_FIELDS = _fields("generate_text2video")


def parse(field: Setting, text: str, language: str) -> Any:
    """Convert typed text to the value of `field`.

    Args:
        field: The field that it was typed into.
        text: What was typed.
        language: "ko" or "en", of the error message.

    Returns:
        An int, float or str; None for a blank where that is allowed.

    Raises:
        ValueError: The text is not a valid value; the message says what is expected and what was given.
    """
    typed = text.strip()
    if not typed:
        if field.blank is not None:
            return None
        raise ValueError(say("{label}: required. Enter a value.", language, label=_label(field, language)))
    if field.kind in ("whole", "side", "real"):
        return _number(field, typed, language)
    if field.kind == "fit" and typed not in FITS:
        raise ValueError(
            say(
                "Fitting must be one of {known}, not ‘{given}’.",
                language,
                given=_shortened(typed),
                known=", ".join(FITS),
            )
        )
    if field.kind == "name":
        return _file_name(typed, language)
    return typed


def to_text(value: Any) -> str:
    """Format a value for its field: the inverse of `parse`."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def check_together(values: dict[str, Any], unit: int, language: str) -> dict[str, str]:
    """Check values that are each valid against each other.

    Args:
        values: A value for each field, by name.
        unit: Width and height must be a multiple of it, in pixels.
        language: "ko" or "en".

    Returns:
        {field name: message} for each problem.
    """
    problems = {}
    if values["min_guidance_scale"] > values["max_guidance_scale"]:
        low, high = to_text(values["min_guidance_scale"]), to_text(values["max_guidance_scale"])
        problems["min_guidance_scale"] = say(
            "The guidance of the first frame ({low}) must not exceed that of the last ({high}).",
            language,
            low=low,
            high=high,
        )
    for name in ("width", "height"):
        if values[name] is not None and values[name] % unit:
            below = values[name] // unit * unit
            near = f"{below}, {below + unit}" if below else f"{unit}"
            problems[name] = say(
                "For this model it must be a multiple of {unit}: instead of {given}, try {near}.",
                language,
                unit=unit,
                given=values[name],
                near=near,
            )
    return problems


def _number(field: Setting, typed: str, language: str) -> int | float:
    whole = field.kind != "real"
    wanted = {
        "label": _label(field, language),
        "low": to_text(field.low),
        "high": to_text(field.high),
        "given": _shortened(typed),
    }
    try:
        number = int(typed) if whole else float(typed)
    except ValueError:
        number = None
    if number is None or "_" in typed or not math.isfinite(number):
        raise ValueError(
            say(
                mark("{label}: must be a whole number from {low} to {high}, not ‘{given}’.")
                if whole
                else mark("{label}: must be a number from {low} to {high}, not ‘{given}’."),
                language,
                **wanted,
            )
        )
    if not field.low <= number <= field.high:
        raise ValueError(say("{label}: must be from {low} to {high}, not ‘{given}’.", language, **wanted))
    return number


def _file_name(typed: str, language: str) -> str:
    name = typed if typed.lower().endswith(".mp4") else f"{typed}.mp4"
    bad = re.search(r'[/\\:*?"<>|\x00-\x1f]', name)
    if bad or name.startswith(".") or len(name.encode("utf-8", "replace")) > 200:
        raise ValueError(
            say(
                "‘{given}’ is not a valid file name. Enter one like rocket.mp4, without folders.",
                language,
                given=_shortened(typed),
            )
        )
    return name


def _label(field: Setting, language: str) -> str:
    return say(field.label, language)


def _shortened(typed: str) -> str:
    return typed if len(typed) <= 40 else f"{typed[:40]}…"
