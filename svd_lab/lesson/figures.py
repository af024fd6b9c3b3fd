"""Pictures for the lessons: rows with labels, clips side by side, a small line plot. PIL only; knows no models.

Labels are drawn with Pillow's own font, which has Latin letters only: keep them to names and numbers.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from svd_lab.clip import Clip

GAP = 6  # pixels between pictures
LABEL = 20  # pixels of height for a line of label
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")


def show(image: Image.Image) -> None:
    """Display a picture in the notebook as JPEG or PNG, whichever is smaller: committed notebooks stay small."""
    from IPython.display import Image as Shown
    from IPython.display import display

    image = image.convert("RGB")
    image.save(jpeg := io.BytesIO(), "JPEG", quality=80)
    image.save(png := io.BytesIO(), "PNG", optimize=True)
    display(Shown(data=min(jpeg.getvalue(), png.getvalue(), key=len)))


def checkerboard(image: Image.Image, square: int = 8) -> Image.Image:
    """An RGBA picture over grey squares of `square` pixels, the way image editors show what is transparent."""
    across, down = (math.ceil(side / square) for side in image.size)
    light = [(x + y) % 2 * 35 + 200 for y in range(down) for x in range(across)]
    board = Image.frombytes("L", (across, down), bytes(light)).resize(
        (across * square, down * square), Image.Resampling.NEAREST
    )
    page = board.crop((0, 0, *image.size)).convert("RGBA")
    return Image.alpha_composite(page, image.convert("RGBA")).convert("RGB")


def grid(
    images: Sequence[Image.Image], labels: Sequence[str] | None = None, columns: int | None = None, width: int = 900
) -> Image.Image:
    """Pictures in rows on white, at most `width` pixels wide in all, each with a label above it.

    columns: pictures a row, default all. Each is scaled to its column (small ones by repeating pixels, so that cells of a latent
    stay squares). Raises ValueError when labels are not as many as pictures, or there are none.
    """
    if not images or (labels is not None and len(labels) != len(images)):
        raise ValueError(
            f"grid takes at least one picture and as many labels; got {len(images)} and {len(labels or [])}"
        )
    columns = min(columns or len(images), len(images))
    cell = (width - GAP * (columns - 1)) // columns
    scaled = []
    for image in images:
        size = cell, max(1, round(cell * image.height / image.width))
        small = image.width * 3 < cell
        scaled.append(
            image.convert("RGB").resize(size, Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS)
        )
    head = LABEL if labels else 0
    height = head + max(image.height for image in scaled)
    rows = math.ceil(len(scaled) / columns)
    page = Image.new("RGB", (columns * (cell + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    draw = ImageDraw.Draw(page)
    for i, image in enumerate(scaled):
        left, top = i % columns * (cell + GAP), i // columns * (height + GAP)
        if labels:
            draw.text((left + 2, top + 2), labels[i], "black", _fitting_font(labels[i], cell - 4))
        page.paste(image, (left, top + head))
    return page


def _fitting_font(text: str, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The largest of 14 to 8 pixels in which `text` is at most `width` pixels wide; 8 if none is."""
    fonts = (ImageFont.load_default(size) for size in range(14, 8, -1))
    return next((font for font in fonts if font.getlength(text) <= width), ImageFont.load_default(8))


def side_by_side(
    clips: Sequence[Clip], labels: Sequence[str], columns: int | None = None, width: int | None = None
) -> Clip:
    """Clips of one length playing beside each other, as one clip that is not saved yet; seed and recipe are the first one's.

    width: of the whole in pixels; default 208 a column, at most 520, so that ten such videos fit into a notebook of 1 MB.
    Raises ValueError for clips of different lengths.
    """
    width = width or min(520, 208 * min(columns or len(clips), len(clips)))
    frames = [grid(moment, labels, columns, width) for moment in zip(*(clip.frames for clip in clips), strict=True)]
    return Clip(frames, clips[0].seed, clips[0].recipe)


def line_plot(
    x: Sequence[float], series: dict[str, Sequence[float]], x_label: str, size: tuple[int, int] = (430, 260)
) -> Image.Image:
    """A plot of one or several series over x, each with its own points; the y axis starts at 0. Values must be finite."""
    values = [value for ys in series.values() for value in ys]
    if not values or not all(map(math.isfinite, [*x, *values])):
        raise ValueError(f"line_plot draws finite numbers, at least one; got x={list(x)}, {series}")
    width, height = size
    left, right, top, bottom = 52, width - 16, 14 + LABEL, height - 2 * LABEL - 4
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(13)
    high = _nice(max(*values, 1e-9))
    low_x, high_x = min(x), max(x)

    def place(a: float, b: float) -> tuple[float, float]:
        share = (a - low_x) / (high_x - low_x) if high_x > low_x else 0.5
        return left + share * (right - left), bottom - b / high * (bottom - top)

    for tick in range(5):
        value = high * tick / 4
        y = place(low_x, value)[1]
        draw.line((left, y, right, y), "#dddddd")
        draw.text((left - 6, y), f"{value:g}", "#444444", font, anchor="rm")
    for a in x:
        draw.text((place(a, 0)[0], bottom + 6), f"{a:g}", "#444444", font, anchor="ma")
    draw.text(((left + right) / 2, height - LABEL), x_label, "black", font, anchor="ma")
    across = left
    for (name, ys), colour in zip(series.items(), COLOURS, strict=False):
        points = [place(a, b) for a, b in zip(x, ys, strict=True)]
        if len(points) > 1:
            draw.line(points, colour, 2)
        for px, py in points:
            draw.ellipse((px - 4, py - 4, px + 4, py + 4), colour)
        draw.text((across, 6), name, colour, font)
        across += draw.textlength(name, font) + 20
    return page


def _nice(value: float) -> float:
    """The smallest of 1, 2, 4, 6, 8 times a power of ten that is not below `value`: four ticks of it read well."""
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * 0.9999), 10 * power)
