"""The named places of the text miniature's world: 36 kinds of still background, each painted for a whole batch at once.

Each painter takes a `Draw` and a number n and returns pictures [n,3,H,W] in 0..1, different every time. Unlike
`svd_lab.world.backgrounds`, which mixes everything freely, every picture clearly shows the place that it is named for.
"""

from collections.abc import Callable

import torch

from svd_lab.training.text.place_words import COLOURS, PLACES, PLAIN
from svd_lab.training.world.place_parts import (
    Colour,
    axes,
    below,
    between,
    clouds,
    colour,
    day,
    disc,
    dots,
    flowers,
    grain,
    over,
    ramp,
    ridge,
    stars,
    trees,
)
from svd_lab.training.world.places_built import aerial, city, city_night, fireworks, road, room, studio
from svd_lab.world.backgrounds import HEIGHT, Draw

Painter = Callable[[Draw, int], torch.Tensor]

PLAIN_RGB = dict(
    red=(214, 48, 44), orange=(240, 140, 40), yellow=(246, 212, 60), green=(70, 160, 80), blue=(52, 110, 210),
    purple=(130, 80, 180), pink=(244, 160, 190), black=(16, 16, 18),
)  # fmt: skip


def meadow(draw: Draw, n: int) -> torch.Tensor:
    line = ridge(draw, n, between(draw, n, 66, 88), 3, (2, 4))
    picture = day(draw, n)
    sun = draw.uniform(n, 1, 1, 1) < 0.4
    glow = disc(draw, n, between(draw, n, 20, 204), between(draw, n, 12, 30), between(draw, n, 8, 12), 4)
    picture = over(picture, colour(draw, n, (255, 240, 170)), glow * sun)
    grass = grain(draw, ramp(draw, n, (132, 196, 84), (70, 140, 52), 0.5, 1), 0.07)
    return over(picture, grass, below(draw, line))


def sky(draw: Draw, n: int) -> torch.Tensor:
    picture = ramp(draw, n, (60, 138, 230), (176, 216, 250))
    return over(picture, torch.ones_like(picture), 0.95 * clouds(draw, n, 0.25))


def night(draw: Draw, n: int) -> torch.Tensor:
    picture = ramp(draw, n, (8, 10, 38), (34, 40, 96), 0, 0.9)
    moon = disc(draw, n, between(draw, n, 20, 204), between(draw, n, 14, 34), between(draw, n, 7, 11))
    picture = over(picture, colour(draw, n, (250, 244, 214)), moon * (draw.uniform(n, 1, 1, 1) < 0.6))
    picture = over(picture, torch.ones_like(picture), stars(draw, n))
    return over(
        picture,
        colour(draw, n, (12, 20, 26), 0.02),
        below(draw, ridge(draw, n, between(draw, n, 96, 112), 4, (2, 5))),
    )


def space(draw: Draw, n: int) -> torch.Tensor:
    picture = ramp(draw, n, (6, 4, 18), (10, 8, 30))
    for rgb in ((90, 40, 130), (30, 70, 140)):
        picture = over(picture, colour(draw, n, rgb), 0.35 * clouds(draw, n, 0.6))
    picture = over(picture, torch.ones_like(picture), stars(draw, n, 0.4))
    x, y, r = between(draw, n, 0, 224), between(draw, n, 0, 128), between(draw, n, 8, 18)
    there = draw.uniform(n, 1, 1, 1) < 0.35
    planet = draw.colours(n)[..., None, None] * 0.6 + 0.3
    lit = (1 - 0.8 * disc(draw, n, x + r * 0.5, y + r * 0.4, r, 10)).clamp(0.2, 1)
    return over(picture, planet * lit, disc(draw, n, x, y, r) * there)


def sea(draw: Draw, n: int) -> torch.Tensor:
    picture, line = day(draw, n), between(draw, n, 50, 72)
    yy, xx = axes(draw)
    depth = ((yy - line) / (HEIGHT - line)).clamp(0, 1)
    water = ramp(draw, n, (70, 160, 214), (18, 84, 148), 0.45, 1)
    swell = draw.noise(n, 1, draw.h, draw.w, octaves=(6, 14, 30))
    wave = torch.sin((yy - line) / (1.2 + 4 * depth) + 1.4 * swell + xx * 0.02)
    return over(picture, (water * (1 + 0.16 * wave)).clamp(0, 1), below(draw, line))


def underwater(draw: Draw, n: int) -> torch.Tensor:
    yy, xx = axes(draw)
    picture = ramp(draw, n, (60, 176, 206), (8, 60, 110), 0, 0.9)
    rays = torch.sin((xx + yy * between(draw, n, -0.6, 0.6)) * 0.09 + 6.3 * draw.uniform(n, 1, 1, 1)).clamp(0, 1)
    picture = over(picture, torch.ones_like(picture), 0.25 * rays * (1 - yy / 90).clamp(0, 1))
    sand = grain(draw, colour(draw, n, (150, 158, 120)) * torch.ones_like(picture), 0.07)
    picture = over(picture, sand, below(draw, ridge(draw, n, between(draw, n, 100, 114), 3, (2, 5)), 2))
    x = xx + draw.uniform(n, 1, 1, 1, hi=30) + 4 * torch.sin(yy / 8 + 6.3 * draw.uniform(n, 1, 1, 1))
    weed = (4 - ((x % 44) - 22).abs()).clamp(0, 1) * (yy > 84)
    picture = over(picture, colour(draw, n, (30, 120, 70)), weed * (draw.uniform(n, 1, 1, 1) < 0.6))
    return over(picture, torch.ones_like(picture), 0.45 * dots(draw, n, (6, 10), 0.2, (1.5, 3.5)))


def desert(draw: Draw, n: int) -> torch.Tensor:
    picture = ramp(draw, n, (110, 176, 226), (248, 226, 180), 0, 0.65)
    far = ridge(draw, n, between(draw, n, 58, 72), 7, (1, 2, 4))
    picture = over(picture, ramp(draw, n, (226, 178, 104), (216, 164, 92), 0.4, 0.8), below(draw, far))
    near = ridge(draw, n, between(draw, n, 84, 98), 7, (1, 2, 3))
    return over(picture, ramp(draw, n, (244, 202, 128), (206, 150, 80), 0.6, 1), below(draw, near))


def snow(draw: Draw, n: int) -> torch.Tensor:
    picture = ramp(draw, n, (158, 186, 214), (222, 232, 242), 0, 0.7)
    base = between(draw, n, 74, 88)
    picture = trees(draw, picture, n, base, 30, 26, (176, 200, 206), (110, 96, 92))
    ground = grain(draw, ramp(draw, n, (248, 250, 253), (220, 230, 242), 0.6, 1), 0.015)
    picture = over(picture, ground, below(draw, ridge(draw, n, base - 2, 2, (2, 4)), 2))
    return over(picture, torch.ones_like(picture), 0.9 * dots(draw, n, (11, 19), 0.5, (0.8, 1.9)))


def forest(draw: Draw, n: int) -> torch.Tensor:
    picture = ramp(draw, n, (120, 170, 120), (176, 206, 140), 0, 0.7)
    picture = trees(draw, picture, n, between(draw, n, 84, 90), 80, 32, (64, 126, 70))
    picture = over(
        picture, ramp(draw, n, (86, 120, 56), (52, 78, 36), 0.65, 1), below(draw, between(draw, n, 84, 92), 2)
    )
    return grain(draw, trees(draw, picture, n, between(draw, n, 94, 102), 112, 56, (38, 92, 48)), 0.05)


def beach(draw: Draw, n: int) -> torch.Tensor:
    line = between(draw, n, 46, 60)
    picture = over(day(draw, n), ramp(draw, n, (40, 140, 200), (90, 206, 214), 0.4, 0.7), below(draw, line))
    shore = ridge(draw, n, between(draw, n, 76, 90), 3, (1, 2, 5))
    picture = over(picture, torch.ones_like(picture), below(draw, shore - 3, 2))
    sand = grain(draw, ramp(draw, n, (246, 224, 168), (228, 196, 132), 0.6, 1), 0.03)
    return over(picture, sand, below(draw, shore + 1, 2))


def mountains(draw: Draw, n: int) -> torch.Tensor:
    picture = day(draw, n)
    line = ridge(draw, n, between(draw, n, 46, 60), 17, (2, 5, 11, 24), 0.5)
    rock = grain(draw, ramp(draw, n, (120, 126, 146), (92, 104, 116), 0.2, 0.8), 0.12, (12, 30))
    picture = over(picture, rock, below(draw, line))
    yy, _ = axes(draw)
    cap = below(draw, line) * (
        (line * 0.4 + 32 + 5 * draw.noise(n, 1, draw.h, draw.w, octaves=(14, 30)) - yy) / 3
    ).clamp(0, 1)
    picture = over(picture, colour(draw, n, (248, 250, 254), 0.02), cap)
    foot = ridge(draw, n, between(draw, n, 92, 106), 4, (2, 5))
    return over(picture, ramp(draw, n, (104, 156, 82), (70, 122, 60), 0.7, 1), below(draw, foot))


def hills(draw: Draw, n: int) -> torch.Tensor:
    picture = day(draw, n)
    for level, height, rgb in ((52, 9, (150, 200, 130)), (72, 9, (112, 178, 88)), (94, 8, (76, 146, 62))):
        line = ridge(draw, n, between(draw, n, level - 5, level + 5), height, (2, 3))
        picture = over(picture, colour(draw, n, rgb), below(draw, line))
    return picture


def sunset(draw: Draw, n: int) -> torch.Tensor:
    picture = ramp(draw, n, (92, 60, 140), (255, 168, 84), 0, 0.6)
    line = between(draw, n, 78, 94)
    picture = over(picture, colour(draw, n, (255, 120, 90)), 0.5 * clouds(draw, n, 0.5))
    sun = disc(draw, n, between(draw, n, 30, 194), line - between(draw, n, -2, 20), between(draw, n, 11, 18), 2)
    picture = over(picture, colour(draw, n, (255, 236, 150), 0.03), sun)
    return over(
        picture, ramp(draw, n, (110, 56, 72), (44, 28, 56), 0.6, 1), below(draw, ridge(draw, n, line, 2, (2, 4)))
    )


def lake(draw: Draw, n: int) -> torch.Tensor:
    line, picture = between(draw, n, 54, 64), day(draw, n)
    picture = trees(draw, picture, n, line, 34, 22, (70, 138, 82))
    mirrored = picture.flip(2).roll((int(2 * 59) - HEIGHT) * draw.scale, 2)
    yy, xx = axes(draw)
    ripple = 1 + 0.1 * torch.sin((yy - line) * 0.9 + 2 * draw.noise(n, 1, draw.h, draw.w, octaves=(5, 11)))
    water = (0.45 * mirrored + 0.55 * colour(draw, n, (72, 140, 178))) * ripple
    picture = over(picture, water.clamp(0, 1), below(draw, line))
    bank = ridge(draw, n, between(draw, n, 100, 110), 3, (2, 5))
    return over(picture, ramp(draw, n, (120, 180, 80), (78, 140, 56), 0.75, 1), below(draw, bank))


def moon(draw: Draw, n: int) -> torch.Tensor:
    picture = over(ramp(draw, n, (2, 2, 10), (8, 8, 22)), colour(draw, n, (255, 255, 255), 0), stars(draw, n, 0.2))
    x, y, r = between(draw, n, 30, 194), between(draw, n, 18, 34), between(draw, n, 9, 14)
    earth = over(colour(draw, n, (50, 110, 200)), colour(draw, n, (240, 248, 250)), clouds(draw, n, 0.2))
    picture = over(picture, earth, disc(draw, n, x, y, r) * (draw.uniform(n, 1, 1, 1) < 0.6))
    ground = grain(draw, ramp(draw, n, (176, 176, 182), (124, 124, 132), 0.55, 1), 0.05)
    for cells, radius in (((4, 7), (5, 11)), ((8, 12), (2, 5))):
        ground = ground * (1 - 0.28 * dots(draw, n, cells, 0.4, radius))
    return over(picture, ground, below(draw, ridge(draw, n, between(draw, n, 68, 80), 3, (2, 5))))


def garden(draw: Draw, n: int) -> torch.Tensor:
    line = between(draw, n, 58, 70)
    picture = over(day(draw, n), ramp(draw, n, (90, 160, 74), (56, 122, 48), 0.5, 1), below(draw, line))
    return flowers(draw, picture, line)


def autumn(draw: Draw, n: int) -> torch.Tensor:
    picture = ramp(draw, n, (206, 216, 224), (246, 226, 190), 0, 0.7)
    base = between(draw, n, 84, 92)
    picture = trees(draw, picture, n, base, 66, 30, (216, 112, 40))
    picture = over(
        picture, grain(draw, ramp(draw, n, (196, 130, 60), (150, 88, 40), 0.65, 1), 0.1), below(draw, base - 2)
    )
    picture = trees(draw, picture, n, base + 10, 96, 58, (200, 66, 36))
    return over(picture, colour(draw, n, (230, 150, 40)), dots(draw, n, (9, 15), 0.3, (1, 2.4)))


def rain(draw: Draw, n: int) -> torch.Tensor:
    picture = ramp(draw, n, (92, 102, 116), (150, 160, 170), 0, 0.7)
    picture = over(picture, colour(draw, n, (70, 78, 92)), 0.7 * clouds(draw, n, 0.1))
    picture = over(
        picture, ramp(draw, n, (96, 110, 116), (62, 74, 84), 0.6, 1), below(draw, between(draw, n, 86, 100), 3)
    )
    yy, xx = axes(draw)
    slant = xx + yy * 0.35
    k = (slant / 14).long() % 60
    phase = draw.uniform(n, 1, 1, 60, hi=30).expand(n, 1, draw.h, 60).gather(3, k.expand(n, 1, draw.h, draw.w))
    streak = (1.5 - (slant % 14 - 2).abs()).clamp(0, 1) * ((yy + phase) % 34 < 18)
    return over(picture, colour(draw, n, (210, 224, 238)), 0.6 * streak)


def fog(draw: Draw, n: int) -> torch.Tensor:
    grey = colour(draw, n, (204, 208, 212), 0.03)
    picture = grey * torch.ones(1, 1, draw.h, draw.w, device=draw.device)
    for base, far in ((78, 0.78), (96, 0.6)):
        wood = trees(draw, picture, n, between(draw, n, base - 4, base + 4), 52, 40, (96, 116, 112), (90, 96, 98))
        picture = over(wood, grey, torch.full_like(picture[:, :1], far))
    mist = 0.5 + 0.25 * draw.noise(n, 1, draw.h, draw.w, octaves=(2, 4, 8))
    return over(picture, grey, 0.6 * mist.clamp(0, 1))


def aurora(draw: Draw, n: int) -> torch.Tensor:
    yy, xx = axes(draw)
    picture = ramp(draw, n, (6, 10, 34), (16, 34, 62), 0, 0.9)
    picture = over(picture, torch.ones_like(picture), 0.8 * stars(draw, n, 0.15))
    for rgb, level in (((60, 230, 140), 60), ((130, 90, 220), 38), ((70, 220, 190), 74)):
        foot = ridge(draw, n, between(draw, n, level - 8, level + 8), 9, (2, 4))
        veil = torch.exp(-((foot - yy).clamp(min=0) / 24)) * (yy < foot + 3)
        streaks = 0.65 + 0.35 * torch.sin(xx * between(draw, n, 0.2, 0.5) + yy * 0.03)
        picture = over(picture, colour(draw, n, rgb), 0.75 * veil * streaks)
    ground = below(draw, ridge(draw, n, between(draw, n, 98, 110), 4, (2, 5)))
    return over(picture, colour(draw, n, (196, 210, 226), 0.04), ground)


def volcano(draw: Draw, n: int) -> torch.Tensor:
    yy, xx = axes(draw)
    picture = ramp(draw, n, (60, 40, 52), (206, 104, 66), 0, 0.8)
    x, top = between(draw, n, 76, 148), between(draw, n, 30, 42)
    side = (xx - x).abs()
    plume = ((16 + (top - yy) * 0.5 - (xx - x - 4 * torch.sin(yy / 6)).abs()) / 5).clamp(0, 1) * (yy < top + 4)
    picture = over(picture, colour(draw, n, (96, 84, 90)), 0.85 * plume)
    cone = ((yy - top - ((side - 13).clamp(min=0) * 0.85)) / 1.2).clamp(0, 1)
    picture = over(picture, grain(draw, ramp(draw, n, (84, 62, 60), (44, 36, 40), 0.2, 1), 0.1), cone)
    wander = 5 * draw.noise(n, 1, draw.h, 2, octaves=(2, 4))[..., :1]
    lava = ((3 + (yy - top) * 0.09 - (xx - x - wander).abs()) / 1.5).clamp(0, 1) * cone
    picture = over(picture, colour(draw, n, (255, 122, 30)), lava)
    picture = over(
        picture, colour(draw, n, (255, 190, 60)), ((13 - side) / 3).clamp(0, 1) * (5 - (yy - top).abs()).clamp(0, 1)
    )
    return over(
        picture,
        colour(draw, n, (40, 34, 38), 0.03),
        below(draw, ridge(draw, n, between(draw, n, 104, 112), 3, (3, 7))),
    )


def _plain(rgb: Colour) -> Painter:
    """A painter of backgrounds of one colour."""

    def paint(draw: Draw, n: int) -> torch.Tensor:
        return ramp(draw, n, rgb, tuple(0.92 * c for c in rgb)).expand(n, 3, draw.h, draw.w)

    return paint


#: {a key of place_words.PLACES, or "plain red", "plain blue", …: its painter}.
PAINTERS: dict[str, Painter] = {
    "meadow": meadow, "sky": sky, "night": night, "space": space, "sea": sea, "underwater": underwater, "desert": desert,
    "snow": snow, "forest": forest, "beach": beach, "mountains": mountains, "hills": hills, "city": city,
    "city night": city_night, "aerial": aerial, "sunset": sunset, "room": room, "studio": studio, "road": road, "lake": lake,
    "moon": moon, "garden": garden, "autumn": autumn, "rain": rain, "fog": fog, "aurora": aurora, "fireworks": fireworks,
    "volcano": volcano,
} | {f"plain {name}": _plain(PLAIN_RGB[name]) for name in PLAIN}  # fmt: skip


def painted_names() -> list[tuple[str, str]]:
    """English and Korean names of the places, in the order of PAINTERS."""
    lines = [line.split("|") for line in PLACES.strip().splitlines()]
    plain = [(f"a plain {c} background", f"{COLOURS[c][0]} 배경") for c in PLAIN]
    return [(en.split(",")[0], ko.split(",")[0]) for _, en, _, ko, _ in lines] + plain
