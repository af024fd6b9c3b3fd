"""What a batch consists of: its request, its items, and whether an item's video is already done."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svd_lab.language import say
from svd_lab.settings_table import SETTINGS

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
# The fields of a recipe that say what was requested, not on which machine and with which versions it was made. `fit` is missing
# because the hash of the picture is taken after it was applied.
_REQUESTED = ("call", "image_sha256", *(name for name, row in SETTINGS.items() if row.recipe and name != "fit"))
_REQUESTED += ("model", "weights", "image_model", "image_weights")


@dataclass(frozen=True)
class BatchRequest:
    """What each process of a batch is asked to do; plain values, so that it can be passed as JSON.

    Attributes:
        items: As `list_items` returns them.
        text: Whether the items are prompts.
        seed, settings: Of every item's call.
        model, image_model, device, dtype, speed, memory: As for `generate_batch`.
        parent: Process id of the caller; its processes stop when it is gone.
    """

    items: list[dict[str, str]]
    text: bool
    seed: int
    settings: dict[str, Any]
    model: str
    image_model: str
    device: str | None
    dtype: str | None
    speed: str
    memory: str
    parent: int


def list_items(pictures: Any, prompts: Iterable[str] | None, out: Path) -> list[dict[str, str]]:
    """Return the items of a batch: {"picture" or "prompt", "video"} each, no two videos with the same name.

    Args:
        pictures: A folder, or a list of files; None with `prompts`.
        prompts: Texts; None with `pictures`.
        out: The folder of the videos.

    Raises:
        TypeError: Both were given, or neither.
        ValueError: There are no prompts.
        FileNotFoundError: There is no folder, or no picture in it.
    """
    if (pictures is None) == (prompts is None):
        raise TypeError(say("give either pictures or prompts"))
    if prompts is not None:
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        if not texts:
            raise ValueError(say("prompts is empty: give at least one text"))
        words = (re.sub(r"\W+", "-", str(text)).strip("-")[:40].rstrip("-") for text in texts)
        digits = max(3, len(str(len(texts))))
        names = [f"{number:0{digits}}-{word}".rstrip("-") for number, word in enumerate(words, 1)]
        return [{"prompt": text, "video": str(out / f"{name}.mp4")} for text, name in zip(texts, names, strict=True)]
    if isinstance(pictures, str | os.PathLike):
        folder = Path(pictures).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(
                say("there is no folder {folder}. Give a folder of pictures, or a list of files", folder=folder)
            )
        files = sorted(
            path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
    else:
        files = [Path(picture).expanduser() for picture in pictures]
    if not files:
        raise FileNotFoundError(
            say("there is no picture ({listed}) in {pictures}", listed=", ".join(SUFFIXES), pictures=pictures)
        )
    stems = [path.stem.casefold() for path in files]
    names = [path.stem if stems.count(path.stem.casefold()) == 1 else path.name for path in files]
    if len({name.casefold() for name in names}) < len(names):  # from different folders
        names = [f"{number:03}-{name}" for number, name in enumerate(names, 1)]
    return [{"picture": str(path), "video": str(out / f"{name}.mp4")} for path, name in zip(files, names, strict=True)]


def request_hash(recipe: dict[str, Any]) -> str:
    """16 hex digits that two recipes share when they answer the same request."""
    requested = {name: recipe.get(name) for name in _REQUESTED}
    requested = {
        name: value + 0.0 if isinstance(value, int) else value for name, value in requested.items()
    }  # 7 is 7.0
    return hashlib.sha256(json.dumps(requested, sort_keys=True).encode()).hexdigest()[:16]


def is_done(item: dict[str, str], request: BatchRequest, pipes: dict[str, Any]) -> bool:
    """Whether the video of an item is complete and was made for the same request.

    Args:
        item: As `list_items` returns it.
        request: The batch.
        pipes: {"pipe": video pipeline, "image_pipe": image pipeline, for prompts}.

    Raises:
        OSError, ValueError: The picture cannot be read.
    """
    from svd_lab.images import open_image
    from svd_lab.recipe import image_model, sha256, video_model
    from svd_lab.recipe_file import read_recipe
    from svd_lab.settings import check_size

    prompt = item.get("prompt")
    picture = open_image(item["picture"]) if prompt is None else None
    try:
        if not is_complete_mp4(Path(item["video"])):
            return False
        recipe = read_recipe(item["video"])
    except (OSError, ValueError):  # missing, incomplete, or from another program
        return False
    requested = call_settings(prompt is not None, request.seed, request.settings, prompt)
    requested |= check_size(pipes["pipe"], requested["height"], requested["width"], pipes.get("image_pipe"))
    requested |= video_model(pipes["pipe"])
    if picture is None:
        requested |= {"call": "generate_text2video", "image_sha256": recipe["image_sha256"]}
        requested |= image_model(pipes["image_pipe"])
    else:
        fitted = open_image(picture, size=(requested["width"], requested["height"]), fit=requested["fit"])
        requested |= {"call": "generate_video", "image_sha256": sha256(fitted)}
    return request_hash(requested) == request_hash(recipe)


def is_complete_mp4(path: Path) -> bool:
    """Whether the boxes of an mp4, each of which states its length, end where the file does [ISO 14496-12].

    The recipe is at the beginning, so a file that was cut off still has it. Raises OSError for a missing file.
    """
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # 0 means "to the end of the file", also of one that was cut off; ffmpeg does not write it
                return False
            position += length
    return position == size > 0


def call_settings(text: bool, seed: Any, settings: dict[str, Any], prompt: str | None = None) -> dict[str, Any]:
    """Return the settings of one item's call, checked, with every default filled in; raises as that call does."""
    from svd_lab.settings import check_settings

    if text:
        return check_settings("generate_text2video", settings | {"seed": seed, "prompt": prompt or "a"})
    return check_settings("generate_video", settings | {"seed": seed})


def check_call(text: bool, seed: Any, settings: dict[str, Any]) -> None:
    """Raise ValueError or TypeError for settings that a batch cannot have."""
    if isinstance(seed, int) and seed == -1:
        raise ValueError(
            say(
                "seed must be from 0 to 4294967295 in a batch, not -1: a batch that is resumed must ask for "
                "the same videos"
            )
        )
    call_settings(text, seed, settings)
