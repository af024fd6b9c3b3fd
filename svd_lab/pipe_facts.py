"""Facts about a loaded pipeline (native size, step of sizes, uncompiled networks) and about torch (device number, build)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from svd_lab.language import say

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline


def uncompiled(network: Any) -> Any:
    """Return the network inside torch.compile's wrapper, or the network itself where there is none."""
    return getattr(network, "_orig_mod", network)


def native_size(pipe: StableVideoDiffusionPipeline | StableDiffusionPipeline) -> tuple[int, int]:
    """Return (width, height) in pixels that the model was trained at, from its configs.

    A text-to-image UNet gives its size in latent cells, one number for both sides or (height, width). Stability's video checkpoints
    give one number for both (768: the side of a square with as many pixels as 1024x576). In svd_lab's own, the VAE's sample_size is
    the height and the UNet's (in latent cells) the width.
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
    """Return the number that width and height must be multiples of.

    8 for diffusers; for a video also the product of all halvings of VAE and UNet (SVD: 64). A text-to-image UNet takes odd sizes.
    """
    halvings = len(pipe.unet.config.down_block_types) - 1 if not hasattr(pipe, "text_encoder") else 0
    return math.lcm(8, pipe.vae_scale_factor * 2**halvings)


def device_number(device: Any) -> int:
    """Return the number of a CUDA device: torch.device("cuda") has none, and some of torch's functions need one."""
    import torch

    return torch.cuda.current_device() if device.index is None else device.index


def torch_build() -> str:
    """Return which torch is installed, and whether it can use CUDA, in words."""
    import torch

    return say("torch {version} is built ", version=torch.__version__) + (
        say("for CUDA {cuda}", cuda=torch.version.cuda) if torch.version.cuda else say("without CUDA")
    )
