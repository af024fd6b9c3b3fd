"""Measure the peak memory of what runs in a with block."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def peak_memory(device: Any) -> Iterator[dict[str, float]]:
    """Measure what runs inside: .["bytes"] at the peak beyond those at the start, of the GPU or of this process; 0 where unknown.

    On a CPU a thread looks 20 times a second, which costs less than a thousandth; a peak that is shorter goes unseen.
    """
    import torch

    found = {"bytes": 0.0}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield found
        found["bytes"] = float(torch.cuda.max_memory_allocated(device) - before)
        return
    ended, before = threading.Event(), _resident()

    def watch() -> None:
        while not ended.wait(0.05):
            found["bytes"] = max(found["bytes"], _resident() - before)

    watcher = threading.Thread(target=watch, name="svd-lab: memory", daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()


def _resident() -> float:
    """Bytes of this process in memory, without the libraries' files; 0 where the system does not tell in /proc."""
    try:
        _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
        return (resident - shared) * float(os.sysconf("SC_PAGE_SIZE"))
    except (OSError, AttributeError, ValueError):
        return 0.0
