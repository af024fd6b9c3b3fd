"""A clip's recipe: plain JSON values that are enough to make it again, and nothing that a person would not show around."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from svd_lab import __version__

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline
    from PIL import Image


def make_recipe(
    pipe: StableVideoDiffusionPipeline, image: Any, picture: Image.Image, settings: dict[str, Any]
) -> dict[str, Any]:
    """All that is needed to make the clip again, as plain JSON values: settings, picture, model, machine, versions."""
    return {"image": image_name(image), "image_sha256": _sha256(picture), **settings, **_video_model(pipe)}


def make_text_recipe(
    image_pipe: StableDiffusionPipeline,
    pipe: StableVideoDiffusionPipeline,
    image: Image.Image,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The same for a clip that was made from a prompt, which is among the settings: the image's model stands beside the video's."""
    return {
        "image_sha256": _sha256(image),
        **settings,
        "image_model": _model_name(image_pipe),
        "image_scheduler": type(image_pipe.scheduler).__name__,
        "image_device": str(image_pipe._execution_device),
        "image_dtype": str(image_pipe.unet.dtype).removeprefix("torch."),
        # It changes pixels by rounding; diffusers keeps no switch that could be asked.
        "image_attention_slicing": any(
            type(processor).__name__.startswith("Sliced") for processor in image_pipe.unet.attn_processors.values()
        ),
        **_video_model(pipe),
    }


def _video_model(pipe: StableVideoDiffusionPipeline) -> dict[str, Any]:
    packages = ("torch", "diffusers", "transformers")
    return {
        "model": _model_name(pipe),
        "scheduler": type(pipe.scheduler).__name__,
        "device": str(pipe._execution_device),
        "dtype": str(pipe.unet.dtype).removeprefix("torch."),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
            "svd_lab": __version__,
        },
    }


def _model_name(pipe: Any) -> str:
    name = getattr(pipe, "svd_lab_name", None) or str(pipe.name_or_path)
    return Path(name).name if os.path.isabs(name) else name


def _sha256(picture: Image.Image) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


def image_name(image: Any) -> str:
    """The picture's name without folders, log-ins or queries; the kind of object where it has none."""
    if isinstance(image, str) and "://" in image:
        parts = urlsplit(image)
        return f"{parts.scheme}://{parts.hostname}{parts.path}"
    if isinstance(image, str | os.PathLike):
        return Path(os.fspath(image)).name
    name = getattr(image, "filename", None) or getattr(image, "name", None)
    return Path(name).name if isinstance(name, str) and name else type(image).__name__
