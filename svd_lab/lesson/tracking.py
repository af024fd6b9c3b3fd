"""Where the moving thing of a clip is, in pixels. Plain NumPy; knows no models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

WIDE = 224  # pixels; displacement looks at larger pictures shrunk to this width
THRESHOLD = 40  # of 255, in the channel that differs most: as svd_lab.world.measures finds the thing


def median_background(frames: Sequence[Any]) -> np.ndarray:
    """What stays behind a moving thing: each pixel's median over the frames, [height, width, 3].

    It is right where the thing covers a pixel in fewer than half of the frames.
    """
    return np.median(np.stack([np.asarray(frame, dtype=float) for frame in frames]), axis=0)


def centroids(frames: Sequence[Any], background: Any, threshold: float = THRESHOLD) -> np.ndarray:
    """The centre (x, y) of the thing in each frame: the mean place of the pixels that differ clearly from the background.

    Args:
        frames: Pictures or arrays [height, width, 3] with values in 0..255.
        background: The picture without the thing, of the same size.
        threshold: How much a pixel must differ, in the channel that differs most.

    Returns:
        [frames, 2] in pixels; NaN in a frame where nothing differs.
    """
    empty = np.asarray(background, dtype=float)
    found = np.full((len(frames), 2), np.nan)
    for i, frame in enumerate(frames):
        rows, columns = np.nonzero(np.abs(np.asarray(frame, dtype=float) - empty).max(-1) > threshold)
        if len(rows):
            found[i] = columns.mean(), rows.mean()
    return found


def travelled(path: np.ndarray) -> float:
    """How far apart the first and the last place of a path are, in pixels; NaN if one of them is unknown."""
    return float(np.linalg.norm(path[-1] - path[0]))


def displacement(
    first: Image.Image, last: Image.Image, box: tuple[float, float, float, float], reach: float = 0.45
) -> np.ndarray:
    """How far a part of the first picture has moved in the last: the shift at which they differ least.

    It needs no background, unlike `centroids`, but a part that keeps its look; it does not follow turning or growing.

    Args:
        first, last: Pictures of one size.
        box: The part to follow as (left, top, right, bottom), in shares of the picture.
        reach: The longest shift to try, across and down, in heights of the picture.

    Returns:
        (x, y) in pixels, to the right and down.
    """
    scale = max(1.0, first.width / WIDE)
    size = round(first.width / scale), round(first.height / scale)
    one, other = (np.asarray(p.convert("RGB").resize(size, Image.Resampling.BOX), np.float32) for p in (first, last))
    left, top, right, bottom = (round(share * side) for share, side in zip(box, size * 2, strict=True))
    part = one[top:bottom, left:right]
    far = round(reach * size[1])
    best = None
    for y in range(max(0, top - far), min(size[1] - len(part), top + far) + 1):
        for x in range(max(0, left - far), min(size[0] - part.shape[1], left + far) + 1):
            error = float(np.abs(other[y : y + len(part), x : x + part.shape[1]] - part).mean())
            if best is None or error < best[0]:
                best = error, x - left, y - top
    return np.array(best[1:]) * scale
