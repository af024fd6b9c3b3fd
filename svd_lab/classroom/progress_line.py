"""The line that says how far a class is: on a terminal it is rewritten, elsewhere a line comes now and then."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from typing import Any, TextIO

_EVERY = 15  # seconds between two lines where nothing can be rewritten


class Progress:
    """Counts runs. left: how many of each lesson there are to run; before: how many were finished before."""

    def __init__(self, left: Counter[str], before: int, stream: TextIO | None = None) -> None:
        self.left, self.before = left, before
        self.done = self.failed = 0
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._stream = stream or sys.stderr
        self._shown, self._when = "", 0.0

    def count(self, record: dict[str, Any]) -> None:
        """A run has ended."""
        self.left[record["lesson"]] -= 1
        self.done += record["status"] == "done"
        self.failed += record["status"] != "done"
        if record["seconds"]:
            self._seconds[record["lesson"]].append(record["seconds"])

    def line(self, slots: int) -> str:
        """12 done, 1 failed, 17 left, about 6 min left"""
        parts = [f"{self.before} finished before"] if self.before else []
        parts += [f"{self.done} done", f"{self.failed} failed", f"{self.left.total()} left"]
        seconds = self.seconds_left(slots)
        if seconds is not None and self.left.total():
            parts.append(f"about {_duration(seconds)} left")
        return ", ".join(parts)

    def seconds_left(self, slots: int) -> float | None:
        """What the runs that are left will take on `slots` at a time, from what those of the same lesson took; None: not known."""
        times = {lesson: sum(taken) / len(taken) for lesson, taken in self._seconds.items()}
        if not times or not slots:
            return None
        usual = sum(times.values()) / len(times)
        return sum(count * times.get(lesson, usual) for lesson, count in self.left.items()) / slots

    def show(self, slots: int, last: bool = False) -> None:
        """Show the line, if there is something new to show."""
        line, now = self.line(slots), time.monotonic()
        if self._stream.isatty():
            if line != self._shown or last:
                print(f"\r\x1b[K{line}", end="\n" if last else "", file=self._stream, flush=True)
                self._shown = line
        elif last or (now - self._when >= _EVERY and line != self._shown):
            print(line, file=self._stream, flush=True)
            self._shown, self._when = line, now

    def say(self, text: str) -> None:
        """A sentence of its own, above the line."""
        print(f"\r\x1b[K{text}" if self._stream.isatty() else text, file=self._stream, flush=True)
        self._shown = ""


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
