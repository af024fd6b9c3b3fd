"""Training data of the UNet and turbo: clips as latents of the frozen VAE; and the image encoders that embed their pictures."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.loop.checkpoints import load_parts
from svd_lab.training.loop.render_workers import Rendered, render
from svd_lab.training.loop.ring import Ring
from svd_lab.training.networks.video import CLIP_MEAN, CLIP_STD, clip_of, make_vae, vae_of
from svd_lab.world.clips import FRAMES
from svd_lab.world.scenes import World

H, W = 16, 28  # latent cells
AUGMENTATION = 0.02  # noise_aug_strength of three clips in five, the pipeline's default; the others: up to 0.1


def load_vae(path: str, device: str) -> nn.Module:
    """Return the VAE of a checkpoint or folder (for "none" an untrained one: dry runs), frozen."""
    if path == "none":
        vae = make_vae()
    else:
        saved = load_parts(path)
        vae = vae_of(saved["vae"])
        vae.register_to_config(scaling_factor=saved["scaling_factor"])
    return vae.to(device).eval().requires_grad_(False)


def clip_pixels(picture: torch.Tensor) -> torch.Tensor:
    """Prepare pictures for CLIP as the pipeline does: uint8 [n,3,128,224] -> [n,3,224,224].

    The pipeline's anti-alias blur is the identity at this size.
    """
    x = F.interpolate(picture.float() / 127.5 - 1, size=(224, 224), mode="bicubic", align_corners=True) * 0.5 + 0.5
    # numbers, not tensors: nothing may be copied to the GPU while a CUDA graph is captured
    return torch.stack([(x[:, i] - m) / s for i, (m, s) in enumerate(zip(CLIP_MEAN, CLIP_STD, strict=True))], 1)


def embed(encoder: nn.Module, picture: torch.Tensor) -> torch.Tensor:
    """Return the embeddings [n,64] of uint8 pictures [n,3,128,224], in the encoder's dtype."""
    return encoder(clip_pixels(picture).to(encoder.dtype)).image_embeds


def check_weaker_encoder(share: float, path: str) -> None:
    """Raise ValueError unless --weaker-share and --weaker-encoder are given together."""
    if not 0 <= share <= 1 or (share > 0) != bool(path):
        raise ValueError(
            f"--weaker-share {share:g} and --weaker-encoder '{path}' belong together: a share of the clips, above 0 and up to 1, "
            "and the checkpoint of the image encoder that embeds them. Give both or neither"
        )


def load_encoder(path: str, device: str, dtype: torch.dtype) -> nn.Module | None:
    """Return the image encoder of a checkpoint, frozen; None for an empty path."""
    return clip_of(load_parts(path)["clip"]).to(device, dtype).eval().requires_grad_(False) if path else None


def mix_embeddings(
    weaker: nn.Module | None, picture: torch.Tensor, embedding: torch.Tensor, chosen: torch.Tensor
) -> torch.Tensor:
    """Replace the embeddings [n,64] of the `chosen` pictures (bool [n]) by those of a weaker encoder, if there is one."""
    return embedding if weaker is None else torch.where(chosen[:, None], embed(weaker, picture), embedding)


class LatentBank(Ring):
    """Clips already encoded: video latents, picture latents, the picture, ids, mask, and what moves (Rendered.what).

    Args:
        vae: Frozen.
        world: Draws the clips; its device is the bank's.
        size: Clips to keep.
        batch: Clips encoded together.
        settings: Of `world.clips`.

    Attributes:
        seen: Clips put in so far.
    """

    def __init__(self, vae: nn.Module, world: World, size: int, batch: int, **settings: Any):
        super().__init__(size, batch)
        self.vae, self.world, self.settings, self.seen = vae, world, settings, 0

    def render(self) -> list[Rendered]:
        """Draw a batch for `put`, here and now."""
        return [render(self.world, self.batch, **self.settings)]

    def fill(self) -> None:
        """Draw a batch and put it in."""
        self.put(self.render())

    @torch.no_grad()
    def put(self, parts: list[Rendered]) -> None:
        """Encode and keep `batch` clips; in a full bank they replace the oldest."""
        device = self.world.draw.device
        there = zip(*([t.to(device, non_blocking=True) for t in part] for part in parts), strict=True)
        frames, numbers, mask, what = (torch.cat(t) for t in there)
        n, first = len(frames), frames[:, 0]
        picture = first.float() / 127.5 - 1
        aug = torch.where(torch.rand(n, device=device) < 0.6, AUGMENTATION, torch.rand(n, device=device) * 0.1)
        noisy = picture + aug[:, None, None, None] * torch.randn_like(picture)
        z = self._encode(torch.cat([frames.flatten(0, 1).float() / 127.5 - 1, noisy]), max(1, n * 5))
        video = (z[: n * FRAMES] * self.vae.config.scaling_factor).view(n, FRAMES, -1, H, W)
        if self.world.scale > 1:  # the image encoder sees pictures of 224 x 128 pixels
            first = F.avg_pool2d(first.float(), self.world.scale).round().to(torch.uint8)
        ids = torch.cat([numbers, aug[:, None]], 1)
        self.add(video.half(), z[n * FRAMES :].half(), first, ids, mask.half(), what)
        self.seen += n

    def _encode(self, pixels: torch.Tensor, at_once: int) -> torch.Tensor:
        """Return the mode of the VAE's latents for pixels [m,3,H,W] in -1 .. 1, in float32."""
        channels = self.vae.config.latent_channels
        parts = pixels.to(next(self.vae.parameters()).dtype).split(at_once)
        encoded = (self.vae.encoder(x.contiguous(memory_format=torch.channels_last)) for x in parts)
        return torch.cat([self.vae.quant_conv(h)[:, :channels].float() for h in encoded])

    def draw(self, n: int, frames: int) -> list[torch.Tensor]:
        """Return n random clips, their first `frames` frames."""
        x, *rest = self.sample(n)
        return [x[:, :frames].float(), *rest]

    def newest(self, n: int) -> list[torch.Tensor]:
        """Return up to n clips of the last `put`."""
        x, *rest = super().newest(n)
        return [x.float(), *rest]
