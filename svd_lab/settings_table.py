"""The settings of `generate_video` and `generate_text2video`, one a row: name, default, range, unit, and words in two languages.

The command line, the studio's fields, the recipe's reader, batch and the lessons' parameters are made from these rows or tested
against them; so are the signatures of the two calls, which are written out because they are the manual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Pair = tuple[str, str]  #: Korean, English
Preset = tuple[Any, Pair]  #: a value that a click enters, and the word for it

FITS = ("crop", "pad", "stretch")
LARGEST_SIDE = 4096  #: pixels. SVD was trained at 1024; a larger request is a slip, and would need hundreds of GiB


@dataclass(frozen=True)
class Setting:
    """One setting of a call.

    Attributes:
        name: The keyword, which is diffusers' name where diffusers has it.
        kind: "whole", "real", "side" (pixels), "fit" or "prompt".
        default: What `generate_video` takes without it; TEXT_DEFAULTS has what differs in `generate_text2video`.
        label: What the studio calls it.
        help: What it does, for the studio and for `svd-lab --help`.
        usual: Ends the range in an error message.
        low, high: The range, both ends included.
        unit: Shown behind the value.
        presets: Values worth trying.
        basic: The studio shows it before "all settings" is opened.
        blank: What an empty field means; None where a value is required.
        image: It belongs to the image that a prompt becomes, so `generate_video` does not have it.
        model: The video pipeline itself receives it.
        recipe: A recipe records it, because it changes the clip or the file.
    """

    name: str
    kind: str
    default: Any
    label: Pair
    help: Pair
    usual: str = ""
    low: float = 0
    high: float = 0
    unit: Pair = ("", "")
    presets: tuple[Preset, ...] = ()
    basic: bool = False
    blank: Pair | None = None
    image: bool = False
    model: bool = True
    recipe: bool = True


_FRAMES: Pair = ("프레임", "frames")
_PIXELS: Pair = ("픽셀", "pixels")
_TRAINED: Pair = ("학습한 크기", "as trained")
_USUAL: Pair = ("보통", "usual")

_ROWS = (
    Setting(
        "prompt", "prompt", None, ("프롬프트", "Prompt"),
        ("그릴 그림을 설명하는 글. Stable Diffusion에는 영어로, 미니에는 한국어로도 쓸 수 있어요",
         "what the picture should show: English for Stable Diffusion; the miniature reads Korean, too"),
        basic=True, image=True, model=False,
    ),
    Setting(
        "negative_prompt", "prompt", None, ("네거티브 프롬프트", "Negative prompt"),
        ("그림에 나오지 않았으면 하는 것", "what the picture should not show"),
        blank=("없음", "none"), image=True, model=False,
    ),
    Setting(
        "guidance_scale", "real", 7.5, ("이미지 가이던스", "Image guidance"),
        ("그림이 프롬프트를 얼마나 강하게 따를지", "how closely the picture follows the prompt"), "7.5 is usual",
        0, 100, ("배", "×"), ((7.5, _USUAL),), image=True, model=False,
    ),
    Setting(
        "image_num_inference_steps", "whole", 50, ("이미지 스텝 수", "Image steps"),
        ("그림에서 노이즈를 제거하는 횟수", "denoising steps of the picture"), "20 to 50 are usual",
        1, 1000, ("번", "steps"), ((20, ("빠르게", "quick")), (50, _USUAL)), image=True, model=False,
    ),
    Setting(
        "motion_bucket_id", "whole", 127, ("움직임", "Motion"),
        ("얼마나 많이 움직일지. 클수록 많이 움직여요", "how much moves; larger moves more"), "127 is usual, more moves more",
        0, 255, presets=((40, ("잔잔하게", "calm")), (127, _USUAL), (200, ("힘차게", "lively"))), basic=True,
    ),
    Setting(
        "num_inference_steps", "whole", 10, ("스텝 수", "Steps"),
        ("노이즈를 제거하는 횟수. 많을수록 깨끗하고 그만큼 느려요", "denoising steps; more are cleaner and slower"),
        "10 to 25 are usual", 1, 1000, ("번", "steps"),
        ((5, ("빠르게", "quick")), (10, _USUAL), (25, ("꼼꼼하게", "thorough"))), True,
    ),
    Setting(
        "seed", "whole", 42, ("시드", "Seed"),
        ("처음 노이즈를 정하는 수. 같으면 같은 영상이 나와요. -1이면 하나를 뽑아요",
         "fixes the initial noise: the same seed gives the same video; -1 draws one"), "-1 draws one at random",
        -1, 2**32 - 1, presets=((42, ("수업", "class")),), basic=True, model=False,
    ),
    Setting(
        "num_frames", "whole", 10, ("프레임 수", "Frames"),
        ("만들 프레임의 수. 모델은 14개(svd-xt는 25개)로 학습했어요", "frames to make; the models were trained on 14 (svd-xt: 25)"),
        "the models were trained on 14 or 25", 2, 1000, _FRAMES, ((10, ("수업", "class")), (14, ("학습한 만큼", "as trained"))),
    ),
    Setting(
        "fps", "whole", 7, ("조건 fps", "Conditioning fps"),
        ("모델에 조건으로 주는 초당 프레임 수. 작을수록 프레임 사이에 많이 움직여요",
         "frames a second that the model is conditioned on; lower means more motion between two frames"), "7 is usual",
        1, 120, ("fps", "fps"), ((4, ("많이", "more")), (7, _USUAL), (20, ("조금", "less"))),
    ),
    Setting(
        "playback_fps", "real", None, ("재생 fps", "Playback fps"),
        ("파일이 재생되는 초당 프레임 수. 프레임은 그대로예요. 비우면 조건 fps와 같아요",
         "frames a second of the file; the frames stay the same (default: fps)"), "7 is usual", 0.1, 120, ("fps", "fps"),
        blank=("조건 fps와 같게", "the same"), model=False,
    ),
    Setting(
        "noise_aug_strength", "real", 0.02, ("입력 그림의 노이즈", "Noise on the picture"),
        ("입력 그림에 더하는 노이즈. 많을수록 입력 그림에서 멀어질 수 있어요",
         "noise added to the input picture; more lets the video depart from it"), "0.02 is usual", 0, 10,
        presets=((0.0, ("없이", "none")), (0.02, _USUAL), (0.1, ("많이", "much"))),
    ),
    Setting(
        "min_guidance_scale", "real", 1.0, ("첫 프레임의 가이던스", "Guidance, first frame"),
        ("첫 프레임의 가이던스 세기", "classifier-free guidance of the first frame"), "1.0 is usual",
        0, 100, ("배", "×"), ((1.0, _USUAL),),
    ),
    Setting(
        "max_guidance_scale", "real", 3.0, ("마지막 프레임의 가이던스", "Guidance, last frame"),
        ("마지막 프레임의 가이던스 세기. 지나치면 색이 거칠어져요",
         "classifier-free guidance of the last frame; too much makes colours harsh"), "3.0 is usual",
        0, 100, ("배", "×"), ((1.0, ("없이", "none")), (3.0, _USUAL)),
    ),
    Setting(
        "decode_chunk_size", "whole", 2, ("한 번에 디코딩할 프레임 수", "Frames decoded at a time"),
        ("많을수록 메모리를 더 써요. 픽셀 값이 조금 달라져요",
         "frames decoded at a time; more take more memory, and the pixels depend on it a little"),
        "2 is usual; num_frames decodes all at once", 1, 1000, _FRAMES,
        ((1, ("아껴서", "thrifty")), (2, _USUAL), (8, ("넉넉히", "ample"))),
    ),
    Setting(
        "width", "side", None, ("너비", "Width"), ("영상의 너비", "pixels (default: as the model was trained)"),
        "pixels, a multiple of 8", 8, LARGEST_SIDE, _PIXELS, blank=_TRAINED,
    ),
    Setting(
        "height", "side", None, ("높이", "Height"), ("영상의 높이", "pixels (default: as the model was trained)"),
        "pixels, a multiple of 8", 8, LARGEST_SIDE, _PIXELS, blank=_TRAINED,
    ),
    Setting(
        "fit", "fit", "crop", ("그림 맞추기", "Fitting the picture"),
        ("비율이 다른 그림을 자를지, 여백을 넣을지, 늘일지", "a picture of another shape is cropped, padded or stretched"),
        presets=(("crop", ("자르기", "crop")), ("pad", ("여백 넣기", "pad")), ("stretch", ("늘이기", "stretch"))), model=False,
    ),
)  # fmt: skip

SETTINGS: dict[str, Setting] = {row.name: row for row in _ROWS}
#: Where `generate_text2video` differs: the class's values; `fit` is missing because the image is made at the video's size.
TEXT_DEFAULTS: dict[str, Any] = {"seed": -1, "num_frames": 12}


def settings_of(call: str) -> dict[str, Setting]:
    """The settings of "generate_video" or "generate_text2video", by name, in the table's order."""
    if call == "generate_video":
        return {name: row for name, row in SETTINGS.items() if not row.image}
    return {name: row for name, row in SETTINGS.items() if name != "fit"}


def default_of(name: str, call: str) -> Any:
    """The default of a setting in a call."""
    return TEXT_DEFAULTS.get(name, SETTINGS[name].default) if call == "generate_text2video" else SETTINGS[name].default
