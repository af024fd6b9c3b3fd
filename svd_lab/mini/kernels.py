"""Triton kernels that train the mini faster: GroupNorm+SiLU, LayerNorm, GEGLU and short attention, forward and backward.

Training only. On a machine without CUDA or Triton `fused` is false and `rewrites` takes plain PyTorch.
`TRITON_INTERPRET=1` runs the same code on a CPU: tests/test_mini_training.py proves it equal to PyTorch so.
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


if triton is not None:

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


def _shape(x):
    N, C = x.shape[:2]
    HW = x.numel() // (N * C)
    CP = 1 << (C - 1).bit_length()
    BLK = max(8, 4096 // CP)
    rows = max(BLK, min(1024, -(-HW // max(1, 1500 // N)) // BLK * BLK))
    return N, C, HW, CP, BLK, rows, -(-HW // rows)


class GNAct(torch.autograd.Function):
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


class GEGLUFn(torch.autograd.Function):
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


def colsum(d, N, HW, C):
    """Sum over the middle of [N, HW, C] in memory order -> [N, C] fp32."""
    CP = 1 << (C - 1).bit_length()
    BLK = max(8, 4096 // CP)
    rows = max(BLK, min(1024, -(-HW // max(1, 1500 // N)) // BLK * BLK))
    chunks = -(-HW // rows)
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
    """Whether the kernels of this module serve this tensor."""
    return triton is not None and (x.is_cuda or INTERPRETED)
