"""Lesson 1: right and wrong answers to its questions."""

import random

import numpy as np


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2))


def prediction(before, after, sigma, next_sigma):
    return before - sigma * (after - before) / (next_sigma - sigma)


SIZES = {"pixels": 86016, "latents": 3584}
#: {question: (right answers, {mistake: wrong answers}, facts)}; "" is a wrong answer without a hint of its own.
CASES = {
    "1.1": (["b", " B "], {"a": ["a"], "c": ["c"]}, {}),
    "1.2": (["c"], {"a": ["a"], "b": ["b"]}, {}),
    "1.3": (
        [lambda: random.randrange(2**32), lambda: random.randint(0, 2**32 - 1), lambda: random.getrandbits(32)],
        {
            "kind": [lambda: random.random(), lambda: str(random.randrange(2**32)), lambda: None],
            "same": [lambda: 42],
            "range": [lambda: random.randrange(-1, 2**33), lambda: random.randint(0, 2**33)],
            "end": [lambda: random.randint(0, 2**32)],
            "small": [lambda: random.randrange(2**31), lambda: random.randrange(1000000)],
        },
        {},
    ),
    "1.4": (["a"], {"b": ["b"], "c": ["C"]}, {}),
    "1.5": (
        [4, 4.0, np.float32(4)],
        {"same": [7], "seconds": [2.5], "product": [25], "inverse": [0.25], "gaps": [9 / 2.5], "": [3, 5, 10]},
        {"frames": 10},
    ),
    "1.6": (["a"], {"b": ["b"], "c": ["c"]}, {}),
    "1.7": (["c"], {"a": ["a"], "b": ["b"]}, {}),
    "1.8": (
        [24, 24.0],
        {"inverse": [1 / 24], "side": [8], "cell": [64], "cells": [192], "difference": [86016 - 3584], "": [3, 48]},
        SIZES,
    ),
    "1.9": (
        [psnr],
        {
            "wraps": [lambda a, b: 10 * np.log10(255**2 / np.mean((a - b) ** 2))],
            "natural": [lambda a, b: 10 * np.log(255**2 / np.mean((a.astype(float) - b) ** 2))],
            "twenty": [lambda a, b: 2 * psnr(a, b)],
            "sign": [lambda a, b: -psnr(a, b)],
            "peak": [lambda a, b: 10 * np.log10(255 / np.mean((a.astype(float) - b) ** 2))],
            "absolute": [lambda a, b: 10 * np.log10(255**2 / np.mean(np.abs(a.astype(float) - b)))],
            "": [lambda a, b: 30.0],
        },
        {},
    ),
    "1.10": (["c"], {"a": ["a"], "b": ["b"]}, {}),
    "1.11": (
        [prediction],
        {
            "after": [lambda x, y, s, t: x - t * (y - x) / (t - s)],
            "sign": [lambda x, y, s, t: x + s * (y - x) / (t - s)],
            "slope": [lambda x, y, s, t: (y - x) / (t - s)],
            "step": [lambda x, y, s, t: y + s * (y - x) / (t - s)],
            "shape": [lambda x, y, s, t: 0.0],
            "": [lambda x, y, s, t: x],
        },
        {},
    ),
    "1.12": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "1.13": (["b"], {"a": ["a"], "c": ["c"]}, {}),
    "1.14": (
        [5, 5.0, np.int64(5)],
        {"index": [4], "start": [2], "late": [6], "": [29, 7, 0]},
        {"db": [16.7, 18.6, 20.5, 29.0, 30.8]},
    ),
}
