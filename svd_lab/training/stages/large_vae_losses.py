"""The losses of stage `large-vae`."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.networks.critic import PixelCritic
from svd_lab.training.stages.decoder_losses import MASK_WEIGHT, DecoderWeights, picture_gradient
from svd_lab.training.stages.reconstruction import encode, kl_divergence, noised, warp

SCALE, CELL = 2, 16  # pixels a unit of the world, pixels a cell of the code; each way
#: What `losses` returns.
NUMBERS = (
    "loss", "l1", "edge", "flicker", "kl", "error", "thing error", "shift error", "align",
    "critic", "features", "adversarial", "roughness",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LossWeights(DecoderWeights):
    """Weights of the parts of the loss."""

    equivariance: float = 0.7  # shift error
    align: float = 1.0  # distance to the small VAE's code
    border: float = 0.0  # additional, of the pixels of the outermost cells


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
    where = mask + weights.border / MASK_WEIGHT * border_frame(x)
    gradient, numbers, of_critic = picture_gradient(out, x, mask, critic, weights, share, frames, 8, where)
    kl = kl_divergence(mean, logvar)
    rest = 3e-5 * kl + weights.equivariance * shifted + weights.align * align
    ((out * gradient).sum() + rest).backward(inputs=[p for p in vae.parameters() if p.requires_grad])
    distance, l1, edge, flicker, error, inside = numbers.unbind()
    numbers = torch.stack([distance + rest, l1, edge, flicker, kl, error, inside, shifted, align]).detach()
    return torch.cat([numbers, of_critic])
