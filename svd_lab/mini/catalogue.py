"""The things of the world: what they are called, how they move, and their pictures (`things/`, built by build_things.py)."""

import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

THINGS = Path(__file__).parent / "things"
CELL, COLUMNS = 112, 32  # pixels a thing in the atlas, 4 of them margin on each side


@cache
def catalogue() -> list[dict]:
    """All things: code, kind, en, ko (names), held_out (kept out of training)."""
    return json.loads((THINGS / "things.json").read_text(encoding="utf-8"))


@cache
def _atlas(file: str) -> np.ndarray:
    """A whole atlas, RGBA uint8; 0.3 s to decode."""
    with Image.open(THINGS / file) as atlas:
        return np.asarray(atlas.convert("RGBA"))


def cell_of(index: int, file: str = "things.webp") -> np.ndarray:
    """One thing, uint8 [112,112,4]."""
    y, x = index // COLUMNS * CELL, index % COLUMNS * CELL
    return _atlas(file)[y : y + CELL, x : x + CELL]


def cutout(index: int, file: str = "things.webp") -> Image.Image:
    """One thing as an RGBA picture, 112 x 112 pixels; file: "flat.webp" for Fluent's flat style."""
    return Image.fromarray(cell_of(index, file))
