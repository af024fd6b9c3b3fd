"""Right and wrong answers to lesson 3's questions, as CASES in test_checking.py."""

import numpy as np


def fit_inside(w, h, width, height):
    scale = min(width / w, height / h)
    return round(w * scale), round(h * scale)


def mixed(color, alpha, background):
    share = alpha[..., None] / 255
    return share * color + (1 - share) * background


def centroid(frame, background):
    y, x = np.nonzero(np.abs(frame.astype(float) - background).max(2) > 40)
    return x.mean(), y.mean()


def any_change(frame, background):
    y, x = np.nonzero((frame != background).any(2))
    return x.mean(), y.mean()


def decibels(mse):
    return 10 * np.log10(255**2 / mse)


def squared(one, other):
    return (one.astype(float) - other) ** 2


SIZE = {"width": 224, "height": 128}
CASES = {
    "3.r1": ([0, 0.0], {"seed": [1, 1.0], "most": [255], "": [0.5, 42, -1]}, {}),
    "3.r2": (["c"], {"a": ["a"], "b": ["b"]}, {}),
    "3.r3": (["b", "B"], {"a": ["a"], "c": ["c"]}, {}),
    "3.r4": ([2, 200 / 100], {"half": [0.5], "same": [1], "square": [4], "added": [100], "": [3, 200]}, {}),
    "3.r5": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "3.1": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "3.2": (
        [3 / 7, 0.43, np.float32(0.4286)],
        {"lost": [4 / 7], "inverse": [7 / 3], "shape": [0.75], "percent": [300 / 7], "": [0.5, 4 / 3, 1]},
        SIZE,
    ),
    "3.3": (
        [7 / 3, 2.33, np.float32(2.3333)],
        {"inverse": [3 / 7], "frame": [1.75], "picture": [4 / 3], "product": [1.3125], "": [2, 1]},
        SIZE,
    ),
    "3.4": (
        [fit_inside, lambda w, h, a, b: list(fit_inside(w, h, a, b))],
        {
            "crop": [lambda w, h, a, b: (round(w * max(a / w, b / h)), round(h * max(a / w, b / h)))],
            "stretch": [lambda w, h, a, b: (a, b)],
            "height_only": [lambda w, h, a, b: (round(w * b / h), b)],
            "width_only": [lambda w, h, a, b: (a, round(h * a / w))],
            "order": [lambda w, h, a, b: fit_inside(w, h, a, b)[::-1]],
            "no_enlarging": [lambda w, h, a, b: (w, h) if w <= a and h <= b else fit_inside(w, h, a, b)],
            "fraction": [lambda w, h, a, b: (w * min(a / w, b / h), h * min(a / w, b / h))],
            "shape": [lambda w, h, a, b: min(a / w, b / h)],
            "": [lambda w, h, a, b: (96, 128)],
        },
        {},
    ),
    "3.5": (
        [128, 127.0, np.int64(128)],
        {"side": [64], "crop": [0], "inside": [96], "": [43, 224]},
        {"width": 224, "inside": 96},
    ),
    "3.6": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "3.7": (
        [mixed, lambda c, a, b: b + a[:, :, np.newaxis] / 255 * (c - b)],
        {
            "swapped": [lambda c, a, b: mixed(b, a, c)],
            "scale": [lambda c, a, b: a[..., None] * c + (1 - a[..., None]) * b],
            "dark": [lambda c, a, b: a[..., None] / 255 * c],
            "dropped": [lambda c, a, b: c],
            "sum": [lambda c, a, b: a[..., None] / 255 * c + b],
            "half": [lambda c, a, b: (c + b) / 2],
            "hard": [lambda c, a, b: np.where(a[..., None] > 127.5, c, b)],
            "shape": [lambda c, a, b: c[..., 0] * a / 255],
            "": [lambda c, a, b: b],
        },
        {},
    ),
    "3.8": (["d", " D"], {"a": ["a", "A"], "b": ["b", " b "], "c": ["c"]}, {}),
    "3.9": (
        [centroid, lambda f, b: list(centroid(f, b))],
        {
            "order": [lambda f, b: centroid(f, b)[::-1]],
            "noise": [any_change],
            "middle": [lambda f, b: ((f.shape[1] - 1) / 2, (f.shape[0] - 1) / 2)],
            "corner": [lambda f, b: (10, 4)],
            "shape": [lambda f, b: 15.0],
            "": [lambda f, b: (0, 0)],
        },
        {},
    ),
    "3.10": (["c"], {"a": ["a"], "b": ["b"], "d": ["d"]}, {}),
    "3.11": (["b"], {"a": ["a", " A"], "c": ["c", "C", " c"]}, {}),
    "3.12": (
        [lambda a, b, m: decibels(squared(a, b)[m].mean())],
        {
            "whole": [lambda a, b, m: decibels(squared(a, b).mean())],
            "mse": [lambda a, b, m: squared(a, b)[m].mean()],
            "wraps": [lambda a, b, m: decibels(((a - b).astype(float) ** 2)[m].mean())],
            "": [lambda a, b, m: 45.0, lambda a, b, m: -decibels(squared(a, b)[m].mean())],
        },
        {},
    ),
    "3.13": (
        [31.55, np.float64(31.5)],
        {"other": [27.09], "": [45, 0, -31.55, 33]},
        {"tried": {0.12: 27.09, 0.4: 31.55}},
    ),
    "3.14": (["c"], {"a": ["a", "A"], "b": ["b", " b"]}, {}),
    "3.15": (["c"], {"a": ["a"], "b": ["b"]}, {}),
}
