"""Paint the example pictures of lesson 4's prompts (pictures/examples/horse.jpg and city.jpg); run once, the results are committed.

    npm pack @lobehub/fluent-emoji-3d      # MIT; unpack with tar xzf
    python -m svd_lab.training.assets.build_examples FLUENT/package/assets

They show what the two prompts say: an astronaut riding a horse, and an aerial view of a city at night. Horse and astronaut are cut
out of Microsoft's Fluent Emoji 3D (MIT); all else is painted here. Deterministic, and of Stable Video Diffusion's native size, like
the pictures of `build_pictures`.
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
    light,
    noise,
    ramp,
    rgb,
    ridge,
    soften,
    to_array,
    to_image,
    visible,
)


def moon() -> np.ndarray:
    """The surface of the moon, craters, stars, and the earth above."""
    picture = ramp(Y / 0.7, "04060f", "0a1022", "16203c")
    draw = np.random.default_rng(9)
    stars = np.zeros((H, W), np.float32)
    stars[(draw.random(420) * 0.7 * H).astype(int), draw.integers(0, W, 420)] = draw.uniform(3, 20, 420)
    picture = 1 - (1 - picture) * (1 - soften(stars / 20, 1.6)[..., None] * 6).clip(0, 1)
    x, y, r = 1.42, 0.22, 0.13
    far = np.hypot(X - x, Y - y) / r
    land = np.clip(3 * noise(201, 14, 9, 5, 0.6) - 1, 0, 1)
    white = np.clip(2.2 * noise(202, 18, 24, 5, 0.6) - 1, 0, 1)
    earth = blend(blend(ramp(far, "5fb4ff", "2f78d0", "153c86"), "5f9a58", land), "ffffff", 0.85 * white)
    earth = earth * np.clip(0.25 + 1.1 * (1.1 - np.hypot(X - x + 0.06, Y - y + 0.05) / (1.5 * r)), 0, 1)[..., None]
    picture = light(picture, x, y, 1.25 * r, "4f9be8", 0.5)
    picture = blend(picture, earth, (1 - far) * 80)
    for i, (height, far) in enumerate([(0.6, "4b4d5c"), (0.66, "6a6b78")]):
        line = height + 0.03 * ridge(210 + i, 4 + 2 * i, 0.45)
        lit = np.clip(0.5 + 0.35 * noise(214 + i, 18, 10, 6, 0.6), 0, 1)
        picture = blend(picture, blend(rgb(far)[0] * 0.6, far, lit), below(line))
    depth = np.clip((Y - 0.7) / 0.3, 0, 1)
    ground = ramp(depth, "8b8b97", "a3a2a9", "bcbabd") * (1 + 0.06 * noise(220, 90, 120, 5, 0.6))[..., None]
    picture = blend(picture, ground, below(0.7 + 0.006 * ridge(221, 5)))
    for _ in range(46):  # craters: a dark bowl with a lit rim, flatter and smaller towards the horizon
        d = draw.random() ** 1.5
        cx, cy, size = draw.uniform(-0.05, RIGHT + 0.05), 0.715 + 0.3 * d, (0.006 + 0.05 * d) * draw.uniform(0.5, 1.3)
        ring = np.hypot((X - cx) / 2.4, Y - cy) / size
        picture = picture * (1 - 0.34 * np.clip(1 - ring, 0, 1) ** 0.5)[..., None]
        rim = np.exp(-(((ring - 1.05) / 0.16) ** 2)) * np.clip((Y - cy) / size + 0.4, 0, 1)
        picture = blend(picture, "e6e4e6", 0.5 * rim)
    return light(picture, 0.1, 0.35, 0.7, "fff4e0", 0.16)


def cut(assets: Path, code: str, height: float) -> Image.Image:
    """Cut out an emoji as RGBA, `height` heights of the picture tall."""
    thing = visible(assets, code)
    size = round(thing.width * height * H / thing.height), round(height * H)
    return thing.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def horse(assets: Path) -> Image.Image:
    """An astronaut on a horse on the moon."""
    animal, rider = cut(assets, "1f40e", 0.6), cut(assets, "1f9d1-200d-1f680", 0.37)
    left, top, u = round(0.72 * H), round(0.33 * H), animal.height / 225  # u: a pixel of the emoji
    picture = moon()
    middle = (left + 0.5 * animal.width) / H
    shadow = np.exp(-2.2 * (((X - middle) / 0.26) ** 4 + ((Y - 0.935) / 0.026) ** 2))
    picture = blend(picture, picture * rgb("3c3c4c")[0], 0.8 * shadow)
    page = to_image(picture)
    # The rider is behind the horse's back, one leg in front of it.
    page.paste(rider, (round(left + 134 * u - rider.width / 2), round(top + 96 * u - rider.height)), rider)
    page.paste(animal, (left, top), animal)
    leg = Image.new("RGBA", page.size)
    pen = ImageDraw.Draw(leg)
    knee, foot, hip = (left + 118 * u, top + 112 * u), (left + 124 * u, top + 148 * u), (left + 138 * u, top + 92 * u)
    for shade, wide, shift in (("#9d98b8", 25, 1.2), ("#dcd8ea", 22, 0), ("#f4f2fa", 12, -2.5)):
        line = [(x + shift * u, y + shift * u / 2) for x, y in (hip, knee, foot)]
        pen.line(line, fill=shade, width=round(wide * u), joint="curve")
        for x, y in line:
            pen.ellipse([x - wide * u / 2, y - wide * u / 2, x + wide * u / 2, y + wide * u / 2], fill=shade)
    x, y = foot
    pen.rounded_rectangle([x - 26 * u, y + 4 * u, x + 13 * u, y + 22 * u], radius=9 * u, fill="#8b889c")
    pen.rounded_rectangle([x - 26 * u, y + 17 * u, x + 13 * u, y + 22 * u], radius=3 * u, fill="#5d5a70")
    page.paste(leg, (0, 0), leg)
    return page.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def city() -> Image.Image:
    """A city at night from the air, long exposure: towers with lit windows, light trails in the streets."""
    draw = np.random.default_rng(26)
    base = to_image(ramp(Y / 0.2, "080b20", "1b1a3c", "4a3150"))
    glow = Image.new("RGB", (W, H))
    paint, shine = ImageDraw.Draw(base), ImageDraw.Draw(glow)
    turn, pitch, up, zoom = np.deg2rad(24), np.deg2rad(25), 3.3, 1.25

    def see(x: float, y: float, z: float) -> tuple[float, float, float]:
        """Project a point (to the right, above, ahead of the centre of the city) to pixels, and give its distance."""
        right, ahead = x * np.cos(turn) - z * np.sin(turn), x * np.sin(turn) + z * np.cos(turn) + 5.6
        high = (y - up) * np.cos(pitch) + ahead * np.sin(pitch)
        far = ahead * np.cos(pitch) - (y - up) * np.sin(pitch)
        return (RIGHT / 2 + zoom * right / far) * H, (0.55 - zoom * high / far) * H, far

    def face(pen: ImageDraw.ImageDraw, points: list[tuple[float, float, float]], fill: tuple[int, ...]) -> None:
        pen.polygon([see(*point)[:2] for point in points], fill=fill)

    size = 22
    face(paint, [(-60, 0, -7), (60, 0, -7), (60, 0, 120), (-60, 0, 120)], (17, 17, 34))
    for line in range(-size, size + 1):  # light trails: headlights one way, tail lights the other, brighter in avenues
        wide = 2.8 if line % 3 == 0 else 1.0
        for across in (False, True):
            for lane, colour in (
                (-0.09, (255, 226, 168)),
                (-0.05, (255, 200, 120)),
                (0.05, (255, 96, 48)),
                (0.09, (255, 140, 64)),
            ):
                at = line + lane
                steps = np.linspace(-size, size, 260)
                power = np.clip(0.45 + 0.5 * np.convolve(draw.standard_normal(260), np.ones(9) / 4, "same"), 0.12, 1)
                for a, b, strong in zip(steps, steps[1:], power, strict=False):
                    one, two = ((a, 0, at), (b, 0, at)) if across else ((at, 0, a), (at, 0, b))
                    (x1, y1, far), (x2, y2, other) = see(*one), see(*two)
                    if min(far, other) > 1.2:
                        fill = tuple(int(c * strong * min(1, 0.3 + 0.25 * wide)) for c in colour)
                        shine.line([x1, y1, x2, y2], fill=fill, width=max(2, round(26 * (1 + wide) / (2 * far))))
    lots = [
        (i + a, j + b)
        for i in range(-size, size)
        for j in range(-size, size)
        for a in (0.16, 0.55)
        for b in (0.16, 0.55)
    ]
    lots.sort(key=lambda lot: -see(lot[0] + 0.15, 0, lot[1] + 0.15)[2])
    for x, z in lots:
        if see(x, 0, z)[2] < 1.6:
            continue
        tall = draw.gamma(2.2, 0.13) * (1 + 2.4 * np.exp(-(((x - 1) / 4) ** 2) - ((z - 3) / 4) ** 2)) + 0.12
        wide = 0.27
        tone = np.array([22, 24, 46]) + draw.integers(0, 12)
        sides = [((x, z), (x + wide, z)), ((x, z + wide), (x, z)), ((x + wide, z), (x + wide, z + wide))]
        for number, ((x1, z1), (x2, z2)) in enumerate(sides):
            (a, _, _), (b, _, _) = see(x1, 0, z1), see(x2, 0, z2)
            if a > b:  # seen from behind
                continue
            wall = [(x1, 0, z1), (x2, 0, z2), (x2, tall, z2), (x1, tall, z1)]
            face(paint, wall, tuple(int(c) for c in tone * (0.75, 1.15, 0.95)[number]))
            face(shine, wall, (0, 0, 0))
            far = see(x1, 0, z1)[2]
            rows, columns = max(2, int(tall / 0.075)), 5
            warm = ((255, 214, 140), (255, 190, 105), (200, 220, 255))[int(draw.choice(3, p=(0.55, 0.3, 0.15)))]
            lit = draw.random((rows, columns)) < draw.uniform(0.2, 0.75)
            for row, column in zip(*np.nonzero(lit), strict=True):
                s, t = (column + 0.28) / columns, (row + 0.3) / rows
                e, f = (column + 0.74) / columns, (row + 0.72) / rows
                pane = [(x1 + (x2 - x1) * p, tall * q, z1 + (z2 - z1) * p) for p, q in ((s, t), (e, t), (e, f), (s, f))]
                dim = draw.uniform(0.45, 1.0) * min(1, 8 / far)
                face(shine, pane, tuple(int(c * dim) for c in warm))
        roof = [(x, tall, z), (x + wide, tall, z), (x + wide, tall, z + wide), (x, tall, z + wide)]
        face(paint, roof, tuple(int(c) for c in tone * 1.35 + 6))
        face(shine, roof, (0, 0, 0))
    shine = to_array(glow)
    halo = 0.6 * soften(shine, 8) + 0.5 * soften(shine, 30)
    picture = 1 - (1 - to_array(base)) * (1 - shine).clip(0, 1) * (1 - halo).clip(0, 1)
    haze = np.exp(-(((Y - 0.085) / 0.1) ** 2))
    picture = 1 - (1 - picture) * (1 - 0.5 * haze[..., None] * rgb("c8704a")[0])
    return to_image(picture).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="the assets folder of @lobehub/fluent-emoji-3d")
    parser.add_argument("--out", type=Path, default=PICTURE_FOLDER / "examples", help="folder to write into")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, picture in (("horse", horse(args.assets)), ("city", city())):
        file = args.out / f"{name}.jpg"
        picture.save(file, quality=82, optimize=True, progressive=True)
        print(f"{file}: {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
