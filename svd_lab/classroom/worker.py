"""What a Dask worker does for one run: fetch the inputs, run the notebook in a process of its own, put what it made into the store.

A worker keeps no state between runs: each has its own process, kernel, current folder, temporary folder and settings of
IPython, all below one scratch folder that is removed afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from svd_lab.classroom.notebook_process import OUTCOME
from svd_lab.classroom.store import Store, open_store, publish, read_record
from svd_lab.lesson.notebook import RESULT
from svd_lab.version import __version__

_GRACE = 30  # seconds beyond its time after which a run that did not stop by itself is killed
_AT_WORK = ("running", "paused", "closing_gracefully")  # what a worker calls itself while it has a scheduler
_MESSAGE = 2000  # characters of a message that a record keeps; all of it stands in the executed notebook


class Stopped(Exception):
    """The run is not wanted any more."""


def carry_out(task: dict[str, Any]) -> dict[str, Any]:
    """Carry out a run and return its record, which also lies in the store.

    task: a Run's fields, and "out" (the store's address), "timeout" (seconds), "threads" (of the run, None: as the worker's
    environment says), "gpus" (of this machine, one is the worker's; None: as the environment says), "version" (of svd_lab),
    "attempt" (the same for all runs that one command started).
    A run that has ended well before is not run again, nor one that has failed in this attempt: Dask asks again for a record that
    was lost with its worker. Never raises for what goes wrong in a run: that is a record, too.
    """
    try:
        store = open_store(task["out"])
        record = read_record(store, task["folder"])
        if record and record["key"] == task["key"]:
            if record["status"] == "done" or record.get("attempt") == task["attempt"]:
                return record
        return _run_and_publish(task, store)
    except Stopped:
        raise
    except Exception as error:
        return failure(task, f"{type(error).__name__}: {error}")


def failure(task: dict[str, Any], message: str, cell: str | None = None) -> dict[str, Any]:
    """The record of a run of which nothing is left but a message."""
    return _record(task, status="failed", message=message, cell=cell)


def _record(task: dict[str, Any], **more: Any) -> dict[str, Any]:
    more["message"] = (more.get("message") or "")[:_MESSAGE]
    return {
        **{name: task[name] for name in ("key", "student", "lesson", "folder", "parameters", "attempt")},
        "files": {},
        "clips": [],
        "cell": None,
        "seconds": None,
        **more,
    }


def _run_and_publish(task: dict[str, Any], store: Store) -> dict[str, Any]:
    if __version__ != task["version"]:
        return failure(task, f"{socket.gethostname()} has svd-lab {__version__}, not {task['version']}: install it")
    scratch = Path(tempfile.mkdtemp(prefix="svd-lab-class-"))
    try:
        started, begin = datetime.now(UTC), time.monotonic()
        made, outcome = _run(task, store, scratch)
        files = {str(path.relative_to(made)): path.stat().st_size for path in sorted(made.rglob("*")) if path.is_file()}
        seconds = round(time.monotonic() - begin, 3)
        machine = {"started": started.isoformat(timespec="milliseconds"), "host": socket.gethostname()}
        record = _record(task, **outcome, files=files, clips=_clips(made, files), seconds=seconds, **machine)
        try:
            publish(store, task["folder"], made, record)
        except OSError as error:
            return failure(task, f"what was made could not be stored in {store.address}: {error}")
        return record
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(task: dict[str, Any], store: Store, scratch: Path) -> tuple[Path, dict[str, Any]]:
    """(folder of what was made, outcome) of the notebook, run below `scratch`."""
    here, made = scratch / "work", scratch / "made"
    for folder in (here, made, scratch / "tmp"):
        folder.mkdir()
    notebook = scratch / f"{task['lesson']}.ipynb"
    try:
        store.fs.get_file(store.path(f".class/inputs/{task['notebook']}"), str(notebook))
        if task["picture"]:
            sha, name = task["picture"]
            store.fs.get_file(store.path(f".class/inputs/{sha}"), str(here / name))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{socket.gethostname()} does not see {store.address}: give a folder that all machines share, or an address ({error})"
        ) from error
    job = {"notebook": str(notebook), "parameters": task["parameters"], "out": str(made), "timeout": task["timeout"]}
    (scratch / "job.json").write_text(json.dumps(job), "utf-8")
    log = scratch / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "svd_lab.classroom.notebook_process", str(scratch / "job.json")],
            cwd=here,
            env=_environment(task, scratch),
            stdin=subprocess.PIPE,  # the job ends when this closes
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in a terminal is for the one who started the class alone
        )
        code = _wait(process, task["timeout"] + _GRACE)
    try:
        return made, json.loads((scratch / OUTCOME).read_text("utf-8"))
    except (OSError, ValueError):
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        tail = log.read_text("utf-8", "replace").strip()[-500:]
        return made, {"status": "failed", "cell": None, "message": f"the run's process {ended}. {tail}".strip()}


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for the job. It is ended after `seconds`, and when the run is not wanted any more (Stopped)."""
    wanted, end = _wanted(), time.monotonic() + seconds
    try:
        while True:
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                if not wanted():
                    raise Stopped("the run was cancelled") from None
                if time.monotonic() > end:
                    break
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()  # the job kills its kernel and itself
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
    return process.wait()


def _wanted() -> Callable[[], bool]:
    """A function that says whether anyone still waits for this task: Dask cannot interrupt a task that runs in a thread, but
    its worker knows when the client took it back, went away or was killed, and when the scheduler did."""
    try:
        from distributed import get_worker

        worker = get_worker()
    except (ImportError, ValueError):  # called without Dask
        return lambda: True
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled" and worker.status.name in _AT_WORK

    return wanted


def _environment(task: dict[str, Any], scratch: Path) -> dict[str, str]:
    own = {
        "TMPDIR": str(scratch / "tmp"),
        "IPYTHONDIR": str(scratch / "ipython"),  # many kernels on one history database wait for each other
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "OMP_WAIT_POLICY": "passive",
    }
    if task["threads"]:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
        own |= dict.fromkeys(names, str(task["threads"]))
    if task["gpus"]:
        from distributed import get_worker

        own["CUDA_VISIBLE_DEVICES"] = task["gpus"][int(get_worker().name) % len(task["gpus"])]
    return {**os.environ, **own}


def _clips(made: Path, files: dict[str, int]) -> list[str]:
    """The videos of a run, the lesson's main one first: in result.json's order, then the others by name."""
    try:
        videos = json.loads((made / RESULT).read_text("utf-8"))["videos"]
        named = [video["file"] for video in videos.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        named = []
    return list(dict.fromkeys([*(name for name in named if name in files), *(f for f in files if f.endswith(".mp4"))]))
