"""Paint the pictures of `svd-lab demo` (pictures/*.jpg); run once, the results are committed.

    npm pack @lobehub/fluent-emoji-3d      # MIT; unpack with tar xzf
    python -m svd_lab.training.assets.build_pictures FLUENT/package/assets

Each shows one thing that the mini knows, cut out of Microsoft's Fluent Emoji 3D (MIT), in a landscape that it has never seen,
painted here with light, haze, clouds, waves, grass and shadows. Every thing has room for its motion. The size is Stable Video
Diffusion's native one, so that the real model takes them unchanged. Deterministic: the same packages give the same pictures.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from svd_lab.bundled import PICTURE_FOLDER
from svd_lab.training.assets.paint import (
    HEIGHT,
    RIGHT,
    WIDTH,
    H,
    W,
    X,
    Y,
    below,
    blend,
    clouds,
    grass,
    light,
    noise,
    ramp,
    rgb,
    ridge,
    soften,
    to_array,
    to_image,
    visible,
    water,
)


def dusk() -> np.ndarray:
    """Mountains after sunset; the first stars."""
    picture = ramp(Y / 0.74, "141a4a", "3a3d86", "8d5a9c", "e88a86", "ffc98a")
    draw = np.random.default_rng(7)
    stars = np.zeros((H, W), np.float32)
    stars[(draw.random(260) ** 1.4 * 0.5 * H).astype(int), draw.integers(0, W, 260)] = draw.uniform(4, 22, 260)
    picture = 1 - (1 - picture) * (1 - soften(stars / 22, 1.6)[..., None] * 6).clip(0, 1)
    picture = light(picture, 1.35, 0.74, 0.28, "ffb070", 0.75)
    hills = (0.63, "b0708f"), (0.69, "7d5487"), (0.76, "4f3f76"), (0.85, "2c2c58"), (0.95, "171a3a")
    for i, (height, far) in enumerate(hills):
        line = height + (0.035 - 0.004 * i) * ridge(20 + i, 4 + i, 0.46)
        slope = np.clip((Y - line) / 0.2, 0, 1)
        haze = blend(rgb(far), "d98f96", 0.4 * slope * (1 - i / 5))
        picture = blend(picture, haze, below(line))
    return picture


def meadow() -> np.ndarray:
    """A flowering meadow on a summer morning, hills and a wood behind."""
    picture = ramp(Y / 0.55, "4f9be8", "9fd0f6", "e8f4f8")
    picture = clouds(picture, 31, 0.5, 0.5, "ffffff", "b9cbe0")
    for i, (height, far) in enumerate([(0.45, "9dbfc4"), (0.5, "83b08f"), (0.55, "6ea566")]):
        line = height + 0.022 * ridge(40 + i, 2 + i, 0.4)
        lit = 0.5 + 0.25 * noise(44 + i, 9, 6, 3)
        picture = blend(picture, blend(rgb(far), "d4dc8c", 0.3 * lit), below(line, 0.004))
    draw = np.random.default_rng(5)
    for x in np.sort(draw.uniform(-0.1, RIGHT + 0.1, 46)):
        size, y = draw.uniform(0.022, 0.05), 0.575 + draw.normal() * 0.006
        crown = (
            1
            - np.hypot(X - x, (Y - y + size * 0.7) * 0.85) / size
            + 0.16 * noise(int(draw.integers(99)) + 60, 60, 34, 2)
        )
        shade = np.clip(0.5 + (Y - y + size) / (2 * size) - 0.6 * (X - x) / size, 0, 1)
        picture = blend(picture, ramp(shade, "8fb95a", "4c8048", "2d5a40"), crown * 9)
    depth = np.clip((Y - 0.58) / 0.42, 0, 1)
    field = ramp(depth, "b6d36a", "86bf4f", "4f9a3c") * (1 + 0.06 * noise(70, 6, 16, 4))[..., None]
    picture = soften(blend(picture, field, below(0.58 + 0.008 * ridge(71, 3), 0.006)), 2.2)
    picture = grass(picture, 0.6, 8, 9000, ("7fbf45", "5fa63a", "94cb58", "4a8f38", "a9d468"))
    image = to_image(picture)
    pen = ImageDraw.Draw(image)
    for depth in np.sort(draw.random(150)):
        x, y, r = draw.random() * W, (0.62 + 0.38 * depth) * H, 2.5 + 9 * depth
        petal = ("ffffff", "ffe35c", "f48fb1", "b39ddb")[draw.integers(4)]
        for turn in np.arange(5) * 2 * np.pi / 5:
            px, py = x + r * np.cos(turn), y + 0.7 * r * np.sin(turn)
            pen.ellipse([px - 0.62 * r, py - 0.5 * r, px + 0.62 * r, py + 0.5 * r], fill="#" + petal)
        pen.ellipse([x - 0.5 * r, y - 0.4 * r, x + 0.5 * r, y + 0.4 * r], fill="#f5b301")
    return light(to_array(image), 0.2, 0, 0.6, "fff2c0", 0.35)


def street() -> np.ndarray:
    """Old town houses, an avenue of trees and a road in the afternoon."""
    picture = clouds(ramp(Y / 0.6, "6db3ee", "d9eefa"), 85, 0.7, 0.5, "ffffff", "c3d3e4")
    image = to_image(picture)
    pen, draw, x = ImageDraw.Draw(image), np.random.default_rng(12), -40
    walls = ("e9c9a0", "d98f73", "f2e2c4", "b9c7b0", "e3a98a", "c9d3dd", "f0d28c", "c98a8a")
    while x < W:
        wide, top = int(draw.integers(190, 330)), int(draw.integers(130, 360))
        wall = walls[draw.integers(len(walls))]
        tone = lambda k, wall=wall: tuple(int(c) for c in (rgb(wall)[0] * 255 * k).clip(0, 255))  # noqa: E731
        pen.rectangle([x, top, x + wide, 800], fill=tone(1))
        pen.rectangle([x + wide - 16, top, x + wide, 800], fill=tone(0.86))
        roof = int(draw.integers(50, 110))
        pen.polygon(
            [(x - 10, top), (x + wide + 10, top), (x + wide - 34, top - roof), (x + 34, top - roof)], fill=tone(0.55)
        )
        pen.rectangle([x - 8, top, x + wide + 8, top + 14], fill=tone(1.12))
        columns = wide // 78
        step = wide / columns
        for row in range(top + 44, 640, 118):
            for column in range(columns):
                left = x + step * (column + 0.5) - 22
                pen.rectangle([left - 6, row - 6, left + 50, row + 74], fill=tone(1.14))
                pen.rectangle(
                    [left, row, left + 44, row + 66], fill=("#46627c", "#5b7f9c", "#39516a")[draw.integers(3)]
                )
                pen.rectangle([left + 20, row, left + 24, row + 66], fill=tone(1.14))
                pen.polygon([(left, row + 30), (left, row), (left + 18, row)], fill="#a9cbe2")
        pen.rectangle([x + 10, 690, x + wide - 10, 800], fill=("#3d5a52", "#7a3b3b", "#39486b")[draw.integers(3)])
        awning = ("#c94f4f", "#f3efe4", "#4f8a6f")[draw.integers(3)]
        pen.polygon([(x, 680), (x + wide, 680), (x + wide + 6, 722), (x - 6, 722)], fill=awning)
        x += wide
    picture = soften(to_array(image), 3)
    for x in np.arange(0.1, RIGHT, 0.43):
        picture = blend(picture, "5a4636", (1 - np.abs(X - x) / 0.009) * 6 * ((Y > 0.45) & (Y < 0.71)))
        crown = 1 - np.hypot((X - x) * 1.05, Y - 0.44) / 0.125 + 0.2 * noise(int(x * 100), 30, 17, 3)
        picture = blend(picture, ramp(np.clip((Y - 0.32) * 4, 0, 1), "a6cf63", "5f9a46", "37683a"), crown * 6)
    pavement = ramp((Y - 0.69) / 0.06, "d8cdbb", "c2b6a4")
    picture = blend(picture, pavement, below(0.69))
    picture = blend(picture, "9a9184", below(0.75))
    road = ramp((Y - 0.765) / 0.235, "6b6f78", "565a63", "474a52") * (1 + 0.035 * noise(90, 200, 120, 2))[..., None]
    picture = blend(picture, road, below(0.765))
    dash = (np.mod(X + 0.1, 0.34) < 0.2) & (np.abs(Y - 0.955) < 0.009)
    picture = blend(picture, "f1ead2", soften(dash.astype(np.float32), 1.5))
    return light(picture, 1.7, -0.05, 0.55, "ffe9b0", 0.45)


def seaside() -> np.ndarray:
    """The open sea in bright weather, clouds on the horizon, a beach in front."""
    picture = ramp(Y / 0.66, "2f7fd6", "74b8ef", "d2ecf6")
    picture = clouds(picture, 58, 0.25, 0.66, "ffffff", "a9c3dc")
    picture = light(picture, 0.3, 0.1, 0.3, "fff6d8", 0.6)
    picture = water(picture, 0.66, 100, "3fb7b8", "1f6fb4", 0.35)
    line = 0.9 + 0.012 * np.sin(X * 5 + 1) + 0.004 * ridge(103, 6)
    picture = blend(picture, "ffffff", below(line - 0.014, 0.012) * 0.85)
    sand = ramp((Y - line) / 0.12, "c9a877", "ecd3a2", "f3dfb4") * (1 + 0.03 * noise(104, 260, 150, 2))[..., None]
    return blend(picture, sand, below(line, 0.006))


def lake() -> np.ndarray:
    """A mountain lake in the evening sun."""
    picture = ramp(Y / 0.55, "5c8fd0", "a9c4e4", "ffe3bd")
    picture = clouds(picture, 112, 0.6, 0.45, "fff3e0", "d9b3b0")
    picture = light(picture, 0.35, 0.4, 0.22, "ffe0a0", 0.8)
    ranges = (0.34, 0.075, "8d9cc0", "f0d5cd"), (0.43, 0.045, "6a86a3", "d9c7a0"), (0.51, 0.02, "3f6a5c", "8fa465")
    for i, (height, size, far, lit) in enumerate(ranges):
        crest = ridge(121 + i, 3 + 2 * i, 0.55)
        line = height - size * (crest - 0.6 * np.abs(ridge(125 + i, 5, 0.5)))
        face = np.clip(0.4 + 0.35 * (noise(130 + i, 16, 7, 6, 0.62) + 0.6 * np.roll(ridge(121 + i, 9, 0.4), 60)), 0, 1)
        rock = blend(rgb(far), lit, face)
        if i == 0:
            rock = blend(rock, "ffffff", 0.9 * np.clip((0.33 - Y) * 16 + 0.5 * noise(134, 24, 14, 4), 0, 1))
        picture = blend(picture, blend(rock, "e8d6cf", 0.5 * np.clip((Y - line) / 0.16, 0, 1)), below(line))
    draw = np.random.default_rng(14)
    for x in draw.uniform(-0.05, RIGHT + 0.05, 170):  # firs along the shore
        tall, y = draw.uniform(0.02, 0.05), 0.567
        inside = (Y - (y - tall)) * 0.3 - np.abs(X - x)
        picture = blend(
            picture, ("2c4f42", "37604a", "264238")[draw.integers(3)], inside * 700 * (Y < y) * (Y > y - tall)
        )
    picture = soften(picture, 1.2)
    return water(picture, 0.565, 140, "2f6fb5", "9db9c9", 0.75)


def pitch() -> np.ndarray:
    """A football pitch in the afternoon: stands and trees out of focus, mown stripes, white lines."""
    picture = clouds(ramp(Y / 0.4, "58a6ea", "d3ebf8"), 151, 0.5, 0.4, "ffffff", "bfd2e6")
    for i, (height, far) in enumerate([(0.33, "7fae7a"), (0.37, "4f8a50")]):
        line = height + 0.02 * noise(160 + i, 14, 1, 5)[:1]
        picture = blend(picture, ramp((Y - line) / 0.1, far, "2f5f3d"), below(line))
    draw = np.random.default_rng(3)
    image = to_image(picture)
    pen = ImageDraw.Draw(image)
    for row in range(6):
        y = (0.39 + 0.013 * row) * H
        for x in range(-8, W, 17):
            colour = ("#d9534f", "#f0e6d2", "#4f7cc0", "#e8b84f", "#6b6b7a", "#c2c8cf", "#3f4b6b")[draw.integers(7)]
            pen.ellipse([x + 8 * (row % 2), y, x + 13 + 8 * (row % 2), y + 17], fill=colour)
    for x, colour in zip(range(0, W, 256), ("#2f5f9f", "#f3f3ee", "#b03a3a", "#f2c94c") * 2, strict=True):
        pen.rectangle([x, 0.468 * H, x + 256, 0.51 * H], fill=colour)
    picture = soften(to_array(image), 6)
    depth = np.clip((Y - 0.51) / 0.49, 0, 1)
    stripes = np.sign(np.sin((X - RIGHT / 2) / (0.1 + 0.9 * depth) * 7)) * 0.05
    turf = ramp(depth, "7fc25a", "5fae44", "3f9236") * (1 + stripes + 0.03 * noise(170, 300, 170, 2))[..., None]
    picture = blend(picture, turf, below(0.51))
    lines = (np.abs(Y - 0.6) < 0.003) | (np.abs(np.hypot((X - 0.9) / 2.6, Y - 0.6) - 0.17) < 0.0035 + 0.004 * depth) & (
        Y > 0.6
    )
    picture = blend(picture, "f7fbf4", 0.85 * soften(lines.astype(np.float32), 1.5))
    return light(grass(picture, 0.9, 15, 2600, ("58a83f", "6cbb4c", "479636")), 0.2, -0.1, 0.6, "fff0c0", 0.4)


# Scene, thing, its longest side and the place of its centre (in heights of the picture), mirrored, the height of its shadow.
PICTURES = {
    "ball": (pitch, "26bd", 0.45, (0.84, 0.69), False, 0.915),
    "balloon": (seaside, "1f388", 0.56, (0.98, 0.6), False, None),
    "boat": (lake, "26f5", 0.55, (1.2, 0.56), False, None),
    "car": (street, "1f697", 0.66, (0.56, 0.665), True, 0.88),
    "rabbit": (meadow, "1f407", 0.56, (1.15, 0.62), False, 0.895),
    "rocket": (dusk, "1f680", 0.55, (0.68, 0.57), False, None),
}


def paint(assets: Path, name: str) -> Image.Image:
    """Paint one of PICTURES."""
    scene, code, size, (x, y), mirrored, ground = PICTURES[name]
    picture, thing = scene(), visible(assets, code)
    if mirrored:
        thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = size * H / max(thing.size)
    wide, tall = (round(side * scale) for side in thing.size)
    thing = thing.convert("RGBa").resize((wide, tall), Image.Resampling.LANCZOS).convert("RGBA")
    if name == "boat":  # the emoji includes water, which is to fade into the lake
        fade = np.clip(5.5 * (1 - np.linspace(0, 1, tall)), 0, 1)[:, None]
        thing.putalpha(Image.fromarray((np.asarray(thing.getchannel("A")) * fade).astype(np.uint8)))
    if ground is not None:
        shadow = np.exp(-2.2 * (((X - x) / (0.46 * wide / H)) ** 4 + ((Y - ground) / 0.03) ** 2))
        picture = blend(picture, picture * rgb("3a4030")[0], 0.85 * shadow)
    page = to_image(picture)
    page.paste(thing, (round(x * H - wide / 2), round(y * H - tall / 2)), thing)
    return page.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="the assets folder of @lobehub/fluent-emoji-3d")
    parser.add_argument("--out", type=Path, default=PICTURE_FOLDER, help="folder to write into")
    parser.add_argument("--only", choices=PICTURES, help="paint this one only")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in [args.only] if args.only else PICTURES:
        file = args.out / f"{name}.jpg"
        paint(args.assets, name).save(file, quality=86, optimize=True, progressive=True)
        print(f"{file}: {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
