"""check: every question's reference answer is right, plausible wrong answers get their own hint, and nothing ends a notebook."""

import random
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from svd_lab.lesson import check
from svd_lab.lesson.checking import OPEN, RIGHT, WRONG, answers, forget, questions_of

LESSONS = sorted(
    int(path.stem[6:]) for path in Path(import_module("svd_lab.lesson.questions").__file__).parent.glob("lesson*.py")
)


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2))


def prediction(before, after, sigma, next_sigma):
    return before - sigma * (after - before) / (next_sigma - sigma)


SIZES = {"pixels": 86016, "latents": 3584}
#: {question: (right answers, {mistake: wrong answers}, facts)}; "" is a wrong answer without a hint of its own.
CASES = {
    "1.1": (["b", " B "], {"a": ["a"], "c": ["c"]}, {}),
    "1.2": (
        [2**32 + 1, float(2**32 + 1)],
        {"without_end": [2**32], "minus": [2**32 - 1], "power": [32], "end": [2**31], "": [0, 33, 2**64]},
        {},
    ),
    "1.3": (
        [lambda: random.randrange(2**32), lambda: random.randint(0, 2**32 - 1), lambda: random.getrandbits(32)],
        {
            "kind": [lambda: random.random(), lambda: str(random.randrange(2**32)), lambda: None],
            "same": [lambda: 42],
            "range": [lambda: random.randrange(-1, 2**33), lambda: random.randint(0, 2**33)],
            "end": [lambda: random.randint(0, 2**32)],
            "small": [lambda: random.randrange(2**31), lambda: random.randrange(1000000)],
        },
        {},
    ),
    "1.4": (["a"], {"b": ["b"], "c": ["C"]}, {}),
    "1.5": (
        [10 / 7, 1.43, np.float32(1.4286)],
        {"product": [70], "inverse": [0.7], "rate": [7], "gaps": [9 / 7], "": [1.4, 10]},
        {},
    ),
    "1.6": (["a"], {"b": ["b"], "c": ["c"]}, {}),
    "1.7": (["c"], {"a": ["a"], "b": ["b"]}, {}),
    "1.8": (
        [24, 24.0],
        {"inverse": [1 / 24], "side": [8], "cell": [64], "cells": [192], "difference": [86016 - 3584], "": [3, 48]},
        SIZES,
    ),
    "1.9": (
        [psnr],
        {
            "wraps": [lambda a, b: 10 * np.log10(255**2 / np.mean((a - b) ** 2))],
            "natural": [lambda a, b: 10 * np.log(255**2 / np.mean((a.astype(float) - b) ** 2))],
            "twenty": [lambda a, b: 2 * psnr(a, b)],
            "sign": [lambda a, b: -psnr(a, b)],
            "peak": [lambda a, b: 10 * np.log10(255 / np.mean((a.astype(float) - b) ** 2))],
            "absolute": [lambda a, b: 10 * np.log10(255**2 / np.mean(np.abs(a.astype(float) - b)))],
            "": [lambda a, b: 30.0],
        },
        {},
    ),
    "1.10": (["c"], {"a": ["a"], "b": ["b"]}, {}),
    "1.11": (
        [prediction],
        {
            "after": [lambda x, y, s, t: x - t * (y - x) / (t - s)],
            "sign": [lambda x, y, s, t: x + s * (y - x) / (t - s)],
            "slope": [lambda x, y, s, t: (y - x) / (t - s)],
            "step": [lambda x, y, s, t: y + s * (y - x) / (t - s)],
            "shape": [lambda x, y, s, t: 0.0],
            "": [lambda x, y, s, t: x],
        },
        {},
    ),
    "1.12": (["b"], {"a": ["a"], "c": ["c"]}, {}),
}


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
        questions = questions_of(lesson).values()
        assert len(questions) >= 10 and {question.tier for question in questions} == {"recall", "change", "code"}
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
def test_plausible_wrong_answers_get_their_own_hint(name, capsys):
    _, wrong, facts = CASES[name]
    question = questions_of(int(name.split(".")[0]))[name]
    assert set(wrong) - {""} == set(question.mistakes), "each known mistake is tried"
    for mistake, given in wrong.items():
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
    hints = questions_of(1)["1.5"].hints
    for number in (1, 2, 3, 3):
        check("1.5", 5)
        assert hints[number - 1][language] in capsys.readouterr().out
    check("1.5", 10 / 7)
    assert answers()["1.5"] == {"tries": 5, "right": True}


def test_what_cannot_be_judged_says_what_an_answer_looks_like(capsys):
    for name, answer in (("1.1", "bc"), ("1.1", 2), ("1.2", "2**32"), ("1.2", True), ("1.5", float("nan")), ("1.9", 3)):
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
