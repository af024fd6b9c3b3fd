"""`svd-lab demo`: a video of each bundled picture, and a contact sheet of all frames."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import svd_lab
from svd_lab.bundled import PICTURE_FOLDER
from svd_lab.commands.options import MODELS, load_video, manual
from svd_lab.commands.terminal import progress

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def add_demo(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "demo",
        parents=list(parents),
        help="make videos from the bundled pictures",
        **manual(
            "Make a video of each bundled picture with the miniature, and a contact sheet of all frames: about a minute on two "
            "CPU cores. On a CPU it computes in the fused way, which is faster and equals diffusers up to rounding.",
            "svd-lab demo",
            "svd-lab demo --pictures photos --out moving --seed 7",
        ),
    )
    parser.add_argument(
        "--out", type=Path, default=Path("svd-lab-demo"), metavar="DIR", help="folder for the results (svd-lab-demo)"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="a folder of your own pictures (the six that come with svd-lab)"
    )
    parser.add_argument("--model", default="mini", help=f"{MODELS} (mini)")
    parser.add_argument("--seed", type=int, default=42, help="seed of every video; -1 draws one for each (42)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make the videos of the given folder, or of the bundled one."""
    make_demo(options.pictures or PICTURE_FOLDER, options.out, options.seed, lambda: load_video(options))


def make_demo(folder: Path, out: Path, seed: int, load: Callable[[], Any]) -> None:
    """Make a video of every picture of a folder, and contact-sheet.png of them all.

    Args:
        folder: The pictures.
        out: Folder for the results.
        seed: Of every video.
        load: Loads the video pipeline.

    Raises:
        FileNotFoundError: The folder has no pictures; raised before the pipeline is loaded.
    """
    from PIL import Image

    pictures = [path for path in folder.glob("*") if path.suffix.lower() in _PICTURE_SUFFIXES]
    pictures.sort(key=lambda path: (path.stem != "rocket", path.name))  # the lessons' first picture comes first
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
    combined = Image.new("RGB", (max(sheet.width for sheet in sheets), height), "white")
    top = 0
    for sheet in sheets:
        combined.paste(sheet, (0, top))
        top += sheet.height + gap
    sheet_file = out / "contact-sheet.png"
    combined.save(sheet_file)
    print(f"All frames on one sheet: {sheet_file}\nEverything is in {out.resolve()}")
