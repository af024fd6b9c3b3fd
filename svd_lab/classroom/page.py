"""The summary of a class: index.html, one page that needs no network and opens from a disk, and summary.csv.

The page's data is JSON inside it, and its script sets every name and text as text, never as HTML. Clips are files beside the
page, fetched when they come into view.
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
from svd_lab.classroom.store import Store, write

_STATUSES = ("failed", "done", "waiting")  # in the order in which they are shown
_MESSAGE = 300  # characters of a message on the page; the table has more, the notebook all
_VALUE = 80  # characters of a parameter's value on the page
_WORDS = {
    "en": {
        "failed": "failed", "done": "done", "waiting": "not run",
        "student": "student", "search": "part of a name", "lesson": "lesson", "status": "status", "all": "all",
        "shown": " shown", "none": "No run fits.", "no_clip": "no clip", "notebook": "notebook", "seconds": " s",
        "more": "# more clips", "made": "as of", "table": "as a table",
        "script": "This page needs JavaScript. The same lies in summary.csv.",
    },
    "ko": {
        "failed": "실패", "done": "완료", "waiting": "실행 전",
        "student": "학생", "search": "이름의 일부", "lesson": "강의", "status": "상태", "all": "모두",
        "shown": "개 표시", "none": "조건에 맞는 실행이 없어요.", "no_clip": "영상 없음", "notebook": "노트북", "seconds": "초",
        "more": "영상 #개 더", "made": "기준 시각", "table": "표로 보기",
        "script": "이 페이지는 JavaScript가 필요해요. 같은 내용이 summary.csv에 있어요.",
    },
}  # fmt: skip


def write_summary(
    store: Store, runs: Sequence[Run], records: Mapping[str, Mapping[str, Any]], title: str, language: str
) -> None:
    """Write index.html and summary.csv for all runs of a class; those without a record (by folder) have not been run."""
    write(store, "summary.csv", make_table(runs, records).encode("utf-8-sig"))  # with the mark, Excel reads Korean
    write(store, "index.html", make_page(runs, records, title, language).encode())


def make_page(
    runs: Sequence[Run],
    records: Mapping[str, Mapping[str, Any]],
    title: str,
    language: str = "ko",
    now: str | None = None,
) -> str:
    """The page as HTML. now: what it says about when it was made."""
    words = _WORDS[language]
    lessons = list(dict.fromkeys(run.lesson for run in runs))
    students = {run.folder.partition("/")[0]: run.student for run in runs}
    places = {folder: place for place, folder in enumerate(students)}
    rows = []
    for run in runs:
        record = records.get(run.folder, {})
        rows.append(
            [
                places[run.folder.partition("/")[0]],
                lessons.index(run.lesson),
                _STATUSES.index(record.get("status", "waiting")),
                round(record["seconds"], 1) if record.get("seconds") else None,
                [f"{name} {_short(value, _VALUE)}" for name, value in run.parameters.items()],
                record.get("clips", []),
                record.get("cell"),
                _short(record.get("message", ""), _MESSAGE),
                # Bits: is there a notebook, is there a result.json
                int(f"{run.lesson}.ipynb" in record.get("files", {}))
                + 2 * int("result.json" in record.get("files", {})),
            ]
        )
    rows.sort(key=lambda row: row[2])
    data = {
        "words": words,
        "statuses": [words[status] for status in _STATUSES],
        "counts": [Counter(row[2] for row in rows)[place] for place in range(len(_STATUSES))],
        "lessons": lessons,
        "students": [[name, folder] for folder, name in students.items()],
        "runs": rows,
    }
    # Inside a script element only "<" could end it; a letter that is half of one (bad input) must not stop the page.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    text = text.encode("utf-8", "replace").decode()
    page = Path(__file__).with_name("page.html").read_text("utf-8")
    made = f"{words['made']} {now or datetime.now().strftime('%Y-%m-%d %H:%M')}"
    named = {"language": language, "title": title, "made": made, "script": words["script"], "table": words["table"]}
    parts = {name: html.escape(value) for name, value in named.items()} | {"data": text}
    return re.sub(r"{{(\w+)}}", lambda found: parts[found[1]], page)


def make_table(runs: Sequence[Run], records: Mapping[str, Mapping[str, Any]]) -> str:
    """The table as CSV: a row a run, a column a parameter. A text that a spreadsheet would take for a formula gets a quote."""
    names = list(dict.fromkeys(name for run in runs for name in run.parameters))
    lines = io.StringIO()
    table = csv.writer(lines)
    table.writerow(["student", "lesson", "status", "seconds", "cell", "message", "host", "folder", *names])
    for run in runs:
        record = records.get(run.folder, {})
        status, seconds = record.get("status", "waiting"), record.get("seconds")
        told = [record.get(name) for name in ("cell", "message", "host")]
        cells = [
            run.student,
            run.lesson,
            status,
            seconds,
            *told,
            run.folder,
            *(run.parameters.get(name) for name in names),
        ]
        table.writerow([_no_formula(cell) for cell in cells])
    return lines.getvalue().encode("utf-8", "replace").decode()


def _no_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip()[:1] in ("=", "+", "-", "@") and cell.strip() else cell


def _short(value: Any, length: int) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= length else f"{text[: length - 1]}…"
