"""Roster times lessons: the runs of a class, every cell of the roster checked before anything runs.

A run's key is the SHA-256 of its notebook's cells, its parameters and its picture: a finished run with the same key is not run
again.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svd_lab.classroom.roster import NAME, Mistake, Row, format_mistakes, read_roster, shorten
from svd_lab.language import mark, say
from svd_lab.lesson.readable import make_portable
from svd_lab.lesson.run import check_parameters, declared_parameters, find_lesson
from svd_lab.models.checkpoints import check_download, locate
from svd_lab.models.table import IMAGE, VIDEO

# Not allowed in a Windows file name, a URL or a glob; papermill replaces the braces.
_UNSAFE_CHARACTERS = re.compile(r'[\x00-\x1f<>:"/\\|?*\[\]{}#%&]')
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))}
_RESERVED = {"index.html", "summary.csv"} | _WINDOWS_DEVICES
_NAME_LENGTH = 80  # characters of a student's name, which becomes a folder


@dataclass(frozen=True)
class Run:
    """One notebook of one student.

    Attributes:
        student: The name in the roster.
        lesson: The notebook's name.
        folder: STUDENT/LESSON, below the class's folder.
        key: SHA-256 of everything that the run depends on.
        notebook: SHA-256 of the notebook's file among the inputs.
        parameters: As the notebook takes them.
        picture: (SHA-256 among the inputs, file name) if the student's picture is a file; else None.
    """

    student: str
    lesson: str
    folder: str
    key: str
    notebook: str
    parameters: dict[str, Any]
    picture: tuple[str, str] | None = None


@dataclass
class Plan:
    """The runs of a class.

    Attributes:
        runs: In the order of the roster.
        inputs: {SHA-256: a notebook's content, or the path of a picture}.
    """

    runs: list[Run]
    inputs: dict[str, bytes | Path] = field(default_factory=dict)


def make_plan(
    roster: Path, lessons: Sequence[str], *, language: str = "ko", parameters: Mapping[str, Any] | None = None
) -> Plan:
    """Plan every student's run of every lesson.

    Args:
        roster: As for `read_roster`. A column is a parameter of the lessons that have it; an empty cell leaves the notebook's
            default. A picture is the name of a bundled one, a web address, or a file in the roster's folder.
        lessons: As for `find_lesson`.
        language: As for `find_lesson`.
        parameters: For the whole class; a student's own cell takes precedence.

    Raises:
        ValueError: The roster has mistakes; the message lists them all.
        FileNotFoundError: A lesson or the roster is missing.
    """
    notebooks = {}
    for name in lessons:
        path = find_lesson(name, language)
        if path.stem in notebooks:
            raise ValueError(say("the lesson {stem} is given twice", stem=path.stem))
        notebooks[path.stem] = _read_notebook(path)
    if not notebooks:
        raise ValueError(say("no lesson is given. Give some, such as --lessons 02,03"))
    if not roster.is_file():
        raise FileNotFoundError(say("there is no roster {roster}. Give a CSV or YAML file", roster=roster))
    rows, columns, mistakes = read_roster(roster)
    known = {name for _, _, declared in notebooks.values() for name in declared}
    common = dict(parameters or {})
    mistakes += [_unknown_parameter(name, known) for name in columns if name not in known | {NAME}]
    mistakes += [_unknown_parameter(name, known, "-p ") for name in common if name not in known]
    plan = Plan([], {sha: data for sha, data, _ in notebooks.values()})
    pictures = _Pictures(roster.parent)
    folders = _check_names(rows, mistakes)
    checked: dict[tuple[str, str, type, Any], Any] = {}
    for row in rows:
        given = common | {column: cell for column, cell in row.cells.items() if column != NAME}
        for lesson, (sha, _, declared) in notebooks.items():
            values, picture = {}, None
            for name, value in given.items():
                if name not in declared:
                    continue
                try:
                    if name == "picture":
                        value, picture = pictures.find(value)
                    memo = (lesson, name, type(value), value)
                    if memo not in checked:
                        checked[memo] = _check_value(name, value, declared)
                    values[name] = checked[memo]
                except (ValueError, TypeError, OSError) as error:
                    mistakes.append(Mistake(row.number, name, " ".join(str(error).split())))
            student = str(row.cells.get(NAME, ""))
            folder = f"{folders.get(row.number, '')}/{lesson}"
            content = json.dumps([sha, values, picture and picture[0]], sort_keys=True)
            key = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
            plan.runs.append(Run(student, lesson, folder, key, sha, values, picture))
    if not rows and not mistakes:
        mistakes.append(Mistake(None, mark("file"), say("it has no students")))
    if mistakes:
        raise ValueError(format_mistakes(list(dict.fromkeys(mistakes)), roster))
    plan.inputs |= {sha: path for sha, path in pictures.files.items()}
    return plan


def _read_notebook(path: Path) -> tuple[str, bytes, dict[str, Any]]:
    """Return the notebook's SHA-256, its content, both without outputs, and its parameters as papermill inspects them."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    notebook.metadata.pop("papermill", None)
    make_portable(notebook, path.parent)  # the machines that run it have no pictures beside it
    data = nbformat.writes(notebook).encode()
    declared = declared_parameters(path)
    declared.pop("out_dir", None)
    return hashlib.sha256(data).hexdigest(), data, declared


def _unknown_parameter(name: str, known: set[str], prefix: str = "") -> Mistake:
    if name == "out_dir":
        return Mistake(
            None, mark("column"), say("{prefix}out_dir cannot be given: every run has its own folder", prefix=prefix)
        )
    near = difflib.get_close_matches(name, sorted(known), 1)
    suggestion = say(" Did you mean '{near}'?", near=near[0]) if near else ""
    names = ", ".join(sorted(known)) or "none"
    return Mistake(
        None,
        mark("column"),
        say(
            "no lesson has a parameter '{prefix}{name}'.{suggestion} Their parameters: {names}",
            prefix=prefix,
            name=name,
            suggestion=suggestion,
            names=names,
        ),
    )


def _check_names(rows: Sequence[Row], mistakes: list[Mistake]) -> dict[int, str]:
    """Return {row number: folder}. Two names are the same when their folders are, ignoring case as some disks do."""
    folders: dict[int, str] = {}
    taken: dict[str, Row] = {}
    for row in rows:
        name = row.cells.get(NAME)
        if name is None:
            mistakes.append(Mistake(row.number, mark("empty name"), say("the name is missing")))
            continue
        if isinstance(name, bool) or not isinstance(name, str | int):
            text = say("the name must be text, not {name!r}. Put it in quotation marks", name=name)
            mistakes.append(Mistake(row.number, mark("name"), text))
            continue
        folder = _UNSAFE_CHARACTERS.sub("_", unicodedata.normalize("NFC", str(name))).strip(" .")
        if not folder.strip("_") or len(folder) > _NAME_LENGTH or len(folder.encode()) > 240:
            text = say(
                "the name {name} cannot become a folder. Give 1 to {name_length} letters, digits or signs",
                name=shorten(name),
                name_length=_NAME_LENGTH,
            )
            mistakes.append(Mistake(row.number, mark("name"), text))
        elif folder.casefold() in _RESERVED:
            mistakes.append(
                Mistake(
                    row.number,
                    mark("name"),
                    say("the name {name} is reserved. Add something to it", name=shorten(name)),
                )
            )
        elif folder.casefold() in taken:
            first = taken[folder.casefold()]
            same = (
                ""
                if first.cells[NAME] == name
                else say(", {cells}, whose folder would be the same", cells=shorten(first.cells[NAME]))
            )
            text = say(
                "the name {name} is already used in row {number}{same}. Add something, such as '{folder} 2'",
                name=shorten(name),
                number=first.number,
                same=same,
                folder=folder,
            )
            mistakes.append(Mistake(row.number, mark("duplicate name"), text))
        else:
            taken[folder.casefold()] = row
            folders[row.number] = folder
    return folders


def _check_value(name: str, value: Any, declared: Mapping[str, Any]) -> Any:
    """Return the value in the type that the notebook declares; parameters that all lessons share are checked for range, too."""
    from svd_lab.prompts import check_prompt
    from svd_lab.settings import check_value

    try:
        value = check_parameters({name: value}, declared)[name]
    except ValueError as error:
        shortened = isinstance(value, str) and re.fullmatch(r"\d[.,]\d+E\+\d+", value)
        hint = say(". A spreadsheet shortened it: format the column as text") if shortened else ""
        raise ValueError(f"{error}{hint}") from None
    kind = declared[name]["inferred_type_name"]
    if kind == "str" and not isinstance(value, str):
        raise TypeError(say("{name} must be text, not {value!r}. Put it in quotation marks", name=name, value=value))
    if kind in ("int", "float", "bool") and isinstance(value, bool) != (kind == "bool"):
        raise TypeError(
            say(
                "{name} must be {wanted}, not {value!r}",
                name=name,
                wanted=say("true or false") if kind == "bool" else say("a number"),
                value=value,
            )
        )
    if name in ("seed", "num_frames", "num_inference_steps"):
        return check_value(name, value)
    if name in _MODELS and value != "auto":
        found = None
        with suppress(FileNotFoundError):  # a folder may be on the machines that run the lessons, and not here
            found = locate(value, _MODELS[name])
        if found is not None:
            check_download(found)
    return check_prompt(name, value) if name == "prompt" else value


_MODELS = {"model": VIDEO, "image_model": IMAGE}


class _Pictures:
    """The pictures that a roster names; each one is checked once. `files`: {SHA-256: path}."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.files: dict[str, Path] = {}
        self._checked: dict[str, tuple[str, tuple[str, str] | None] | Exception] = {}

    def find(self, value: Any) -> tuple[str, tuple[str, str] | None]:
        """Return the parameter's value, and (SHA-256, file name) if it is a file.

        Raises:
            TypeError: It is not text.
            ValueError: It is not a picture, or outside the roster's folder.
            OSError: It is missing or cannot be read.
        """
        if not isinstance(value, str):
            raise TypeError(say("picture must be a name, an address or a file, not {value!r}", value=value))
        if value not in self._checked:
            try:
                self._checked[value] = self._check(value)
            except (ValueError, OSError) as error:
                self._checked[value] = error
        result = self._checked[value]
        if isinstance(result, Exception):
            raise result.with_traceback(None)
        return result

    def _check(self, value: str) -> tuple[str, tuple[str, str] | None]:
        from PIL import Image

        from svd_lab.bundled import BUNDLED, PICTURES
        from svd_lab.images import open_image

        if value in BUNDLED or re.match(r"https?://", value):
            return value, None
        spellings = [unicodedata.normalize(form, value.replace("\\", "/")) for form in ("NFC", "NFD")]
        paths = [(self.folder / spelling).resolve() for spelling in (value, *spellings)]
        if not all(path.is_relative_to(self.folder) for path in paths):
            raise ValueError(
                say(
                    "the picture {value} is outside the roster's folder, {folder}. Copy it there",
                    value=shorten(value),
                    folder=self.folder,
                )
            )
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise FileNotFoundError(
                say(
                    "there is no picture {value} in {folder}. Bundled pictures: {listed}",
                    value=shorten(value),
                    folder=self.folder,
                    listed=", ".join(PICTURES),
                )
            )
        try:
            with Image.open(path) as picture:
                picture.verify()  # reads the header in a millisecond, which matters for a thousand photographs
        except Exception:
            open_image(path)  # explains what is wrong, or opens what Pillow alone cannot
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        self.files[sha] = path
        return path.name, (sha, path.name)
