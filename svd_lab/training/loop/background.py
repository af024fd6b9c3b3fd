"""Other processes that make training data while this one trains."""

import queue
import threading
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset


class UntilStopped(IterableDataset):
    """`dataset` until the event `stop` is set."""

    def __init__(self, dataset: IterableDataset, stop: Event):
        self.dataset, self.stop = dataset, stop

    def __iter__(self) -> Iterator[Any]:
        for item in self.dataset:
            if self.stop.is_set():
                return
            yield item


class BackgroundBatches:
    """Batches that worker processes make ahead of time. A thread collects them, so that `ready` never waits.

    Use it in `with`: at its end the workers end. If this process is killed instead, they notice within seconds.

    Args:
        dataset: Endless; every worker gets a copy. Workers are spawned, not forked, so they know nothing of CUDA.
        workers: How many.
        parts: Items of the dataset that make a batch.
        pin: Whether to pin memory, for fast copies to a GPU.
    """

    def __init__(self, dataset: IterableDataset, workers: int, parts: int, pin: bool):
        # Workers are asked to stop, and what they still send is taken: a process that ends while one of its threads copies a
        # tensor aborts.
        self.stop, self.workers, self.parts = torch.multiprocessing.get_context("spawn").Event(), workers, parts
        loader = DataLoader(
            UntilStopped(dataset, self.stop),
            batch_size=None,
            num_workers=workers,
            pin_memory=pin,
            multiprocessing_context="spawn",
        )
        self.items = iter(loader)
        self.batches: queue.Queue[list] = queue.Queue(2)
        self.errors: list[Exception] = []
        self.thread = threading.Thread(target=self._collect, name="background-batches", daemon=True)
        self.thread.start()

    def _collect(self) -> None:
        batch = []
        while len(self.errors) <= self.workers:  # each may fail once
            try:
                batch.append(next(self.items))
            except StopIteration:  # all workers have ended
                return
            except Exception as error:  # holds the worker's traceback
                self.errors.append(error)
                self.stop.set()
            if len(batch) == self.parts:
                self._offer(batch)
                batch = []

    def _offer(self, batch: list) -> None:
        while not self.stop.is_set():
            try:
                return self.batches.put(batch, timeout=0.2)
            except queue.Full:
                pass

    def ready(self) -> list | None:
        """Return a batch, `parts` items of the dataset; None if there is none yet.

        Raises:
            RuntimeError: A worker failed, and its error is the cause; or all workers ended although nobody stopped them.
        """
        if self.errors:
            raise RuntimeError("a worker process failed, see above (--workers 0: use none)") from self.errors[0]
        alive = self.thread.is_alive()  # asked first: what it has put until it ended is in the queue
        try:
            return self.batches.get_nowait()
        except queue.Empty:
            if alive or self.stop.is_set():
                return None
            raise RuntimeError("all worker processes ended by themselves (--workers 0: use none)") from None

    def __enter__(self) -> "BackgroundBatches":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(timeout=30)  # as long as an item takes; more if workers are still starting
