"""Backgrounds of the world: still pictures of many kinds, vectorised over a batch, with names for captions.

All functions draw from a `Draw` (one seeded torch generator on one device) and return float tensors in 0..1.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

HEIGHT, WIDTH = 128, 224  # pixels of every clip and picture of the world

# English, Korean, then sky top, sky bottom, ground top, ground bottom (RGB, 0..255).
PALETTES = [
    ("a sunny meadow", "햇살 좋은 들판", (120, 178, 240), (190, 222, 250), (98, 176, 90), (70, 130, 62)),
    ("a clear day", "맑은 낮", (60, 120, 220), (160, 205, 245), (120, 170, 70), (80, 120, 50)),
    ("dusk", "해 질 녘", (84, 60, 140), (200, 125, 125), (80, 70, 80), (50, 48, 58)),
    ("sunset", "노을", (250, 150, 90), (255, 214, 150), (120, 90, 70), (80, 60, 50)),
    ("night", "밤", (8, 10, 40), (34, 34, 84), (28, 36, 42), (18, 22, 28)),
    ("space", "우주", (2, 2, 12), (10, 10, 30), (60, 60, 66), (40, 40, 46)),
    ("the sea", "바다", (140, 208, 245), (215, 240, 252), (42, 120, 186), (24, 82, 130)),
    ("under water", "물속", (30, 120, 170), (20, 80, 130), (14, 60, 100), (190, 170, 120)),
    ("a desert", "사막", (240, 205, 150), (250, 230, 190), (215, 175, 110), (180, 140, 85)),
    ("snow", "눈밭", (205, 222, 235), (235, 242, 247), (240, 244, 250), (215, 225, 238)),
    ("an overcast day", "흐린 날", (150, 160, 170), (200, 205, 210), (110, 115, 118), (80, 84, 88)),
    ("a room", "방 안", (235, 225, 205), (245, 238, 222), (150, 100, 62), (112, 72, 44)),
    ("a forest", "숲", (60, 110, 70), (130, 170, 110), (70, 95, 45), (44, 60, 30)),
    ("pastel colours", "파스텔 빛깔", (250, 205, 220), (255, 232, 236), (225, 190, 235), (190, 160, 215)),
    ("a white studio", "하얀 스튜디오", (244, 244, 246), (255, 255, 255), (228, 228, 232), (206, 206, 212)),
    ("an evening glow", "저녁노을", (255, 120, 80), (255, 190, 110), (70, 60, 120), (40, 36, 80)),
    ("a dark room", "어두운 방", (40, 44, 52), (70, 76, 86), (30, 32, 36), (20, 22, 26)),
    ("a violet evening", "보랏빛 저녁", (100, 60, 160), (230, 110, 160), (40, 30, 70), (26, 20, 46)),
]
SHAPES = [("", ""), ("", ""), ("hills", "언덕"), ("a city", "도시"), ("abstract shapes", "추상 도형")]
ABSTRACT = ("abstract colours", "추상 무늬")


def hsv(h: torch.Tensor, s: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Convert hue, saturation and value in 0..1, of any shape, to RGB in 0..1 with a last axis of 3."""
    k = torch.stack([h * 6 + 5, h * 6 + 3, h * 6 + 1], -1) % 6
    return v[..., None] - (v * s)[..., None] * torch.minimum(k, 4 - k).clamp(0, 1)


def pixel_centres(scale: int, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
    """y [h,1] and x [1,w] of the pixels' centres, in units (see `Draw`) from the top left."""
    at = lambda n: (torch.arange(n * scale, device=device, dtype=torch.float) + 0.5) / scale  # noqa: E731
    return at(HEIGHT)[:, None], at(WIDTH)[None]


class Draw:
    """The source of everything random in the world: one generator on one device.

    The generators of a CPU and of a GPU differ, so a seed means the same only on the same kind of device. Positions and lengths are
    in units, WIDTH x HEIGHT of them a picture. As many numbers are drawn at every scale, so a seed means the same scene.

    Args:
        device: Of the generator and of all that is drawn.
        seed: Of the generator.
        scale: Pixels a unit, each way.
    """

    def __init__(self, device: torch.device | str, seed: int, scale: int = 1):
        self.device, self.generator = torch.device(device), torch.Generator(device).manual_seed(seed)
        self.scale = scale

    @property
    def h(self) -> int:
        """Rows of pixels in a picture."""
        return HEIGHT * self.scale

    @property
    def w(self) -> int:
        """Columns of pixels in a picture."""
        return WIDTH * self.scale

    def axes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """See `pixel_centres`."""
        return pixel_centres(self.scale, self.device)

    def larger(self, picture: torch.Tensor) -> torch.Tensor:
        """Repeat each number of [n,c,128,224], so that there is one for each pixel [n,c,h,w]."""
        return picture if self.scale == 1 else F.interpolate(picture, scale_factor=self.scale, mode="nearest")

    def uniform(self, *shape: int, lo: float = 0.0, hi: float = 1.0) -> torch.Tensor:
        """Floats of lo..hi."""
        return torch.rand(*shape, device=self.device, generator=self.generator) * (hi - lo) + lo

    def normal(self, *shape: int) -> torch.Tensor:
        """Floats of a standard normal distribution."""
        return torch.randn(*shape, device=self.device, generator=self.generator)

    def choice(self, n: int, weights: Sequence[float] | torch.Tensor) -> torch.Tensor:
        """n indices into `weights`, each as often as its weight says."""
        weights = torch.as_tensor(weights, dtype=torch.float, device=self.device)
        return torch.multinomial(weights, n, replacement=True, generator=self.generator)

    def integers(self, n: int, lo: int, hi: int) -> torch.Tensor:
        """n integers of lo..hi - 1."""
        return torch.randint(lo, hi, (n,), device=self.device, generator=self.generator)

    def colours(self, *shape: int) -> torch.Tensor:
        """RGB colours [*shape, 3] in 0..1, bright ones more often than dark ones."""
        return hsv(self.uniform(*shape), self.uniform(*shape) ** 1.3, self.uniform(*shape) ** 0.7 * 0.95 + 0.05)

    def noise(
        self,
        n: int,
        channels: int,
        h: int,
        w: int,
        octaves: Sequence[int] = (3, 6, 12, 24, 48),
        roll: float | None = 0.55,
    ) -> torch.Tensor:
        """Value noise.

        Args:
            n, channels, h, w: The shape of the result.
            octaves: Numbers of lumps across.
            roll: Amplitude of an octave relative to the one before; None draws another for each of the n.

        Returns:
            [n,channels,h,w], standard deviation 1.
        """
        total, amplitude = 0.0, 1.0
        roll = self.uniform(n, 1, 1, 1, lo=0.3, hi=0.8) if roll is None else roll
        for o in octaves:
            coarse = self.normal(n, channels, max(2, o * h // w + 1), o)
            total = total + amplitude * F.interpolate(coarse, size=(h, w), mode="bicubic", align_corners=False)
            amplitude = amplitude * roll
        return total / total.std((2, 3), keepdim=True).clamp(min=1e-3)


def one_of(index: torch.Tensor, *pictures: torch.Tensor) -> torch.Tensor:
    """For each of n clips the picture [n,3,H,W] at its `index` [n]."""
    out = pictures[0]
    for i, picture in enumerate(pictures[1:], 1):
        out = torch.where(index[:, None, None, None] == i, picture, out)
    return out


def fills(draw: Draw, n: int, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Draw textures of height x width units: gradients, value noise, 1/f colour fields, stripes, flat colours; not clipped."""
    d, h, w = draw.device, height * draw.scale, width * draw.scale
    yy, xx = torch.meshgrid(torch.linspace(-1, 1, h, device=d), torch.linspace(-1, 1, w, device=d), indexing="ij")
    first, second = draw.colours(n)[..., None, None], draw.colours(n)[..., None, None]
    second = torch.where(draw.uniform(n, 1, 1, 1) < 0.5, first + (second - first) * 0.35, second)
    angle = draw.uniform(n, 1, 1, hi=2 * math.pi)
    ramp = xx * angle.cos() + yy * angle.sin()
    gradient = (0.5 + 0.5 * ramp / 1.2).clamp(0, 1)[:, None]
    clouds = (0.5 + 0.28 * draw.noise(n, 1, h, w, roll=None)).clamp(0, 1)
    wave = torch.sin(ramp * draw.uniform(n, 1, 1, lo=4, hi=30))[:, None]
    stripes = torch.where(draw.uniform(n, 1, 1, 1) < 0.5, (wave * 4).clamp(-1, 1), wave) * 0.5 + 0.5
    fy = torch.fft.fftfreq(height, device=d)[:, None] * height
    fx = torch.fft.rfftfreq(width, device=d)[None] * width
    frequency = (fy * fy + fx * fx).sqrt().clamp(min=1)
    spectrum = torch.view_as_complex(draw.normal(n, 3, height, width // 2 + 1, 2)) * frequency ** -draw.uniform(
        n, 1, 1, 1, lo=1.1, hi=2.2
    )
    pink = torch.fft.irfft2(spectrum, s=(height, width))
    if draw.scale > 1:
        pink = F.interpolate(pink, size=(h, w), mode="bicubic", align_corners=False)
    mix = 0.6 + 0.4 * draw.normal(n, 3, 3)
    pink = torch.einsum("nij,njhw->nihw", mix, pink / pink.std((2, 3), keepdim=True))
    pink = first + pink * draw.uniform(n, 1, 1, 1, lo=0.06, hi=0.2)
    kind = draw.choice(n, [0.34, 0.26, 0.18, 0.1, 0.12])
    between = one_of(kind, gradient, clouds, gradient, stripes, torch.zeros_like(gradient))
    return torch.where(kind[:, None, None, None] == 2, pink, first + (second - first) * between)


def _skyline(
    draw: Draw, n: int, yy: torch.Tensor, xx: torch.Tensor, horizon: torch.Tensor, ground: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a row of houses with lit windows: the picture [n,3,H,W] and its mask [n,1,H,W]."""
    width = draw.uniform(n, 1, 1, lo=10, hi=34)
    house = (xx / width + draw.uniform(n, 1, 1, hi=9)).long().clamp(0, 39).expand(n, 1, draw.w)[:, 0]
    tall = draw.uniform(n, 40, hi=55).gather(1, house).unsqueeze(1)
    shade = draw.uniform(n, 40, lo=0.5, hi=1.0).gather(1, house)[:, None, None, :]
    window = ((xx % 7 < 3) & (yy % 8 < 4) & (yy > horizon - tall + 3) & (yy < horizon + 8))[:, None] * (
        draw.uniform(n, 1, 1, 1) < 0.7
    )
    lit = F.interpolate((draw.uniform(n, 1, 16, 32) < 0.5).float(), size=(draw.h, draw.w), mode="nearest") * window
    glow = torch.tensor([1.0, 0.9, 0.55], device=draw.device)[:, None, None]
    return ground * shade * (1 - lit) + lit * glow, ((yy - horizon + tall) * draw.scale).clamp(0, 1)[:, None]


def _collage(
    draw: Draw, n: int, yy: torch.Tensor, xx: torch.Tensor, picture: torch.Tensor, texture: torch.Tensor
) -> torch.Tensor:
    """Draw seven ellipses and boxes, plain or textured, over the picture [n,3,H,W]."""
    colours = draw.colours(n, 7)
    for i in range(7):
        cx, cy = draw.uniform(n, 1, 1, hi=WIDTH), draw.uniform(n, 1, 1, hi=HEIGHT)
        rx, ry, angle = (
            draw.uniform(n, 1, 1, lo=8, hi=70),
            draw.uniform(n, 1, 1, lo=8, hi=50),
            draw.uniform(n, 1, 1, hi=3.1),
        )
        px = (xx - cx) * angle.cos() + (yy - cy) * angle.sin()
        py = (yy - cy) * angle.cos() - (xx - cx) * angle.sin()
        ellipse = 1 - ((px / rx) ** 2 + (py / ry) ** 2).sqrt()
        box = 1 - torch.maximum(px.abs() / rx, py.abs() / ry)
        soft = torch.minimum(rx, ry) / draw.uniform(n, 1, 1, lo=0.7, hi=5) * draw.scale
        mask = (torch.where(draw.uniform(n, 1, 1) < 0.5, ellipse, box) * soft).clamp(0, 1)[:, None]
        shading = 1 + 0.25 * (px / rx + py / ry).clamp(-2, 2)[:, None] * draw.uniform(n, 1, 1, 1)
        inside = torch.where(draw.uniform(n, 1, 1, 1) < 0.3, texture, colours[:, i, :, None, None] * shading)
        picture = picture + (inside - picture) * mask
    return picture


def backgrounds(draw: Draw, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw still pictures: sky and ground of a palette or a texture, with hills, houses or shapes, at times stars or a sun.

    Returns:
        Pictures [n,3,h,w] in 0..1, and labels [n,2]: index into PALETTES (-1: abstract) and into SHAPES (see `name`).
    """
    d = draw.device
    yy, xx = draw.axes()
    which = draw.integers(n, 0, len(PALETTES))
    palette = torch.tensor([p[2:] for p in PALETTES], device=d, dtype=torch.float)[which] / 255
    palette = (palette + draw.uniform(n, 4, 3, lo=-0.07, hi=0.07) + draw.uniform(n, 1, 3, lo=-0.05, hi=0.05)).clamp(
        0, 1
    )[..., None, None]
    level = draw.uniform(n, 1, 1, lo=0.35, hi=0.9) * HEIGHT
    up, down = (yy / level).clamp(0, 1)[:, None], ((yy - level) / (HEIGHT - level)).clamp(0, 1)[:, None]
    natural = draw.uniform(n)
    texture, other = fills(draw, n), fills(draw, n)
    pick = natural[:, None, None, None]
    sky = torch.where(pick < 0.62, palette[:, 0] + (palette[:, 1] - palette[:, 0]) * up, texture)
    ground = torch.where(pick < 0.5, palette[:, 2] + (palette[:, 3] - palette[:, 2]) * down, other)
    shape = draw.choice(n, [0.2, 0.38, 0.15, 0.12, 0.15])
    slope = draw.uniform(n, 1, 1, lo=-0.12, hi=0.12) * (draw.uniform(n, 1, 1) < 0.25)
    soft = torch.where(draw.uniform(n, 1, 1) < 0.7, 0.5, draw.uniform(n, 1, 1, lo=0.5, hi=6))
    below = ((yy - level - slope * (xx - WIDTH / 2)) / soft * draw.scale + 0.5).clamp(0, 1)[:, None]
    bumps = 0.0
    for i in range(3):
        wave = torch.sin(xx * draw.uniform(n, 1, 1, lo=0.01, hi=0.08) * (i + 1) + draw.uniform(n, 1, 1, hi=6.3))
        bumps = bumps + draw.uniform(n, 1, 1, lo=2, hi=12) * wave / (i + 1)
    hills = ((yy - level - bumps) * draw.scale).clamp(0, 1)[:, None]
    nearer = (yy - level - 14 + bumps * 0.7).clamp(0, 1)[:, None]
    town, houses = _skyline(draw, n, yy, xx, level, ground)
    picture = one_of(
        shape,
        sky,
        sky + (ground - sky) * below,
        sky + (ground * (1 - nearer * 0.3) - sky) * hills,
        sky + (town - sky) * houses,
        _collage(draw, n, yy, xx, sky, other),
    )
    dark = sky.mean((1, 2, 3), keepdim=True) < 0.25
    stars = draw.uniform(n, 1, HEIGHT, WIDTH) > draw.uniform(n, 1, 1, 1, lo=0.99, hi=0.9985)
    stars = draw.larger(stars * draw.uniform(n, 1, HEIGHT, WIDTH, lo=0.4))
    stars = stars * (up < 0.97) * (dark & (draw.uniform(n, 1, 1, 1) < 0.6))
    picture = picture + stars * (1 - picture)
    distance = ((xx - draw.uniform(n, 1, 1, hi=WIDTH)) ** 2 + (yy - draw.uniform(n, 1, 1, hi=HEIGHT / 2)) ** 2).sqrt()
    disc = ((draw.uniform(n, 1, 1, lo=6, hi=16) - distance) / draw.uniform(n, 1, 1, lo=1, hi=6)).clamp(0, 1)[:, None]
    glow = draw.colours(n)[..., None, None] * 0.3 + 0.7
    picture = picture + disc * (draw.uniform(n, 1, 1, 1) < 0.1) * (glow - picture)
    picture = picture * (1 + 0.1 * draw.noise(n, 1, draw.h, draw.w) * (draw.uniform(n, 1, 1, 1) < 0.25))
    grain = draw.larger(draw.normal(n, 3, HEIGHT, WIDTH))
    grain = grain * draw.uniform(n, 1, 1, 1, hi=0.03) * (draw.uniform(n, 1, 1, 1) < 0.12)
    labels = torch.stack([torch.where(natural < 0.5, which, -1), shape], 1)
    return (picture + grain).clamp(0, 1), labels


def name(palette: int, shape: int, painted: Sequence[tuple[str, str]] = ()) -> tuple[str, str]:
    """Name a background in English and Korean, for captions.

    Args:
        palette: Index into PALETTES; beyond these, into `painted`; -1: abstract.
        shape: Index into SHAPES.
        painted: Names of the places that a training world paints.
    """
    if palette >= len(PALETTES):
        return painted[palette - len(PALETTES)]
    base = ABSTRACT if palette < 0 else PALETTES[palette][:2]
    what = SHAPES[shape]
    if not what[0]:
        return base
    return f"{what[0]}, {base[0]}", f"{what[1]}, {base[1]}"
