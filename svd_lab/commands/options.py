"""Options that several commands share, and the pipelines that they select."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterable
from typing import Any

import svd_lab
from svd_lab.language import LANGUAGES, reader_language, say
from svd_lab.settings_table import FITS, SETTINGS, default_of

MODELS = "auto, mini, mini-turbo, svd, svd-xt, a folder, or a Hub id"
IMAGE_MODELS = "auto, mini, sd21, a folder, or a Hub id"
_TYPES = {"whole": int, "side": int, "real": float}
_METAVARS = {"whole": "N", "side": "PIXELS", "real": "X", "prompt": "TEXT", "fit": f"{{{','.join(FITS)}}}"}


def manual(description: str, *examples: str, more: str = "") -> dict[str, Any]:
    """Return the keywords of a parser that make a command's page of help.

    Args:
        description: What it does; wrapped here.
        examples: Lines as they are typed.
        more: Text below the examples, laid out as it is.
    """
    width = min(shutil.get_terminal_size().columns, 100) - 2
    lines = ["examples:", *(f"  {line}" for line in examples), *(["", more] if more else [])]
    return {
        "description": textwrap.fill(description, width),
        "epilog": "\n".join(lines),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def debug_options() -> argparse.ArgumentParser:
    """A parent parser with --debug, for every command."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def device_options() -> argparse.ArgumentParser:
    """A parent parser with --device and --dtype."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--device", help="where to run: cuda, cuda:1, mps or cpu (cuda if available)")
    parser.add_argument(
        "--dtype",
        choices=["float16", "bfloat16", "float32"],
        help="number format of the weights (float16 on CUDA, else float32)",
    )
    return parser


def speed_options(default: str | None = "auto") -> argparse.ArgumentParser:
    """A parent parser with --speed and --memory. default: of --speed; None: fused on a CPU, else auto."""
    parser = argparse.ArgumentParser(add_help=False)
    levels = "off: plain diffusers; exact: faster, the same to the bit; fused: fastest, the same up to rounding"
    shown = "auto: fused on a CUDA GPU in 16 bits, else exact" if default else "fused on a CPU, else auto"
    parser.add_argument(
        "--speed", choices=["auto", "off", "exact", "fused"], default=default, help=f"{levels} ({shown})"
    )
    parser.add_argument(
        "--memory",
        default="auto",
        metavar="PLACEMENT",
        help="where the model's parts are on a GPU: whole, pieces or blocks (auto: what fits)",
    )
    return parser


def add_settings(parser: argparse.ArgumentParser, names: Iterable[str], call: str | None = None) -> None:
    """Add an option for each setting.

    Args:
        parser: Where to add them.
        names: Of the settings.
        call: The call whose defaults the options have; None for no default, so that None means that an option was not given.
    """
    for name in names:
        row, default = SETTINGS[name], default_of(name, call) if call else None
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=_TYPES.get(row.kind, str),
            default=default,
            metavar=_METAVARS[row.kind],
            help=say(row.help) + (f" ({default})" if default is not None else ""),
        )


def language_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --language; its default is this machine's language."""
    here = reader_language()
    text = f"language of {what} ({here}: this machine's)"
    parser.add_argument("--language", choices=LANGUAGES, default=here, help=text)


def add_parameters(parser: argparse.ArgumentParser, text: str) -> None:
    """Add --language and -p, which commands that run notebooks share. text: the help of -p."""
    language_option(parser, "the notebooks")
    parser.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("PARAMETER", "VALUE"), help=text
    )


def load_video(options: argparse.Namespace) -> Any:
    """Load the video pipeline that --model, --device, --dtype, --speed and --memory select."""
    speed = options.speed
    if speed is None:
        from svd_lab.pipelines import choose_device

        speed = "fused" if choose_device(options.device)[0].type == "cpu" else "auto"
    return svd_lab.load_video_pipeline(
        options.model, device=options.device, dtype=_dtype(options), speed=speed, memory=options.memory
    )


def load_image(options: argparse.Namespace) -> Any:
    """Load the image pipeline that --image-model, --device and --dtype select."""
    return svd_lab.load_image_pipeline(options.image_model, device=options.device, dtype=_dtype(options))


def _dtype(options: argparse.Namespace) -> Any:
    if options.dtype is None:
        return None
    import torch

    return getattr(torch, options.dtype)
