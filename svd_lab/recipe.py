"""A clip's recipe: plain JSON values, enough to make the clip again; nothing private."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from svd_lab.performance import speed
from svd_lab.version import __version__

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline
    from PIL import Image

#: Of a recipe in a file. It increases whenever the keys or their meaning change; `recipe_file` reads every format.
FORMAT = 1


def make_recipe(
    pipe: StableVideoDiffusionPipeline,
    image: Any,
    picture: Image.Image,
    settings: dict[str, Any],
    frames: list[Image.Image] | None = None,
) -> dict[str, Any]:
    """Make the recipe of a clip of `generate_video`: settings, picture, model, machine, versions.

    Args:
        pipe: The video pipeline that made it.
        image: The picture as the caller gave it; only its name enters the recipe.
        picture: The picture as the model saw it; its hash enters the recipe.
        settings: The checked settings.
        frames: With them the recipe can travel in a file and be replayed.

    Returns:
        Plain JSON values.
    """
    made = _made("generate_video", frames) if frames else {}
    return made | {"image": image_name(image), "image_sha256": sha256(picture), **settings, **video_model(pipe)}


def make_text_recipe(
    image_pipe: StableDiffusionPipeline,
    pipe: StableVideoDiffusionPipeline,
    image: Image.Image,
    settings: dict[str, Any],
    frames: list[Image.Image],
) -> dict[str, Any]:
    """Make the recipe of a clip of `generate_text2video`, whose settings include the prompt; it names both models."""
    return {
        **_made("generate_text2video", frames),
        "image_sha256": sha256(image),
        **settings,
        **image_model(image_pipe),
        **video_model(pipe),
    }


def _made(call: str, frames: list[Image.Image]) -> dict[str, Any]:
    return {"svd_lab_recipe": FORMAT, "call": call, "frames_sha256": sha256(*frames)}


def image_model(image_pipe: StableDiffusionPipeline) -> dict[str, Any]:
    """Return the part of a recipe that describes the image pipeline."""
    return {
        "image_model": _model_name(image_pipe),
        "image_weights": fingerprint(image_pipe),
        "image_scheduler": type(image_pipe.scheduler).__name__,
        "image_device": str(image_pipe._execution_device),
        "image_dtype": str(image_pipe.unet.dtype).removeprefix("torch."),
        # It changes pixels by rounding; diffusers does not record it anywhere else.
        "image_attention_slicing": any(
            type(processor).__name__.startswith("Sliced") for processor in image_pipe.unet.attn_processors.values()
        ),
    }


def video_model(pipe: StableVideoDiffusionPipeline) -> dict[str, Any]:
    """Return the part of a recipe that describes the video pipeline, the machine and the versions."""
    packages = ("torch", "diffusers", "transformers")
    return {
        "model": _model_name(pipe),
        "weights": fingerprint(pipe),
        "scheduler": type(pipe.scheduler).__name__,
        "device": str(pipe._execution_device),
        "dtype": str(pipe.unet.dtype).removeprefix("torch."),
        "speed": speed.level(pipe),
        "machine": _machine(pipe._execution_device),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
            "svd_lab": __version__,
        },
    }


def _machine(device: torch.device) -> str:
    """Name what decides how sums are rounded: the GPU, or the CPU's architecture and torch's threads."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, threads: {torch.get_num_threads()}"


def fingerprint(pipe: Any) -> str | None:
    """Hash up to 16 numbers of every tensor: milliseconds, where hashing gigabytes takes seconds.

    Returns:
        16 hex digits that differ when the weights do; None if the weights are not in memory (sequential offload) or not plain
        numbers.
    """
    import torch

    digest = hashlib.sha256()
    for part, module in sorted(pipe.components.items()):
        if not isinstance(module, torch.nn.Module):
            continue
        try:
            tensors = {name.replace("_orig_mod.", ""): tensor for name, tensor in module.state_dict().items()}
            digest.update(repr((part, [(name, tuple(tensor.shape)) for name, tensor in tensors.items()])).encode())
            # A row from the middle is a view even of channels_last weights, which flattening would copy.
            rows = [t[tuple(side // 2 for side in t.shape[:-1])].reshape(-1)[:16].float() for t in tensors.values()]
            digest.update(torch.cat(rows).cpu().numpy().tobytes())
        except Exception:  # whatever it is, a finished video must not be lost over it
            return None
    return digest.hexdigest()[:16]


def _model_name(pipe: Any) -> str:
    """Return the model's name or Hub id; of a folder's path only the last part."""
    name = getattr(pipe, "svd_lab_name", None) or str(pipe.name_or_path)
    is_id = re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name)
    return name if is_id else PureWindowsPath(name).name or "unnamed"  # Windows' paths know both slashes


def sha256(*pictures: Image.Image) -> str:
    """Hash the pixels of pictures, in order, as 64 hex digits."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(picture.tobytes())
    return digest.hexdigest()


def image_name(image: Any) -> str:
    """Return a picture's name without folders, log-ins or queries; the type of an object without a name."""
    if isinstance(image, str) and "://" in image:
        parts = urlsplit(image)
        return f"{parts.scheme}://{parts.hostname}{parts.path}"
    if isinstance(image, str | os.PathLike):
        return Path(os.fspath(image)).name
    name = getattr(image, "filename", None) or getattr(image, "name", None)
    return image_name(name) if isinstance(name, str) and name else type(image).__name__
