"""The tools that invented things are drawn with: shapes on a transparent page, light and outlines."""

import colorsys
import math
from collections.abc import Sequence
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIDE = 256  # pixels of the page that a thing is drawn on


Colour = tuple[int, ...]
Point = tuple[float, float]


class Pen:
    """A transparent page of SIDE x SIDE pixels with random colours. Positions and sizes are shares of the page."""

    def __init__(self, rng: Random):
        self.rng, self.page = rng, Image.new("RGBA", (SIDE, SIDE))
        self.draw = ImageDraw.Draw(self.page)
        hue = rng.random()
        near = lambda away: (hue + rng.uniform(-away, away)) % 1  # noqa: E731
        self.main, self.second = self.colour(near(0.02)), self.colour(near(0.1))
        self.third = self.colour(near(0.5))
        self.dark = tuple(int(c * 0.35) for c in self.main)
        self.pale = tuple(int(255 - (255 - c) * 0.35) for c in self.main)

    def colour(self, hue: float) -> Colour:
        """A random colour of this hue, 0..1."""
        r = self.rng
        rgb = colorsys.hsv_to_rgb(hue, r.uniform(0.05, 0.95), r.uniform(0.35, 1.0))
        return tuple(round(255 * c) for c in rgb)

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self.draw.polygon([(x * SIDE, y * SIDE) for x, y in points], fill=colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> None:
        """Fill an ellipse around (x, y), turned by `turn` radians."""
        c, s = math.cos(turn), math.sin(turn)
        angles = [k * math.tau / 40 for k in range(40)]
        self.shape(
            [
                (x + rx * math.cos(a) * c - ry * math.sin(a) * s, y + rx * math.cos(a) * s + ry * math.sin(a) * c)
                for a in angles
            ],
            colour,
        )

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, round_by: float = 0.02) -> None:
        """Fill a rectangle with rounded corners."""
        ends = [min(x0, x1) * SIDE, min(y0, y1) * SIDE, max(x0, x1) * SIDE, max(y0, y1) * SIDE]
        self.draw.rounded_rectangle(
            ends, min(round_by * SIDE, (ends[2] - ends[0]) / 2, (ends[3] - ends[1]) / 2), fill=colour
        )

    def stroke(self, points: Sequence[Point], width: float, colour: Colour, thin: float = 1.0) -> None:
        """Draw a line along `points`, `width` wide at its beginning and `thin` times that at its end."""
        steps = 24
        for k in range(steps + 1):
            at = k / steps * (len(points) - 1)
            i = min(int(at), len(points) - 2)
            f = at - i
            (x0, y0), (x1, y1) = points[i], points[i + 1]
            w = width * (1 + (thin - 1) * k / steps) / 2
            self.oval(x0 + (x1 - x0) * f, y0 + (y1 - y0) * f, w, w, colour)

    def turn(self, degrees: float) -> None:
        """Turn what has been drawn, clockwise."""
        self.page = self.page.rotate(-degrees, Image.Resampling.BICUBIC)
        self.draw = ImageDraw.Draw(self.page)

    def eye(self, x: float, y: float, size: float) -> None:
        """Draw an eye, with or without a white."""
        if self.rng.random() < 0.5:
            self.oval(x, y, size * 1.5, size * 1.5, (255, 255, 255))
        self.oval(x - 0.2 * size, y, size, size, (25, 22, 30))

    def marks(self, x: float, y: float, rx: float, ry: float) -> None:
        """Draw spots, stripes, a pale belly or nothing inside an oval."""
        r, how = self.rng, self.rng.random()
        if how < 0.25:
            for _ in range(r.randint(3, 9)):
                a, d, size = r.uniform(0, math.tau), r.uniform(0, 0.7), r.uniform(0.08, 0.25) * ry
                self.oval(x + d * rx * math.cos(a), y + d * ry * math.sin(a), size, size, self.second)
        elif how < 0.45:
            for k in range(r.randint(2, 6)):
                at = -0.7 + 1.4 * (k + 0.5) / 6
                high = ry * math.sqrt(1 - at * at) * 0.95
                self.stroke(
                    [(x + at * rx, y - high), (x + at * rx + 0.02, y + high * r.uniform(-0.2, 0.9))], 0.02, self.second
                )
        elif how < 0.7:
            self.oval(x, y + 0.45 * ry, 0.8 * rx, 0.5 * ry, self.pale)


def shaded(page: Image.Image, rng: Random) -> Image.Image:
    """Shade half of the things as solid bodies lit from above, and give a third an outline."""
    alpha = page.getchannel("A")
    if rng.random() < 0.5:
        depth = np.asarray(alpha.filter(ImageFilter.GaussianBlur(rng.uniform(6, 16))), dtype=np.float32) / 255
        light = 1 + rng.uniform(0.2, 0.6) * (depth - 0.75) - rng.uniform(0, 0.3) * np.linspace(-0.5, 0.5, SIDE)[:, None]
        rgb = np.clip(np.asarray(page, dtype=np.float32)[..., :3] * light[..., None], 0, 255).astype(np.uint8)
        page = Image.merge("RGBA", (*Image.fromarray(rgb).split(), alpha))
    if rng.random() < 0.33:
        wide = alpha.filter(ImageFilter.MaxFilter(rng.choice([5, 7, 9])))
        ink = Image.new("RGBA", page.size, (*(rng.randrange(70) for _ in range(3)), 255))
        lined = Image.composite(ink, Image.new("RGBA", page.size), ImageChops.subtract(wide, alpha))
        lined.alpha_composite(page)
        page = lined
    return page
