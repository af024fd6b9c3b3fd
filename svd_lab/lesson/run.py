"""Run a lesson without a browser: papermill.execute_notebook, with stricter checks and correct statuses.

papermill only warns about an unknown parameter and goes on with the notebook's own value; here it is refused before a kernel
starts, and so is a value of the wrong type. When a kernel dies or a cell times out, papermill marks every cell "completed"; here
the cell that failed is marked "failed" and shows why, and those after it are "pending". The executed notebook, the videos and
result.json are in one folder.

Needs papermill, from the extra "lessons"; imports no torch.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from svd_lab.language import LANGUAGES, mark, say
from svd_lab.lesson.readable import make_portable, write_page

_TYPES = {
    "int": (int, mark("a whole number")),
    "float": (float, "a number"),
    "bool": (lambda text: _BOOLS[text.lower()], mark("true or false")),
}
_KERNEL = {"kernel_name": "python3", "language": "python"}  #: of a notebook that names none
_BOOLS = {"true": True, "false": False}


def lessons_folder() -> Path:
    """The folder of ko/ and en/: beside the package (a checkout, an editable installation), else lessons/ in the current one."""
    beside = Path(__file__).resolve().parents[2] / "lessons"
    return beside if (beside / LANGUAGES[0]).is_dir() else Path("lessons")


def find_lesson(name: str, language: str = "ko") -> Path:
    """Find a lesson's notebook.

    Args:
        name: The start of its name, like "02", or a path to an .ipynb.
        language: "ko" or "en"; not used for a path.

    Raises:
        FileNotFoundError: There is no such notebook, or more than one lesson matches; the message lists them.
        ValueError: Another language.
    """
    if name.endswith(".ipynb"):
        if not Path(name).is_file():
            raise FileNotFoundError(say("there is no notebook {name}", name=name))
        return Path(name)
    if language not in LANGUAGES:
        raise ValueError(
            say("language must be one of {listed}, not {language!r}", listed=", ".join(LANGUAGES), language=language)
        )
    folder = lessons_folder() / language
    there = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not there:
        raise FileNotFoundError(
            say(
                "there are no lessons in {folder}. They are in the repository: run this in a clone of it, or "
                "give a path to an .ipynb",
                folder=folder,
            )
        )
    found = [path for path in there if name and path.stem.startswith(name)]
    if len(found) != 1:
        raise FileNotFoundError(
            say(
                "{how_many} lesson's name starts with {name!r}. The lessons are {listed}",
                how_many=say("no") if not found else say("more than one"),
                name=name,
                listed=", ".join(path.stem for path in there),
            )
        )
    return found[0]


def check_parameters(given: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Convert parameters from a command line to the types that the notebook declares.

    Args:
        given: Values by name; those that are not text stay as they are.
        known: From papermill.inspect_notebook: "inferred_type_name", "default" and "help" of each parameter.

    Returns:
        `given` with int, float and bool in place of text that declares one. Their ranges are checked by the lesson itself.

    Raises:
        ValueError: An unknown name, with the known ones, or text that is not of the declared type.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        rows = [
            f"  {name}: {row['inferred_type_name']} = {row['default']}  {row['help']}" for name, row in known.items()
        ]
        there = say("It has:\n") + "\n".join(rows) if rows else say("It has no cell tagged 'parameters'")
        raise ValueError(
            say("the notebook has no parameter {listed}. {there}", listed=", ".join(map(repr, unknown)), there=there)
        )
    return {
        name: _from_text(name, value, known[name]["inferred_type_name"]) if isinstance(value, str) else value
        for name, value in given.items()
    }


def _from_text(name: str, text: str, kind: str) -> Any:
    if kind not in _TYPES:  # text, or a type that papermill could not infer
        return text
    read, words = _TYPES[kind]
    try:
        value = read(text)
    except (KeyError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(say("{name} must be {words}, not {text!r}", name=name, words=say(words), text=text))
    return value


def declared_parameters(source: Path) -> dict[str, Any]:
    """The parameters that a notebook declares, as papermill.inspect_notebook gives them."""
    import nbformat

    notebook = nbformat.read(source, as_version=4)
    if not _names_kernel(source):  # a text that jupytext made into a notebook names none
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return load_papermill().inspect_notebook(notebook)


def _names_kernel(source: Path) -> bool:
    import nbformat

    return bool(nbformat.read(source, as_version=4).metadata.get("kernelspec", {}).get("name"))


def load_papermill() -> ModuleType:
    """Import papermill, or raise an ImportError that says how to install it."""
    try:
        import papermill
    except ImportError as error:
        raise ImportError(say("running a lesson needs papermill: pip install 'svd-lab[lessons]'")) from error
    return papermill


def run_lesson(
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    language: str = "ko",
    out: str | os.PathLike[str] | None = None,
    cell_timeout: int | None = None,
    on_cell: Callable[[str, int, int, float], None] | None = None,
) -> Path:
    """Run a lesson in a kernel of its own.

    The executed notebook opens anywhere, its pictures inside it. Where nbconvert is installed, NAME.html beside it shows the same
    in a browser, with the clips. The kernel starts in the current folder, so that a relative path as `picture` is relative to it.
    What an earlier run left in `out` under these names is removed first, and result.json, so that it belongs to a run that ended.

    Args:
        name: As for find_lesson.
        parameters: As for check_parameters, without out_dir.
        language: "ko" or "en".
        out: The only folder into which the run writes, created if missing; default: the lesson's own out_dir.
        cell_timeout: Seconds that a cell may take.
        on_cell: Called before each code cell with its id, its number, the number of cells, and the seconds that may be left: by
            the lesson's saved run, and more and more by the pace of this one.

    Returns:
        The path of the executed notebook, `out`/NAME.ipynb.

    Raises:
        ValueError, FileNotFoundError: A wrong name, parameter or folder, before a kernel starts.
        papermill.PapermillExecutionError: A cell raised; the executed notebook is kept and shows where.
        nbclient.exceptions.DeadKernelError, nbclient.exceptions.CellTimeoutError: Likewise, for the kernel and a cell's time.
    """
    papermill = load_papermill()
    if cell_timeout is not None and cell_timeout < 1:
        raise ValueError(say("cell_timeout must be at least 1 second, not {cell_timeout}", cell_timeout=cell_timeout))
    source = find_lesson(name, language)
    known = declared_parameters(source)
    takes_folder = known.pop("out_dir", None)
    if "out_dir" in (parameters or {}):
        raise ValueError(
            say("out_dir cannot be a parameter here: the folder is given as out (on the command line --out)")
        )
    values = check_parameters(parameters or {}, known)
    if out is None:
        out = ast.literal_eval(takes_folder["default"]) if takes_folder else f"out/{source.stem}"
    folder = Path(out).resolve()
    executed = folder / source.name
    if executed == source.resolve():
        raise ValueError(
            say("{folder} contains the notebook itself. Give another folder for the results", folder=folder)
        )
    if takes_folder:
        values["out_dir"] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in (executed, executed.with_suffix(".html"), folder / "result.json"):
        old.unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            _plain(source),
            _plain(executed),
            values,
            progress_bar=False,
            **({} if _names_kernel(source) else _KERNEL),
            execution_timeout=cell_timeout,
            # Whoever runs a lesson reads no warning of ipykernel about eavesdroppers on this machine.
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            **({"on_cell_start": _reporter(source, on_cell)} if on_cell else {}),
        )
    except papermill.PapermillExecutionError:
        raise  # papermill has marked the cell
    except (Exception, KeyboardInterrupt) as error:
        _mark_failed_cell(executed, error)
        raise
    finally:
        _make_readable(executed, source)
    return executed


def _reporter(source: Path, on_cell: Callable[[str, int, int, float], None]) -> Callable[..., None]:
    """What nbclient calls before each cell: it counts, and foresees how long the rest takes."""
    import nbformat

    total = len(nbformat.read(source, as_version=4).cells) + 1  # papermill adds the parameters
    saved = source.resolve().parents[1] / "results" / f"{source.stem}.json"
    expected = json.loads(saved.read_text("utf-8"))["seconds"] if saved.is_file() else 0.0
    start = time.monotonic()

    def before(cell: Any, cell_index: int) -> None:
        if cell.cell_type != "code":
            return
        passed, share = time.monotonic() - start, cell_index / total
        pace = passed / max(cell_index, 1) * (total - cell_index)
        saved_rest = max(expected - passed, 0.0) if expected else pace  # the pace says more the further the run is
        on_cell(cell.get("id", ""), cell_index + 1, total, (1 - share) * saved_rest + share * pace)

    return before


def _make_readable(executed: Path, source: Path) -> None:
    """Put the pictures into the executed notebook, and write it as a page, too."""
    import nbformat

    if not executed.is_file():
        return
    notebook = nbformat.read(executed, as_version=4)
    make_portable(notebook, source.parent)
    nbformat.write(notebook, executed)
    if importlib.util.find_spec("nbconvert"):
        write_page(executed)


def _plain(path: Path) -> str:
    """Escape a path for papermill, which replaces what is in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _mark_failed_cell(executed: Path, error: BaseException) -> None:
    """Correct papermill's statuses: the last cell that was started failed with `error`, and those after it never ran."""
    import nbformat

    if not executed.is_file():
        return
    notebook = nbformat.read(executed, as_version=4)
    started = [cell for cell in notebook.cells if cell.metadata.get("papermill", {}).get("start_time")]
    for cell in notebook.cells:
        if "papermill" in cell.metadata and cell not in started:
            cell.metadata.papermill.status = "pending"
    if started:
        started[-1].metadata.papermill.update(status="failed", exception=True)
        if started[-1].cell_type == "code":
            text = str(error) or type(error).__name__
            output = nbformat.v4.new_output("error", ename=type(error).__name__, evalue=text, traceback=[text])
            started[-1].outputs.append(output)
    notebook.metadata.setdefault("papermill", {})["exception"] = True
    nbformat.write(notebook, executed)
