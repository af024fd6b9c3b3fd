"""Right and wrong answers to lesson 2's questions, as CASES in test_checking.py."""

from types import SimpleNamespace

import numpy as np
from PIL import Image


def mean_difference(one, other):
    return np.abs(one.astype(float) - other.astype(float)).mean()


def expected(travel, bucket, fps):
    return travel * bucket / 127 * 7 / fps


def clipped(values):
    return ((values <= 2) | (values >= 253)).mean()


def _frames(moved, other=0):
    """Two frames of noise: the middle, where BOX is, moves to the right by `moved` pixels, the hills' corner by `other`."""
    made = []
    for middle, corner in ((0, 0), (moved, other)):
        values = np.zeros((64, 112, 3), dtype=np.uint8)
        values[22:39, 39 + middle : 59 + middle] = np.random.default_rng(0).integers(50, 256, (17, 20, 3))
        values[38:58, 6 + corner : 28 + corner] = np.random.default_rng(1).integers(50, 256, (20, 22, 3))
        made.append(Image.fromarray(values))
    return made


def _clip(fps, moved, bucket=127):
    return SimpleNamespace(frames=_frames(moved), recipe={"fps": fps, "motion_bucket_id": bucket})


BOX = (0.35, 0.35, 0.53, 0.61)
MADE = {"reference": _clip(7, 9), "fps_10": _clip(10, 6), "fps_15": _clip(15, 4), "other": _clip(10, 3, bucket=240)}

#: {question: (right answers, {mistake: wrong answers}, facts)}; "" is a wrong answer without a hint of its own.
CASES = {
    "2.r1": ([12 / 7, 1.71], {"product": [84], "inverse": [7 / 12], "gaps": [11 / 7], "": [1.43, 12, 7]}, {}),
    "2.r2": (["c", "C"], {"a": ["a"], "b": ["b"]}, {}),
    "2.r3": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "2.r4": ([2**32, float(2**32)], {"end": [2**32 + 1], "minus": [2**32 - 1], "power": [32], "": [2**31, 42]}, {}),
    "2.r5": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "2.1": (
        [mean_difference, lambda a, b: float(np.mean(np.abs(a.astype(int) - b.astype(int))))],
        {
            "wraps": [lambda a, b: np.abs(a - b).mean(), lambda a, b: (a - b).mean()],
            "signed": [lambda a, b: (a.astype(float) - b).mean(), lambda a, b: abs(a.mean() - b.mean())],
            "square": [lambda a, b: ((a.astype(float) - b) ** 2).mean()],
            "total": [lambda a, b: np.abs(a.astype(float) - b).sum()],
            "largest": [lambda a, b: np.abs(a.astype(float) - b).max()],
            "array": [lambda a, b: np.abs(a.astype(float) - b)],
            "": [lambda a, b: 0.0],
        },
        {},
    ),
    "2.2": (
        [0, 0.0, np.float64(0.05)],
        {"same": [9, 9.05], "": [4, 28.3, -1]},
        {"ends": _frames(9), "box": BOX},
    ),
    "2.3": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "2.4": (["c", " C "], {"a": ["a"], "b": ["b"], "d": ["d"]}, {}),
    "2.5": (["c"], {"a": ["a"], "b": ["b"]}, {}),
    "2.6": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "2.7": (
        [28.3 * 240 / 127, 53.5, 53],
        {"inverse": [28.3 * 127 / 240], "same": [28.3], "ratio": [240 / 127], "added": [28.3 + 113], "": [240, 40]},
        {"travel": 28.3},
    ),
    "2.8": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "2.9": (
        [expected, lambda d, b, f: d * (b / 127) * (7 / f)],
        {
            "fps": [lambda d, b, f: d * b / 127 * f / 7],
            "bucket": [lambda d, b, f: d * 127 / b * 7 / f],
            "both": [lambda d, b, f: d * 127 / b * f / 7],
            "only_bucket": [lambda d, b, f: d * b / 127],
            "only_fps": [lambda d, b, f: d * 7 / f],
            "units": [lambda d, b, f: d * b / f],
            "": [lambda d, b, f: d],
        },
        {},
    ),
    "2.10": ([5, 4.96], {"inverse": [10], "same": [7], "bucket": [90], "": [4, 6]}, {}),
    "2.11": (
        [6, 6.04, np.float64(6)],
        {"reference": [9], "": [4, 3, 10, 19.8]},
        {"clips": MADE, "box": BOX},
    ),
    "2.12": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "2.13": (
        [clipped, lambda v: np.mean((v <= 2) | (v >= 253))],
        {
            "count": [lambda v: ((v <= 2) | (v >= 253)).sum()],
            "percent": [lambda v: 100 * clipped(v)],
            "low": [lambda v: (v <= 2).mean(), lambda v: (v >= 253).mean()],
            "edges": [lambda v: ((v < 2) | (v > 253)).mean(), lambda v: ((v == 0) | (v == 255)).mean()],
            "inside": [lambda v: ((v > 2) & (v < 253)).mean()],
            "and": [lambda v: ((v <= 2) & (v >= 253)).mean()],
            "array": [lambda v: (v <= 2) | (v >= 253)],
            "": [lambda v: 1.0],
        },
        {},
    ),
    "2.14": (["c"], {"a": ["a"], "b": ["b"]}, {}),
}
