"""The parts of painted places: colours, outlines, dots, clouds, trees, houses, each for a whole batch.

Everything random comes from a `Draw`. Positions are its units from the top left; pictures are [n,3,H,W] in 0..1.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from svd_lab.world.backgrounds import HEIGHT, WIDTH, Draw

Colour = tuple[float, float, float]  # RGB, 0..255


def axes(draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
    """y [H,1] and x [1,W] of the centres of the pixels, in units."""
    return draw.axes()


def between(draw: Draw, n: int, lo: float, hi: float) -> torch.Tensor:
    """n numbers of lo..hi, [n,1,1,1]."""
    return draw.uniform(n, 1, 1, 1, lo=lo, hi=hi)


def colour(draw: Draw, n: int, rgb: Colour, jitter: float = 0.05) -> torch.Tensor:
    """n colours [n,3,1,1] in 0..1, near `rgb`."""
    base = torch.tensor(rgb, device=draw.device, dtype=torch.float)[:, None, None] / 255
    return (base + draw.uniform(n, 3, 1, 1, lo=-jitter, hi=jitter) + between(draw, n, -jitter, jitter)).clamp(0, 1)


def ramp(draw: Draw, n: int, top: Colour, bottom: Colour, begin: float = 0.0, end: float = 1.0) -> torch.Tensor:
    """Vertical gradients [n,3,H,W] from one colour to another, between two heights (shares of the picture)."""
    yy, _ = axes(draw)
    at = ((yy / HEIGHT - begin) / (end - begin + 1e-6)).clamp(0, 1)
    top, bottom = colour(draw, n, top), colour(draw, n, bottom)
    return top + (bottom - top) * at


def over(picture: torch.Tensor, above: torch.Tensor, cover: torch.Tensor) -> torch.Tensor:
    """Blend `above` over `picture` by `cover` (0..1; clipped)."""
    return picture + (above - picture) * cover.clamp(0, 1)


def below(draw: Draw, line: torch.Tensor, soft: float = 1.0) -> torch.Tensor:
    """Mask [n,1,H,1 or W]: 1 below a line ([n,1,1,1] or [n,1,1,W]), 0 above; `soft` pixels in between."""
    yy, _ = axes(draw)
    return ((yy - line) / soft * draw.scale + 0.5).clamp(0, 1)


def ridge(
    draw: Draw, n: int, level: torch.Tensor, height: float, octaves: Sequence[int] = (2, 4, 9, 18), roll: float = 0.5
) -> torch.Tensor:
    """Outlines of hills or mountains [n,1,1,W]: mean `level` [n,1,1,1], standard deviation `height` pixels."""
    return level + height * draw.noise(n, 1, 2, draw.w, octaves=octaves, roll=roll)[:, :, :1]


def grain(draw: Draw, picture: torch.Tensor, strength: float, octaves: Sequence[int] = (9, 24, 60)) -> torch.Tensor:
    """Roughen a picture with value noise."""
    return (picture * (1 + strength * draw.noise(len(picture), 1, draw.h, draw.w, octaves=octaves))).clamp(0, 1)


def dots(draw: Draw, n: int, cells: tuple[int, int], share: float, radius: tuple[float, float]) -> torch.Tensor:
    """Masks of round soft dots, [n,1,H,W] in 0..1.

    Args:
        draw: The random source.
        n: How many masks.
        cells: Rows and columns of a grid with at most one dot in each cell.
        share: Share of the cells with a dot.
        radius: Range of the radius in pixels.
    """
    rows, columns = cells
    yy, xx = axes(draw)
    h, w = HEIGHT / rows, WIDTH / columns
    up = lambda t: F.interpolate(t, size=(draw.h, draw.w), mode="nearest")  # noqa: E731
    r = draw.uniform(n, 1, rows, columns, lo=radius[0], hi=radius[1])
    cy = draw.uniform(n, 1, rows, columns) * (h - 2 * r).clamp(min=0) + r
    cx = draw.uniform(n, 1, rows, columns) * (w - 2 * r).clamp(min=0) + r
    on = (draw.uniform(n, 1, rows, columns) < share).float()
    distance = (((yy % h) - up(cy)) ** 2 + ((xx % w) - up(cx)) ** 2).sqrt()
    return ((up(r) - distance) * draw.scale + 0.5).clamp(0, 1) * up(on)


def disc(draw: Draw, n: int, x: torch.Tensor, y: torch.Tensor, radius: torch.Tensor, soft: float = 1.5) -> torch.Tensor:
    """Mask [n,1,H,W] of a disc around (x, y); x, y and radius are [n,1,1,1], its edge is `soft` pixels wide."""
    yy, xx = axes(draw)
    return ((radius - ((xx - x) ** 2 + (yy - y) ** 2).sqrt()) / soft * draw.scale).clamp(0, 1)


def clouds(draw: Draw, n: int, level: float = 0.4) -> torch.Tensor:
    """Masks of clouds, [n,1,H,W] in 0..1; a higher `level` leaves fewer."""
    field = draw.noise(n, 1, draw.h, draw.w, octaves=(4, 8, 16, 32))
    return ((field - level) * 1.1).clamp(0, 1)


def stars(draw: Draw, n: int, share: float = 0.25) -> torch.Tensor:
    """Masks of stars of two sizes, [n,1,H,W] in 0..1."""
    return torch.maximum(dots(draw, n, (7, 12), share, (1.1, 2.2)), dots(draw, n, (10, 18), share, (0.7, 1.3)) * 0.7)


def day(draw: Draw, n: int) -> torch.Tensor:
    """Blue skies with some clouds."""
    sky = ramp(draw, n, (84, 158, 236), (196, 226, 250), 0, 0.75)
    return over(sky, torch.ones_like(sky), 0.8 * clouds(draw, n, 0.7))


def trees(
    draw: Draw,
    picture: torch.Tensor,
    n: int,
    base: torch.Tensor,
    tall: float,
    width: float,
    leaf: Colour,
    trunk: Colour = (86, 60, 40),
) -> torch.Tensor:
    """Paint a row of round trees, their feet at `base` [n,1,1,1], about `tall` pixels high and `width` apart."""
    yy, xx = axes(draw)
    x = xx + draw.uniform(n, 1, 1, 1, hi=width)
    k = (x / width).long().clamp(0, 40).expand(n, 1, 1, draw.w)
    pick = lambda lo, hi: draw.uniform(n, 1, 1, 41, lo=lo, hi=hi).gather(3, k)  # noqa: E731
    high, middle = tall * pick(0.7, 1.3), (0.5 + pick(-0.12, 0.12)) * width
    dx = (x % width) - middle
    shade = pick(0.75, 1.15)
    stem = (1.6 + tall / 40 - dx.abs()).clamp(0, 1) * ((yy < base) & (yy > base - high * 0.6))
    picture = over(picture, colour(draw, n, trunk) * torch.ones_like(picture), stem)
    crown = 1 - ((dx / (width * 0.46)) ** 2 + ((yy - base + high * 0.7) / (high * 0.42)) ** 2).sqrt()
    light = shade * (1.1 - 0.35 * ((yy - base + high * 0.7) / (high * 0.42)).clamp(-1, 1))
    return over(picture, (colour(draw, n, leaf) * light).clamp(0, 1), crown * width * 0.4)


def flowers(
    draw: Draw,
    picture: torch.Tensor,
    line: torch.Tensor,
    colours: Sequence[Colour] = ((230, 60, 90), (250, 210, 60), (250, 250, 250), (170, 90, 210)),
) -> torch.Tensor:
    """Paint dots of several colours below `line` [n,1,1,1]."""
    for rgb in colours:
        spots = dots(draw, len(picture), (8, 14), 0.35, (1.7, 3.5)) * below(draw, line + 3)
        picture = over(picture, colour(draw, len(picture), rgb), spots)
    return picture


def houses(
    draw: Draw, picture: torch.Tensor, n: int, base: torch.Tensor, tall: float, wall: Colour, window: Colour, lit: float
) -> torch.Tensor:
    """Paint a row of tower blocks that end at `base` [n,1,1,1], up to 1.2 `tall` pixels high, a share `lit` of the windows lit."""
    yy, xx = axes(draw)
    width = 10 * between(draw, n, 2.6, 4.4).round() + 2  # whole windows
    k = (xx / width).long().clamp(0, 15).expand(n, 1, 1, draw.w)
    pick = lambda lo, hi: draw.uniform(n, 1, 1, 16, lo=lo, hi=hi).gather(3, k)  # noqa: E731
    top = base - tall * pick(0.35, 1.2)
    x, y = xx % width, yy - top
    block = ((yy > top) & (yy < base) & (x > 1)).float()
    picture = over(picture, (colour(draw, n, wall) * pick(0.65, 1.25)).clamp(0, 1), block)
    panes = block * (((x - 1) % 10 > 4) & (y % 13 > 6) & (yy < base - 4))
    on = F.interpolate((draw.uniform(n, 1, 10, 22) < lit).float(), size=(draw.h, draw.w), mode="nearest")
    return over(picture, colour(draw, n, window), panes * on)
