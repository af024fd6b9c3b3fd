"""The things of the world: what they are called, how they move, and their pictures (`things/`, built by build_things.py)."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

THINGS = Path(__file__).parent / "things"
LARGE = Path(
    ".carry/things2"
)  # the atlases with cells of 2 * CELL, for worlds of scale 2: build_things --scale 2 makes them
CELL, COLUMNS = 112, 32  # pixels a thing in the atlas, 4 of them margin on each side


@cache
def catalogue() -> list[dict]:
    """All things: code, kind, en, ko (names), held_out (kept out of training)."""
    return json.loads((THINGS / "things.json").read_text(encoding="utf-8"))


@cache
def _atlas(file: str, scale: int = 1) -> np.ndarray:
    """A whole atlas, RGBA uint8; 0.3 s to decode."""
    with Image.open((THINGS if scale == 1 else LARGE) / file) as atlas:
        return np.asarray(atlas.convert("RGBA"))


def cell_of(index: int, file: str = "things.webp", scale: int = 1) -> np.ndarray:
    """One thing, uint8 [112,112,4], times `scale` each way."""
    side = CELL * scale
    y, x = index // COLUMNS * side, index % COLUMNS * side
    return _atlas(file, scale)[y : y + side, x : x + side]


def cutout(index: int, file: str = "things.webp", scale: int = 1) -> Image.Image:
    """One thing as an RGBA picture, 112 x 112 pixels times `scale`; file: "flat.webp" for Fluent's flat style."""
    return Image.fromarray(cell_of(index, file, scale))


def as_atlas(cells: np.ndarray, device) -> torch.Tensor:
    """Cells uint8 [n,112,112,4] -> [2,n,4,112,112] with premultiplied alpha: as they are, and blurred for small sizes."""
    a = torch.from_numpy(cells).to(device).permute(0, 3, 1, 2).float() / 255
    a[:, :3] *= a[:, 3:]
    small = F.interpolate(F.avg_pool2d(a, 2), size=a.shape[-2:], mode="bilinear", align_corners=False)
    return torch.stack([a, small])
