"""The world that the image encoder alone is trained on: the things of `VariedWorld` as other designers might draw them.

From a few hundred pictures an encoder would learn those by heart, and be confident and wrong about things it never saw. What moves
how, and which way, stays the same; but what a thing looks like differs from call to call, so only first frames are of use.

    python -m svd_lab.training.world.encoder_world SHEET.png SEED [DESIGNS]      # write a contact sheet
"""

import sys

import torch
import torch.nn.functional as F

from svd_lab.training.world.varied_world import SIGMAS, VariedWorld, softened
from svd_lab.world.backgrounds import Draw, fills
from svd_lab.world.contact_sheets import sheet

BENT, GRADIENT, TEXTURE, WASHED, OUTLINED, CUT = 0.7, 0.12, 0.08, 0.12, 0.12, 0.1  # shares of the things
# Crowded backgrounds: their share, how many things, of which sizes in heights of the picture, how opaque.
BUSY, CROWD, SIZES, PALE = 0.15, 7, (0.2, 1.2), (0.2, 0.5)


class EncoderWorld(VariedWorld):
    """Draws first frames for the image encoder. What varies more than in `VariedWorld`:

    - designs: half of the things are as other designers drew them, if there are designs, and a fifth are invented;
    - shape: most are turned, sheared and bent; things with a direction keep facing it;
    - style: some are drawn in a gradient of two colours, filled with a texture, without details, or with an outline;
    - some lack a part;
    - behind some are other things, paler and out of focus, like trees and houses in a photograph;
    - more of the pictures without a thing are close-ups.
    """

    other_designs = 0.5
    invented = 0.2
    close_ups = 0.6

    def _scenery(self, n: int, empty: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        picture, place = super()._scenery(n, empty)
        rows = (~empty & (self.draw.uniform(n) < BUSY)).nonzero()[:, 0]
        if len(rows):
            behind, opacity = picture[rows], self.draw.uniform(len(rows), 1, 1, 1, lo=PALE[0], hi=PALE[1])
            crowd = behind + opacity * (self._crowd(behind, SIZES, CROWD) - behind)
            picture[rows] = softened(crowd, self.draw.uniform(len(rows), lo=SIGMAS[0], hi=SIGMAS[1]))
        return picture, place

    def _recolour(self, cut: torch.Tensor) -> torch.Tensor:
        cut = redrawn(super()._recolour(cut), self.draw)
        return missing(bent(cut, self.draw), self.draw)


def _some(draw: Draw, n: int, share: float) -> torch.Tensor:
    """[n,1,1,1] bool, true for about a `share` of the n."""
    return (draw.uniform(n) < share)[:, None, None, None]


def bent(cut: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Turn most cut-outs [n,4,h,w] by up to 15 degrees; shear, stretch and shift them a little; bend them by a smooth field."""
    n = len(cut)
    angle, shear = draw.uniform(n, lo=-0.26, hi=0.26), draw.uniform(n, lo=-0.2, hi=0.2)
    # How much of the cell is sampled: the more, the smaller the thing.
    wide, tall = draw.uniform(n, lo=0.9, hi=1.3), draw.uniform(n, lo=0.9, hi=1.3)
    c, s = angle.cos(), angle.sin()
    rows = torch.stack([torch.stack([c * wide, (shear - s) * tall], 1), torch.stack([s * wide, c * tall], 1)], 1)
    shift = draw.uniform(n, 2, 1, lo=-0.06, hi=0.06)
    grid = F.affine_grid(torch.cat([rows, shift], 2), list(cut.shape), align_corners=False)
    field = draw.normal(n, 2, 5, 5) * 0.09 * draw.uniform(n, 1, 1, 1)
    field = F.interpolate(field, size=cut.shape[-2:], mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    return torch.where(_some(draw, n, BENT), F.grid_sample(cut, grid + field, align_corners=False), cut)


def redrawn(cut: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Change the style of some cut-outs [n,4,h,w], colours premultiplied; a cut-out may get several changes."""
    n, rgb, alpha = len(cut), cut[:, :3], cut[:, 3:]
    light = rgb.mean(1, keepdim=True)  # premultiplied as well
    one, two = (draw.colours(n)[..., None, None] for _ in range(2))
    rgb = torch.where(_some(draw, n, GRADIENT), one * light + two * (alpha - light), rgb)
    shade = 0.5 + 0.5 * light / alpha.clamp(min=1e-3)
    rgb = torch.where(_some(draw, n, TEXTURE), fills(draw, n, *cut.shape[-2:]).clamp(0, 1) * shade * alpha, rgb)
    blur = lambda x: F.avg_pool2d(F.avg_pool2d(x, 9, 1, 4), 9, 1, 4)  # noqa: E731
    washed = blur(rgb) / blur(alpha).clamp(min=1e-3) * alpha
    rgb = torch.where(_some(draw, n, WASHED), washed, rgb)
    wider = F.max_pool2d(alpha, 5, 1, 2)
    ink = draw.colours(n)[..., None, None] * draw.uniform(n, 1, 1, 1, hi=0.6)
    lined = torch.cat([rgb + ink * (wider - alpha), wider], 1)
    rgb = torch.minimum(rgb.clamp(min=0), alpha)
    return torch.where(_some(draw, n, OUTLINED), lined.clamp(0, 1), torch.cat([rgb, alpha], 1))


def missing(cut: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Cut off what is beyond a straight line, up to a third of the cell, from some cut-outs [n,4,h,w]."""
    n, d = len(cut), cut.device
    y, x = (torch.linspace(-1, 1, side, device=d) for side in cut.shape[-2:])
    angle, far = draw.uniform(n, 1, 1, hi=6.2832), draw.uniform(n, 1, 1, lo=0.3, hi=0.8)
    stays = ((far - (x * angle.cos() + y[:, None] * angle.sin())) * 24).clamp(0, 1)[:, None]
    return torch.where(_some(draw, n, CUT), cut * stays, cut)


if __name__ == "__main__":
    file, seed, *designs = sys.argv[1:]
    world = EncoderWorld(seed=int(seed), designs=designs[0] if designs else "")
    drawn = world.clips(60, two=0, nothing=0, at=torch.zeros(60, 1))
    sheet([torch.cat(list(part.video)) for part in (drawn[k : k + 5] for k in range(0, 60, 5))], file, range(5))
