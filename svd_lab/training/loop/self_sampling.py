"""States of the UNet's own sampling: clips half denoised, as the class makes them, with the true clips they should become.

Trained on noised truth alone, a UNet never sees the errors of its earlier steps, nor that guidance triples what the picture
changes in the last frames: midway the plain prediction is nearer to the truth, in latents, than what sampling ends with
(docs/mini.md). With `train unet --guided-weight` each step also makes guided predictions from such states, with gradients through
both halves.
"""

import torch
from torch import nn

from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.ring import Ring
from svd_lab.training.loop.sampling import denoised, distance, levels, trajectory

STEPS, GUIDANCE = 10, (1.0, 3.0)  # the class's call
# Only states up to this noise level are kept. In the first four steps the prediction without the picture knows nothing yet, so
# three times the change is far off (distance 0.9 at sigma 80; without guidance 0.09), and only a worse plain prediction could
# correct it.
SIGMA_KEPT = 7.0


class SelfSampledStates(Ring):
    """The newest states: latents over (sigma^2 + 1)^0.5, sigma, truth [n,T,C,h,w], picture latents, embedding, ids, mask.

    The last level of the schedule, 0.02, teaches nothing: there the prediction nearly equals the latents.

    Args:
        unet: Which samples.
        optimiser: The UNet's, for the CUDA graph.
        size: States to keep.
        batch: Clips of each `add_clips`; each gives one state for every step up to SIGMA_KEPT.
        gpu: Whether to use CUDA graphs.
    """

    def __init__(self, unet: nn.Module, optimiser: Optimiser, size: int, batch: int, gpu: bool):
        super().__init__(size, batch)
        self.sigmas = levels(STEPS)[:-1]

        @torch.no_grad()
        def states(noise: torch.Tensor, cond: torch.Tensor, embedding: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
            return torch.stack([x for x, _ in trajectory(unet, noise, cond, embedding, ids, self.sigmas, GUIDANCE)])

        self.states = Graphed(states, optimiser, gpu)

    @torch.no_grad()
    def add_clips(
        self,
        truth: torch.Tensor,
        cond: torch.Tensor,
        embedding: torch.Tensor,
        ids: torch.Tensor,
        mask: torch.Tensor,
    ) -> None:
        """Sample `batch` clips from new noise with the UNet as it is now, and keep their states."""
        states = self.states(torch.randn_like(truth), cond, embedding, ids)
        for sigma, x in zip(self.sigmas[:-1], states, strict=True):
            if sigma > SIGMA_KEPT:
                continue
            at = torch.full((len(x),), sigma, device=x.device)
            self.add(x.half(), at, truth.half(), cond.half(), embedding, ids, mask)

    def draw(self, n: int) -> list[torch.Tensor]:
        """Return n random states, in the order of the class's docstring."""
        x, sigma, truth, cond, embedding, ids, mask = self.sample(n)
        return [x.float(), sigma, truth.float(), cond.float(), embedding, ids, mask.float()]


def guided_distance(
    unet: nn.Module,
    mask_weight: float,
    x: torch.Tensor,
    sigma: torch.Tensor,
    truth: torch.Tensor,
    cond: torch.Tensor,
    embedding: torch.Tensor,
    ids: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    """Return distances [n] of guided predictions from the truth; the arguments after `mask_weight` are a draw of the states."""
    return distance(denoised(unet, x, sigma, cond, embedding, ids, GUIDANCE), truth, mask, mask_weight)
