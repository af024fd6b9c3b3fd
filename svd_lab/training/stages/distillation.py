"""What stage `turbo` distils with: the student, its losses, and the pairs of noise and clip that it learns from."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from svd_lab.models import turbo
from svd_lab.training.loop.latent_bank import LatentBank
from svd_lab.training.loop.ring import Ring
from svd_lab.training.loop.sampling import distance, rollout


class Student:
    """A frozen, rewritten UNet that is called as it is, but with a flat delta on top of its weights.

    Args:
        unet: The UNet.
        base: Its own weights in float32, by name.
        rank: Of the delta's matrices.
    """

    def __init__(self, unet: nn.Module, base: dict[str, torch.Tensor], rank: int):
        self.unet, self.base, self.slots = unet, base, turbo.slots(unet, rank)
        self.weights: dict[str, torch.Tensor] = {}

    def use(self, flat: torch.Tensor) -> None:
        """Add the delta to the weights, for all calls that follow."""
        dtype, parts = next(self.unet.parameters()).dtype, turbo.deltas(flat, self.slots)
        self.weights = {name: (self.base[name] + part).to(dtype) for name, part in parts.items()}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return functional_call(self.unet, self.weights, args, kwargs)


def losses(
    student: Student,
    sigmas: list[float],
    mask_weight: float,
    noise: torch.Tensor,
    cond: torch.Tensor,
    embedding: torch.Tensor,
    ids: torch.Tensor,
    mask: torch.Tensor,
    target: torch.Tensor,
    truth: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return distances [n] of the student's clip from the teacher's and from the true one, and of earlier predictions.

    Args:
        student: With its delta in use.
        sigmas: Noise levels of its steps.
        mask_weight: Additional weight of the mask.
        noise .. truth: A draw of Pairs.
    """
    *early, last = rollout(student, noise, cond, embedding, ids, sigmas)
    way = torch.stack([distance(x, target, mask, mask_weight) for x in early]).mean(0)
    return distance(last, target, mask, mask_weight), distance(last, truth, mask, mask_weight), way


class Pairs(Ring):
    """The student's training data, for one number of frames: noise, picture latents, embedding, ids, mask, the teacher's latents,
    the true ones.

    Args:
        clips: A bank of one batch, which draws new clips.
        encode: Gives the embeddings of pictures.
        teach: The teacher's sampling.
        frames: Of each clip.
        size: Clips to keep.
    """

    def __init__(
        self,
        clips: LatentBank,
        encode: Callable[[torch.Tensor], torch.Tensor],
        teach: Callable[..., torch.Tensor],
        frames: int,
        size: int,
    ):
        super().__init__(size, clips.batch)
        self.clips, self.encode, self.teach, self.frames = clips, encode, teach, frames

    @torch.no_grad()
    def new(self) -> list[torch.Tensor]:
        """Return a batch that no step has seen."""
        self.clips.fill()
        truth, cond, picture, ids, mask, _ = self.clips.newest(self.clips.batch)
        truth = truth[:, : self.frames]
        embedding = self.encode(picture)
        noise = torch.randn_like(truth)
        # cloned: the next call overwrites a graph's result
        return [noise, cond, embedding, ids, mask, self.teach(noise, cond, embedding, ids).clone(), truth]

    def fill(self) -> None:
        """Keep a new batch."""
        self.add(*(x.half() if x.dtype == torch.float32 and x.ndim > 2 else x for x in self.new()))

    def draw(self, n: int) -> list[torch.Tensor]:
        """Return n random clips."""
        return [p.float() if p.ndim > 2 else p for p in self.sample(n)]
