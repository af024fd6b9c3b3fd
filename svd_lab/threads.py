"""How torch uses a shared CPU. Three defaults are slow; each of the first two can slow a run down many times over:

- OpenMP's threads spin while they wait for each other. Beside another busy process a tiny run took 11 to 31 s instead of 0.5 s;
  with OMP_WAIT_POLICY=passive they sleep. OpenMP reads that variable once, when torch is imported, so `import svd_lab` sets it.
- In a container torch counts the host's cores, not those that the container may use. `load_video_pipeline` corrects that.
- Linux gives out memory in pages of 4 KiB, clears each when it is first touched, and takes them back after every large tensor: a
  third of a decoder's time. With THP_MEM_ALLOC_ENABLE torch asks for pages of 2 MiB; the results are the same to the bit
  [pytorch pull request 93888]. Decoding 8 frames at a time took 35% less, 2 at a time 15%. torch reads it at its first tensor.

What the user has set (these variables, OMP_NUM_THREADS, torch.set_num_threads to fewer) stays.
"""

import os
import sys

from svd_lab.limits import cpu_quota


def wait_politely() -> None:
    """Set OMP_WAIT_POLICY=passive, unless it is set already or torch is imported, which is too late."""
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def take_large_pages() -> None:
    """Set THP_MEM_ALLOC_ENABLE=1, unless it is set already or torch is imported, which may be too late."""
    if "torch" not in sys.modules:
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def keep_to_quota() -> None:
    """Lower torch's number of threads to the CPUs that this container may use, unless OMP_NUM_THREADS is set."""
    import torch

    quota = cpu_quota()
    if quota is not None and "OMP_NUM_THREADS" not in os.environ and quota < torch.get_num_threads():
        torch.set_num_threads(max(1, int(quota)))
