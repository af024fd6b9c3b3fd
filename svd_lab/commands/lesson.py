"""`svd-lab lesson`: one notebook with parameters."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from svd_lab.commands.options import add_parameters, manual
from svd_lab.progress_line import ProgressLine


def add_lesson(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "lesson",
        parents=list(parents),
        help="run a lesson's notebook with parameters",
        **manual(
            "Run a lesson's notebook, or any other notebook, with parameters, without a browser; all results go to one folder. A "
            "parameter is a variable of the cell tagged parameters; a wrong name is answered with the list of them. Exit "
            "status: 0 done, 1 a cell failed, 138 the kernel died.",
            "svd-lab lesson 02 --language en",
            "svd-lab lesson 02 --language en -p seed 7 -p picture rabbit --out results/minji",
            "svd-lab lesson my-lesson.ipynb --out results",
        ),
    )
    parser.add_argument(
        "name", metavar="NAME", help="how the lesson's name starts, such as 02, or a path to an .ipynb file"
    )
    add_parameters(parser, "set a parameter of the notebook; can be repeated")
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the executed notebook, videos and result.json (out/NAME)"
    )
    parser.add_argument("--cell-timeout", type=int, metavar="SECONDS", help="the most that a cell may take (no limit)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the notebook, and print where its results are."""
    from svd_lab.lesson.run import load_papermill, run_lesson

    papermill = load_papermill()
    from nbclient.exceptions import DeadKernelError

    try:
        with ProgressLine() as line:
            executed = run_lesson(
                options.name,
                dict(options.parameters),
                language=options.language,
                out=options.out,
                cell_timeout=options.cell_timeout,
                on_cell=lambda cell, number, total, left: line.show(
                    f"cell {cell}", (number, total), f"about {left:.0f} s left"
                ),
            )
    except papermill.PapermillExecutionError as error:
        if options.debug:
            raise
        print(f"svd-lab: cell [{error.exec_count}]: {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    except DeadKernelError as error:
        if options.debug:
            raise
        print(f"svd-lab: {error}", file=sys.stderr)
        return 138
    page = executed.with_suffix(".html")
    print(f"{executed}: done; its outputs are in the same folder")
    if page.is_file():
        print(f"{page}: the same, to read in a browser")
    return 0
