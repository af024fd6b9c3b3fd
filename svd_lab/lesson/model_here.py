"""What a lesson needs to write `from_pretrained` itself: where the model is, and which device and precision suit this computer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svd_lab.language import say
from svd_lab.models.checkpoints import locate
from svd_lab.models.table import IMAGE, VIDEO, Family
from svd_lab.pipelines import choose_device, whole_folder

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FoundModel:
    """A model on this computer.

    Attributes:
        name: What `load_video_pipeline` calls it; `move` gives the pipeline that name.
        source: Where it was found, in words.
        folder: The model's folder, in diffusers' layout.
        variant: "fp16" if the folder holds files in 16 bits that suit `dtype`, else None.
        dtype: torch.float16 on a CUDA GPU, else torch.float32.
        device: A CUDA GPU if there is one, else the CPU.
        size: (width, height) in pixels that the model was trained at.
    """

    name: str
    source: str
    folder: Path
    variant: str | None
    dtype: torch.dtype
    device: torch.device
    size: tuple[int, int]

    def __str__(self) -> str:
        precision = str(self.dtype).removeprefix("torch.")
        return say(
            "{name} ({source}): {width}x{height}, {precision} on {device}",
            name=self.name,
            source=say(self.source),
            width=self.size[0],
            height=self.size[1],
            precision=precision,
            device=self.device,
        )

    def move(self, pipe: Any) -> None:
        """Move a pipeline to the device: pipe.to(device), or in parts if the GPU's memory is too small for all of it."""
        pipe.svd_lab_name = self.name
        if self.device.type != "cuda":
            pipe.to(self.device)
            return
        from svd_lab.performance import placement

        if hasattr(pipe, "text_encoder"):
            placement.place_images(pipe, self.device, "auto")
        else:
            chosen, _ = placement.plan(self.folder, self.dtype, self.device, "auto", fused=False)
            placement.place(pipe, chosen, self.device)


def find_model(model: str = "auto", family: Family = VIDEO) -> FoundModel:
    """Find a model as `load_video_pipeline` does, and download it if it is missing, but do not load it.

    Args:
        model: As for `load_video_pipeline`; "auto" is the real model on a CUDA GPU, else the mini.
        family: VIDEO, or IMAGE for the models of `load_image_pipeline`.

    Raises:
        ValueError, OSError: As `load_video_pipeline`.
    """
    import torch

    device, _ = choose_device()
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    if model == "auto":
        model = family.real if device.type == "cuda" else "mini"
    found = locate(model, family)
    folder, variant = whole_folder(found, dtype, family)
    return FoundModel(found.name, found.source, folder, variant, dtype, device, folder_size(folder, family))


def folder_size(folder: Path, family: Family) -> tuple[int, int]:
    """(width, height) that the model in a folder was trained at, from its configs, without loading weights."""
    import json
    from types import SimpleNamespace

    from svd_lab.pipe_facts import native_size

    unet, vae = (json.loads((folder / part / "config.json").read_text("utf-8")) for part in ("unet", "vae"))
    facts = SimpleNamespace(
        unet=SimpleNamespace(config=SimpleNamespace(**unet)),
        vae=SimpleNamespace(config=SimpleNamespace(**vae)),
        vae_scale_factor=2 ** (len(vae["block_out_channels"]) - 1),
    )
    if family is not VIDEO:
        facts.text_encoder = None  # what native_size tells an image pipeline by
    return native_size(facts)


def find_image_model(model: str, video: FoundModel) -> FoundModel:
    """Find a text-to-image model that suits a video model; "auto" is the mini for small videos, else Stable Diffusion 2.1.

    Args:
        model: As for `load_image_pipeline`.
        video: The video model that is to animate its pictures. Stable Diffusion 2.1 draws no sides under 512 pixels.

    Raises:
        ValueError, OSError: As `load_image_pipeline`.
    """
    if model == "auto":
        model = "mini" if min(video.size) < 512 else IMAGE.real
    return find_model(model, IMAGE)
