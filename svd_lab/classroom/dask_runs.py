"""Runs on dask.distributed: a LocalCluster, or any scheduler that is already running.

Dask queues, places and repeats the runs. This module watches them, and submits again what a restarted scheduler forgot.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from svd_lab.classroom import worker
from svd_lab.classroom.local_cluster import divide_machine, has_bokeh, local_cluster
from svd_lab.classroom.store import open_store
from svd_lab.language import say
from svd_lab.version import __version__

_CONNECT_TIMEOUT = 600  # seconds to wait for a scheduler or its first worker
_FIRST_TIMEOUT = 30  # seconds for a scheduler that has never answered
_EMPTY_ROUNDS = 5  # without a finished run, after which we give up
_POLL_INTERVAL = 0.2  # seconds

Task = dict[str, Any]
Record = dict[str, Any]


def load_distributed() -> Any:
    """Import dask.distributed, or raise an ImportError that says how to install it."""
    try:
        import distributed
    except ImportError as error:
        raise ImportError(say("running a class needs dask.distributed: pip install 'svd-lab[class]'")) from error
    return distributed


def check_address(scheduler: str) -> None:
    """Raise ValueError for what cannot be the address of a scheduler."""
    from distributed.comm import get_address_host_port

    try:
        get_address_host_port(scheduler, strict=True)
    except (ValueError, NotImplementedError) as error:
        raise ValueError(
            say(
                "{scheduler!r} is not an address of a scheduler ({error}). Give one like tcp://host:8786",
                scheduler=scheduler,
                error=error,
            )
        ) from error


def run_tasks(
    tasks: Sequence[Task],
    on_record: Callable[[Task, Record], None],
    on_poll: Callable[[int], None],
    report: Callable[[str], None],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    run_task: Callable[[Task], Record] = worker.run_task,
    connect_timeout: float = _CONNECT_TIMEOUT,
) -> None:
    """Run each task once, and hand over each record as it comes.

    A task whose worker dies is given to another one by Dask; after four dead workers it has failed.

    Args:
        tasks: What `run_task` takes, without "threads" and "gpus".
        on_record: Called with a task and its record.
        on_poll: Called a few times a second with the number of runs that the workers can do at the same time.
        report: Called with a sentence about workers and scheduler.
        scheduler: An address such as tcp://host:8786; None for a cluster on this machine.
        workers: Workers of this machine; None for one per GPU, else as many as memory and cores allow.
        threads: CPU threads of each run; None for an equal share of the cores, or, with `scheduler`, for what the environment of
            its workers says.
        run_task: What a worker does with a task.
        connect_timeout: Seconds to wait for a scheduler that no longer answers, and for its first worker.

    Raises:
        TimeoutError: No scheduler or no worker within `connect_timeout`.
        ConnectionError: The scheduler forgot the runs again and again.
        OSError: A worker does not see the store, or has another version.
        KeyboardInterrupt: Ctrl-C, after the runs were stopped.
    """
    load_distributed()
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # we report a lost scheduler ourselves
    left = {task_key(task): task for task in tasks}
    empty_rounds = 0
    with _connection(scheduler, workers, threads, report) as (connect, machine):
        for task in left.values():
            task.update(machine)
        while left:
            before = len(left)
            # A scheduler that never answered has a wrong address; one that did may be restarting.
            never_answered = before == len(tasks) and not empty_rounds
            client = connect(min(connect_timeout, _FIRST_TIMEOUT) if never_answered else connect_timeout)
            try:
                if scheduler:
                    _check_workers(client, next(iter(left.values()))["out"], report, connect_timeout)
                for key, record in run_round(client, left, run_task, on_poll):
                    on_record(left.pop(key), record)
            finally:
                client.close(timeout=5)  # the scheduler then cancels what is not finished
            empty_rounds = 0 if len(left) < before else empty_rounds + 1
            if left and empty_rounds == _EMPTY_ROUNDS:
                raise ConnectionError(
                    say(
                        "the scheduler forgot the runs {empty_rounds} times. Look at its log, then give --resume",
                        empty_rounds=_EMPTY_ROUNDS,
                    )
                )
            if left:
                report(say("the scheduler was restarted or lost; {count} runs are submitted again", count=len(left)))


def task_key(task: Task) -> str:
    """Dask's key: the same for the same run, so that no scheduler has it twice. Dask's dashboard groups by the part before "-"."""
    content = "\0".join((task["out"], task["folder"], task["key"]))
    return f"{task['lesson'].replace('-', '_')}-{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def run_round(
    client: Any, tasks: dict[str, Task], run_task: Callable[[Task], Record], on_poll: Callable[[int], None]
) -> Iterator[tuple[str, Record]]:
    """Submit tasks to a scheduler, and collect records until all are done or the scheduler is gone.

    Args:
        client: A Client of the scheduler.
        tasks: {key: task}.
        run_task, on_poll: As in `run_tasks`.

    Yields:
        (key, record). Tasks that the scheduler forgot are missing.
    """
    from distributed import as_completed

    futures = client.map(run_task, list(tasks.values()), key=list(tasks), pure=False, retries=0)
    waiting = {future.key: task for future, task in zip(futures, tasks.values(), strict=True)}
    completed = as_completed(futures, loop=client.loop)
    del futures  # so that the workers forget the records that were handed over
    while waiting:
        on_poll(sum(client.nthreads().values()) if client.status == "running" else 0)
        batch = completed.next_batch(block=False) if completed.count() else []
        if not batch:
            if client.status != "running" or not completed.count():
                return
            time.sleep(_POLL_INTERVAL)
            continue
        finished = [future for future in batch if future.status == "finished"]
        try:
            records = client.gather(finished, errors="skip") if finished else []
        except Exception:  # the scheduler has just gone
            records = []
        if len(records) == len(finished):
            for future, record in zip(finished, records, strict=True):
                waiting.pop(future.key)
                yield future.key, record
        for future in batch:
            if future.status == "error":
                error = future.exception()
                task = waiting.pop(future.key)
                if not isinstance(error, worker.RunCancelled):
                    yield future.key, worker.failed_record(task, _error_message(error))
            elif future.status != "finished":
                waiting.pop(future.key)  # forgotten: for the next round


def _error_message(error: BaseException) -> str:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        count = error.allowed_failures + 1
        return say(
            "{count} workers died during this run. Is there enough memory? ({last_worker})",
            count=count,
            last_worker=error.last_worker,
        )
    return f"{type(error).__name__}: {error}"


@contextmanager
def _connection(
    scheduler: str | None, workers: int | None, threads: int | None, report: Callable[[str], None]
) -> Iterator[tuple[Callable[[float], Any], Task]]:
    """Yield a function that connects to the scheduler within so many seconds, and what all tasks say about the machine."""
    from distributed import Client

    if scheduler:
        yield lambda timeout: _connect(scheduler, report, timeout), {"threads": threads, "gpus": None}
        return
    count, threads, gpus = divide_machine(workers, threads)
    with local_cluster(count) as cluster:
        report(
            say(
                "notebooks at a time: {count}; {hardware}",
                count=count,
                hardware=say("GPUs: {count}", count=len(gpus))
                if gpus
                else say("CPU threads of each: {threads}", threads=threads),
            )
        )
        if has_bokeh():
            report(say("Dask's dashboard: {address}", address=cluster.dashboard_link))
        yield lambda _: Client(cluster, set_as_default=False), {"threads": threads, "gpus": gpus}


def _connect(address: str, report: Callable[[str], None], timeout: float) -> Any:
    """Return a client of the scheduler at `address`, which may be restarting."""
    from distributed import Client

    end, reported = time.monotonic() + timeout, False
    while True:
        try:
            return Client(address, timeout=5, set_as_default=False)
        except (OSError, TimeoutError) as error:
            if time.monotonic() > end:
                raise TimeoutError(
                    say("no scheduler answered at {address} within {timeout:.0f} s", address=address, timeout=timeout)
                ) from error
            if not reported:
                report(
                    say(
                        "no scheduler answers at {address}; waiting up to {timeout:.0f} s",
                        address=address,
                        timeout=timeout,
                    )
                )
                reported = True
            time.sleep(1)


def _check_workers(client: Any, out: str, report: Callable[[str], None], timeout: float) -> None:
    """Raise OSError unless every worker has this svd-lab and sees the store. Workers that join later find out in each run."""
    if not client.nthreads():
        report(say("the scheduler has no worker yet; waiting up to {timeout:.0f} s", timeout=timeout))
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            raise TimeoutError(
                say(
                    "the scheduler got no worker within {timeout:.0f} s. Start some: dask worker ADDRESS",
                    timeout=timeout,
                )
            ) from error
    answers = client.run(_worker_problem, out, __version__, on_error="return")
    wrong = [f"  {address}: {problem}" for address, problem in answers.items() if problem]
    if wrong:
        rest = [say("  … and {count} more", count=len(wrong) - 10)] if len(wrong) > 10 else []
        raise OSError(
            "\n".join(
                [
                    say("{count} of {count2} workers cannot run this class", count=len(wrong), count2=len(answers)),
                    *wrong[:10],
                    *rest,
                ]
            )
        )
    threaded = [address for address, threads in client.nthreads().items() if threads > 1]
    dashboard = "dashboard" in client.scheduler_info()["services"]
    report(
        say("workers: {count}", count=len(answers))
        + (say("; Dask's dashboard: {address}", address=client.dashboard_link) if dashboard else "")
    )
    if threaded:
        report(
            say(
                "{count} workers run several notebooks at a time, on the same GPU if they have one. To avoid "
                "that, start them with dask worker --nthreads 1",
                count=len(threaded),
            )
        )


def _worker_problem(out: str, version: str) -> str | None:
    """Runs on a worker: why it cannot run a class whose results go to `out`, or None."""
    if __version__ != version:
        return say("it has svd-lab {version}, not {wanted}", version=__version__, wanted=version)
    store = open_store(out)
    if not store.fs.exists(store.path(".class/class.json")):
        return say(
            "it does not see {address}. Give a folder that all machines share, or an address", address=store.address
        )
    return None
