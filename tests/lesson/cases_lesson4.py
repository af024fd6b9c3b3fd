"""Right and wrong answers to lesson 4's questions, as CASES in test_checking.py."""

import numpy as np
import torch

FACTS = {"tokens": 77, "length": 128, "used": 10}
MIB = 5 * 2304**2 * 4 / 2**20


def cosine(one, other):
    return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))


def attention(query, key, value):
    return torch.softmax(query @ key.T / query.shape[-1] ** 0.5, dim=-1) @ value


def later(seed, skip, count):
    generator = torch.Generator().manual_seed(seed)
    torch.randn(skip, generator=generator)
    return torch.randn(count, generator=generator)


def draw(seed, count):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


#: {question: (right answers, {mistake: wrong answers}, facts)}; "" is a wrong answer without a hint of its own.
CASES = {
    "4.r1": (["b", "B"], {"a": ["a"], "c": ["c"], "d": ["d"]}, {}),
    "4.r2": (
        [7 / 16, 0.44],
        {"kept": [9 / 16], "percent": [43.75], "inverse": [16 / 9], "excess": [7 / 9], "": [0.5]},
        {},
    ),
    "4.r3": (["c"], {"a": ["a"], "b": ["b"]}, {}),
    "4.r4": (["a"], {"b": ["b"], "c": ["c"]}, {}),
    "4.r5": ([1024], {"height": [576], "eighth": [128], "square": [512], "mini": [224], "": [768]}, {}),
    "4.1": (["c", " C "], {"a": ["a"], "b": ["b"], "d": ["d"]}, {}),
    "4.2": (["a"], {"b": ["b"], "c": ["c"], "d": ["d"]}, {}),
    "4.3": (
        [77 * 128, np.int64(9856)],
        {"tokens": [77], "length": [128], "sum": [205], "words": [1280], "inner": [9600], "": [10000]},
        FACTS,
    ),
    "4.4": (
        [7, np.int64(7)],
        {"other": [9, 8], "": [4, 0, -7]},
        {"tried": {"a wombat playing chess": 9, "an astronaut": 8, "a rabbit playing chess": 7}},
    ),
    "4.5": (
        [cosine, lambda a, b: (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())],
        {
            "array": [lambda a, b: a * b],
            "dot": [lambda a, b: a @ b],
            "squares": [lambda a, b: a @ b / ((a @ a) * (b @ b))],
            "one_length": [lambda a, b: a @ b / np.linalg.norm(a)],
            "distance": [lambda a, b: np.linalg.norm(a - b), lambda a, b: 1 - cosine(a, b)],
            "sums": [lambda a, b: a @ b / (a.sum() * b.sum()), lambda a, b: (a * b).mean()],
            "": [lambda a, b: 1.0],
        },
        {},
    ),
    "4.6": (["b"], {"a": ["a"], "c": ["c"], "d": ["d"]}, {}),
    "4.7": (["d"], {"a": ["a"], "b": ["b"], "c": ["c"]}, {}),
    "4.8": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "4.9": (
        [lambda u, c, s: u + s * (c - u), lambda u, c, s: (1 - s) * u + s * c],
        {
            "shape": [lambda u, c, s: (u + s * (c - u)).mean()],
            "swapped": [lambda u, c, s: c + s * (u - c)],
            "start": [lambda u, c, s: c + s * (c - u)],
            "difference": [lambda u, c, s: s * (c - u)],
            "scaled": [lambda u, c, s: s * c],
            "sum": [lambda u, c, s: u + s * c],
            "backwards": [lambda u, c, s: u + s * (u - c)],
            "": [lambda u, c, s: c],
        },
        {},
    ),
    "4.10": ([3, 3.0], {"other": [1], "": [0, 2, 7.5, -3]}, {"tried": {1: 1, 7.5: 3, 2: 3}}),
    "4.11": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "4.12": (
        [14.6 / 32, 0.46],
        {"count": [14.6 / 1024], "same": [14.6], "root": [14.6 / 32**0.5], "more": [14.6 * 32], "": [1, 0]},
        {},
    ),
    "4.13": (
        [attention, lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]],
        {
            "weights": [lambda q, k, v: torch.softmax(q @ k.T / 2, dim=-1)],
            "shape": [lambda q, k, v: torch.softmax(q.T @ k / 2, dim=-1) @ v.T],
            "scale": [lambda q, k, v: torch.softmax(q @ k.T, dim=-1) @ v],
            "size": [lambda q, k, v: torch.softmax(q @ k.T / 4, dim=-1) @ v],
            "softmax": [lambda q, k, v: q @ k.T / 2 @ v],
            "columns": [lambda q, k, v: torch.softmax(q @ k.T / 2, dim=0) @ v],
            "values": [lambda q, k, v: attention(q, k, k)],
            "": [lambda q, k, v: v],
            "?": [lambda q, k, v: q @ k],
        },
        {},
    ),
    "4.14": (
        [MIB, 101.25, 101.3],
        {
            "one_head": [MIB / 5],
            "bytes": [5 * 2304**2 * 4],
            "numbers": [5 * 2304**2],
            "half": [MIB / 2],
            "mb": [5 * 2304**2 * 4 / 1e6],
            "output": [5 * 2304 * 64 * 4 / 2**20],
            "": [100],
        },
        {},
    ),
    "4.15": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "4.16": (["c"], {"a": ["a"], "b": ["b"], "d": ["d"]}, {}),
    "4.17": (
        [later, lambda seed, skip, count: draw(seed, skip + count)[skip:]],
        {
            "all": [lambda seed, skip, count: draw(seed, skip + count)],
            "shape": [lambda seed, skip, count: draw(seed, skip)],
            "random": [lambda seed, skip, count: torch.randn(count)],
            "fresh": [lambda seed, skip, count: draw(seed, count)],
            "seed": [lambda seed, skip, count: draw(seed + skip, count)],
            "": [lambda seed, skip, count: torch.zeros(count)],
        },
        {},
    ),
    "4.18": (["b"], {"a": ["a"], "c": ["c"]}, {}),
}
