"""What a notebook leaves behind: its pictures inside it, a page that needs no file beside it, slides, and a PDF."""

import html
import re
import shutil

import nbformat
import pytest
from PIL import Image

from svd_lab.commands import main
from svd_lab.lesson import readable

CLIP = '<video src="data:video/mp4;base64,AAAA"></video>'


@pytest.fixture
def notebook(tmp_path):
    """A notebook with a picture beside it, a picture and a page that are not there, and a clip among its outputs."""
    folder = tmp_path / "lessons"
    folder.mkdir()
    Image.new("RGB", (8, 8), "red").save(folder / "title.webp")
    text = "# One\n![a title](title.webp) ![lost](gone.png) [word](../docs/a.md#b) [web](https://example.org) [below](#two)"
    code = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("display_data", {"text/html": CLIP})])
    cells = [
        nbformat.v4.new_markdown_cell(text),
        code,
        nbformat.v4.new_markdown_cell("More."),
        nbformat.v4.new_markdown_cell("## Two"),
    ]
    path = folder / "a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_pictures_are_put_inside_and_nothing_points_outside(notebook):
    read = nbformat.read(notebook, as_version=4)
    readable.make_portable(read, notebook.parent)
    cell = read.cells[0]
    assert (
        cell.source == "# One\n![a title](attachment:title.webp) *lost* word [web](https://example.org) [below](#two)"
    )
    assert list(cell.attachments) == ["title.webp"] and list(cell.attachments["title.webp"]) == ["image/webp"]
    nbformat.validate(read)
    before = cell.source
    readable.make_portable(read, notebook.parent)
    assert cell.source == before


def test_the_page_has_the_pictures_and_clips_inside_and_needs_no_file(notebook, tmp_path):
    page = readable.write_page(notebook, tmp_path / "out").read_text("utf-8")
    assert "data:image/webp;base64," in page and CLIP in page
    assert not [link for link in re.findall(r'(?:src|href)="([^"]+)', page) if not re.match(r"https?:|data:|#", link)]
    assert "require.min.js" not in page


def test_a_picture_keeps_its_description(notebook, tmp_path):
    read = nbformat.read(notebook, as_version=4)
    described = {"image/png": {"alt": 'a "red" square'}}
    read.cells[1].outputs = [nbformat.v4.new_output("display_data", {"image/png": "AAAA"}, metadata=described)]
    nbformat.write(read, notebook)
    page = readable.write_page(notebook, tmp_path / "out").read_text("utf-8")
    assert re.search(r"""<img alt=["']a "red" square["'] src="data:image/png;base64,AAAA\"""", html.unescape(page))
    assert "No description" not in page


def test_each_heading_begins_a_slide_unless_the_notebook_says_itself(notebook, tmp_path):
    def slides():
        return readable.write_slides(notebook, tmp_path / "out").read_text("utf-8").count("<section>")

    assert slides() == 2 + 3  # two headings; below the first a text of its own
    read = nbformat.read(notebook, as_version=4)
    read.cells[3].metadata["slideshow"] = {"slide_type": "slide"}
    nbformat.write(read, notebook)
    assert slides() == 2 + 2


def test_without_a_browser_the_pdf_is_refused_with_what_to_do(notebook, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main.main(["handout", str(notebook), "--out", str(tmp_path / "out")]) == 1
    assert "--browser" in capsys.readouterr().err
    assert main.main(["handout", str(notebook), "--out", str(tmp_path / "out"), "--only", "slides"]) == 0


@pytest.mark.skipif(not any(map(shutil.which, readable.BROWSERS)), reason="a PDF needs Chromium or Chrome")
def test_handout_writes_the_page_the_slides_and_the_pdf(notebook, tmp_path, capsys):
    assert main.main(["handout", str(notebook), "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.html", "a.slides.html", "a.pdf"}
    assert (tmp_path / "out" / "a.pdf").read_bytes().startswith(b"%PDF")
    assert len(capsys.readouterr().out.splitlines()) == 3
