"""How sure the measures are: 32 scenes are few, and one thing that moves the wrong way decides its scene.

Standard errors are bootstrapped: the figures of many sets of clips that are drawn from the measured ones with replacement. Two
results are compared in pairs, scene by scene, which is more precise than either alone. Clips are the rows of `evaluate --json`.
"""

import math
import random
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from svd_lab.world.measures import summary

DRAWS = 400  # sets of clips
Rows = Sequence[dict[str, Any]]


def rows_of(clips: Rows) -> list[dict[str, Any]]:
    """The rows of `measure` from JSON, where nan is null."""
    return [{k: float("nan") if v is None else v for k, v in clip.items()} for clip in clips]


def _error(figures: Iterable[float]) -> float | None:
    """The standard deviation of the figures that are not nan, if there are several."""
    figures = [f for f in figures if f == f]
    return statistics.stdev(figures) if len(figures) > 1 else None


def standard_errors(clips: Rows, draws: int = DRAWS, seed: int = 0) -> dict[str, float | None]:
    """The standard error of each figure of `measures.summary`; the same clips always give the same numbers.

    Args:
        clips: At least two; for fewer the result is empty.
        draws: How many sets to draw.
        seed: Of the draws.

    Returns:
        {figure: its standard error, or None if too few clips have it}.
    """
    rows, pick = rows_of(clips), random.Random(seed)
    if len(rows) < 2:
        return {}
    drawn = [summary(pick.choices(rows, k=len(rows))) for _ in range(draws)]
    return {key: _error(d[key] for d in drawn) for key in drawn[0]}


def shown(value: float, error: float | None) -> str:
    """A difference and its standard error as Markdown: bold where it is more than two standard errors."""
    text = f"{value:+.3f} ± {'?' if error is None else format(error, '.3f')}"
    return f"**{text}**" if error is not None and abs(value) > 2 * error else text


def differences(old: Rows, new: Rows, draws: int = DRAWS, seed: int = 0) -> dict[str, tuple[float, float | None]]:
    """Compare two results in pairs.

    Args:
        old, new: Rows of the same scenes.
        draws: How many sets of pairs to draw.
        seed: Of the draws.

    Returns:
        {figure: (new - old, its standard error)}.

    Raises:
        ValueError: The rows are not of the same scenes.
    """
    # Scenes are rendered on the CPU, so they agree everywhere up to rounding.
    same = lambda a, b: a["thing"] == b["thing"] and math.isclose(a["travel"], b["travel"], rel_tol=1e-2, abs_tol=1e-4)  # noqa: E731
    if len(old) != len(new) or not all(map(same, old, new)):
        raise ValueError(
            "these results are not of the same scenes, so they cannot be compared in pairs: "
            "measure both with the same --scenes and --seed"
        )
    rows, pick = list(zip(rows_of(old), rows_of(new), strict=True)), random.Random(seed)

    def difference(pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
        a, b = (summary(list(side)) for side in zip(*pairs, strict=True))
        return {key: b[key] - a[key] for key in a}

    drawn = [difference(pick.choices(rows, k=len(rows))) for _ in range(draws)]
    return {key: (value, _error(d[key] for d in drawn)) for key, value in difference(rows).items()}
