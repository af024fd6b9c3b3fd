"""Clips drawn in other processes, in a form that travels: what bank.Bank encodes."""

import copy
import ctypes
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.utils.data import IterableDataset, get_worker_info

from .scenes import World


class Rendered(NamedTuple):
    """Clips as bank.Bank wants them, and small enough to travel from one process to another."""

    video: torch.Tensor  # uint8 [n,T,3,128,224]
    numbers: torch.Tensor  # [n,2]: fps - 1, motion_bucket_id
    mask: torch.Tensor  # fp16 [n,1,1,16,28], by latent cell: where a thing is at any time
    what: torch.Tensor  # [n,2]: index into KINDS (-1: none), facing


@torch.no_grad()
def render(world: World, n: int, **settings) -> Rendered:
    """n clips of `world.clips(n, **settings)`."""
    c = world.clips(n, **settings)
    # one cell more all round; a moving camera counts a little everywhere
    mask = F.max_pool2d(F.max_pool2d(c.alpha.amax(1, keepdim=True), 8 * world.scale), 3, 1, 1)
    mask = torch.maximum(mask, c.camera.float()[:, None, None, None] * 0.35)[:, None]
    return Rendered(
        (c.video * 255).round().to(torch.uint8), torch.stack([c.fps - 1, c.bucket], 1), mask.half(),
        torch.stack([c.kind[:, 0].clamp(min=-1), c.facing], 1),
    )  # fmt: skip


def keep_memory() -> None:
    """Let this process keep what memory it frees, in large blocks too (glibc; elsewhere nothing happens).

    Otherwise each large tensor is given back to the system and the next one comes from there again, page by page: half of the
    time that drawing clips took (16 a second on one core, 29 with this).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(-4, 0)  # M_MMAP_MAX: no block of its own for a large tensor
    mallopt(-1, 2**29)  # M_TRIM_THRESHOLD: what is free at the end stays, up to this (a worker then takes 1 to 2 GB)


class Renderer(IterableDataset):
    """Without end: n clips, drawn with a seed for each worker of a DataLoader. `world`: on the CPU; its own draws are not used."""

    def __init__(self, world: World, n: int, seed: int, **settings):
        self.world, self.n, self.seed, self.settings = copy.copy(world), n, seed, settings
        self.world.draw = None  # what is left travels to each worker in some kB, since they share the tables' memory

    def __iter__(self):
        keep_memory()
        world = self.world.on("cpu", self.seed + get_worker_info().id)
        while True:
            # Where it will travel anyhow: left in this process's memory for a while, it would break that into pieces.
            yield Rendered(*(t.share_memory_() for t in render(world, self.n, **self.settings)))
