"""Someone on a mount: astronauts on horses and other pairs of the text miniature's things, as cut-outs."""

from functools import cache
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from svd_lab.mini.catalogue import ATLAS_3D, ATLAS_FLAT, CELL, cutout
from svd_lab.training.text.scene_grammar import things
from svd_lab.world.atlas import LONGEST

FILES = (ATLAS_3D, ATLAS_FLAT)
RIDERS = 150  # pairs of a rider and a mount, each in both styles
SEAT = 74  # where a rider sits in its cell, pixels from the top


def rider(picture: Image.Image, how: str) -> Image.Image:
    """Make a cut-out of someone who sits astride and faces left.

    Args:
        picture: RGBA, 112 x 112 pixels, of a person (how = "bust") or of a head.
        how: "bust", or the colour "#rrggbb" of the body that a head gets.

    Returns:
        RGBA, 112 x 112 pixels: the person with one leg; the seat is SEAT pixels from the top.
    """
    big = Image.new("RGBA", (2 * CELL, 2 * CELL))
    pen, a = ImageDraw.Draw(big), np.asarray(picture)
    if how == "bust":
        low = a[92:106, 30:82].reshape(-1, 4)
        cloth = tuple(int(v) for v in low[low[:, 3] > 200][:, :3].mean(0)) + (255,)
        body = picture.resize((156, 156), Image.Resampling.LANCZOS), (34, 0)
    else:
        cloth = tuple(bytes.fromhex(how[1:])) + (255,)
        body = picture.resize((104, 104), Image.Resampling.LANCZOS), (60, 0)
    dark = tuple(int(c * 0.82) for c in cloth[:3]) + (255,)
    pen.line([(114, 146), (92, 172), (98, 206)], fill=dark, width=26, joint="curve")
    pen.ellipse([101, 133, 127, 159], fill=dark)
    pen.ellipse([74, 198, 112, 218], fill=(58, 48, 46, 255))
    if how != "bust":
        pen.rounded_rectangle([84, 88, 140, 158], radius=24, fill=cloth)
        pen.line([(104, 108), (84, 138)], fill=dark, width=17)
        pen.ellipse([74, 128, 92, 146], fill=(246, 196, 74, 255))
    big.alpha_composite(body[0], body[1])
    return big.resize((CELL, CELL), Image.Resampling.LANCZOS)


def mounted(someone: Image.Image, mount: Image.Image, saddle: float, how: str, size: float) -> Image.Image:
    """Put someone on a mount.

    Args:
        someone, mount: RGBA cut-outs of 112 x 112 pixels that face left.
        saddle: Where on the mount's width the seat is, 0..1.
        how: See `scene_grammar.Thing.rider`.
        size: Of the rider, relative to the mount.

    Returns:
        One RGBA cut-out of 112 x 112 pixels, with a margin of 4.
    """
    page = Image.new("RGBA", (2 * CELL, 3 * CELL))
    at_x, at_y = CELL // 2, 2 * CELL  # of the mount's cell
    page.alpha_composite(mount, (at_x, at_y))
    column = np.asarray(mount)[:, round(saddle * (CELL - 1)), 3] > 128
    seat_x, seat_y = at_x + saddle * CELL, at_y + (np.argmax(column) if column.any() else CELL // 2)
    side = round(size * CELL)
    if how == "sits":  # an animal unchanged, its feet a little below the mount's back
        feet = (np.flatnonzero((np.asarray(someone)[..., 3] > 128).any(1))[-1] + 1) / CELL
        top = seat_y + 0.07 * CELL - feet * side
    else:
        someone = rider(someone, how)
        top = seat_y + 0.05 * CELL - SEAT / CELL * side
    someone = someone.resize((side, side), Image.Resampling.LANCZOS)
    page.alpha_composite(someone, (round(seat_x - side / 2), max(0, round(top))))
    pair = page.crop(page.getbbox())
    scale = LONGEST / max(pair.size)
    pair = pair.resize([max(1, round(v * scale)) for v in pair.size], Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(pair, ((CELL - pair.width) // 2, (CELL - pair.height) // 2))
    return cell


@cache
def mounted_cells(n: int = RIDERS) -> tuple[np.ndarray, tuple[int, ...]]:
    """Draw pairs of a rider and a mount; always the same ones, the lessons' astronaut on a horse first.

    Returns:
        Cells, uint8 [2,n,112,112,4], in 3D and flat, and the index into `catalogue()` of each mount.
    """
    rng, all_things = Random(0), things()
    riders, mounts = [t for t in all_things if t.rider], [t for t in all_things if t.saddle]
    pairs = [(r, m) for r in riders for m in mounts if r != m]
    first = next(p for p in pairs if (p[0].name, p[1].name) == ("astronaut", "horse"))
    pairs.remove(first)
    pairs = [first, *rng.sample(pairs, n - 1)]
    sizes = [rng.uniform(0.56, 0.7) if r.rider == "sits" else rng.uniform(0.74, 0.82) for r, _ in pairs]
    cells = [
        [
            np.asarray(mounted(cutout(r.index, file), cutout(m.index, file), m.saddle, r.rider, size))
            for (r, m), size in zip(pairs, sizes, strict=True)
        ]
        for file in FILES
    ]
    return np.array(cells), tuple(m.index for _, m in pairs)
