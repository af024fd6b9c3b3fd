"""A critic in pixels for a VAE's decoder, which sees differences that L1 and L2 forgive.

Beside the gradient of the distance in pixels the decoder is given two gradients of a small network that learns to tell its pictures
from true ones: feature matching (the critic's features of both should be alike) and, weaker, the adversarial loss (relativistic, in
pairs: against the truth of the same picture). A critic's raw gradients differ a hundredfold between pictures, so each is scaled to
the norm of that picture's distance gradient, times its weight.
"""

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (48, 96, 160)
JITTER, SMOOTHNESS = (
    0.05,
    20.0,
)  # approximate R1 + R2: noise on the pictures, weight of the squared change of the answer


class PixelCritic(nn.Module):
    """Pictures [n,3,h,w] in -1 .. 1 -> answers [n,1,h/8,w/8] and the features of three levels."""

    def __init__(self):
        super().__init__()
        inputs = (3, *WIDTHS[:-1])
        self.levels = nn.ModuleList(nn.Conv2d(i, o, 4, 2, 1) for i, o in zip(inputs, WIDTHS, strict=True))
        self.mix = nn.Conv2d(WIDTHS[-1], WIDTHS[-1], 3, 1, 1)
        self.head = nn.Conv2d(WIDTHS[-1], 1, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return answers, higher for what looks true, and features."""
        h, features = x.to(self.head.weight.dtype).contiguous(memory_format=torch.channels_last), []
        for level in self.levels:
            h = F.leaky_relu(level(h), 0.2)
            features.append(h)
        h = h + F.leaky_relu(self.mix(h), 0.2)
        return self.head(h).float(), features


class FlatAdam:
    """Adam with beta1 = 0 on flat fp32 master weights; the model may be in bf16.

    Gradients accumulate in one flat buffer, `grad`, like Optimiser's.

    Args:
        model: Whose parameters are trained.
        rate: Peak learning rate.
        decay: beta2.
    """

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
        """Return the parts of a flat vector in the shapes of the parameters."""
        out, at = [], 0
        for p in self.params:
            out.append(torch.as_strided(flat, p.shape, p.stride(), at))
            at += p.numel()
        return out

    @torch.no_grad()
    def step(self, fraction: float) -> None:
        """Update at `fraction` of the peak rate, and clear the gradients; gradients that are not finite change nothing."""
        self.n += 1
        g = self.grad.to(torch.float32, copy=True)
        self.grad.zero_()
        ok = torch.isfinite(g.norm()).float()
        g.nan_to_num_(0, 0, 0)
        self.square.lerp_(g.square(), (1 - self.decay) * ok)
        root = (self.square / (1 - self.decay**self.n)).sqrt() + 1e-12
        self.master.sub_(g / root * (self.rate * fraction) * ok)
        torch._foreach_copy_([p.data for p in self.params], self._views(self.master))


def weighted_mean(value: torch.Tensor, mask: torch.Tensor, mask_weight: float) -> torch.Tensor:
    """Return the means [n] of [n,c,h,w], in which `mask` [n,1,H,W] counts more."""
    w = 1 + mask_weight * F.adaptive_avg_pool2d(mask, value.shape[-2:])
    return (value.mean(1, keepdim=True) * w).mean((1, 2, 3)) / w.mean((1, 2, 3))


def critic_gradient(
    critic: PixelCritic,
    made: torch.Tensor,
    truth: torch.Tensor,
    mask: torch.Tensor,
    near: torch.Tensor,
    share: torch.Tensor,
    feature_weight: float,
    adversarial_weight: float,
    mask_weight: float = 3.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the critic's gradient for pictures, and add the critic's own gradients to its parameters'.

    Args:
        critic: In training.
        made: Pictures [n,3,h,w] in -1 .. 1.
        truth: The true ones.
        mask: Where things are, [n,1,h,w] in 0 .. 1.
        near: Gradient of the distance in pixels with respect to `made`, [n,3,h,w].
        share: Of the critic's part, 0 .. 1, a number on the device.
        feature_weight, adversarial_weight: Norms of the two gradients relative to that of `near`.
        mask_weight: How much more things count.

    Returns:
        The gradient [n,3,h,w], without `near`; and for the log the critic's loss, feature matching, the adversarial loss, and how
        much the answers change with noise on the pictures.
    """
    made = made.detach().requires_grad_()
    (answer, features), (true_answer, wanted) = critic(made), critic(truth)
    matching = 0.0
    for a, b in zip(features, wanted, strict=True):
        b = b.detach().float()
        matching = matching + weighted_mean((a.float() - b).abs(), mask, mask_weight) / b.abs().mean().clamp(min=1e-3)
    adversarial = weighted_mean(F.softplus(true_answer.detach() - answer), mask, mask_weight)
    by_features = torch.autograd.grad(matching.sum(), made, retain_graph=True)[0]
    by_answer = torch.autograd.grad(adversarial.sum(), made, retain_graph=True)[0]
    norm = lambda g: g.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)  # noqa: E731
    unit = feature_weight * by_features / norm(by_features) + adversarial_weight * by_answer / norm(by_answer)
    loss = weighted_mean(F.softplus(answer - true_answer), mask, mask_weight).mean()
    k = max(1, len(made) // 4)
    noise = JITTER * torch.randn_like(truth[:k])
    rough = (critic(made.detach()[:k] + noise)[0] - answer[:k]).square().mean()
    rough = rough + (critic(truth[:k] + noise)[0] - true_answer[:k]).square().mean()
    (loss + SMOOTHNESS * rough).backward(inputs=list(critic.parameters()))
    numbers = torch.stack([loss, matching.mean() / len(features), adversarial.mean(), rough]).detach()
    return share * norm(near) * unit, numbers
