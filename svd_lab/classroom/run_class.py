"""A class from roster to page: plan → what is finished → Dask → store → page."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from svd_lab.classroom import worker
from svd_lab.classroom.dask_runs import Record, Task, check_address, load_distributed, run_tasks
from svd_lab.classroom.page import write_summary
from svd_lab.classroom.plan import Plan, make_plan
from svd_lab.classroom.progress import Progress
from svd_lab.classroom.store import Store, locked, open_store, prepare, put_inputs, read_finished
from svd_lab.language import say
from svd_lab.version import __version__

_PAGE_INTERVAL = 60  # seconds between two versions of the page while the class runs


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
    run_task: Callable[[Task], Record] = worker.run_task,
) -> Counter[str]:
    """Run every lesson for every student of a roster; all results are in `out`, with index.html as the overview.

    Progress goes to standard error.

    Args:
        roster, lessons, language, parameters: As for `make_plan`.
        out: A folder that all workers see, or an address that fsspec knows.
        resume: Continue in a folder that holds results: run only what is missing, failed or changed.
        scheduler, workers, threads: As for `run_tasks`.
        timeout: Seconds that a notebook may take.
        run_task: What a worker does for a run.

    Returns:
        How many runs are "done" and "failed".

    Raises:
        ValueError: Before anything runs: all mistakes of the roster, or a wrong argument.
        FileExistsError: Before anything runs: the folder is in use.
        OSError: After all runs: the page could not be written.
        KeyboardInterrupt: Ctrl-C, after the page was written.
    """
    if timeout < 1:
        raise ValueError(say("timeout must be at least 1 second, not {timeout}", timeout=timeout))
    for name, count in (("workers", workers), ("threads", threads)):
        if count is not None and count < 1:
            raise ValueError(say("{name} must be at least 1, not {count}", name=name, count=count))
    load_distributed()
    if scheduler:
        check_address(scheduler)
    roster = Path(roster)
    plan = make_plan(roster, lessons, language=language, parameters=parameters)
    store = open_store(out)
    prepare(store, resume)
    with locked(store):
        dask_options = {"scheduler": scheduler, "workers": workers, "threads": threads, "run_task": run_task}
        return _run_plan(plan, store, (roster.stem, language), resume, timeout, dask_options)


def _run_plan(
    plan: Plan, store: Store, title: tuple[str, str], resume: bool, timeout: int, dask_options: dict[str, Any]
) -> Counter[str]:
    """Run a plan in its folder. title: the roster's name and the page's language; dask_options: keywords of `run_tasks`."""
    finished = read_finished(store, [run.folder for run in plan.runs]) if resume else {}
    records = {
        run.folder: record
        for run in plan.runs
        if (record := finished.get(run.folder)) and record["key"] == run.key and record["status"] == "done"
    }
    missing = [run for run in plan.runs if run.folder not in records]
    progress = Progress(Counter(run.lesson for run in missing), len(records))
    common = {"out": store.address, "timeout": timeout, "version": __version__, "threads": None, "gpus": None}
    common["attempt"] = uuid.uuid4().hex  # what fails in this attempt is repeated only in the next one
    tasks = [asdict(run) | common for run in missing]
    page_time = time.monotonic()
    slots = 0

    def on_record(task: Task, record: Record) -> None:
        records[task["folder"]] = record
        progress.count(record)
        if record["status"] != "done":
            cell = f", {record['cell']}" if record["cell"] else ""
            reason = _first_line(record["message"])
            progress.message(
                say(
                    "failed: {student}, {lesson}{cell}: {reason}",
                    student=record["student"],
                    lesson=record["lesson"],
                    cell=cell,
                    reason=reason,
                )
            )

    def on_poll(current_slots: int) -> None:
        nonlocal page_time, slots
        slots = current_slots
        progress.show(slots)
        if time.monotonic() - page_time > _PAGE_INTERVAL:
            write_page()
            page_time = time.monotonic()

    def write_page() -> OSError | None:
        """A full disk must not end a class whose other runs may still find room, nor hide why the class ended."""
        try:
            write_summary(store, plan.runs, records, *title)
        except OSError as error:
            progress.message(say("the page could not be written: {error}", error=error))
            return error
        return None

    try:
        if tasks:
            put_inputs(store, plan.inputs)
            run_tasks(tasks, on_record, on_poll, progress.message, **dask_options)
    finally:
        progress.finish(slots)
        problem = write_page()
    if problem:
        raise OSError(
            say("the page could not be written. Make room; --resume then writes it: {problem}", problem=problem)
        ) from problem
    return Counter(record["status"] for record in records.values())


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 200 else f"{line[:199]}…"
