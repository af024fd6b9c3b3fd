"""This training process: its rank, its device, and what the machine leaves for others."""

import os
import shutil
from typing import NamedTuple

import torch
import torch.distributed as dist


class Process(NamedTuple):
    """One of `ranks` processes that train together, each on a device of its own."""

    rank: int
    ranks: int
    device: str

    @property
    def main(self) -> bool:
        """Whether this process prints and writes files."""
        return self.rank == 0

    @property
    def gpu(self) -> bool:
        """Whether it trains on a GPU."""
        return self.device != "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the models in training."""
        return torch.bfloat16 if self.gpu else torch.float32


def start() -> Process:
    """Set up torch, and the group of processes under torchrun: one a GPU. Without torchrun the process is alone."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if "RANK" not in os.environ:
        return Process(0, 1, "cuda" if torch.cuda.is_available() else "cpu")
    rank = int(os.environ["RANK"])
    device = "cpu"
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
        device = f"cuda:{rank}"
    dist.init_process_group("gloo" if device == "cpu" else "nccl")
    return Process(rank, dist.get_world_size(), device)


def finish() -> None:
    """Wait for the other processes and leave the group."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def print_peak_memory() -> None:
    """Print the peak of GPU memory, on a GPU."""
    if torch.cuda.is_available():
        print("peak GiB", round(torch.cuda.max_memory_allocated() / 2**30, 1), flush=True)


def spare_cores() -> int:
    """Return how many processes may work beside each training process, at least 1; it needs a few cores itself."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) - 3)


def shared_memory() -> int:
    """Return the free bytes of shared memory, through which processes exchange tensors; in a container it may be tiny."""
    return shutil.disk_usage("/dev/shm").free if os.path.exists("/dev/shm") else 2**62
