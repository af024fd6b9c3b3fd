"""What both VAE stages share: the losses of a reconstruction, and the shifts that its code must follow."""

import torch
import torch.nn.functional as F
from torch import nn


def warp(t: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Apply the affine maps theta [n,2,3] to t [n,c,h,w]; borders are repeated."""
    grid = F.affine_grid(theta, t.shape, align_corners=False)
    return F.grid_sample(t, grid, padding_mode="border", align_corners=False)


def encode(vae: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and log-variance of the latents of pictures in -1 .. 1, in float32."""
    dtype = next(vae.parameters()).dtype
    mean, logvar = vae.quant_conv(vae.encoder(x.to(dtype))).float().chunk(2, 1)
    return mean, logvar


def shift_error(vae: nn.Module, x: torch.Tensor, mean: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Return the squared difference of the shifted pictures' code from their shifted code, in variances of the latents.

    Args:
        vae: In training.
        x: Pictures [n,3,h,w] in -1 .. 1.
        mean: Their code.
        shift: Translations [n,2,3].
    """
    moved, _ = encode(vae, warp(x, shift).contiguous(memory_format=torch.channels_last))
    difference = (moved - warp(mean, shift)) / mean.detach().std()
    return difference[..., 2:-2, 2:-2].square().mean()  # what comes in at the border is unknown


def noised(mean: torch.Tensor, logvar: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Sample latents from their distribution."""
    return mean + torch.exp(0.5 * logvar.clamp(-30, 10)) * noise


def kl_divergence(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Return the mean divergence of the latents' distribution from the standard normal one."""
    return 0.5 * (mean * mean + logvar.exp() - 1 - logvar).mean()


def pixel_loss(
    d: torch.Tensor, mask: torch.Tensor, mask_weight: float, coarse: int = 4
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the loss of pixel errors, its L1 part, and the error of edges.

    Args:
        d: Errors [n,3,h,w].
        mask: What counts more, [n,1,h,w].
        mask_weight: How much more.
        coarse: Side in pixels of the squares whose mean error counts as well.
    """
    w = 1 + mask_weight * mask
    w = w / w.mean()
    l1, l2 = (w * d.abs()).mean(), (w * d * d).mean()
    across = ((d[..., 1:] - d[..., :-1]).abs() * w[..., 1:]).mean()
    down = ((d[..., 1:, :] - d[..., :-1, :]).abs() * w[..., 1:, :]).mean()
    edge = across + down
    squares = F.avg_pool2d(d, coarse).abs().mean()
    return l1 + 1.5 * l2 + 0.5 * edge + 0.3 * squares, l1, edge


def shifts(n: int, h: int, w: int, device: str | torch.device, most: int = 7) -> torch.Tensor:
    """Return translations [n,2,3] by -most .. most whole pixels of a picture of h x w."""
    theta = torch.eye(2, 3, device=device).repeat(n, 1, 1)
    theta[:, :, 2] = torch.randint(-most, most + 1, (n, 2), device=device) * 2 / torch.tensor([w, h], device=device)
    return theta


def random_strength(n: int, device: str | torch.device, most: float = 0.15) -> torch.Tensor:
    """Return strengths [n] of the noise on latents, in standard deviations: up to `most`, none for three in ten."""
    return torch.rand(n, device=device) * most * (torch.rand(n, device=device) < 0.7)


def decibels(errors: list[torch.Tensor]) -> float:
    """Return the PSNR of mean squared errors of pixels in 0 .. 1."""
    return round(-10 * torch.stack(errors).mean().log10().item(), 2)
