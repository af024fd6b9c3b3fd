"""The cut-outs of the text miniature's things: in every colour that they come in, and as riders."""

import math
from functools import cache

import numpy as np
import torch
from PIL import Image

from svd_lab.mini.catalogue import CELL, catalogue, cutout
from svd_lab.training.text.place_words import COLOURS
from svd_lab.training.text.scene_grammar import colours_of, things
from svd_lab.training.text.thing_words import VARIANTS
from svd_lab.training.world.riders import rider
from svd_lab.world.backgrounds import hsv


def _hue(rgb: np.ndarray) -> np.ndarray:
    """The hue 0..1 of each pixel of [h,w,3] in 0..1."""
    hi, d = rgb.max(-1), np.maximum(np.ptp(rgb, -1), 1e-6)
    r, g, b = np.moveaxis(rgb, -1, 0)
    return np.where(hi == r, (g - b) / d % 6, np.where(hi == g, (b - r) / d + 2, (r - g) / d + 4)) / 6


def _main_hue(rgb: np.ndarray, weight: np.ndarray) -> float:
    """The mean hue 0..1 of pixels [h,w,3] in 0..1, weighted by their chroma and by `weight` [h,w]."""
    hue, chroma = _hue(rgb), (rgb.max(-1) - rgb.min(-1)) * weight
    angle = math.atan2((chroma * np.sin(2 * np.pi * hue)).sum(), (chroma * np.cos(2 * np.pi * hue)).sum())
    return angle / (2 * math.pi) % 1


def tinted(picture: Image.Image, colour: str) -> Image.Image:
    """Replace the main colour of an RGBA cut-out by one of COLOURS; other hues (wheels, windows, beaks) stay."""
    _, hue, saturation, value = COLOURS[colour]
    a = np.asarray(picture, np.float32) / 255
    rgb, alpha = a[..., :3], a[..., 3]
    hi, lo = rgb.max(-1), rgb.min(-1)
    s = np.where(hi > 0, (hi - lo) / np.maximum(hi, 1e-6), 0)
    chroma = ((hi - lo) * alpha).sum() / max(alpha.sum(), 1)
    if chroma < 0.16:  # a grey thing is tinted as a whole
        mine, s = np.ones_like(s), np.maximum(s, 0.7)
    else:
        away = np.abs((_hue(rgb) - _main_hue(rgb, alpha) + 0.5) % 1 - 0.5)
        mine = np.clip((0.17 - away) / 0.05, 0, 1) * np.clip((s - 0.12) / 0.15, 0, 1)
    if hue is not None and 0.03 < hue < 0.97:
        s = np.maximum(s, 0.55 * mine)
    s2, v2 = np.clip(s * saturation, 0, 1), np.clip(hi * value, 0, 1)
    if colour == "yellow":
        v2 = np.clip(0.5 + 0.6 * hi, 0, 1)
    h2 = np.full_like(s2, hue) if hue is not None else _hue(rgb)
    new = hsv(*(torch.from_numpy(v.astype(np.float32)) for v in (h2, s2, v2))).numpy()
    out = np.dstack([rgb + (new - rgb) * mine[..., None], alpha])
    return Image.fromarray((out.clip(0, 1) * 255).round().astype(np.uint8))


@cache
def cells() -> tuple[dict[tuple[int, str], int], np.ndarray]:
    """{(thing, "" or a colour or "rider"): number of the cell} and all cells, uint8 [n,112,112,4]."""
    at, drawn, index = {}, [], {t["en"]: i for i, t in enumerate(catalogue())}
    for i, thing in enumerate(things()):
        own = cutout(thing.index)
        variants = VARIANTS.get(catalogue()[thing.index]["en"], {})
        pictures = {"": own}
        for c in colours_of(thing):
            pictures[c] = cutout(index[variants[c]]) if c in variants else tinted(own, c)
        if thing.rider and thing.rider != "sits":
            pictures["rider"] = rider(own, thing.rider)
        for key, picture in pictures.items():
            at[i, key] = len(drawn)
            drawn.append(np.asarray(picture))
    return at, np.stack(drawn)


@cache
def top_at(cell: int, x: float) -> float:
    """How far down its cell (0 top, 1 bottom) a thing begins at the column x (0..1)."""
    alpha = cells()[1][cell][:, round(x * (CELL - 1)), 3]
    return float(np.argmax(alpha > 128)) / CELL if (alpha > 128).any() else 0.5


@cache
def bottom(cell: int) -> float:
    """How far down its cell (0 top, 1 bottom) a thing ends."""
    rows = np.flatnonzero((cells()[1][cell][..., 3] > 128).any(1))
    return (rows[-1] + 1) / CELL
