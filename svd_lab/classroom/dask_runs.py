"""Runs on dask.distributed: a LocalCluster, or any scheduler that runs already. Dask queues, places and repeats; what is here
watches, and starts again what a scheduler forgot when it was restarted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from svd_lab.classroom import worker
from svd_lab.classroom.store import open_store
from svd_lab.version import __version__

MEMORY_A_RUN = 2 * 2**30  #: bytes; what a run with the mini needs at most on a CPU, and some room
_PATIENCE = 600  # seconds to wait for a scheduler or its first worker
_FIRST = 30  # seconds for the first answer of all
_ROUNDS = 5  # that bring nothing, after which it is given up
_TICK = 0.2  # seconds

Task = dict[str, Any]
Record = dict[str, Any]


def load_distributed() -> Any:
    """dask.distributed, or an ImportError that says how to get it."""
    try:
        import distributed
    except ImportError as error:
        raise ImportError("running a class needs dask.distributed: pip install 'svd-lab[class]'") from error
    return distributed


def check_address(scheduler: str) -> None:
    """ValueError for what cannot be the address of a scheduler."""
    from distributed.comm import get_address_host_port

    try:
        get_address_host_port(scheduler, strict=True)
    except (ValueError, NotImplementedError) as error:
        raise ValueError(
            f"{scheduler!r} is no address of a scheduler ({error}). Give one like tcp://host:8786"
        ) from error


def run_tasks(
    tasks: Sequence[Task],
    on_record: Callable[[Task, Record], None],
    on_tick: Callable[[int], None],
    say: Callable[[str], None],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    carry_out: Callable[[Task], Record] = worker.carry_out,
    patience: float = _PATIENCE,
) -> None:
    """Carry out all tasks, each once, and hand over each record as it comes.

    on_tick(slots): called a few times a second; slots: how many runs go on at the same time. scheduler: an address, as
    tcp://host:8786; None: a cluster on this machine of `workers` (None: one a GPU, else as many as the memory and the cores
    allow), each run with `threads` threads (None: the cores shared out; with `scheduler`: as its workers' environment says).
    carry_out: what a worker does with a task. patience: seconds to wait for a scheduler that does not answer any more, and for
    its first worker.

    A task whose worker dies is given to another by Dask; one that took four workers with it has failed. Raises TimeoutError where
    there is no scheduler or no worker within `patience`, OSError where workers do not see the store. On KeyboardInterrupt what
    runs is stopped, before it is raised again.
    """
    load_distributed()
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it says of a lost scheduler, we say
    left = {_key(task): task for task in tasks}
    rounds = 0
    with _connection(scheduler, workers, threads, say) as (connect, settings):
        for task in left.values():
            task.update(settings)
        while left:
            before = len(left)
            # One that never answered has a wrong address; one that did may be starting again.
            client = connect(min(patience, _FIRST) if before == len(tasks) and not rounds else patience)
            try:
                if scheduler:
                    _check_workers(client, next(iter(left.values()))["out"], say, patience)
                for key, record in _round(client, left, carry_out, on_tick):
                    on_record(left.pop(key), record)
            finally:
                _close(client)
            rounds = 0 if len(left) < before else rounds + 1
            if left and rounds == _ROUNDS:
                raise ConnectionError(f"the scheduler forgot the runs {_ROUNDS} times. Look at its log, then --resume")
            if left:
                say(f"the scheduler was restarted, or lost; {len(left)} runs are given to it again")


def _key(task: Task) -> str:
    """A name that is the same for the same run, so that no scheduler has it twice; Dask's pages group by what stands before '-'."""
    content = "\0".join((task["out"], task["folder"], task["key"]))
    return f"{task['lesson'].replace('-', '_')}-{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _round(
    client: Any, left: dict[str, Task], carry_out: Callable[[Task], Record], on_tick: Callable[[int], None]
) -> Iterator[tuple[str, Record]]:
    """(key, record) of what one scheduler carries out, until all is done or the scheduler is gone."""
    from distributed import as_completed

    keys, tasks = list(left), list(left.values())
    futures = client.map(carry_out, tasks, key=keys, pure=False, retries=0)
    waiting = {future.key: task for future, task in zip(futures, tasks, strict=True)}
    coming = as_completed(futures, loop=client.loop)
    del futures  # a record that was handed over is forgotten by the workers, too
    while waiting:
        on_tick(sum(client.nthreads().values()) if client.status == "running" else 0)
        batch = coming.next_batch(block=False) if coming.count() else []
        if not batch:
            if client.status != "running" or not coming.count():
                return
            time.sleep(_TICK)
            continue
        done = [future for future in batch if future.status == "finished"]
        try:
            records = client.gather(done, errors="skip") if done else []
        except Exception:  # the scheduler went away just now
            records = []
        if len(records) == len(done):
            for future, record in zip(done, records, strict=True):
                waiting.pop(future.key)
                yield future.key, record
        for future in batch:
            if future.status == "error":
                error = future.exception()
                task = waiting.pop(future.key)
                if not isinstance(error, worker.Stopped):
                    yield future.key, worker.failure(task, _explain(error))
            elif future.status != "finished":
                waiting.pop(future.key)  # forgotten: for the next round


def _explain(error: BaseException) -> str:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return f"{error.allowed_failures + 1} workers died while they had this run. Is there memory enough? ({error.last_worker})"
    return f"{type(error).__name__}: {error}"


@contextmanager
def _connection(
    scheduler: str | None, workers: int | None, threads: int | None, say: Callable[[str], None]
) -> Iterator[tuple[Callable[[float], Any], Task]]:
    """(a function that connects to the scheduler within so many seconds, what each task must be told about the machine)."""
    from distributed import Client

    if scheduler:
        yield lambda patience: _reach(scheduler, say, patience), {"threads": threads, "gpus": None}
        return
    count, threads, gpus = share_out(workers, threads)
    with _local_cluster(count) as cluster:
        say(f"notebooks at a time: {count}; {f'GPUs: {len(gpus)}' if gpus else f'CPU threads of each: {threads}'}")
        if _has_dashboard():
            say(f"Dask's dashboard: {cluster.dashboard_link}")
        yield lambda _: Client(cluster, set_as_default=False), {"threads": threads, "gpus": gpus}


def share_out(workers: int | None = None, threads: int | None = None) -> tuple[int, int, list[str] | None]:
    """(workers, threads of each run, the GPUs as CUDA_VISIBLE_DEVICES names them or None) for this machine."""
    import psutil
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    gpus = _gpus()
    memory = min(MEMORY_LIMIT, psutil.virtual_memory().available)
    count = workers or len(gpus) or max(1, min(CPU_COUNT, memory // MEMORY_A_RUN))
    own = os.environ.get("OMP_NUM_THREADS", "")
    threads = threads or (int(own) if own.isdecimal() and int(own) else max(1, CPU_COUNT // count))
    return count, threads, gpus or None


def _gpus() -> list[str]:
    import torch

    count = torch.cuda.device_count()  # makes no context on them
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (named or [str(number) for number in range(count)])[:count]


def _has_dashboard() -> bool:
    from importlib.util import find_spec

    return find_spec("bokeh") is not None


@contextmanager
def _local_cluster(count: int) -> Iterator[Any]:
    """A cluster on this machine that only it can reach, deaf to Ctrl-C: that is for the one who started it."""
    import dask
    from distributed import LocalCluster

    usual = signal.getsignal(signal.SIGINT)
    settings = {
        "distributed.scheduler.worker-saturation": 1.0,  # a run is minutes long: none waits behind another one
        "distributed.worker.memory.terminate": False,  # of the worker, which is small; its runs are other processes
        "distributed.admin.tick.limit": "1h",
    }
    with dask.config.set(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        cluster = LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:8787" if _has_dashboard() else None,
            silence_logs=logging.CRITICAL,
            preload=["svd_lab.classroom.ignore_ctrl_c"],
        )
        try:
            yield cluster
        finally:
            if usual is signal.default_int_handler:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave workers behind
            try:
                cluster.close(timeout=20)
            finally:
                if usual is signal.default_int_handler:
                    signal.signal(signal.SIGINT, usual)


def _reach(address: str, say: Callable[[str], None], patience: float) -> Any:
    """A client of the scheduler at `address`, which may be about to start again."""
    from distributed import Client

    end, told = time.monotonic() + patience, False
    while True:
        try:
            return Client(address, timeout=5, set_as_default=False)
        except (OSError, TimeoutError) as error:
            if time.monotonic() > end:
                raise TimeoutError(
                    f"there is no scheduler at {address}, and none came within {patience:.0f} s"
                ) from error
            if not told:
                say(f"no scheduler answers at {address}; waiting for one, {patience:.0f} s at most")
                told = True
            time.sleep(1)


def _check_workers(client: Any, out: str, say: Callable[[str], None], patience: float) -> None:
    """Every worker must have this svd-lab and see the store. Those that join later find out run by run."""
    if not client.nthreads():
        say(f"the scheduler has no worker yet; waiting for one, {patience:.0f} s at most")
        try:
            client.wait_for_workers(1, timeout=patience)
        except TimeoutError as error:
            raise TimeoutError(
                f"the scheduler got no worker within {patience:.0f} s. Start some: dask worker ADDRESS"
            ) from error
    seen = client.run(_problem, out, __version__, on_error="return")
    wrong = [f"  {address}: {problem}" for address, problem in seen.items() if problem]
    if wrong:
        rest = [f"  … and {len(wrong) - 10} more"] if len(wrong) > 10 else []
        raise OSError(
            "\n".join([f"{len(wrong)} of {len(seen)} workers cannot work for this class", *wrong[:10], *rest])
        )
    many = [address for address, threads in client.nthreads().items() if threads > 1]
    dashboard = "dashboard" in client.scheduler_info()["services"]
    say(f"workers: {len(seen)}" + (f"; Dask's dashboard: {client.dashboard_link}" if dashboard else ""))
    if many:
        say(
            f"{len(many)} workers run several notebooks at a time, on one GPU where they have one: dask worker --nthreads 1"
        )


def _problem(out: str, version: str) -> str | None:
    """Why this worker cannot work for the class whose results go to `out`, or None."""
    if __version__ != version:
        return f"it has svd-lab {__version__}, not {version}"
    store = open_store(out)
    if not store.fs.exists(store.path(".class/class.json")):
        return f"it does not see {store.address}: give a folder that all machines share, or an address"
    return None


def _close(client: Any) -> None:
    """Close the client, upon which the scheduler takes back what it had not finished."""
    client.close(timeout=5)
