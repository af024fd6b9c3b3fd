"""Progress and warnings of a command, as a terminal shows them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from svd_lab.progress_line import ProgressLine


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings about a prompt or a replay as one line, without Python's file and line number."""
    from svd_lab.prompts import PromptWarning
    from svd_lab.replaying import ReplayWarning

    with warnings.catch_warnings():
        default = warnings.showwarning

        def show(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
            if issubclass(category, PromptWarning | ReplayWarning):
                print(f"svd-lab: {message}", file=sys.stderr)
            else:
                default(message, category, *args, **kwargs)

        warnings.showwarning = show
        yield


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int, float], None]]:
    """Yield an on_step function that shows `label`, the steps and the time left on standard error."""
    with ProgressLine() as line:
        yield lambda step, total, seconds_left: line.show(label, (step, total), f"about {seconds_left:.0f} s left")
