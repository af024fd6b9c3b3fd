"""The command `svd-lab batch`."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from svd_lab.commands.options import add_settings
from svd_lab.settings_table import SETTINGS


def add_batch(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    command = commands.add_parser(
        "batch",
        parents=list(parents),
        help="a video of each picture of a folder, or of each line of a text, on all GPUs; resumes",
        description="Make a video of each picture of a folder, or of each prompt of a text file, one process a GPU. What is done "
        "already is kept, so that the same command goes on after a kill. Exit status: 0 all done, 1 some failed.",
    )
    command.add_argument("source", metavar="PICTURES", help="a folder of pictures, or a .txt with a prompt a line")
    command.add_argument("out", metavar="OUT", help="folder for the videos, named for the pictures")
    command.add_argument("--model", default="auto", help="as in generate (auto)")
    command.add_argument("--image-model", default="auto", help="for prompts, as in generate (auto)")
    command.add_argument("--seed", type=int, default=42, help="of every video (42)")
    command.add_argument("--processes", type=int, metavar="N", help="(one a GPU, else one)")
    names = [name for name in SETTINGS if name not in ("prompt", "seed")]
    add_settings(command, names)
    command.set_defaults(run=run, names=names)


def run(options: argparse.Namespace) -> int:
    """Make what is missing, and list at the end what failed."""
    from svd_lab.batch.generate import generate_batch

    source: dict[str, Any] = {"pictures": options.source}
    if options.source.lower().endswith(".txt"):
        lines = Path(options.source).expanduser().read_text("utf-8").splitlines()
        source = {"prompts": [line.strip() for line in lines if line.strip()]}
    settings = {name: value for name in options.names if (value := getattr(options, name)) is not None}
    result = generate_batch(
        out=options.out,
        seed=options.seed,
        model=options.model,
        image_model=options.image_model,
        device=options.device,
        dtype=options.dtype,
        speed=options.speed,
        memory=options.memory,
        processes=options.processes,
        say=lambda line: print(line, flush=True),
        **source,
        **settings,
    )
    pace = f" ({statistics.median(result.item_seconds.values()):.2f} s a video)" if result.made else ""
    counts = f"{len(result.made)} made{pace}, {len(result.kept)} done before, {len(result.failed)} failed"
    print(f"{counts}, in {result.seconds:.0f} s")
    for name, reason in result.failed.items():
        print(f"svd-lab: {name}: {reason}", file=sys.stderr)
    return 0 if result.ok else 1
