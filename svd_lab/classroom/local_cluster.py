"""Dask on this machine alone: how many notebooks at a time, and the cluster that runs them."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MEMORY_PER_RUN = 2 * 2**30  #: bytes; the most that a run with the miniature takes on a CPU, and a reserve


def divide_machine(workers: int | None = None, threads: int | None = None) -> tuple[int, int, list[str] | None]:
    """Decide how many notebooks this machine runs at a time.

    Args:
        workers, threads: As in `dask_runs.run_tasks`.

    Returns:
        (workers, CPU threads of each run, GPUs as CUDA_VISIBLE_DEVICES names them, or None).
    """
    import psutil
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    gpus = _gpus()
    memory = min(MEMORY_LIMIT, psutil.virtual_memory().available)
    count = workers or len(gpus) or max(1, min(CPU_COUNT, memory // MEMORY_PER_RUN))
    given = os.environ.get("OMP_NUM_THREADS", "")
    threads = threads or (int(given) if given.isdecimal() and int(given) else max(1, CPU_COUNT // count))
    return count, threads, gpus or None


def _gpus() -> list[str]:
    import torch

    count = torch.cuda.device_count()  # creates no CUDA context
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (visible or [str(number) for number in range(count)])[:count]


def has_bokeh() -> bool:
    """Whether Dask can show its dashboard."""
    from importlib.util import find_spec

    return find_spec("bokeh") is not None


@contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """A cluster that only this machine can reach. Its processes ignore Ctrl-C, which is for the command that started them."""
    import dask
    from distributed import LocalCluster

    handler = signal.getsignal(signal.SIGINT)
    config = {
        "distributed.scheduler.worker-saturation": 1.0,  # runs take minutes: none is queued at a busy worker
        "distributed.worker.memory.terminate": False,  # a worker is small; its runs are other processes
        "distributed.admin.tick.limit": "1h",
    }
    with dask.config.set(config), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:8787" if has_bokeh() else None,
            silence_logs=logging.CRITICAL,
            preload=["svd_lab.classroom.ignore_ctrl_c"],
        )
        try:
            yield cluster
        finally:
            if handler is signal.default_int_handler:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave workers behind
            try:
                cluster.close(timeout=20)
            finally:
                if handler is signal.default_int_handler:
                    signal.signal(signal.SIGINT, handler)
