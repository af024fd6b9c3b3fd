"""What the large VAE alone can do, beside the small one of the same pictures at half the size."""

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.stages.large_vae_losses import CELL, SCALE
from svd_lab.training.stages.reconstruction import decibels, shifts, warp
from svd_lab.world.clips import FRAMES
from svd_lab.world.scenes import World


def laplacian(v: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute Laplacian over the colours: [...,3,H,W] -> [...,H-2,W-2]."""
    four = v[..., :-2, 1:-1] + v[..., 2:, 1:-1] + v[..., 1:-1, :-2] + v[..., 1:-1, 2:]
    return (4 * v[..., 1:-1, 1:-1] - four).abs().mean(-3)


def sharpness(made: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the Laplacian of pictures [n,3,H,W] where things are (mask [n,1,H,W]), relative to that of the true ones."""
    inner = (mask[:, 0, 1:-1, 1:-1] > 0.01).float()
    return (laplacian(made) * inner).sum() / (laplacian(true) * inner).sum()


def decode(vae: nn.Module, z: torch.Tensor, frames: int) -> torch.Tensor:
    """Decode latents, so many frames at once, to pictures in -1 .. 1."""
    return torch.cat([vae.decode(part, num_frames=len(part)).sample for part in z.split(frames)]).clamp(-1, 1)


def pixel_errors(name: str, made: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the squared errors of pictures in -1 .. 1, as of 0 .. 1: of all pixels, and of those of things."""
    d = ((made - true) / 2).square()
    return {f"{name}psnr": d.mean(), f"{name}thing": (d * mask).sum() / (3 * mask.sum())}


def measure_clips(
    vae: nn.Module, small: nn.Module, x: torch.Tensor, m: torch.Tensor
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], torch.Tensor]:
    """Measure pictures of whole clips.

    Args:
        vae, small: The large and the small one.
        x: Pictures [n,3,256,448] in -1 .. 1.
        m: Where things are, [n,1,256,448].

    Returns:
        Squared errors, other figures, both as `measure` names them, and the latents.
    """
    z = vae.encode(x).latent_dist.mode()
    variance = z.var((0, 2, 3))
    s = shifts(len(x), *x.shape[-2:], x.device, most=CELL - 1)
    difference = (vae.encode(warp(x, s)).latent_dist.mode() - warp(z, s))[..., 2:-2, 2:-2].square()
    half_x, half_m = F.avg_pool2d(x, SCALE), F.avg_pool2d(m, SCALE)
    code = small.encode(half_x).latent_dist.mode()
    k = code.shape[1]
    y, y_small = decode(vae, z, FRAMES), decode(small, code, FRAMES)
    y_half = F.avg_pool2d(y, SCALE)
    nested = decode(vae, torch.cat([z[:, :k], torch.zeros_like(z[:, k:])], 1), FRAMES)
    noisy = decode(vae, z + 0.1 * z.std((0, 2, 3), keepdim=True).clamp(min=1e-2) * torch.randn_like(z), FRAMES)
    errors = pixel_errors("", y, x, m) | pixel_errors("nested_", nested, x, m)
    errors |= pixel_errors("half_", y_half, half_x, half_m) | pixel_errors("small_", y_small, half_x, half_m)
    errors["psnr_chunk2"] = pixel_errors("", decode(vae, z, 2), x, m)["psnr"]
    errors["noisy"] = pixel_errors("", noisy, x, m)["psnr"]
    large_small = F.interpolate(y_small, scale_factor=SCALE, mode="bicubic")
    figures = dict(
        first=-10 * ((y - x) / 2).square().mean((1, 2, 3)).log10().mean(),
        shift_error=(difference.mean((0, 2, 3)) / variance).mean(), shift_error_all=difference.mean() / variance.mean(),
        align=(z[:, :k] - code).square().mean() / code.var(),
        sharp=sharpness(y, x, m), nested_sharp=sharpness(nested, x, m), half_sharp=sharpness(y_half, half_x, half_m),
        small_sharp=sharpness(y_small, half_x, half_m), enlarged_small_sharp=sharpness(large_small, x, m),
    )  # fmt: skip
    return errors, figures, z


@torch.no_grad()
def measure(vae: nn.Module, small: nn.Module, device: str, n: int, things: str) -> dict[str, float | list[float]]:
    """Measure the large VAE on n times two clips of known or held-out things.

    Returns:
        In dB psnr and thing (all pixels, those of things), first (mean over the frames), psnr_chunk2 (2 frames decoded at once)
        and noisy (noise on the latents); the shift error, by channel and of all; sharp, the thing's Laplacian relative to truth;
        align, the distance to the small VAE's code in its variances; means and standard deviations of the channels.
        nested_: decoded from the small VAE's channels alone. half_, small_: of this and the small VAE at half the size.
        enlarged_small_: the small VAE's, enlarged. …_se: standard errors.
    """
    world = World(device, things, seed=5, scale=SCALE)
    sums: dict[str, list[torch.Tensor]] = {}
    codes, out = [], {}
    for _ in range(n):
        c = world.clips(2, nothing=0.0, two=0.0)
        x, m = c.video.flatten(0, 1) * 2 - 1, c.alpha.flatten(0, 1)[:, None]
        errors, figures, z = measure_clips(vae, small, x, m)
        for name, value in (errors | figures).items():
            sums.setdefault(name, []).append(value)
        codes.append(z)
    for name, values in sums.items():
        v = torch.stack(values)
        out[name] = decibels(values) if name in errors else round(v.mean().item(), 4)
        if n > 1:
            each = -10 * v.log10() if name in errors else v
            out[f"{name}_se"] = round((each.std() / n**0.5).item(), 4)
    z = torch.cat(codes)
    rounded = lambda values: [round(v, 2) for v in values.tolist()]  # noqa: E731
    return out | dict(means=rounded(z.mean((0, 2, 3))), channels=rounded(z.std((0, 2, 3))))
