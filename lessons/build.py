"""Build a lesson's notebooks and its page for instructors from one source, lessons/src/NN_name.py.

    python lessons/build.py              # write everything; outputs stay where the code is unchanged
    python lessons/build.py --check      # exit 1, with names, if something is not what its source gives
    python lessons/build.py --execute    # run the notebooks on the mini and keep the outputs (about two minutes a notebook)

| built | from |
|---|---|
| lessons/ko, lessons/en: for students, exercises open | all cells but the instructors' |
| lessons/solutions/ko, lessons/solutions/en: worked | the same, with the solutions |
| docs/instructors/NN_name.ko.md, .en.md | the Markdown cells tagged "instructor" |
| docs/glossary.md, .ko.md, and a link from each term's first use in a lesson | lessons/glossary.toml |

A source is jupytext's py:percent and has both languages, so that the two notebooks cannot drift apart:

- every cell has an id: `# %% id="unet"`. A Markdown cell is written twice with one id, first lang="ko", then lang="en";
- a comment that teaches is written twice in the code: lines `# ko| …` followed by lines `# en| …`, or after code
  `x = 1  # ko| … # en| …`. The build keeps one and drops the mark;
- code stands once and prints no sentences, so that its outputs serve both languages: --execute runs the English notebook
  and gives the Korean one the same outputs;
- no Hangul in the English notebook, but for code tagged "korean-prompts", where it is data;
- an exercise is code with `...` where a student writes: `answer = ...  # solution| 7`, or a line of its own, `# solution| x = 2`,
  which only the solutions have;
- `alt_ko="…" alt_en="…"` in a cell's header describes its pictures and clips for those who do not see them;
- `{time}` in a title becomes what the saved run of the students' notebook took, by lessons/results;
- before the cell tagged "parameters" the build puts one that says which language the notebook speaks, and stops if svd-lab is
  missing; where the repository has an address (lessons/repository.py), it installs svd-lab on Colab and Kaggle.

Needs jupytext, and nbclient for --execute (the project's test extra brings both).
"""

from __future__ import annotations

import argparse
import copy
import html
import io
import json
import os
import re
import sys
import tempfile
import tokenize
from pathlib import Path

import jupytext
import nbformat
from glossary import PAGES, link_first_uses, page
from nbformat import NotebookNode
from repository import address

LESSONS = Path(__file__).resolve().parent
LANGUAGES = ("ko", "en")
RESULTS = LESSONS / "results"  #: the result.json of each lesson's saved run: its seconds, and what claims.toml checks
NOTES = LESSONS.parent / "docs" / "instructors"
MAX_BYTES = 1_200_000  # of a notebook with its outputs: code hosts show no larger ones
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
INSTALL_ID = "install"
INSTRUCTOR = "instructor"  #: tag of a Markdown cell that is for instructors alone
MISSING = {
    "ko": ("svd_lab이 설치되어 있지 않아요. ", "svd-lab 폴더에서 `pip install .`을 실행하고 커널을 다시 시작하세요."),
    "en": ("svd_lab is not installed: ", "run `pip install .` in the folder of svd-lab, then restart the kernel."),
}


def install_cell(language: str, repository: str | None) -> str:
    """The first code cell: says which language the notebook speaks, and installs svd-lab on Colab and Kaggle or says what to do."""
    hosted = (
        """\
# ko| Colab과 Kaggle에서는 svd-lab을 설치해요.
# en| On Colab and Kaggle this installs svd-lab.
if "google.colab" in sys.modules or "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
    if importlib.util.find_spec("svd_lab") is None:
        %pip install --quiet git+{repository}
        importlib.invalidate_caches()
"""
        if repository
        else ""
    )
    code = f"""\
# ko| svd-lab이 설치되어 있는지 확인해요.
# en| Checks that svd-lab is installed.
import importlib.util
import os
{"import sys" if repository else ""}

os.environ["SVD_LAB_LANGUAGE"] = "{language}"
{hosted}if importlib.util.find_spec("svd_lab") is None:
    raise ModuleNotFoundError(
        "{MISSING[language][0]}"
        "{MISSING[language][1]}"
    )"""
    return one_language(code.replace("{repository}", repository or "").replace("os\n\n\n", "os\n\n"), language)


_LINE = re.compile(r"(?P<indent>\s*)# (?P<lang>ko|en)\|(?: (?P<text>.*))?")
_BEHIND = re.compile(r"(?P<code>.*\S)  # ko\| (?P<ko>.*?) # en\| (?P<en>.*)")
_SOLUTION = re.compile(r"(?P<code>.*?)(?P<open>\.\.\.)?(?P<space>\s*)# solution\| (?P<solution>.*)")
_HANGUL = re.compile(r"[가-힣]")


def sources() -> list[Path]:
    """List the sources of all lessons, in order."""
    return sorted((LESSONS / "src").glob("[0-9][0-9]_*.py"))


def notebook_path(source: Path, language: str, solutions: bool = False) -> Path:
    """Where the notebook of `source` in `language` is; solutions: the worked one."""
    return LESSONS / ("solutions" if solutions else "") / language / f"{source.stem}.ipynb"


def notes_path(source: Path, language: str) -> Path:
    """Where the page for instructors of `source` is."""
    return NOTES / f"{source.stem}.{language}.md"


def build(text: str, language: str, name: str = "source", solutions: bool = False) -> NotebookNode:
    """Build a notebook, without outputs, from a source.

    Args:
        text: The source.
        language: "ko" or "en".
        name: The source's name, for messages and for its time.
        solutions: Fill in the solutions of exercises; otherwise leave them out.

    Raises:
        ValueError: A missing or doubled id, a Markdown cell or comment that lacks a language, Korean in the English notebook.
    """
    cells = []
    for cell_id, versions in _by_id(jupytext.reads(text, fmt="py:percent").cells, name):
        cell = versions[language]
        if INSTRUCTOR in cell.metadata.get("tags", ()):
            continue
        metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        if alt := cell.metadata.get(f"alt_{language}"):
            metadata["alt"] = alt
        make = nbformat.v4.new_markdown_cell if cell.cell_type == "markdown" else nbformat.v4.new_code_cell
        if cell.cell_type == "markdown":
            source = cell.source.replace("{time}", _time(Path(name).stem, language))
        else:
            source = with_solutions(one_language(cell.source, language, f"{name}: {cell_id}"), solutions)
        if language == "en" and _HANGUL.search(source) and "korean-prompts" not in metadata.get("tags", ()):
            raise ValueError(
                f"{name}: cell {cell_id!r} has Korean in its English version: {_HANGUL.search(source.strip())[0]!r}"
            )
        if "parameters" in metadata.get("tags", ()):
            cells.append(nbformat.v4.new_code_cell(install_cell(language, address()), id=INSTALL_ID))
        cells.append(make(source, id=cell_id, metadata=metadata))
    link_first_uses(cells, language)
    for cell in cells if solutions else ():  # one folder deeper
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("](../../", "](../../../")
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


def with_solutions(code: str, solutions: bool) -> str:
    """`code` with the exercises' solutions in place of `...`, or without a trace of them."""
    kept = []
    for line in code.splitlines():
        mark = _SOLUTION.fullmatch(line)
        if mark is None:
            kept.append(line)
        elif mark["open"]:
            kept.append(f"{mark['code']}{mark['solution'] if solutions else '...'}")
        elif solutions:
            kept.append(f"{mark['code']}{mark['space']}{mark['solution']}")
    return "\n".join(kept)


def notes(text: str, language: str, name: str = "source") -> str:
    """The page for instructors: the Markdown cells tagged "instructor", "" where there are none."""
    cells = _by_id(jupytext.reads(text, fmt="py:percent").cells, name)
    pages = [
        versions[language].source for _, versions in cells if INSTRUCTOR in versions[language].metadata.get("tags", ())
    ]
    return "\n\n".join(pages) + "\n" if pages else ""


def _time(name: str, language: str) -> str:
    """What the saved run of a lesson took, in words."""
    result = RESULTS / f"{name}.json"
    if not result.is_file():
        return {"ko": "몇 분", "en": "a few minutes"}[language]
    seconds = json.loads(result.read_text("utf-8"))["seconds"]
    minutes = f"{seconds / 60:.1f}"
    words = {"ko": (f"{seconds:.0f}초", f"{minutes}분"), "en": (f"{seconds:.0f} seconds", f"{minutes} minutes")}
    return words[language][seconds >= 90]


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


def describe(notebook: NotebookNode) -> None:
    """Give the pictures and clips among the outputs the description that their cell has."""
    for cell in notebook.cells:
        alt = html.escape(cell.metadata.get("alt", ""))
        for output in cell.get("outputs", ()) if alt else ():
            data = output.get("data", {})
            for kind in [kind for kind in data if kind.startswith("image/")]:
                output.setdefault("metadata", {})[kind] = {**output.get("metadata", {}).get(kind, {}), "alt": alt}
            if "text/html" in data:
                bare = re.sub(r' (aria-label|alt)="[^"]*"', "", "".join(data["text/html"]))
                data["text/html"] = bare.replace("<video ", f'<video aria-label="{alt}" ').replace(
                    "<img ", f'<img alt="{alt}" '
                )


def execute(notebook: NotebookNode, timeout: int = 600) -> str:
    """Run `notebook` in place on the mini, in an empty folder; the first error ends it (CellExecutionError).

    Returns:
        The text of the result.json that it wrote, "" if it wrote none.
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
        result = next((path.read_text("utf-8") for path in Path(folder).rglob("result.json")), "")
    # The loading bars of diffusers and transformers: a widget's state is not kept, and without it they stand still at 0%.
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    return result


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
    for language, name in PAGES.items():
        path = LESSONS.parent / name
        if not options.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(page(language), "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != page(language):
            stale.append(name)
    for source in chosen:
        text = source.read_text("utf-8")
        for language, written in ((language, notes(text, language, source.name)) for language in LANGUAGES):
            path = notes_path(source, language)
            if options.check:
                if written != (path.read_text("utf-8") if path.is_file() else ""):
                    stale.append(str(path.relative_to(LESSONS.parent)))
            elif written:
                path.parent.mkdir(exist_ok=True)
                path.write_text(written, "utf-8")
        for solutions in (False, True) if "# solution| " in text else (False,):
            built = {language: build(text, language, source.name, solutions) for language in LANGUAGES}
            if options.execute and not options.check:
                run, result = built["en"], execute(built["en"])
                if result and not solutions:
                    RESULTS.mkdir(exist_ok=True)
                    (RESULTS / f"{source.stem}.json").write_text(result, "utf-8")
                    built = {language: build(text, language, source.name) for language in LANGUAGES}  # with that time
                for notebook in built.values():
                    keep_outputs(notebook, run)
            for language, notebook in built.items():
                path = notebook_path(source, language, solutions)
                old = nbformat.read(path, as_version=4) if path.is_file() else None
                if options.check:
                    if old is None or without_outputs(old) != without_outputs(notebook):
                        stale.append(str(path.relative_to(LESSONS.parent)))
                    continue
                if old is not None and not options.execute:
                    keep_outputs(notebook, old)
                describe(notebook)
                content = nbformat.writes(notebook, indent=1) + "\n"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, "utf-8")
                size = len(content.encode())
                if size > MAX_BYTES:
                    large.append(f"{path.name} ({size / 1e6:.2f} MB)")
                print(f"{path.relative_to(LESSONS.parent)}: {len(notebook.cells)} cells, {size / 1e3:.0f} kB")
    if stale:
        print(f"these do not match their sources (run: python lessons/build.py): {', '.join(stale)}", file=sys.stderr)
    if large:
        print(f"too large for code hosts (over {MAX_BYTES / 1e6:.0f} MB): {', '.join(large)}", file=sys.stderr)
    return 1 if stale or large else 0


if __name__ == "__main__":
    sys.exit(main())
