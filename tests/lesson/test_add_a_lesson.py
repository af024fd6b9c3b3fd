"""CONTRIBUTING's recipe for a lesson, followed: what it shows builds in both languages, runs, and is checked."""

import json
import re
import sys
from pathlib import Path
from textwrap import dedent

import nbformat
import pytest
from helpers import module_at

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## Add a lesson")[1].split("\n## ")[0]
SOURCE, QUESTIONS = (
    dedent(block) for block in re.findall(r"(?ms)^( *)```python\n(.*?)^ *```", RECIPE) for block in block[1:]
)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with nothing but the recipe's lesson; the package is this one, with the lesson's questions added."""
    (tmp_path / "lessons" / "src").mkdir(parents=True)
    (tmp_path / "lessons" / "src" / "10_mirror.py").write_text(SOURCE, "utf-8")
    package = tmp_path / "svd_lab"
    for folder in (package, package / "lesson", package / "lesson" / "questions"):
        folder.mkdir()
        for path in (ROOT / "svd_lab" / folder.relative_to(package)).iterdir():
            if path.name not in ("lesson", "questions", "__pycache__"):
                (folder / path.name).symlink_to(path)
    (package / "lesson" / "questions" / "lesson10.py").write_text(QUESTIONS, "utf-8")
    build = module_at(ROOT / "lessons" / "build.py")
    monkeypatch.setattr(build, "LESSONS", tmp_path / "lessons")
    monkeypatch.setattr(build, "RESULTS", tmp_path / "lessons" / "results")
    monkeypatch.setattr(build, "NOTES", tmp_path / "docs" / "instructors")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path, build


def test_the_recipe_builds_four_notebooks_and_two_pages(checkout, monkeypatch):
    folder, build = checkout
    monkeypatch.setattr(sys, "argv", ["build.py", "10"])
    assert build.main() == 0
    for language in build.LANGUAGES:
        student, worked = (
            nbformat.read(folder / "lessons" / kind / language / "10_mirror.ipynb", as_version=4)
            for kind in ("", "solutions")
        )
        asked, shown = (next(cell.source for cell in one.cells if cell.id == "q-mirror") for one in (student, worked))
        assert "return ...\n" in asked and "::-1" not in asked and "return array[:, ::-1]\n" in shown
        assert (folder / "docs" / "instructors" / f"10_mirror.{language}.md").read_text("utf-8").startswith("**")


def test_its_question_is_judged(checkout):
    folder, _ = checkout
    question = module_at(folder / "svd_lab" / "lesson" / "questions" / "lesson10.py").QUESTIONS["10.1"]
    assert question.judge(lambda array: array[:, ::-1], {}) is None
    assert question.judge(lambda array: array[::-1], {}) == "upside_down"
    assert question.judge(lambda array: array[:, :, ::-1], {}) == "colours"
    assert question.judge(lambda array: array, {}) == ""


@pytest.mark.slow
def test_it_runs_and_the_answer_is_checked(checkout, monkeypatch):
    folder, build = checkout
    monkeypatch.setattr(sys, "argv", ["build.py", "--execute", "10"])
    assert build.main() == 0
    for kind, mark in (("", "☐"), ("solutions", "✓")):
        notebook = nbformat.read(folder / "lessons" / kind / "en" / "10_mirror.ipynb", as_version=4)
        printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
        assert f"{mark} 10.1\n" in printed
    result = json.loads((folder / "lessons" / "results" / "10_mirror.json").read_text("utf-8"))
    assert result["measured"] == {"twice": 0} and result["answers"] == {"10.1": {"tries": 0, "right": False}}
