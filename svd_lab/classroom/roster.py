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

NAME = "name"  #: the one required column
_SHOWN_PER_KIND = 10  # mistakes of one kind that are listed in full
_EXCEL_ERROR = re.compile(r"#(REF!|N/A|NAME\?|VALUE!|DIV/0!|NULL!|NUM!|SPILL!|CALC!)$")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS = "In Excel: Save as, 'CSV UTF-8 (comma delimited)'"


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
        return [], [], [Mistake(None, "file", f"this is an Excel workbook, not a CSV. {_SAVE_AS}")]
    text, mistakes = _decode(data)
    rows, columns, more = _read_csv(text)
    return rows, columns, mistakes + more


def format_mistakes(mistakes: Sequence[Mistake], path: Path) -> str:
    """Return all mistakes as one message: those of a kind together, the first ten of each kind in full."""
    kinds: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        kinds.setdefault(mistake.kind, []).append(mistake)
    count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes):,} mistakes"
    lines = [f"{path} has {count}; nothing was run"]
    for kind, several in kinds.items():
        for mistake in several[:_SHOWN_PER_KIND]:
            lines.append(f"  {f'row {mistake.row}: ' if mistake.row else ''}{mistake.text}")
        if len(several) > _SHOWN_PER_KIND:
            rows = ", ".join(str(mistake.row) for mistake in several[_SHOWN_PER_KIND : 2 * _SHOWN_PER_KIND])
            more = ", …" if len(several) > 2 * _SHOWN_PER_KIND else ""
            lines.append(f"  … and {len(several) - _SHOWN_PER_KIND:,} more of this kind ({kind}), in rows {rows}{more}")
    return "\n".join(lines)


def _decode(data: bytes) -> tuple[str, list[Mistake]]:
    if data.startswith(_UTF16):
        try:
            return data.decode("utf-16"), []
        except UnicodeDecodeError as error:
            return data.decode("utf-16", "replace"), [Mistake(None, "encoding", f"this is damaged UTF-16: {error}")]
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        text = f"this is not UTF-8: it has the byte {data[error.start]:#04x}. {_SAVE_AS}"
    for encoding in ("cp949", "latin-1"):  # Excel's plain "CSV" in Korea; latin-1 accepts every byte
        try:
            return data.decode(encoding), [Mistake(row, "encoding", text)]
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
        mistakes.append(Mistake(len(table) + 1, "file", f"this cannot be read as CSV: {error}"))
    filled = [number for number, line in enumerate(table) if any(line)]
    if not filled:
        return [], [], [*mistakes, Mistake(None, "file", "it has no rows")]
    columns, wrong = _check_columns(table[filled[0]], filled[0] + 1)
    mistakes += wrong
    rows = []
    for index in filled[1:]:
        line, number = table[index], index + 1
        if any(line[len(columns) :]):
            mistakes.append(
                Mistake(
                    number, "cells", f"there are {len(line)} cells under {len(columns)} columns. "
                    f'Put a text that holds "{delimiter}" in quotation marks',
                )
            )  # fmt: skip
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
        mistakes.append(Mistake(number, "column", f"there is no column '{NAME}'; the columns are {given[:300]}"))
    for column in dict.fromkeys(columns):
        if column and columns.count(column) > 1:
            mistakes.append(Mistake(number, "column", f"there are {columns.count(column)} columns '{column}'"))
    return columns, mistakes


def _check_cells(cells: dict[str, str]) -> list[tuple[str, str]]:
    """Return (kind, text) of the mistakes that spreadsheets leave in cells."""
    mistakes = []
    for column, cell in cells.items():
        if _EXCEL_ERROR.match(cell):
            mistakes.append(("formula", f"{column} is {cell}, an error of a formula. Save the value"))
        elif cell[0] in "=+-@" and not _is_number(cell):
            mistakes.append(
                ("formula", f"{column} is {shorten(cell)}: a spreadsheet reads a cell that begins with '{cell[0]}' as a "
                 "formula. Save the value, or begin with another character")
            )  # fmt: skip
        if any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r" for letter in cell):
            mistakes.append(("characters", f"{column} holds control characters: {shorten(cell)}. Type it again"))
        if "�" in cell:
            mistakes.append(
                (
                    "characters",
                    f"{column} holds a letter that another program lost: {shorten(cell)}. Type it again",
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

    wanted = "a list with one '- name: …' and its parameters per student"
    try:
        entries = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return [], [], [Mistake(None, "file", f"this cannot be read as YAML: {' '.join(str(error).split())}")]
    if not isinstance(entries, list) or not entries:
        return [], [], [Mistake(None, "file", f"there should be {wanted}, not {shorten(entries)}")]
    rows, mistakes = [], []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            mistakes.append(Mistake(number, "file", f"there should be {wanted}, not {shorten(entry)}"))
            continue
        cells = {}
        for column, value in entry.items():
            if not isinstance(column, str):
                mistakes.append(Mistake(number, "column", f"a parameter's name must be text, not {shorten(column)}"))
            elif isinstance(value, list | dict) or not isinstance(value, str | int | float | bool | None):
                text = f"{column} must be one number or text, not {shorten(value)}. Quotation marks make it text"
                mistakes.append(Mistake(number, "value", text))
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
