"""Figures for the lessons: labelled grids of pictures, clips side by side, plots. Knows no models.

Labels must be Latin: neither Pillow's default font nor matplotlib's has Hangul.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from svd_lab.clip import Clip
from svd_lab.language import say

GAP = 6  # pixels between pictures
LABEL = 20  # pixels of height for a line of label
#: How plots look, as matplotlib's rcParams. The size is that of a cell of `grid` with two columns.
PLOT_STYLE = {
    "figure.figsize": (4.47, 2.7),
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "lines.marker": "o",
    "lines.markersize": 5,
    "legend.frameon": False,
}


def show(image: Image.Image) -> None:
    """Display a picture in the notebook as JPEG or PNG, whichever is smaller, because notebooks are committed."""
    from IPython.display import Image as Shown
    from IPython.display import display

    image = image.convert("RGB")
    image.save(jpeg := io.BytesIO(), "JPEG", quality=80)
    image.save(png := io.BytesIO(), "PNG", optimize=True)
    display(Shown(data=min(jpeg.getvalue(), png.getvalue(), key=len)))


def checkerboard(image: Image.Image, square: int = 8) -> Image.Image:
    """Put an RGBA picture on grey squares of `square` pixels, as image editors show transparency."""
    across, down = (math.ceil(side / square) for side in image.size)
    light = [(x + y) % 2 * 35 + 200 for y in range(down) for x in range(across)]
    board = Image.frombytes("L", (across, down), bytes(light)).resize(
        (across * square, down * square), Image.Resampling.NEAREST
    )
    page = board.crop((0, 0, *image.size)).convert("RGBA")
    return Image.alpha_composite(page, image.convert("RGBA")).convert("RGB")


def difference_map(one: Image.Image, other: Image.Image, gain: float = 10.0) -> Image.Image:
    """Where two pictures of one size differ, and how much: the largest difference of the three colours, times `gain`, in grey."""
    change = np.abs(np.asarray(one.convert("RGB"), dtype=float) - np.asarray(other.convert("RGB"), dtype=float)).max(2)
    return Image.fromarray((change * gain).clip(0, 255).astype(np.uint8)).convert("RGB")


def grid(
    images: Sequence[Image.Image], labels: Sequence[str] | None = None, columns: int | None = None, width: int = 900
) -> Image.Image:
    """Arrange pictures in rows on white, each scaled to its column.

    Args:
        images: At least one picture. Small ones are enlarged by repeating pixels, so that cells of a latent stay squares.
        labels: A label above each picture.
        columns: Pictures a row; default all.
        width: The most pixels that the whole may be wide.

    Raises:
        ValueError: No pictures, or not as many labels as pictures.
    """
    if not images or (labels is not None and len(labels) != len(images)):
        raise ValueError(
            say(
                "grid takes at least one picture and as many labels as pictures, not {count} and {count2}",
                count=len(images),
                count2=len(labels or []),
            )
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
    """The largest font from 14 down to 8 pixels in which `text` is at most `width` pixels wide; 8 if none is."""
    fonts = (ImageFont.load_default(size) for size in range(14, 8, -1))
    return next((font for font in fonts if font.getlength(text) <= width), ImageFont.load_default(8))


def side_by_side(
    clips: Sequence[Clip], labels: Sequence[str], columns: int | None = None, width: int | None = None
) -> Clip:
    """Join clips of one length into one that plays them side by side. It is not saved; seed and recipe are the first one's.

    Args:
        clips: At least one clip.
        labels: A label above each clip.
        columns: Clips a row; default all.
        width: Pixels of the whole; default 208 a column, at most 520, so that ten such videos fit into a notebook of 1 MB.

    Raises:
        ValueError: The clips differ in length.
    """
    width = width or min(520, 208 * min(columns or len(clips), len(clips)))
    frames = [grid(moment, labels, columns, width) for moment in zip(*(clip.frames for clip in clips), strict=True)]
    return Clip(frames, clips[0].seed, clips[0].recipe)


@contextmanager
def plot_style() -> Iterator[None]:
    """Draw the block's matplotlib plots in the lessons' look; ImportError, with what to install, without matplotlib."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(say("the lessons' plots need matplotlib: pip install 'svd-lab[lessons]'")) from error
    with matplotlib.rc_context(PLOT_STYLE):
        yield


def line_plot(
    x: Sequence[float], series: dict[str, Sequence[float]], x_label: str, title: str | None = None
) -> Image.Image:
    """Plot one or several series over x with matplotlib.

    Args:
        x: Where the points are.
        series: {name: a value for each x}. The y axis starts at 0.
        x_label: What x is.
        title: What y is; default the name of the series, if it is one.

    Raises:
        ValueError: No values, or some that are not finite.
        ImportError: As plot_style.
    """
    values = [value for ys in series.values() for value in ys]
    if not values or not all(map(math.isfinite, [*x, *values])):
        raise ValueError(
            say("line_plot takes finite numbers, at least one, not x={x} and {series}", x=list(x), series=series)
        )
    with plot_style():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import FixedLocator

        figure = Figure()  # not pyplot's: nothing keeps it, and no window or notebook cell shows it by itself
        axes = figure.subplots()
        for name, ys in series.items():
            axes.plot(x, ys, label=name)
        axes.set(xlabel=x_label, title=title or "", ylim=(0, None if any(values) else 1))
        axes.xaxis.set_major_locator(FixedLocator(list(x), nbins=12))  # where the points are
        if len(series) > 1:
            axes.legend()
        elif title is None:
            axes.set_title(*series)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
