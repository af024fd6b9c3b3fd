"""One notebook in a process of its own: `python -m svd_lab.classroom.notebook_process JOB.json`, started by `work` on the worker's machine.

The process ends with whoever started it: its standard input is a pipe that nobody writes to, and when that closes, however the
other end died, the kernel is killed and the process with it. How the notebook ended is written to outcome.json beside JOB.json;
where there is none, the process itself was killed.
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

OUTCOME = "outcome.json"


class RunTimeout(KeyboardInterrupt):
    """The run took too long. A KeyboardInterrupt, because an event loop swallows an Exception that a signal raises in it."""


def main(job_file: str) -> None:
    """Run the notebook that `job_file` names ({"notebook", "parameters", "out", "timeout"}) in the current folder."""
    threading.Thread(target=_end_with_the_other_side, args=(Path(job_file).parent,), daemon=True).start()
    job = json.loads(Path(job_file).read_text("utf-8"))
    outcome = run(Path(job["notebook"]), job["parameters"], Path(job["out"]), job["timeout"])
    Path(job_file).with_name(OUTCOME).write_text(json.dumps(outcome), "utf-8")
    kill_children()
    sys.stdout.flush()
    os._exit(0)  # a kernel that hangs must not be waited for


def run(notebook: Path, parameters: dict[str, Any], out: Path, timeout: int) -> dict[str, Any]:
    """{"status": "done"} or {"status": "failed", "cell", "message"}: which cell it was (None: before the first), and why."""
    from svd_lab.lesson.run import run_lesson

    def stop(*_: Any) -> None:
        raise RunTimeout(f"the notebook did not come to its end within {timeout} s")

    if hasattr(signal, "setitimer"):  # elsewhere the limit of a single cell must do
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, timeout)
    executed = out / notebook.name
    for again in (True, False):
        try:
            run_lesson(str(notebook), parameters, out=out, cell_timeout=timeout)
            return {"status": "done"}
        except (Exception, RunTimeout) as error:
            cell, message = where_it_failed(executed)
            # Kernels find free ports and then bind them: of many that start on a machine at once, now and then two want the same.
            if again and cell is None and isinstance(error, RuntimeError) and not isinstance(error, RunTimeout):
                kill_children()
                continue
            if (
                isinstance(error, RunTimeout) or message is None
            ):  # of a cell that was interrupted the notebook says only that
                message = f"{type(error).__name__}: {error}"
            return {"status": "failed", "cell": cell, "message": message}
    raise AssertionError("the second try returns")


def where_it_failed(executed: Path) -> tuple[str | None, str | None]:
    """(cell, message) of the first cell of an executed notebook that failed: "code cell 3 of 9 (id)", and the error's last line."""
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
                return f"code cell {number} of {len(code)} ({cell.id})", f"{output.ename}: {output.evalue}"
    return None, None


def _end_with_the_other_side(scratch: Path) -> None:
    sys.stdin.buffer.read()
    kill_children()
    shutil.rmtree(scratch, ignore_errors=True)  # a worker that was killed cannot
    os._exit(1)


def kill_children() -> None:
    """Kill every process that this one started, and those that they started."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


if __name__ == "__main__":
    main(sys.argv[1])
