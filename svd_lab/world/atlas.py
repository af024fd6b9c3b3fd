"""Pictures of things as an atlas of cells for the renderer."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from svd_lab.mini.catalogue import CELL

LONGEST = CELL - 8


def fit(picture: Image.Image) -> Image.Image:
    """The visible part, its longest side LONGEST pixels, centred in a CELL x CELL cell."""
    picture = picture.convert("RGBA")
    picture = picture.crop(picture.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox())
    scale = LONGEST / max(picture.size)
    size = tuple(max(1, round(s * scale)) for s in picture.size)
    picture = picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(picture, ((CELL - size[0]) // 2, (CELL - size[1]) // 2))
    return cell


def as_atlas(cells: np.ndarray, device) -> torch.Tensor:
    """Cells uint8 [n,112,112,4] -> [2,n,4,112,112] with premultiplied alpha: as they are, and blurred for small sizes."""
    a = torch.from_numpy(cells).to(device).permute(0, 3, 1, 2).float() / 255
    a[:, :3] *= a[:, 3:]
    small = F.interpolate(F.avg_pool2d(a, 2), size=a.shape[-2:], mode="bilinear", align_corners=False)
    return torch.stack([a, small])
