"""The world that the video miniature is trained on: `svd_lab.world.scenes.World` with more variety in what is shown.

How things move stays exactly the same, so that the model also works for pictures by others: domain randomization.

    python -m svd_lab.training.world.varied_world SHEET.png [SEED]      # write a contact sheet, print the captions
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from svd_lab.mini.catalogue import catalogue, cutout
from svd_lab.training.world import invented
from svd_lab.training.world.places import PAINTERS
from svd_lab.training.world.riders import FILES, mounted_cells
from svd_lab.world.atlas import as_atlas
from svd_lab.world.backgrounds import HEIGHT, PALETTES, WIDTH, backgrounds
from svd_lab.world.clips import Clips
from svd_lab.world.contact_sheets import sheet
from svd_lab.world.motion import INDEX
from svd_lab.world.scenes import World

# Shares, see `VariedWorld`.
FLAT, PAINTED, CAMOUFLAGED, SOFT, RIDING, TWINS = 0.4, 0.25, 1 / 7, 1 / 3, 0.04, 1 / 3
NEAR, CLOSE_THINGS = (
    (1.3, 4.0),
    4,
)  # of a close-up: sizes of its things in heights of the picture, and how many there are
INVENTED = 308  # invented things in each style
KEYS = list(PAINTERS)
# Fine lights are hard to learn; plain colours are easy, and there are many.
PLACE_WEIGHTS = [3.0 if k in ("aerial", "city night") else 0.35 if k.startswith("plain") else 1.0 for k in KEYS]
KEYS_A_CALL = 8  # places painted in one call: each costs about a hundred kernel launches
SIGMAS = (0.35, 1.1)  # of the blur, in pixels: how soft the text miniature's pictures are
# Of a camouflaged thing with its background: mean difference in the channel that differs most.
CONTRAST = (24 / 255, 60 / 255)

# Known things that an earlier version took to face the other way; they are shown twice as often.
OFTEN_REVERSED = (
    "tram car", "railway car", "bus", "racing car", "police car", "taxi", "automobile", "pickup truck", "shopping cart",
    "roller skate", "speedboat", "sailboat", "ant", "turtle", "spouting whale", "eagle", "bird", "horse", "llama",
    "water buffalo", "rhinoceros", "black cat", "cricket", "blowfish", "person in manual wheelchair",
)  # fmt: skip


def camouflaged(
    cut: torch.Tensor, under: torch.Tensor, offset: torch.Tensor, inner: torch.Tensor, least: torch.Tensor
) -> torch.Tensor:
    """Move the colours of cut-outs towards those of the background beneath them.

    Args:
        cut: [n,4,h,w], colours premultiplied.
        under: Colours of the background, [n,3].
        offset: Share of the distance between mean colour and `under` that remains, [n,1,1,1].
        inner: Share of the contrast inside the cut-out that remains, [n,1,1,1].
        least: By how much the result differs from `under` on average at least, in the channel that differs most, [n,1,1,1];
            where the cut-out differed less, as much as before.

    Returns:
        [n,4,h,w].
    """
    rgb, alpha = cut[:, :3], cut[:, 3:]
    area = alpha.sum((2, 3), keepdim=True).clamp(min=1)
    mean, under = rgb.sum((2, 3), keepdim=True) / area, under[:, :, None, None]
    away = lambda c: ((c - under * alpha).abs().amax(1, keepdim=True)).sum((2, 3), keepdim=True) / area  # noqa: E731
    near = (rgb - mean * alpha) * inner + (under + (mean - under) * offset) * alpha
    was, now = away(rgb), away(near)
    back = ((least - now) / (was - now).clamp(min=1e-3)).clamp(0, 1)  # how far to return towards the original
    return torch.cat([(near + (rgb - near) * back).clamp(min=0).minimum(alpha), alpha], 1)


def enlarged(cells: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge cells, uint8 [styles,n,h,w,4], bicubically, so many times each way."""

    def grow(cell: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(cell).convert("RGBa")  # premultiplied: no colours bleed in from where nothing is
        size = (picture.width * scale, picture.height * scale)
        return np.asarray(picture.resize(size, Image.Resampling.BICUBIC).convert("RGBA"))

    return np.array([[grow(cell) for cell in style] for style in cells])


def softened(pictures: torch.Tensor, sigma: torch.Tensor, reach: int = 3) -> torch.Tensor:
    """Blur pictures [n,k,H,W] with a Gaussian, each of the n with its own `sigma` [n] in pixels, at most about reach / 2.3."""
    at = torch.arange(-reach, reach + 1, device=pictures.device)
    kernel = torch.exp(-(at**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None]
    # With clips as channels, each has a kernel of its own.
    x = F.pad(pictures.transpose(0, 1), (reach,) * 4, mode="replicate")
    x = F.conv2d(F.conv2d(x, kernel[:, :, None], groups=len(sigma)), kernel[..., None], groups=len(sigma))
    return x.transpose(0, 1)


class ByteWorld(World):
    """A World with its atlas in bytes: 0.3 GB instead of 1.1 for a training world, and 0.1 for each further design."""

    def _tables(self, cells: np.ndarray, device: torch.device | str) -> torch.Tensor:
        pieces = (as_atlas(part, device) for part in np.array_split(cells, 16))  # in parts: floats would need 1.1 GB
        return torch.cat([(piece * 255).round().to(torch.uint8) for piece in pieces], 1)

    def _cut(self, level: torch.Tensor | int, row: torch.Tensor) -> torch.Tensor:
        return super()._cut(level, row).float() / 255


class VariedWorld(ByteWorld):
    """Draws clips for training. What varies more than in `World`:

    - style: two fifths of the things are flat instead of 3D, all up to a quarter longer or taller than drawn, more of them
      recoloured; with `designs` some are as other designers drew them;
    - places: a quarter of the backgrounds are those of places.py, which the text miniature's pictures have;
    - close-ups: half of the pictures without a thing show things so near that they fill the frame, as photographs do;
    - camouflage: a seventh of the moving things take on the colour of the background beneath them;
    - softness: a third of the clips are slightly blurred, all frames alike, as the text miniature's pictures are;
    - invented things: 8% are animals, vehicles, boats and plants of random shapes, which move as their kind does;
    - riders: 4% show someone on a mount, which moves as the mount does;
    - twins: a third of the clips with two things show the same thing twice, side by side, each facing a way of its own;
    - OFTEN_REVERSED things are twice as frequent.
    """

    stretch = 0.25
    other_designs = 0.25  # share of the things, if there are designs
    close_ups = 1 / 2  # share of the pictures without a thing
    invented = 0.08  # share of the things

    def __init__(
        self,
        device: torch.device | str = "cpu",
        things: str = "known",
        seed: int = 0,
        designs: str | Path = "",
        plain: float = 0.0,
        scale: int = 1,
    ):
        """Unpack the pictures of the things, draw the others; this takes several seconds.

        Args:
            device, things, seed, scale: See `World`.
            designs: A folder of atlases that `build_designs` wrote, or "".
            plain: Share of the calls of `clips` that draw from `evaluation_world` instead, so that the network keeps
                enough of its capacity for that.

        Raises:
            FileNotFoundError: `designs` has no atlas, or the flat atlas is missing because this is an installed package, or the
                atlases of scale 2 have not been drawn.
            ValueError: `designs` at a scale above 1, for which they are not drawn.
        """
        if designs and scale > 1:
            raise ValueError(f"`designs` are drawn at scale 1 only, not {scale}: leave them out")
        self.plain = plain
        self.designs = sorted(Path(designs).resolve().glob("*.webp")) if designs else []
        if designs and not self.designs:
            raise FileNotFoundError(
                f"no atlas (*.webp) in {designs}: make some with python -m svd_lab.training.assets.build_designs"
            )
        # Rows after the catalogue's: cells [styles,n,112,112,4], index into catalogue() of what moves alike, their share.
        self.extra = []
        if things != "held_out":  # riders, mounts, and what invented things resemble are known things
            made = invented.cells(INVENTED, len(FILES) + len(self.designs))
            self.extra = [(*mounted_cells(), RIDING), (*made, self.invented)]
            if scale > 1:  # these are drawn at the small size only
                self.extra = [(enlarged(c, scale), *rest) for c, *rest in self.extra]
        super().__init__(device, things, seed, scale)
        self.usual = self.weights  # those of World
        reversed_ = torch.tensor([catalogue()[i]["en"] in OFTEN_REVERSED for i in self.keep], device=device)
        self.weights = torch.where(reversed_, 2.0, 1.0) * self.weights
        alone = self.weights.sum() / (1 - sum(share for *_, share in self.extra))
        for _, like, share in self.extra:
            self.weights = torch.cat([self.weights, (share * alone / len(like)).expand(len(like))])
            self.ids = torch.cat([self.ids, torch.tensor(like, device=device)])
            kinds = [INDEX[catalogue()[i]["kind"]] for i in like]
            self.kinds = torch.cat([self.kinds, torch.tensor(kinds, device=device)])
        self.rows = len(self.kinds)  # of one style
        del self.extra  # it is in the atlas now; worlds are sent to other processes

    def _cells(self) -> np.ndarray:
        styles, self.drawn = [], []  # drawn: how many things each style has a picture of
        for k, file in enumerate((*FILES, *self.designs)):
            theirs = np.array([np.asarray(cutout(i, file, self.scale)) for i in self.keep])
            there = theirs[..., 3].any((1, 2))
            if k:
                theirs[~there] = styles[0][: len(theirs)][~there]  # missing ones in 3D
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
        rows = (empty & (draw.uniform(n) < self.close_ups)).nonzero()[:, 0]
        picture[rows] = self._crowd(picture[rows], NEAR, CLOSE_THINGS)
        return picture, place

    def _crowd(self, picture: torch.Tensor, near: tuple[float, float], things: int) -> torch.Tensor:
        """Draw things over pictures [n,3,H,W], anywhere; near: the range of their sizes in heights of the picture."""
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
        """Shares of the styles: 3D, flat, and each design in proportion to the things that it has."""
        theirs = self.drawn[len(FILES) :]
        own = 1 - self.other_designs * bool(theirs)
        return [own * (1 - FLAT), own * FLAT, *((1 - own) * drawn / sum(theirs) for drawn in theirs)]

    def _recolour(self, cut: torch.Tensor) -> torch.Tensor:
        """Recolour as `World` does, a third of the cut-outs with shuffled channels."""
        n, draw, eye = len(cut), self.draw, torch.eye(3, device=cut.device)
        order = torch.rand(n, 3, device=cut.device, generator=draw.generator).argsort(1)
        gain = torch.where(draw.uniform(n, 1, 1) < 0.33, eye[order], eye)
        return super()._recolour(torch.cat([torch.einsum("nij,njhw->nihw", gain, cut[:, :3]), cut[:, 3:]], 1))

    def _settle(
        self,
        cut: torch.Tensor,
        background: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        half: torch.Tensor,
        moves: torch.Tensor,
    ) -> torch.Tensor:
        """Camouflage some of the things that move."""
        n, draw = len(cut), self.draw
        grid = torch.linspace(-0.6, 0.6, 7, device=cut.device)
        px = ((x + half * grid) / (WIDTH / 2))[:, None, :].expand(n, 7, 7)
        py = ((y + half * grid) / (HEIGHT / 2))[:, :, None].expand(n, 7, 7)
        below = F.grid_sample(background, torch.stack([px, py], -1), padding_mode="border", align_corners=False)
        rough = below.std((2, 3)).amax(1)  # a rough background needs more contrast
        least = draw.uniform(n, lo=CONTRAST[0], hi=CONTRAST[1]) + 0.6 * rough
        number = lambda lo, hi: draw.uniform(n, 1, 1, 1, lo=lo, hi=hi)  # noqa: E731
        matched = camouflaged(cut, below.mean((2, 3)), number(0, 0.5), number(0.4, 0.9), least[:, None, None, None])
        chosen = (draw.uniform(n) < CAMOUFLAGED) & moves
        return torch.where(chosen[:, None, None, None], matched, cut)

    def evaluation_world(self) -> World:
        """The plain `World` that evaluations render, with this one's tables and draws."""
        world, own = ByteWorld.__new__(ByteWorld), len(self.keep)  # the catalogue's rows in 3D come first
        vars(world).update(vars(self), weights=self.usual, kinds=self.kinds[:own], ids=self.ids[:own])
        return world

    def clips(self, n: int, **settings: Any) -> Clips:
        """Render clips as `World.clips` does; some are blurred: video, background and alpha alike."""
        if self.plain and self.draw.uniform(1).item() < self.plain:
            return self.evaluation_world().clips(n, **settings)
        clips, draw = super().clips(n, **settings), self.draw
        rows = (draw.uniform(n) < SOFT).nonzero()[:, 0]
        sigma = draw.uniform(len(rows), lo=SIGMAS[0], hi=SIGMAS[1]) * self.scale
        if len(rows):
            frames = clips.video.shape[1]
            blur = lambda pictures: softened(pictures, sigma, 3 * self.scale)  # noqa: E731
            clips.video[rows] = blur(clips.video[rows].flatten(1, 2)).unflatten(1, (frames, 3))
            clips.alpha[rows] = blur(clips.alpha[rows])
            clips.background[rows] = blur(clips.background[rows])
        return clips


if __name__ == "__main__":
    drawn = VariedWorld(seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0).clips(24, bucket=127, fps=7)
    sheet(list(drawn.video), sys.argv[1])
    for caption in drawn.captions():
        print(caption)
