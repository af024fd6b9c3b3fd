"""Questions to a loaded pipeline: its native size, the step of sizes, its networks without torch.compile, its device's number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline


def uncompiled(network: Any) -> Any:
    """The network itself, where torch.compile has wrapped it; else what was given."""
    return getattr(network, "_orig_mod", network)


def native_size(pipe: StableVideoDiffusionPipeline | StableDiffusionPipeline) -> tuple[int, int]:
    """(width, height) in pixels that the model was trained at, read from its configs.

    A UNet of text to image says its own size in latent cells, one number for both sides or (height, width). Stability's video
    checkpoints carry one number for both (768: the side of a square of as many pixels as 1024x576). In svd_lab's own the VAE's
    sample_size is the height and the UNet's (in latent cells) the width.
    """
    cells = pipe.unet.config.sample_size
    if hasattr(pipe, "text_encoder"):
        height, width = (cells, cells) if isinstance(cells, int) else cells
        return width * pipe.vae_scale_factor, height * pipe.vae_scale_factor
    width = cells * pipe.vae_scale_factor
    height = getattr(pipe.vae.config, "sample_size", None) or width
    if width != height:
        return width, height
    step = size_step(pipe)
    return tuple(max(step, round(side / step) * step) for side in (width * 4 / 3, height * 3 / 4))


def size_step(pipe: StableVideoDiffusionPipeline | StableDiffusionPipeline) -> int:
    """Width and height must be multiples of this: 8 for diffusers, and for a video what the VAE and the UNet halve together
    (SVD: 64). The UNet of text to image takes odd sizes, too."""
    halvings = len(pipe.unet.config.down_block_types) - 1 if not hasattr(pipe, "text_encoder") else 0
    return math.lcm(8, pipe.vae_scale_factor * 2**halvings)


def device_number(device: Any) -> int:
    """The number of a CUDA device: torch.device("cuda") has none, and some of torch's functions want one."""
    import torch

    return torch.cuda.current_device() if device.index is None else device.index
