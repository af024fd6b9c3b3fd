"""The losses of stage `large-vae`."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.networks.critic import PixelCritic, critic_gradient
from svd_lab.training.stages.reconstruction import encode, kl_divergence, noised, pixel_loss, warp

SCALE, CELL = 2, 16  # pixels a unit of the world, pixels a cell of the code; each way
MASK_WEIGHT = 3.0
#: What `losses` returns.
NUMBERS = (
    "loss", "l1", "edge", "flicker", "kl", "error", "thing error", "shift error", "align",
    "critic", "features", "adversarial", "roughness",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the parts of the loss."""

    equivariance: float = 0.7  # shift error
    align: float = 1.0  # distance to the small VAE's code
    border: float = 0.0  # additional, of the pixels of the outermost cells
    features: float = 0.5  # of the critic: norm of its gradient, relative to that of the distance in pixels
    adversarial: float = 0.2  # likewise


def border_frame(x: torch.Tensor) -> torch.Tensor:
    """Return [1,1,h,w]: 1 in the outermost cells of pictures like x, 2 in their corners, 0 elsewhere."""
    frame = torch.zeros(1, 1, *x.shape[-2:], device=x.device)
    for at in (slice(-CELL, None), slice(CELL)):
        frame[..., at, :] += 1
        frame[..., at] += 1
    return frame


def losses(
    vae: nn.Module,
    small: nn.Module,
    critic: PixelCritic,
    weights: LossWeights,
    x: torch.Tensor,
    mask: torch.Tensor,
    noise: torch.Tensor,
    strength: torch.Tensor,
    kept: torch.Tensor,
    theta: torch.Tensor,
    shift: torch.Tensor,
    share: torch.Tensor,
    frames: int,
) -> torch.Tensor:
    """Add the gradients of VAE and critic to their parameters', and return the NUMBERS of a step.

    Args:
        vae: In training.
        small: The small VAE, whose code of the picture at half the size the first channels shall be.
        critic: In training.
        weights: Of the parts.
        x: Pictures [N,3,h,w] in -1 .. 1, N = clips * frames.
        mask: Where things are, [N,1,h,w].
        noise: [2,N,C,h/16,w/16].
        strength: Of the noise added to the latents, [N,1,1,1].
        kept: What the channels beyond the small VAE's are multiplied by before decoding, 0 or 1, [N,1,1,1].
        theta: Affine maps of latents and target, [N,2,3].
        shift: Translations for the shift error, [N,2,3].
        share: Of the critic's part, 0 .. 1, a number on the device.
        frames: Decoded at once.
    """
    last = dict(memory_format=torch.channels_last)
    mean, logvar = encode(vae, x.contiguous(**last))
    # With its gradient: were it detached, shrinking a channel would lower the shift error, until the channel is gone. Where `align`
    # holds all channels, that cannot happen.
    spread = mean.std((0, 2, 3), keepdim=True).clamp(min=1e-2)
    if mean.shape[1] == small.config.latent_channels:
        spread = spread.detach()
    with torch.no_grad():
        wanted, _ = encode(small, F.avg_pool2d(x, SCALE).contiguous(**last))
    n = wanted.shape[1]
    align = ((mean[:, :n] - wanted).square().mean((0, 2, 3)) / wanted.var((0, 2, 3)).clamp(min=1e-4)).mean()
    moved, _ = encode(vae, warp(x, shift).contiguous(**last))
    shifted = ((moved - warp(mean, shift)) / spread)[..., 2:-2, 2:-2].square().mean()  # the border's content is unknown
    z = warp(noised(mean, logvar, noise[0]), theta) + strength * spread.detach() * noise[1]
    z = torch.cat([z[:, :n], z[:, n:] * kept], 1)
    x, mask = warp(x, theta), warp(mask, theta)
    images = torch.zeros(len(x) // frames, frames, device=x.device)
    out = vae.decoder(z.to(next(vae.parameters()).dtype), num_frames=frames, image_only_indicator=images).float()
    y = out.detach().requires_grad_()
    d = y - x
    where = mask + weights.border / MASK_WEIGHT * border_frame(x)
    distance, l1, edge = pixel_loss(d, where, MASK_WEIGHT, coarse=8)
    flicker = d.new_zeros(())
    if frames > 1:
        t = d.view(-1, frames, *d.shape[1:])
        flicker = (t[:, 1:] - t[:, :-1]).abs().mean()
        distance = distance + 0.5 * flicker
    near = torch.autograd.grad(distance, y)[0]
    more, of_critic = critic_gradient(critic, y, x, mask, near, share, weights.features, weights.adversarial)
    kl = kl_divergence(mean, logvar)
    rest = 3e-5 * kl + weights.equivariance * shifted + weights.align * align
    ((out * (near + more)).sum() + rest).backward(inputs=[p for p in vae.parameters() if p.requires_grad])
    square = d.detach().square()
    inside = (square * mask).sum() / (mask.sum() * 3 + 1)
    numbers = torch.stack([distance + rest, l1, edge, flicker, kl, square.mean(), inside, shifted, align]).detach()
    return torch.cat([numbers, of_critic])
