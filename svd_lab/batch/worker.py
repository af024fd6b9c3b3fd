"""One process of a batch, started by torch's launcher: python -m svd_lab.batch.worker REQUEST.json OUTCOMES.jsonl"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Do this process's share of the request; append a line to OUTCOMES for each item."""
    import psutil
    import torch
    from accelerate import PartialState

    from svd_lab.batch.generate import run_share
    from svd_lab.batch.items import BatchRequest

    with open(sys.argv[1]) as file:
        request = BatchRequest(**json.load(file))
    state = PartialState(cpu=request.device == "cpu" or not torch.cuda.is_available())
    device = str(state.device) if state.device.type == "cuda" else state.device.type
    outcomes = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
    if not state.is_main_process:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what loading prints is shown once

    def write(outcome: dict[str, Any]) -> None:
        os.write(outcomes, (json.dumps(outcome) + "\n").encode())  # one call: lines of several processes do not mix

    try:
        for outcome in run_share(request, state.process_index, state.num_processes, device):
            write(outcome)
            if not psutil.pid_exists(request.parent):
                break  # it was killed, and could not end this process
    except Exception as error:  # no model: instead of the same traceback from each process
        write({"fatal": str(error) or type(error).__name__})
    state.destroy_process_group()


if __name__ == "__main__":
    main()
