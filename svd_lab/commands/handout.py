"""`svd-lab handout`: a notebook as a page, slides and a PDF."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from svd_lab.commands.options import language_option, manual


def add_handout(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "handout",
        parents=list(parents),
        help="write a notebook as a page, slides and a PDF",
        **manual(
            "Write a notebook, with the outputs that it has, as a page (NAME.html), as slides (NAME.slides.html, which load "
            "reveal.js from the web) and as NAME.pdf, which Chromium or Chrome prints. Pictures and clips are inside the files. A "
            "slide begins where JupyterLab's slide types say so, or at each heading in a notebook that has none.",
            "svd-lab handout 02 --language en --out handouts",
            "svd-lab handout results/02/02_rocket.ipynb",
            "svd-lab handout my-lesson.ipynb --only page slides",
        ),
    )
    parser.add_argument(
        "name", metavar="NAME", help="how a lesson's name starts, such as 02, or a path to an .ipynb file"
    )
    language_option(parser, "the lesson")
    parser.add_argument(
        "--out", type=Path, default=Path("handouts"), metavar="DIR", help="folder for the files (handouts)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=["page", "slides", "pdf"], metavar="KIND", help="page, slides, pdf (all three)"
    )
    parser.add_argument("--browser", metavar="PATH", help="the Chromium or Chrome that prints (the one on the PATH)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the files, and print their paths."""
    if importlib.util.find_spec("nbconvert") is None:
        raise ImportError("svd-lab handout needs nbconvert: pip install 'svd-lab[lessons]'")
    from svd_lab.lesson.readable import write_page, write_pdf, write_slides
    from svd_lab.lesson.run import find_lesson

    notebook, wanted = find_lesson(options.name, options.language), options.only or ["page", "slides", "pdf"]
    if "slides" in wanted:
        print(write_slides(notebook, options.out))
    page = write_page(notebook, options.out)
    if "pdf" in wanted:
        print(write_pdf(page, options.browser))
    if "page" in wanted:
        print(page)
    else:
        page.unlink()
