"""Painters of places that people built: cities by day, by night and from above, a room, a studio, a road, fireworks."""

import math

import torch

from svd_lab.training.world.place_parts import axes, below, between, colour, day, dots, grain, houses, over, ramp, stars
from svd_lab.world.backgrounds import HEIGHT, Draw


def city(draw: Draw, n: int) -> torch.Tensor:
    picture, base = day(draw, n), between(draw, n, 100, 112)
    picture = houses(draw, picture, n, base, 84, (166, 182, 200), (206, 222, 236), 0.7)
    picture = houses(draw, picture, n, base, 50, (158, 146, 138), (222, 234, 244), 0.8)
    return over(picture, ramp(draw, n, (120, 120, 124), (92, 92, 98), 0.8, 1), below(draw, base))


def city_night(draw: Draw, n: int) -> torch.Tensor:
    picture, base = ramp(draw, n, (10, 12, 40), (60, 50, 96), 0, 0.85), between(draw, n, 100, 112)
    picture = over(picture, torch.ones_like(picture), 0.7 * stars(draw, n, 0.08))
    picture = houses(draw, picture, n, base, 84, (30, 34, 62), (250, 214, 120), 0.4)
    picture = houses(draw, picture, n, base, 50, (18, 20, 38), (255, 226, 140), 0.6)
    street = ramp(draw, n, (52, 44, 52), (24, 22, 34), 0.8, 1)
    return over(picture, street, below(draw, base))


def aerial(draw: Draw, n: int) -> torch.Tensor:
    """A city at night seen from above, in perspective: lit houses between glowing streets."""
    yy, xx = axes(draw)
    horizon = between(draw, n, -60, 18)
    depth = 60 / (yy - horizon).clamp(min=3)
    u, v = (xx - between(draw, n, 60, 164)) * depth, 60 * depth
    angle = between(draw, n, -0.7, 0.7)
    a, b = u * angle.cos() + v * angle.sin(), v * angle.cos() - u * angle.sin()
    size = between(draw, n, 36, 52)
    a, b = a + between(draw, n, 0, 99), b + between(draw, n, 0, 99)
    near = lambda t, s, w: torch.exp(-((((t / s + 0.5) % 1 - 0.5) * s / w) ** 2))  # noqa: E731
    width = 1.7 * depth.sqrt()
    street = torch.maximum(near(a, size, width), near(b, size, width))
    avenue = torch.maximum(near(a + size / 2, size * 4, 1.7 * width), near(b + size / 2, size * 3, 1.7 * width))
    ground = ramp(draw, n, (24, 22, 46), (14, 14, 30))
    district = (0.7 + 0.5 * draw.noise(n, 1, draw.h, draw.w, octaves=(3, 6))).clamp(0.15, 1.3)
    houses = torch.maximum(dots(draw, n, (18, 31), 0.5, (1.2, 2.4)), dots(draw, n, (11, 20), 0.35, (1.8, 3.4)))
    picture = over(ground, colour(draw, n, (255, 220, 150)), houses * district * 0.85)
    picture = over(picture, colour(draw, n, (150, 190, 255)), dots(draw, n, (13, 23), 0.15, (1.2, 2.6)) * 0.9)
    picture = over(picture, colour(draw, n, (244, 150, 56)), 0.75 * street * district)
    picture = over(picture, colour(draw, n, (255, 222, 140)), avenue)
    haze = torch.exp(-((yy - horizon).clamp(min=0) / 22))
    picture = over(picture, colour(draw, n, (90, 62, 80)), 0.7 * haze)
    return over(picture, ramp(draw, n, (10, 10, 36), (54, 44, 84), 0, 0.2), 1 - below(draw, horizon, 3))


def room(draw: Draw, n: int) -> torch.Tensor:
    yy, xx = axes(draw)
    picture, line = ramp(draw, n, (236, 222, 196), (226, 208, 178)), between(draw, n, 82, 96)
    x0, w = between(draw, n, 10, 150), between(draw, n, 40, 60)
    pane = ((xx > x0) & (xx < x0 + w) & (yy > 14) & (yy < 62)).float()
    frame = ((xx > x0 - 3) & (xx < x0 + w + 3) & (yy > 11) & (yy < 65)).float()
    bars = (((xx - x0 - w / 2).abs() < 1.5) | ((yy - 38).abs() < 1.5)).float()
    picture = over(picture, colour(draw, n, (250, 248, 242), 0.02), frame)
    picture = over(picture, colour(draw, n, (164, 212, 244)), pane * (1 - bars))
    boards = 1 - 0.12 * ((((xx - 112) * 40 / (yy - 50).clamp(min=10) + 400) % 14) < 1.2).float()
    floor = ramp(draw, n, (176, 122, 76), (142, 92, 54), 0.6, 1) * boards
    return over(
        over(picture, floor, below(draw, line)),
        colour(draw, n, (246, 240, 228)),
        below(draw, line - 4) * (1 - below(draw, line)),
    )


def studio(draw: Draw, n: int) -> torch.Tensor:
    base = between(draw, n, 0.93, 1.0)
    yy, _ = axes(draw)
    return (base - 0.05 * ((yy - 84) / 44).clamp(0, 1) * between(draw, n, 0, 1)).expand(n, 3, draw.h, draw.w).clone()


def road(draw: Draw, n: int) -> torch.Tensor:
    yy, xx = axes(draw)
    picture, line = day(draw, n), between(draw, n, 80, 88)
    picture = over(
        picture, ramp(draw, n, (132, 196, 84), (90, 160, 62), 0.5, 0.8), below(draw, between(draw, n, 68, 78))
    )
    tarmac = grain(draw, ramp(draw, n, (112, 112, 116), (84, 84, 90), 0.6, 1), 0.04)
    picture = over(picture, tarmac, below(draw, line))
    middle = (2 - (yy - (line + HEIGHT) / 2).abs()).clamp(0, 1) * ((xx + between(draw, n, 0, 40)) % 40 < 22)
    edge = (1.5 - (yy - line - 3).abs()).clamp(0, 1)
    return over(picture, colour(draw, n, (250, 246, 236), 0.02), torch.maximum(middle, edge))


def fireworks(draw: Draw, n: int) -> torch.Tensor:
    yy, xx = axes(draw)
    picture = ramp(draw, n, (6, 6, 24), (26, 20, 48))
    for _ in range(4):
        x, y, size = between(draw, n, 20, 204), between(draw, n, 14, 70), between(draw, n, 16, 34)
        r = ((xx - x) ** 2 + (yy - y) ** 2).sqrt()
        rays = (torch.atan2(yy - y, xx - x) * 7 / math.pi + draw.uniform(n, 1, 1, 1)) % 1
        bright = (1 - (rays - 0.5).abs() * 3.2).clamp(0, 1) * ((size - r) / 4).clamp(0, 1) * (0.25 + r / size)
        glow = 0.4 * torch.exp(-((r / (0.6 * size)) ** 2))
        tint = draw.colours(n)[..., None, None]
        tint = 0.25 + 0.75 * tint / tint.amax(1, keepdim=True).clamp(min=0.1)
        picture = over(picture, tint, torch.maximum(bright, glow))
    base = between(draw, n, 112, 118)
    return over(
        houses(draw, picture, n, base, 26, (14, 14, 28), (250, 210, 120), 0.4),
        colour(draw, n, (12, 12, 22), 0.02),
        below(draw, base),
    )
