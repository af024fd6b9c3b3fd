"""Invented things for training: animals, vehicles, boats and more of random shapes.

The catalogue has eight things that swim and four that hop; an encoder that has seen no others knows those, not what makes a fish.
Here each family is a rule with a dozen random numbers: length of the legs, place of the neck, kind of tail. Things with a
direction face left as in the catalogue (rockets and airplanes: up and right). None resembles one of the held-out things.

    python -m svd_lab.training.world.invented SHEET.png [SEED]      # write a sheet of all families
"""

from collections.abc import Callable
from functools import cache
from random import Random

import numpy as np
from PIL import Image

from svd_lab.mini.catalogue import catalogue
from svd_lab.training.world.invented.animals import bird, fish, hopper, quadruped, whale
from svd_lab.training.world.invented.others import balloon, leaf, plant
from svd_lab.training.world.invented.pen import Pen, shaded
from svd_lab.training.world.invented.vehicles import airplane, boat, bus, car, rocket, truck
from svd_lab.world.atlas import fit

Family = Callable[[Pen], None]

#: {family: the thing of the catalogue that moves alike}.
FAMILIES: dict[Family, str] = {
    quadruped: "horse", hopper: "rabbit", bird: "bird", fish: "fish", whale: "whale", car: "automobile", truck: "delivery truck",
    bus: "bus", boat: "sailboat", rocket: "rocket", airplane: "airplane", plant: "deciduous tree", balloon: "balloon",
    leaf: "maple leaf",
}  # fmt: skip


def invent(family: Family, rng: Random) -> Image.Image:
    """Draw a thing of a family: RGBA, SIDE x SIDE pixels."""
    pen = Pen(rng)
    family(pen)
    return shaded(pen.page, rng)


@cache
def cells(n: int, styles: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Draw things of the families in turn; always the same ones. Takes 5 ms each.

    Args:
        n: How many in each style.
        styles: How many different drawings of each.

    Returns:
        Cells, uint8 [styles,n,112,112,4], and for each of the n the index into `catalogue()` of what moves alike.
    """
    names, families = [t["en"] for t in catalogue()], list(FAMILIES)
    like = tuple(names.index(FAMILIES[families[k % len(families)]]) for k in range(n))
    rngs = [Random(style) for style in range(styles)]
    drawn = [[np.asarray(fit(invent(families[k % len(families)], rng))) for k in range(n)] for rng in rngs]
    return np.array(drawn), like
