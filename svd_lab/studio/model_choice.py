"""The models and speeds that the studio can choose on this machine, and how a run records its own. Knows no widgets."""

from __future__ import annotations

import re
from typing import Any

from svd_lab.language import mark
from svd_lab.models.checkpoints import check_location, locate
from svd_lab.models.table import IMAGE, VIDEO
from svd_lab.performance.speed import fits, level, resolve

#: What the studio calls the speeds.
SPEEDS = {"exact": mark("exact: the pixels of plain diffusers"), "fused": mark("fused: quicker, equal up to rounding")}


def models_here(pipe: Any) -> list[str]:
    """The name of the model of `pipe`, then those of the table whose files are complete on this machine."""
    found = [name_of(pipe)]
    for name in VIDEO.models:
        try:
            place = locate(name, VIDEO)
            if name not in found and place.folder is not None:
                check_location(place, half=False, family=VIDEO)
                found.append(name)
        except (OSError, ValueError):
            continue
    return found


def speeds_of(pipe: Any) -> list[str]:
    """The speeds that this pipeline can have where it is."""
    return [name for name in SPEEDS if name == level(pipe) or fits(name, pipe)]


def name_of(pipe: Any) -> str:
    """The name by which load_…_pipeline finds the model of a pipeline again: a folder where it has no other."""
    name = getattr(pipe, "svd_lab_name", None) or ""
    if name in VIDEO.models | IMAGE.models or "/" in name:
        return name
    return str(pipe.name_or_path)  # a folder: its name alone is not enough


def record(pipe: Any) -> dict[str, str]:
    """How a pipeline is loaded again: "name", "device", and "dtype" and "speed" where they are not the default."""
    import torch

    device, dtype = pipe._execution_device, pipe.unet.dtype
    found = {"name": name_of(pipe), "device": str(device)}
    if dtype != (torch.float16 if device.type == "cuda" else torch.float32):
        found["dtype"] = str(dtype)
    if hasattr(pipe, "image_encoder") and hasattr(pipe.unet.config, "num_frames"):  # a video pipeline
        speed = level(pipe)
        if speed != resolve("auto", device, dtype):
            found["speed"] = speed
    return found


def arguments(recorded: dict[str, str]) -> str:
    """The arguments of load_…_pipeline for what `record` returned."""
    parts = [repr(recorded["name"]), f"device={recorded['device']!r}"]
    if re.fullmatch(r"torch\.\w+", recorded.get("dtype", "")):  # code is made of nothing else that a file says
        parts.append(f"dtype={recorded['dtype']}")
    if "speed" in recorded:
        parts.append(f"speed={recorded['speed']!r}")
    return ", ".join(parts)
