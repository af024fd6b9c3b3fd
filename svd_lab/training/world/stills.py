"""The stills that the text miniature is trained on: scenes of `scene_grammar` over the backgrounds of `places`.

A still looks like a first frame of `svd_lab.world.scenes`: the same cut-outs at the same sizes, 224 x 128 pixels, so that the video
miniature can animate it. Where things are is decided scene by scene on the CPU; pixels are drawn for the whole batch.

    python -m svd_lab.training.world.stills SHEET.png [SEED [RELATION]]      # write a sheet of stills with captions
"""

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from svd_lab.mini.catalogue import CELL
from svd_lab.training.text.captions import caption
from svd_lab.training.text.place_words import COLOURS
from svd_lab.training.text.scene_grammar import RELATIONS, Item, Scene, draw_scene, place_words, things
from svd_lab.training.world.cutouts import bottom, cells, top_at
from svd_lab.training.world.places import PAINTERS
from svd_lab.training.world.riders import SEAT
from svd_lab.world.atlas import LONGEST
from svd_lab.world.backgrounds import HEIGHT, WIDTH, Draw


class Placed(NamedTuple):
    """A cut-out in a still: which cell, its centre and its side in pixels, 1 or -1 (mirrored), its turn in radians."""

    cell: int
    x: float
    y: float
    side: float
    flip: int
    turn: float


class _Layout:
    """Chooses where the things of one scene are."""

    def __init__(self, scene: Scene, rng: Random):
        self.scene, self.rng = scene, rng

    def place(self) -> list[Placed]:
        """The things, from the back to the front."""
        items, relation = self.scene.items, self.scene.relation
        if not items:
            return []
        if relation == "alone":
            return [self._free(items[0], self._side(58, 104, items[0]), 0, WIDTH)]
        middle = WIDTH / 2 + self.rng.uniform(-14, 14)
        if relation in ("two", "beside"):
            return self._side_by_side(middle)
        return self._above() if relation == "above" else self._ontop_at()

    def _flip(self) -> int:
        return self.rng.choice((1, -1))

    def _cell(self, item: Item) -> int:
        return cells()[0][item.thing, item.colour]

    def _side(self, lo: float, hi: float, item: Item | None = None) -> float:
        """The side of a cell in which the thing is `lo` to `hi` pixels large, unless the item says small or big."""
        if item and item.size:
            lo, hi = (26, 40) if item.size == "small" else (100, 116)
        return self.rng.uniform(lo, hi) * CELL / LONGEST

    def _ground(self, cell: int, side: float, lo: float, hi: float) -> float:
        """The y of a thing whose lower edge is at a random height of `lo` to `hi`, shares of the picture."""
        return self.rng.uniform(lo, hi) * HEIGHT - (bottom(cell) - 0.5) * side

    def _free(self, item: Item, side: float, lo: float, hi: float) -> Placed:
        """A thing by itself between lo and hi across: on the ground, or in the air or water."""
        half, rng = side / 2, self.rng
        x = rng.uniform(lo + half, hi - half) if hi - lo > side else (lo + hi) / 2
        thing, cell = things()[item.thing], self._cell(item)
        floats = thing.air or (thing.swims and self.scene.place == "underwater") or self.scene.place in ("sky", "space")
        if floats:
            y = rng.uniform(half * 0.9, max(half, HEIGHT * 0.72 - half * 0.3))
        else:
            y = self._ground(cell, side, 0.84, 0.97)
        y = min(max(y, half * 0.92), HEIGHT - half * 0.88)
        return Placed(cell, x, y, side, self._flip(), rng.uniform(-0.06, 0.06) if thing.air else 0.0)

    def _side_by_side(self, middle: float) -> list[Placed]:
        """Two things, one on each side of `middle`."""
        pair = [self.scene.items[0], self.scene.items[-1]]
        sides = [self._side(50, 84)] * 2 if self.scene.relation == "two" else [self._side(50, 84), self._side(50, 84)]
        if self.rng.random() < 0.5:
            pair, sides = pair[::-1], sides[::-1]
        return [self._free(pair[0], sides[0], 4, middle), self._free(pair[1], sides[1], middle, WIDTH - 4)]

    def _above(self) -> list[Placed]:
        """The first thing in the air above the second, clearly apart, or it would be "on" it."""
        rng, (upper, lower) = self.rng, map(self._cell, self.scene.items)
        below, above = self._side(42, 56), self._side(32, 46)
        x = rng.uniform(below / 2 + 4, WIDTH - below / 2 - 4)
        y = self._ground(lower, below, 0.92, 0.98)
        y_above = y - below / 2 - above / 2 - rng.uniform(3, 14)
        x_above = min(max(x + rng.uniform(-12, 12), above / 2), WIDTH - above / 2)
        return [
            Placed(lower, x, y, below, self._flip(), 0.0),
            Placed(upper, x_above, max(y_above, above * 0.45), above, self._flip(), rng.uniform(-0.06, 0.06)),
        ]

    def _ontop_at(self) -> list[Placed]:
        """The first thing on the second, or riding it."""
        rng, (first, lower) = self.rng, self.scene.items
        side, way, base = self._side(60, 76), self._flip(), self._cell(lower)
        x = rng.uniform(side / 2 + 8, WIDTH - side / 2 - 8)
        y = self._ground(base, side, 0.93, 0.98)
        riding = self.scene.relation == "riding"
        seat = things()[lower.thing].saddle if riding else 0.5
        seat_x, seat_y = x + way * (seat - 0.5) * side, y + (top_at(base, seat) - 0.5) * side
        if riding and things()[first.thing].rider != "sits":
            scale = min(side * rng.uniform(0.74, 0.82), (seat_y - 1) / (SEAT / CELL))
            y_rider = seat_y + side * 0.05 - (SEAT / CELL - 0.5) * scale
            upper = Placed(cells()[0][first.thing, "rider"], seat_x, y_rider, scale, way, 0.0)
        else:
            cell = self._cell(first)
            scale = min(side * rng.uniform(0.56, 0.7), (seat_y + side * 0.05) / bottom(cell))
            y_upper = seat_y + side * (0.07 if riding else 0.04) - (bottom(cell) - 0.5) * scale
            upper = Placed(cell, seat_x, y_upper, scale, way if riding else self._flip(), 0.0)
        return [Placed(base, x, y, side, way, 0.0), upper]


class Stills:
    """Draws batches of stills. The same device, seed and calls give the same ones."""

    def __init__(
        self,
        device: torch.device | str = "cpu",
        seed: int = 0,
        training: bool = True,
        scenes: Sequence[Scene] | None = None,
    ):
        """Draw the cut-outs of all things in all their colours.

        Args:
            device: Where pictures are rendered.
            seed: Of everything random.
            training: See `scene_grammar.draw_scene`.
            scenes: Draw from these only.
        """
        self.draw_random, self.rng, self.training, self.scenes = Draw(device, seed), Random(seed), training, scenes
        self.atlas = torch.from_numpy(cells()[1]).permute(0, 3, 1, 2).to(device).contiguous()

    def draw(self, n: int, relation: str = "") -> tuple[list[Scene], torch.Tensor, torch.Tensor]:
        """Draw random scenes and render them.

        Args:
            n: How many.
            relation: One of RELATIONS, "nothing", or "" for all of them.

        Returns:
            The scenes, pictures [n,3,128,224] in 0..1, and masks of the things [n,1,128,224] in 0..1.
        """
        if self.scenes:
            chosen = [self.rng.choice(self.scenes) for _ in range(n)]
        else:
            chosen = [draw_scene(self.rng, relation, self.training) for _ in range(n)]
        return chosen, *self.render(chosen)

    def _places(self, keys: list[str]) -> torch.Tensor:
        """Backgrounds [n,3,128,224] of these places."""
        device = self.draw_random.device
        out = torch.empty(len(keys), 3, HEIGHT, WIDTH, device=device)
        for key in sorted(set(keys)):
            rows = [i for i, k in enumerate(keys) if k == key]
            out[torch.tensor(rows, device=device)] = PAINTERS[key](self.draw_random, len(rows))
        return out

    def render(self, scenes: list[Scene]) -> tuple[torch.Tensor, torch.Tensor]:
        """Render scenes: pictures [n,3,128,224] in 0..1, and masks of the things [n,1,128,224] in 0..1."""
        device, n = self.draw_random.device, len(scenes)
        picture = self._places([s.place for s in scenes])
        mask = torch.zeros(n, 1, HEIGHT, WIDTH, device=device)
        layouts = [_Layout(s, self.rng).place() for s in scenes]
        for layer in range(2):
            rows = [i for i, layout in enumerate(layouts) if len(layout) > layer]
            if not rows:
                break
            numbers = np.array([layouts[i][layer] for i in rows], np.float32)
            k = torch.tensor(rows, device=device)
            drawn = self._drawn(torch.from_numpy(numbers).to(device))
            picture[k] = picture[k] * (1 - drawn[:, 3:]) + drawn[:, :3]
            mask[k] = torch.maximum(mask[k], drawn[:, 3:])
        return picture.clamp_(0, 1), mask

    def _drawn(self, numbers: torch.Tensor) -> torch.Tensor:
        """Layers [m,4,128,224], colours premultiplied, of `Placed` things as rows of numbers [m,6]."""
        cell, x, y, side, flip, turn = numbers.T
        a = self.atlas[cell.long()].float() / 255
        a = torch.cat([a[:, :3] * a[:, 3:], a[:, 3:]], 1)
        blurred = F.interpolate(F.avg_pool2d(a, 2), size=a.shape[-2:], mode="bilinear", align_corners=False)
        a = torch.lerp(a, blurred, ((84 - side) / 28).clamp(0, 1)[:, None, None, None])
        c, s, zero = turn.cos(), turn.sin(), torch.zeros_like(x)
        # From the picture's -1..1 to the cell's: move, turn back, mirror, scale.
        sx, sy = WIDTH / side, HEIGHT / side
        tx, ty = (WIDTH - 2 * x) / side, (HEIGHT - 2 * y) / side
        top = torch.stack([c * sx, s * sy, c * tx + s * ty], -1) * flip[:, None]
        low = torch.stack([-s * sx, c * sy, c * ty - s * tx + zero], -1)
        grid = F.affine_grid(torch.stack([top, low], 1), [len(x), 4, HEIGHT, WIDTH], align_corners=False)
        return F.grid_sample(a, grid, align_corners=False)


@cache
def place_keys() -> list[str]:
    """The places, in the order of `labels`."""
    return list(place_words())


def labels(scenes: Sequence[Scene]) -> dict[str, torch.Tensor]:
    """What scenes show, as targets of a classifier.

    Returns:
        things: [n,242], 0 or 1. place: [n], index into `place_keys()`. relation: [n], index into RELATIONS. colour: [n], of
        the first thing, 1 + index into COLOURS; 0: its own.
    """
    colours, keys = ["", *COLOURS], place_keys()
    present = torch.zeros(len(scenes), len(things()))
    for row, scene in zip(present, scenes, strict=True):
        row[[i.thing for i in scene.items]] = 1
    column = lambda values: torch.tensor(list(values))  # noqa: E731
    return dict(
        things=present, place=column(keys.index(s.place) for s in scenes),
        relation=column(RELATIONS.index(s.relation) for s in scenes),
        colour=column(colours.index(s.items[0].colour) if s.items else 0 for s in scenes),
    )  # fmt: skip


def sheet(pictures: torch.Tensor, texts: Sequence[str], path: str | Path, columns: int = 5) -> None:
    """Write pictures [n,3,128,224] in 0..1 as one PNG, with a line of text below each."""
    fonts = Path("/usr/share/fonts").rglob("NotoSansCJK-Regular.ttc")  # Pillow's own has no Hangul
    font = next((ImageFont.truetype(str(f), 11) for f in fonts), ImageFont.load_default())
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (WIDTH + 4), rows * (HEIGHT + 18)), (24, 24, 28))
    pen = ImageDraw.Draw(page)
    for k, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        x, y = k % columns * (WIDTH + 4), k // columns * (HEIGHT + 18)
        page.paste(Image.fromarray((picture.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()), (x, y))
        pen.text((x + 2, y + HEIGHT + 1), text[:44], fill=(235, 235, 235), font=font)
    page.save(path, optimize=True)


if __name__ == "__main__":
    seed, relation = int(sys.argv[2]) if len(sys.argv) > 2 else 0, sys.argv[3] if len(sys.argv) > 3 else ""
    stills = Stills(seed=seed)
    chosen, drawn, _ = stills.draw(40, relation)
    sheet(drawn, [caption(s, stills.rng, "en") for s in chosen], sys.argv[1])
