"""How far a class is: how many runs are done, failed and left, and how long the rest will take."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, TextIO

from svd_lab.language import say
from svd_lab.progress_line import ProgressLine

_INTERVAL = 15  # seconds between two lines of a log


class Progress:
    """Counts the runs of a class and shows the counts as a line of progress.

    Args:
        left: How many runs of each lesson are left.
        before: How many runs were finished before.
        stream: Where to show the line; None for standard error.
    """

    def __init__(self, left: Counter[str], before: int, stream: TextIO | None = None) -> None:
        self.left, self.before = left, before
        self.done = self.failed = 0
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._line = ProgressLine(stream, _INTERVAL)

    def count(self, record: dict[str, Any]) -> None:
        """Count a run that has ended."""
        self.left[record["lesson"]] -= 1
        self.done += record["status"] == "done"
        self.failed += record["status"] != "done"
        if record["seconds"]:
            self._seconds[record["lesson"]].append(record["seconds"])

    def text(self, slots: int) -> str:
        """The counts as "12 done, 1 failed, 17 left, about 6 min left". slots: how many notebooks run at a time."""
        parts = [say("{before} finished before", before=self.before)] if self.before else []
        parts += [
            say("{done} done", done=self.done),
            say("{failed} failed", failed=self.failed),
            say("{total} left", total=self.left.total()),
        ]
        seconds = self.seconds_left(slots)
        if seconds is not None and self.left.total():
            parts.append(say("about {duration} left", duration=_duration(seconds)))
        return ", ".join(parts)

    def seconds_left(self, slots: int) -> float | None:
        """Estimate how long the runs that are left take on `slots` at a time.

        A run takes as long as the mean run of its lesson, or of all lessons where none of its own has ended.

        Returns:
            Seconds, or None while no run has ended or there is no slot.
        """
        means = {lesson: sum(seconds) / len(seconds) for lesson, seconds in self._seconds.items()}
        if not means or not slots:
            return None
        overall = sum(means.values()) / len(means)
        return sum(count * means.get(lesson, overall) for lesson, count in self.left.items()) / slots

    def show(self, slots: int) -> None:
        """Show the counts."""
        self._line.show(self.text(slots))

    def message(self, text: str) -> None:
        """Print a sentence of its own, above the counts."""
        self._line.print_above(text)

    def finish(self, slots: int) -> None:
        """Print the counts for the last time."""
        self._line.finish(self.text(slots))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return say("{seconds:.0f} s", seconds=seconds)
    return (
        say("{seconds:.0f} min", seconds=seconds / 60) if seconds < 5400 else say("{hours:.1f} h", hours=seconds / 3600)
    )
