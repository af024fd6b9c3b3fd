"""Read a class's roster, CSV or YAML, and collect every mistake in it instead of stopping at the first one.

Here a roster is rows of cells; what the columns mean is `plan`'s business.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from svd_lab.language import mark, say

NAME = "name"  #: the one required column
_SHOWN_PER_KIND = 10  # mistakes of one kind that are listed in full
_EXCEL_ERROR = re.compile(r"#(REF!|N/A|NAME\?|VALUE!|DIV/0!|NULL!|NUM!|SPILL!|CALC!)$")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS = mark("In Excel: Save as, 'CSV UTF-8 (comma delimited)'")


class Mistake(NamedTuple):
    """One mistake of a roster.

    Attributes:
        row: Its number in a spreadsheet (the header is row 1), or None for the whole file.
        kind: Mistakes of one kind are shown together.
        text: What was wrong, what was given, what to do.
    """

    row: int | None
    kind: str
    text: str


class Row(NamedTuple):
    """A student.

    Attributes:
        number: As `Mistake.row`.
        cells: {column: value} of the cells that are filled in; text in a CSV, YAML's own types in a YAML file.
    """

    number: int
    cells: dict[str, Any]


def read_roster(path: Path) -> tuple[list[Row], list[str], list[Mistake]]:
    """Read a roster.

    A CSV may be UTF-8 with or without a byte order mark, or UTF-16, with commas, semicolons or tabs. Another encoding is a mistake;
    it is then guessed, so that the other mistakes are found, too. A YAML file is a list of mappings, one per student. Empty cells
    and empty rows are left out.

    Returns:
        (rows, columns, mistakes).

    Raises:
        OSError: The file cannot be read.
    """
    data = path.read_bytes()
    if path.suffix.lower() in (".yaml", ".yml"):
        return _read_yaml(data)
    if data.startswith(b"PK\x03\x04"):
        return (
            [],
            [],
            [
                Mistake(
                    None, mark("file"), say("this is an Excel workbook, not a CSV. {save_as}", save_as=say(_SAVE_AS))
                )
            ],
        )
    text, mistakes = _decode(data)
    rows, columns, more = _read_csv(text)
    return rows, columns, mistakes + more


def format_mistakes(mistakes: Sequence[Mistake], path: Path) -> str:
    """Return all mistakes as one message: those of a kind together, the first ten of each kind in full."""
    kinds: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        kinds.setdefault(mistake.kind, []).append(mistake)
    count = say("a mistake") if len(mistakes) == 1 else say("{count:,} mistakes", count=len(mistakes))
    lines = [say("{path} has {count}; nothing was run", path=path, count=count)]
    for kind, several in kinds.items():
        for mistake in several[:_SHOWN_PER_KIND]:
            lines.append("  " + (say("row {number}: ", number=mistake.row) if mistake.row else "") + mistake.text)
        if len(several) > _SHOWN_PER_KIND:
            rows = ", ".join(str(mistake.row) for mistake in several[_SHOWN_PER_KIND : 2 * _SHOWN_PER_KIND])
            more = ", …" if len(several) > 2 * _SHOWN_PER_KIND else ""
            lines.append(
                say(
                    "  … and {count:,} more of this kind ({kind}), in rows {rows}{more}",
                    count=len(several) - _SHOWN_PER_KIND,
                    kind=say(kind),
                    rows=rows,
                    more=more,
                )
            )
    return "\n".join(lines)


def _decode(data: bytes) -> tuple[str, list[Mistake]]:
    if data.startswith(_UTF16):
        try:
            return data.decode("utf-16"), []
        except UnicodeDecodeError as error:
            return data.decode("utf-16", "replace"), [
                Mistake(None, mark("encoding"), say("this is damaged UTF-16: {error}", error=error))
            ]
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        text = say(
            "this is not UTF-8: it has the byte {byte:#04x}. {save_as}", byte=data[error.start], save_as=say(_SAVE_AS)
        )
    for encoding in ("cp949", "latin-1"):  # Excel's plain "CSV" in Korea; latin-1 accepts every byte
        try:
            return data.decode(encoding), [Mistake(row, mark("encoding"), text)]
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 decodes everything")


def _read_csv(text: str) -> tuple[list[Row], list[str], list[Mistake]]:
    start, _, rest = text.partition("\n")
    separator = re.fullmatch(r"sep=(.)\s*", start)  # how Excel notes the separator; not a row
    if separator:
        text = rest
    bare = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    delimiter = separator[1] if separator else max(",;\t", key=bare.count)
    mistakes: list[Mistake] = []
    table: list[list[str]] = []
    try:
        table.extend([cell.strip() for cell in line] for line in csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:
        mistakes.append(Mistake(len(table) + 1, mark("file"), say("this cannot be read as CSV: {error}", error=error)))
    filled = [number for number, line in enumerate(table) if any(line)]
    if not filled:
        return [], [], [*mistakes, Mistake(None, mark("file"), say("it has no rows"))]
    columns, wrong = _check_columns(table[filled[0]], filled[0] + 1)
    mistakes += wrong
    rows = []
    for index in filled[1:]:
        line, number = table[index], index + 1
        if any(line[len(columns) :]):
            text = say(
                'there are {count} cells under {columns} columns. Put a text that holds "{delimiter}" in quotation marks',
                count=len(line),
                columns=len(columns),
                delimiter=delimiter,
            )
            mistakes.append(Mistake(number, mark("cells"), text))
        cells = {column: cell for column, cell in zip(columns, line, strict=False) if column and cell}
        mistakes += [Mistake(number, kind, text) for kind, text in _check_cells(cells)]
        rows.append(Row(number, cells))
    return rows, [column for column in columns if column], mistakes


def _check_columns(cells: list[str], number: int) -> tuple[list[str], list[Mistake]]:
    columns = [NAME if cell.lower() == NAME else cell for cell in cells]
    while columns and not columns[-1]:
        columns.pop()
    mistakes = []
    if NAME not in columns:
        given = ", ".join(column or "(empty)" for column in columns)
        mistakes.append(
            Mistake(
                number,
                mark("column"),
                say("there is no column '{name}'; the columns are {given}", name=NAME, given=given[:300]),
            )
        )
    for column in dict.fromkeys(columns):
        if column and columns.count(column) > 1:
            mistakes.append(
                Mistake(
                    number,
                    mark("column"),
                    say("there are {count} columns '{column}'", count=columns.count(column), column=column),
                )
            )
    return columns, mistakes


def _check_cells(cells: dict[str, str]) -> list[tuple[str, str]]:
    """Return (kind, text) of the mistakes that spreadsheets leave in cells."""
    mistakes = []
    for column, cell in cells.items():
        if _EXCEL_ERROR.match(cell):
            mistakes.append(
                (
                    mark("formula"),
                    say("{column} is {cell}, an error of a formula. Save the value", column=column, cell=cell),
                )
            )
        elif cell[0] in "=+-@" and not _is_number(cell):
            text = say(
                "{column} is {cell}: a spreadsheet reads a cell that begins with '{first}' as a formula. "
                "Save the value, or begin with another character",
                column=column,
                cell=shorten(cell),
                first=cell[0],
            )
            mistakes.append((mark("formula"), text))
        if any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r" for letter in cell):
            mistakes.append(
                (
                    mark("characters"),
                    say("{column} holds control characters: {cell}. Type it again", column=column, cell=shorten(cell)),
                )
            )
        if "�" in cell:
            mistakes.append(
                (
                    mark("characters"),
                    say(
                        "{column} holds a letter that another program lost: {cell}. Type it again",
                        column=column,
                        cell=shorten(cell),
                    ),
                )
            )
    return mistakes


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def shorten(value: Any) -> str:
    """Return the repr of a value, at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"


def _read_yaml(data: bytes) -> tuple[list[Row], list[str], list[Mistake]]:
    import yaml

    wanted = say("a list with one '- name: …' and its parameters per student")
    try:
        entries = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return (
            [],
            [],
            [
                Mistake(
                    None,
                    mark("file"),
                    say("this cannot be read as YAML: {listed}", listed=" ".join(str(error).split())),
                )
            ],
        )
    if not isinstance(entries, list) or not entries:
        return (
            [],
            [],
            [
                Mistake(
                    None,
                    mark("file"),
                    say("there should be {wanted}, not {entries}", wanted=wanted, entries=shorten(entries)),
                )
            ],
        )
    rows, mistakes = [], []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            mistakes.append(
                Mistake(
                    number,
                    mark("file"),
                    say("there should be {wanted}, not {entry}", wanted=wanted, entry=shorten(entry)),
                )
            )
            continue
        cells = {}
        for column, value in entry.items():
            if not isinstance(column, str):
                mistakes.append(
                    Mistake(
                        number,
                        mark("column"),
                        say("a parameter's name must be text, not {column}", column=shorten(column)),
                    )
                )
            elif isinstance(value, list | dict) or not isinstance(value, str | int | float | bool | None):
                text = say(
                    "{column} must be one number or text, not {value}. Quotation marks make it text",
                    column=column,
                    value=shorten(value),
                )
                mistakes.append(Mistake(number, mark("value"), text))
            elif value is not None and value != "":
                cells[column] = value
        mistakes += [
            Mistake(number, kind, text)
            for kind, text in _check_cells({column: cell for column, cell in cells.items() if isinstance(cell, str)})
            if kind != "formula"  # no spreadsheet opens it
        ]
        rows.append(Row(number, cells))
    columns = list(dict.fromkeys(column for row in rows for column in row.cells))
    return rows, columns, mistakes
