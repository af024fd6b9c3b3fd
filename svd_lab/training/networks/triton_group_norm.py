"""GroupNorm+SiLU over channels-last maps, forward and backward, as Triton kernels; used with those of triton_ops.py.

Both directions make two passes over the map: sums of each channel, in chunks so that the GPU is filled, and then
y = act(x * A + B) with A and B for each channel of each map.
"""

import torch

from svd_lab.training.networks.triton_ops import tiles

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

if triton is not None:

    @triton.jit
    def _act(u, ACT: tl.constexpr):
        return u * tl.sigmoid(u) if ACT else u

    @triton.jit
    def _k_stats(X, P, HW, CHUNKS, ROWS: tl.constexpr, C: tl.constexpr, CP: tl.constexpr, BLK: tl.constexpr):
        n, k = tl.program_id(0).to(tl.int64), tl.program_id(1)
        c = tl.arange(0, CP)
        r = tl.arange(0, BLK)
        s = tl.zeros([CP], tl.float32)
        q = tl.zeros([CP], tl.float32)
        for i in range(0, ROWS, BLK):
            row = k * ROWS + i + r
            m = (row < HW)[:, None] & (c < C)[None]
            x = tl.load(X + n * HW * C + row[:, None] * C + c[None], mask=m, other=0.0).to(tl.float32)
            s += tl.sum(x, 0)
            q += tl.sum(x * x, 0)
        o = P + (n * CHUNKS + k) * 2 * C + c
        tl.store(o, s, mask=c < C)
        tl.store(o + C, q, mask=c < C)

    @triton.jit
    def _k_apply(X, Y, A, B, HW, C: tl.constexpr, CP: tl.constexpr, BLK: tl.constexpr, ACT: tl.constexpr):
        n, k = tl.program_id(0).to(tl.int64), tl.program_id(1)
        c = tl.arange(0, CP)
        row = k * BLK + tl.arange(0, BLK)
        m = (row < HW)[:, None] & (c < C)[None]
        o = n * HW * C + row[:, None] * C + c[None]
        a = tl.load(A + n * C + c, mask=c < C, other=0.0)
        b = tl.load(B + n * C + c, mask=c < C, other=0.0)
        u = tl.load(X + o, mask=m, other=0.0).to(tl.float32) * a[None] + b[None]
        tl.store(Y + o, _act(u, ACT), mask=m)

    @triton.jit
    def _dact(u, ACT: tl.constexpr):
        s = tl.sigmoid(u)
        return s * (1 + u * (1 - s)) if ACT else u * 0 + 1

    @triton.jit
    def _k_bstats(
        X,
        D,
        P,
        A,
        B,
        HW,
        CHUNKS,
        ROWS: tl.constexpr,
        C: tl.constexpr,
        CP: tl.constexpr,
        BLK: tl.constexpr,
        ACT: tl.constexpr,
    ):
        n, k = tl.program_id(0).to(tl.int64), tl.program_id(1)
        c = tl.arange(0, CP)
        r = tl.arange(0, BLK)
        a = tl.load(A + n * C + c, mask=c < C, other=0.0)
        b = tl.load(B + n * C + c, mask=c < C, other=0.0)
        s = tl.zeros([CP], tl.float32)
        q = tl.zeros([CP], tl.float32)
        for i in range(0, ROWS, BLK):
            row = k * ROWS + i + r
            m = (row < HW)[:, None] & (c < C)[None]
            o = n * HW * C + row[:, None] * C + c[None]
            x = tl.load(X + o, mask=m, other=0.0).to(tl.float32)
            g = tl.load(D + o, mask=m, other=0.0).to(tl.float32) * _dact(x * a[None] + b[None], ACT)
            s += tl.sum(g, 0)
            q += tl.sum(g * x, 0)
        o = P + (n * CHUNKS + k) * 2 * C + c
        tl.store(o, s, mask=c < C)
        tl.store(o + C, q, mask=c < C)

    @triton.jit
    def _k_bapply(X, D, G, A, B, K1, K0, HW, C: tl.constexpr, CP: tl.constexpr, BLK: tl.constexpr, ACT: tl.constexpr):
        n, k = tl.program_id(0).to(tl.int64), tl.program_id(1)
        c = tl.arange(0, CP)
        row = k * BLK + tl.arange(0, BLK)
        m = (row < HW)[:, None] & (c < C)[None]
        o = n * HW * C + row[:, None] * C + c[None]
        mc = c < C
        a = tl.load(A + n * C + c, mask=mc, other=0.0)[None]
        b = tl.load(B + n * C + c, mask=mc, other=0.0)[None]
        k1 = tl.load(K1 + n * C + c, mask=mc, other=0.0)[None]
        k0 = tl.load(K0 + n * C + c, mask=mc, other=0.0)[None]
        x = tl.load(X + o, mask=m, other=0.0).to(tl.float32)
        g = tl.load(D + o, mask=m, other=0.0).to(tl.float32) * _dact(x * a + b, ACT)
        tl.store(G + o, g * a + x * k1 + k0, mask=m)


def _shape(x: torch.Tensor) -> tuple[int, ...]:
    """Return maps, channels, pixels, and how they are summed (tiles)."""
    N, C = x.shape[:2]
    HW = x.numel() // (N * C)
    return N, C, HW, *tiles(N, HW, C)


class GNAct(torch.autograd.Function):
    """GroupNorm, then SiLU if `act`."""

    @staticmethod
    def forward(ctx, x, w, b, groups, eps, act):
        x = x.contiguous(memory_format=torch.channels_last)
        N, C, HW, CP, BLK, rows, chunks = _shape(x)
        P = torch.empty(N, chunks, 2, C, device=x.device, dtype=torch.float32)
        _k_stats[(N, chunks)](x, P, HW, chunks, rows, C, CP, BLK)
        M = HW * (C // groups)
        st = P.sum(1).view(N, 2, groups, C // groups).sum(-1) / M
        mean = st[:, 0]
        rstd = (st[:, 1] - mean * mean).clamp(min=0).add(eps).rsqrt()
        wf = w.float()
        A = (rstd[..., None] * wf.view(1, groups, -1)).view(N, C)
        B = b.float() - (mean[..., None] * A.view(N, groups, -1)).view(N, C)
        y = torch.empty_like(x)
        _k_apply[(N, -(-HW // BLK))](x, y, A, B, HW, C, CP, BLK, act)
        ctx.save_for_backward(x, A, B, mean, rstd, w)
        ctx.k = (groups, act)
        return y

    @staticmethod
    def backward(ctx, d):
        x, A, B, mean, rstd, w = ctx.saved_tensors
        groups, act = ctx.k
        d = d.contiguous(memory_format=torch.channels_last)
        N, C, HW, CP, BLK, rows, chunks = _shape(x)
        P = torch.empty(N, chunks, 2, C, device=x.device, dtype=torch.float32)
        _k_bstats[(N, chunks)](x, d, P, A, B, HW, chunks, rows, C, CP, BLK, act)
        M = HW * (C // groups)
        S = P.sum(1).view(N, 2, groups, C // groups)
        g, gx = S[:, 0], rstd[..., None] * (S[:, 1] - mean[..., None] * S[:, 0])  # sum of g, sum of g * xhat
        wf = w.float().view(1, groups, -1)
        s1, s2 = (wf * g).sum(-1), (wf * gx).sum(-1)
        k1 = -rstd * rstd * s2 / M
        k0 = -rstd * s1 / M - mean * k1
        k1, k0 = (q[..., None].expand(N, groups, C // groups).reshape(N, C).contiguous() for q in (k1, k0))
        dx = torch.empty_like(x)
        _k_bapply[(N, -(-HW // BLK))](x, d, dx, A, B, k1, k0, HW, C, CP, BLK, act)
        return dx, gx.sum(0).view(C).to(w.dtype), g.sum(0).view(C).to(w.dtype), None, None, None
