"""Build the notebooks: lessons/src/NN_name.py -> lessons/ko/NN_name.ipynb and lessons/en/NN_name.ipynb.

    python lessons/build.py              # write both folders; outputs are kept where the code is unchanged
    python lessons/build.py --check      # exit 1, with names, if a notebook does not match its source
    python lessons/build.py --execute    # run them on the mini and keep the outputs (about two minutes each)

A source is jupytext's py:percent and has both languages, so that the two notebooks cannot drift apart:

- every cell has an id: `# %% id="unet"`. A Markdown cell is written twice with one id, first lang="ko", then lang="en";
- a comment that teaches is written twice in the code: lines `# ko| …` followed by lines `# en| …`, or after code
  `x = 1  # ko| … # en| …`. The build keeps one and drops the mark;
- code is written once and prints no sentences, so that its outputs serve both languages: --execute runs the Korean notebook
  and copies its outputs into the English one;
- the English notebook has no Hangul, except in code tagged "korean-prompts", where it is data;
- before the cell tagged "parameters" the build inserts one that installs svd-lab on Colab and Kaggle, and does nothing elsewhere.
  Its repository address is from pyproject.toml.

Needs jupytext, and nbclient for --execute (the project's test extra brings both).
"""

from __future__ import annotations

import argparse
import copy
import io
import os
import re
import sys
import tempfile
import tokenize
import tomllib
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

LESSONS = Path(__file__).resolve().parent
LANGUAGES = ("ko", "en")
MAX_BYTES = 1_000_000  # of a notebook with its outputs; code hosts do not show larger ones
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
REPOSITORY = tomllib.loads((LESSONS.parent / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
INSTALL_ID = "install"
INSTALL = f"""\
# ko| Colab과 Kaggle에 svd-lab이 없으면 설치해요. 다른 곳에서는 아무 일도 하지 않아요.
# en| Installs svd-lab on Colab and Kaggle, where it is missing; does nothing elsewhere.
import importlib.util
import os
import sys

if "google.colab" in sys.modules or "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
    if importlib.util.find_spec("svd_lab") is None:
        %pip install --quiet git+{REPOSITORY}
"""
_LINE = re.compile(r"(?P<indent>\s*)# (?P<lang>ko|en)\|(?: (?P<text>.*))?")
_BEHIND = re.compile(r"(?P<code>.*\S)  # ko\| (?P<ko>.*?) # en\| (?P<en>.*)")
_HANGUL = re.compile(r"[가-힣]")


def sources() -> list[Path]:
    """List the sources of all lessons, in order."""
    return sorted((LESSONS / "src").glob("[0-9][0-9]_*.py"))


def notebook_path(source: Path, language: str) -> Path:
    """The path of the notebook of `source` in `language`."""
    return LESSONS / language / f"{source.stem}.ipynb"


def build(text: str, language: str, name: str = "source") -> NotebookNode:
    """Build a notebook without outputs.

    Args:
        text: The source.
        language: "ko" or "en".
        name: The source's name, for error messages.

    Raises:
        ValueError: A missing or repeated id, a Markdown cell or comment that lacks a language, or Korean in the English notebook.
    """
    cells = []
    for cell_id, versions in _by_id(jupytext.reads(text, fmt="py:percent").cells, name):
        cell = versions[language]
        metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        make = nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
        source = (
            cell.source if cell.cell_type == "markdown" else one_language(cell.source, language, f"{name}: {cell_id}")
        )
        if language == "en" and _HANGUL.search(source) and "korean-prompts" not in metadata.get("tags", ()):
            raise ValueError(
                f"{name}: cell {cell_id!r} has Korean in its English version: {_HANGUL.search(source.strip())[0]!r}"
            )
        if "parameters" in metadata.get("tags", ()):
            cells.append(nbformat.v4.new_code_cell(one_language(INSTALL, language), id=INSTALL_ID))
        cells.append(make(source, id=cell_id, metadata=metadata))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(METADATA))
    nbformat.validate(notebook)
    return notebook


def _by_id(cells: list[NotebookNode], name: str) -> list[tuple[str, dict[str, NotebookNode]]]:
    """The cells in order as (id, {language: cell}); a code cell serves both languages."""
    found: list[tuple[str, dict[str, NotebookNode]]] = []
    cells = list(cells)
    while cells:
        cell = cells.pop(0)
        cell_id = cell.metadata.get("id", "")
        if not re.fullmatch(r"[a-z0-9-]{1,64}", cell_id):
            raise ValueError(f'{name}: a cell needs id="…" of small letters, digits and "-": {cell.source[:60]!r}')
        if cell_id == INSTALL_ID:
            raise ValueError(
                f"{name}: the id {INSTALL_ID!r} is reserved for a cell that the build adds; choose another"
            )
        if cell_id in dict(found):
            raise ValueError(
                f"{name}: two cells have the id {cell_id!r} (or the languages of a Markdown cell are not adjacent)"
            )
        if cell.cell_type != "markdown":
            found.append((cell_id, dict.fromkeys(LANGUAGES, cell)))
            continue
        other = cells.pop(0) if cells else None
        order = [part.metadata.get("lang") for part in (cell, other) if part is not None]
        if other is None or order != list(LANGUAGES) or other.metadata.get("id") != cell_id:
            raise ValueError(
                f'{name}: Markdown cell {cell_id!r} must be written twice with one id, lang="ko" and then lang="en"'
            )
        if not _HANGUL.search(cell.source) or not re.search("[a-zA-Z]", other.source):
            raise ValueError(f"{name}: Markdown cell {cell_id!r} is empty, or its Korean version is not first")
        found.append((cell_id, dict(zip(LANGUAGES, (cell, other), strict=True))))
    return found


def one_language(code: str, language: str, name: str = "code") -> str:
    """Keep the comments of one language, without their marks; raises ValueError for a comment that lacks the other."""
    kept = []
    expected: str | None = None  # after a Korean line: "en", until an English one follows
    for line in code.splitlines():
        if mark := _LINE.fullmatch(line):
            if mark["lang"] == "en" and expected is None:
                raise ValueError(f"{name}: an English comment without a Korean one before it: {line.strip()!r}")
            expected = "en" if mark["lang"] == "ko" else "more en"
            if mark["lang"] == language:
                kept.append(f"{mark['indent']}# {mark['text'] or ''}".rstrip())
            continue
        if expected == "en":
            raise ValueError(f"{name}: a Korean comment without an English one after it, before {line.strip()!r}")
        expected = None
        if mark := _BEHIND.fullmatch(line):
            line = f"{mark['code']}  # {mark[language]}"
        elif re.search(r"# (ko|en)\|", line):
            raise ValueError(f"{name}: a comment after code must be written `# ko| … # en| …`: {line.strip()!r}")
        kept.append(line)
    if expected == "en":
        raise ValueError(f"{name}: the last comment has no English")
    return "\n".join(kept)


def plain_code(code: str) -> str:
    """Remove comments and blank lines: what is left is the same in both languages."""
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(code).readline) if t.type != tokenize.COMMENT]
    lines = tokenize.untokenize(tokens).splitlines()
    return "\n".join(line.rstrip(" \\") for line in lines if line.strip(" \\"))


def keep_outputs(new: NotebookNode, old: NotebookNode) -> bool:
    """Copy the outputs of `old` into `new` if their code, without comments, is the same.

    The installing cell may differ: it shows nothing, and another address of the repository changes no output.

    Returns:
        Whether they were copied.
    """
    after, before = ({cell.id: cell for cell in one.cells if cell.cell_type == "code"} for one in (new, old))
    if list(after) != list(before):
        return False
    if any(plain_code(after[i].source) != plain_code(before[i].source) for i in after if i != INSTALL_ID):
        return False
    for cell in new.cells:
        if cell.cell_type == "code":
            cell.outputs = copy.deepcopy(before[cell.id].outputs)
            cell.execution_count = before[cell.id].execution_count
    return True


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """Copy `notebook` without outputs, execution counts and metadata of a run."""
    bare = copy.deepcopy(notebook)
    for cell in bare.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    bare.metadata = copy.deepcopy(METADATA)
    return bare


def execute(notebook: NotebookNode, timeout: int = 600) -> None:
    """Run `notebook` in place on the mini, in an empty folder.

    Args:
        notebook: Gets the outputs.
        timeout: Seconds that a cell may take.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised.
    """
    from nbclient import NotebookClient

    settings = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "passive", "SVD_LAB_MODELS": ""}
    environment = {**os.environ, **settings}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(LESSONS.parent), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment)
    # The loading bars of diffusers and transformers are widgets, whose state is not kept: without it they would show 0%.
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a notebook does not match its source"
    )
    parser.add_argument("--execute", action="store_true", help="run the notebooks on the mini and keep the outputs")
    parser.add_argument("lessons", nargs="*", help="starts of names, as 01; default: all lessons")
    options = parser.parse_args()
    chosen = [s for s in sources() if not options.lessons or s.name.startswith(tuple(options.lessons))]
    if not chosen:
        parser.error(f"no lesson starts with {options.lessons}; there are {', '.join(s.stem for s in sources())}")
    stale, large = [], []
    for source in chosen:
        text = source.read_text("utf-8")
        built = {language: build(text, language, source.name) for language in LANGUAGES}
        if options.execute and not options.check:
            execute(built["ko"])
            keep_outputs(built["en"], built["ko"])
        for language, notebook in built.items():
            path = notebook_path(source, language)
            old = nbformat.read(path, as_version=4) if path.is_file() else None
            if options.check:
                if old is None or without_outputs(old) != without_outputs(notebook):
                    stale.append(str(path.relative_to(LESSONS.parent)))
                continue
            if old is not None and not options.execute:
                keep_outputs(notebook, old)
            content = nbformat.writes(notebook, indent=1) + "\n"
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, "utf-8")
            if len(content.encode()) > MAX_BYTES:
                large.append(f"{path.name} ({len(content.encode()) / 1e6:.2f} MB)")
            print(
                f"{path.relative_to(LESSONS.parent)}: {len(notebook.cells)} cells, {len(content.encode()) / 1e3:.0f} kB"
            )
    if stale:
        print(f"these do not match their sources (run: python lessons/build.py): {', '.join(stale)}", file=sys.stderr)
    if large:
        print(f"too large for code hosts (over {MAX_BYTES / 1e6:.0f} MB): {', '.join(large)}", file=sys.stderr)
    return 1 if stale or large else 0


if __name__ == "__main__":
    sys.exit(main())
