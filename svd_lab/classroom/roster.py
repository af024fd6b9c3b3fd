"""Read a class's roster, CSV or YAML, and say everything that is wrong with it as a table: nothing stops at the first mistake.

What the columns mean is `plan`'s business; here a roster is rows of cells. No torch, no model.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

NAME = "name"  #: the one column that must be there
_SHOWN = 10  # mistakes of one kind that are spelt out
_EXCEL_ERROR = re.compile(r"#(REF!|N/A|NAME\?|VALUE!|DIV/0!|NULL!|NUM!|SPILL!|CALC!)$")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS = "In Excel: Save as, 'CSV UTF-8 (comma delimited)'"


class Mistake(NamedTuple):
    """One thing that is wrong. row: as a spreadsheet numbers it (the header is row 1), or None for the whole file; kind: mistakes
    of one kind are shown together; text: what was wrong, what was given, what to do."""

    row: int | None
    kind: str
    text: str


class Row(NamedTuple):
    """A student. number: as in Mistake; cells: what is filled in, text in a CSV, YAML's own types in a YAML file."""

    number: int
    cells: dict[str, Any]


def read_roster(path: Path) -> tuple[list[Row], list[str], list[Mistake]]:
    """(rows, columns, mistakes) of a roster.

    A CSV may be one that Excel saved: UTF-8 with or without a byte order mark, or UTF-16; commas, semicolons or tabs. Another
    encoding is a mistake, and is then guessed at, so that the other mistakes are found, too. A YAML file is a list of mappings,
    one a student. Empty cells and empty rows are left out.

    Raises OSError for a file that cannot be read.
    """
    data = path.read_bytes()
    if path.suffix.lower() in (".yaml", ".yml"):
        return _read_yaml(data)
    if data.startswith(b"PK\x03\x04"):
        return [], [], [Mistake(None, "file", f"this is an Excel workbook, not a CSV. {_SAVE_AS}")]
    text, mistakes = _decode(data)
    rows, columns, more = _read_csv(text)
    return rows, columns, mistakes + more


def tell(mistakes: Sequence[Mistake], path: Path) -> str:
    """All mistakes as one message: those of a kind together, the first ten of it in full."""
    kinds: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        kinds.setdefault(mistake.kind, []).append(mistake)
    count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes):,} mistakes"
    lines = [f"{path} has {count}; nothing was run"]
    for kind, several in kinds.items():
        for mistake in several[:_SHOWN]:
            lines.append(f"  {f'row {mistake.row}: ' if mistake.row else ''}{mistake.text}")
        if len(several) > _SHOWN:
            rows = ", ".join(str(mistake.row) for mistake in several[_SHOWN : 2 * _SHOWN])
            more = ", …" if len(several) > 2 * _SHOWN else ""
            lines.append(f"  … and {len(several) - _SHOWN:,} more of this kind ({kind}), in rows {rows}{more}")
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
        text = f"this is not UTF-8: there is the byte {data[error.start]:#04x}. {_SAVE_AS}"
    for encoding in ("cp949", "latin-1"):  # Excel's plain "CSV" in Korea, and one that takes every byte
        try:
            return data.decode(encoding), [Mistake(row, "encoding", text)]
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 decodes everything")


def _read_csv(text: str) -> tuple[list[Row], list[str], list[Mistake]]:
    start, _, rest = text.partition("\n")
    separator = re.fullmatch(r"sep=(.)\s*", start)  # Excel's own note about the separator, not a row
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
        return [], [], [*mistakes, Mistake(None, "file", "there is no row in it")]
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
        mistakes += [Mistake(number, kind, text) for kind, text in _odd_cells(cells)]
        rows.append(Row(number, cells))
    return rows, [column for column in columns if column], mistakes


def _check_columns(cells: list[str], number: int) -> tuple[list[str], list[Mistake]]:
    columns = [NAME if cell.lower() == NAME else cell for cell in cells]
    while columns and not columns[-1]:
        columns.pop()
    mistakes = []
    if NAME not in columns:
        there = ", ".join(column or "(empty)" for column in columns)
        mistakes.append(Mistake(number, "column", f"there is no column '{NAME}'; the columns are {there[:300]}"))
    for column in dict.fromkeys(columns):
        if column and columns.count(column) > 1:
            mistakes.append(Mistake(number, "column", f"there are {columns.count(column)} columns '{column}'"))
    return columns, mistakes


def _odd_cells(cells: dict[str, str]) -> list[tuple[str, str]]:
    """(kind, text) of what a spreadsheet does to cells."""
    odd = []
    for column, cell in cells.items():
        if _EXCEL_ERROR.match(cell):
            odd.append(("formula", f"{column} is {cell}, an error of a formula. Save the value"))
        elif cell[0] in "=+-@" and not _is_number(cell):
            odd.append(
                ("formula", f"{column} is {short(cell)}: a spreadsheet takes a cell that begins with '{cell[0]}' for a "
                 "formula. Save the value, or begin with another character")
            )  # fmt: skip
        if any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r" for letter in cell):
            odd.append(("characters", f"{column} holds control characters: {short(cell)}. Type it again"))
        if "�" in cell:
            odd.append(("characters", f"{column} holds a letter that an earlier program lost: {short(cell)}"))
    return odd


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def short(value: Any) -> str:
    """A value's repr, at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"


def _read_yaml(data: bytes) -> tuple[list[Row], list[str], list[Mistake]]:
    import yaml

    wanted = "a list with one '- name: …' and its parameters a student"
    try:
        found = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return [], [], [Mistake(None, "file", f"this cannot be read as YAML: {' '.join(str(error).split())}")]
    if not isinstance(found, list) or not found:
        return [], [], [Mistake(None, "file", f"there should be {wanted}, not {short(found)}")]
    rows, mistakes = [], []
    for number, entry in enumerate(found, 1):
        if not isinstance(entry, dict):
            mistakes.append(Mistake(number, "file", f"there should be {wanted}, not {short(entry)}"))
            continue
        cells = {}
        for column, value in entry.items():
            if not isinstance(column, str):
                mistakes.append(Mistake(number, "column", f"a parameter's name must be text, not {short(column)}"))
            elif isinstance(value, list | dict) or not isinstance(value, str | int | float | bool | None):
                text = f"{column} must be one number or text, not {short(value)}. Quotation marks make it text"
                mistakes.append(Mistake(number, "value", text))
            elif value is not None and value != "":
                cells[column] = value
        mistakes += [
            Mistake(number, kind, text)
            for kind, text in _odd_cells({column: cell for column, cell in cells.items() if isinstance(cell, str)})
            if kind != "formula"  # no spreadsheet reads it
        ]
        rows.append(Row(number, cells))
    columns = list(dict.fromkeys(column for row in rows for column in row.cells))
    return rows, columns, mistakes
