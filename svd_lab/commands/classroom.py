"""`svd-lab class`: what it takes, and how it ends. Dask and papermill are imported when a class is run."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_class(commands: Any, debug: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`; debug: the parser of the options that all commands share."""
    parser = commands.add_parser(
        "class",
        parents=[debug],
        help="run lessons for every student of a roster, and make a page of what came of it",
        description="Run lessons for every student of a roster. Exit status: 0 all done, 1 some failed, 130 stopped by Ctrl-C.",
    )
    parser.add_argument("roster", metavar="ROSTER", help="CSV or YAML: name, and any parameter of the notebooks")
    parser.add_argument("--lessons", required=True, metavar="02,03", help="how their names start, or paths to .ipynb")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="a folder that all machines share, or s3://… and the like"
    )
    parser.add_argument("--resume", action="store_true", help="run only what is missing, failed or changed in DIR")
    parser.add_argument("--language", choices=["ko", "en"], default="ko", help="of the lessons and the page (ko)")
    parser.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("PARAMETER", "VALUE"),
        help="set a parameter for the whole class; a student's own comes first; can be given again",
    )  # fmt: skip
    parser.add_argument("--timeout", type=int, default=3600, metavar="SECONDS", help="a notebook may take (3600)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask scheduler that runs, as tcp://host:8786")
    parser.add_argument("--workers", type=int, metavar="N", help="notebooks at a time here (one a GPU, else by memory)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of a notebook (the cores shared out)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the class, and say where to look."""
    from svd_lab.classroom.run_class import run_class

    if options.scheduler and options.workers:
        raise ValueError("--workers is for this machine alone: a scheduler has the workers that it has")
    try:
        counts = run_class(
            options.roster,
            [name for name in options.lessons.split(",") if name],
            options.out,
            resume=options.resume,
            scheduler=options.scheduler,
            language=options.language,
            parameters=dict(options.parameters),
            workers=options.workers,
            threads=options.threads,
            timeout=options.timeout,
        )
    except KeyboardInterrupt:
        print(f"\nsvd-lab: stopped. What was finished is in {options.out}; --resume runs the rest", file=sys.stderr)
        return 130
    page = f"{options.out.rstrip('/')}/index.html"
    print(f"{counts['done']} done, {counts['failed']} failed. Look at {page}")
    return 1 if counts["failed"] else 0
