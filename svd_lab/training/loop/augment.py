"""Random changes to pictures, so that what learns to see them is robust."""

import torch
import torch.nn.functional as F


def augment(x: torch.Tensor) -> torch.Tensor:
    """Return pictures [n,3,h,w] in 0 .. 1, each randomly shifted, scaled, blurred, brightened, tinted and noisy."""
    n, device = len(x), x.device
    r = lambda *s: torch.rand(*s, device=device)  # noqa: E731
    theta = torch.eye(2, 3, device=device).repeat(n, 1, 1)
    theta[:, :, 2] = (r(n, 2) - 0.5) * 0.1
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + (r(n) - 0.5) * 0.12
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), padding_mode="border", align_corners=False)
    soft = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)
    x = x + (soft - x) * (r(n, 1, 1, 1) * 1.3 - 0.3).clamp(min=0)
    x = (x - 0.5) * (0.85 + 0.3 * r(n, 1, 1, 1)) + 0.5 + (r(n, 3, 1, 1) - 0.5) * 0.08
    return (x + torch.randn_like(x) * r(n, 1, 1, 1) ** 2 * 0.06).clamp(0, 1)
