"""Preloaded by the workers of a class on one machine: Ctrl-C in the terminal is for the one who started the class, which then
closes the workers in order."""

import signal
import threading
from typing import Any


def dask_setup(_: Any) -> None:
    """Called by Dask when a worker starts."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
