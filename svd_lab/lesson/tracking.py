"""Where the moving thing of a clip is, in pixels. Plain NumPy; knows no models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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
