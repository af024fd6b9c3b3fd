"""`svd-lab batch`: a video of each picture of a folder, or of each prompt of a text file."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from svd_lab.commands.options import IMAGE_MODELS, MODELS, add_settings, manual
from svd_lab.settings_table import SETTINGS


def add_batch(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    command = commands.add_parser(
        "batch",
        parents=list(parents),
        help="make a video of each picture of a folder, or of each line of a text file, on all GPUs",
        **manual(
            "Make a video of each picture of a folder, or of each prompt of a text file, with one process per GPU. Finished videos "
            "are kept: give the same command again to continue. Settings that are not given have the defaults of svd-lab generate. "
            "Exit status: 0 all done, 1 some failed.",
            "svd-lab batch pictures/ out/",
            "svd-lab batch prompts.txt out/ --seed 7 --num-frames 14",
        ),
    )
    command.add_argument(
        "source", metavar="PICTURES", help="a folder of pictures, or a .txt file with one prompt per line"
    )
    command.add_argument("out", metavar="OUT", help="folder for the videos, which are named after the pictures")
    command.add_argument("--model", default="auto", help=f"{MODELS} (auto)")
    command.add_argument("--image-model", default="auto", help=f"for prompts: {IMAGE_MODELS} (auto)")
    command.add_argument("--seed", type=int, default=42, help="seed of every video, 0 to 4294967295 (42)")
    command.add_argument("--processes", type=int, metavar="N", help="how many processes (one per GPU, else one)")
    names = [name for name in SETTINGS if name not in ("prompt", "seed")]
    add_settings(command, names)
    command.set_defaults(run=run, names=names)


def run(options: argparse.Namespace) -> int:
    """Make the missing videos, and list at the end what failed."""
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
    pace = f" ({statistics.median(result.item_seconds.values()):.2f} s per video)" if result.made else ""
    counts = f"{len(result.made)} made{pace}, {len(result.kept)} done before, {len(result.failed)} failed"
    print(f"{counts}, in {result.seconds:.0f} s")
    for name, reason in result.failed.items():
        print(f"svd-lab: {name}: {reason}", file=sys.stderr)
    return 0 if result.ok else 1
