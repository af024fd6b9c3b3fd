"""The studio's fields: the table of settings in the studio's order, and what a typed text means. Knows no widgets."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from svd_lab.settings_table import FITS, Setting, settings_of
from svd_lab.studio.messages import LANGUAGES, say

#: Beside the settings of a call: the name of the file, which a call takes as `video_file`.
FILE = Setting(
    "file", "name", None, ("파일 이름", "File name"),
    ("결과를 담을 파일의 이름. 비우면 자동으로 지어요", "name of the file; blank: one is made up"), blank=("자동", "made up"),
)  # fmt: skip


def _fields(call: str) -> tuple[Setting, ...]:
    """A call's settings, those that a beginner needs first; a prompt may have several lines, for several videos."""
    rows = [replace(row, kind="lines") if row.name == "prompt" else row for row in settings_of(call).values()]
    return (*(row for row in rows if row.basic), *(row for row in rows if not row.basic), FILE)


VIDEO_FIELDS = _fields("generate_video")
TEXT_FIELDS = _fields("generate_text2video")


def read(field: Setting, text: str, language: str) -> Any:
    """What `text`, as typed, means for `field`: int, float, str, or None for a blank that is allowed.

    Raises ValueError with a sentence in `language`: what is wanted, and what stands there.
    """
    typed = text.strip()
    if not typed:
        if field.blank is not None:
            return None
        raise ValueError(say("empty", language, label=_label(field, language)))
    if field.kind in ("whole", "side", "real"):
        return _number(field, typed, language)
    if field.kind == "fit" and typed not in FITS:
        raise ValueError(say("not_a_fit", language, given=_shown(typed), known=", ".join(FITS)))
    if field.kind == "name":
        return _file_name(typed, language)
    return typed


def write(value: Any) -> str:
    """A value as it stands in its field: the other way round."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def check_together(values: dict[str, Any], unit: int, language: str) -> dict[str, str]:
    """What is wrong with values that are each fine, as {field's name: sentence}. unit: sides must be a multiple of it."""
    problems = {}
    if values["min_guidance_scale"] > values["max_guidance_scale"]:
        low, high = write(values["min_guidance_scale"]), write(values["max_guidance_scale"])
        problems["min_guidance_scale"] = say("guidance_order", language, low=low, high=high)
    for name in ("width", "height"):
        if values[name] is not None and values[name] % unit:
            below = values[name] // unit * unit
            near = f"{below}, {below + unit}" if below else f"{unit}"
            problems[name] = say("not_a_multiple", language, unit=unit, given=values[name], near=near)
    return problems


def _number(field: Setting, typed: str, language: str) -> int | float:
    whole = field.kind != "real"
    wanted = {
        "label": _label(field, language),
        "low": write(field.low),
        "high": write(field.high),
        "given": _shown(typed),
    }
    try:
        number = int(typed) if whole else float(typed)
    except ValueError:
        number = None
    if number is None or "_" in typed or not math.isfinite(number):
        raise ValueError(say("not_whole" if whole else "not_a_number", language, **wanted))
    if not field.low <= number <= field.high:
        raise ValueError(say("out_of_range", language, **wanted))
    return number


def _file_name(typed: str, language: str) -> str:
    name = typed if typed.lower().endswith(".mp4") else f"{typed}.mp4"
    bad = re.search(r'[/\\:*?"<>|\x00-\x1f]', name)
    if bad or name.startswith(".") or len(name.encode("utf-8", "replace")) > 200:
        raise ValueError(say("bad_file_name", language, given=_shown(typed)))
    return name


def _label(field: Setting, language: str) -> str:
    return field.label[LANGUAGES.index(language)]


def _shown(typed: str) -> str:
    return typed if len(typed) <= 40 else f"{typed[:40]}…"
