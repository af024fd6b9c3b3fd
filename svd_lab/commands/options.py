"""Options that several commands share, and the pipelines that they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import svd_lab
from svd_lab.settings_table import SETTINGS, default_of

MODELS = "auto, mini, mini-turbo, svd, svd-xt, a folder, or a Hub id"
IMAGE_MODELS = "auto, mini, sd21, a folder, or a Hub id"
_TYPES = {"whole": int, "side": int, "real": float}


def debug_options() -> argparse.ArgumentParser:
    """--debug, for every command."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback when a run fails")
    return parser


def device_options() -> argparse.ArgumentParser:
    """--device and --dtype."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--device", help="cuda, cuda:1, mps or cpu (CUDA where there is one)")
    parser.add_argument("--dtype", choices=["float16", "bfloat16", "float32"], help="(float16 on CUDA, else float32)")
    return parser


def speed_options() -> argparse.ArgumentParser:
    """--speed and --memory."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--speed", choices=["auto", "off", "exact", "fused"], default="auto", help="(auto: the fastest)"
    )
    parser.add_argument(
        "--memory", default="auto", metavar="PLACEMENT", help="on a GPU: whole, pieces, … (auto: what fits)"
    )
    return parser


def add_settings(parser: argparse.ArgumentParser, names: Iterable[str], call: str | None = None) -> None:
    """Add an option for each setting. call: whose defaults they have; None: no default, so that an option left out says nothing."""
    for name in names:
        row, default = SETTINGS[name], default_of(name, call) if call else None
        text = row.help[1] + (f" ({default})" if default is not None else "")
        option, kind = f"--{name.replace('_', '-')}", _TYPES.get(row.kind, str)
        parser.add_argument(option, type=kind, default=default, metavar="X", help=text)


def load_video(options: argparse.Namespace) -> Any:
    """The video pipeline that --model, --device, --dtype, --speed and --memory ask for."""
    return svd_lab.load_video_pipeline(
        options.model, device=options.device, dtype=_dtype(options), speed=options.speed, memory=options.memory
    )


def load_image(options: argparse.Namespace) -> Any:
    """The image pipeline that --image-model, --device and --dtype ask for."""
    return svd_lab.load_image_pipeline(options.image_model, device=options.device, dtype=_dtype(options))


def _dtype(options: argparse.Namespace) -> Any:
    if options.dtype is None:
        return None
    import torch

    return getattr(torch, options.dtype)
