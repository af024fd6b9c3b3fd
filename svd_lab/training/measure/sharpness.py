"""Measures of what a VAE draws that PSNR forgives: softness, errors at the border, what a thing leaves behind."""

import torch
from torch import nn

from svd_lab.training.stages.large_vae_measure import laplacian
from svd_lab.world.clips import Clips
from svd_lab.world.measures import grow

CORNER = (8, 32)  # height and width in pixels at the bottom right, where a large VAE's droplet was
BORDER = 8  # pixels
GHOST = 24 / 255  # difference from the background, in the channel that differs most
FEWEST = 60  # pixels that a thing must have left


def sharp(video: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> list[float]:
    """The mean Laplacian of each clip's last four frames in `mask` [n,T,H,W] bool, relative to that of the true clip."""
    m = mask[:, -4:, 1:-1, 1:-1].float()
    a, b = ((laplacian(v[:, -4:]) * m).sum((1, 2, 3)) for v in (video, true))
    return (a / b.clamp(min=1e-6)).tolist()


def edge_errors(video: torch.Tensor, true: torch.Tensor) -> tuple[list[float], list[float]]:
    """The mean absolute error of each clip, of 255, in the bottom right corner and in the border of videos [n,T,3,H,W]."""
    error = (video - true).abs().mean((1, 2)) * 255
    border = torch.ones_like(error[0], dtype=torch.bool)
    border[BORDER:-BORDER, BORDER:-BORDER] = False
    corner = error[:, -CORNER[0] :, -CORNER[1] :].mean((1, 2))
    return corner.tolist(), error[:, border].mean(1).tolist()


def ghosts(video: torch.Tensor, truth: Clips) -> list[float]:
    """What each thing leaves behind: in the last frame, the share of the pixels that it has left which differ from the background.

    nan where it has left fewer than FEWEST.
    """
    left = (truth.alpha[:, :-3].amax(1) > 0.5) & ~grow(truth.alpha[:, -1] > 0.01, 2)
    differs = (video[:, -1] - truth.background).abs().amax(1) > GHOST
    counts = left.sum((1, 2))
    return [
        float((d & g).sum() / n) if n >= FEWEST else float("nan") for d, g, n in zip(differs, left, counts, strict=True)
    ]


@torch.no_grad()
def through(vae: nn.Module, video: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Encode and decode videos [n,T,3,H,W] in 0..1; returns them on the CPU."""
    out = []
    for one in video:
        z = vae.encode((one * 2 - 1).to(device)).latent_dist.mode()
        out.append((vae.decode(z, num_frames=len(z)).sample / 2 + 0.5).clamp(0, 1).cpu())
    return torch.stack(out)
