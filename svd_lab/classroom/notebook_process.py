"""One notebook in its own process: `python -m svd_lab.classroom.notebook_process REQUEST.json`, started by a Dask worker.

The process ends with its worker: its standard input is a pipe to which nothing is written, and when the pipe closes, however the
worker died, the kernel and the process are killed. How the notebook ended is written to outcome.json beside REQUEST.json; if that
is missing, the process itself was killed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from svd_lab.language import say

OUTCOME = "outcome.json"


class RunTimeout(KeyboardInterrupt):
    """The run took too long. A KeyboardInterrupt, because event loops swallow an Exception that a signal handler raises."""


def main(request_file: str) -> None:
    """Run the notebook that a file asks for ({"notebook", "parameters", "out", "timeout"}) in the current folder."""
    threading.Thread(target=_end_with_worker, args=(Path(request_file).parent,), daemon=True).start()
    request = json.loads(Path(request_file).read_text("utf-8"))
    outcome = run_notebook(Path(request["notebook"]), request["parameters"], Path(request["out"]), request["timeout"])
    Path(request_file).with_name(OUTCOME).write_text(json.dumps(outcome), "utf-8")
    kill_children()
    sys.stdout.flush()
    os._exit(0)  # without waiting for a kernel that hangs


def run_notebook(notebook: Path, parameters: dict[str, Any], out: Path, timeout: int) -> dict[str, Any]:
    """Run a notebook, at most `timeout` seconds long.

    Args:
        notebook: The file to run.
        parameters: Values for its parameters.
        out: Folder for the executed notebook and everything that it writes.
        timeout: Seconds for the whole notebook.

    Returns:
        {"status": "done"}, or {"status": "failed", "cell": which one (None: none had started), "message": why}.
    """
    from svd_lab.lesson.run import run_lesson

    def stop(*_: Any) -> None:
        raise RunTimeout(say("the notebook did not finish within {timeout} s", timeout=timeout))

    if hasattr(signal, "setitimer"):  # elsewhere only the limit of a single cell holds
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, timeout)
    executed = out / notebook.name
    for first_try in (True, False):
        try:
            run_lesson(str(notebook), parameters, out=out, cell_timeout=timeout)
            return {"status": "done"}
        except (Exception, RunTimeout) as error:
            cell, message = find_failure(executed)
            # A kernel looks for free ports and binds them later: of many that start at once, two sometimes want the same.
            if first_try and cell is None and isinstance(error, RuntimeError):
                kill_children()
                continue
            if isinstance(error, RunTimeout) or message is None:  # the notebook says only that the cell was interrupted
                message = f"{type(error).__name__}: {error}"
            return {"status": "failed", "cell": cell, "message": message}
    raise AssertionError("the second try returns")


def find_failure(executed: Path) -> tuple[str | None, str | None]:
    """Return the first cell of an executed notebook that failed, as "code cell 3 of 9 (id)", and its error; None for neither."""
    import nbformat

    if not executed.is_file():
        return None, None
    code = [
        cell
        for cell in nbformat.read(executed, as_version=4).cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    for number, cell in enumerate(code, 1):
        for output in cell.outputs:
            if output.output_type == "error":
                return say(
                    "code cell {number} of {count} ({id})", number=number, count=len(code), id=cell.id
                ), f"{output.ename}: {output.evalue}"
    return None, None


def _end_with_worker(scratch: Path) -> None:
    sys.stdin.buffer.read()
    kill_children()
    shutil.rmtree(scratch, ignore_errors=True)  # a worker that was killed cannot
    os._exit(1)


def kill_children() -> None:
    """Kill all descendants of this process."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


if __name__ == "__main__":
    main(sys.argv[1])
