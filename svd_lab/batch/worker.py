"""One process of `batch`, started by torch's launcher: python -m svd_lab.batch.worker JOB.json ENDED.jsonl"""

import json
import os
import sys
from typing import Any


def main() -> None:
    """Do this process's share of the job; write a line to ENDED for each item, whole lines only."""
    import psutil  # accelerate needs it, too
    import torch
    from accelerate import PartialState

    from svd_lab.batch.generate import work

    with open(sys.argv[1]) as file:
        job = json.load(file)
    state = PartialState(cpu=job["device"] == "cpu" or not torch.cuda.is_available())
    device = str(state.device) if state.device.type == "cuda" else state.device.type
    ended = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
    if not state.is_main_process:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what loading says stands there once

    def tell(line: dict[str, Any]) -> None:
        os.write(ended, (json.dumps(line) + "\n").encode())

    try:
        for line in work(job, state.process_index, state.num_processes, device):
            tell(line)
            if not psutil.pid_exists(job["parent"]):
                break  # it was killed, so that it could not end this one: nobody listens any more
    except Exception as error:  # no model: a traceback would say the same at length, once for each process
        tell({"fatal": str(error) or type(error).__name__})
    state.destroy_process_group()


if __name__ == "__main__":
    main()
