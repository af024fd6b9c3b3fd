"""The world that training sees: scenes.World, and more of what people show the mini than the measure's plain world has.

What moves how stays exactly as it is there; only what is to be seen changes, so that pictures of another hand work too:

- things: two fifths flat instead of 3D; longer or taller than drawn by up to a quarter; more of them in other colours; with
  `designs` (a folder that build_designs.py made) some as other hands drew them;
- places: a quarter of the backgrounds are the painted ones of places.py, on which the text mini's pictures stand;
- close-ups: half of the pictures without a thing are some things so near that they fill the frame, as photographs are:
  version 3 moved a cat's eye alone, and the coffee in its cup;
- camouflage: a seventh of the things that move are drawn towards the colour of the background under them. Version 2 of the
  weights took such pictures for ones without a thing, and closed in with the camera (docs/mini.md);
- softness: a third of the clips are slightly blurred as a whole, as the text mini's pictures are, frame 0 like all others;
- invented things: 8% are animals, vehicles, boats and plants of chance shapes (invented.py), which move as their kind does;
- riders: 4% of the clips show someone on a mount, which moves as the mount does, the way the mount faces;
- twins: a third of the clips with two things show the same thing twice, side by side, each facing a way of its own;
- what version 2 took the wrong way (HARD) comes twice as often.
"""

from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from . import invented
from .backgrounds import HEIGHT, PALETTES, WIDTH, backgrounds
from .catalogue import CELL, as_atlas, catalogue, cutout
from .motion import INDEX
from .places import PAINTERS
from .scenes import Clips, World
from .text_scenes import INSIDE, SEAT, rider
from .text_world import things

FILES = ("things.webp", "flat.webp")
FLAT, PAINTED, HIDDEN, SOFT, RIDING, TWINS = 0.4, 0.25, 1 / 7, 1 / 3, 0.04, 1 / 3  # shares, by the list above
NEAR, CLOSE_THINGS = (1.3, 4.0), 4  # the size of what is in close-ups, in heights of the picture; how many
RIDERS = 150  # pairs of a rider and a mount, each in both styles
INVENTED = 308  # things, and others in each style
KEYS = list(PAINTERS)
# Fine lights are what version 2 smears; plain colours are easy and many.
PLACE_WEIGHTS = [3.0 if k in ("aerial", "city night") else 0.35 if k.startswith("plain") else 1.0 for k in KEYS]
KEYS_A_CALL = 8  # painted at once: each further place costs some hundred kernel launches
SIGMAS = (0.35, 1.1)  # of the blur, pixels; measured on the text mini's pictures (docs/mini.md)
CONTRAST = (
    24 / 255,
    60 / 255,
)  # of a hidden thing with its background: mean difference in the channel that differs most

# Whose way version 2 took for the other: of each known thing with a direction four pictures, one guess at sigma 80
# (docs/mini.md has the measure); and the measure's blowfish.
HARD = (
    "tram car", "railway car", "bus", "racing car", "police car", "taxi", "automobile", "pickup truck", "shopping cart",
    "roller skate", "speedboat", "sailboat", "ant", "turtle", "spouting whale", "eagle", "bird", "horse", "llama",
    "water buffalo", "rhinoceros", "black cat", "cricket", "blowfish", "person in manual wheelchair",
)  # fmt: skip


def mounted(someone: Image.Image, mount: Image.Image, saddle: float, how: str, size: float) -> Image.Image:
    """Someone on a mount, both RGBA cut-outs that face left, as one cut-out of 112 x 112 pixels (a margin of 4 all round).

    saddle: where on the mount's width the seat is, 0..1. how: text_world.Thing.rider. size: of the rider, in sides of the mount.
    """
    page = Image.new("RGBA", (2 * CELL, 3 * CELL))
    at_x, at_y = CELL // 2, 2 * CELL  # of the mount's cell
    page.alpha_composite(mount, (at_x, at_y))
    column = np.asarray(mount)[:, round(saddle * (CELL - 1)), 3] > 128
    seat_x, seat_y = at_x + saddle * CELL, at_y + (np.argmax(column) if column.any() else CELL // 2)
    side = round(size * CELL)
    if how == "sits":  # an animal as it is, its feet a little below the mount's back
        feet = (np.flatnonzero((np.asarray(someone)[..., 3] > 128).any(1))[-1] + 1) / CELL
        top = seat_y + 0.07 * CELL - feet * side
    else:
        someone = rider(someone, how)
        top = seat_y + 0.05 * CELL - SEAT / CELL * side
    someone = someone.resize((side, side), Image.Resampling.LANCZOS)
    page.alpha_composite(someone, (round(seat_x - side / 2), max(0, round(top))))
    pair = page.crop(page.getbbox())
    scale = INSIDE / max(pair.size)
    pair = pair.resize([max(1, round(v * scale)) for v in pair.size], Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(pair, ((CELL - pair.width) // 2, (CELL - pair.height) // 2))
    return cell


@cache
def mounted_cells(n: int = RIDERS) -> tuple[np.ndarray, tuple[int, ...]]:
    """Cells uint8 [2,n,112,112,4], 3D and flat, and the catalogue's index of each mount; the class's astronaut on a horse first.

    Riders and mounts are the text mini's, all known to the video mini. Always the same n pairs.
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


def enlarged(cells: np.ndarray, scale: int) -> np.ndarray:
    """Cells uint8 [styles,n,h,w,4] `scale` times as large each way, bicubic."""

    def grow(cell: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(cell).convert("RGBa")  # so that colours do not bleed in from where nothing is
        size = (picture.width * scale, picture.height * scale)
        return np.asarray(picture.resize(size, Image.Resampling.BICUBIC).convert("RGBA"))

    return np.array([[grow(cell) for cell in style] for style in cells])


def camouflaged(cut: torch.Tensor, under: torch.Tensor, offset, inner, least) -> torch.Tensor:
    """Cut-outs [n,4,h,w], colours premultiplied, drawn towards the colours `under` [n,3] of what they stand on.

    Their mean colour keeps `offset` of its distance from `under`, what they show inside keeps `inner` of its contrast; but they
    differ from `under` by `least` on average in the channel that differs most, or by as much as they did if that was less. Each
    [n,1,1,1].
    """
    rgb, alpha = cut[:, :3], cut[:, 3:]
    area = alpha.sum((2, 3), keepdim=True).clamp(min=1)
    mean, under = rgb.sum((2, 3), keepdim=True) / area, under[:, :, None, None]
    away = lambda c: ((c - under * alpha).abs().amax(1, keepdim=True)).sum((2, 3), keepdim=True) / area  # noqa: E731
    near = (rgb - mean * alpha) * inner + (under + (mean - under) * offset) * alpha
    was, now = away(rgb), away(near)
    back = ((least - now) / (was - now).clamp(min=1e-3)).clamp(0, 1)  # towards how it was, as far as needed
    return torch.cat([(near + (rgb - near) * back).clamp(min=0).minimum(alpha), alpha], 1)


def softened(pictures: torch.Tensor, sigma: torch.Tensor, reach: int = 3) -> torch.Tensor:
    """Gaussian blur of `pictures` [n,k,H,W], each n with its own `sigma` [n] in pixels (at most about a third of
    `reach`)."""
    at = torch.arange(-reach, reach + 1, device=pictures.device)
    kernel = torch.exp(-(at**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None]
    # Clips as channels: each has a kernel of its own.
    x = F.pad(pictures.transpose(0, 1), (reach,) * 4, mode="replicate")
    x = F.conv2d(F.conv2d(x, kernel[:, :, None], groups=len(sigma)), kernel[..., None], groups=len(sigma))
    return x.transpose(0, 1)


class ByteWorld(World):
    """A World whose tables are bytes: 0.3 GB instead of 1.1, and 0.1 for each design."""

    def _tables(self, cells: np.ndarray, device) -> torch.Tensor:
        pieces = (as_atlas(part, device) for part in np.array_split(cells, 16))  # so that it never takes more
        return torch.cat([(piece * 255).round().to(torch.uint8) for piece in pieces], 1)

    def _cut(self, level, row) -> torch.Tensor:
        return super()._cut(level, row).float() / 255


class VariedWorld(ByteWorld):
    """Draws clips for training (see the top of this module); everything else as scenes.World.

    plain: the share of calls of `clips` that draw the world of the measure instead: known things in 3D on its backgrounds, with no
    more than its own variety. A network that has to know all else, too, gives the measure's scenes but a part of itself.
    """

    stretch = 0.25
    by_others = 0.25  # share of the things, where there are designs
    close = 1 / 2  # share of the pictures without a thing
    invented = 0.08  # share of the things

    def __init__(
        self, device: str = "cpu", things: str = "known", seed: int = 0, designs: str | Path = "", plain: float = 0.0,
        scale: int = 1,
    ):  # fmt: skip
        self.plain = plain
        self.designs = sorted(Path(designs).resolve().glob("*.webp")) if designs else []
        if designs and not self.designs:
            raise FileNotFoundError(f"no atlas (*.webp) in {designs}: python -m svd_lab.mini.build_designs makes them")
        # Rows behind the catalogue's: cells [styles,n,112,112,4], the catalogue's index of what moves so, their share.
        self.extra = []
        if things != "held_out":  # riders, mounts and what others stand for are known things
            made = invented.cells(INVENTED, len(FILES) + len(self.designs))
            self.extra = [(*mounted_cells(), RIDING), (*made, self.invented)]
            if scale > 1:  # these are drawn at the small size only
                self.extra = [(enlarged(c, scale), *rest) for c, *rest in self.extra]
        super().__init__(device, things, seed, scale)
        self.usual = self.weights  # World's own
        hard = torch.tensor([catalogue()[i]["en"] in HARD for i in self.keep], device=device)
        self.weights = torch.where(hard, 2.0, 1.0) * self.weights
        alone = self.weights.sum() / (1 - sum(share for *_, share in self.extra))
        for _, like, share in self.extra:
            self.weights = torch.cat([self.weights, (share * alone / len(like)).expand(len(like))])
            self.ids = torch.cat([self.ids, torch.tensor(like, device=device)])
            kinds = [INDEX[catalogue()[i]["kind"]] for i in like]
            self.kinds = torch.cat([self.kinds, torch.tensor(kinds, device=device)])
        self.rows = len(self.kinds)  # of one style
        del self.extra  # in the atlas by now; less to send to each process that renders

    def _cells(self) -> np.ndarray:
        styles, self.drawn = [], []  # drawn: how many things each style has
        for k, file in enumerate((*FILES, *self.designs)):
            theirs = np.array([np.asarray(cutout(i, file, self.scale)) for i in self.keep])
            there = theirs[..., 3].any((1, 2))
            if k:
                theirs[~there] = styles[0][: len(theirs)][~there]  # in 3D what it lacks
            self.drawn.append(int(there.sum()))
            styles.append(np.concatenate([theirs, *(cells[k % len(cells)] for cells, *_ in self.extra)]))
        return np.concatenate(styles)

    def _scenery(self, n: int, empty: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        draw = self.draw
        picture, place = backgrounds(draw, n)
        rows = (draw.uniform(n) < PAINTED).nonzero()[:, 0]
        key = draw.choice(KEYS_A_CALL, PLACE_WEIGHTS)[draw.integers(len(rows), 0, KEYS_A_CALL)]
        for k in key.unique().tolist():
            mine = rows[key == k]
            picture[mine] = PAINTERS[KEYS[k]](draw, len(mine))
            place[mine] = torch.tensor([len(PALETTES) + k, 0], device=draw.device)
        rows = (empty & (draw.uniform(n) < self.close)).nonzero()[:, 0]
        picture[rows] = self._crowd(picture[rows], NEAR, CLOSE_THINGS)
        return picture, place

    def _crowd(self, picture: torch.Tensor, near: tuple[float, float], things: int) -> torch.Tensor:
        """Pictures [n,3,H,W] with some things in front, anywhere; near: the range of their sizes, in heights of the picture."""
        n, draw = len(picture), self.draw
        y, x = (axis.flatten() for axis in draw.axes())
        for _ in range(things if n else 0):
            which = draw.integers(n, 0, self.rows) + self._style(n)
            cut = self._recolour(self._cut(0, which))
            half = HEIGHT / 2 * draw.uniform(n, 1, lo=near[0], hi=near[1])
            flip = torch.where(draw.uniform(n, 1) < 0.5, -1.0, 1.0)
            u = (x - WIDTH * draw.uniform(n, 1)) / half * flip
            v = (y - HEIGHT * draw.uniform(n, 1)) / half
            where = torch.stack(torch.broadcast_tensors(u[:, None], v[:, :, None]), -1)
            layer = F.grid_sample(cut, where, align_corners=False)
            picture = picture * (1 - layer[:, 3:]) + layer[:, :3]
        return picture

    def _twins(self, second: torch.Tensor) -> torch.Tensor:
        return second & (self.draw.uniform(len(second)) < TWINS)

    def _style(self, n: int) -> torch.Tensor:
        return self.draw.choice(n, self._shares()) * self.rows

    def _shares(self) -> list[float]:
        """How often each style is drawn: 3D, flat, and each design as often as it has things to show."""
        theirs = self.drawn[len(FILES) :]
        own = 1 - self.by_others * bool(theirs)
        return [own * (1 - FLAT), own * FLAT, *((1 - own) * drawn / sum(theirs) for drawn in theirs)]

    def _recolour(self, cut: torch.Tensor) -> torch.Tensor:
        """A third of them with their channels shuffled besides."""
        n, draw, eye = len(cut), self.draw, torch.eye(3, device=cut.device)
        order = torch.rand(n, 3, device=cut.device, generator=draw.generator).argsort(1)
        gain = torch.where(draw.uniform(n, 1, 1) < 0.33, eye[order], eye)
        return super()._recolour(torch.cat([torch.einsum("nij,njhw->nihw", gain, cut[:, :3]), cut[:, 3:]], 1))

    def _settle(self, cut, picture, x, y, half, moves) -> torch.Tensor:
        n, draw = len(cut), self.draw
        grid = torch.linspace(-0.6, 0.6, 7, device=cut.device)
        px = ((x + half * grid) / (WIDTH / 2))[:, None, :].expand(n, 7, 7)
        py = ((y + half * grid) / (HEIGHT / 2))[:, :, None].expand(n, 7, 7)
        below = F.grid_sample(picture, torch.stack([px, py], -1), padding_mode="border", align_corners=False)
        rough = below.std((2, 3)).amax(1)  # on a rough background less contrast hides it already
        least = draw.uniform(n, lo=CONTRAST[0], hi=CONTRAST[1]) + 0.6 * rough
        number = lambda lo, hi: draw.uniform(n, 1, 1, 1, lo=lo, hi=hi)  # noqa: E731
        hidden = camouflaged(cut, below.mean((2, 3)), number(0, 0.5), number(0.4, 0.9), least[:, None, None, None])
        chosen = (draw.uniform(n) < HIDDEN) & moves
        return torch.where(chosen[:, None, None, None], hidden, cut)

    def measured(self) -> World:
        """The world of the measure, with this one's tables and draws."""
        world, own = ByteWorld.__new__(ByteWorld), len(self.keep)  # the catalogue's rows in 3D come first
        vars(world).update(vars(self), weights=self.usual, kinds=self.kinds[:own], ids=self.ids[:own])
        return world

    def clips(self, n: int, **settings) -> Clips:
        """As World.clips; a share of the clips comes softened: video, background and alpha alike."""
        if self.plain and self.draw.uniform(1).item() < self.plain:
            return self.measured().clips(n, **settings)
        clips, draw = super().clips(n, **settings), self.draw
        rows = (draw.uniform(n) < SOFT).nonzero()[:, 0]
        sigma = draw.uniform(len(rows), lo=SIGMAS[0], hi=SIGMAS[1]) * self.scale
        if len(rows):
            frames = clips.video.shape[1]
            clips.video[rows] = softened(clips.video[rows].flatten(1, 2), sigma, 3 * self.scale).unflatten(
                1, (frames, 3)
            )
            clips.alpha[rows] = softened(clips.alpha[rows], sigma, 3 * self.scale)
            clips.background[rows] = softened(clips.background[rows], sigma, 3 * self.scale)
        return clips


if __name__ == "__main__":
    import sys

    from .sheets import sheet

    drawn = VariedWorld(seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0).clips(24, bucket=127, fps=7)
    sheet(list(drawn.video), sys.argv[1])
    for caption in drawn.captions():
        print(caption)
