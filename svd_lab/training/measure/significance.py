"""How sure the measures are: 32 scenes are few, and a thing that goes the wrong way decides its scene.

Standard errors are the bootstrap's: the figures of many sets drawn from the measured clips, with replacement. Two results are
compared in pairs, scene by scene, which is surer than either alone. Clips are rows of `evaluate --json`.
"""

import math
import random
import statistics

from svd_lab.world.measures import summary

DRAWS = 400


def _rows(clips: list[dict]) -> list[dict]:
    """Rows of `measure` from JSON, where nan is null."""
    return [{k: float("nan") if v is None else v for k, v in clip.items()} for clip in clips]


def _error(figures: list[float]) -> float | None:
    figures = [f for f in figures if f == f]  # a draw without a clip that has this figure says nothing
    return statistics.stdev(figures) if len(figures) > 1 else None


def standard_errors(clips: list[dict], draws: int = DRAWS, seed: int = 0) -> dict[str, float | None]:
    """Of each figure of `measures.summary` of these clips; None where it cannot be told. The same clips give the same numbers."""
    rows, pick = _rows(clips), random.Random(seed)
    if len(rows) < 2:
        return {}
    drawn = [summary(pick.choices(rows, k=len(rows))) for _ in range(draws)]
    return {key: _error([d[key] for d in drawn]) for key in drawn[0]}


def shown(value: float, error: float | None) -> str:
    """A difference and its standard error as Markdown: bold where it is more than two of them."""
    text = f"{value:+.3f} ± {'?' if error is None else format(error, '.3f')}"
    return f"**{text}**" if error is not None and abs(value) > 2 * error else text


def differences(
    old: list[dict], new: list[dict], draws: int = DRAWS, seed: int = 0
) -> dict[str, tuple[float, float | None]]:
    """new - old of each figure, and its standard error, in pairs. Raises ValueError if the clips are not of the same scenes."""
    # Drawn on a CPU, so alike everywhere but for rounding.
    same = lambda a, b: a["thing"] == b["thing"] and math.isclose(a["travel"], b["travel"], rel_tol=1e-2, abs_tol=1e-4)  # noqa: E731
    if len(old) != len(new) or not all(map(same, old, new)):
        raise ValueError(
            "these results are not of the same scenes, so they cannot be compared in pairs: "
            "measure both with the same --scenes and --seed"
        )
    rows, pick = list(zip(_rows(old), _rows(new), strict=True)), random.Random(seed)

    def difference(pairs) -> dict[str, float]:
        a, b = (summary(list(side)) for side in zip(*pairs, strict=True))
        return {key: b[key] - a[key] for key in a}

    drawn = [difference(pick.choices(rows, k=len(rows))) for _ in range(draws)]
    return {key: (value, _error([d[key] for d in drawn])) for key, value in difference(rows).items()}
