"""A critic in pixels for the VAE's decoder: what it sees differ, L1 and L2 forgive.

The decoder is shown, beside the distance in pixels, two gradients of a small network that learns to tell its pictures from true
ones: feature matching (its features of both should be alike) and, a little, the adversarial loss (relativistic, paired: the truth
of the same picture). Raw gradients of a critic differ a hundredfold from picture to picture, so each is brought to the norm of
that picture's distance gradient, times `fm` and `adv` (found by the trial of 2026-11-28; training/LOG.md).
"""

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (48, 96, 160)
JOLT, SMOOTH = 0.05, 20.0  # approximate R1 + R2: the noise on pictures, the weight of the squared change of the answer


class PixelCritic(nn.Module):
    """Pictures [n,3,h,w] in -1..1 -> answers [n,1,h/8,w/8] and the features of three levels."""

    def __init__(self):
        super().__init__()
        inputs = (3, *WIDTHS[:-1])
        self.levels = nn.ModuleList(nn.Conv2d(i, o, 4, 2, 1) for i, o in zip(inputs, WIDTHS, strict=True))
        self.mix = nn.Conv2d(WIDTHS[-1], WIDTHS[-1], 3, 1, 1)
        self.head = nn.Conv2d(WIDTHS[-1], 1, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        h, features = x.to(self.head.weight.dtype).contiguous(memory_format=torch.channels_last), []
        for level in self.levels:
            h = F.leaky_relu(level(h), 0.2)
            features.append(h)
        h = h + F.leaky_relu(self.mix(h), 0.2)
        return self.head(h).float(), features


class FlatAdam:
    """Adam with beta1 0 on flat fp32 masters; the model may be bf16. Gradients accumulate in one flat buffer, as Optimiser's do."""

    def __init__(self, model: nn.Module, rate: float = 2e-4, decay: float = 0.99):
        self.params = list(model.parameters())
        size, first = sum(p.numel() for p in self.params), self.params[0]
        self.master, self.square = (torch.zeros(size, device=first.device) for _ in range(2))
        self.grad = torch.zeros(size, device=first.device, dtype=first.dtype)
        for p, g in zip(self.params, self._views(self.grad), strict=True):
            p.grad = g
        torch._foreach_copy_(self._views(self.master), [p.data for p in self.params])
        self.rate, self.decay, self.n = rate, decay, 0

    def _views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        out, at = [], 0
        for p in self.params:
            out.append(torch.as_strided(flat, p.shape, p.stride(), at))
            at += p.numel()
        return out

    @torch.no_grad()
    def step(self, fraction: float) -> None:
        """One update at `fraction` of the rate; the gradients are cleared. One that is not finite moves nothing."""
        self.n += 1
        g = self.grad.to(torch.float32, copy=True)
        self.grad.zero_()
        ok = torch.isfinite(g.norm()).float()
        g.nan_to_num_(0, 0, 0)
        self.square.lerp_(g.square(), (1 - self.decay) * ok)
        root = (self.square / (1 - self.decay**self.n)).sqrt() + 1e-12
        self.master.sub_(g / root * (self.rate * fraction) * ok)
        torch._foreach_copy_([p.data for p in self.params], self._views(self.master))


def weighted(value: torch.Tensor, mask: torch.Tensor, inside: float) -> torch.Tensor:
    """[n]: mean of [n,c,h,w]; where `mask` [n,1,H,W] (0..1) is, up to 1 + inside times."""
    w = 1 + inside * F.adaptive_avg_pool2d(mask, value.shape[-2:])
    return (value.mean(1, keepdim=True) * w).mean((1, 2, 3)) / w.mean((1, 2, 3))


def judged(critic: PixelCritic, made, truth, mask, near, share, fm: float, adv: float, inside: float = 3.0):
    """The gradient that pictures `made` [n,3,h,w] should be led by, and the critic's own gradients, added to its parameters'.

    near: gradient [n,3,h,w] of the distance in pixels with respect to `made`. share: a number on the device, 0..1, of the critic's
    part. -> gradient [n,3,h,w] without `near`, and four numbers to print: the critic's loss, feature matching, the adversarial
    loss, how much rougher the answer is than the pictures.
    """
    made = made.detach().requires_grad_()
    (told, features), (true, wanted) = critic(made), critic(truth)
    matching = 0.0
    for a, b in zip(features, wanted, strict=True):
        b = b.detach().float()
        matching = matching + weighted((a.float() - b).abs(), mask, inside) / b.abs().mean().clamp(min=1e-3)
    fooled = weighted(F.softplus(true.detach() - told), mask, inside)
    g_fm = torch.autograd.grad(matching.sum(), made, retain_graph=True)[0]
    g_adv = torch.autograd.grad(fooled.sum(), made, retain_graph=True)[0]
    size = lambda g: g.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)  # noqa: E731
    a = size(near)
    gradient = share * a * (fm * g_fm / size(g_fm) + adv * g_adv / size(g_adv))
    loss = weighted(F.softplus(told - true), mask, inside).mean()
    k = max(1, len(made) // 4)
    jolt = JOLT * torch.randn_like(truth[:k])
    rough = (critic(made.detach()[:k] + jolt)[0] - told[:k]).square().mean()
    rough = rough + (critic(truth[:k] + jolt)[0] - true[:k]).square().mean()
    (loss + SMOOTH * rough).backward(inputs=list(critic.parameters()))
    return gradient, torch.stack([loss, matching.mean() / len(features), fooled.mean(), rough]).detach()
