"""The kinds of motion in the world: how often each is shown, and where it takes a thing."""

import torch

#: {kind of motion: how often it is shown}; the things of a kind share it evenly.
KINDS = dict(
    slant=3, comet=0.5, drive=4, run=5, hop=3, swim=3, fly=2.5, up=2, boat=2.5, ball=3, spin=2, pulse=2, fall=2, sway=2, hang=0.8,
    flicker=1.2, planet=1.5, cloud=1.2, hover=2, rock=2.5, still=1.5,
)  # fmt: skip
#: {kind of motion: its place in KINDS}, which is what `Clips.kind` holds.
INDEX = {kind: i for i, kind in enumerate(KINDS)}
DIRECTIONAL = ("slant", "comet", "drive", "run", "hop", "swim", "fly", "boat")  # mirrored, they move the other way
TALL = ("slant", "up", "fall", "ball", "hop")  # drawn smaller, because they need room above or below


def motion(kind: torch.Tensor, a: torch.Tensor, p: torch.Tensor) -> dict[str, torch.Tensor]:
    """Where things are and how they are deformed at each phase, relative to their start.

    Args:
        kind: Index into KINDS, [n,1].
        a: Amplitude, motion_bucket_id / 127, [n,1].
        p: Phase, frame number * 7 / fps, [n,T].

    Returns:
        dx, dy (in heights of the thing, to the right and down), rot (radians), sx, sy (scale), shear, pivot (about which
        height it turns and scales: -1 its top, 0 its middle, 1 its bottom) and zoom (of the camera), each [n,T].
    """
    sin, zero, d = torch.sin, torch.zeros_like(a * p), a * p
    one, hop = torch.ones_like(zero), lambda w: torch.sin(w * p).abs()
    table = {
        "slant": dict(dx=0.032 * d, dy=-0.032 * d),
        "comet": dict(dx=-0.035 * d, dy=0.03 * d),
        "drive": dict(dx=-0.042 * d, dy=-0.012 * a * hop(1.3)),
        "run": dict(dx=-0.038 * d, dy=-0.05 * a * hop(0.9), rot=0.07 * a * sin(0.9 * p)),
        "hop": dict(dx=-0.034 * d, dy=-0.18 * a * hop(0.55), rot=0.1 * a * sin(1.1 * p)),
        "swim": dict(dx=-0.036 * d, dy=0.045 * a * sin(0.7 * p), rot=0.09 * a * sin(0.7 * p)),
        "fly": dict(dx=-0.038 * d, dy=-0.008 * d + 0.07 * a * sin(0.8 * p), sy=1 + 0.1 * a * sin(1.6 * p)),
        "up": dict(dy=-0.038 * d, dx=0.04 * a * sin(0.5 * p), rot=0.08 * a * sin(0.5 * p)),
        "boat": dict(dx=-0.028 * d, dy=0.035 * a * sin(0.7 * p), rot=0.09 * a * sin(0.7 * p)),
        "ball": dict(dy=-0.42 * a * hop(0.42), rot=0.16 * d),
        "spin": dict(rot=0.22 * d),
        "pulse": dict(sx=1 + 0.2 * a * sin(0.7 * p), sy=1 + 0.2 * a * sin(0.7 * p)),
        "fall": dict(dy=0.034 * d, dx=0.08 * a * sin(0.6 * p), rot=0.28 * a * sin(0.6 * p)),
        "sway": dict(shear=0.24 * a * sin(0.6 * p), pivot=0.9 * one),
        "hang": dict(rot=0.28 * a * sin(0.7 * p), pivot=-0.9 * one),
        "flicker": dict(
            sy=1 + 0.16 * a * sin(1.3 * p),
            sx=1 - 0.08 * a * sin(1.3 * p),
            shear=0.08 * a * sin(0.9 * p),
            pivot=0.9 * one,
        ),
        "planet": dict(rot=0.05 * d, dx=0.03 * d),
        "cloud": dict(dx=0.032 * d),
        "hover": dict(dy=-0.26 * a * sin(0.4 * p), dx=0.05 * a * sin(0.3 * p)),
        "rock": dict(rot=0.18 * a * sin(0.7 * p), pivot=0.9 * one),
        "still": dict(zoom=(1 + 0.016 * d).clamp(max=1.7)),
    }
    out = {}
    for part, rest in dict(dx=zero, dy=zero, rot=zero, sx=one, sy=one, shear=zero, pivot=zero, zoom=one).items():
        out[part] = rest
        for k, parts in table.items():
            if part in parts:
                out[part] = torch.where(kind == INDEX[k], parts[part].expand_as(zero), out[part])
    return out
