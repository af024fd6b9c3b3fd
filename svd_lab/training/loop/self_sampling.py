"""Where the UNet's own sampling comes by: clips half made, as the class makes them, beside the true clips they should become.

Trained on noised truth alone, a UNet never sees what its earlier steps leave behind, nor that the pipeline takes three times what
the picture changes in the last frames. Midway the plain guess is nearer to the truth, in latents, than what comes out at the end
(docs/mini.md). So with `train unet --guided` a part of each step is one guided guess from such a place, with gradients through both
of its halves.
"""

import torch

from svd_lab.training.loop.sampling import course, denoised, distance, levels
from svd_lab.training.loop.stretch import Graphed, Ring

STEPS, GUIDANCE = 10, (1.0, 3.0)  # the class's call
# Only places below this noise level are kept. In the first four steps the guess without the picture knows nothing yet, so three
# times the difference is far out (distance 0.9 at sigma 80; plain: 0.09), and only a spoilt plain guess could mend it.
BELOW = 7.0  # and the last level, 0.02, teaches nothing: there the guess is all but the latents themselves


class Visits(Ring):
    """The newest `size` places: latents over (sigma^2 + 1)^0.5, sigma, truth [n,T,C,h,w], picture latents, embedding, the three
    numbers, where things are. `add_clips` of n clips gives n places for each step below BELOW. on: whether to use CUDA graphs."""

    def __init__(self, unet, optimiser, size: int, batch: int, on: bool):
        super().__init__(size, batch)
        self.sigmas = levels(STEPS)[:-1]

        @torch.no_grad()
        def visit(noise, cond, embedding, ids):
            return torch.stack([x for x, _ in course(unet, noise, cond, embedding, ids, self.sigmas, GUIDANCE)])

        self.visit = Graphed(visit, optimiser, on)

    @torch.no_grad()
    def add_clips(self, truth, cond, embedding, ids, mask) -> None:
        """`batch` clips: sampled by the UNet as it is now, from new noise."""
        for sigma, x in zip(self.sigmas[:-1], self.visit(torch.randn_like(truth), cond, embedding, ids), strict=True):
            if sigma > BELOW:
                continue
            at = torch.full((len(x),), sigma, device=x.device)
            self.add(x.half(), at, truth.half(), cond.half(), embedding, ids, mask)

    def draw(self, n: int) -> list[torch.Tensor]:
        x, sigma, truth, cond, embedding, ids, mask = self.any(n)
        return [x.float(), sigma, truth.float(), cond.float(), embedding, ids, mask.float()]


def guided_distance(unet, inside: float, x, sigma, truth, cond, embedding, ids, mask) -> torch.Tensor:
    """[n] robust distance of the guided guess from the truth; the arguments after `inside` are what Visits.draw gives."""
    return distance(denoised(unet, x, sigma, cond, embedding, ids, GUIDANCE), truth, mask, inside)
