"""What tests import by name; fixtures are in conftest.py."""

import importlib.util
import signal
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

TINY_SIZE = (96, 64)  #: (width, height) of the tiny models of conftest.py


def make_picture(size=TINY_SIZE, seed=0):
    """A smooth random RGB picture of (width, height)."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def hear_ctrl_c() -> None:
    """preexec_fn of a child that a test interrupts: a CI run in the background starts its children deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def module_at(path: Path) -> ModuleType:
    """A module by its file: one that is in no package, or whose name another package has, too."""
    spec = importlib.util.spec_from_file_location(f"{path.stem}_by_path", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
