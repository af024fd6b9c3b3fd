"""Make a clip again from the recipe in its mp4, and report whether the frames are the same or what differs here."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from svd_lab.clip import Clip, check_video_path
from svd_lab.generation import check_video_pipe, generate_video
from svd_lab.images import open_image
from svd_lab.language import say
from svd_lab.models.table import IMAGE, VIDEO, Family
from svd_lab.recipe import image_model, sha256, video_model
from svd_lab.recipe_file import PICTURE_BYTES, read_picture, read_recipe
from svd_lab.text2video import check_image_pipe, generate_text2video

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline
    from PIL import Image


class ReplayWarning(UserWarning):
    """Something here differs from when the clip was made, or the frames are not the same."""


def replay(
    path: str | os.PathLike[str],
    video_file: str | os.PathLike[str],
    *,
    pipe: StableVideoDiffusionPipeline | None = None,
    image_pipe: StableDiffusionPipeline | None = None,
    image: Any = None,
    on_step: Callable[[int, int, float], object] | None = None,
    cancel: threading.Event | None = None,
) -> Clip:
    """Make the clip of an mp4 again, write it to `video_file`, and return it as a Clip.

    On the machine that made it, with the same versions, the frames are the same to the bit, and a line says so. A ReplayWarning
    before the run lists what differs here (versions, weights, device, …), and one after it says if the frames are not the same.

    Args:
        path: An mp4 that generate_video, generate_text2video or replay wrote.
        video_file: The .mp4 to write; a different file from `path`.
        pipe: From `load_video_pipeline`; None loads the model that the recipe names, on the same kind of device and in the same
            precision if this machine has them. Only models that svd_lab knows by name ("mini", "svd", "sd21", …) are loaded because
            a file names them: a file from elsewhere must not choose what is downloaded. For others give the pipeline.
        image_pipe: From `load_image_pipeline`, likewise, for a clip made from a prompt: its image is drawn again, because the
            video's noise continues where the image's ended.
        image: The picture, whatever `open_image` takes, if the file holds only its hash (see `recipe_file.PICTURE_BYTES`).
        on_step, cancel: As for `generate_video`.

    Raises:
        ValueError: A model or a picture that must be given, or a picture that is not the clip's; also as `read_recipe`.
        TypeError, OSError, Cancelled: As `read_recipe`, `read_picture` and `generate_video`.
    """
    recipe = read_recipe(path)
    target = check_video_path(video_file)
    if target.exists() and os.path.samefile(target, os.path.expanduser(path)):
        raise ValueError(say("{name} is the clip to replay; give another file to write", name=target.name))
    from_text = recipe["call"] == "generate_text2video"
    picture = None if from_text else _picture(path, recipe, image)
    if from_text:
        image_pipe = check_image_pipe(image_pipe) if image_pipe is not None else _load(recipe, IMAGE, "image_")
    pipe = check_video_pipe(pipe) if pipe is not None else _load(recipe, VIDEO)

    here = video_model(pipe) | (image_model(image_pipe) if from_text else {})
    changes = differences(recipe, here)
    if changes:
        _warn(
            say(
                "this differs from when {file} was made: {changes}",
                file=os.path.basename(path),
                changes="; ".join(changes),
            )
        )
    call = generate_text2video if from_text else generate_video
    settings = {name: recipe[name] for name in call.__kwdefaults__ if name in recipe}
    settings |= {"pipe": pipe, "on_step": on_step, "cancel": cancel}
    if from_text:
        clip = call(recipe["prompt"], target, recipe["seed"], image_pipe=image_pipe, **settings)
    else:
        clip = call(picture, target, recipe["seed"], **settings)

    if clip.recipe["frames_sha256"] == recipe["frames_sha256"]:
        print(say("replayed: all {count} frames are the same, difference 0", count=len(clip)))
        return clip
    what = say("frames") if clip.recipe["image_sha256"] == recipe["image_sha256"] else say("image and its frames")
    because = "; ".join(changes) or (
        say(
            "nothing that the recipe records differs: the pipeline may be configured differently "
            "(scheduler, attention), or the device may not be deterministic"
        )
    )
    _warn(
        say(
            "the {what} are not the same as those of {file}: {because}",
            what=what,
            file=os.path.basename(path),
            because=because,
        )
    )
    return clip


def differences(recipe: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """List what differs from the recipe, as lines like "torch was 2.12.0, is 2.13.0"; here: from video_model and image_model."""
    was = {**recipe, **recipe["versions"]}
    now = {**here, **here["versions"]}
    del now["versions"]
    return [
        say("{name} was {before!s:.80}, is {value}", name=name, before=was.get(name), value=value)
        for name, value in now.items()
        if was.get(name) != value
    ]


def _picture(path: str | os.PathLike[str], recipe: dict[str, Any], image: Any) -> Image.Image:
    picture = read_picture(path)
    if picture is None:
        size = recipe["width"], recipe["height"]
        if image is None:
            raise ValueError(
                say(
                    "{file} holds only the hash of its picture, {image!r}: as a PNG it was larger than "
                    "{picture_bytes:.0f} MB, or a program that copied the file left it out. Give the picture: "
                    "image=...",
                    file=os.path.basename(path),
                    image=recipe["image"][:100],
                    picture_bytes=PICTURE_BYTES / 1e6,
                )
            )
        picture = open_image(image, size=size, fit=recipe["fit"])
        if sha256(picture) != recipe["image_sha256"]:
            raise ValueError(
                say(
                    "the given picture is not the one that {file} was made from ({image!r}): at {width}x{height} "
                    "its pixels differ. Give the original, unchanged",
                    file=os.path.basename(path),
                    image=recipe["image"][:100],
                    width=size[0],
                    height=size[1],
                )
            )
    picture.filename = recipe["image"]  # so that the new recipe names it as the old one does
    return picture


def _load(recipe: dict[str, Any], family: Family, prefix: str = "") -> Any:
    import torch

    from svd_lab import pipelines
    from svd_lab.performance.speed import resolve

    name, argument = recipe[prefix + "model"], "image_pipe" if prefix else "pipe"
    ids = {model.hub_id: key for key, model in family.models.items() if model.hub_id}
    key = ids.get(name, name)
    if key not in family.models:
        raise ValueError(
            say(
                "the clip was made with {name!r}, {makes}, which svd_lab does not know by name; a file may "
                "not choose other models to load. Load it yourself: {argument}={loader}(...)",
                name=name[:100],
                makes=say(family.makes),
                argument=argument,
                loader=family.loader,
            )
        )
    place: dict[str, Any] = {}
    try:  # without the number: a GPU's place in the machine decides no pixel
        pipelines.choose_device(kind := recipe[prefix + "device"].partition(":")[0])
        place["device"] = kind
        place["dtype"] = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32")}[
            recipe[prefix + "dtype"]
        ]
    except (ValueError, KeyError):
        place = {}  # what this machine has; the differences tell
    if not prefix and place:
        try:
            place["speed"] = resolve(recipe["speed"], torch.device(place["device"]), place["dtype"])
        except ValueError:
            pass  # what is fastest here; the differences tell
    if prefix:
        place["attention_slicing"] = recipe["image_attention_slicing"]
    return getattr(pipelines, family.loader)(key, **place)


def _warn(text: str) -> None:
    warnings.warn(text, ReplayWarning, stacklevel=3)
