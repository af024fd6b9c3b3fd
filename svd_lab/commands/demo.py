"""`svd-lab demo`: a video of each bundled picture, and one sheet of all frames."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import svd_lab
from svd_lab.bundled import PICTURE_FOLDER
from svd_lab.commands.options import load_video
from svd_lab.commands.terminal import progress

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def add_demo(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser("demo", parents=list(parents), help="make videos from the bundled pictures")
    parser.add_argument("--out", type=Path, default=Path("svd-lab-demo"), help="folder for the results (svd-lab-demo)")
    parser.add_argument("--pictures", type=Path, default=PICTURE_FOLDER, help="a folder of pictures of your own")
    parser.add_argument("--model", default="mini", help="as in generate (mini)")
    parser.add_argument("--seed", type=int, default=42, help="as in generate (42)")
    parser.set_defaults(run=lambda given: make_demo(given.pictures, given.out, given.seed, lambda: load_video(given)))


def make_demo(folder: Path, out: Path, seed: int, load: Callable[[], Any]) -> None:
    """Every picture of `folder` becomes a video in `out`, made by the pipeline that load() gives; contact-sheet.png shows all.

    Raises FileNotFoundError for a folder without pictures, before the pipeline is loaded.
    """
    from PIL import Image

    pictures = [path for path in folder.glob("*") if path.suffix.lower() in _PICTURE_SUFFIXES]
    pictures.sort(key=lambda path: (path.stem != "rocket", path.name))  # the class's first picture comes first
    if not pictures:
        raise FileNotFoundError(
            f"there is no picture ({', '.join(_PICTURE_SUFFIXES)}) in {folder}. Give a folder: --pictures DIR"
        )
    pipe = load()
    sheets = []
    for number, picture in enumerate(pictures, 1):
        video = out / f"{picture.stem}.mp4"
        with progress(f"{number}/{len(pictures)} {video.name}") as on_step:
            clip = svd_lab.generate_video(picture, video, seed, pipe=pipe, on_step=on_step)
        print(f"{number}/{len(pictures)} {video}", flush=True)
        sheets.append(clip.contact_sheet(columns=5))
    gap = 16
    height = sum(sheet.height + gap for sheet in sheets) - gap
    whole = Image.new("RGB", (max(sheet.width for sheet in sheets), height), "white")
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height + gap
    sheet_file = out / "contact-sheet.png"
    whole.save(sheet_file)
    print(f"All frames on one sheet: {sheet_file}\nLook into {out.resolve()}")
