"""The settings of `generate_video` and `generate_text2video`, one a row: name, default, range, unit and words.

The command line, the studio's fields, the recipe's reader, batch and the lessons' parameters are made from these rows or tested
against them; so are the signatures of the two calls, which are written out because they are the manual. `say` translates the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from svd_lab.language import mark

Preset = tuple[Any, str]  #: a value that a click enters, and the word for it

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
    label: str
    help: str
    usual: str = ""
    low: float = 0
    high: float = 0
    unit: str = ""
    presets: tuple[Preset, ...] = ()
    basic: bool = False
    blank: str | None = None
    image: bool = False
    model: bool = True
    recipe: bool = True


_FRAMES = mark("frames")
_PIXELS = mark("pixels")
_TRAINED = mark("trained size")
_USUAL = mark("usual")

_ROWS = (
    Setting(
        "prompt", "prompt", None, mark("Prompt"),
        mark("what the picture should show: English for Stable Diffusion; the miniature reads Korean, too"),
        basic=True, image=True, model=False,
    ),
    Setting(
        "negative_prompt", "prompt", None, mark("Negative prompt"),
        mark("what the picture should not show"),
        blank=mark("none"), image=True, model=False,
    ),
    Setting(
        "guidance_scale", "real", 7.5, mark("Image guidance"),
        mark("how closely the picture follows the prompt"), mark("7.5 is usual"),
        0, 100, mark("×"), ((7.5, _USUAL),), image=True, model=False,
    ),
    Setting(
        "image_num_inference_steps", "whole", 50, mark("Image steps"),
        mark("denoising steps of the picture"), mark("20 to 50 are usual"),
        1, 1000, mark("steps"), ((20, mark("quick")), (50, _USUAL)), image=True, model=False,
    ),
    Setting(
        "motion_bucket_id", "whole", 127, mark("Motion"),
        mark("how much moves; larger moves more"), mark("127 is usual, more moves more"),
        0, 255, presets=((40, mark("calm")), (127, _USUAL), (200, mark("lively"))), basic=True,
    ),
    Setting(
        "num_inference_steps", "whole", 10, mark("Steps"),
        mark("denoising steps; more are cleaner and slower"),
        mark("10 to 25 are usual"), 1, 1000, mark("steps"),
        ((5, mark("quick")), (10, _USUAL), (25, mark("thorough"))), True,
    ),
    Setting(
        "seed", "whole", 42, mark("Seed"),
        mark("fixes the initial noise: the same seed gives the same video; -1 draws one"), mark("-1 draws one at random"),
        -1, 2**32 - 1, presets=((42, mark("class")),), basic=True, model=False,
    ),
    Setting(
        "num_frames", "whole", 10, mark("Frames"),
        mark("frames to make; the models were trained on 14 (svd-xt: 25)"),
        mark("the models were trained on 14 or 25"), 2, 1000, _FRAMES, ((10, mark("class")), (14, mark("as trained"))),
    ),
    Setting(
        "fps", "whole", 7, mark("Conditioning fps"),
        mark("frames a second that the model is conditioned on; lower means more motion between two frames"), mark("7 is usual"),
        1, 120, mark("fps"), ((4, mark("more")), (7, _USUAL), (20, mark("less"))),
    ),
    Setting(
        "playback_fps", "real", None, mark("Playback fps"),
        mark("frames a second of the file; the frames stay the same (default: fps)"), mark("7 is usual"), 0.1, 120, mark("fps"),
        blank=mark("the same"), model=False,
    ),
    Setting(
        "noise_aug_strength", "real", 0.02, mark("Noise on the picture"),
        mark("noise added to the input picture; more lets the video depart from it"), mark("0.02 is usual"), 0, 10,
        presets=((0.0, mark("none")), (0.02, _USUAL), (0.1, mark("much"))),
    ),
    Setting(
        "min_guidance_scale", "real", 1.0, mark("Guidance, first frame"),
        mark("classifier-free guidance of the first frame"), mark("1.0 is usual"),
        0, 100, mark("×"), ((1.0, _USUAL),),
    ),
    Setting(
        "max_guidance_scale", "real", 3.0, mark("Guidance, last frame"),
        mark("classifier-free guidance of the last frame; too much makes colours harsh"), mark("3.0 is usual"),
        0, 100, mark("×"), ((1.0, mark("none")), (3.0, _USUAL)),
    ),
    Setting(
        "decode_chunk_size", "whole", 2, mark("Frames decoded at a time"),
        mark("frames decoded at a time; more take more memory, and the pixels depend on it a little"),
        mark("2 is usual; num_frames decodes all at once"), 1, 1000, _FRAMES,
        ((1, mark("thrifty")), (2, _USUAL), (8, mark("ample"))),
    ),
    Setting(
        "width", "side", None, mark("Width"), mark("pixels (default: as the model was trained)"),
        mark("pixels, a multiple of 8"), 8, LARGEST_SIDE, _PIXELS, blank=_TRAINED,
    ),
    Setting(
        "height", "side", None, mark("Height"), mark("pixels (default: as the model was trained)"),
        mark("pixels, a multiple of 8"), 8, LARGEST_SIDE, _PIXELS, blank=_TRAINED,
    ),
    Setting(
        "fit", "fit", "crop", mark("Fitting the picture"),
        mark("a picture of another shape is cropped, padded or stretched"),
        presets=(("crop", mark("crop")), ("pad", mark("pad")), ("stretch", mark("stretch"))), model=False,
    ),
)  # fmt: skip

SETTINGS: dict[str, Setting] = {row.name: row for row in _ROWS}
#: Where `generate_text2video` differs: the values of the class that the lessons follow. `fit` is missing because the image is made
#: at the video's size.
TEXT_DEFAULTS: dict[str, Any] = {"seed": -1, "num_frames": 12}


def settings_of(call: str) -> dict[str, Setting]:
    """The settings of "generate_video" or "generate_text2video", by name, in the table's order."""
    if call == "generate_video":
        return {name: row for name, row in SETTINGS.items() if not row.image}
    return {name: row for name, row in SETTINGS.items() if name != "fit"}


def default_of(name: str, call: str) -> Any:
    """The default of a setting in a call."""
    return TEXT_DEFAULTS.get(name, SETTINGS[name].default) if call == "generate_text2video" else SETTINGS[name].default
