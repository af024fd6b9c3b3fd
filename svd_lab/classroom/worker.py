"""What a Dask worker does for one run: fetch the inputs, run the notebook in its own process, put the outputs into the store.

A worker keeps no state between runs: each has its own process, kernel, current folder, temporary folder and IPython settings,
all below one scratch folder that is removed afterwards.
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
from svd_lab.language import say
from svd_lab.lesson.notebook import RESULT
from svd_lab.version import __version__

_GRACE = 30  # seconds after its timeout until a run that did not stop is killed
_CONNECTED = ("running", "paused", "closing_gracefully")  # states of a worker that has a scheduler
_MESSAGE_LENGTH = 2000  # characters of a message in a record; the executed notebook has all of it


class RunCancelled(Exception):
    """Nobody waits for the run any more."""


def run_task(task: dict[str, Any]) -> dict[str, Any]:
    """Run a notebook, store its outputs, and return its record, which is in the store, too.

    A run that ended well before, or failed in this attempt, is not repeated: Dask asks again for a record that was lost with its
    worker. Whatever goes wrong in a run becomes a record, not an exception.

    Args:
        task: The fields of a Run, and "out" (the store's address), "timeout" (seconds), "threads" (CPU threads of the run; None:
            as the environment says), "gpus" (of this machine, one for each worker; None: as the environment says), "version"
            (of svd_lab), "attempt" (the same for all runs that one command started).

    Returns:
        The record.

    Raises:
        RunCancelled: The run was cancelled.
    """
    try:
        store = open_store(task["out"])
        record = read_record(store, task["folder"])
        if record and record["key"] == task["key"]:
            if record["status"] == "done" or record.get("attempt") == task["attempt"]:
                return record
        return _run_and_publish(task, store)
    except RunCancelled:
        raise
    except Exception as error:
        return failed_record(task, f"{type(error).__name__}: {error}")


def failed_record(task: dict[str, Any], message: str) -> dict[str, Any]:
    """The record of a failed run that left no files."""
    return _record(task, status="failed", message=message)


def _record(task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    fields["message"] = (fields.get("message") or "")[:_MESSAGE_LENGTH]
    return {
        **{name: task[name] for name in ("key", "student", "lesson", "folder", "parameters", "attempt")},
        "files": {},
        "clips": [],
        "cell": None,
        "seconds": None,
        **fields,
    }


def _run_and_publish(task: dict[str, Any], store: Store) -> dict[str, Any]:
    host = socket.gethostname()
    if __version__ != task["version"]:
        return failed_record(
            task,
            say(
                "{host} has svd-lab {version}. Install {wanted} there",
                host=host,
                version=__version__,
                wanted=task["version"],
            ),
        )
    scratch = Path(tempfile.mkdtemp(prefix="svd-lab-class-"))
    try:
        started, start = datetime.now(UTC), time.monotonic()
        outputs, outcome = _run_notebook(task, store, scratch)
        paths = [path for path in sorted(outputs.rglob("*")) if path.is_file()]
        files = {str(path.relative_to(outputs)): path.stat().st_size for path in paths}
        record = _record(
            task,
            **outcome,
            files=files,
            clips=_clips(outputs, files),
            seconds=round(time.monotonic() - start, 3),
            started=started.isoformat(timespec="milliseconds"),
            host=host,
        )
        try:
            publish(store, task["folder"], outputs, record)
        except OSError as error:
            return failed_record(
                task, say("the outputs could not be stored in {address}: {error}", address=store.address, error=error)
            )
        return record
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_notebook(task: dict[str, Any], store: Store, scratch: Path) -> tuple[Path, dict[str, Any]]:
    """Run the notebook below `scratch`; returns the folder of its outputs, and its outcome (see notebook_process)."""
    current, outputs = scratch / "current", scratch / "outputs"
    for folder in (current, outputs, scratch / "tmp"):
        folder.mkdir()
    notebook = scratch / f"{task['lesson']}.ipynb"
    try:
        store.fs.get_file(store.path(f".class/inputs/{task['notebook']}"), str(notebook))
        if task["picture"]:
            sha, name = task["picture"]
            store.fs.get_file(store.path(f".class/inputs/{sha}"), str(current / name))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            say(
                "{host} does not see {address}. Give a folder that all machines share, or an address ({error})",
                host=socket.gethostname(),
                address=store.address,
                error=error,
            )
        ) from error
    request, log = scratch / "request.json", scratch / "log"
    asked = {
        "notebook": str(notebook),
        "parameters": task["parameters"],
        "out": str(outputs),
        "timeout": task["timeout"],
    }
    request.write_text(json.dumps(asked), "utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "svd_lab.classroom.notebook_process", str(request)],
            cwd=current,
            env=_environment(task, scratch),
            stdin=subprocess.PIPE,  # the process ends when this closes
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in a terminal reaches only the command that runs the class
        )
        code = _wait(process, task["timeout"] + _GRACE)
    try:
        return outputs, json.loads((scratch / OUTCOME).read_text("utf-8"))
    except (OSError, ValueError):
        ended = (
            say("was killed by signal {number}", number=-code)
            if code < 0
            else say("ended with exit status {code}", code=code)
        )
        tail = log.read_text("utf-8", "replace").strip()[-500:]
        return outputs, {
            "status": "failed",
            "cell": None,
            "message": say("the run's process {ended}. {tail}", ended=ended, tail=tail).strip(),
        }


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for the process and return its exit status; it is killed after `seconds`, and when the run is cancelled."""
    is_cancelled, end = _cancellation(), time.monotonic() + seconds
    try:
        while True:
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                if is_cancelled():
                    raise RunCancelled(say("the run was cancelled")) from None
                if time.monotonic() > end:
                    break
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()  # the process then kills its kernel and itself
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
    return process.wait()


def _cancellation() -> Callable[[], bool]:
    """Return a function that tells whether this task was cancelled.

    Dask cannot interrupt a task that runs in a thread, but its worker knows when the client cancelled it, went away or was
    killed, and when the scheduler did.
    """
    try:
        from distributed import get_worker

        worker = get_worker()
    except (ImportError, ValueError):  # called without Dask
        return lambda: False
    key = worker.get_current_task()

    def is_cancelled() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled" or worker.status.name not in _CONNECTED

    return is_cancelled


def _environment(task: dict[str, Any], scratch: Path) -> dict[str, str]:
    """The environment variables of a run's process."""
    variables = {
        "TMPDIR": str(scratch / "tmp"),
        "IPYTHONDIR": str(scratch / "ipython"),  # kernels that share a history database wait for each other
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "OMP_WAIT_POLICY": "passive",
    }
    if task["threads"]:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
        variables |= dict.fromkeys(names, str(task["threads"]))
    if task["gpus"]:
        from distributed import get_worker

        variables["CUDA_VISIBLE_DEVICES"] = task["gpus"][int(get_worker().name) % len(task["gpus"])]
    return {**os.environ, **variables}


def _clips(outputs: Path, files: dict[str, int]) -> list[str]:
    """The videos of a run: those of result.json in its order, so that the lesson's main one is first, then the others by name."""
    try:
        videos = json.loads((outputs / RESULT).read_text("utf-8"))["videos"]
        named = [video["file"] for video in videos.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        named = []
    return list(dict.fromkeys([*(name for name in named if name in files), *(f for f in files if f.endswith(".mp4"))]))
