"""Contact sheets of clips: PNG files small enough to commit, a clip in each row."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image

from svd_lab.world.backgrounds import HEIGHT, WIDTH

SHEET_BYTES = 300_000  # `write_sheets` draws smaller frames until a sheet has fewer
FRAME_WIDTHS = (150, 120, 96, 72, 56)  # pixels, tried in turn
GAP = 2  # pixels between frames


def sheet(
    rows: Sequence[torch.Tensor], path: str | Path, columns: Iterable[int] = (0, 3, 6, 9, 13), width: int = 150
) -> None:
    """Write clips as one PNG of 200 colours: a row for each clip, a column for each frame.

    Args:
        rows: Clips [T,3,H,W] in 0..1, of 224 x 128 pixels or the same proportions.
        path: The file to write.
        columns: Numbers of the frames to show; a clip that is shorter repeats its last frame.
        width: Pixels of a frame on the sheet.
    """
    columns, height = list(columns), round(width * HEIGHT / WIDTH)
    page = Image.new("RGB", (len(columns) * (width + GAP), len(rows) * (height + GAP)))
    for y, video in enumerate(rows):
        for x, t in enumerate(columns):
            frame = (video[min(t, len(video) - 1)].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()
            picture = Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)
            page.paste(picture, (x * (width + GAP), y * (height + GAP)))
    page.quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)


def write_sheets(rows: Sequence[torch.Tensor], path: Path, rows_a_sheet: int = 16) -> list[Path]:
    """Write many clips as several sheets, each below SHEET_BYTES if small frames suffice for that.

    Args:
        rows: Clips [T,3,H,W] in 0..1.
        path: Where to write, without a suffix: PATH becomes PATH-0.png, PATH-1.png, …
        rows_a_sheet: The most clips on one sheet.

    Returns:
        The files, in order.
    """
    paths = []
    for i in range(0, len(rows), rows_a_sheet):
        paths.append(path.with_name(f"{path.name}-{i // rows_a_sheet}.png"))
        for width in FRAME_WIDTHS:
            sheet(rows[i : i + rows_a_sheet], paths[-1], width=width)
            if paths[-1].stat().st_size < SHEET_BYTES:
                break
    return paths
