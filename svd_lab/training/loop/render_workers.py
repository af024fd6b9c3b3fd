"""Clips drawn in other processes, in a form that travels: what latent_bank.LatentBank encodes."""

import copy
import ctypes
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.utils.data import IterableDataset, get_worker_info

from svd_lab.training.loop.background import BackgroundBatches
from svd_lab.training.loop.process import Process, shared_memory, spare_cores
from svd_lab.world.scenes import World

AT_ONCE = 8  # clips a worker draws at once: 29 a second on one core, where 64 at once need 5 GB and come at 19


class Rendered(NamedTuple):
    """Drawn clips, small enough to travel from one process to another."""

    video: torch.Tensor  # uint8 [n,T,3,128,224]
    numbers: torch.Tensor  # [n,2]: fps - 1, motion_bucket_id
    mask: torch.Tensor  # fp16 [n,1,1,16,28], by latent cell: where a thing is at any time
    what: torch.Tensor  # [n,2]: index into KINDS (-1: none), facing


@torch.no_grad()
def render(world: World, n: int, **settings: Any) -> Rendered:
    """Draw `world.clips(n, **settings)`."""
    c = world.clips(n, **settings)
    # one cell more all round; a moving camera counts a little everywhere
    mask = F.max_pool2d(F.max_pool2d(c.alpha.amax(1, keepdim=True), 8 * world.scale), 3, 1, 1)
    mask = torch.maximum(mask, c.camera.float()[:, None, None, None] * 0.35)[:, None]
    return Rendered(
        (c.video * 255).round().to(torch.uint8), torch.stack([c.fps - 1, c.bucket], 1), mask.half(),
        torch.stack([c.kind[:, 0].clamp(min=-1), c.facing], 1),
    )  # fmt: skip


def keep_memory() -> None:
    """Let this process keep the memory it frees, in large blocks too (glibc; elsewhere nothing happens).

    Otherwise each large tensor is returned to the system and the next one fetched page by page: half of the time that drawing clips
    took (16 a second on one core, 29 with this).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(-4, 0)  # M_MMAP_MAX: no block of its own for a large tensor
    mallopt(-1, 2**29)  # M_TRIM_THRESHOLD: free memory at the end stays, up to this (a worker then takes 1 to 2 GB)


class Renderer(IterableDataset):
    """Endless clips, n at a time, drawn with a seed for each worker of a DataLoader.

    Args:
        world: On the CPU; its own draws are not used.
        n: Clips an item.
        seed: Of the first worker; the others follow.
        settings: Of `world.clips`.
    """

    def __init__(self, world: World, n: int, seed: int, **settings: Any):
        self.world, self.n, self.seed, self.settings = copy.copy(world), n, seed, settings
        self.world.draw = None  # the rest travels to each worker in some kB, since they share the tables' memory

    def __iter__(self) -> Iterator[Rendered]:
        keep_memory()
        world = self.world.on("cpu", self.seed + get_worker_info().id)
        while True:
            # Moved to shared memory at once: left in this process's heap for a while, it would fragment that.
            yield Rendered(*(t.share_memory_() for t in render(world, self.n, **self.settings)))


def render_workers(
    world: World, workers: int, batch: int, seed: int, process: Process, **settings: Any
) -> BackgroundBatches | None:
    """Start workers that draw batches of clips for a LatentBank.

    Args:
        world: On the CPU.
        workers: How many; -1: as many as there are spare cores, none where training itself is on the CPU.
        batch: Clips a batch.
        seed: Of the training run.
        process: The training process.
        settings: Of `world.clips`.

    Returns:
        The workers; None if there are none, so that the bank has to draw its own.
    """
    if workers < 0:
        workers = spare_cores() if process.gpu else 0
    tables = sum(t.nbytes for t in vars(world).values() if isinstance(t, torch.Tensor))
    need = 1.2 * tables + workers * 2**26  # the tables are shared, and four parts are on their way from each worker
    if workers and shared_memory() < need:
        gib = need / 2**30
        print(f"rank {process.rank}: /dev/shm is too small for {workers} workers ({gib:.1f} GiB): none", flush=True)
        workers = 0
    if not workers:
        return None
    part = math.gcd(batch, AT_ONCE)
    first = 10**9 + (seed * 1000 + process.rank) * 1000  # + the worker's number: none of it is used elsewhere
    return BackgroundBatches(Renderer(world, part, first, **settings), workers, batch // part, process.gpu)
