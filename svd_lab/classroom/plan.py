"""Roster times lessons: what is to be run, checked to the last cell before anything runs.

A run's key is the SHA-256 of its notebook's cells, its parameters and its picture: where a finished run with the same key lies,
there is nothing to do.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svd_lab.classroom.roster import NAME, Mistake, Row, read_roster, short, tell
from svd_lab.lesson.run import check_parameters, find_lesson, load_papermill

# Not in a file's name on Windows, in an address or a glob; the braces are papermill's.
_NOT_IN_A_FOLDER = re.compile(r'[\x00-\x1f<>:"/\\|?*\[\]{}#%&]')
_RESERVED = {"index.html", "summary.csv", *"con prn aux nul".split()} | {
    f"{x}{n}" for x in ("com", "lpt") for n in range(10)
}
_LONGEST = 80  # characters of a student's name, which becomes a folder


@dataclass(frozen=True)
class Run:
    """One notebook of one student. folder: STUDENT/LESSON below the class's folder; notebook: SHA-256 of the file in the inputs;
    parameters: as the notebook takes them; picture: (SHA-256 in the inputs, file name) where `picture` is a file of the class."""

    student: str
    lesson: str
    folder: str
    key: str
    notebook: str
    parameters: dict[str, Any]
    picture: tuple[str, str] | None = None


@dataclass
class Plan:
    """runs: in the roster's order; inputs: SHA-256 → what the runs read, as bytes (a notebook) or the file's path (a picture)."""

    runs: list[Run]
    inputs: dict[str, bytes | Path] = field(default_factory=dict)


def make_plan(
    roster: Path, lessons: Sequence[str], *, language: str = "ko", parameters: Mapping[str, Any] | None = None
) -> Plan:
    """Every student's run of every lesson.

    roster: as for read_roster. A column is a parameter of the lessons that know it; an empty cell leaves the notebook's default.
    A picture is a bundled one's name, an address, or a file in the roster's folder. lessons, language: as for find_lesson.
    parameters: for the whole class; a student's own cell comes first.

    Raises ValueError that lists every mistake at once; FileNotFoundError for a lesson or roster that is not there.
    """
    notebooks = {}
    for name in lessons:
        path = find_lesson(name, language)
        if path.stem in notebooks:
            raise ValueError(f"the lesson {path.stem} is named twice")
        notebooks[path.stem] = _read_notebook(path)
    if not notebooks:
        raise ValueError("no lesson is named. Name some, as --lessons 02,03")
    if not roster.is_file():
        raise FileNotFoundError(f"there is no roster {roster}")
    rows, columns, mistakes = read_roster(roster)
    known = {name for _, _, there in notebooks.values() for name in there}
    common = dict(parameters or {})
    mistakes += [_unknown(name, known) for name in columns if name not in known | {NAME}]
    mistakes += [_unknown(name, known, "-p ") for name in common if name not in known]
    plan = Plan([], {sha: data for sha, data, _ in notebooks.values()})
    pictures = _Pictures(roster.parent)
    folders = _check_names(rows, mistakes)
    checked: dict[tuple[str, str, type, Any], Any] = {}
    for row in rows:
        given = common | {column: cell for column, cell in row.cells.items() if column != NAME}
        for lesson, (sha, _, there) in notebooks.items():
            values, picture = {}, None
            for name, value in given.items():
                if name not in there:
                    continue
                try:
                    if name == "picture":
                        value, picture = pictures.find(value)
                    memo = (lesson, name, type(value), value)
                    if memo not in checked:
                        checked[memo] = _check_value(name, value, there)
                    values[name] = checked[memo]
                except (ValueError, TypeError, OSError) as error:
                    mistakes.append(Mistake(row.number, name, " ".join(str(error).split())))
            student = str(row.cells.get(NAME, ""))
            folder = f"{folders.get(row.number, '')}/{lesson}"
            content = json.dumps([sha, values, picture and picture[0]], sort_keys=True)
            key = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
            plan.runs.append(Run(student, lesson, folder, key, sha, values, picture))
    if not rows and not mistakes:
        mistakes.append(Mistake(None, "file", "there is no student in it"))
    if mistakes:
        raise ValueError(tell(list(dict.fromkeys(mistakes)), roster))
    plan.inputs |= {sha: path for sha, path in pictures.files.items()}
    return plan


def _read_notebook(path: Path) -> tuple[str, bytes, dict[str, Any]]:
    """(SHA-256, the notebook without its outputs, its parameters as papermill tells them): outputs are no part of what is run."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    notebook.metadata.pop("papermill", None)
    data = nbformat.writes(notebook).encode()
    there = load_papermill().inspect_notebook(str(path).replace("{", "{{").replace("}", "}}"))
    there.pop("out_dir", None)
    return hashlib.sha256(data).hexdigest(), data, there


def _unknown(name: str, known: set[str], prefix: str = "") -> Mistake:
    if name == "out_dir":
        return Mistake(None, "column", f"{prefix}out_dir cannot be given: every run has a folder of its own")
    near = difflib.get_close_matches(name, sorted(known), 1)
    guess = f" Did you mean '{near[0]}'?" if near else ""
    there = ", ".join(sorted(known)) or "none"
    return Mistake(None, "column", f"no lesson has a parameter '{prefix}{name}'.{guess} Their parameters: {there}")


def _check_names(rows: Sequence[Row], mistakes: list[Mistake]) -> dict[int, str]:
    """{row: folder}. Two names are the same when their folders are, on disks that take no notice of capitals, too."""
    folders: dict[int, str] = {}
    taken: dict[str, Row] = {}
    for row in rows:
        name = row.cells.get(NAME)
        if name is None:
            mistakes.append(Mistake(row.number, "empty name", "there is no name"))
            continue
        if isinstance(name, bool) or not isinstance(name, str | int):
            text = f"the name must be text, not {name!r}. Put it in quotation marks"
            mistakes.append(Mistake(row.number, "name", text))
            continue
        folder = _NOT_IN_A_FOLDER.sub("_", unicodedata.normalize("NFC", str(name))).strip(" .")
        if not folder.strip("_") or len(folder) > _LONGEST or len(folder.encode()) > 240:
            text = f"the name {short(name)} cannot be a folder's: give 1 to {_LONGEST} letters, digits or signs"
            mistakes.append(Mistake(row.number, "name", text))
        elif folder.casefold() in _RESERVED:
            mistakes.append(Mistake(row.number, "name", f"the name {short(name)} is reserved. Add something to it"))
        elif folder.casefold() in taken:
            first = taken[folder.casefold()]
            same = "" if first.cells[NAME] == name else f", {short(first.cells[NAME])}, whose folder would be the same"
            text = f"the name {short(name)} is already that of row {first.number}{same}. Add something, as '{folder} 2'"
            mistakes.append(Mistake(row.number, "duplicate name", text))
        else:
            taken[folder.casefold()] = row
            folders[row.number] = folder
    return folders


def _check_value(name: str, value: Any, there: Mapping[str, Any]) -> Any:
    """The value as the notebook takes it: of the type that it declares, and, for the names that all lessons share, in range."""
    from svd_lab.prompts import check_prompt
    from svd_lab.settings import check_value

    try:
        value = check_parameters({name: value}, there)[name]
    except ValueError as error:
        shortened = isinstance(value, str) and re.fullmatch(r"\d[.,]\d+E\+\d+", value)
        raise ValueError(
            f"{error}{'. A spreadsheet shortened it: format the column as text' if shortened else ''}"
        ) from None
    kind = there[name]["inferred_type_name"]
    if kind == "str" and not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {value!r}. Put it in quotation marks")
    if kind in ("int", "float", "bool") and isinstance(value, bool) != (kind == "bool"):
        raise TypeError(f"{name} must be {'true or false' if kind == 'bool' else 'a number'}, not {value!r}")
    if name in ("seed", "num_frames", "num_inference_steps"):
        return check_value(name, value)
    return check_prompt(name, value) if name == "prompt" else value


class _Pictures:
    """The pictures that a roster names; each file is looked at once. `files`: SHA-256 → path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.files: dict[str, Path] = {}
        self._seen: dict[str, Callable[[], tuple[str, tuple[str, str] | None]]] = {}

    def find(self, value: Any) -> tuple[str, tuple[str, str] | None]:
        """(the parameter's value, (SHA-256, file name) where it is a file). Raises ValueError, TypeError or OSError."""
        if not isinstance(value, str):
            raise TypeError(f"picture must be a name, an address or a file, not {value!r}")
        if value not in self._seen:
            try:
                found = self._look(value)
                self._seen[value] = lambda: found
            except (ValueError, OSError) as error:
                kind, text = type(error), str(error)

                def fail() -> Any:
                    raise kind(text)

                self._seen[value] = fail
        return self._seen[value]()

    def _look(self, value: str) -> tuple[str, tuple[str, str] | None]:
        from PIL import Image

        from svd_lab.bundled import PICTURES
        from svd_lab.images import open_image

        if value in PICTURES or re.match(r"https?://", value):
            return value, None
        spellings = [unicodedata.normalize(form, value.replace("\\", "/")) for form in ("NFC", "NFD")]
        paths = [(self.folder / spelling).resolve() for spelling in (value, *spellings)]
        if not all(path.is_relative_to(self.folder) for path in paths):
            raise ValueError(
                f"the picture {short(value)} lies outside the roster's folder, {self.folder}. Copy it there"
            )
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise FileNotFoundError(
                f"there is no picture {short(value)} in {self.folder}. Bundled pictures: {', '.join(PICTURES)}"
            )
        try:
            with Image.open(path) as picture:
                picture.verify()  # reads a header in a millisecond; a thousand photographs are soon looked at
        except Exception:
            open_image(path)  # says in words what is wrong with it, or opens what Pillow by itself does not
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        self.files[sha] = path
        return path.name, (sha, path.name)
