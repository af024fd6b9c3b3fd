"""A recipe in an mp4: as JSON in its comment, with the picture that the model saw as a PNG in its cover.

Files travel to strangers and come back from them. So nothing private goes in: no folders, no log-ins, and of the picture only its
pixels. And nothing that comes out is trusted: sizes are bounded, every value must be one that svd_lab could have written, and the
picture must match the recipe's hash. Nothing is evaluated. Imports no torch.
"""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any

from PIL import Image

from svd_lab.ffmpeg import check_path, copy_bare, read_comment, read_cover
from svd_lab.files import whole_file
from svd_lab.language import say
from svd_lab.recipe import FORMAT, sha256
from svd_lab.settings import check_settings
from svd_lab.settings_table import settings_of

PICTURE_BYTES = 2_000_000  #: as a PNG; of a larger picture the file holds only the hash
RECIPE_BYTES = 2_000_000  #: a recipe has about 1,500; with two prompts of 100,000 characters it stays below a million

# Patterns that the texts of a recipe must match.
_SHA256, _NAME = r"[0-9a-f]{64}", r".{1,10000}"
_MODEL = {
    "model": _NAME,
    "scheduler": r"\w{1,100}",
    "device": r"[a-z]{1,20}(:\d{1,3})?",
    "dtype": r"\w{1,30}",
}
_TEXTS = {"frames_sha256": _SHA256, "image_sha256": _SHA256, "machine": _NAME, "speed": "exact|fused"} | _MODEL
_LATER = {"speed": "exact"}  #: keys that the first files lack, with the value they imply
_CALLS = {
    "generate_video": _TEXTS | {"image": _NAME},
    "generate_text2video": _TEXTS | {f"image_{name}": form for name, form in _MODEL.items()},
}
_SETTINGS = {call: [name for name, row in settings_of(call).items() if row.recipe] for call in _CALLS}
_ALWAYS = {"weights", "versions", "svd_lab_recipe", "call"}
_KEYS = {call: {*texts, *_SETTINGS[call], *_ALWAYS} for call, texts in _CALLS.items()}
_KEYS["generate_text2video"] |= {"image_weights", "image_attention_slicing"}


def carried(
    recipe: dict[str, Any], frames: list[Image.Image], image: Image.Image | None, fps: float
) -> tuple[str | None, bytes | None]:
    """Return what a file that plays `frames` at `fps` carries.

    Returns:
        (comment, cover): the recipe as JSON, and the picture as a PNG. (None, None) if the recipe is not that of these frames, as
        in a video that compares two clips. The cover is None for a picture that is not the recipe's or larger than PICTURE_BYTES.
    """
    if "frames_sha256" not in recipe or recipe["frames_sha256"] != sha256(*frames):
        return None, None
    known = {name: recipe[name] for name in recipe if name in _KEYS[recipe["call"]]}
    known["playback_fps"] = max(0.1, float(fps))  # this file's own
    text = json.dumps(known, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a file's name may hold half a character
        text = json.dumps(known, allow_nan=False)
    if image is None or sha256(image) != recipe["image_sha256"]:
        return text, None
    # Its pixels alone: a picture's `info` can hold a colour profile, a place, a camera's owner.
    # Level 1: a third of the time of the usual 6 for a seventh more bytes.
    Image.frombytes(image.mode, image.size, image.tobytes()).save(png := io.BytesIO(), "PNG", compress_level=1)
    return text, png.getvalue() if png.tell() <= PICTURE_BYTES else None


def read_recipe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the recipe that an mp4 of generate_video or generate_text2video carries.

    Args:
        path: The mp4.

    Returns:
        What `clip.recipe` was, checked: "call", the call's name; its settings under the names of its keywords; for a prompt also
        "prompt" and "negative_prompt", else "image", the picture's name, which need not exist on this machine. Names are whatever
        the file says: show them as text. `read_picture` returns the picture itself.

    Raises:
        FileNotFoundError, TypeError, OSError: Not a readable file.
        ValueError: Not an mp4, or its recipe is missing, damaged, another program's, or of a newer format. Nothing of it is used.
    """
    file = _check_file(path)
    comment = read_comment(file, 2 * RECIPE_BYTES)  # in ffmpeg's output a character can take two
    if comment is None or '"svd_lab_recipe"' not in comment:
        held = (
            say("there is no comment in it")
            if comment is None
            else say("its comment is another program's ({comment!r}…)", comment=comment[:40])
        )
        raise ValueError(
            say(
                "{name} carries no recipe ({held}): svd-lab did not write it, or a program that copied it "
                "left the recipe out. Give an mp4 that generate_video or generate_text2video wrote",
                name=file.name,
                held=held,
            )
        )
    try:
        return _checked(_parsed(comment))
    except (ValueError, TypeError, RecursionError) as error:
        if isinstance(error, _UnknownFormat):
            raise ValueError(f"{file.name}: {error}") from None
        raise ValueError(
            say(
                "{name} carries a recipe that is damaged or not ours, and nothing of it was used: {error}",
                name=file.name,
                error=error,
            )
        ) from error


def read_picture(path: str | os.PathLike[str]) -> Image.Image | None:
    """Read the picture (PIL, RGB) that the video of an mp4 starts from, exactly as the model saw it.

    Returns:
        The picture; None if the file holds only its hash: it was larger than PICTURE_BYTES, or a program that copied the file left
        it out.

    Raises:
        ValueError: The picture is damaged or does not match the recipe's hash; otherwise as `read_recipe`.
    """
    recipe, file = read_recipe(path), _check_file(path)
    png = read_cover(file, PICTURE_BYTES)
    if png is None:
        return None
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            size, given = (recipe["width"], recipe["height"]), (picture.size, picture.mode)
            if given != (size, "RGB"):  # before a pixel is decoded: a few bytes can name a picture of gigabytes
                raise ValueError(
                    say("it is {mode} of {size}, the video {wanted}", mode=picture.mode, size=picture.size, wanted=size)
                )
            picture.load()
            # A new picture: the file's own has whatever else the PNG says.
            pixels = Image.frombytes("RGB", size, picture.tobytes())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            say("{name} carries a picture that is damaged or not ours: {error}", name=file.name, error=error)
        ) from error
    if sha256(pixels) != recipe["image_sha256"]:
        raise ValueError(
            say("{name} carries a picture that does not match its recipe: one of them was changed", name=file.name)
        )
    return pixels


def strip_recipe(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Path:
    """Copy an mp4 without its recipe and input picture; its frames are not encoded again.

    Args:
        source: The mp4.
        target: The mp4 to write, whole or not at all; missing folders are created, and it may be `source`.

    Returns:
        The path of the copy.

    Raises:
        ValueError: `source` is not an mp4, or a wrong name.
        OSError: One of the two cannot be read or written.
    """
    file, copy = _check_file(source), check_path(target, ".mp4")
    read_comment(file, 2 * RECIPE_BYTES)  # ValueError for another kind of file
    with whole_file(copy) as hidden:
        copy_bare(file, hidden)
    return copy


class _UnknownFormat(ValueError):
    pass


def _check_file(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            say("the file to read must be a str or Path, not {path!r} ({kind})", path=path, kind=type(path).__name__)
        )
    text = os.fspath(path)
    if re.match(r"\s*[A-Za-z][\w+.-]+://", text):
        raise ValueError(
            say("a recipe is read from a file on this computer, not from a web address: {text!r}", text=text)
        )
    if not text.strip() or "\0" in text:
        raise ValueError(say("the file to read needs a name, without NUL; got {text!r}", text=text))
    file = Path(os.path.abspath(os.path.expanduser(text)))
    if not file.exists():
        raise FileNotFoundError(say("there is no file {text}. Give the mp4 that generate_video wrote", text=text))
    if not file.is_file():
        raise OSError(
            say("{text} is a folder or a device, not a file. Give the mp4 that generate_video wrote", text=text)
        )
    with file.open("rb"):  # PermissionError here, in its own words
        return file


def _parsed(text: str) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise ValueError(say("{name} is not a JSON number", name=name))

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError(say("a key appears twice"))
        return dict(pairs)

    if len(text.encode(errors="replace")) > RECIPE_BYTES:
        raise ValueError(say("it is longer than {recipe_bytes:,} bytes", recipe_bytes=RECIPE_BYTES))
    value = json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    if not isinstance(value, dict):
        raise ValueError(say("it is not a JSON object"))
    return value


def _checked(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return `recipe` if svd_lab could have written every value, with keys filled in that its version did not have."""
    number = recipe.get("svd_lab_recipe")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(say("svd_lab_recipe must be the number of the format, not {number}", number=str(number)[:40]))
    if number > FORMAT:
        raise _UnknownFormat(
            say(
                "its recipe has format {number}, from a newer svd-lab; this one knows {format}. Update: pip "
                "install --upgrade svd-lab",
                number=number,
                format=FORMAT,
            )
        )
    call = recipe.get("call")
    if not isinstance(call, str) or call not in _CALLS:
        raise ValueError(
            say("call must be one of {listed}, not {call!r}", listed=", ".join(_CALLS), call=str(call)[:40])
        )
    recipe = _LATER | recipe
    missing, more = _KEYS[call] - recipe.keys(), recipe.keys() - _KEYS[call]
    if missing or more:
        raise ValueError(
            say(
                "{names} is missing, and {count} keys are unknown",
                names=", ".join(sorted(missing)) or say("nothing"),
                count=len(more),
            )
        )
    for name, form in _CALLS[call].items():
        if not isinstance(recipe[name], str) or not re.fullmatch(form, recipe[name], re.S | re.A):
            raise ValueError(say("{name} cannot be {value!r}", name=name, value=str(recipe[name])[:40]))
    for name in {"weights", "image_weights"} & recipe.keys():
        if recipe[name] is not None and not re.fullmatch("[0-9a-f]{16}", str(recipe[name])):
            raise ValueError(say("{name} cannot be {value!r}", name=name, value=str(recipe[name])[:40]))
    versions = recipe["versions"]
    if not isinstance(versions, dict) or len(versions) > 20:
        raise ValueError(say("versions must be a few names with short texts"))
    if not all(isinstance(text, str) and len(name) + len(text) <= 200 for name, text in versions.items()):
        raise ValueError(say("versions must be a few names with short texts"))
    _check_values(recipe, call)
    return recipe


def _check_values(recipe: dict[str, Any], call: str) -> None:
    """Check the settings as the call itself does, and that none of them is left open."""
    given = {name: recipe[name] for name in _SETTINGS[call]}
    checked = check_settings(call, given)
    if not isinstance(recipe.get("image_attention_slicing", False), bool):
        raise ValueError(say("image_attention_slicing must be true or false"))
    if checked != given or given["seed"] < 0 or given["height"] is None or given["width"] is None:
        raise ValueError(say("a setting is open: a recipe names every one"))
