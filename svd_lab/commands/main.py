"""The `svd-lab` command: parse, run, and turn an error into one readable line; `svd-lab --help` is the manual.

Exit status: 0 done, 1 failed (one line; with --debug the traceback), 2 wrong usage, 130 stopped by Ctrl-C, 138 the kernel of a
lesson died (papermill's status for it).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from svd_lab.commands.batch import add_batch
from svd_lab.commands.bench import add_bench
from svd_lab.commands.classroom import add_class
from svd_lab.commands.demo import add_demo
from svd_lab.commands.generate import add_generate
from svd_lab.commands.handout import add_handout
from svd_lab.commands.lesson import add_lesson
from svd_lab.commands.models import add_models
from svd_lab.commands.options import debug_options, device_options, speed_options
from svd_lab.commands.recipe import add_recipe, add_strip
from svd_lab.commands.studio import add_studio
from svd_lab.commands.words import add_words
from svd_lab.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (None: sys.argv) and return its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if list(words[:1]) == ["check"]:  # before the parser, which imports what `check` may find broken
        from svd_lab.commands.check import main as check

        return check(words[1:])
    # argparse cannot make a positional argument depend on an option.
    options = build_parser(prompted=any(word.split("=")[0] == "--prompt" for word in words)).parse_args(words)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        print("\nsvd-lab: stopped; no incomplete file was left", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        print(f"svd-lab: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1


def build_parser(prompted: bool = False) -> argparse.ArgumentParser:
    """Return the parser of all commands. prompted: whether `generate` takes a prompt instead of PICTURE."""
    parser = argparse.ArgumentParser(
        prog="svd-lab",
        description="Make short videos from pictures and prompts with Stable Video Diffusion.",
        epilog="svd-lab COMMAND --help describes a command, with examples. First steps: svd-lab demo",
    )
    parser.add_argument("--version", action="version", version=f"svd-lab {__version__}")
    debug, device, speed = debug_options(), device_options(), speed_options()
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_generate(commands, debug, device, speed, prompted=prompted)
    add_demo(commands, debug, device, speed_options(default=None))
    add_models(commands, debug)
    commands.add_parser(
        "check", help="check what works on this machine, and print a report for the instructor", add_help=False
    )
    add_words(commands, debug)
    add_recipe(commands, debug)
    add_strip(commands, debug)
    add_lesson(commands, debug)
    add_handout(commands, debug)
    add_studio(commands, debug)
    add_class(commands, debug)
    add_batch(commands, debug, device, speed)
    add_bench(commands, debug, device)
    return parser


if __name__ == "__main__":
    sys.exit(main())
