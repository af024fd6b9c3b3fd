"""Things that nobody drew: animals, vehicles, boats and more of chance shapes, for training.

    python -m svd_lab.training.world.invented SHEET.png [SEED]

The catalogue has eight things that swim and four that hop; an encoder that has seen no others knows those, not what makes a fish.
Here each family is a rule with a dozen random numbers (how long the legs, where the neck, which tail), so there is always another
one. What has a direction faces LEFT as in the catalogue (rockets and airplanes: up and right). Nothing here stands for one of the
things that are held out.
"""

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

# Whose motion each family has, by a thing of the catalogue that moves so.
FAMILIES = {
    quadruped: "horse", hopper: "rabbit", bird: "bird", fish: "fish", whale: "whale", car: "automobile", truck: "delivery truck",
    bus: "bus", boat: "sailboat", rocket: "rocket", airplane: "airplane", plant: "deciduous tree", balloon: "balloon",
    leaf: "maple leaf",
}  # fmt: skip


def invent(family, rng: Random) -> Image.Image:
    """A thing of a family as RGBA, SIDE x SIDE."""
    pen = Pen(rng)
    family(pen)
    return shaded(pen.page, rng)


@cache
def cells(n: int, styles: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Cells uint8 [styles,n,112,112,4] of the families in turn, and the catalogue's index of what moves as each does.

    Always the same ones; 5 ms each.
    """
    names, families = [t["en"] for t in catalogue()], list(FAMILIES)
    like = tuple(names.index(FAMILIES[families[k % len(families)]]) for k in range(n))
    rngs = [Random(style) for style in range(styles)]
    drawn = [[np.asarray(fit(invent(families[k % len(families)], rng))) for k in range(n)] for rng in rngs]
    return np.array(drawn), like
