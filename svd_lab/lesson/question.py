"""What a question of a lesson is: how an answer is judged, and what to say to a wrong one."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from svd_lab.language import Pair, say

Tier = Literal["recall", "change", "code"]
#: Returns None for a right answer, else the name of the mistake, a key of Question.mistakes; "" for one without a name.
Judge = Callable[[Any, Mapping[str, Any]], str | None]


@dataclass(frozen=True)
class Question:
    """A question whose answer the notebook checks.

    Attributes:
        id: Lesson and number, as "1.3".
        tier: "recall" what was shown, "change" a value and look, write "code".
        judge: Judges an answer, with the values that the notebook hands to `check` beside it.
        expects: What kind of thing an answer is, for one that cannot be judged.
        hints: Three, each more than the one before; the last gives the answer.
        mistakes: What to say to a known mistake, before the hint.
    """

    id: str
    tier: Tier
    judge: Judge
    expects: Pair
    hints: tuple[Pair, Pair, Pair]
    mistakes: Mapping[str, Pair] = field(default_factory=dict)


LETTER: Pair = (
    '보기의 글자 하나를 따옴표 안에 적어 주세요, 예: answer = "a"',
    'give the letter of a choice in quotes, as answer = "a"',
)
NUMBER: Pair = ("수 하나를 적어 주세요, 예: answer = 3", "give one number, as answer = 3")
FUNCTION: Pair = ("함수의 이름을 괄호 없이 넘겨 주세요", "hand over the function's name, without parentheses")


def choice(right: str, among: str = "abcd") -> Judge:
    """The answer is one of the letters `among`; a wrong letter is a mistake of its own name."""

    def judge(answer: Any, _facts: Mapping[str, Any]) -> str | None:
        letter = answer.strip().lower()
        if len(letter) != 1 or letter not in among:
            raise ValueError(say("not one of {among}", among=among))
        return None if letter == right else letter

    return judge


def number(
    right: float | Callable[[Mapping[str, Any]], float],
    *,
    tolerance: float = 0.0,
    mistakes: Mapping[str, float | Callable[[Mapping[str, Any]], float]] | None = None,
) -> Judge:
    """The answer is a number within `tolerance` (absolute) of the right one, which may be computed from the notebook's values.

    mistakes: the values that known mistakes give, by name; each with the same tolerance.
    """

    def value(wanted: Any, facts: Mapping[str, Any]) -> float:
        return float(wanted(facts) if callable(wanted) else wanted)

    def judge(answer: Any, facts: Mapping[str, Any]) -> str | None:
        given = plain_number(answer)
        slack = tolerance + 1e-12 * abs(given)
        if abs(given - value(right, facts)) <= slack:
            return None
        found = (name for name, wrong in (mistakes or {}).items() if abs(given - value(wrong, facts)) <= slack)
        return next(found, "")

    return judge


def tried(setting: float | str, tolerance: float) -> Judge:
    """The answer is what a call with `setting` gave: the notebook hands over `tried`, {setting: what came out}, of all its calls.

    Mistake: "other" for what another setting gave.
    """

    def judge(answer: Any, facts: Mapping[str, Any]) -> str | None:
        given = plain_number(answer)
        fits = [name for name, value in facts["tried"].items() if abs(given - value) <= tolerance]
        return None if setting in fits else "other" if fits else ""

    return judge


def formula(
    right: Callable[..., Any], tries: Sequence[tuple[Any, ...]], mistakes: Mapping[str, Callable[..., Any]]
) -> Judge:
    """The answer is a function that gives the right values at all tries.

    mistakes: by name, functions that known mistakes give; the first that fits at all tries is named.
    """

    def judge(function: Any, _facts: Mapping[str, Any]) -> str | None:
        given = [np.asarray(function(*values), dtype=float) for values in tries]

        def fits(wanted: Callable[..., Any]) -> bool:
            return all(
                one.shape == np.shape(wanted(*values)) and np.allclose(one, wanted(*values), rtol=1e-6, atol=1e-8)
                for one, values in zip(given, tries, strict=True)
            )

        if fits(right):
            return None
        return next((name for name, wrong in mistakes.items() if fits(wrong)), "")

    return judge


def plain_number(answer: Any) -> float:
    """A number of Python's, NumPy's or torch's as a float.

    Raises:
        TypeError: Not a single number. True and False are not numbers here.
        ValueError: NaN or infinite.
    """
    if hasattr(answer, "item"):
        answer = answer.item()
    if isinstance(answer, bool) or not isinstance(answer, numbers.Real):
        raise TypeError(say("not a number"))
    if not math.isfinite(answer):
        raise ValueError(say("not a finite number"))
    return float(answer)


def table(questions: Sequence[Question]) -> dict[str, Question]:
    """Questions by id; ValueError for an id that occurs twice."""
    found = {question.id: question for question in questions}
    if len(found) != len(questions):
        raise ValueError(say("two questions have the same id"))
    return found
