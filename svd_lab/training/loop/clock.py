"""Progress through a schedule: the clock, the learning rate that follows it, and what the log shows by noise level."""

import time

import torch
import torch.distributed as dist

from svd_lab.training.loop.options import RunOptions


class Clock:
    """Progress from `begin` to `end` over `seconds`. All ranks follow rank 0, which looks at the time every tenth step."""

    def __init__(self, options: RunOptions, device: str):
        self.seconds, self.steps = options.seconds, options.steps
        self.begin, self.end = options.begin, options.end
        self.progress, self.n = options.begin, 0
        self.started = self.marked = time.time()
        self.steps_marked = 0
        self.now = torch.tensor([options.begin], device=device, dtype=torch.float64)

    def tick(self) -> float | None:
        """Begin a step.

        Returns:
            The progress, 0 to 1; None when this run is over.
        """
        if self.n % 10 == 0:
            self.now[0] = self.begin + (self.end - self.begin) * self.elapsed / self.seconds
            if dist.is_initialized():
                dist.broadcast(self.now, 0)
            # Waits for the GPU: at every step that would lose time; without it the CPU would run far ahead of the clock.
            self.progress = float(self.now)
        if self.n >= self.steps or self.progress >= self.end:
            return None
        self.n += 1
        return self.progress

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.time() - self.started

    @property
    def last(self) -> bool:
        """Whether this is the last of `steps`."""
        return self.n == self.steps

    def pace(self) -> float:
        """Return milliseconds a step since the last `mark`."""
        return (time.time() - self.marked) / max(1, self.n - self.steps_marked) * 1e3

    def mark(self) -> None:
        """Measure the pace from here."""
        self.marked, self.steps_marked = time.time(), self.n


def rate_factor(step: int, progress: float, *, warmup: int, decay: float, floor: float) -> float:
    """Return the share of the peak learning rate: a linear warm-up, and a linear fall over the last `decay` of the schedule.

    Args:
        step: Steps of this optimiser so far, from 0.
        progress: 0 to 1.
        warmup: Steps of the warm-up.
        decay: Share of the schedule over which the rate falls.
        floor: Added to the fall, so that the last step still moves something.
    """
    return min(1.0, (step + 1) / warmup) * min(1.0, (1 - progress) / decay + floor)


class SigmaBuckets:
    """Means of per-clip values by noise level, for the log; `rows` kinds of values.

    Args:
        edges: Between the buckets, ascending.
        rows: How many kinds of values.
        device: Of the values.
    """

    def __init__(self, edges: tuple[float, ...], rows: int, device: str):
        self.edges = torch.tensor(edges, device=device)
        shown = [f"{e:g}".removeprefix("0") for e in edges]
        self.names = [f"<{shown[0]}", *(f"{a}-{b}" for a, b in zip(shown, shown[1:], strict=False)), f">{shown[-1]}"]
        self.sums = torch.zeros(rows, len(edges) + 1, device=device)
        self.counts = torch.zeros_like(self.sums)

    def add(self, sigma: torch.Tensor, rows: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Count one batch: of each row values [n] and their weights [n], at the noise levels `sigma` [n]."""
        bucket = torch.bucketize(sigma, self.edges)
        for total, count, (values, weights) in zip(self.sums, self.counts, rows, strict=True):
            total.index_add_(0, bucket, values * weights)
            count.index_add_(0, bucket, weights)

    def take(self) -> list[list[float]]:
        """Return the means [rows][buckets] since the last call; an empty bucket gives 0."""
        means = (self.sums / self.counts.clamp(min=1)).tolist()
        self.sums.zero_()
        self.counts.zero_()
        return means

    def named(self, means: list[float]) -> str:
        """Format one row of means with the names of the buckets."""
        return " ".join(f"{name}:{mean:.3f}" for name, mean in zip(self.names, means, strict=True))


def unnamed(means: list[float]) -> str:
    """Format one row of means."""
    return " ".join(f"{mean:.3f}" for mean in means)
