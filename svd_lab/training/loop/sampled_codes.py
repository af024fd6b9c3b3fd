"""Codes as the UNet makes them, beside the true clips: what a decoder is given in use, and what it should make of it."""

from collections.abc import Callable

import torch
from torch import nn

from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.latent_bank import AUGMENTATION, embed
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.ring import Ring
from svd_lab.training.loop.sampling import levels, rollout
from svd_lab.training.loop.self_sampling import GUIDANCE, STEPS
from svd_lab.world.clips import FRAMES


class SampledCodes(Ring):
    """True clips (uint8), where things are (uint8), and codes [T,C,h,w] of the class's call on their first frames.

    Args:
        encode: Pictures [n,3,128,224] in -1 .. 1 -> codes.
        factor: The VAE's scaling factor.
        unet: Frozen.
        encoder: The image encoder, frozen.
        optimiser: Of the stage, for the CUDA graph.
        size: Clips to keep.
        batch: Clips sampled together.
        gpu: Whether to use CUDA graphs.
    """

    def __init__(
        self,
        encode: Callable[[torch.Tensor], torch.Tensor],
        factor: float,
        unet: nn.Module,
        encoder: nn.Module,
        optimiser: Optimiser,
        size: int,
        batch: int,
        gpu: bool,
    ):
        super().__init__(size, batch)
        self.encode, self.factor, self.encoder, sigmas = encode, factor, encoder, levels(STEPS)

        @torch.no_grad()
        def generate(
            noise: torch.Tensor, cond: torch.Tensor, embedding: torch.Tensor, ids: torch.Tensor
        ) -> torch.Tensor:
            return rollout(unet, noise, cond, embedding, ids, sigmas, GUIDANCE)[-1]

        self.generate = Graphed(generate, optimiser, gpu)

    @torch.no_grad()
    def add_clips(self, video: torch.Tensor, alpha: torch.Tensor, numbers: torch.Tensor) -> None:
        """Sample codes for `batch` clips of a PixelPool from new noise, and keep them."""
        first = video[:, 0]
        picture = first.float() / 127.5 - 1
        cond = self.encode(picture + AUGMENTATION * torch.randn_like(picture))
        ids = torch.cat([numbers, torch.full_like(numbers[:, :1], AUGMENTATION)], 1)
        noise = torch.randn(len(video), FRAMES, *cond.shape[1:], device=video.device)
        codes = self.generate(noise, cond, embed(self.encoder, first), ids) / self.factor
        self.add(video, alpha, codes.half())

    def frames(self, clips: int, frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return whole pictures in -1 .. 1, masks and codes of neighbouring frames, each [clips*frames,…]."""
        video, alpha, codes = self.parts
        d = video.device
        i = torch.randint(self.n, (clips, 1), device=d)
        t = torch.randint(FRAMES - frames + 1, (clips, 1), device=d) + torch.arange(frames, device=d)
        x, mask, code = (part[i, t].flatten(0, 1).float() for part in (video, alpha, codes))
        return x / 127.5 - 1, mask[:, None] / 255, code
