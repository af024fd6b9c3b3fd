"""svd-lab recipe: print a video's recipe, and replay it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import svd_lab
from svd_lab.commands.terminal import plain_warnings, progress


def add_recipe(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser("recipe", parents=list(parents), help="print the recipe that a video carries, as JSON")
    parser.add_argument("video", metavar="FILE.mp4", help="a video that svd-lab wrote")
    parser.add_argument("--replay", metavar="OUT.mp4", help="make the clip again, and say whether it is the same")
    parser.set_defaults(run=lambda given: show_recipe(given.video, given.replay))


def show_recipe(path: str, replayed: str | None) -> None:
    """Print the recipe of an mp4 as JSON; make its clip again where `replayed` names a file."""
    # Escaped beyond ASCII only where a terminal could obey it: the names are whatever the file says.
    text = json.dumps(svd_lab.read_recipe(path), ensure_ascii=False, indent=2)
    print("".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text))
    if replayed is not None:
        with progress(Path(replayed).name) as on_step, plain_warnings():
            svd_lab.replay(path, replayed, on_step=on_step)
