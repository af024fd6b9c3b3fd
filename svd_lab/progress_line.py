"""Progress as one line of text: rewritten in place on a terminal, printed anew now and then elsewhere (a log, a pipe)."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TextIO

from svd_lab.language import say


class ProgressLine:
    """A line of progress on a stream; a context manager, which removes the line from the terminal at its end."""

    def __init__(self, stream: TextIO | None = None, interval: float = 0.0) -> None:
        """Start with no line.

        Args:
            stream: Where to write; None for standard error.
            interval: Seconds between two lines on a stream that is not a terminal.
        """
        self._stream = stream or sys.stderr
        self._interval = interval
        self._last_text, self._last_time = "", -interval
        self._bar = None
        if self._stream.isatty():
            from tqdm import tqdm  # here, because `svd-lab check` must run where it is missing

            # tqdm finds no size, and shows nothing, on a terminal that reports none (docker, ssh -t, a pseudo terminal).
            columns, rows = shutil.get_terminal_size()
            self._bar = tqdm(file=self._stream, ncols=columns, nrows=rows, bar_format="{desc}", leave=False)

    def show(self, text: str, steps: tuple[int, int] | None = None, rest: str = "") -> None:
        """Show a text, and with `steps` how far it is.

        Args:
            text: All there is to say, or what the steps belong to.
            steps: (steps done, steps in all): a bar on a terminal, numbers elsewhere.
            rest: Shown behind the steps.
        """
        if self._bar is not None:
            self._bar.set_description_str(text, refresh=False)
            if steps is not None:
                self._bar.bar_format = "{desc} {bar} {n_fmt}/{total_fmt}{postfix}"
                self._bar.n, self._bar.total = steps
                self._bar.set_postfix_str(rest, refresh=False)
            self._bar.refresh()
            return
        if steps is not None:
            text = say("{text}: step {steps}/{steps2}, {rest}", text=text, steps=steps[0], steps2=steps[1], rest=rest)
        now = time.monotonic()
        if text != self._last_text and now - self._last_time >= self._interval:
            print(text, file=self._stream, flush=True)
            self._last_text, self._last_time = text, now

    def print_above(self, text: str) -> None:
        """Print a line that stays, above the line of progress."""
        if self._bar is not None:
            self._bar.clear()
        print(text, file=self._stream, flush=True)
        if self._bar is not None:
            self._bar.refresh()

    def finish(self, text: str) -> None:
        """Print `text` in place of the line of progress."""
        self.close()
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Remove the line from the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
