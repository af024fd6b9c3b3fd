"""Triton kernels that train the mini faster: LayerNorm, GEGLU, short attention and sums over rows, forward and backward.
GroupNorm+SiLU has a module of its own, triton_group_norm.py.

Training only. On a machine without CUDA or Triton `fused` is false and fused_blocks.py runs plain PyTorch. `TRITON_INTERPRET=1`
runs the same code on a CPU, where a test compares it with PyTorch.
"""

import os

import torch
import torch.nn.functional as F

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

if triton is not None:

    @triton.jit
    def _k_sum(X, P, HW, CHUNKS, ROWS: tl.constexpr, C: tl.constexpr, CP: tl.constexpr, BLK: tl.constexpr):
        n, k = tl.program_id(0).to(tl.int64), tl.program_id(1)
        c = tl.arange(0, CP)
        r = tl.arange(0, BLK)
        s = tl.zeros([CP], tl.float32)
        for i in range(0, ROWS, BLK):
            row = k * ROWS + i + r
            s += tl.sum(
                tl.load(
                    X + n * HW * C + row[:, None] * C + c[None], mask=(row < HW)[:, None] & (c < C)[None], other=0.0
                ).to(tl.float32),
                0,
            )
        tl.store(P + (n * CHUNKS + k) * C + c, s, mask=c < C)

    @triton.jit
    def _k_geglu(X, Y, N, C: tl.constexpr, BLK: tl.constexpr):
        i = tl.program_id(0).to(tl.int64) * BLK + tl.arange(0, BLK)
        m = i < N
        j = (i // C) * (2 * C) + i % C
        a = tl.load(X + j, mask=m, other=0.0).to(tl.float32)
        b = tl.load(X + j + C, mask=m, other=0.0).to(tl.float32)
        tl.store(Y + i, a * b * 0.5 * (1 + tl.erf(b * 0.7071067811865476)), mask=m)

    @triton.jit
    def _k_dgeglu(X, D, G, N, C: tl.constexpr, BLK: tl.constexpr):
        i = tl.program_id(0).to(tl.int64) * BLK + tl.arange(0, BLK)
        m = i < N
        j = (i // C) * (2 * C) + i % C
        a = tl.load(X + j, mask=m, other=0.0).to(tl.float32)
        b = tl.load(X + j + C, mask=m, other=0.0).to(tl.float32)
        d = tl.load(D + i, mask=m, other=0.0).to(tl.float32)
        cdf = 0.5 * (1 + tl.erf(b * 0.7071067811865476))
        tl.store(G + j, d * b * cdf, mask=m)
        tl.store(G + j + C, d * a * (cdf + b * 0.3989422804014327 * tl.exp(-0.5 * b * b)), mask=m)

    @triton.jit
    def _k_ln(X, Y, Wt, Bs, M, eps, C: tl.constexpr, BLK: tl.constexpr):
        c = tl.arange(0, C)
        row = tl.program_id(0).to(tl.int64) * BLK + tl.arange(0, BLK)
        o = row[:, None] * C + c[None]
        m = (row < M)[:, None]
        x = tl.load(X + o, mask=m, other=0.0).to(tl.float32)
        x = x - tl.sum(x, 1)[:, None] / C
        r = tl.rsqrt(tl.sum(x * x, 1) / C + eps)
        y = x * r[:, None] * tl.load(Wt + c).to(tl.float32)[None] + tl.load(Bs + c).to(tl.float32)[None]
        tl.store(Y + o, y, mask=m)

    @triton.jit
    def _k_dln(X, D, G, P, Wt, M, eps, C: tl.constexpr, BLK: tl.constexpr, ROWS: tl.constexpr):
        c = tl.arange(0, C)
        pid = tl.program_id(0).to(tl.int64)
        w = tl.load(Wt + c).to(tl.float32)[None]
        dw = tl.zeros([C], tl.float32)
        db = tl.zeros([C], tl.float32)
        for i in range(0, ROWS, BLK):
            row = pid * ROWS + i + tl.arange(0, BLK)
            o = row[:, None] * C + c[None]
            m = (row < M)[:, None]
            x = tl.load(X + o, mask=m, other=0.0).to(tl.float32)
            d = tl.load(D + o, mask=m, other=0.0).to(tl.float32)
            x = x - tl.sum(x, 1)[:, None] / C
            r = tl.rsqrt(tl.sum(x * x, 1) / C + eps)[:, None]
            x = x * r
            dw += tl.sum(d * x, 0)
            db += tl.sum(d, 0)
            g = d * w
            g = r * (g - tl.sum(g, 1)[:, None] / C - x * (tl.sum(g * x, 1) / C)[:, None])
            tl.store(G + o, g, mask=m)
        tl.store(P + pid * 2 * C + c, dw)
        tl.store(P + pid * 2 * C + C + c, db)

    @triton.jit
    def _k_att(Q, OUT, scale, T: tl.constexpr, H: tl.constexpr, D: tl.constexpr, TP: tl.constexpr):
        pid = tl.program_id(0).to(tl.int64)
        n = pid // H
        h = pid % H
        t = tl.arange(0, TP)
        d = tl.arange(0, D)
        m = (t < T)[:, None]
        b = Q + n * T * 3 * H * D + t[:, None] * 3 * H * D + h * D + d[None]
        q = tl.load(b, mask=m, other=0.0)
        k = tl.load(b + H * D, mask=m, other=0.0)
        v = tl.load(b + 2 * H * D, mask=m, other=0.0)
        s = tl.dot(q, tl.trans(k)) * scale
        s = tl.where((t < T)[None], s, -1e30)
        p = tl.exp(s - tl.max(s, 1)[:, None])
        p = p / tl.sum(p, 1)[:, None]
        o = tl.dot(p.to(v.dtype), v)
        tl.store(OUT + n * T * H * D + t[:, None] * H * D + h * D + d[None], o, mask=m)

    @triton.jit
    def _k_datt(Q, DO, G, scale, T: tl.constexpr, H: tl.constexpr, D: tl.constexpr, TP: tl.constexpr):
        pid = tl.program_id(0).to(tl.int64)
        n = pid // H
        h = pid % H
        t = tl.arange(0, TP)
        d = tl.arange(0, D)
        m = (t < T)[:, None]
        off = n * T * 3 * H * D + t[:, None] * 3 * H * D + h * D + d[None]
        b = Q + off
        q = tl.load(b, mask=m, other=0.0)
        k = tl.load(b + H * D, mask=m, other=0.0)
        v = tl.load(b + 2 * H * D, mask=m, other=0.0)
        do = tl.load(DO + n * T * H * D + t[:, None] * H * D + h * D + d[None], mask=m, other=0.0)
        s = tl.dot(q, tl.trans(k)) * scale
        s = tl.where((t < T)[None], s, -1e30)
        p = tl.exp(s - tl.max(s, 1)[:, None])
        p = p / tl.sum(p, 1)[:, None]
        dp = tl.dot(do, tl.trans(v))
        ds = p * (dp - tl.sum(p * dp, 1)[:, None]) * scale
        dv = tl.dot(tl.trans(p.to(do.dtype)), do)
        ds = ds.to(q.dtype)
        dq = tl.dot(ds, k)
        dk = tl.dot(tl.trans(ds), q)
        g = G + off
        tl.store(g, dq, mask=m)
        tl.store(g + H * D, dk, mask=m)
        tl.store(g + 2 * H * D, dv, mask=m)


class LNFn(torch.autograd.Function):
    """LayerNorm over the last axis, whose size is a power of two."""

    @staticmethod
    def forward(ctx, x, w, b, eps):
        x = x.contiguous()
        C = x.shape[-1]
        M = x.numel() // C
        y = torch.empty_like(x)
        BLK = max(4, 2048 // C)
        _k_ln[(-(-M // BLK),)](x, y, w, b, M, eps, C, BLK)
        ctx.save_for_backward(x, w)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx, d):
        x, w = ctx.saved_tensors
        d = d.contiguous()
        C = x.shape[-1]
        M = x.numel() // C
        BLK = max(4, 2048 // C)
        rows = max(BLK, -(-M // 1056) // BLK * BLK)
        rows = 1 << (rows - 1).bit_length()
        k = -(-M // rows)
        g = torch.empty_like(x)
        P = torch.empty(k, 2, C, device=x.device)
        _k_dln[(k,)](x, d, g, P, w, M, ctx.eps, C, BLK, rows)
        P = P.sum(0)
        return g, P[0].to(w.dtype), P[1].to(w.dtype), None


class ShortAttention(torch.autograd.Function):
    """Self-attention over at most 16 tokens of 32 channels; qkv [N,T,3,H,32] -> [N,T,H*32]."""

    @staticmethod
    def forward(ctx, qkv):
        N, T, _, H, D = qkv.shape
        o = torch.empty(N, T, H * D, device=qkv.device, dtype=qkv.dtype)
        _k_att[(N * H,)](qkv, o, D**-0.5, T, H, D, 16, num_warps=1)
        ctx.save_for_backward(qkv)
        return o

    @staticmethod
    def backward(ctx, do):
        (qkv,) = ctx.saved_tensors
        N, T, _, H, D = qkv.shape
        g = torch.empty_like(qkv)
        _k_datt[(N * H,)](qkv, do.contiguous(), g, D**-0.5, T, H, D, 16, num_warps=1)
        return g


class GEGLUFn(torch.autograd.Function):
    """a * gelu(b) of [.., a b]."""

    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        C = x.shape[-1] // 2
        y = torch.empty(*x.shape[:-1], C, device=x.device, dtype=x.dtype)
        N = y.numel()
        _k_geglu[(-(-N // 1024),)](x, y, N, C, 1024)
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx, d):
        (x,) = ctx.saved_tensors
        g = torch.empty_like(x)
        N = d.numel()
        _k_dgeglu[(-(-N // 1024),)](x, d.contiguous(), g, N, x.shape[-1] // 2, 1024)
        return g


def tiles(N: int, HW: int, C: int) -> tuple[int, int, int, int]:
    """Plan a sum of [N, HW, C] over its middle.

    Returns:
        Channels up to a power of two, rows at a time, rows a program, programs.
    """
    CP = 1 << (C - 1).bit_length()
    BLK = max(8, 4096 // CP)
    rows = max(BLK, min(1024, -(-HW // max(1, 1500 // N)) // BLK * BLK))
    return CP, BLK, rows, -(-HW // rows)


def colsum(d: torch.Tensor, N: int, HW: int, C: int) -> torch.Tensor:
    """Return the sum over the middle of [N, HW, C] in memory order, [N, C] in fp32."""
    CP, BLK, rows, chunks = tiles(N, HW, C)
    P = torch.empty(N, chunks, C, device=d.device)
    _k_sum[(N, chunks)](d, P, HW, chunks, rows, C, CP, BLK)
    return P.sum(1)


class AddVec(torch.autograd.Function):
    """y [.., C last in memory] += vec [n, C], each row for numel / (n * C) consecutive positions; in place."""

    @staticmethod
    def forward(ctx, y, vec):
        ctx.n, C = vec.shape
        flat = y.permute(0, 2, 3, 1).reshape(ctx.n, -1, C) if y.dim() == 4 else y.view(ctx.n, -1, C)
        flat.add_(vec[:, None].to(y.dtype))
        ctx.mark_dirty(y)
        return y

    @staticmethod
    def backward(ctx, d):
        if d.dim() == 4:
            d = d.contiguous(memory_format=torch.channels_last)
            C = d.shape[1]
        else:
            d = d.contiguous()
            C = d.shape[-1]
        return d, colsum(d, ctx.n, d.numel() // (ctx.n * C), C).to(d.dtype)


class LinearFn(torch.autograd.Function):
    """A linear layer whose bias gradient is a fast sum over rows."""

    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        return F.linear(x, w, b)

    @staticmethod
    def backward(ctx, d):
        x, w = ctx.saved_tensors
        d = d.reshape(-1, d.shape[-1])
        d = d if d.is_contiguous() else d.contiguous()
        return (d @ w).view(x.shape), d.t() @ x.reshape(-1, x.shape[-1]), colsum(d, 1, *d.shape)[0].to(d.dtype)


INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # runs the kernels' code on a CPU, to test it


def fused(x: torch.Tensor) -> bool:
    """Whether the kernels of this module can take this tensor."""
    return triton is not None and (x.is_cuda or INTERPRETED)
