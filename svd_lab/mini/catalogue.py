"""The things of the world: what they are called, how they move, and their pictures, which are in the folder `things`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

THINGS = Path(__file__).parent / "things"
# The same atlases at twice the size, for training on larger pictures. They are not committed: build_things --scale 2 draws them.
LARGE_THINGS = Path(__file__).parents[2] / ".carry" / "things2"
CELL, COLUMNS = 112, 32  # of an atlas: pixels of a cell, 4 of them margin on each side, and cells in a row
ATLAS_3D, ATLAS_FLAT = (
    "things.webp",
    "flat.webp",
)  # Fluent's 3D style; its flat style, which is not part of an installed package


@cache
def catalogue() -> list[dict[str, Any]]:
    """All things, in the order of their cells.

    Returns:
        For each thing: code (its Unicode code points), kind (of motion, a key of `svd_lab.world.motion.KINDS`), en and ko (its
        names), held_out (whether the miniatures were trained without it).
    """
    return json.loads((THINGS / "things.json").read_text(encoding="utf-8"))


@cache
def _atlas(file: str | Path, scale: int) -> np.ndarray:
    """A whole atlas, RGBA uint8 [rows * 112, 32 * 112, 4] times `scale`; takes 0.3 s to decode."""
    try:
        with Image.open((THINGS if scale == 1 else LARGE_THINGS) / file) as atlas:
            return np.asarray(atlas.convert("RGBA"))
    except FileNotFoundError as error:
        if scale > 1:
            raise FileNotFoundError(
                f"There is no {file} in {LARGE_THINGS}, which has the things at twice their size: draw them with "
                f"`python -m svd_lab.training.assets.build_things … --scale 2 --out {LARGE_THINGS}` in a checkout of the repository"
            ) from error
        raise FileNotFoundError(
            f"There is no {file} in {THINGS}. An installed package has {ATLAS_3D} only; {ATLAS_FLAT} is needed for training alone, "
            "and is in the repository: install from there with `pip install -e .`"
        ) from error


def cell_of(index: int, file: str | Path = ATLAS_3D, scale: int = 1) -> np.ndarray:
    """The picture of one thing.

    Args:
        index: Its place in `catalogue()`.
        file: ATLAS_3D, ATLAS_FLAT (in the repository only), or the absolute path of another atlas.
        scale: 2 for cells of twice the size, from the atlases in LARGE_THINGS.

    Returns:
        RGBA, uint8 [112,112,4], times `scale` each way.

    Raises:
        FileNotFoundError: There is no such atlas.
    """
    side = CELL * scale
    y, x = index // COLUMNS * side, index % COLUMNS * side
    return _atlas(file, scale)[y : y + side, x : x + side]


def cutout(index: int, file: str | Path = ATLAS_3D, scale: int = 1) -> Image.Image:
    """The picture of one thing as RGBA, 112 x 112 pixels times `scale`; see `cell_of`."""
    return Image.fromarray(cell_of(index, file, scale))
