"""Pictures of things as an atlas of equally sized cells, which is what the renderer draws from."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from svd_lab.mini.catalogue import CELL

LONGEST = CELL - 8  # pixels; the longest side of a thing, which leaves a margin of 4 around it
VISIBLE = 8  # of 255: alpha above this counts as part of the thing


def fit(picture: Image.Image, scale: int = 1) -> Image.Image:
    """Crop a picture to its visible part and centre it in a cell.

    Args:
        picture: A thing on a transparent background, of any size and mode that converts to RGBA.
        scale: How many times as large the cell is.

    Returns:
        RGBA, CELL x CELL pixels; the longest side of the thing is LONGEST pixels; all times `scale`.
    """
    side = CELL * scale
    picture = picture.convert("RGBA")
    picture = picture.crop(picture.getchannel("A").point(lambda a: 255 * (a > VISIBLE)).getbbox())
    factor = LONGEST * scale / max(picture.size)
    size = tuple(max(1, round(s * factor)) for s in picture.size)
    picture = picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    cell = Image.new("RGBA", (side, side))
    cell.paste(picture, ((side - size[0]) // 2, (side - size[1]) // 2))
    return cell


def as_atlas(cells: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """Turn cells into the tensor that the renderer samples.

    Args:
        cells: uint8 [n,112,112,4], RGBA.
        device: Where the atlas is kept.

    Returns:
        float [2,n,4,112,112] in 0..1, colours premultiplied with alpha: [0] as drawn, [1] blurred, for things drawn small.
    """
    sharp = torch.from_numpy(cells).to(device).permute(0, 3, 1, 2).float() / 255
    sharp[:, :3] *= sharp[:, 3:]
    small = F.interpolate(F.avg_pool2d(sharp, 2), size=sharp.shape[-2:], mode="bilinear", align_corners=False)
    return torch.stack([sharp, small])
