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
    from diffusers import StableVideoDiffusionPipeline
    from PIL import Image


def make_recipe(
    pipe: StableVideoDiffusionPipeline, image: Any, picture: Image.Image, settings: dict[str, Any]
) -> dict[str, Any]:
    """All that is needed to make the clip again, as plain JSON values: settings, picture, model, machine, versions."""
    model = getattr(pipe, "svd_lab_name", None) or str(pipe.name_or_path)
    packages = ("torch", "diffusers", "transformers")
    return {
        "image": image_name(image),
        "image_sha256": hashlib.sha256(picture.tobytes()).hexdigest(),
        **settings,
        "model": Path(model).name if os.path.isabs(model) else model,
        "scheduler": type(pipe.scheduler).__name__,
        "device": str(pipe._execution_device),
        "dtype": str(pipe.unet.dtype).removeprefix("torch."),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
            "svd_lab": __version__,
        },
    }


def image_name(image: Any) -> str:
    """The picture's name without folders, log-ins or queries; the kind of object where it has none."""
    if isinstance(image, str) and "://" in image:
        parts = urlsplit(image)
        return f"{parts.scheme}://{parts.hostname}{parts.path}"
    if isinstance(image, str | os.PathLike):
        return Path(os.fspath(image)).name
    name = getattr(image, "filename", None) or getattr(image, "name", None)
    return Path(name).name if isinstance(name, str) and name else type(image).__name__
