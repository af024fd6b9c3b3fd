"""Right and wrong answers to lesson 5's questions, as CASES in test_checking.py."""

import numpy as np
import torch


def target(x0, x, sigma):
    return (x0 - x / (sigma**2 + 1)) / (sigma / (sigma**2 + 1) ** 0.5)


def karras(n, largest, smallest, rho=7):
    high, low = largest ** (1 / rho), smallest ** (1 / rho)
    return (high + np.arange(n) / (n - 1) * (low - high)) ** rho


def weighted(x, sigma):
    plus, minus = (np.exp(-((x - place) ** 2) / (2 * sigma**2)) for place in (1, -1))
    return (plus - minus) / (plus + minus)


LATENTS = torch.linspace(-1, 1, 48).reshape(1, 2, 2, 3, 4)
CASES = {
    "5.r1": ([77], {"width": [768], "size": [1024], "words": [1], "": [64, 7.5]}, {}),
    "5.r2": ([2], {"one": [1], "scale": [7.5], "steps": [50], "": [3, 0]}, {}),
    "5.r3": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "5.r4": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "5.r5": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "5.1": (["c"], {"a": ["a"], "b": ["b"]}, {}),
    "5.2": (
        [lambda x, s: np.tanh(x / s**2), weighted],
        {
            "sigma": [lambda x, s: np.tanh(x / s)],
            "hard": [lambda x, s: np.where(x > 0, 1, -1)],
            "seen": [lambda x, s: x],
            "sign": [lambda x, s: -np.tanh(x / s**2)],
            "plus": [lambda x, s: 1 / (1 + np.exp(-2 * x / s**2))],
            "two": [lambda x, s: np.tanh(x / (2 * s**2))],
            "": [lambda x, s: 0 * x, lambda x, s: 0.5],
        },
        {},
    ),
    "5.3": (
        [np.tanh(2) - 2, -1.04],
        {"sign": [1.036], "prediction": [np.tanh(2)], "place": [-2], "": [0, 1, 2]},
        {},
    ),
    "5.4": (
        [0.316, 1 / 10**0.5],
        {"root": [0.1], "one": [1 / 3], "inverse": [10**0.5], "skip": [3 / 10**0.5], "": [3, 1]},
        {},
    ),
    "5.5": (
        [target, lambda x0, x, s: (x0 * (s**2 + 1) - x) / (s * (s**2 + 1) ** 0.5)],
        {
            "sign": [lambda x0, x, s: -target(x0, x, s)],
            "plus": [lambda x0, x, s: target(x0, -x, s)],
            "product": [lambda x0, x, s: (x0 - x / (s**2 + 1)) * (s / (s**2 + 1) ** 0.5)],
            "no_skip": [lambda x0, x, s: x0 / (s / (s**2 + 1) ** 0.5)],
            "no_out": [lambda x0, x, s: x0 - x / (s**2 + 1)],
            "noise": [lambda x0, x, s: (x - x0) / s],
            "": [lambda x0, x, s: x0],
        },
        {},
    ),
    "5.6": ([8, 8.0], {"same": [0.1], "sigma": [80], "divided": [0.1 / 80], "": [1, 0.8]}, {}),
    "5.7": (
        [karras, lambda n, a, b, rho=7: torch.tensor(karras(n, a, b, rho))],
        {
            "linear": [lambda n, a, b, rho=7: np.linspace(a, b, n)],
            "exponential": [lambda n, a, b, rho=7: np.geomspace(a, b, n)],
            "backwards": [lambda n, a, b, rho=7: karras(n, a, b, rho)[::-1]],
            "n": [lambda n, a, b, rho=7: karras(n + 1, a, b, rho)[:n]],
            "no_power": [lambda n, a, b, rho=7: karras(n, a, b, rho) ** (1 / rho)],
            "zero": [lambda n, a, b, rho=7: [*karras(n, a, b, rho), 0]],
            "": [lambda n, a, b, rho=7: np.zeros(n)],
        },
        {},
    ),
    "5.8": (
        [lambda u, c, s: u + s * (c - u), lambda u, c, s: (1 - s) * u + s * c],
        {
            "swapped": [lambda u, c, s: c + s * (u - c)],
            "from_condition": [lambda u, c, s: c + s * (c - u)],
            "difference": [lambda u, c, s: s * (c - u)],
            "scaled": [lambda u, c, s: s * c],
            "mean": [lambda u, c, s: (u + s * c) / (1 + s)],
            "": [lambda u, c, s: c],
        },
        {},
    ),
    "5.9": (
        [1 + 8 / 9, 1.89],
        {"count": [1 + 10 / 9], "tenths": [1.8], "middle": [2, 2.0], "": [3, 1.5]},
        {},
    ),
    "5.10": (
        [lambda x, d, s, t: x + (x - d) / s * (t - s), lambda x, d, s, t: d + (x - d) * t / s],
        {
            "back": [lambda x, d, s, t: x - (x - d) / s * (t - s)],
            "next": [lambda x, d, s, t: x + (x - d) / s * t],
            "jump": [lambda x, d, s, t: d],
            "no_sigma": [lambda x, d, s, t: x + (x - d) * (t - s)],
            "score": [lambda x, d, s, t: x + (x - d) / s**2 * (t - s)],
            "": [lambda x, d, s, t: x],
        },
        {},
    ),
    "5.11": (
        [LATENTS, LATENTS.clone()],
        {
            "rounding": [LATENTS * (1 + 1e-5)],
            "start": [80 * LATENTS],
            "shape": [LATENTS[0], LATENTS[:, :1]],
            "": [LATENTS + 0.5, torch.zeros_like(LATENTS)],
        },
        {"reference": LATENTS},
    ),
    "5.12": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "5.13": (["c"], {"a": ["a"], "b": ["b"]}, {}),
}
