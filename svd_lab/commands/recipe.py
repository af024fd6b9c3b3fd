"""`svd-lab recipe`: print a video's recipe, and replay it; `svd-lab strip`: a copy without it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import svd_lab
from svd_lab.commands.options import manual
from svd_lab.commands.terminal import plain_warnings, progress


def add_recipe(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "recipe",
        parents=list(parents),
        help="print the recipe of a video, or make the video again from it",
        **manual(
            "Print the recipe that a video carries, as JSON: everything that is needed to make it again.",
            "svd-lab recipe rocket.mp4",
            "svd-lab recipe rocket.mp4 --replay again.mp4",
        ),
    )
    parser.add_argument("video", metavar="FILE.mp4", help="a video that svd-lab wrote")
    parser.add_argument("--replay", metavar="OUT.mp4", help="also make the clip again, and compare the two")
    parser.set_defaults(run=lambda given: show_recipe(given.video, given.replay))


def show_recipe(path: str, replayed: str | None) -> None:
    """Print the recipe of an mp4 as JSON; if `replayed` is a path, make the clip again there."""
    # The file decides what the strings are: characters that could control a terminal are escaped.
    text = json.dumps(svd_lab.read_recipe(path), ensure_ascii=False, indent=2)
    print("".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text))
    if replayed is not None:
        with progress(Path(replayed).name) as on_step, plain_warnings():
            svd_lab.replay(path, replayed, on_step=on_step)


def add_strip(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "strip",
        parents=list(parents),
        help="copy a video without its recipe and input picture",
        **manual(
            "Copy a video without its recipe and input picture; the frames stay as they are, to the bit.",
            "svd-lab strip rocket.mp4 rocket-bare.mp4",
        ),
    )
    parser.add_argument("video", metavar="FILE.mp4", help="a video that svd-lab wrote")
    parser.add_argument("copy", metavar="OUT.mp4", help="the file to write; FILE.mp4 itself is allowed")
    parser.set_defaults(run=run_strip)


def run_strip(options: argparse.Namespace) -> None:
    """Write the copy, and print where it is."""
    from svd_lab.recipe_file import strip_recipe  # here: `svd-lab check` must run where Pillow is broken

    print(strip_recipe(options.video, options.copy))
