"""What the UNet's stages learn from: clips as latents of the frozen VAE."""

import torch
import torch.nn.functional as F

from .models import CLIP_MEAN, CLIP_STD, clip_of, make_vae, vae_of
from .renderer import Rendered, render
from .scenes import FRAMES, World
from .stretch import Ring, load_parts

H, W = 16, 28  # latent cells


def load_vae(path: str, device: str):
    """The VAE of a checkpoint (or an untrained one for "none": dry runs), frozen."""
    if path == "none":
        vae = make_vae()
    else:
        saved = load_parts(path)
        vae = vae_of(saved["vae"])
        vae.register_to_config(scaling_factor=saved["scaling_factor"])
    return vae.to(device).eval().requires_grad_(False)


def clip_pixels(picture: torch.Tensor) -> torch.Tensor:
    """uint8 [n,3,128,224] -> what the pipeline feeds CLIP [n,3,224,224]; its anti-alias blur is the identity at this size."""
    x = F.interpolate(picture.float() / 127.5 - 1, size=(224, 224), mode="bicubic", align_corners=True) * 0.5 + 0.5
    # numbers, not tensors: nothing may be copied to the GPU while a CUDA graph is captured
    return torch.stack([(x[:, i] - m) / s for i, (m, s) in enumerate(zip(CLIP_MEAN, CLIP_STD, strict=True))], 1)


def embed(encoder, picture: torch.Tensor) -> torch.Tensor:
    """What an image encoder answers to uint8 pictures [n,3,128,224]: [n,64], in its own dtype."""
    return encoder(clip_pixels(picture).to(encoder.dtype)).image_embeds


def load_doubter(share: float, path: str, device: str, dtype: torch.dtype):
    """The image encoder of the checkpoint `path`, frozen, that answers for a `share` of the clips; None without either."""
    if not 0 <= share <= 1 or (share > 0) != bool(path):
        raise SystemExit(
            f"--doubt {share:g} and --doubter '{path}' belong together: a share of the clips above 0 and up to 1, and the "
            "checkpoint with the encoder that answers for them. Give both, or leave both out"
        )
    return clip_of(load_parts(path)["clip"]).to(device, dtype).eval().requires_grad_(False) if path else None


def doubts(doubter, picture: torch.Tensor, embedding: torch.Tensor, doubted: torch.Tensor) -> torch.Tensor:
    """`embedding` [n,64], but for the pictures that are `doubted` (bool [n]) the answer of another encoder, if there is one."""
    return embedding if doubter is None else torch.where(doubted[:, None], embed(doubter, picture), embedding)


class Bank(Ring):
    """Clips already encoded: video latents, picture latents, the picture, the three numbers, where things are, what they are."""

    def __init__(self, vae, world: World, size: int, batch: int, **settings):
        super().__init__(size, batch)
        self.vae, self.world, self.settings, self.seen = vae, world, settings, 0

    def render(self) -> list[Rendered]:
        """A batch to put, drawn here and now."""
        return [render(self.world, self.batch, **self.settings)]

    def fill(self) -> None:
        self.put(self.render())

    @torch.no_grad()
    def put(self, parts: list[Rendered]) -> None:
        """Encode and keep clips, `batch` of them together; where the bank is full they replace the oldest."""
        device = self.world.draw.device
        there = zip(*([t.to(device, non_blocking=True) for t in part] for part in parts), strict=True)
        frames, numbers, m, what = (torch.cat(t) for t in there)
        n, first = len(frames), frames[:, 0]
        picture = first.float() / 127.5 - 1
        aug = torch.where(torch.rand(n, device=device) < 0.6, 0.02, torch.rand(n, device=device) * 0.1)
        noisy = picture + aug[:, None, None, None] * torch.randn_like(picture)
        x = torch.cat([frames.flatten(0, 1).float() / 127.5 - 1, noisy])
        x = x.to(next(self.vae.parameters()).dtype)
        encode = lambda q: self.vae.quant_conv(self.vae.encoder(q.contiguous(memory_format=torch.channels_last)))  # noqa: E731
        latent = self.vae.config.latent_channels
        z = torch.cat([encode(q)[:, :latent].float() for q in x.split(max(1, n * 5))])
        video = (z[: n * FRAMES] * self.vae.config.scaling_factor).view(n, FRAMES, latent, H, W)
        if self.world.scale > 1:  # as the image encoder is used to see it
            first = F.avg_pool2d(first.float(), self.world.scale).round().to(torch.uint8)
        ids = torch.cat([numbers, aug[:, None]], 1)
        self.add(video.half(), z[n * FRAMES :].half(), first, ids, m.half(), what)
        self.seen += n

    def draw(self, n: int, frames: int) -> list[torch.Tensor]:
        x, *rest = self.any(n)
        return [x[:, :frames].float(), *rest]

    def newest(self, n: int) -> list[torch.Tensor]:
        x, *rest = super().newest(n)
        return [x.float(), *rest]
