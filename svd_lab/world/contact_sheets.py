"""Contact sheets of clips: small enough to be committed, and to be looked at."""

from pathlib import Path

import torch
from PIL import Image

from svd_lab.world.backgrounds import HEIGHT, WIDTH

SHEET_BYTES = 300_000  # a sheet that is larger is drawn smaller


def sheet(rows, path, columns=(0, 3, 6, 9, 13), width: int = 150) -> None:
    """Write rows of clips, each [T,3,H,W] in 0..1, as one PNG: a row a clip, a column a frame."""
    h = round(width * HEIGHT / WIDTH)
    page = Image.new("RGB", (len(columns) * (width + 2), len(rows) * (h + 2)))
    for y, video in enumerate(rows):
        for x, t in enumerate(columns):
            frame = (video[min(t, len(video) - 1)].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()
            page.paste(
                Image.fromarray(frame).resize((width, h), Image.Resampling.LANCZOS), (x * (width + 2), y * (h + 2))
            )
    page.quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)


def write_sheets(rows: list[torch.Tensor], path: Path, rows_a_sheet: int = 16) -> list[Path]:
    """Rows of videos as PATH-0.png, PATH-1.png, …, each under 300 kB."""
    paths = []
    for i in range(0, len(rows), rows_a_sheet):
        paths.append(path.with_name(f"{path.name}-{i // rows_a_sheet}.png"))
        for width in (150, 120, 96, 72, 56):
            sheet(rows[i : i + rows_a_sheet], paths[-1], width=width)
            if paths[-1].stat().st_size < SHEET_BYTES:
                break
    return paths
