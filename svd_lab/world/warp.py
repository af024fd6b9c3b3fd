"""Where every pixel of a frame looks: into the background through a camera that zooms, and into the cut-out of a thing."""

import torch
import torch.nn.functional as F

from svd_lab.mini.catalogue import CELL
from svd_lab.world.atlas import LONGEST
from svd_lab.world.backgrounds import HEIGHT, WIDTH, pixel_centres


def _from_middle(scale: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """x [W] and y [H] of the pixels' centres, in units (see `Draw`) from the middle of the picture."""
    y, x = pixel_centres(scale, device)
    return x.flatten() - WIDTH / 2, y.flatten() - HEIGHT / 2


def film(source: torch.Tensor, grid: torch.Tensor, padding: str) -> torch.Tensor:
    """Sample still pictures for every frame.

    Args:
        source: [n,c,h,w].
        grid: [n,T,H,W,2], x and y in -1..1 for each pixel of each frame.
        padding: Values beyond the edges of the source: "border" or "zeros" (see `torch.nn.functional.grid_sample`).

    Returns:
        [n,c,T,H,W].
    """
    n, frames, height, width = grid.shape[:4]
    flat = grid.reshape(n, frames * height, width, 2)
    out = F.grid_sample(source, flat, mode="bilinear", padding_mode=padding, align_corners=False)
    return out.view(n, -1, frames, height, width)


def camera_grid(zoom: torch.Tensor, scale: int = 1) -> torch.Tensor:
    """The part of the background that a camera sees: zoom [n,T] -> grid [n,T,128,224,2], with more pixels at a larger scale."""
    x, y = _from_middle(scale, zoom.device)
    z = zoom[..., None, None]
    return torch.stack(torch.broadcast_tensors((x / (WIDTH / 2)) / z, (y / (HEIGHT / 2))[:, None] / z), -1)


def cutout_grid(
    motion: dict[str, torch.Tensor],
    x: torch.Tensor,
    y: torch.Tensor,
    half: torch.Tensor,
    way: torch.Tensor,
    flip: torch.Tensor,
    aspect: torch.Tensor,
    zoom: torch.Tensor,
    scale: int = 1,
) -> torch.Tensor:
    """Where each pixel of each frame looks in the cut-out of a thing.

    The cut-out is scaled, sheared and turned about its pivot, moved to (x, y), and seen by the camera; this is the inverse.

    Args:
        motion: What `motion.motion` returns, each [n,T].
        x, y: Centre of the thing in units from the middle of the picture, [n,T].
        half: Half of the thing's longest side in units, [n,1].
        way: 1, or -1 for a thing that moves and turns the other way, [n,1].
        flip: 1, or -1 for a thing that is drawn mirrored, [n,1].
        aspect: How many times as wide as drawn it is, [n,1].
        zoom: Of the camera, [n,T].
        scale: Pixels a unit, each way.

    Returns:
        [n,T,H,W,2], x and y in the cell of the thing, -1..1.
    """
    row = lambda *v: torch.stack(v, -1)  # noqa: E731
    angle = motion["rot"] * way
    c, s = torch.cos(angle), torch.sin(angle)
    zero = torch.zeros_like(c)
    rotation = torch.stack([row(c, -s), row(s, c)], -2)
    stretch = torch.stack(
        [row(motion["sx"] * aspect * flip, -motion["shear"] * motion["sy"]), row(zero, motion["sy"])], -2
    )
    forward = rotation @ stretch
    adjugate = torch.stack(
        [row(forward[..., 1, 1], -forward[..., 0, 1]), row(-forward[..., 1, 0], forward[..., 0, 0])], -2
    )
    determinant = forward[..., 0, 0] * forward[..., 1, 1] - forward[..., 0, 1] * forward[..., 1, 0]
    inverse = adjugate / determinant[..., None, None]
    pivot = row(torch.zeros_like(motion["pivot"]), motion["pivot"])
    offset = pivot - torch.einsum("ntij,ntj->nti", inverse, row(x, y) / half[..., None] + pivot)
    inverse = inverse / half[..., None, None] / zoom[..., None, None]
    px, py = _from_middle(scale, x.device)
    px, py = px[None, None, None], py[None, None, :, None]
    at = lambda v: v[..., None, None]  # noqa: E731
    u = [at(inverse[..., i, 0]) * px + at(inverse[..., i, 1]) * py + at(offset[..., i]) for i in (0, 1)]
    return torch.stack(u, -1) / (CELL / LONGEST)  # the thing fills its cell but for the margin
