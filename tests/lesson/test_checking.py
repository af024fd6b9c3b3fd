"""check: every question's reference answer is right, plausible wrong answers get their own hint, and nothing ends a notebook."""

import random
from importlib import import_module
from pathlib import Path

import pytest
from helpers import module_at

from svd_lab.lesson import check
from svd_lab.lesson.checking import OPEN, RIGHT, WRONG, answers, forget, questions_of
from svd_lab.lesson.question import LETTER

LESSONS = sorted(
    int(path.stem[6:]) for path in Path(import_module("svd_lab.lesson.questions").__file__).parent.glob("lesson*.py")
)


def _cases(lesson):
    """{question: (right answers, {mistake: wrong answers}, facts)} of cases_lessonN.py.

    The mistake "" is one without a hint of its own, "?" an answer that cannot be judged.
    """
    return module_at(Path(__file__).with_name(f"cases_lesson{lesson}.py")).CASES


CASES = {name: case for lesson in LESSONS for name, case in _cases(lesson).items()}
#: What students write where a letter in quotes is asked for.
NO_LETTER = ["ab", "z", 2, "the first one", ["b"], ""]


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setenv("SVD_LAB_LANGUAGE", "en")
    forget()
    yield
    forget()


def test_every_question_is_tested_and_a_lesson_has_ten_in_three_tiers():
    known = [question for lesson in LESSONS for question in questions_of(lesson).values()]
    assert {question.id for question in known} == set(CASES)
    for lesson in LESSONS:
        exercises = [question for name, question in questions_of(lesson).items() if ".r" not in name]
        assert len(exercises) >= 10 and {question.tier for question in exercises} == {"recall", "change", "code"}
        recap = [name for name in questions_of(lesson) if ".r" in name]
        assert recap == ([f"{lesson}.r{number}" for number in range(1, 6)] if lesson > 1 else [])
    for question in known:
        assert len(question.hints) == 3
        for text in (question.expects, *question.hints, *question.mistakes.values()):
            assert len(text) == 2 and all(text) and any("가" <= letter <= "힣" for letter in text[0])


@pytest.mark.parametrize("name", CASES)
def test_reference_answers_are_right(name, capsys):
    right, _, facts = CASES[name]
    for answer in right:
        check(name, answer, **facts)
        assert capsys.readouterr().out == f"{RIGHT} {name}\n"
    assert answers()[name] == {"tries": len(right), "right": True}


@pytest.mark.parametrize("name", CASES)
def test_five_plausible_wrong_answers_get_their_own_hint(name, capsys):
    _, wrong, facts = CASES[name]
    question = questions_of(int(name.split(".")[0]))[name]
    assert set(wrong) - {"", "?"} == set(question.mistakes), "each known mistake is tried"
    unjudged = [*wrong.get("?", ()), *(NO_LETTER if question.expects is LETTER else ())]
    assert len(unjudged) + sum(len(given) for mistake, given in wrong.items() if mistake != "?") >= 5
    for answer in unjudged:
        check(name, answer, **facts)
        said = capsys.readouterr().out
        assert said.startswith(f"{WRONG} {name} This answer cannot be checked") and question.expects[1] in said
        assert not answers()[name]["right"]
    for mistake, given in wrong.items():
        if mistake == "?":
            continue
        for answer in given:
            forget()
            check(name, answer, **facts)
            said = capsys.readouterr().out
            assert said.startswith(f"{WRONG} {name} ") and question.hints[0][1] in said
            assert question.mistakes.get(mistake, ("", "Not yet."))[1] in said
            assert not answers()[name]["right"]


@pytest.mark.parametrize("language", [0, 1])
def test_hints_get_clearer_and_the_third_one_is_the_answer(language, monkeypatch, capsys):
    monkeypatch.setenv("SVD_LAB_LANGUAGE", ("ko", "en")[language])
    hints = questions_of(2)["2.r1"].hints
    for number in (1, 2, 3, 3):
        check("2.r1", 5)
        assert hints[number - 1][language] in capsys.readouterr().out
    check("2.r1", 12 / 7)
    assert answers()["2.r1"] == {"tries": 5, "right": True}


def test_what_cannot_be_judged_says_what_an_answer_looks_like(capsys):
    for name, answer in (
        ("1.1", "bc"),
        ("1.1", 2),
        ("2.r4", "2**32"),
        ("2.r4", True),
        ("2.r1", float("nan")),
        ("1.9", 3),
    ):
        check(name, answer)
        said = capsys.readouterr().out
        assert said.startswith(f"{WRONG} {name} This answer cannot be checked") and said.count("\n") == 1
    check("1.9", lambda one, other: 1 / 0)
    assert "ZeroDivisionError" in capsys.readouterr().out


def unfinished(one, other):
    return ...


@pytest.mark.parametrize("answer", [None, ..., unfinished])
def test_an_open_answer_is_no_try(answer, capsys):
    check("1.9", answer)
    assert capsys.readouterr().out == f"{OPEN} 1.9\n"
    assert answers()["1.9"] == {"tries": 0, "right": False}


def test_an_unknown_question_is_refused_with_those_there_are():
    for name in ("1.99", "9.1", "", "x", 3):
        with pytest.raises(KeyError, match="no question"):
            check(name, 1)


def test_judging_leaves_the_random_state_alone():
    random.seed(5)
    before = random.getstate()
    check("1.3", lambda: random.randrange(2**32))
    assert random.getstate() == before
