"""What the pipeline makes of noise, in latents and in one graph: for stages that train on their own sampling."""

from itertools import pairwise

import torch

from svd_lab.training.networks.video import make_scheduler

SOFT = 0.05  # c of the distance, of latents whose standard deviation is about 1


def levels(steps: int, sigma_min: float | None = None) -> list[float]:
    """The noise levels of the mini's scheduler for so many steps, the last one 0. sigma_min: in place of its own."""
    scheduler = make_scheduler()
    if sigma_min is not None:
        scheduler.register_to_config(sigma_min=sigma_min)
    scheduler.set_timesteps(steps)
    return scheduler.sigmas.tolist()


def denoised(unet, x, sigma, cond, embedding, ids, guidance: tuple[float, float] | None = None) -> torch.Tensor:
    """x0 [n,T,C,h,w] in float32, as StableVideoDiffusionPipeline guesses it at a step.

    unet: called as diffusers' is. x [n,T,C,h,w]: the noisy latents over (sigma^2 + 1)^0.5; sigma [n]; cond [n,C,h,w] the picture's
    latents, embedding [n,E], ids [n,3]. guidance: of the first and of the last frame; None: without, half the work.
    """
    frames, s = x.shape[1], sigma.view(-1, 1, 1, 1, 1)
    root = (s * s + 1).sqrt()
    inputs, tokens, time_step = (
        torch.cat([x, cond[:, None].expand(-1, frames, -1, -1, -1).float()], 2), embedding[:, None], sigma.log() / 4,
    )  # fmt: skip
    if guidance:  # without the picture first, as the pipeline does
        without = torch.cat([x, torch.zeros_like(inputs[:, :, x.shape[2] :])], 2)
        inputs, tokens = torch.cat([without, inputs]), torch.cat([torch.zeros_like(tokens), tokens])
        time_step, ids = torch.cat([time_step, time_step]), torch.cat([ids, ids])
    v = unet(inputs.to(tokens.dtype), time_step, tokens, ids, return_dict=False)[0].float()
    if guidance:
        v, given = v.chunk(2)
        v = v + torch.linspace(*guidance, frames, device=x.device).view(1, frames, 1, 1, 1) * (given - v)
    return x / root - v * (s / root)


def course(unet, noise, cond, embedding, ids, sigmas: list[float], guidance: tuple[float, float] | None = None):
    """What the pipeline makes with an EulerDiscreteScheduler: for each step the latents it began with, over (sigma^2 + 1)^0.5, and
    its guess of x0; the last guess is the clip. All float32.

    noise [n,T,C,h,w] of variance 1; sigmas: `levels`; the rest as for `denoised`.
    """
    steps, x = [], noise * (sigmas[0] ** 2 + 1) ** 0.5
    for sigma, after in pairwise(sigmas):
        scaled = x / (sigma**2 + 1) ** 0.5
        at = torch.full((len(x),), sigma, device=x.device)
        guess = denoised(unet, scaled, at, cond, embedding, ids, guidance)
        steps.append((scaled, guess))
        x = guess + (x - guess) * (after / sigma)
    return steps


def rollout(*args, **kwargs) -> list[torch.Tensor]:
    """The guesses of `course` alone."""
    return [guess for _, guess in course(*args, **kwargs)]


def robust(square: torch.Tensor, soft: float) -> torch.Tensor:
    """sqrt(square + soft^2) - soft [pseudo-Huber]: like the square below `soft`, like its root above; 0 is the root itself."""
    return (square + soft**2).sqrt() - soft


def distance(made: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor, inside: float) -> torch.Tensor:
    """[n] robust distances of latents [n,T,C,h,w]; cells of `mask` [n,1,1,h,w] (0..1) count up to 1 + inside times."""
    cells = robust((made - wanted).square().mean(2, keepdim=True), SOFT)
    weight = 1 + inside * mask
    return (cells * weight).mean((1, 2, 3, 4)) / weight.mean((1, 2, 3, 4))
