"""`check("1.3", answer)`: right or wrong, with hints that get clearer; everything happens in the notebook, without a network.

The judging is in `svd_lab.lesson.questions`, so that a notebook does not give its answers away. What is printed for an answer that
is right, or not there yet, is the same in both languages; only hints are sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from svd_lab.language import pick, reader_language, say
from svd_lab.lesson.question import Question

OPEN, RIGHT, WRONG = "☐", "✓", "✗"


@dataclass
class Record:
    """What a student did with one question."""

    tries: int = 0
    right: bool = False


_RECORDS: dict[str, Record] = {}


def check(name: str, answer: Any = None, **facts: Any) -> None:
    """Check the answer to a question of a lesson, and print one line: ☐ open, ✓ right, ✗ wrong with a hint.

    The first wrong answer gets a first hint, the second a clearer one, the third the answer. A wrong answer never raises, so that
    a notebook runs to its end.

    Args:
        name: The question's id, as "1.3".
        answer: What the student computed or chose; None means not answered yet, and counts as no try.
        facts: Values of the notebook that the right answer depends on, by name; the cell that asks hands them over.

    Raises:
        KeyError: There is no such question.
    """
    language = reader_language()
    question = find(name)
    record = _RECORDS.setdefault(name, Record())
    if _open(answer):
        print(f"{OPEN} {name}")
        return
    record.tries += 1
    try:
        mistake = question.judge(answer, facts)
    except Exception as error:  # a student's function may raise anything; the lesson goes on
        said = f"{type(error).__name__}: {error}"
        print(WRONG, name, say("This answer cannot be checked:"), pick(question.expects, language), f"({said})")
        return
    record.right = mistake is None
    if record.right:
        print(f"{RIGHT} {name}")
        return
    number = min(record.tries, len(question.hints))
    known = question.mistakes.get(mistake)
    reply = pick(known, language) if known else say("Not yet.")
    print(
        f"{WRONG} {name} {reply}\n  ",
        say("Hint {number} of 3:", number=number),
        pick(question.hints[number - 1], language),
    )


def _open(answer: Any) -> bool:
    """Whether nothing was answered yet: no value, or a function that still has the `...` of the exercise in it."""
    code = getattr(answer, "__code__", None)
    return answer is None or answer is ... or (code is not None and ... in code.co_consts)


def find(name: str) -> Question:
    """The question with an id; KeyError, with the ids there are, if there is none."""
    lesson = name.partition(".")[0] if isinstance(name, str) else ""
    known = questions_of(int(lesson)) if lesson.isdecimal() else {}
    if name not in known:
        listed = ", ".join(known) or "1.1, …"
        raise KeyError(say("there is no question {name!r}; this lesson has {known}", name=name, known=listed))
    return known[name]


@cache
def questions_of(lesson: int) -> dict[str, Question]:
    """The questions of a lesson by id; none for a lesson that has none."""
    try:
        return import_module(f"svd_lab.lesson.questions.lesson{lesson}").QUESTIONS
    except ModuleNotFoundError:
        return {}


def answers() -> dict[str, dict[str, Any]]:
    """What was answered in this notebook, for result.json: {id: {"tries": number, "right": whether the last one was}}."""
    return {name: {"tries": record.tries, "right": record.right} for name, record in _RECORDS.items()}


def forget() -> None:
    """Begin anew, as `start_lesson` does: a notebook that is run again counts from nothing."""
    _RECORDS.clear()
