"""The stills that the text mini learns from: scenes of text_world.py, drawn over the backgrounds of places.py, on a CPU or a GPU.

A still looks like a first frame of scenes.py: the same cut-outs at the same sizes, 224 x 128, so that the video mini goes on with
it. Where things stand is decided on the CPU, scene by scene (`_layout`); pixels are made for the whole batch.

    python -m svd_lab.training.world.stills sheet.png 0 riding      # a sheet of stills with their captions; seed, relation
"""

import math
from functools import cache
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from svd_lab.mini.catalogue import CELL, catalogue, cutout
from svd_lab.training.text.captions import caption
from svd_lab.training.text.place_words import COLOURS
from svd_lab.training.text.scene_grammar import RELATIONS, Item, Scene, colours_of, draw_scene, place_words, things
from svd_lab.training.text.thing_words import VARIANTS
from svd_lab.training.world.places import PAINTERS
from svd_lab.world.backgrounds import HEIGHT, WIDTH, Draw, hsv

INSIDE = CELL - 8  # the thing fills its cell but for the margin
SEAT = 74  # a rider's seat in its cell, pixels from the top


def _hue_of(rgb: np.ndarray, weight: np.ndarray) -> float:
    """The main hue 0..1 of pixels [h,w,3] in 0..1, weighted by saturation."""
    hi, lo = rgb.max(-1), rgb.min(-1)
    hue, chroma = _hue(rgb), (hi - lo) * weight
    angle = math.atan2((chroma * np.sin(2 * np.pi * hue)).sum(), (chroma * np.cos(2 * np.pi * hue)).sum())
    return angle / (2 * math.pi) % 1


def _hue(rgb: np.ndarray) -> np.ndarray:
    hi, d = rgb.max(-1), np.maximum(np.ptp(rgb, -1), 1e-6)
    r, g, b = np.moveaxis(rgb, -1, 0)
    return np.where(hi == r, (g - b) / d % 6, np.where(hi == g, (b - r) / d + 2, (r - g) / d + 4)) / 6


def tinted(picture: Image.Image, colour: str) -> Image.Image:
    """The cut-out with its main colour replaced; what has another hue (wheels, windows, beaks) stays."""
    _, hue, saturation, value = COLOURS[colour]
    a = np.asarray(picture, np.float32) / 255
    rgb, alpha = a[..., :3], a[..., 3]
    hi, lo = rgb.max(-1), rgb.min(-1)
    s = np.where(hi > 0, (hi - lo) / np.maximum(hi, 1e-6), 0)
    chroma = ((hi - lo) * alpha).sum() / max(alpha.sum(), 1)
    if chroma < 0.16:  # a grey thing: all of it takes the colour
        mine, s = np.ones_like(s), np.maximum(s, 0.7)
    else:
        away = np.abs((_hue(rgb) - _hue_of(rgb, alpha) + 0.5) % 1 - 0.5)
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


def rider(picture: Image.Image, how: str) -> Image.Image:
    """A cut-out of someone who sits astride and faces left: the bust (or a head on a body of the colour `how`) and a leg."""
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


@cache
def _cells() -> tuple[dict[tuple[int, str], int], np.ndarray]:
    """{(thing, "" or a colour or "rider"): cell} and all cells, uint8 [n,112,112,4]."""
    at, cells, index = {}, [], {t["en"]: i for i, t in enumerate(catalogue())}
    for i, thing in enumerate(things()):
        own = cutout(thing.index)
        variants = VARIANTS.get(catalogue()[thing.index]["en"], {})
        pictures = {"": own}
        for c in colours_of(thing):
            pictures[c] = cutout(index[variants[c]]) if c in variants else tinted(own, c)
        if thing.rider and thing.rider != "sits":
            pictures["rider"] = rider(own, thing.rider)
        for key, picture in pictures.items():
            at[i, key] = len(cells)
            cells.append(np.asarray(picture))
    return at, np.stack(cells)


@cache
def _top(cell: int, x: float) -> float:
    """How far down (0 top .. 1 bottom of the cell) the thing begins at the column x (0..1)."""
    alpha = _cells()[1][cell][:, round(x * (CELL - 1)), 3]
    return float(np.argmax(alpha > 128)) / CELL if (alpha > 128).any() else 0.5


def _bottom(cell: int) -> float:
    rows = np.flatnonzero((_cells()[1][cell][..., 3] > 128).any(1))
    return (rows[-1] + 1) / CELL


bottom = cache(_bottom)


def _layout(scene: Scene, rng: Random) -> list[tuple[int, float, float, float, int, float]]:
    """From the back to the front: (cell, x and y of its centre, its side, 1 or -1 mirrored, turn), in pixels."""
    at, _ = _cells()
    flip = lambda: rng.choice((1, -1))  # noqa: E731
    cell_of = lambda item: at[item.thing, item.colour]  # noqa: E731
    thing_of = lambda item: things()[item.thing]  # noqa: E731

    def height(lo: float, hi: float, item: Item | None = None) -> float:
        if item and item.size:
            lo, hi = (26, 40) if item.size == "small" else (100, 116)
        return rng.uniform(lo, hi) * CELL / INSIDE

    def free(item: Item, side: float, lo: float, hi: float):
        """Alone between lo and hi across: on the ground, or in the air or water."""
        half = side / 2
        x = rng.uniform(lo + half, hi - half) if hi - lo > side else (lo + hi) / 2
        thing, cell = thing_of(item), cell_of(item)
        if thing.air or (thing.swims and scene.place == "underwater") or scene.place in ("sky", "space"):
            y = rng.uniform(half * 0.9, max(half, HEIGHT * 0.72 - half * 0.3))
        else:
            y = rng.uniform(0.84, 0.97) * HEIGHT - (bottom(cell) - 0.5) * side
        y = min(max(y, half * 0.92), HEIGHT - half * 0.88)
        return (cell, x, y, side, flip(), rng.uniform(-0.06, 0.06) if thing.air else 0.0)

    if not scene.items:
        return []
    first = scene.items[0]
    if scene.relation == "alone":
        return [free(first, height(58, 104, first), 0, WIDTH)]
    middle = WIDTH / 2 + rng.uniform(-14, 14)
    if scene.relation in ("two", "beside"):
        pair = [first, scene.items[-1]]
        sides = [height(50, 84)] * 2 if scene.relation == "two" else [height(50, 84), height(50, 84)]
        if rng.random() < 0.5:
            pair, sides = pair[::-1], sides[::-1]
        return [free(pair[0], sides[0], 4, middle), free(pair[1], sides[1], middle, WIDTH - 4)]
    lower = scene.items[1]
    if scene.relation == "above":
        below, above = height(42, 56), height(32, 46)
        x = rng.uniform(below / 2 + 4, WIDTH - below / 2 - 4)
        y = HEIGHT * rng.uniform(0.92, 0.98) - (bottom(cell_of(lower)) - 0.5) * below
        top = y - below / 2 - above / 2 - rng.uniform(3, 14)  # clearly apart, or it would be "on"
        beside = min(max(x + rng.uniform(-12, 12), above / 2), WIDTH - above / 2)
        return [
            (cell_of(lower), x, y, below, flip(), 0.0),
            (cell_of(first), beside, max(top, above * 0.45), above, flip(), rng.uniform(-0.06, 0.06)),
        ]
    side, way, base = height(60, 76), flip(), cell_of(lower)
    x = rng.uniform(side / 2 + 8, WIDTH - side / 2 - 8)
    y = HEIGHT * rng.uniform(0.93, 0.98) - (bottom(base) - 0.5) * side
    mount, on = thing_of(lower), scene.relation == "on"
    seat = 0.5 if on else mount.saddle
    seat_x, seat_y = x + way * (seat - 0.5) * side, y + (_top(base, seat) - 0.5) * side
    if not on and thing_of(first).rider != "sits":
        scale = min(side * rng.uniform(0.74, 0.82), (seat_y - 1) / (SEAT / CELL))
        up = (at[first.thing, "rider"], seat_x, seat_y + side * 0.05 - (SEAT / CELL - 0.5) * scale, scale, way, 0.0)
    else:
        cell = cell_of(first)
        scale = min(side * rng.uniform(0.56, 0.7), (seat_y + side * 0.05) / bottom(cell))
        sunk = 0.07 if not on else 0.04
        up = (cell, seat_x, seat_y + side * sunk - (bottom(cell) - 0.5) * scale, scale, way if not on else flip(), 0.0)
    return [(base, x, y, side, way, 0.0), up]


class Stills:
    """Draws batches of stills. The same device, seed and calls give the same ones.

    draw(n) -> scenes and pictures; render(scenes) -> pictures of given scenes. training: see captions.draw_scene. scenes: draw
    from these alone.
    """

    def __init__(self, device: str = "cpu", seed: int = 0, training: bool = True, scenes: list[Scene] | None = None):
        self.draw_random, self.rng, self.training, self.scenes = Draw(device, seed), Random(seed), training, scenes
        cells = torch.from_numpy(_cells()[1]).permute(0, 3, 1, 2).to(device)
        self.atlas = cells.contiguous()

    def draw(self, n: int, relation: str = "") -> tuple[list[Scene], torch.Tensor, torch.Tensor]:
        """-> n scenes, pictures [n,3,128,224] in 0..1, and where things are [n,1,128,224]."""
        one = lambda: self.rng.choice(self.scenes) if self.scenes else draw_scene(self.rng, relation, self.training)  # noqa: E731
        chosen = [one() for _ in range(n)]
        return chosen, *self.render(chosen)

    def _places(self, keys: list[str]) -> torch.Tensor:
        device = self.draw_random.device
        out = torch.empty(len(keys), 3, HEIGHT, WIDTH, device=device)
        for key in sorted(set(keys)):
            rows = [i for i, k in enumerate(keys) if k == key]
            out[torch.tensor(rows, device=device)] = PAINTERS[key](self.draw_random, len(rows))
        return out

    def render(self, scenes: list[Scene]) -> tuple[torch.Tensor, torch.Tensor]:
        """-> pictures [n,3,128,224] in 0..1, and where things are [n,1,128,224]."""
        device, n = self.draw_random.device, len(scenes)
        picture = self._places([s.place for s in scenes])
        mask = torch.zeros(n, 1, HEIGHT, WIDTH, device=device)
        layouts = [_layout(s, self.rng) for s in scenes]
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
        """Layers [m,4,128,224], colours premultiplied, of the rows of `_layout` [m,6]."""
        cell, x, y, side, flip, turn = numbers.T
        a = self.atlas[cell.long()].float() / 255
        a = torch.cat([a[:, :3] * a[:, 3:], a[:, 3:]], 1)
        blurred = F.interpolate(F.avg_pool2d(a, 2), size=a.shape[-2:], mode="bilinear", align_corners=False)
        a = torch.lerp(a, blurred, ((84 - side) / 28).clamp(0, 1)[:, None, None, None])
        c, s, zero = turn.cos(), turn.sin(), torch.zeros_like(x)
        # From the picture's -1..1 to the cell's -1..1: move, turn back, mirror, scale.
        sx, sy = WIDTH / side, HEIGHT / side
        tx, ty = (WIDTH - 2 * x) / side, (HEIGHT - 2 * y) / side
        top = torch.stack([c * sx, s * sy, c * tx + s * ty], -1) * flip[:, None]
        low = torch.stack([-s * sx, c * sy, c * ty - s * tx + zero], -1)
        grid = F.affine_grid(torch.stack([top, low], 1), [len(x), 4, HEIGHT, WIDTH], align_corners=False)
        return F.grid_sample(a, grid, align_corners=False)


@cache
def place_keys() -> list[str]:
    return list(place_words())


def labels(scenes: list[Scene]) -> dict[str, torch.Tensor]:
    """What is to be seen: things [n,242] 0 or 1, place [n], relation [n], colour [n] of the first thing (0: its own)."""
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


def sheet(pictures: torch.Tensor, texts: list[str], path, columns: int = 5) -> None:
    """Write pictures [n,3,128,224] in 0..1 with a line of text below each as one PNG."""
    from PIL import ImageFont

    font = next((ImageFont.truetype(f, 11) for f in _fonts()), ImageFont.load_default())
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (WIDTH + 4), rows * (HEIGHT + 18)), (24, 24, 28))
    pen = ImageDraw.Draw(page)
    for k, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        x, y = k % columns * (WIDTH + 4), k // columns * (HEIGHT + 18)
        page.paste(Image.fromarray((picture.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()), (x, y))
        pen.text((x + 2, y + HEIGHT + 1), text[:44], fill=(235, 235, 235), font=font)
    page.save(path, optimize=True)


def _fonts() -> list[str]:
    from pathlib import Path

    return [str(p) for p in Path("/usr/share/fonts").rglob("NotoSansCJK-Regular.ttc")]


if __name__ == "__main__":
    import sys

    stills = Stills(seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    chosen, pictures, _ = stills.draw(40, sys.argv[3] if len(sys.argv) > 3 else "")
    sheet(pictures, [caption(s, stills.rng, "en") for s in chosen], sys.argv[1])
