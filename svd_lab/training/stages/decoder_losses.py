"""What a decoder is trained on: distances in pixels, and a critic's gradient beside theirs."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.networks.critic import PixelCritic, critic_gradient
from svd_lab.training.stages.reconstruction import pixel_loss

MASK_WEIGHT = 3.0
FINE = 0.2  # weight at full size of following another decoder
#: What `losses` returns.
NUMBERS = (
    "distance", "l1", "edge", "flicker", "error", "thing error", "critic", "features", "adversarial", "roughness",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DecoderWeights:
    """Weights of the parts of the loss."""

    flicker: float = 0.5  # of errors that change from frame to frame
    features: float = 0.5  # of the critic: norm of its gradient, relative to that of the distance in pixels
    adversarial: float = 0.2  # likewise


def picture_gradient(
    out: torch.Tensor,
    x: torch.Tensor,
    mask: torch.Tensor,
    critic: PixelCritic,
    weights: DecoderWeights,
    share: torch.Tensor,
    frames: int,
    coarse: int = 4,
    where: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute the gradient for decoded pictures, and add the critic's own gradients to its parameters'.

    Args:
        out: Decoded pictures [N,3,h,w], N = clips * frames.
        x: The true ones, in -1 .. 1.
        mask: Where things are, [N,1,h,w].
        critic: In training.
        weights: Of the parts.
        share: Of the critic's part, 0 .. 1, a number on the device.
        frames: Of each clip.
        coarse: Of `pixel_loss`.
        where: What counts more there, in place of `mask`.

    Returns:
        The gradient [N,3,h,w]; the numbers distance, l1, edge, flicker, error and thing error; those of `critic_gradient`.
    """
    y = out.detach().requires_grad_()
    d = y - x
    distance, l1, edge = pixel_loss(d, mask if where is None else where, MASK_WEIGHT, coarse)
    flicker = d.new_zeros(())
    if frames > 1:
        t = d.view(-1, frames, *d.shape[1:])
        flicker = (t[:, 1:] - t[:, :-1]).abs().mean()
        distance = distance + weights.flicker * flicker
    near = torch.autograd.grad(distance, y)[0]
    more, of_critic = critic_gradient(critic, y, x, mask, near, share, weights.features, weights.adversarial)
    square = d.detach().square()
    inside = (square * mask).sum() / (mask.sum() * 3 + 1)
    return near + more, torch.stack([distance, l1, edge, flicker, square.mean(), inside]).detach(), of_critic


def losses(
    vae: nn.Module,
    critic: PixelCritic,
    weights: DecoderWeights,
    x: torch.Tensor,
    mask: torch.Tensor,
    code: torch.Tensor,
    share: torch.Tensor,
    frames: int,
) -> torch.Tensor:
    """Add the gradients of decoder and critic to their parameters', and return the NUMBERS of a step.

    Args:
        vae: Its decoder is in training.
        critic: In training.
        weights: Of the parts.
        x: Pictures [N,3,h,w] in -1 .. 1, N = clips * frames.
        mask: Where things are, [N,1,h,w].
        code: What is decoded, [N,C,h/8,w/8].
        share: Of the critic's part, 0 .. 1, a number on the device.
        frames: Decoded at once.
    """
    out = decoded(vae, code, frames)
    gradient, numbers, of_critic = picture_gradient(out, x, mask, critic, weights, share, frames)
    (out * gradient).sum().backward(inputs=[p for p in vae.parameters() if p.requires_grad])
    return torch.cat([numbers, of_critic])


def following_losses(
    vae: nn.Module,
    weights: DecoderWeights,
    x: torch.Tensor,
    mask: torch.Tensor,
    code: torch.Tensor,
    frames: int,
) -> torch.Tensor:
    """Add the gradients of following another decoder to the decoder's, and return the NUMBERS of a step.

    Pictures shall be alike at half the size; at full size that counts little, so that what is sharper stays.

    Args:
        vae, weights, mask, code, frames: As for `losses`.
        x: What the other decoder makes of the codes.
    """
    d = decoded(vae, code, frames) - x
    coarse, l1, edge = pixel_loss(F.avg_pool2d(d, 2), F.avg_pool2d(mask, 2), MASK_WEIGHT)
    distance = coarse + FINE * pixel_loss(d, mask, MASK_WEIGHT)[0]
    flicker = d.new_zeros(())
    if frames > 1:
        t = d.view(-1, frames, *d.shape[1:])
        flicker = (t[:, 1:] - t[:, :-1]).abs().mean()
        distance = distance + weights.flicker * FINE * flicker
    distance.backward(inputs=[p for p in vae.parameters() if p.requires_grad])
    square = d.detach().square()
    inside = (square * mask).sum() / (mask.sum() * 3 + 1)
    return torch.stack([distance, l1, edge, flicker, square.mean(), inside]).detach()


def decoded(vae: nn.Module, code: torch.Tensor, frames: int) -> torch.Tensor:
    """Decode codes [N,C,h,w], `frames` at once, in float32."""
    images = torch.zeros(len(code) // frames, frames, device=code.device)
    dtype = next(vae.parameters()).dtype
    return vae.decoder(code.to(dtype), num_frames=frames, image_only_indicator=images).float()
