"""The summary of a class: index.html, a page that works from a disk without a network, and summary.csv.

The page's data is JSON inside it, and its script inserts every name and text as text, never as HTML. Clips are files beside the
page, loaded when they come into view.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from svd_lab.classroom.plan import Run
from svd_lab.classroom.store import Store, write_file
from svd_lab.language import mark, say

_STATUSES = ("failed", "done", "waiting")  # in the order of the page
_MESSAGE_LENGTH = 300  # characters of a message on the page; the table has more, the notebook everything
_VALUE_LENGTH = 80  # characters of a parameter's value on the page
_WORDS = {
    "failed": mark("failed"), "done": mark("done"), "waiting": mark("not run"),
    "student": mark("student"), "search": mark("part of a name"), "lesson": mark("lesson"), "status": mark("status"),
    "all": mark("all"), "shown": mark(" shown"), "none": mark("No run matches."), "no_clip": mark("no clip"),
    "notebook": mark("notebook"), "page": mark("to read"), "seconds": mark(" s"), "more": mark("# more clips"),
    "made": mark("as of"), "table": mark("as a table"),
    "script": mark("This page needs JavaScript. summary.csv has the same data."),
}  # fmt: skip


def write_summary(
    store: Store, runs: Sequence[Run], records: Mapping[str, Mapping[str, Any]], title: str, language: str
) -> None:
    """Write index.html and summary.csv.

    Args:
        store: The class's store.
        runs: All runs of the class.
        records: {folder: record}; runs without a record have not been run.
        title: Heading of the page.
        language: "ko" or "en".
    """
    write_file(store, "summary.csv", make_table(runs, records).encode("utf-8-sig"))  # Excel needs the mark for Korean
    write_file(store, "index.html", make_page(runs, records, title, language).encode())


def make_page(
    runs: Sequence[Run],
    records: Mapping[str, Mapping[str, Any]],
    title: str,
    language: str = "ko",
    now: str | None = None,
) -> str:
    """Return the page as HTML. now: the time that it shows (None: the current one); the rest as in `write_summary`."""
    words = {key: say(message, language) for key, message in _WORDS.items()}
    lessons = list(dict.fromkeys(run.lesson for run in runs))
    students = {run.folder.partition("/")[0]: run.student for run in runs}
    student_index = {folder: index for index, folder in enumerate(students)}
    rows = []
    for run in runs:
        record = records.get(run.folder, {})
        rows.append(
            [
                student_index[run.folder.partition("/")[0]],
                lessons.index(run.lesson),
                _STATUSES.index(record.get("status", "waiting")),
                round(record["seconds"], 1) if record.get("seconds") else None,
                [f"{name} {_shorten(value, _VALUE_LENGTH)}" for name, value in run.parameters.items()],
                record.get("clips", []),
                record.get("cell"),
                _shorten(record.get("message", ""), _MESSAGE_LENGTH),
                # bits: has a notebook, has a result.json, has a page
                int(f"{run.lesson}.ipynb" in record.get("files", {}))
                + 2 * int("result.json" in record.get("files", {}))
                + 4 * int(f"{run.lesson}.html" in record.get("files", {})),
            ]
        )
    rows.sort(key=lambda row: row[2])
    data = {
        "words": words,
        "statuses": [words[status] for status in _STATUSES],
        "counts": [Counter(row[2] for row in rows)[status] for status in range(len(_STATUSES))],
        "lessons": lessons,
        "students": [[name, folder] for folder, name in students.items()],
        "runs": rows,
    }
    # Only "<" could end the script element; a lone surrogate (bad input) must not stop the page.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    text = text.encode("utf-8", "replace").decode()
    page = Path(__file__).with_name("page.html").read_text("utf-8")
    made = f"{words['made']} {now or datetime.now().strftime('%Y-%m-%d %H:%M')}"
    named = {"language": language, "title": title, "made": made, "script": words["script"], "table": words["table"]}
    parts = {name: html.escape(value) for name, value in named.items()} | {"data": text}
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], page)


def make_table(runs: Sequence[Run], records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table as CSV: one row per run, one column per parameter. Text that looks like a formula gets a quote."""
    names = list(dict.fromkeys(name for run in runs for name in run.parameters))
    lines = io.StringIO()
    table = csv.writer(lines)
    table.writerow(["student", "lesson", "status", "seconds", "cell", "message", "host", "folder", *names])
    for run in runs:
        record = records.get(run.folder, {})
        status, seconds = record.get("status", "waiting"), record.get("seconds")
        cells = [
            run.student,
            run.lesson,
            status,
            seconds,
            *(record.get(name) for name in ("cell", "message", "host")),
            run.folder,
            *(run.parameters.get(name) for name in names),
        ]
        table.writerow([_no_formula(cell) for cell in cells])
    return lines.getvalue().encode("utf-8", "replace").decode()


def _no_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip()[:1] in ("=", "+", "-", "@") and cell.strip() else cell


def _shorten(value: Any, length: int) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= length else f"{text[: length - 1]}…"
