"""The renderer: clips of moving things over varied backgrounds, in torch, vectorised over clips, on a CPU or a GPU.

A clip's motion depends on the thing, the way it faces, its height, motion_bucket_id and fps, and on nothing else, so that a model
that sees the first frame and the two numbers can know the rest::

    phase p = frame * 7 / fps,   amplitude a = motion_bucket_id / 127

Frame 0 is the input picture, nothing enters later, and pictures without a known thing get a slow camera zoom.

    python -m svd_lab.world.scenes SHEET.png [SEED]      # write a contact sheet of twelve clips, print their captions
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from svd_lab.language import say
from svd_lab.mini.catalogue import CELL, catalogue, cell_of
from svd_lab.world.atlas import as_atlas
from svd_lab.world.backgrounds import HEIGHT, WIDTH, Draw, backgrounds, fills
from svd_lab.world.clips import FRAMES, Clips
from svd_lab.world.contact_sheets import sheet
from svd_lab.world.motion import DIRECTIONAL, INDEX, KINDS, TALL, motion
from svd_lab.world.warp import camera_grid, cutout_grid, film

STAYS = 0.75  # share of the things that stay inside the picture along an axis, if there is room
REACH = 0.85  # of half a thing's longest side: how far from its centre it is taken to reach when its start is chosen


@dataclass
class _Cast:
    """Which things each of n clips shows."""

    row: torch.Tensor  # [n,2], of the atlas
    kind: torch.Tensor  # [n,2], index into KINDS
    empty: torch.Tensor  # [n] bool, no thing of the catalogue
    shape: torch.Tensor  # [n] bool, empty but for a random shape
    second: torch.Tensor  # [n] bool, there is a second thing
    twins: torch.Tensor  # [n] bool, the second thing is the first one again


@dataclass
class _Actor:
    """How one thing of each clip looks and where it starts; all but the cut-out are [n,1]."""

    cut: torch.Tensor  # [n,4,112,112], times the scale each way
    size: torch.Tensor  # units (see Draw) of the longest side
    flip: torch.Tensor  # 1 or -1: drawn mirrored
    way: torch.Tensor  # 1 or -1: moves the other way
    x: torch.Tensor  # units from the middle, as y
    y: torch.Tensor


class World:
    """Draws clips. The same device, seed and calls give the same clips.

    Subclasses vary what is shown, never how it moves, by overriding the short private methods.

    Attributes:
        keep: Indices into `catalogue()` of the things of this world.
        scale: Pixels a unit, each way; see `Draw`.
        draw: The source of everything random; a new `Draw` starts again.
    """

    stretch = 0.1  # how much longer or taller than drawn a thing may be, as a share

    def __init__(self, device: torch.device | str = "cpu", things: str = "known", seed: int = 0, scale: int = 1):
        """Unpack the pictures of the things, which takes about a second.

        Args:
            device: Where clips are rendered.
            things: "known" for the things that the miniatures were trained on, "held_out" for the others, or "all".
            seed: Of everything random.
            scale: 2 for pictures of 448 x 256 pixels that show the same scenes as those of 224 x 128. For training only: its
                atlases are not part of an installed package.

        Raises:
            ValueError: There is no such set of things, or no such scale.
            FileNotFoundError: The atlases of scale 2 have not been drawn.
        """
        sets = dict(known=(False,), held_out=(True,), all=(False, True))
        if things not in sets:
            raise ValueError(say('things must be "known", "held_out" or "all", not {things!r}', things=things))
        if scale not in (1, 2):
            raise ValueError(say("scale must be 1 or 2, not {scale!r}", scale=scale))
        chosen, self.scale = sets[things], scale
        self.keep = [i for i, t in enumerate(catalogue()) if t["held_out"] in chosen]
        self.draw = Draw(device, seed, scale)
        self.kinds = torch.tensor([INDEX[catalogue()[i]["kind"]] for i in self.keep], device=device)
        self.ids = torch.tensor(self.keep, device=device)
        self.atlas = self._tables(self._cells(), device)
        members = torch.bincount(self.kinds, minlength=len(KINDS)).clamp(min=1)
        self.weights = (torch.tensor(list(KINDS.values()), device=device) / members)[self.kinds]
        flags = lambda names: torch.tensor([k in names for k in KINDS], device=device)  # noqa: E731
        self.directional, self.tall = flags(DIRECTIONAL), flags(TALL)

    def on(self, device: torch.device | str, seed: int) -> Self:
        """Copy this world to a device, with a seed of its own; tables that are there already are shared."""
        other = copy.copy(self)
        for key, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(other, key, value.to(device))
        other.draw = Draw(device, seed, self.scale)
        return other

    def clips(
        self,
        n: int,
        *,
        bucket: float | torch.Tensor | None = None,
        fps: float | torch.Tensor | None = None,
        two: float = 0.18,
        nothing: float = 0.12,
        at: torch.Tensor | None = None,
        only: Sequence[int] | None = None,
    ) -> Clips:
        """Render clips.

        Args:
            n: How many.
            bucket: motion_bucket_id, a number or [n]. By default three in ten are 127, the others 10..255.
            fps: Frames per second, a number or [n]. By default two fifths are 7, the others 5..15.
            two: Share of the clips with a second thing, 0..1.
            nothing: Share of the clips without a known thing, 0..1: half of them show a random shape. The camera zooms in.
            at: Numbers of the frames to render, [n,T]; 0..13 by default.
            only: The first thing of each clip as an index into `catalogue()`, n of them, out of `keep`.

        Returns:
            The clips, on the device of this world.

        Raises:
            ValueError: A thing of `only` is not in this world.
        """
        draw, device = self.draw, self.draw.device
        if bucket is None:
            bucket = torch.where(draw.uniform(n) < 0.3, 127.0, draw.integers(n, 10, 256).float())
        if fps is None:
            fps = torch.where(draw.uniform(n) < 0.4, 7.0, draw.integers(n, 5, 16).float())
        bucket, fps = (torch.as_tensor(v, device=device, dtype=torch.float).expand(n) for v in (bucket, fps))
        at = torch.arange(FRAMES, device=device).expand(n, FRAMES) if at is None else at
        amplitude, phase = (bucket / 127)[:, None], at * (7 / fps)[:, None]
        whole = torch.arange(FRAMES, device=device) * (7 / fps)[:, None]  # the full path, to find room for it
        cast = self._cast(n, two, nothing, only)
        background, place = self._scenery(n, cast.empty)
        zoom = motion(cast.kind[:, :1], amplitude, phase)["zoom"]
        video = film(background, camera_grid(zoom, self.scale), "border")
        alpha = torch.zeros_like(video[:, 0])
        shapes = self._unknown(n)
        actors: list[_Actor] = []
        for j in (0, 1):
            kind = cast.kind[:, j : j + 1]
            actors.append(self._actor(cast, shapes, background, motion(kind, amplitude, whole), *actors))
            actor = actors[j]
            moves = motion(kind, amplitude, phase)
            x = actor.x + moves["dx"] * actor.way * actor.size
            y = actor.y + moves["dy"] * actor.size
            aspect = draw.uniform(n, 1, lo=1 - self.stretch, hi=1 + self.stretch)
            grid = cutout_grid(moves, x, y, actor.size / 2, actor.way, actor.flip, aspect, zoom, self.scale)
            layer = film(actor.cut, grid, "zeros")
            video = video * (1 - layer[:, 3:]) + layer[:, :3]
            alpha = torch.maximum(alpha, layer[:, 3])
        first = actors[0]
        absent = torch.stack([cast.empty & ~cast.shape, ~cast.second], 1)
        return Clips(
            video=video.transpose(1, 2).clamp(0, 1), alpha=alpha, background=background, bucket=bucket, fps=fps,
            kind=torch.where(absent, -1, cast.kind), thing=torch.where(absent | cast.empty[:, None], -1, self.ids[cast.row]),
            height=first.size[:, 0], camera=cast.kind[:, 0] == INDEX["still"],
            facing=(first.flip * self.directional[cast.kind[:, :1]])[:, 0].long(), place=place,
        )  # fmt: skip

    def _cast(self, n: int, two: float, nothing: float, only: Sequence[int] | None) -> _Cast:
        """Choose what each clip shows."""
        draw = self.draw
        row = torch.stack([draw.choice(n, self.weights), draw.choice(n, self.weights)], 1)
        if only is not None:
            if missing := sorted({int(i) for i in only} - set(self.keep)):
                raise ValueError(
                    say("`only` names things that are not in this world: {missing}; see World.keep", missing=missing)
                )
            row[:, 0] = torch.tensor([self.keep.index(int(i)) for i in only], device=draw.device)
        kind = self.kinds[row]
        empty = draw.uniform(n) < nothing
        kind = torch.where(empty[:, None], INDEX["still"], kind)
        shape = empty & (draw.uniform(n) < 0.5)
        second = (draw.uniform(n) < two) & (kind != INDEX["still"]).all(1)  # a moving camera has one thing only
        twins = self._twins(second)
        row = torch.where(twins[:, None], row[:, :1], row)
        kind = torch.where(twins[:, None], kind[:, :1], kind)
        return _Cast(row, kind, empty, shape, second, twins)

    def _actor(
        self,
        cast: _Cast,
        shapes: torch.Tensor,
        background: torch.Tensor,
        path: dict[str, torch.Tensor],
        first: _Actor | None = None,
    ) -> _Actor:
        """Draw a thing for each clip and find a start with room for its path.

        Args:
            cast: Which things there are.
            shapes: Random shapes for clips without a known thing, [n,4,112,112].
            background: [n,3,128,224].
            path: The motion of the thing over all 14 frames, as `motion.motion` returns it.
            first: The first thing, when this is the second.
        """
        draw, n, twins = self.draw, len(background), cast.twins[:, None]
        row, kind = (table[:, 0 if first is None else 1] for table in (cast.row, cast.kind))
        size = torch.where(self.tall[kind], draw.uniform(n, lo=42, hi=78), draw.uniform(n, lo=46, hi=100))[:, None]
        if first is None:  # twins need room beside each other
            size = torch.where(twins, size.clamp(max=80), size)
        else:
            size = torch.where(twins, first.size, size * 0.75)
        cut = self._recolour(self._cut((size[:, 0] < 60).long(), row + self._style(n)))
        if first is None:
            present = ~cast.empty | cast.shape
            cut = torch.where(cast.empty[:, None, None, None], shapes, cut)
        else:
            present = cast.second
            cut = torch.where(cast.twins[:, None, None, None], first.cut, cut)
        cut = cut * present[:, None, None, None]
        flip = torch.where(draw.uniform(n, 1) < 0.5, -1.0, 1.0)
        way = torch.where(self.directional[kind[:, None]], flip, torch.ones_like(flip))
        x = self._start(path["dx"] * way * size, size / 2 * REACH, WIDTH)
        y = self._start(path["dy"] * size, size / 2 * REACH, HEIGHT)
        side = torch.where((x if first is None else first.x) < 0, -WIDTH / 4, WIDTH / 4)
        if first is None:  # twins: one in each half of the picture, at one height
            x = torch.where(twins, side + 0.1 * (x - side), x)
        else:
            x, y = torch.where(twins, -side, x), torch.where(twins, first.y, y)
        cut = self._settle(cut, background, x, y, size / 2, present & ~cast.empty)
        return _Actor(cut, size, flip, way, x, y)

    def _start(self, path: torch.Tensor, half: torch.Tensor, size: int) -> torch.Tensor:
        """Choose where a thing starts along one axis: inside, and mostly so that it stays inside, if there is room.

        Args:
            path: How far the thing moves along the axis in each frame, in units, [n,T].
            half: How far it reaches from its centre, [n,1].
            size: Units of the picture along the axis.

        Returns:
            Its centre in units from the middle, [n,1].
        """
        n, draw = len(path), self.draw
        lo, hi = half - size / 2, size / 2 - half
        stay = draw.uniform(n, 1) < STAYS
        lo2 = torch.where(stay, lo - path.amin(1, keepdim=True), lo)
        hi2 = torch.where(stay, hi - path.amax(1, keepdim=True), hi)
        middle = (lo2 + hi2) / 2
        lo2, hi2 = torch.where(lo2 < hi2, lo2, middle), torch.where(lo2 < hi2, hi2, middle)
        start = lo2 + (hi2 - lo2) * draw.uniform(n, 1)
        return torch.minimum(torch.maximum(start, lo.clamp(max=0)), hi.clamp(min=0))

    def _unknown(self, n: int) -> torch.Tensor:
        """Cut-outs [n,4,112,112] of random shape and texture: things without a motion of their own."""
        draw, side = self.draw, CELL * self.scale
        lumps = draw.noise(n, 1, side, side, octaves=(2, 3, 5))
        r = torch.linspace(-1, 1, side, device=draw.device)
        radius = (r[:, None] ** 2 + r[None] ** 2).sqrt()
        tall, wide = draw.uniform(n, 1, 1, 1, lo=1, hi=2), draw.uniform(n, 1, 1, 1, lo=1, hi=2)
        box = torch.maximum(r[:, None].abs() * tall, r[None].abs() * wide)
        edge = torch.where(draw.uniform(n, 1, 1, 1) < 0.35, box, radius + 0.22 * lumps * draw.uniform(n, 1, 1, 1))
        mask = ((0.85 - edge) * 24 * self.scale).clamp(0, 1)
        texture = fills(draw, n, CELL, CELL).clamp(0, 1) * (1 - 0.35 * (radius + r[:, None]).clamp(0, 1))
        return torch.cat([texture * mask, mask], 1)

    def _recolour(self, cut: torch.Tensor) -> torch.Tensor:
        """Change the brightness of about two thirds of the cut-outs, and the hues of some of these."""
        n, draw, eye = len(cut), self.draw, torch.eye(3, device=cut.device)
        gain = eye * draw.uniform(n, 1, 3, lo=0.8, hi=1.15)
        gain = gain + 0.35 * draw.normal(n, 3, 3) * (draw.uniform(n, 1, 1) < 0.3)
        gain = torch.where(draw.uniform(n, 1, 1) < 0.35, eye, gain)
        rgb = torch.einsum("nij,njhw->nihw", gain, cut[:, :3]).clamp(min=0)
        return torch.cat([torch.minimum(rgb, cut[:, 3:]), cut[:, 3:]], 1)

    def _cells(self) -> np.ndarray:
        """The rows of the atlas, uint8 [m,112,112,4]."""
        return np.stack([cell_of(i, scale=self.scale) for i in self.keep])

    def _tables(self, cells: np.ndarray, device: torch.device | str) -> torch.Tensor:
        """The atlas [2,m,4,112,112]: see `as_atlas`."""
        return as_atlas(cells, device)

    def _cut(self, level: torch.Tensor | int, row: torch.Tensor) -> torch.Tensor:
        """Cut-outs [n,4,112,112] in 0..1, colours premultiplied; level: 1 for small sizes."""
        return self.atlas[level, row]

    def _scenery(self, n: int, empty: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Backgrounds [n,3,128,224] and their labels [n,2]; empty [n] bool: no known thing will be in front."""
        return backgrounds(self.draw, n)

    def _twins(self, second: torch.Tensor) -> torch.Tensor:
        """[n] bool: which of the clips with a `second` thing show the first one again, beside it."""
        return torch.zeros_like(second)

    def _style(self, n: int) -> torch.Tensor | int:
        """What to add to a thing's row in the atlas to draw it in another style."""
        return 0

    def _settle(
        self,
        cut: torch.Tensor,
        background: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
        half: torch.Tensor,
        moves: torch.Tensor,
    ) -> torch.Tensor:
        """Adapt the cut-outs to the background at their start x, y (units from the middle, [n,1]); moves [n] bool."""
        return cut


if __name__ == "__main__":
    shown = World(seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0).clips(12, bucket=127, fps=7)
    sheet(list(shown.video), sys.argv[1])
    for caption in shown.captions():
        print(caption)
