"""What every training stretch shares: ranks, the clock, CUDA graphs, and checkpoints in parts small enough to be carried.

A stretch is one call of under ten minutes that covers a share of a stage's whole schedule (`--begin` .. `--end`).
"""

import io
import json
import os
import queue
import shutil
import threading
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, IterableDataset

PART = 15 * 2**20  # bytes; a lent GPU machine returns files of up to 16 MiB


def start() -> tuple[int, int, str]:
    """-> rank, number of ranks, device; one process a GPU under torchrun, else alone."""
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if "RANK" not in os.environ:
        return 0, 1, "cuda" if torch.cuda.is_available() else "cpu"
    rank = int(os.environ["RANK"])
    device = "cpu"
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
        device = f"cuda:{rank}"
    dist.init_process_group("gloo" if device == "cpu" else "nccl")
    return rank, dist.get_world_size(), device


def finish() -> None:
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


class Clock:
    """Progress through the schedule: `begin` .. `end` over `seconds`; all ranks follow rank 0, asked every tenth step."""

    def __init__(self, seconds: float, begin: float, end: float, steps: int, device: str):
        self.seconds, self.begin, self.end, self.steps, self.progress = seconds, begin, end, steps, begin
        self.started, self.n, self.now = time.time(), 0, torch.tensor([begin], device=device, dtype=torch.float64)

    def tick(self) -> float | None:
        """-> progress in 0..1, or None when this stretch is over."""
        if self.n % 10 == 0:
            self.now[0] = self.begin + (self.end - self.begin) * (time.time() - self.started) / self.seconds
            if dist.is_initialized():
                dist.broadcast(self.now, 0)
            # Waits for the GPU. Every step that would be time lost; never, and the CPU would run far ahead of the clock.
            self.progress = float(self.now)
        if self.n >= self.steps or self.progress >= self.end:
            return None
        self.n += 1
        return self.progress


def spare_cores() -> int:
    """How many processes may work beside a training process: its share of the cores without its own few threads; 1 at least."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) - 3)


def shared_memory() -> int:
    """Free bytes of what processes hand each other tensors through; some machines have next to nothing there."""
    return shutil.disk_usage("/dev/shm").free if os.path.exists("/dev/shm") else 2**62


class Until(IterableDataset):
    """`dataset` until the event `over` is set."""

    def __init__(self, dataset: IterableDataset, over):
        self.dataset, self.over = dataset, over

    def __iter__(self):
        for item in self.dataset:
            if self.over.is_set():
                return
            yield item


class Ahead:
    """What other processes make while this one trains. A thread takes it over from them, so that asking for it never waits.

    dataset: endless; every worker gets a copy. They are started afresh, not forked, so they know nothing of CUDA. parts: how many
    of its items make a batch. pin: for fast copies to a GPU. To be used in `with`, at whose end the workers end; if this process
    is killed instead, they notice within seconds.
    """

    def __init__(self, dataset: IterableDataset, workers: int, parts: int, pin: bool):
        # Workers are told to stop making things, and what they have on the way is taken: a process that ends while one of its
        # threads still copies a tensor aborts.
        self.over, self.workers, self.parts = torch.multiprocessing.get_context("spawn").Event(), workers, parts
        self.items = iter(
            DataLoader(
                Until(dataset, self.over),
                batch_size=None,
                num_workers=workers,
                pin_memory=pin,
                multiprocessing_context="spawn",
            )
        )
        self.batches, self.errors = queue.Queue(2), []
        self.thread = threading.Thread(target=self._take, name="ahead", daemon=True)
        self.thread.start()

    def _take(self) -> None:
        batch = []
        while len(self.errors) <= self.workers:  # each may fail once
            try:
                batch.append(next(self.items))
            except StopIteration:  # all workers have ended
                return
            except Exception as error:  # has the traceback of the worker in it
                self.errors.append(error)
                self.over.set()
            if len(batch) == self.parts:
                self._offer(batch)
                batch = []

    def _offer(self, batch: list) -> None:
        while not self.over.is_set():
            try:
                return self.batches.put(batch, timeout=0.2)
            except queue.Full:
                pass

    def ready(self) -> list | None:
        """A batch, `parts` items of the dataset; None if there is none yet."""
        if self.errors:
            raise RuntimeError("a process that works ahead failed, see above (--workers 0: none)") from self.errors[0]
        try:
            return self.batches.get_nowait()
        except queue.Empty:
            return None

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join(timeout=30)  # as long as an item takes; more if workers are still starting


class Ring:
    """The newest `size` rows of some tensors (`parts`), from which training draws; `batch` rows are added at a time.

    size is rounded down to whole batches, but never below one. The parts are made by the first `add`, on the device and of the
    dtype of its values. n: rows so far.
    """

    def __init__(self, size: int, batch: int):
        self.size, self.batch = max(1, size // batch) * batch, batch
        self.parts: list[torch.Tensor] = []
        self.n = self.at = 0

    @torch.no_grad()
    def add(self, *values: torch.Tensor) -> None:
        """Keep `batch` rows of each; when the ring is full, in place of the oldest."""
        if not self.parts:
            self.parts = [v.new_zeros(self.size, *v.shape[1:]) for v in values]
        for part, value in zip(self.parts, values, strict=True):
            part[self.at : self.at + self.batch] = value
        self.at = (self.at + self.batch) % self.size
        self.n = max(self.n, self.at or self.size)

    def any(self, n: int) -> list[torch.Tensor]:
        """n rows by chance, some of them twice perhaps."""
        i = torch.randint(self.n, (n,), device=self.parts[0].device)
        return [part[i] for part in self.parts]

    def newest(self, n: int) -> list[torch.Tensor]:
        """Up to n rows of the last `add`, the last one first: right after it no step has seen them."""
        i = (self.at - 1 - torch.arange(min(n, self.batch), device=self.parts[0].device)) % self.size
        return [part[i] for part in self.parts]


class Graphed:
    """Forward and backward of a step as one CUDA graph for each shape of its arguments; plain calls elsewhere.

    Gradients must accumulate into fixed buffers that the caller clears (Optimiser's do).
    """

    def __init__(self, work, optimiser, on: bool):
        self.work, self.optimiser, self.on, self.graphs = work, optimiser, on, {}

    def __call__(self, *args):
        if not self.on:
            return self.work(*args)
        key = tuple(a.shape for a in args)
        if key not in self.graphs:
            static = [a.clone() for a in args]
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    self.work(*static)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            # Other threads may use CUDA meanwhile: DataLoader's pins memory.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                out = self.work(*static)
            self.optimiser.grad.zero_()
            self.graphs[key] = static, graph, out
        static, graph, out = self.graphs[key]
        torch._foreach_copy_(static, list(args))
        graph.replay()
        return out


def save_parts(value, path: str | Path) -> None:
    """torch.save into PATH.0, PATH.1, … of at most 15 MiB each."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    data = buffer.getvalue()
    for i in range(0, len(data), PART):
        Path(f"{path}.{i // PART}").write_bytes(data[i : i + PART])


def load_parts(path: str | Path, device: str = "cpu") -> dict:
    """What save_parts (or torch.save, if PATH itself is a file) wrote; or the exported folder of finished weights.

    A folder gives "vae", "unet" and "clip" (state dicts) and "scaling_factor", as the checkpoints of both stages do together.
    """
    path = Path(path)
    if path.is_dir():
        return _load_folder(path, device)
    if path.exists():
        return torch.load(path, map_location=device)
    parts = sorted(path.parent.glob(path.name + ".*"), key=lambda p: int(p.suffix[1:]))
    if not parts:
        raise FileNotFoundError(f"no checkpoint {path} (nor {path}.0, {path}.1, …)")
    return torch.load(io.BytesIO(b"".join(p.read_bytes() for p in parts)), map_location=device)


def _load_folder(folder: Path, device: str) -> dict:
    from safetensors.torch import load_file

    files = dict(vae="vae/diffusion_pytorch_model", unet="unet/diffusion_pytorch_model", clip="image_encoder/model")
    saved = {part: load_file(folder / f"{name}.safetensors", device=device) for part, name in files.items()}
    config = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))
    return saved | dict(scaling_factor=config["scaling_factor"])


def half(model) -> dict:
    """The model's weights on the CPU in fp16."""
    return {k: v.detach().half().contiguous().cpu() for k, v in model.state_dict().items()}
