"""What a batch consists of: its items, the request that each of them is, and whether a video answers it already."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from svd_lab.settings_table import SETTINGS

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
#: What of a recipe makes the request: the same request, the same hash. Machine and versions are not asked for; `fit` has done its
#: work when the picture is hashed.
_REQUEST = ("call", "image_sha256", *(name for name, row in SETTINGS.items() if row.recipe and name != "fit"))
_REQUEST += ("model", "weights", "image_model", "image_weights")


def list_items(pictures: Any, prompts: Iterable[str] | None, out: Path) -> list[dict[str, str]]:
    """[{"picture" or "prompt", "video"}], no two videos of one name."""
    if (pictures is None) == (prompts is None):
        raise TypeError("give either pictures or prompts")
    if prompts is not None:
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        if not texts:
            raise ValueError("prompts is empty: give at least one text")
        words = (re.sub(r"\W+", "-", str(text)).strip("-")[:40].rstrip("-") for text in texts)
        wide = max(3, len(str(len(texts))))
        names = [f"{number:0{wide}}-{word}".rstrip("-") for number, word in enumerate(words, 1)]
        return [{"prompt": text, "video": str(out / f"{name}.mp4")} for text, name in zip(texts, names, strict=True)]
    if isinstance(pictures, str | os.PathLike):
        folder = Path(pictures).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}. Give a folder of pictures, or a list of files")
        files = sorted(
            path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
    else:
        files = [Path(picture).expanduser() for picture in pictures]
    if not files:
        raise FileNotFoundError(f"there is no picture ({', '.join(SUFFIXES)}) in {pictures}")
    stems = [path.stem.casefold() for path in files]
    names = [path.stem if stems.count(path.stem.casefold()) == 1 else path.name for path in files]
    if len({name.casefold() for name in names}) < len(names):  # two folders
        names = [f"{number:03}-{name}" for number, name in enumerate(names, 1)]
    return [{"picture": str(path), "video": str(out / f"{name}.mp4")} for path, name in zip(files, names, strict=True)]


def request_hash(recipe: dict[str, Any]) -> str:
    """16 hex digits that two recipes share when they answer the same request."""
    asked = {name: recipe.get(name) for name in _REQUEST}
    asked = {name: value + 0.0 if isinstance(value, int) else value for name, value in asked.items()}  # 7 is 7.0
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def is_done(video: str, job: dict[str, Any], pipes: dict[str, Any], what: dict[str, Any]) -> bool:
    """Whether the file at `video` is complete and answers this very request."""
    from svd_lab.images import open_image
    from svd_lab.recipe import image_model, sha256, video_model
    from svd_lab.recipe_file import read_recipe
    from svd_lab.settings import check_size

    try:
        if not is_whole(Path(video)):
            return False
        recipe = read_recipe(video)
    except (OSError, ValueError):  # none, half of one, another program's
        return False
    asked = checked("prompt" in what, job["seed"], job["settings"], what.get("prompt"))
    asked |= check_size(pipes["pipe"], asked["height"], asked["width"], pipes.get("image_pipe")) | video_model(
        pipes["pipe"]
    )
    if "prompt" in what:
        asked |= {
            "call": "generate_text2video",
            "image_sha256": recipe["image_sha256"],
            **image_model(pipes["image_pipe"]),
        }
    else:
        picture = open_image(what["picture"], size=(asked["width"], asked["height"]), fit=asked["fit"])
        asked |= {"call": "generate_video", "image_sha256": sha256(picture)}
    return request_hash(asked) == request_hash(recipe)


def is_whole(path: Path) -> bool:
    """Whether an mp4's boxes, each of which says its length, end where the file does [ISO 14496-12]: the recipe stands in front,
    and a copy that was cut off has it, too. Raises OSError for no file."""
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # 0 would be "to the end of the file", which a cut one has, too; ffmpeg does not write it
                return False
            place += length
    return place == size > 0


def checked(text: bool, seed: Any, settings: dict[str, Any], prompt: str | None = None) -> dict[str, Any]:
    """The settings of one item's call, every default filled in, as its recipe has them; raises as that call."""
    from svd_lab.settings import check_settings

    if text:
        return check_settings("generate_text2video", settings | {"seed": seed, "prompt": prompt or "a"})
    return check_settings("generate_video", settings | {"seed": seed})


def check_all(text: bool, seed: Any, settings: dict[str, Any]) -> None:
    if isinstance(seed, int) and seed == -1:
        raise ValueError(
            "seed must be from 0 to 4294967295 in a batch, not -1: a run that is resumed must ask for the same videos"
        )
    checked(text, seed, settings)
