"""Progress and warnings as a terminal shows them."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def plain_warnings() -> Iterator[None]:
    """What there is to say about a prompt or a replay as one line, without Python's file and line number."""
    from svd_lab.prompts import PromptWarning
    from svd_lab.replaying import ReplayWarning

    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
            if issubclass(category, PromptWarning | ReplayWarning):
                print(f"svd-lab: {message}", file=sys.stderr)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int, float], None]]:
    """An on_step function: a tqdm bar on a terminal, a plain line a step elsewhere (a log, a pipe)."""
    if not sys.stderr.isatty():
        yield lambda step, total, left: print(
            f"{label}: step {step}/{total}, about {left:.0f} s left", file=sys.stderr, flush=True
        )
        return
    from tqdm import tqdm

    # tqdm's own count is 0, and its bar empty, on a terminal that tells no size (docker, ssh -t, a pseudo terminal).
    columns, rows = shutil.get_terminal_size()
    layout = "{desc} {bar} {n_fmt}/{total_fmt}{postfix}"
    bar = tqdm(desc=label, leave=False, ncols=columns, nrows=rows, bar_format=layout, mininterval=0)  # shows every step
    with bar:

        def on_step(step: int, total: int, left: float) -> None:
            bar.total = total
            bar.set_postfix_str(f"about {left:.0f} s left", refresh=False)
            bar.update(step - bar.n)

        yield on_step
