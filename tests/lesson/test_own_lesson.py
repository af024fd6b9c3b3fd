"""docs/own-lesson.md, followed: the plain notebook and the text that it shows are lessons."""

import json
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from svd_lab.classroom.plan import make_plan
from svd_lab.commands import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own-lesson.md").read_text("utf-8")
PARAMETERS, CELL, TEXT = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
FAST = {"num_frames": 2, "num_inference_steps": 1}


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """my-lesson.ipynb as the page has it, in one language."""
    monkeypatch.chdir(tmp_path)
    cells = [
        nbformat.v4.new_code_cell(source) for source in (PARAMETERS, CELL.replace("pipe=pipe", "pipe=pipe, **FAST"))
    ]
    cells[0].metadata.tags = ["parameters"]
    cells.insert(1, nbformat.v4.new_code_cell(f"FAST = {FAST}"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), "my-lesson.ipynb")
    return tmp_path


def test_its_parameters_are_columns_of_a_class(lesson):
    (lesson / "class.csv").write_text("name,seed,picture\nA,7,ball\n", "utf-8")
    [run] = make_plan(lesson / "class.csv", ["my-lesson.ipynb"]).runs
    assert run.lesson == "my-lesson" and run.parameters == {"seed": 7, "picture": "ball"}


def test_its_text_becomes_a_notebook_with_a_title_and_parameters():
    title, parameters, cell = jupytext.reads(TEXT, fmt="py:percent").cells
    assert title.cell_type == "markdown" and title.source == "# A rabbit"
    assert parameters.metadata.tags == ["parameters"] and "generate_video" in cell.source


def test_jupytext_is_in_the_extra_that_the_page_names():
    import tomllib

    extra = re.search(r'pip install "\.\[(\w+)\]"', PAGE)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = " ".join(project["optional-dependencies"][extra])
    assert all(package in named for package in ("jupytext", "nbconvert", "jupyterlab", "papermill"))


@pytest.mark.slow
def test_it_runs_and_leaves_a_clip_and_a_page(lesson):
    (command,) = re.findall(r"^svd-lab (lesson .*)$", PAGE, re.M)
    assert main.main(command.split()) == 0
    out = lesson / "results"
    assert {path.name for path in out.iterdir()} == {"my-lesson.ipynb", "my-lesson.html", "clip.mp4"}
    assert "data:video/mp4" in (out / "my-lesson.html").read_text("utf-8")
    assert 7 in [json.loads(line.split("= ")[1]) for line in
                 nbformat.read(out / "my-lesson.ipynb", 4).cells[1].source.splitlines() if line.startswith("seed")]  # fmt: skip
