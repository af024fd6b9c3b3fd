"""Run a lesson without a browser, as a class does: papermill.execute_notebook, with what papermill leaves open decided.

papermill only warns about a parameter that the notebook does not know, and runs on with the notebook's own value; here it is
refused before a kernel starts, and so is a value of the wrong type. After a kernel that was killed or a cell that ran out of time
papermill calls every cell of the notebook it leaves "completed"; here the cell that failed is called so, shows why, and those
after it are "pending". Everything of a run lies in one folder: the executed notebook, the videos, result.json.

Needs papermill, which the extra "lessons" brings; no torch is imported here.
"""

from __future__ import annotations

import ast
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

LANGUAGES = ("ko", "en")
_TYPES = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": (lambda text: _BOOLS[text.lower()], "true or false"),
}
_BOOLS = {"true": True, "false": False}


def lessons_folder() -> Path:
    """The folder with ko/ and en/: beside the package (a checkout, an editable installation), else lessons/ where one stands."""
    beside = Path(__file__).resolve().parents[2] / "lessons"
    return beside if (beside / LANGUAGES[0]).is_dir() else Path("lessons")


def find_lesson(name: str, language: str = "ko") -> Path:
    """The notebook of the lesson whose name starts with `name` ("02"), or `name` itself where that is a path to an .ipynb.

    Raises FileNotFoundError, with the lessons there are, when none or more than one fits.
    """
    if name.endswith(".ipynb"):
        if not Path(name).is_file():
            raise FileNotFoundError(f"there is no notebook {name}")
        return Path(name)
    if language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, not {language!r}")
    folder = lessons_folder() / language
    there = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not there:
        raise FileNotFoundError(
            f"there are no lessons in {folder}. They are in the repository: run this in a clone of it, or give a path to an .ipynb"
        )
    found = [path for path in there if name and path.stem.startswith(name)]
    if len(found) != 1:
        raise FileNotFoundError(
            f"{'no' if not found else 'more than one'} lesson's name starts with {name!r}. There are "
            f"{', '.join(path.stem for path in there)}"
        )
    return found[0]


def check_parameters(given: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`given` with the types that the notebook declares: text from a command line becomes the int, float or bool it names.

    known: as papermill.inspect_notebook gives it, of each name "inferred_type_name", "default" and "help". Raises ValueError for
    a name that is not known, with those that are, and for text that is not of its type. What a value may be is the lesson's own
    first check.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        rows = [
            f"  {name}: {row['inferred_type_name']} = {row['default']}  {row['help']}" for name, row in known.items()
        ]
        there = "Known are:\n" + "\n".join(rows) if rows else "It has no cell tagged 'parameters'"
        raise ValueError(f"the notebook has no parameter {', '.join(map(repr, unknown))}. {there}")
    return {
        name: _from_text(name, value, known[name]["inferred_type_name"]) if isinstance(value, str) else value
        for name, value in given.items()
    }


def _from_text(name: str, text: str, kind: str) -> Any:
    if kind not in _TYPES:  # text, or a type that papermill could not tell
        return text
    read, words = _TYPES[kind]
    try:
        value = read(text)
    except (KeyError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} must be {words}, not {text!r}")
    return value


def load_papermill() -> ModuleType:
    """papermill, or an ImportError that says how to get it."""
    try:
        import papermill
    except ImportError as error:
        raise ImportError("running a lesson needs papermill: pip install 'svd-lab[lessons]'") from error
    return papermill


def run_lesson(
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    language: str = "ko",
    out: str | os.PathLike[str] | None = None,
    cell_timeout: int | None = None,
    progress_bar: bool = False,
) -> Path:
    """Run lesson `name` in a kernel of its own and return the executed notebook, `out`/NAME.ipynb.

    name, language: as for find_lesson. parameters: as for check_parameters; out_dir is given as `out`. out: the one folder into
    which the run writes, made where it is missing; default: the lesson's own out_dir. cell_timeout: seconds a cell may take.

    The kernel starts in the current folder, so that a relative path as `picture` means what it says. What an earlier run of the
    lesson left in `out` as result.json or notebook is removed first: a result.json that is there belongs to a run that
    came to its end.

    Raises papermill's PapermillExecutionError when a cell raises, nbclient's DeadKernelError and CellTimeoutError; the executed
    notebook is kept and shows where. ValueError or FileNotFoundError before a kernel starts for a wrong name, parameter or folder.
    """
    papermill = load_papermill()
    if cell_timeout is not None and cell_timeout < 1:
        raise ValueError(f"cell_timeout must be at least 1 second, not {cell_timeout}")
    source = find_lesson(name, language)
    known = papermill.inspect_notebook(_plain(source))
    takes_folder = known.pop("out_dir", None)
    if "out_dir" in (parameters or {}):
        raise ValueError("out_dir cannot be a parameter here: the folder is given as out (on the command line --out)")
    values = check_parameters(parameters or {}, known)
    if out is None:
        out = ast.literal_eval(takes_folder["default"]) if takes_folder else f"out/{source.stem}"
    folder = Path(out).resolve()
    executed = folder / source.name
    if executed == source.resolve():
        raise ValueError(f"{folder} is where the notebook itself lies. Give another folder for the results")
    if takes_folder:
        values["out_dir"] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in (executed, folder / "result.json"):
        old.unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            _plain(source), _plain(executed), values, progress_bar=progress_bar, execution_timeout=cell_timeout
        )
    except papermill.PapermillExecutionError:
        raise  # the notebook that papermill left says so by itself
    except (Exception, KeyboardInterrupt) as error:
        _mark_where_it_ended(executed, error)
        raise
    return executed


def _plain(path: Path) -> str:
    """`path` for papermill, which fills in what stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _mark_where_it_ended(executed: Path, error: BaseException) -> None:
    """Correct the notebook that papermill left: the last cell that was started failed, with `error`; those after it never ran."""
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
