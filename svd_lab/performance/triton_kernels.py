"""The Triton kernels of `fused_ops`, which explains them; imported only where Triton is installed.

N maps of HW rows of C channels, channels last. C is a multiple of 32, cut into blocks of CB channels, a power of two.
"""

import triton
import triton.language as tl


# Counts that differ between layers are not specialized: 1, multiples of 16 and other numbers would each compile again.
@triton.jit(do_not_specialize=["HW", "CHUNKS"])
def k_moments(X, P, HW, C, CHUNKS, ROWS: tl.constexpr, CB: tl.constexpr, BLK: tl.constexpr):
    """Compute mean, and sum of squares about it, of each channel over each chunk of rows; shifted, so that nothing cancels."""
    n, k = tl.program_id(0).to(tl.int64), tl.program_id(1)
    c = tl.program_id(2) * CB + tl.arange(0, CB)
    first = k * ROWS
    end = tl.minimum(first + ROWS, HW)
    shift = tl.load(X + (n * HW + first) * C + c).to(tl.float32)
    s = tl.zeros([BLK, CB], tl.float32)
    q = tl.zeros([BLK, CB], tl.float32)
    for i in range(0, ROWS, BLK):
        row = first + i + tl.arange(0, BLK)
        m = (row < end)[:, None] & (c >= 0)[None]
        x = tl.load(X + (n * HW + row)[:, None] * C + c[None], mask=m, other=0.0).to(tl.float32)
        x = tl.where(m, x - shift[None], 0.0)
        s += x
        q += x * x
    s1 = tl.sum(s, 0)
    count = (end - first).to(tl.float32)
    o = P + (n * CHUNKS + k) * 2 * C + c
    tl.store(o, shift + s1 / count)
    tl.store(o + C, tl.sum(q, 0) - s1 * s1 / count)


@triton.jit(do_not_specialize=["HW", "ROWS", "CHUNKS", "PER", "VSTRIDE", "CG"])
def k_finish(P, V, W, Z, A, B, HW, ROWS, C, CHUNKS, PER, VSTRIDE, eps, CG, BLK: tl.constexpr, HAS_V: tl.constexpr):
    """Combine the moments of one group over PER maps, `v` included, into scale A and offset B of each channel of each map.

    The group's PER x CHUNKS x CG numbers are read in one flat loop, so that no count is a shape of the program."""
    u, g = tl.program_id(0).to(tl.int64), tl.program_id(1)
    numbers = PER * CHUNKS * CG
    total = 1.0 * PER * HW * CG
    mean = 0.0
    i = 0
    while i < numbers:  # Triton's interpreter does not support range() of a product
        e = i + tl.arange(0, BLK)
        m = e < numbers
        pair, c = e // CG, g * CG + e % CG
        n, k = u * PER + pair // CHUNKS, pair % CHUNKS
        count = tl.minimum(HW - k * ROWS, ROWS).to(tl.float32)
        mu = tl.load(P + (n * CHUNKS + k) * 2 * C + c, mask=m, other=0.0)
        if HAS_V:
            mu += tl.load(V + n * VSTRIDE + c, mask=m, other=0.0).to(tl.float32)
        mean += tl.sum(tl.where(m, mu * count, 0.0))
        i += BLK
    mean = mean / total
    square = 0.0
    i = 0
    while i < numbers:
        e = i + tl.arange(0, BLK)
        m = e < numbers
        pair, c = e // CG, g * CG + e % CG
        n, k = u * PER + pair // CHUNKS, pair % CHUNKS
        count = tl.minimum(HW - k * ROWS, ROWS).to(tl.float32)
        at = P + (n * CHUNKS + k) * 2 * C + c
        mu = tl.load(at, mask=m, other=0.0)
        if HAS_V:
            mu += tl.load(V + n * VSTRIDE + c, mask=m, other=0.0).to(tl.float32)
        square += tl.sum(tl.where(m, tl.load(at + C, mask=m, other=0.0) + count * (mu - mean) * (mu - mean), 0.0))
        i += BLK
    scale = tl.rsqrt(square / total + eps)
    i = 0
    while i < PER * CG:
        e = i + tl.arange(0, BLK)
        m = e < PER * CG
        n, c = u * PER + e // CG, g * CG + e % CG
        a = scale * tl.load(W + c, mask=m, other=0.0).to(tl.float32)
        v = -mean
        if HAS_V:
            v += tl.load(V + n * VSTRIDE + c, mask=m, other=0.0).to(tl.float32)
        tl.store(A + n * C + c, a, mask=m)
        tl.store(B + n * C + c, tl.load(Z + c, mask=m, other=0.0).to(tl.float32) + a * v, mask=m)
        i += BLK


@triton.jit(do_not_specialize=["HW"])
def k_apply(X, Y, A, B, HW, C, CB: tl.constexpr, BLK: tl.constexpr, ACT: tl.constexpr):
    """Compute x * A + B, then SiLU if ACT."""
    n = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * BLK + tl.arange(0, BLK)
    c = tl.program_id(2) * CB + tl.arange(0, CB)
    m = (row < HW)[:, None] & (c >= 0)[None]
    o = (n * HW + row)[:, None] * C + c[None]
    y = tl.load(X + o, mask=m, other=0.0).to(tl.float32) * tl.load(A + n * C + c)[None] + tl.load(B + n * C + c)[None]
    if ACT:
        y = y * tl.sigmoid(y)
    tl.store(Y + o, y, mask=m)


@triton.jit(do_not_specialize=["M", "PER"])
def k_norm(
    X, R, V, S, Y, W, Z, M, C, PER, VSTRIDE, eps, CP: tl.constexpr, BLK: tl.constexpr, HAS_R: tl.constexpr,
    HAS_V: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Compute LayerNorm of x + r + v; KEEP 1 also stores x + r, KEEP 2 x + r + v."""
    c = tl.arange(0, CP)
    row = tl.program_id(0).to(tl.int64) * BLK + tl.arange(0, BLK)
    m = (row < M)[:, None] & (c < C)[None]
    o = row[:, None] * C + c[None]
    x = tl.load(X + o, mask=m, other=0.0).to(tl.float32)
    if HAS_R:
        x += tl.load(R + o, mask=m, other=0.0).to(tl.float32)
    if KEEP == 1:
        tl.store(S + o, x, mask=m)
    if HAS_V:
        x += tl.load(V + (row // PER)[:, None] * VSTRIDE + c[None], mask=m, other=0.0).to(tl.float32)
    if KEEP == 2:
        tl.store(S + o, x, mask=m)
    x = tl.where(m, x - tl.sum(x, 1)[:, None] / C, 0.0)
    y = x * tl.rsqrt(tl.sum(x * x, 1) / C + eps)[:, None]
    w = tl.load(W + c, mask=c < C, other=0.0).to(tl.float32)
    y = y * w[None] + tl.load(Z + c, mask=c < C, other=0.0).to(tl.float32)[None]
    tl.store(Y + o, y, mask=m)


@triton.jit(do_not_specialize=["M"])
def k_geglu(X, Y, M, C, CB: tl.constexpr, BLK: tl.constexpr):
    """Compute the first half times the GELU of the second."""
    row = tl.program_id(0).to(tl.int64) * BLK + tl.arange(0, BLK)
    c = (tl.program_id(1) * CB + tl.arange(0, CB))[None]
    m = (row < M)[:, None] & (c >= 0)
    i = X + row[:, None] * 2 * C + c
    gate = tl.load(i + C, mask=m, other=0.0).to(tl.float32)
    gate = gate * 0.5 * (1 + tl.erf(gate * 0.7071067811865476))
    tl.store(Y + row[:, None] * C + c, tl.load(i, mask=m, other=0.0).to(tl.float32) * gate, mask=m)


@triton.jit(do_not_specialize=["HW"])
def k_combine(
    H, R, V, S, MIX, Y, HW, C, VSTRIDE, CB: tl.constexpr, BLK: tl.constexpr, HAS_R: tl.constexpr, HAS_V: tl.constexpr,
    HAS_S: tl.constexpr, SWITCH: tl.constexpr,
):  # fmt: skip
    """Compute h + r + v, blended with s."""
    n = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * BLK + tl.arange(0, BLK)
    c = tl.program_id(2) * CB + tl.arange(0, CB)
    m = (row < HW)[:, None] & (c >= 0)[None]
    o = (n * HW + row)[:, None] * C + c[None]
    y = tl.load(H + o, mask=m, other=0.0).to(tl.float32)
    if HAS_R:
        y += tl.load(R + o, mask=m, other=0.0).to(tl.float32)
    if HAS_V:
        y += tl.load(V + n * VSTRIDE + c).to(tl.float32)[None]
    if HAS_S:
        alpha = tl.sigmoid(tl.load(MIX).to(tl.float32))
        if SWITCH:
            alpha = 1 - alpha
        y = alpha * tl.load(S + o, mask=m, other=0.0).to(tl.float32) + (1 - alpha) * y
    tl.store(Y + o, y, mask=m)


@triton.jit(do_not_specialize=["T", "S", "HEADS"])
def k_attention(Q, Y, scale, T, S, HEADS, D: tl.constexpr, TP: tl.constexpr):
    """Compute attention for one position and head over all frames; their tokens, S apart, are read and written in place."""
    pid = tl.program_id(0).to(tl.int64)
    h, place = pid % HEADS, pid // HEADS
    b, s = place // S, place % S
    t, d = tl.arange(0, TP), tl.arange(0, D)
    m = (t < T)[:, None] & (d >= 0)[None]
    row = (b * T + t)[:, None] * S + s
    i = Q + row * 3 * HEADS * D + h * D + d[None]
    q = tl.load(i, mask=m, other=0.0)
    k = tl.load(i + HEADS * D, mask=m, other=0.0)
    v = tl.load(i + 2 * HEADS * D, mask=m, other=0.0)
    p = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
    p = tl.where((t < T)[None], p, float("-inf"))
    p = tl.exp(p - tl.max(p, 1)[:, None])
    y = tl.dot(p.to(v.dtype), v, input_precision="ieee") / tl.sum(p, 1)[:, None]
    tl.store(Y + row * HEADS * D + h * D + d[None], y, mask=m)
