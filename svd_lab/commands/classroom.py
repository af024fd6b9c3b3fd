"""`svd-lab class`: lessons for every student of a roster."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from svd_lab.commands.options import add_parameters, manual


def add_class(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "class",
        parents=list(parents),
        help="run lessons for every student of a roster, and make a page of the results",
        **manual(
            "Run lessons for every student of a roster, on this machine or on a Dask cluster, and make a page of the results: open "
            "DIR/index.html in a browser. Exit status: 0 all done, 1 some failed, 130 stopped by Ctrl-C.",
            "svd-lab class class.csv --lessons 02,03 --out spring --language en",
            "svd-lab class class.csv --lessons 02,03 --out spring --resume",
            "svd-lab class class.csv --lessons my-lesson.ipynb --out spring -p model mini",
        ),
    )
    parser.add_argument(
        "roster", metavar="ROSTER", help="CSV or YAML file: a name per student, and any parameters of the notebooks"
    )
    parser.add_argument(
        "--lessons", required=True, metavar="02,03", help="the lessons: how their names start, or paths to .ipynb files"
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="for the results: a folder that all machines share, or an address such as s3://…",
    )
    parser.add_argument("--resume", action="store_true", help="run only what is missing, failed or changed in DIR")
    add_parameters(parser, "set a parameter for the whole class; a student's own takes precedence; can be repeated")
    parser.add_argument(
        "--timeout", type=int, default=3600, metavar="SECONDS", help="the most that a notebook may take (3600)"
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a running Dask scheduler, such as tcp://host:8786")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="notebooks at a time on this machine (one per GPU, else by memory)"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads per notebook (an equal share of the cores)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the class, and print where its page is."""
    from svd_lab.classroom.run_class import run_class

    if options.scheduler and options.workers:
        raise ValueError("--workers is for this machine: with --scheduler, start workers with dask worker ADDRESS")
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
        print(f"\nsvd-lab: stopped. Finished runs are in {options.out}; --resume runs the rest", file=sys.stderr)
        return 130
    page = f"{options.out.rstrip('/')}/index.html"
    print(f"{counts['done']} done, {counts['failed']} failed. The results: {page}")
    return 1 if counts["failed"] else 0
