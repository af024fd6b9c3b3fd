"""Operations that make the real model faster on a CUDA GPU: norms, GEGLU and sums in one pass each, attention over time in place.

Inference only. Half of SVD's time on an H100 was spent in element-wise, norm and copy kernels. Here each such chain is one Triton
kernel, which reads and writes channels-last memory once; sums are taken in float32, so the results differ from PyTorch's only by
the rounding of the stored values. Every function also has a plain PyTorch form, which runs where `fused` is false: without CUDA or
Triton, under autograd, and inside torch.compile, which fuses by itself.

Shapes: a "map" is [N, C, H, W] in channels-last memory, N = batches x frames, the frames of a batch adjacent; "rows" are [N, S, C].
A "vector" v is [N, C], or [1, C] for all N; it is broadcast and added.

`TRITON_INTERPRET=1` runs the same kernels on a CPU; tests/performance/test_speed.py compares them with PyTorch that way.
"""

from __future__ import annotations

import math
import os
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svd_lab.language import say

try:
    from svd_lab.performance import triton_kernels as kernels
except ImportError:  # Triton comes with CUDA builds of torch on Linux
    kernels = None

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # the kernels' code runs on a CPU, for tests
OLDEST = (8, 0)  #: compute capability: bfloat16, asynchronous copies
LONGEST = 64  #: frames that the kernel of attention over time takes; the plain form takes any number


def fused(x: Tensor) -> bool:
    """Return whether the kernels can compute on this tensor now."""
    if torch.is_grad_enabled() or not (x.is_meta or (kernels is not None and (x.is_cuda or INTERPRETED))):
        return False
    return not torch.compiler.is_compiling()


@cache
def trouble(device: int) -> str | None:
    """Return why the kernels cannot run on the CUDA device of this number, or None where they can.

    One kernel is tried, since Triton also needs a C compiler and Python's headers: a second, the first time on a machine.
    """
    if kernels is None:
        return say("Triton is not installed; it comes with torch's CUDA builds on Linux")
    try:
        capability = torch.cuda.get_device_capability(device)
        if capability < OLDEST:
            has, needs = (".".join(map(str, version)) for version in (capability, OLDEST))
            return say("the GPU's compute capability is {has}, and the kernels need {needs}", has=has, needs=needs)
        return None if first_kernel(f"cuda:{device}") else say("a first kernel computed wrong numbers")
    except Exception as error:  # whatever compiling and loading raise: plain PyTorch still works
        last = [type(error).__name__, *str(error).strip().splitlines()][-1]
        return say("Triton cannot make a kernel here ({last})", last=last[:200])


def first_kernel(device: str) -> bool:
    """Compile and run the GEGLU kernel on a device; returns whether its result is right."""
    with torch.no_grad():
        x = torch.ones(16, 1, 64, device=device, dtype=torch.float16)
        return torch.allclose(geglu(x).float(), F.gelu(torch.ones((), device=device)), atol=1e-2)


def norm_act(x: Tensor, norm: nn.GroupNorm, v: Tensor | None = None, per: int = 1, act: bool = True) -> Tensor:
    """Return GroupNorm of the map x + v, then SiLU if `act`. With v, x is overwritten.

    Args:
        x: Map.
        norm: The GroupNorm.
        v: Vector.
        per: Maps that are normalized together: all frames of a batch, in the blocks over time.
        act: Whether SiLU follows.
    """
    n, channels, height, width = x.shape
    groups = norm.num_groups
    if not fused(x) or channels % 32:
        x = (x if v is None else _add(x, v[..., None, None])).contiguous(memory_format=torch.channels_last)
        z = x.permute(0, 2, 3, 1).reshape(n // per, per, height * width, channels).permute(0, 3, 1, 2)
        z = F.group_norm(z, groups, norm.weight, norm.bias, norm.eps)  # [batch, C, frames, H * W]
        z = F.silu(z, inplace=not torch.is_grad_enabled()) if act else z
        return z.permute(0, 2, 3, 1).reshape(n, height, width, channels).permute(0, 3, 1, 2)
    x = x.contiguous(memory_format=torch.channels_last)
    pixels, block = height * width, math.gcd(channels, 64)
    rows = max(256, _power(pixels // 512))  # of a chunk: enough programs for the GPU, few enough to reduce
    chunks = -(-pixels // rows)
    moments = x.new_empty(n, chunks, 2, channels, dtype=torch.float32)
    scale, offset = x.new_empty(2, n, channels, dtype=torch.float32)
    y = torch.empty_like(x)
    _launch("k_moments", (n, chunks, channels // block), x, moments, pixels, channels, chunks, rows, block, 64)
    numbers = (pixels, rows, channels, chunks, per, _stride(v), norm.eps, channels // groups)
    _launch(
        "k_finish", (n // per, groups), moments, v, norm.weight, norm.bias, scale, offset, *numbers, 1024, v is not None
    )
    grid = (n, -(-pixels // 128), channels // block)
    _launch("k_apply", grid, x, y, scale, offset, pixels, channels, block, 128, act)
    return y


def add_norm(
    norm: nn.LayerNorm, x: Tensor, r: Tensor | None = None, v: Tensor | None = None, per: int = 1, keep_v: bool = True
) -> tuple[Tensor, Tensor]:
    """Return (sum, LayerNorm(x + r + v)) of rows. With r, x is overwritten.

    Args:
        norm: The LayerNorm.
        x: Rows.
        r: Rows.
        v: Vector; row i takes v[i // per].
        per: Rows for each vector.
        keep_v: Whether the sum is x + r + v, else x + r.
    """
    if not fused(x):
        rows = x.flatten(0, 1)
        s = rows if r is None else _add(rows, r.flatten(0, 1))
        z = s
        if v is not None:
            parts = s.unflatten(0, (-1, per))
            z = (_add(parts, v[:, None]) if r is not None and keep_v else parts + v[:, None]).flatten(0, 1)
        y = F.layer_norm(z, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return (z if keep_v else s).view(x.shape), y.view(x.shape)
    x = x.contiguous()
    channels = x.shape[-1]
    rows, padded = x.numel() // channels, _power(channels)
    keep = 0 if r is None and v is None else 2 if keep_v else 1
    s = torch.empty_like(x) if keep else x
    y = torch.empty_like(x)
    block = max(1, 2048 // padded)
    numbers = (rows, channels, per, _stride(v), norm.eps, padded, block)
    _launch(
        "k_norm",
        (-(-rows // block),),
        x,
        r,
        v,
        s,
        y,
        norm.weight,
        norm.bias,
        *numbers,
        r is not None,
        v is not None,
        keep,
    )
    return s, y


def geglu(x: Tensor) -> Tensor:
    """Return the first half times the GELU of the second: [..., 2C] -> [..., C] [arXiv 2002.05202]."""
    channels = x.shape[-1] // 2
    block = math.gcd(channels, 256)
    if not fused(x) or block < 16:
        value, gate = x.chunk(2, dim=-1)
        return value * F.gelu(gate) if torch.is_grad_enabled() else F.gelu(gate).mul_(value)
    x = x.contiguous()
    y = x.new_empty(*x.shape[:-1], channels)
    rows = y.numel() // channels
    tile = max(1, 2048 // block)
    _launch("k_geglu", (-(-rows // tile), channels // block), x, y, rows, channels, block, tile)
    return y


def combine(
    h: Tensor,
    r: Tensor | None = None,
    v: Tensor | None = None,
    s: Tensor | None = None,
    mix: Tensor | None = None,
    switch: bool = False,
) -> Tensor:
    """Return h + r + v, of maps or of rows; h is overwritten.

    With s, blend as diffusers' AlphaBlender: a * s + (1 - a) * (h + r + v), where a = sigmoid(mix), or 1 - sigmoid(mix) with
    `switch` (as in the decoder).
    """
    channels = h.shape[1] if h.dim() == 4 else h.shape[-1]
    if not fused(h) or channels % 32:
        same = s is not None and r is s  # a * s + (1 - a) * (h + s + v) is s + (1 - a) * (h + v), in fewer passes
        y = h if r is None or same else _add(h, r)
        y = y if v is None else _add(y, v[..., None, None] if h.dim() == 4 else v[:, None])
        if s is None:
            return y
        beta = torch.sigmoid(mix).to(h.dtype)
        beta = (beta if switch else 1 - beta).view((1,) * h.dim())
        out = None if torch.is_grad_enabled() else y
        return torch.addcmul(s, y, beta, out=out) if same else torch.lerp(s, y, beta, out=out)
    layout = torch.channels_last if h.dim() == 4 else torch.contiguous_format
    h, r, s = (t if t is None else t.contiguous(memory_format=layout) for t in (h, r, s))
    y = torch.empty_like(h)
    rows, block = h.numel() // (h.shape[0] * channels), math.gcd(channels, 64)
    grid, has = (h.shape[0], -(-rows // 128), channels // block), (r is not None, v is not None, s is not None)
    _launch("k_combine", grid, h, r, v, s, mix, y, rows, channels, _stride(v), block, 128, *has, switch)
    return y


def time_attention(qkv: Tensor, frames: int, heads: int) -> Tensor:
    """Return self-attention of each position over the frames; qkv: rows [batch * frames, S, 3C] of queries, keys, values."""
    total, places, channels = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    size = channels // heads
    if not fused(qkv) or frames > LONGEST or size not in (16, 32, 64, 128):
        z = qkv.view(total // frames, frames, places, 3, heads, size).permute(3, 0, 2, 4, 1, 5).flatten(1, 2)
        z = F.scaled_dot_product_attention(*z.unbind(0))  # [batch * S, heads, frames, size]
        return z.unflatten(0, (-1, places)).permute(0, 3, 1, 2, 4).reshape(total, places, channels)
    qkv = qkv.contiguous()
    y = qkv.new_empty(total, places, channels)
    padded = max(16, _power(frames))
    grid = (total // frames * places * heads,)
    warps = 1 if padded <= 32 else 4
    _launch("k_attention", grid, qkv, y, size**-0.5, frames, places, heads, size, padded, num_warps=warps)
    return y


def _add(x: Tensor, y: Tensor) -> Tensor:
    """x + y, in place without autograd: on a CPU new memory costs more than the sum."""
    return x + y if torch.is_grad_enabled() else x.add_(y)


def _launch(name: str, grid: tuple[int, ...], *arguments: Any, **options: int) -> None:
    """Start a kernel, except on "meta" tensors, where only memory is counted (`memory`)."""
    first = arguments[0]
    if first.is_meta:
        return
    launch = getattr(kernels, name)[grid]
    if first.is_cuda and first.device.index != torch.cuda.current_device():
        with torch.cuda.device(first.device):  # Triton launches on the current device, wherever its arguments are
            launch(*arguments, **options)
    else:
        launch(*arguments, **options)


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _stride(v: Tensor | None) -> int:
    """Elements from one row of a vector to the next: 0 where one row serves all."""
    return 0 if v is None or v.shape[0] == 1 else v.shape[1]
