"""The little world: clips of moving things over varied backgrounds, rendered in torch, vectorised over clips, on CPU or GPU.

A clip's motion is a function of the thing, the way it faces, its height, motion_bucket_id and fps, and of nothing else, so that a
model that sees the first frame and the two numbers can know the rest::

    phase p = frame * 7 / fps,   amplitude a = motion_bucket_id / 127

Frame 0 is the given picture, nothing enters the picture late, and pictures without a known thing get a slow camera zoom.
"""

import copy
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .backgrounds import HEIGHT, WIDTH, Draw, backgrounds, fills, name
from .catalogue import CELL, as_atlas, catalogue, cell_of
from .motion import DIRECTIONAL, INDEX, KINDS, TALL, motion

FRAMES = 14


@dataclass
class Clips:
    """A batch of n clips of T frames of the world."""

    video: torch.Tensor  # [n,T,3,128,224] in 0..1
    alpha: torch.Tensor  # [n,T,128,224]: how much of the pixel is a thing
    background: torch.Tensor  # [n,3,128,224]
    bucket: torch.Tensor  # [n] motion_bucket_id
    fps: torch.Tensor  # [n]
    kind: torch.Tensor  # [n,2] index into KINDS, -1: no such thing
    thing: torch.Tensor  # [n,2] index into catalogue(), -1: no such thing (or an unknown shape)
    height: torch.Tensor  # [n] longest side of the first thing, pixels
    camera: torch.Tensor  # [n] bool: the camera moves
    facing: (
        torch.Tensor
    )  # [n] of the first thing: 1 as drawn (left; rocket: right), -1 mirrored, 0 if its motion has no direction
    place: torch.Tensor  # [n,2] labels of the background (backgrounds.name)

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, which) -> "Clips":
        return Clips(*(getattr(self, f.name)[which] for f in fields(self)))

    @staticmethod
    def join(parts: "list[Clips]") -> "Clips":
        return Clips(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Clips)))

    def pictures(self) -> list[Image.Image]:
        """The given pictures: frame 0 as RGB."""
        return [Image.fromarray(v) for v in (self.video[:, 0].permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()]

    def captions(self) -> list[dict[str, str]]:
        """English and Korean captions, one dict(en, ko) a clip."""
        names, out = catalogue(), []
        for (i, j), (palette, shape) in zip(self.thing.tolist(), self.place.tolist(), strict=True):
            en, ko = name(palette, shape)
            first = names[i] if i >= 0 else dict(en="something", ko="무언가") if self.kind[len(out), 0] >= 0 else None
            if first is None:
                out.append(dict(en=en, ko=ko))
            elif j < 0:
                out.append(dict(en=f"{first['en']}, {en}", ko=f"{ko}, {first['ko']}"))
            else:
                out.append(
                    dict(
                        en=f"{first['en']} and {names[j]['en']}, {en}",
                        ko=f"{ko}, {first['ko']} 그리고 {names[j]['ko']}",
                    )
                )
        return out


class World:
    """Draws clips. The same device, seed and calls give the same clips.

    things: "known" or "held_out" (never trained on), or "all". The measure is of this world; training sees varied.VariedWorld,
    which replaces the short methods below.
    scale: pixels a unit (Draw): 2 for 256 x 448 pixels, from the atlases in catalogue.LARGE.
    """

    stretch = 0.1  # how much longer or taller than drawn a thing may be

    def __init__(self, device: str = "cpu", things: str = "known", seed: int = 0, scale: int = 1):
        chosen = dict(known=(False,), held_out=(True,), all=(False, True))[things]
        self.scale = scale
        self.keep = [i for i, t in enumerate(catalogue()) if t["held_out"] in chosen]
        self.draw = Draw(device, seed, scale)
        self.kinds = torch.tensor([INDEX[catalogue()[i]["kind"]] for i in self.keep], device=device)
        self.ids = torch.tensor(self.keep, device=device)
        self.atlas = self._tables(self._cells(), device)
        members = torch.bincount(self.kinds, minlength=len(KINDS)).clamp(min=1)
        self.weights = (torch.tensor(list(KINDS.values()), device=device) / members)[self.kinds]
        flags = lambda names: torch.tensor([k in names for k in KINDS], device=device)  # noqa: E731
        self.directional, self.tall = flags(DIRECTIONAL), flags(TALL)

    def on(self, device, seed: int) -> "World":
        """This world on a device and with draws of its own; its tables are shared where they lie there already."""
        other = copy.copy(self)
        for key, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(other, key, value.to(device))
        other.draw = Draw(device, seed, self.scale)
        return other

    def _cells(self) -> np.ndarray:
        """The rows of the atlas, uint8 [m,112,112,4]."""
        return np.stack([cell_of(i, scale=self.scale) for i in self.keep])

    def _tables(self, cells: np.ndarray, device) -> torch.Tensor:
        """The atlas [2,m,4,112,112]: as_atlas."""
        return as_atlas(cells, device)

    def _cut(self, level, row) -> torch.Tensor:
        """Cut-outs [n,4,112,112], 0..1, colours premultiplied; level: 1 for small sizes."""
        return self.atlas[level, row]

    def _unknown(self, n: int) -> torch.Tensor:
        """Cut-outs [n,4,112,112] of random shape and texture: things without a natural motion."""
        draw, side = self.draw, CELL * self.scale
        lumps = draw.noise(n, 1, side, side, octaves=(2, 3, 5))
        r = torch.linspace(-1, 1, side, device=draw.device)
        radius = (r[:, None] ** 2 + r[None] ** 2).sqrt()
        box = torch.maximum(
            r[:, None].abs() * draw.uniform(n, 1, 1, 1, lo=1, hi=2),
            r[None].abs() * draw.uniform(n, 1, 1, 1, lo=1, hi=2),
        )
        edge = torch.where(draw.uniform(n, 1, 1, 1) < 0.35, box, radius + 0.22 * lumps * draw.uniform(n, 1, 1, 1))
        mask = ((0.85 - edge) * 24 * self.scale).clamp(0, 1)
        texture = fills(draw, n, CELL, CELL).clamp(0, 1) * (1 - 0.35 * (radius + r[:, None]).clamp(0, 1))
        return torch.cat([texture * mask, mask], 1)

    def _recolour(self, cut: torch.Tensor) -> torch.Tensor:
        """Other brightness and, for a third, other hues, so that other people's drawings work too."""
        n, draw, eye = len(cut), self.draw, torch.eye(3, device=cut.device)
        gain = eye * draw.uniform(n, 1, 3, lo=0.8, hi=1.15) + 0.35 * draw.normal(n, 3, 3) * (
            draw.uniform(n, 1, 1) < 0.3
        )
        gain = torch.where(draw.uniform(n, 1, 1) < 0.35, eye, gain)
        rgb = torch.einsum("nij,njhw->nihw", gain, cut[:, :3]).clamp(min=0)
        return torch.cat([torch.minimum(rgb, cut[:, 3:]), cut[:, 3:]], 1)

    def _scenery(self, n: int, empty: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """n backgrounds and their labels; empty [n]: where no known thing will stand on it."""
        return backgrounds(self.draw, n)

    def _twins(self, second: torch.Tensor) -> torch.Tensor:
        """[n] bool: which of the clips with a `second` thing show the first one again, side by side with it."""
        return torch.zeros_like(second)

    def _style(self, n: int) -> torch.Tensor | int:
        """What to add to a thing's row in the atlas."""
        return 0

    def _settle(self, cut, picture, x, y, half, moves) -> torch.Tensor:
        """The cut-outs as they look on the background `picture` when they start at x, y (pixels from the middle, [n,1])."""
        return cut

    def _start(self, path: torch.Tensor, half: torch.Tensor, size: int) -> torch.Tensor:
        """Where a thing starts along one axis [n,1] so that it starts inside and, three times of four, stays inside if it can."""
        n, draw = len(path), self.draw
        lo, hi = half - size / 2, size / 2 - half
        stay = draw.uniform(n, 1) < 0.75
        lo2 = torch.where(stay, lo - path.amin(1, keepdim=True), lo)
        hi2 = torch.where(stay, hi - path.amax(1, keepdim=True), hi)
        middle = (lo2 + hi2) / 2
        lo2, hi2 = torch.where(lo2 < hi2, lo2, middle), torch.where(lo2 < hi2, hi2, middle)
        start = lo2 + (hi2 - lo2) * draw.uniform(n, 1)
        return torch.minimum(torch.maximum(start, lo.clamp(max=0)), hi.clamp(min=0))

    def clips(
        self, n: int, *, bucket=None, fps=None, two: float = 0.18, nothing: float = 0.12, at=None, only=None
    ) -> Clips:
        """Render n clips.

        bucket, fps: numbers or [n] (default: drawn; a third are 127, two fifths are 7). two, nothing: the shares with a second
        thing, and with none. at: which frames, [n,T] (default: 0..13). only: catalogue index of the first thing, [n].
        """
        draw, d = self.draw, self.draw.device
        if bucket is None:
            bucket = torch.where(draw.uniform(n) < 0.3, 127.0, draw.integers(n, 10, 256).float())
        if fps is None:
            fps = torch.where(draw.uniform(n) < 0.4, 7.0, draw.integers(n, 5, 16).float())
        bucket = torch.as_tensor(bucket, device=d, dtype=torch.float).expand(n)
        fps = torch.as_tensor(fps, device=d, dtype=torch.float).expand(n)
        at = torch.arange(FRAMES, device=d).expand(n, FRAMES) if at is None else at
        frames = at.shape[1]
        amplitude, phase = (bucket / 127)[:, None], at * (7 / fps)[:, None]
        whole = torch.arange(FRAMES, device=d) * (7 / fps)[:, None]  # the full path, to find room for it
        which = torch.stack([draw.choice(n, self.weights), draw.choice(n, self.weights)], 1)
        if only is not None:
            which[:, 0] = torch.tensor([self.keep.index(int(i)) for i in only], device=d)
        kind = self.kinds[which]
        empty = draw.uniform(n) < nothing
        kind = torch.where(empty[:, None], INDEX["still"], kind)
        shape = empty & (draw.uniform(n) < 0.5)  # an unknown shape; else an empty picture
        second = (draw.uniform(n) < two) & (kind != INDEX["still"]).all(1)  # a moving camera has one thing only
        twins = self._twins(second)
        which = torch.where(twins[:, None], which[:, :1], which)
        kind = torch.where(twins[:, None], kind[:, :1], kind)
        picture, place = self._scenery(n, empty)
        zoom = motion(kind[:, :1], amplitude, phase)["zoom"]
        gy, gx = (axis.flatten() for axis in draw.axes())
        gx, gy = gx - WIDTH / 2, gy - HEIGHT / 2
        z = zoom[..., None, None]
        grid = torch.stack(torch.broadcast_tensors((gx / (WIDTH / 2)) / z, (gy / (HEIGHT / 2))[:, None] / z), -1)
        sample = lambda source, where, mode: F.grid_sample(  # noqa: E731
            source,
            where.reshape(n, frames * draw.h, draw.w, 2),
            mode="bilinear",
            padding_mode=mode,
            align_corners=False,
        ).view(n, -1, frames, draw.h, draw.w)
        video = sample(picture, grid, "border")
        alpha = torch.zeros(n, frames, draw.h, draw.w, device=d)
        unknown = self._unknown(n)
        height = first = aside = level = None  # of the first thing, for its twin
        for j, present in enumerate([~empty | shape, second]):
            k = kind[:, j : j + 1]
            room = self.tall[k[:, 0]]
            tall = torch.where(room, draw.uniform(n, lo=42, hi=78), draw.uniform(n, lo=46, hi=100)) * (
                0.75 if j else 1.0
            )
            tall = torch.where(twins, tall.clamp(max=80) if j == 0 else height, tall)
            cut = self._recolour(self._cut((tall < 60).long(), which[:, j] + self._style(n)))
            if j == 0:
                cut, height = torch.where(empty[:, None, None, None], unknown, cut), tall
            else:
                cut = torch.where(twins[:, None, None, None], first, cut)
            first = cut
            cut = cut * present[:, None, None, None]
            flip = torch.where(draw.uniform(n, 1) < 0.5, -1.0, 1.0)
            way = torch.where(self.directional[k], flip, torch.ones_like(flip))
            if j == 0:
                facing = (flip * self.directional[k])[:, 0].long()
            scale = tall[:, None]
            m, path = motion(k, amplitude, phase), motion(k, amplitude, whole)
            half = scale / 2
            x = self._start(path["dx"] * way * scale, half * 0.85, WIDTH)
            y = self._start(path["dy"] * scale, half * 0.85, HEIGHT)
            if j == 0:  # twins: one in each half of the picture, on one level
                aside = torch.where(x < 0, -WIDTH / 4, WIDTH / 4)
                x, level = torch.where(twins[:, None], aside + 0.1 * (x - aside), x), y
            else:
                x, y = torch.where(twins[:, None], -aside, x), torch.where(twins[:, None], level, y)
            cut = self._settle(cut, picture, x, y, half, present & ~empty)
            x, y = x + m["dx"] * way * scale, y + m["dy"] * scale
            aspect = draw.uniform(n, 1, lo=1 - self.stretch, hi=1 + self.stretch)
            where = _placed(m, x, y, half, way, flip, aspect, zoom, gx, gy)
            layer = sample(cut, where, "zeros")
            video = video * (1 - layer[:, 3:]) + layer[:, :3]
            alpha = torch.maximum(alpha, layer[:, 3])
        gone = torch.stack([empty & ~shape, ~second], 1)
        thing = torch.where(gone | torch.stack([empty, empty], 1), -1, self.ids[which])
        return Clips(
            video=video.transpose(1, 2).clamp(0, 1), alpha=alpha, background=picture, bucket=bucket, fps=fps,
            kind=torch.where(gone, -1, kind), thing=thing, height=height, camera=kind[:, 0] == INDEX["still"], facing=facing,
            place=place,
        )  # fmt: skip


def _placed(m, x, y, half, way, flip, aspect, zoom, gx, gy):
    """Sampling grid [n,T,H,W,2]: for every pixel, where in the cut-out (-1..1) it looks. m, x, y are [n,T]; half .. aspect [n,1].

    The cut-out is scaled, sheared and turned about its pivot (R @ S), moved to (x, y), seen by the camera; here that is inverted.
    """
    rot = m["rot"] * way
    c, s = torch.cos(rot), torch.sin(rot)
    zero = torch.zeros_like(c)
    row = lambda *v: torch.stack(v, -1)  # noqa: E731
    turn = torch.stack([row(c, -s), row(s, c)], -2)
    stretch = torch.stack([row(m["sx"] * aspect * flip, -m["shear"] * m["sy"]), row(zero, m["sy"])], -2)
    forward = turn @ stretch
    inverse = torch.stack(
        [row(forward[..., 1, 1], -forward[..., 0, 1]), row(-forward[..., 1, 0], forward[..., 0, 0])], -2
    )
    inverse = (
        inverse / (forward[..., 0, 0] * forward[..., 1, 1] - forward[..., 0, 1] * forward[..., 1, 0])[..., None, None]
    )
    pivot = row(torch.zeros_like(m["pivot"]), m["pivot"])
    cell = CELL / (CELL - 8)  # the thing fills its cell but for the margin
    offset = pivot - torch.einsum("ntij,ntj->nti", inverse, row(x, y) / half[..., None] + pivot)
    A = inverse / half[..., None, None] / zoom[..., None, None]
    at = lambda v: v[..., None, None]  # noqa: E731
    px, py = gx[None, None, None], gy[None, None, :, None]
    u = [at(A[..., i, 0]) * px + at(A[..., i, 1]) * py + at(offset[..., i]) for i in (0, 1)]
    return torch.stack(u, -1) / cell


if __name__ == "__main__":
    import sys

    from .sheets import sheet

    clips = World(seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0).clips(12, bucket=127, fps=7)
    sheet(list(clips.video), sys.argv[1])
    for caption in clips.captions():
        print(caption)
