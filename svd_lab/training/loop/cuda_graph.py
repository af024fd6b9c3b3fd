"""Steps as CUDA graphs, because launching their thousands of small kernels one by one takes longer than they do."""

from collections.abc import Callable
from typing import Any

import torch

from svd_lab.training.loop.muon import Optimiser


class Graphed:
    """Forward and backward of a step as one CUDA graph for each shape of its arguments; plain calls elsewhere.

    Gradients must accumulate into fixed buffers that the caller clears (Optimiser's do). A result is overwritten by the next call.

    Args:
        work: The step: tensors in, tensors out.
        optimiser: Whose gradients are cleared after the capture.
        on: Whether to use CUDA graphs.
        others: More optimisers whose gradients the step adds to.
    """

    WARM_UP = 3  # calls before the capture, for what is set up at the first ones

    def __init__(self, work: Callable[..., Any], optimiser: Optimiser, on: bool, *others: Any):
        self.work, self.optimisers, self.on = work, (optimiser, *others), on
        self.graphs: dict[tuple, tuple] = {}

    def __call__(self, *args: torch.Tensor) -> Any:
        if not self.on:
            return self.work(*args)
        key = tuple(a.shape for a in args)
        if key not in self.graphs:
            self.graphs[key] = self._captured(*args)
        static, graph, out = self.graphs[key]
        torch._foreach_copy_(static, list(args))
        graph.replay()
        return out

    def _captured(self, *args: torch.Tensor) -> tuple:
        """Record the step; returns the graph with its fixed arguments and results."""
        static = [a.clone() for a in args]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(self.WARM_UP):
                self.work(*static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use CUDA meanwhile: DataLoader's pins memory.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            out = self.work(*static)
        for optimiser in self.optimisers:
            optimiser.grad.zero_()
        return static, graph, out
