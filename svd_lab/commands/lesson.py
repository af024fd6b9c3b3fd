"""svd-lab lesson: run one notebook with parameters."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_lesson(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "lesson", parents=list(parents), help="run a lesson's notebook with parameters, as a class does"
    )
    parser.add_argument("name", metavar="NAME", help="how the lesson's name starts, as 02, or a path to an .ipynb")
    parser.add_argument("--language", choices=["ko", "en"], default="ko", help="(ko)")
    parser.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("PARAMETER", "VALUE"),
        help="set one of the notebook's parameters; can be given again",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the executed notebook, videos and result.json (out/NAME)"
    )
    parser.add_argument("--cell-timeout", type=int, metavar="SECONDS", help="how long one cell may take (no limit)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run one notebook; all its output is in one folder."""
    from svd_lab.lesson.run import load_papermill, run_lesson

    load_papermill()
    from nbclient.exceptions import DeadKernelError

    try:
        executed = run_lesson(
            options.name,
            dict(options.parameters),
            language=options.language,
            out=options.out,
            cell_timeout=options.cell_timeout,
            progress_bar=sys.stderr.isatty(),
        )
    except DeadKernelError as error:
        if options.debug:
            raise
        print(f"svd-lab: {error}", file=sys.stderr)
        return 138
    print(f"{executed}: done; its outputs are in the same folder")
    return 0
