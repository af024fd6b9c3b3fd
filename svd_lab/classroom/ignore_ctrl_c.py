"""A preload of the local cluster's workers: they ignore Ctrl-C, because the command that started them closes them in order."""

import signal
import threading
from typing import Any


def dask_setup(_: Any) -> None:
    """Ignore SIGINT; Dask calls this when a worker starts."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
