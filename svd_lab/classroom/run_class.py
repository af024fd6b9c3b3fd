"""A class from roster to page: plan → what is finished → Dask → store → page."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from svd_lab.classroom.dask_runs import check_address, load_distributed, run_tasks
from svd_lab.classroom.page import write_summary
from svd_lab.classroom.plan import Plan, make_plan
from svd_lab.classroom.progress_line import Progress
from svd_lab.classroom.store import Store, held, open_store, prepare, put_inputs, read_finished
from svd_lab.classroom.worker import carry_out
from svd_lab.version import __version__

_PAGE_EVERY = 60  # seconds between two writings of the page while the class runs


def run_class(
    roster: str | Path,
    lessons: Sequence[str],
    out: str,
    *,
    resume: bool = False,
    scheduler: str | None = None,
    language: str = "ko",
    parameters: Mapping[str, Any] | None = None,
    workers: int | None = None,
    threads: int | None = None,
    timeout: int = 3600,
    work: Callable[[dict[str, Any]], dict[str, Any]] = carry_out,
) -> Counter[str]:
    """Run every lesson for every student of a roster; what becomes of it lies in `out`, with index.html to look at.

    roster, lessons, language, parameters: as for make_plan. out: a folder that all workers see, or an address that fsspec knows.
    resume: go on in a folder that holds results: only what is missing, failed or changed is run. scheduler, workers, threads: as
    for run_tasks. timeout: seconds that a notebook may take. work: what a worker does for a run.

    Returns how many runs are "done" and "failed"; progress and what is worth a sentence go to standard error. Raises ValueError
    with all mistakes of the roster, FileExistsError for a folder in use, before anything runs; KeyboardInterrupt when it is
    stopped, after the page was written; OSError, after all runs, for a page that could not be written.
    """
    if timeout < 1:
        raise ValueError(f"timeout must be at least 1 second, not {timeout}")
    for name, count in (("workers", workers), ("threads", threads)):
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")
    load_distributed()
    if scheduler:
        check_address(scheduler)
    roster = Path(roster)
    plan = make_plan(roster, lessons, language=language, parameters=parameters)
    store = open_store(out)
    prepare(store, resume)
    with held(store):
        title = roster.stem, language
        return _run(plan, store, title, resume, timeout, work, scheduler=scheduler, workers=workers, threads=threads)


def _run(
    plan: Plan,
    store: Store,
    title: tuple[str, str],
    resume: bool,
    timeout: int,
    work: Callable[[dict[str, Any]], dict[str, Any]],
    **engine: Any,
) -> Counter[str]:
    """run_class in its folder. title: the roster's name and the language, for the page; engine: where it runs, for run_tasks."""
    there = read_finished(store, [run.folder for run in plan.runs]) if resume else {}
    records = {
        run.folder: record
        for run in plan.runs
        if (record := there.get(run.folder)) and record["key"] == run.key and record["status"] == "done"
    }
    missing = [run for run in plan.runs if run.folder not in records]
    progress = Progress(Counter(run.lesson for run in missing), len(records))
    common = {"out": store.address, "timeout": timeout, "version": __version__, "threads": None, "gpus": None}
    common["attempt"] = uuid.uuid4().hex  # what fails in this one is not tried again before the next one
    tasks = [asdict(run) | common for run in missing]
    written = time.monotonic()
    slots = 0

    def on_record(task: dict[str, Any], record: dict[str, Any]) -> None:
        records[task["folder"]] = record
        progress.count(record)
        if record["status"] != "done":
            where = f", {record['cell']}" if record["cell"] else ""
            progress.say(f"failed: {record['student']}, {record['lesson']}{where}: {_first_line(record['message'])}")

    def on_tick(now: int) -> None:
        nonlocal written, slots
        slots = now
        progress.show(slots)
        if time.monotonic() - written > _PAGE_EVERY:
            write_page()
            written = time.monotonic()

    def write_page() -> OSError | None:
        """A disk that is full must not end a class whose other runs may still find room, nor hide why it ended."""
        try:
            write_summary(store, plan.runs, records, *title)
        except OSError as error:
            progress.say(f"the page could not be written: {error}")
            return error
        return None

    try:
        if tasks:
            put_inputs(store, plan.inputs)
            run_tasks(tasks, on_record, on_tick, progress.say, carry_out=work, **engine)
    finally:
        progress.show(slots, last=True)
        problem = write_page()
    if problem:
        raise OSError(f"the page could not be written; make room, then --resume writes it: {problem}") from problem
    return Counter(record["status"] for record in records.values())


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 200 else f"{line[:199]}…"
