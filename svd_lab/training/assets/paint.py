"""Tools for painting landscapes with NumPy and Pillow, for the example pictures.

A picture is float32 [H,W,3] in 0..1; positions and sizes are in heights of the picture, from the top left; everything random comes
from seeds.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1024, 576
W, H = 2 * WIDTH, 2 * HEIGHT  # painted twice as large, for smooth edges
Y, X = np.mgrid[0:H, 0:W].astype(np.float32) / H  # both in heights of the picture, from the top left
RIGHT = W / H


def rgb(*colours: str) -> np.ndarray:
    """Convert colours like "ff8040" to an array [n,3] in 0..1."""
    return np.array([list(bytes.fromhex(colour)) for colour in colours], np.float32) / 255


def ramp(at: np.ndarray, *colours: str) -> np.ndarray:
    """Map values [H,W] in 0..1 to a gradient of evenly spaced colours: [H,W,3]."""
    table = rgb(*colours)
    channels = [np.interp(at, np.linspace(0, 1, len(table)), table[:, i]) for i in range(3)]
    return np.stack(channels, -1).astype(np.float32)


def noise(seed: int, across: int, down: int, octaves: int = 5, fall: float = 0.5) -> np.ndarray:
    """Value noise [H,W] with mean 0 and standard deviation 1; its first octave has `across` x `down` lumps."""
    draw, total = np.random.default_rng(seed), np.zeros((H, W), np.float32)
    for i in range(octaves):
        lumps = Image.fromarray(draw.standard_normal((max(2, down << i), max(2, across << i))).astype(np.float32))
        total += fall**i * np.asarray(lumps.resize((W, H), Image.Resampling.BICUBIC))
    return (total - total.mean()) / total.std()


def ridge(seed: int, across: int, rough: float = 0.5) -> np.ndarray:
    """The outline of hills or mountains [1,W], with mean 0 and standard deviation 1."""
    return noise(seed, across, 1, 7, rough)[:1]


def visible(assets: Path, code: str) -> Image.Image:
    """Read an emoji, cropped to what is visible, as RGBA; `assets`: the folder of @lobehub/fluent-emoji-3d."""
    with Image.open(assets / f"{code}.webp") as file:
        thing = file.convert("RGBA")
    return thing.crop(thing.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox())


def to_image(picture: np.ndarray) -> Image.Image:
    """Convert a picture to 8 bits."""
    return Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8))


def to_array(image: Image.Image) -> np.ndarray:
    """Convert an 8-bit image to a picture."""
    return np.asarray(image, np.float32) / 255


def soften(picture: np.ndarray, radius: float) -> np.ndarray:
    """Blur a picture or a mask [H,W] with a Gaussian of `radius` painted pixels."""
    return to_array(to_image(picture).filter(ImageFilter.GaussianBlur(radius)))


def blend(picture: np.ndarray, above: np.ndarray | str, cover: np.ndarray) -> np.ndarray:
    """Blend a picture or a colour like "ff8040" over `picture` by `cover` [H,W], clipped to 0..1."""
    above = rgb(above)[0] if isinstance(above, str) else above
    return picture + (above - picture) * np.clip(cover, 0, 1)[..., None]


def below(line: np.ndarray | float, soft: float = 0.0015) -> np.ndarray:
    """Mask [H,W]: 1 below the height `line`, 0 above, a gradient of the height `soft` between."""
    return np.clip((Y - line) / soft + 0.5, 0, 1)


def light(picture: np.ndarray, x: float, y: float, size: float, colour: str, strength: float) -> np.ndarray:
    """Add a glow at (x, y) so that bright parts stay below white."""
    glow = strength * np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * size**2))
    return 1 - (1 - picture) * (1 - np.clip(glow, 0, 1)[..., None] * rgb(colour)[0])


def clouds(picture: np.ndarray, seed: int, level: float, base: float, lit: str, shaded: str) -> np.ndarray:
    """Paint heaped clouds that thin out towards the height `base`; a higher `level` leaves fewer."""
    field = noise(seed, 5, 5, 7, 0.52) - level - 1.5 * np.clip(Y / base, 0, 2) ** 3
    above = field[np.maximum(np.arange(H) - H // 40, 0)]  # thick clouds a little higher up cast a shadow
    colour = blend(rgb(lit), shaded, 0.35 + 0.45 * above)
    return blend(picture, colour, field * 1.1)


def water(picture: np.ndarray, shore: float, seed: int, near: str, far: str, mirror: float = 0.5) -> np.ndarray:
    """Paint water below the height `shore`, which mirrors the picture above, with waves that are larger in front."""
    depth = np.clip((Y - shore) / (1 - shore), 0, 1)
    rows = noise(seed, 5, 70, 3, 0.6) * (1 - depth) + noise(seed + 1, 4, 26, 4, 0.6) * depth
    swell = rows * (0.003 + 0.02 * depth)
    mirrored = np.clip((2 * shore - Y + swell) * H, 0, shore * H - 1).astype(int)
    sideways = np.clip((X + swell * 0.6) * H, 0, W - 1).astype(int)
    surface = blend(ramp(depth, far, near), picture[mirrored, sideways], mirror * (1 - 0.6 * depth))
    surface = blend(surface, "ffffff", 0.13 * np.clip(rows - 0.9, 0, 1) * depth**0.5)
    surface = surface * (1 - 0.1 * np.clip(-rows, 0, 2) * depth**0.5)[..., None]
    return blend(picture, surface, below(shore))


def grass(picture: np.ndarray, line: float, seed: int, blades: int, colours: tuple[str, ...]) -> np.ndarray:
    """Paint blades of grass below the height `line`, larger in front, from the back to the front."""
    image = to_image(picture)
    pen, draw, tints = ImageDraw.Draw(image), np.random.default_rng(seed), rgb(*colours) * 255
    for depth in np.sort(draw.random(blades)) ** 1.3:
        x, y = draw.random() * W, (line + (1.04 - line) * depth) * H
        tall, lean = (8 + 64 * depth) * (0.5 + draw.random()), draw.normal() * (3 + 16 * depth)
        wide = 1 + 3.4 * depth
        colour = tints[draw.integers(len(tints))] * (0.82 + 0.3 * draw.random())
        blade = [(x - wide, y), (x + wide, y), (x + lean, y - tall)]
        pen.polygon(blade, fill=tuple(int(c) for c in colour.clip(0, 255)))
    return to_array(image)
