"""The optimiser of every stage: Muon for weight matrices, AdamW for the rest, fp32 masters and an average, all flat.

Muon (https://kellerjordan.github.io/posts/muon/) steps along the orthogonalised momentum of each matrix; a convolution's weight
counts as out x (in * kernel). It ended the plateau on which AdamW left the first prototypes' VAE (docs/mini.md).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

# Inputs, outputs and embeddings: AdamW does better there.
NOT_MATRICES = ("conv_in", "conv_out", "embed", "head", "visual_projection", "class_")


def orthogonal(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Return the nearest matrices [k, out, in] with singular values near 1, by a quintic Newton-Schulz iteration."""
    x = g.to(torch.bfloat16 if g.is_cuda else torch.float32)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x if wide else x.mT).to(g.dtype)


def is_matrix(name: str, p: nn.Parameter) -> bool:
    """Whether Muon updates this parameter."""
    return p.ndim >= 2 and not any(word in name for word in NOT_MATRICES)


def is_query_or_key(name: str) -> bool:
    """Whether this parameter projects to queries or keys."""
    return any(word in name for word in ("to_q", "to_k", "q_proj", "k_proj"))


class Optimiser:
    """Holds fp32 masters, gradients (one all-reduce), momenta and an exponential average as flat vectors; the model may be bf16.

    Orthogonal updates keep growing queries and keys until attention is one-hot and its gradient NaN (seen after 7,000 steps), so
    their Frobenius norm is capped at 1.5 sqrt(out), twice what they start with. A step whose gradient is not finite moves nothing.

    A step is two thousand small kernels. On a GPU they are captured as a CUDA graph after a few steps, because launching them one
    by one takes longer than they do; so all that differs from step to step is in `rates`, on the device.

    Args:
        named: (name, parameter) pairs; those that need no gradient are left out.
        muon: Peak learning rate of Muon; `step(f)` uses f times the peaks.
        adam: Peak learning rate of AdamW.
        ema: Decay of the average.
        decay: Weight decay of the matrices.

    Attributes:
        n: Steps so far.
        average: The averaged weights, flat.
    """

    WARM_UP = 3  # steps before the graph is captured, for what is set up at the first calls

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        *,
        muon: float = 0.01,
        adam: float = 1e-3,
        ema: float = 0.999,
        decay: float = 0.1,
    ):
        self.muon, self.adam, self.ema, self.decay, self.n = muon, adam, ema, decay, 0
        self._lay_out([(name, p) for name, p in named if p.requires_grad])
        size, device = sum(p.numel() for p in self.params), self.params[0].device
        self.master, self.average, self.momentum = (torch.zeros(size, device=device) for _ in range(3))
        self.square = torch.zeros(self.rest, device=device)
        self.grad = torch.zeros(size, device=device, dtype=self.params[0].dtype)
        for p, g in zip(self.params, self._views(self.grad), strict=True):
            p.grad = g
        torch._foreach_copy_(self._views(self.master), [p.data for p in self.params])
        self.average.copy_(self.master)
        self.rates, self.run, self.runs = torch.zeros(5, device=device), self._update, 0

    def _lay_out(self, named: list[tuple[str, nn.Parameter]]) -> None:
        """Order the parameters: AdamW's first, then matrices of one shape side by side."""
        rest, groups = [p for name, p in named if not is_matrix(name, p)], {}
        for name, p in named:
            if is_matrix(name, p):
                groups.setdefault((p.shape[0], p[0].numel(), is_query_or_key(name)), []).append(p)
        self.params = rest + [p for group in groups.values() for p in group]
        self.shape = [(len(group), *key) for key, group in groups.items()]
        self.rest = sum(p.numel() for p in rest)

    def _views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """Return the parts of a flat vector in the shapes of the parameters."""
        out, at = [], 0
        for p in self.params:
            out.append(torch.as_strided(flat, p.shape, p.stride(), at))
            at += p.numel()
        return out

    @torch.no_grad()
    def step(self, fraction: float) -> torch.Tensor:
        """Update the weights from the gradients, which are cleared.

        Args:
            fraction: Of the peak learning rates.

        Returns:
            The gradient's norm; the next step overwrites it.
        """
        if dist.is_initialized():
            dist.all_reduce(self.grad, op=dist.ReduceOp.AVG)
        self.n += 1
        mix = 1 - min(self.ema, (1 + self.n) / (10 + self.n))
        rates = self.adam * fraction, self.muon * fraction, 1 - 0.9**self.n, 1 - 0.99**self.n, mix
        for slot, rate in zip(self.rates.unbind(), rates, strict=True):
            slot.fill_(rate)  # the number is part of the launch: no copy, no waiting
        if self.runs == self.WARM_UP and self.grad.is_cuda:
            self.run = self._captured()
        self.runs += 1
        return self.run()

    def _captured(self) -> Callable[[], torch.Tensor]:
        """Return a replay of _update as a CUDA graph; _update itself where the capture fails."""
        stream, graph = torch.cuda.current_stream(), torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # as in cuda_graph.Graphed
                norm = self._update()
        except RuntimeError as error:
            torch.cuda.set_stream(stream)  # torch.cuda.graph does not go back to it then
            print(f"the optimiser goes on without a CUDA graph: {str(error).partition(chr(10))[0]}", flush=True)
            return self._update

        def replay() -> torch.Tensor:
            graph.replay()
            return norm

        return replay

    def _update(self) -> torch.Tensor:
        """Do all of a step that is work on the device, with the numbers in `rates`."""
        adam, muon, first, second, mix = self.rates.unbind()
        g = self.grad.to(torch.float32, copy=True)
        self.grad.zero_()
        norm = g.norm()
        ok = torch.isfinite(norm).float()
        g = g.nan_to_num_(0, 0, 0) * (ok / norm.clamp(min=1.0).nan_to_num(1.0, 1.0))
        r = self.rest
        m, v, w = self.momentum[:r], self.square, self.master[:r]
        m.lerp_(g[:r], 0.1)
        v.lerp_(g[:r].square(), 0.01)
        step = (m / first) / ((v / second).sqrt() + 1e-8)
        w.sub_(step * (adam * ok))
        at, rate = r, muon * ok
        for k, out, inner, *key in self.shape:
            s = slice(at, at + k * out * inner)
            at = s.stop
            self.momentum[s].mul_(0.95).add_(g[s])
            u = orthogonal(g[s].add(self.momentum[s], alpha=0.95).view(k, out, inner))
            w = self.master[s].view(k, out, inner)
            w.sub_((w * self.decay + u * max(1.0, out / inner) ** 0.5) * rate)
            if key[0]:
                w.mul_((1.5 * out**0.5 / w.norm(dim=(1, 2), keepdim=True)).clamp(max=1.0))
        torch._foreach_copy_([p.data for p in self.params], self._views(self.master))
        self.average.lerp_(self.master, mix)
        return norm

    def state(self) -> dict[str, Any]:
        """Return what `load` needs to go on."""
        return {k: getattr(self, k) for k in ("n", "master", "average", "momentum", "square")}

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.n = state["n"]
        for k in ("master", "average", "momentum", "square"):
            getattr(self, k).copy_(state[k])
        torch._foreach_copy_([p.data for p in self.params], self._views(self.master))

    @torch.no_grad()
    def use_average(self) -> None:
        """Put the averaged weights into the model, which they make float32: training is over."""
        for p, average in zip(self.params, self._views(self.average), strict=True):
            p.data = average.clone()
