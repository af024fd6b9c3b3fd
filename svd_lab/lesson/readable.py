"""What a notebook leaves behind that opens anywhere: its pictures inside it, and pages, slides and a PDF made from it.

nbconvert makes the pages; a Chromium or Chrome that is on the machine prints the PDF.
"""

from __future__ import annotations

import html
import mimetypes
import os
import re
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

from svd_lab.language import say

_PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:|data:|attachment:)([^)\s]+)\)")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:|attachment:)[^)\s]+\)")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


def make_portable(notebook: Any, folder: Path) -> None:
    """Make a notebook's Markdown cells independent of where it is.

    Pictures, which are files relative to `folder`, are put inside it; one that is missing becomes its description. Links to other
    files of the repository become text.
    """
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            source = _PICTURE.sub(lambda found, cell=cell: _attach(cell, found, folder), cell.source)
            cell.source = _LINK.sub(r"\1", source)


def _attach(cell: Any, found: re.Match[str], folder: Path) -> str:
    file = folder / found[2]
    kind = mimetypes.guess_type(file.name)[0] or {".webp": "image/webp"}.get(file.suffix)
    if not file.is_file() or kind is None:
        return f"*{found[1]}*"
    cell.setdefault("attachments", {})[file.name] = {kind: b64encode(file.read_bytes()).decode()}
    return f"![{found[1]}](attachment:{file.name})"


def write_page(notebook: Path, out: Path | None = None) -> Path:
    """Write a notebook as NAME.html, with its outputs, clips and pictures inside; `out` is the folder (None: the notebook's)."""
    from nbconvert import HTMLExporter

    # No network is needed but by formulas: nothing in a page of ours uses require.js, jQuery or mermaid.
    exporter = HTMLExporter(require_js_url="", jquery_url="", mermaid_js_url="", exclude_input_prompt=True)
    exporter.exclude_output_prompt = True
    return _export(exporter, _read(notebook), notebook, out, ".html")


def write_slides(notebook: Path, out: Path | None = None) -> Path:
    """Write a notebook as NAME.slides.html, by reveal.js from the web.

    JupyterLab's slide types are followed; in a notebook that has none, each heading begins a slide, and each further text one below
    it.
    """
    from nbconvert import SlidesExporter

    read = _read(notebook)
    if not any("slideshow" in cell.metadata for cell in read.cells):
        for cell in read.cells:
            if cell.cell_type == "markdown":
                heading = re.match(r"#{1,2} ", cell.source)
                cell.metadata["slideshow"] = {"slide_type": "slide" if heading else "subslide"}
    return _export(SlidesExporter(reveal_scroll=True), read, notebook, out, ".slides.html")


def write_pdf(page: Path, browser: str | None = None) -> Path:
    """Print a page that `write_page` wrote as NAME.pdf beside it.

    Args:
        page: The page.
        browser: A Chromium or Chrome; None: the first of BROWSERS that is on the PATH.

    Raises:
        FileNotFoundError: There is no such browser.
        RuntimeError: It printed nothing.
    """
    found = shutil.which(browser) if browser else next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise FileNotFoundError(
            say(
                "a PDF is printed by Chromium or Chrome, and there is none here ({browsers}). Name one with --browser, or open "
                "{page} in your browser and print it to a file",
                browsers=browser or ", ".join(BROWSERS),
                page=page,
            )
        )
    pdf = page.with_suffix(".pdf")
    pdf.unlink(missing_ok=True)
    command = [found, "--headless", "--disable-gpu", "--no-pdf-header-footer", "--virtual-time-budget=10000"]
    if getattr(os, "geteuid", lambda: 1)() == 0:
        command.append("--no-sandbox")  # Chromium's sandbox does not start for root
    done = subprocess.run(
        [*command, f"--print-to-pdf={pdf}", page.resolve().as_uri()], capture_output=True, timeout=300
    )
    if not pdf.is_file():
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise RuntimeError(say("{browser} printed no PDF of {page}: {said}", browser=found, page=page, said=said))
    return pdf


def _read(notebook: Path) -> Any:
    import nbformat

    read = nbformat.read(notebook, as_version=4)
    make_portable(read, notebook.parent)
    for cell in read.cells:
        for output in cell.get("outputs", ()):
            _describe(output)
    return read


def _describe(output: Any) -> None:
    """Show a picture that has a description with it: nbconvert's pages leave it out."""
    for kind in ("image/png", "image/jpeg"):
        alt = output.get("metadata", {}).get(kind, {}).get("alt")
        if alt and kind in output.get("data", {}):
            source = f"data:{kind};base64,{output.data[kind].replace(chr(10), '')}"
            output.data = {"text/html": f'<img alt="{html.escape(html.unescape(alt))}" src="{source}">'}
            return


def _export(exporter: Any, read: Any, notebook: Path, out: Path | None, ending: str) -> Path:
    text, _ = exporter.from_notebook_node(read, {"metadata": {"name": notebook.stem}})
    file = (out or notebook.parent) / f"{notebook.stem}{ending}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file
