"""What can be set in the studio: one row a parameter, in both languages; and what a typed text means. Knows no widgets.

Ranges are those of `settings`, which has the last word; a test holds the two together.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from svd_lab.images import FITS
from svd_lab.studio.messages import LANGUAGES, say

Pair = tuple[str, str]  # Korean, English


@dataclass(frozen=True)
class Field:
    """A parameter. kind: "whole", "real", "side" (pixels, or blank), "line", "lines" (texts), "name" (of a file) or "fit".

    presets: values that a click enters, each with a word. basic: a beginner sees it at once. blank: what nothing typed means, None
    where something must be.
    """

    name: str
    kind: str
    label: Pair
    help: Pair
    low: float = 0
    high: float = 0
    unit: Pair = ("", "")
    presets: tuple[tuple[Any, Pair], ...] = ()
    basic: bool = False
    blank: Pair | None = None


_MOTION = Field(
    "motion_bucket_id", "whole", ("움직임", "Motion"),
    ("얼마나 많이 움직일지. 클수록 많이 움직여요", "How much should move. Larger moves more"), 0, 255, basic=True,
    presets=((40, ("잔잔하게", "calm")), (127, ("보통", "usual")), (200, ("힘차게", "lively"))),
)  # fmt: skip
_STEPS = Field(
    "num_inference_steps", "whole", ("단계", "Steps"),
    ("잡음을 걷어 내는 횟수. 많을수록 깨끗하고 그만큼 느려요", "How often noise is taken off. More is cleaner and slower"),
    1, 1000, ("번", "steps"), ((5, ("빠르게", "quick")), (10, ("보통", "usual")), (25, ("꼼꼼하게", "thorough"))), True,
)  # fmt: skip
_SEED = Field(
    "seed", "whole", ("시드", "Seed"),
    ("처음 잡음을 정하는 번호. 같으면 같은 영상이 나와요. -1이면 뽑아요",
     "The number behind the first noise. The same one, the same video; -1 draws one"), -1, 2**32 - 1,
    presets=((42, ("수업", "class")),), basic=True,
)  # fmt: skip
_MORE = (
    Field(
        "num_frames", "whole", ("프레임 수", "Frames"),
        ("만들 그림의 장수. 모델은 14장(svd-xt는 25장)을 배웠어요", "Pictures to make. The models learnt 14 (svd-xt: 25)"),
        2, 1000, ("장", "frames"), ((10, ("수업", "class")), (14, ("배운 만큼", "as trained"))),
    ),
    Field(
        "fps", "whole", ("상상하는 빠르기", "Imagined rate"),
        ("모델이 상상하는 1초당 장수. 작을수록 프레임 사이에 멀리 가요",
         "Frames a second that the model imagines. Small: more happens between two"), 1, 120, ("장/초", "fps"),
        ((4, ("멀리", "far")), (7, ("보통", "usual")), (20, ("조금", "little"))),
    ),
    Field(
        "playback_fps", "real", ("재생 빠르기", "Playback rate"),
        ("파일을 넘기는 빠르기. 그림은 그대로예요. 비우면 상상하는 빠르기와 같아요",
         "How fast the file is played; the frames stay. Blank: the imagined rate"), 0.1, 120, ("장/초", "fps"),
        blank=("위와 같게", "the same"),
    ),
    Field(
        "noise_aug_strength", "real", ("그림에 더할 잡음", "Noise on the picture"),
        ("많을수록 모델이 준 그림에서 자유로워져요", "More leaves the model freer from the given picture"), 0, 10,
        presets=((0.0, ("그대로", "none")), (0.02, ("보통", "usual")), (0.1, ("자유롭게", "free"))),
    ),
    Field(
        "min_guidance_scale", "real", ("첫 프레임의 안내", "Guidance, first frame"),
        ("첫 프레임이 그림을 얼마나 강하게 따를지", "How strongly the first frame follows the picture"), 0, 100, ("배", "×"),
        ((1.0, ("보통", "usual")),),
    ),
    Field(
        "max_guidance_scale", "real", ("끝 프레임의 안내", "Guidance, last frame"),
        ("마지막 프레임이 그림을 얼마나 강하게 따를지. 지나치면 색이 거칠어져요",
         "The same for the last frame. Too much makes colours harsh"), 0, 100, ("배", "×"),
        ((1.0, ("없이", "none")), (3.0, ("보통", "usual"))),
    ),
    Field(
        "decode_chunk_size", "whole", ("한 번에 펼칠 장수", "Frames decoded at a time"),
        ("많을수록 덜 깜빡이고 메모리를 더 써요", "More flicker less and take more memory"), 1, 1000, ("장", "frames"),
        ((1, ("아껴서", "thrifty")), (2, ("보통", "usual")), (8, ("넉넉히", "ample"))),
    ),
    Field(
        "width", "side", ("너비", "Width"), ("영상의 너비. 비우면 모델이 배운 크기", "Of the video. Blank: as trained"),
        8, 4096, ("픽셀", "pixels"), blank=("배운 크기", "as trained"),
    ),
    Field(
        "height", "side", ("높이", "Height"), ("영상의 높이. 비우면 모델이 배운 크기", "Of the video. Blank: as trained"),
        8, 4096, ("픽셀", "pixels"), blank=("배운 크기", "as trained"),
    ),
)  # fmt: skip
_FIT = Field(
    "fit", "fit", ("그림 맞추기", "Fitting the picture"),
    ("모양이 다른 그림을 자를지, 여백을 줄지, 늘일지", "Cut a picture of another shape, pad it, or stretch it"),
    presets=(("crop", ("자르기", "crop")), ("pad", ("여백 넣기", "pad")), ("stretch", ("늘이기", "stretch"))),
)  # fmt: skip
_FILE = Field(
    "file", "name", ("파일 이름", "File name"),
    ("결과를 담을 이름. 비우면 알아서 지어요", "What to call the result. Blank: a name is made up"),
    blank=("알아서", "made up"),
)  # fmt: skip
_TEXT = (
    Field(
        "prompt", "lines", ("무엇을 그릴까요?", "What shall it draw?"),
        ("그림을 설명하는 글. 진짜 모델에는 영어로, 미니에는 한국어도 돼요",
         "A description of the picture: English for the real model; the mini reads Korean, too"), basic=True,
    ),
    _SEED, _MOTION, _STEPS,
    Field(
        "negative_prompt", "line", ("빼고 싶은 것", "What to leave out"),
        ("그림에 없었으면 하는 것. 비워도 돼요", "What the picture should not show. May stay blank"),
        blank=("없음", "nothing"),
    ),
    Field(
        "guidance_scale", "real", ("글을 따르는 세기", "Guidance by the text"),
        ("그림이 글을 얼마나 강하게 따를지", "How strongly the picture follows the text"), 0, 100, ("배", "×"),
        ((7.5, ("보통", "usual")),),
    ),
    Field(
        "image_num_inference_steps", "whole", ("그림의 단계", "Steps of the picture"),
        ("그림에서 잡음을 걷어 내는 횟수", "How often noise is taken off the picture"), 1, 1000, ("번", "steps"),
        ((20, ("빠르게", "quick")), (50, ("보통", "usual"))),
    ),
)  # fmt: skip

VIDEO_FIELDS: tuple[Field, ...] = (_MOTION, _STEPS, _SEED, *_MORE, _FIT, _FILE)
TEXT_FIELDS: tuple[Field, ...] = (*_TEXT, *_MORE, _FILE)


def read(field: Field, text: str, language: str) -> Any:
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


def _number(field: Field, typed: str, language: str) -> int | float:
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


def _label(field: Field, language: str) -> str:
    return field.label[LANGUAGES.index(language)]


def _shown(typed: str) -> str:
    return typed if len(typed) <= 40 else f"{typed[:40]}…"
