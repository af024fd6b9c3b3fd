"""Clips to train a VAE on: drawn in other processes, kept as uint8, given out as crops or whole pictures."""

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch.utils.data import IterableDataset, get_worker_info

from svd_lab.training.loop.background import BackgroundBatches
from svd_lab.training.loop.process import Process, shared_memory, spare_cores
from svd_lab.training.loop.render_workers import keep_memory
from svd_lab.training.loop.ring import Ring
from svd_lab.world.clips import FRAMES
from svd_lab.world.scenes import World

AT_ONCE = 4  # clips that a worker draws at once
BLOCK = 8  # pixels each way; in so coarse a grid `crops` looks for things


@torch.no_grad()
def draw_clips(world: World, n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw clips: videos [n,14,3,H,W], where things are [n,14,H,W], both uint8, and fps - 1 and motion_bucket_id [n,2]."""
    c = world.clips(n, nothing=0.2, two=0.35)
    numbers = torch.stack([c.fps - 1, c.bucket], 1).float()
    return (c.video * 255).round().byte(), (c.alpha * 255).round().byte(), numbers


class ClipSource(IterableDataset):
    """Endless `draw_clips`, n at a time, with a seed for each worker of a DataLoader.

    Args:
        world: On the CPU; its own draws are not used.
        n: Clips an item.
        seed: Of the first worker; the others follow.
    """

    def __init__(self, world: World, n: int, seed: int):
        self.world, self.n, self.seed = copy.copy(world), n, seed
        self.world.draw = None

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        keep_memory()
        world = self.world.on("cpu", self.seed + get_worker_info().id)
        while True:
            yield tuple(t.share_memory_() for t in draw_clips(world, self.n))


def clip_workers(world: World, workers: int, batch: int, seed: int, process: Process) -> BackgroundBatches | None:
    """Start workers that draw batches for a PixelPool; None if there are none, so that the pool has to draw its own.

    Args:
        world: On the CPU.
        workers: How many; -1: as many as there are spare cores, none where training itself is on the CPU.
        batch: Clips a batch, at least.
        seed: Of the training run.
        process: The training process.
    """
    if workers < 0:
        workers = spare_cores() if process.gpu else 0
    tables = sum(t.nbytes for t in vars(world).values() if isinstance(t, torch.Tensor))
    if workers and shared_memory() < 1.2 * tables + workers * 2**28:
        print(f"/dev/shm is too small for {workers} workers: none", flush=True)
        workers = 0
    if not workers:
        return None
    source = ClipSource(world, AT_ONCE, 2 * 10**9 + seed * 1000)
    return BackgroundBatches(source, workers, -(-batch // AT_ONCE), process.gpu)


class PixelPool(Ring):
    """Rendered clips, the oldest of which are replaced at every refresh.

    Args:
        world: On the training device; draws the clips that `workers` don't.
        size: Clips to keep.
        batch: Clips replaced together.
        workers: Draw clips elsewhere.

    Attributes:
        taken: Batches that came from the workers.
    """

    def __init__(self, world: World, size: int, batch: int, workers: BackgroundBatches | None):
        super().__init__(size, min(batch, size))
        self.world, self.workers, self.taken = world, workers, 0
        while self.n < self.size:
            self.refresh(draw=True)

    def refresh(self, draw: bool = False) -> None:
        """Take the workers' next batch, if one is ready; otherwise draw one here if `draw`, or if there are no workers."""
        made = self.workers.ready() if self.workers else None
        if made:
            self.taken += 1
        elif draw or not self.workers:
            made = [draw_clips(self.world, min(8, self.batch)) for _ in range(-(-self.batch // 8))]
        else:
            return
        device = self.world.draw.device
        parts = (torch.cat([t.to(device, non_blocking=True) for t in part]) for part in zip(*made, strict=True))
        self.add(*(part[: self.batch] for part in parts))

    def frames(self, clips: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return whole pictures [clips*frames,3,H,W] in -1 .. 1 and masks [..,1,H,W]: neighbouring frames of each clip."""
        video, alpha, _ = self.parts
        d = video.device
        i = torch.randint(self.n, (clips,), device=d)
        t = torch.randint(FRAMES - frames + 1, (clips, 1), device=d) + torch.arange(frames, device=d)
        x, m = video[i[:, None], t], alpha[i[:, None], t]
        return x.flatten(0, 1).float() / 127.5 - 1, m.flatten(0, 1)[:, None].float() / 255

    def crops(self, n: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return n crops [n,3,size,size] in -1 .. 1 and masks, three of four around a part of a thing."""
        video, alpha, _ = self.parts
        d, (height, width) = video.device, video.shape[-2:]
        i, t = torch.randint(self.n, (n,), device=d), torch.randint(FRAMES, (n,), device=d)
        m = alpha[i, t]
        coarse = F.avg_pool2d(m[:, None].float(), BLOCK).flatten(1)
        around = torch.multinomial((coarse > 127).float() + 1e-6, 1)[:, 0]
        anywhere = torch.randint(coarse.shape[1], (n,), device=d)
        centre = torch.where(torch.rand(n, device=d) < 0.75, around, anywhere)
        shake = torch.randint(-size // 4, size // 4 + 1, (2, n), device=d)
        columns = width // BLOCK
        y = (centre // columns * BLOCK - size // 2 + shake[0]).clamp(0, height - size)
        x = (centre % columns * BLOCK - size // 2 + shake[1]).clamp(0, width - size)
        rows = (y[:, None] + torch.arange(size, device=d))[:, :, None]
        cols = (x[:, None] + torch.arange(size, device=d))[:, None, :]
        k = torch.arange(n, device=d)[:, None, None]
        picture = video[i[:, None, None], t[:, None, None], :, rows, cols]
        return picture.permute(0, 3, 1, 2).float() / 127.5 - 1, m[k, rows, cols][:, None].float() / 255
