"""`svd-lab words`: what the text miniature can draw."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from typing import Any

from svd_lab.commands.options import language_option, manual
from svd_lab.mini.lexicon import names

_HEADINGS = {
    "en": {"things": "Things", "colours": "Colours", "places": "Places"},
    "ko": {"things": "물건과 동물", "colours": "색", "places": "장소"},
}


def add_words(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    parser = commands.add_parser(
        "words",
        parents=list(parents),
        help="list what the text miniature can draw",
        **manual(
            "List the things, colours and places that the text miniature knows. Other words of a prompt do not change its "
            "picture. Stable Diffusion has no such list.",
            "svd-lab words",
            'svd-lab generate --prompt "a red boat on the sea" boat.mp4',
        ),
    )
    language_option(parser, "the words")
    parser.set_defaults(run=lambda given: show_words(given.language))


def show_words(language: str) -> None:
    """Print the words in the width of the terminal."""
    width = min(shutil.get_terminal_size().columns, 100)
    for kind, listed in names(language).items():
        print(f"{_HEADINGS[language][kind]} ({len(listed)})")
        print(textwrap.fill(", ".join(listed), width, initial_indent="  ", subsequent_indent="  "))
