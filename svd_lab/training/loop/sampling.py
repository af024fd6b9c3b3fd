"""Noise levels for training; and the pipeline's sampling in latents, differentiable and fit for one CUDA graph, for stages that
train on their own samples."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch

from svd_lab.training.networks.video import make_scheduler

HUBER = 0.05  # c of `distance`, for latents whose standard deviation is about 1

Guidance = tuple[float, float]  # scale of the first and of the last frame


def levels(steps: int, sigma_min: float | None = None) -> list[float]:
    """Return the noise levels of the mini's scheduler, steps + 1 of them, the last one 0. sigma_min: instead of its own."""
    scheduler = make_scheduler()
    if sigma_min is not None:
        scheduler.register_to_config(sigma_min=sigma_min)
    scheduler.set_timesteps(steps)
    return scheduler.sigmas.tolist()


def random_sigmas(
    n: int, device: str, *, mean: float, spread: float, uniform: float, low: float, high: float, clamp: bool = False
) -> torch.Tensor:
    """Draw noise levels [n] for training, stratified: lognormal, and a share uniform in ln(sigma).

    Args:
        n: How many.
        device: Of the result.
        mean: Of ln(sigma) in the lognormal part.
        spread: Standard deviation of ln(sigma) there.
        uniform: Share of the uniform part.
        low: Lowest level of the uniform part.
        high: Highest level of the uniform part.
        clamp: Whether the lognormal part stays within these as well.
    """
    k = int(n * uniform)
    lo, hi = math.log(low), math.log(high)
    normal = mean + spread * math.sqrt(2) * torch.erfinv(2 * _strata(n - k, device).clamp(1e-4, 1 - 1e-4) - 1)
    log = torch.cat([normal, lo + (hi - lo) * _strata(k, device)])
    return torch.exp(log.clamp(lo, hi) if clamp else log)


def _strata(n: int, device: str) -> torch.Tensor:
    """Return n numbers evenly spaced over 0 .. 1 from a random start, wrapped round."""
    return (torch.rand(1, device=device) + torch.arange(n, device=device) / max(1, n)).remainder(1)


def denoised(
    unet: Callable[..., tuple[torch.Tensor]],
    x: torch.Tensor,
    sigma: torch.Tensor,
    cond: torch.Tensor,
    embedding: torch.Tensor,
    ids: torch.Tensor,
    guidance: Guidance | None = None,
) -> torch.Tensor:
    """Predict x0 as a step of StableVideoDiffusionPipeline does.

    Args:
        unet: Called as diffusers' is.
        x: Noisy latents [n,T,C,h,w] over (sigma^2 + 1)^0.5.
        sigma: Noise levels [n].
        cond: The picture's latents [n,C,h,w].
        embedding: The picture's embedding [n,E].
        ids: added_time_ids [n,3].
        guidance: Linear over the frames; None: without, at half the cost.

    Returns:
        [n,T,C,h,w] in float32.
    """
    frames, s = x.shape[1], sigma.view(-1, 1, 1, 1, 1)
    root = (s * s + 1).sqrt()
    inputs = torch.cat([x, cond[:, None].expand(-1, frames, -1, -1, -1).float()], 2)
    tokens, time_step = embedding[:, None], sigma.log() / 4
    if guidance:  # without the picture first, as the pipeline does
        without = torch.cat([x, torch.zeros_like(inputs[:, :, x.shape[2] :])], 2)
        inputs, tokens = torch.cat([without, inputs]), torch.cat([torch.zeros_like(tokens), tokens])
        time_step, ids = torch.cat([time_step, time_step]), torch.cat([ids, ids])
    v = unet(inputs.to(tokens.dtype), time_step, tokens, ids, return_dict=False)[0].float()
    if guidance:
        v, given = v.chunk(2)
        v = v + torch.linspace(*guidance, frames, device=x.device).view(1, frames, 1, 1, 1) * (given - v)
    return x / root - v * (s / root)


def trajectory(
    unet: Callable[..., tuple[torch.Tensor]],
    noise: torch.Tensor,
    cond: torch.Tensor,
    embedding: torch.Tensor,
    ids: torch.Tensor,
    sigmas: list[float],
    guidance: Guidance | None = None,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Sample as the pipeline does with an EulerDiscreteScheduler.

    Args:
        noise: [n,T,C,h,w] of variance 1.
        sigmas: As `levels` gives them.
        unet, cond, embedding, ids, guidance: As for `denoised`.

    Returns:
        For each step the latents it began with, over (sigma^2 + 1)^0.5, and its prediction of x0; all float32. The last
        prediction is the clip.
    """
    steps, x = [], noise * (sigmas[0] ** 2 + 1) ** 0.5
    for sigma, after in pairwise(sigmas):
        scaled = x / (sigma**2 + 1) ** 0.5
        at = torch.full((len(x),), sigma, device=x.device)
        prediction = denoised(unet, scaled, at, cond, embedding, ids, guidance)
        steps.append((scaled, prediction))
        x = prediction + (x - prediction) * (after / sigma)
    return steps


def rollout(*args, **kwargs) -> list[torch.Tensor]:
    """Return the predictions of `trajectory` alone."""
    return [prediction for _, prediction in trajectory(*args, **kwargs)]


def pseudo_huber(square: torch.Tensor, c: float) -> torch.Tensor:
    """Return sqrt(square + c^2) - c: like the square below c, like its root above; c = 0 gives the root itself."""
    return (square + c**2).sqrt() - c


def distance(made: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor, mask_weight: float) -> torch.Tensor:
    """Return pseudo-Huber distances [n] of latents [n,T,C,h,w]; cells of `mask` [n,1,1,h,w] count 1 + mask_weight times."""
    cells = pseudo_huber((made - wanted).square().mean(2, keepdim=True), HUBER)
    weight = 1 + mask_weight * mask
    return (cells * weight).mean((1, 2, 3, 4)) / weight.mean((1, 2, 3, 4))
