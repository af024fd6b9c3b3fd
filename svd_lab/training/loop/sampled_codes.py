"""Codes as the UNet makes them: what a decoder is given in use, and what another decoder makes of them."""

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
    """Codes [T,C,h,w] of the class's call on the first frames of clips, their pictures, and where things truly are (both uint8).

    Args:
        vae: Frozen; encodes the first frames, and decodes the codes, 14 frames at once.
        unet: Frozen.
        encoder: The image encoder, frozen.
        optimiser: Of the stage, for the CUDA graph.
        size: Clips to keep.
        batch: Clips sampled together.
        gpu: Whether to use CUDA graphs.
    """

    def __init__(
        self,
        vae: nn.Module,
        unet: nn.Module,
        encoder: nn.Module,
        optimiser: Optimiser,
        size: int,
        batch: int,
        gpu: bool,
    ):
        super().__init__(size, batch)
        self.vae, self.encoder, sigmas = vae, encoder, levels(STEPS)

        @torch.no_grad()
        def generate(
            noise: torch.Tensor, cond: torch.Tensor, embedding: torch.Tensor, ids: torch.Tensor
        ) -> torch.Tensor:
            return rollout(unet, noise, cond, embedding, ids, sigmas, GUIDANCE)[-1]

        self.generate = Graphed(generate, optimiser, gpu)

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        """Return the codes of pictures in -1 .. 1, in float32."""
        x = picture.to(next(self.vae.parameters()).dtype).contiguous(memory_format=torch.channels_last)
        return self.vae.quant_conv(self.vae.encoder(x)).float().chunk(2, 1)[0]

    @torch.no_grad()
    def add_clips(self, video: torch.Tensor, alpha: torch.Tensor, numbers: torch.Tensor) -> None:
        """Sample codes for `batch` clips of a PixelPool from new noise, and keep them."""
        first = video[:, 0]
        picture = first.float() / 127.5 - 1
        cond = self.encode(picture + AUGMENTATION * torch.randn_like(picture))
        ids = torch.cat([numbers, torch.full_like(numbers[:, :1], AUGMENTATION)], 1)
        noise = torch.randn(len(video), FRAMES, *cond.shape[1:], device=video.device)
        codes = self.generate(noise, cond, embed(self.encoder, first), ids) / self.vae.config.scaling_factor
        images = torch.zeros(len(codes), FRAMES, device=codes.device)
        dtype = next(self.vae.parameters()).dtype
        made = self.vae.decoder(codes.flatten(0, 1).to(dtype), num_frames=FRAMES, image_only_indicator=images)
        pictures = (made.float().clamp(-1, 1) * 127.5 + 127.5).round().byte()
        self.add(codes.half(), pictures.unflatten(0, (-1, FRAMES)), alpha)

    def frames(self, clips: int, frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return pictures in -1 .. 1, masks and codes of neighbouring frames, each [clips*frames,…]."""
        codes, pictures, alpha = self.parts
        d = codes.device
        i = torch.randint(self.n, (clips, 1), device=d)
        t = torch.randint(FRAMES - frames + 1, (clips, 1), device=d) + torch.arange(frames, device=d)
        x, mask, code = (part[i, t].flatten(0, 1).float() for part in (pictures, alpha, codes))
        return x / 127.5 - 1, mask[:, None] / 255, code
