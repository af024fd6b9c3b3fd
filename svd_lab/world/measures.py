"""What the mini's evaluation measures: plain functions of true clips and made videos; no model here.

A *thing's pixels* in a frame, true or made, are those that differ from the TRUE background by more than 40/255 in a
channel. One exception, the same for truth, copy and model: further from the true thing's way than half its height, a
pixel that already differs in the video's own frame 0 is a fault of the background (a coarse VAE draws hills wrongly), not
of the thing, and does not count. Without it such faults were up to 42% of a small thing's area through the prototype's
VAE; a second thing that appears later, wherever it does, still counts.

Two yardsticks stand beside every figure: the *copy* (the given picture repeated), and the *ceiling* (truth through the
VAE alone).
"""

import math

import torch
import torch.nn.functional as F

from svd_lab.mini.catalogue import catalogue
from svd_lab.world.motion import KINDS
from svd_lab.world.scenes import Clips

THRESHOLD = 40 / 255  # of a thing's pixel, in the channel that differs most
SEEN = 60  # pixels; a thing of fewer is hidden or has left, and has no shape to compare
MOVED = 6.0  # pixels; a shorter way has no direction to compare
KEPT = (0.35, 2.0)  # a thing whose area changes by more has vanished or doubled
CAP = 100.0  # dB, for pictures without any difference
STILL_MARGIN = 8  # pixels around everything that moves, where the background is not asked to stand still


def psnr(squared_error: torch.Tensor | float) -> float:
    """Mean squared error of values in 0..1 -> dB, at most 100; nan stays nan."""
    value = float(squared_error)
    return value if math.isnan(value) else -10 * math.log10(max(10 ** (-CAP / 10), value))


def spearman(x: list[float], y: list[float]) -> float:
    """Rank correlation, -1..1; equal values share their mean rank; 0 if x or y is constant."""
    ranks = []
    for values in (x, y):
        v = torch.tensor(values, dtype=torch.float64)
        rank = (v[:, None] > v).double().sum(1) + (v[:, None] == v).double().sum(1) / 2
        ranks.append(rank - rank.mean())
    scale = float(ranks[0].norm() * ranks[1].norm())
    return float(ranks[0] @ ranks[1]) / scale if scale else 0.0


def energy(video: torch.Tensor) -> list[float]:
    """Motion energy of each video of [n,T,3,H,W] in 0..1: mean absolute difference of neighbouring frames, in 1/255."""
    return ((video[:, 1:] - video[:, :-1]).abs().mean((1, 2, 3, 4)) * 255).tolist()


def bucket_response(energies: dict[int, list[float]]) -> dict:
    """Motion energy of n clips at each motion_bucket_id -> spearman (mean of the clips), grows (share of the clips that
    move more at every step), energy (mean at each bucket)."""
    buckets = sorted(energies)
    clips = list(zip(*(energies[b] for b in buckets), strict=True))
    return dict(
        spearman=sum(spearman(buckets, e) for e in clips) / len(clips),
        grows=sum(all(a < b for a, b in zip(e, e[1:], strict=False)) for e in clips) / len(clips),
        energy={b: sum(energies[b]) / len(clips) for b in buckets},
    )


def grow(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """[..., H, W] bool grown by `radius` pixels up, down and sideways."""
    size = 2 * radius + 1
    flat = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    tall = F.max_pool2d(
        flat, (size, 1), 1, (radius, 0)
    )  # rows, then columns: the square's cost would grow with its area
    return (F.max_pool2d(tall, (1, size), 1, (0, radius)) > 0).view(mask.shape)


def centroid(mask: torch.Tensor) -> torch.Tensor:
    """[..., H, W] weights -> [..., 2], x and y in pixels."""
    h, w = mask.shape[-2:]
    x, y = torch.arange(w, device=mask.device) + 0.5, torch.arange(h, device=mask.device) + 0.5
    sums = torch.stack([(mask.sum(-2) * x).sum(-1), (mask.sum(-1) * y).sum(-1)], -1)
    return sums / mask.sum((-1, -2)).clamp(min=1)[..., None]


def travel(truth: Clips) -> torch.Tensor:
    """[n]: the largest distance of each thing's centroid from its start within the clip, in heights of the thing."""
    way = centroid(truth.alpha)
    return (way - way[:, :1]).norm(dim=-1).amax(1) / truth.height


def thing_pixels(video: torch.Tensor, truth: Clips) -> torch.Tensor:
    """[n,T,H,W] bool: where `video` [n,T,3,H,W] in 0..1 shows a thing, by the rule at the top."""
    differs = (video - truth.background[:, None]).abs().amax(2) > THRESHOLD
    way, radius = truth.alpha.amax(1) > 0.01, (truth.height / 2).long().tolist()
    near = torch.stack([grow(w, r) for w, r in zip(way, radius, strict=True)])
    return differs & ~(differs[:, 0] & ~near)[:, None]


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a & b).sum() / (a | b).sum().clamp(min=1))


def measure(truth: Clips, video: torch.Tensor) -> list[dict]:
    """One dict a clip; what cannot be told (a thing that has left the picture has no shape) is nan.

    truth: clips whose one thing moves over a background that stands still. video: [n,T,3,H,W] in 0..1, what was made
    of their first frames, as many frames as in truth. ValueError for other shapes, and for clips with a moving camera.

    first, whole, moving, moving_copy: PSNR in dB of frame 0 against the given picture, of all frames, of the pixels that
    the true thing touches in any frame (frames 1 .. last), and of these in a static copy.
    iou, iou_copy: of the thing's pixels in the last frame with truth's. area: of the thing in the last frame, against
    truth. length, length_true (pixels), cosine: the way of the thing's centroid from the first frame to the last.
    background_std: standard deviation over time, in 1/255, of pixels further than 8 from all that moves.
    """
    if video.shape != truth.video.shape:
        raise ValueError(f"video must have truth's shape {tuple(truth.video.shape)}, not {tuple(video.shape)}")
    if truth.camera.any():
        raise ValueError("measure needs a background that stands still: leave out the clips with .camera set")
    seen, shown = thing_pixels(truth.video, truth), thing_pixels(video, truth)
    error, copy_error = (video - truth.video).square(), (truth.video[:, :1] - truth.video).square()
    names, kinds, nan = catalogue(), list(KINDS), float("nan")
    far = travel(truth)
    rows = []
    for i in range(len(video)):
        touched = truth.alpha[i].amax(0)
        still = ~grow(touched >= 0.01, STILL_MARGIN)
        of_touched = lambda e: psnr((e[1:] * touched).sum() / (3 * touched.sum() * (len(e) - 1)))  # noqa: B023, E731
        row = dict(
            thing=names[int(truth.thing[i, 0])]["en"], kind=kinds[int(truth.kind[i, 0])], travel=float(far[i]),
            first=psnr(error[i, 0].mean()), whole=psnr(error[i].mean()), moving=of_touched(error[i]),
            moving_copy=of_touched(copy_error[i]), background_std=float(video[i].std(0).mean(0)[still].mean() * 255),
            iou=nan, iou_copy=nan, area=nan, length=nan, length_true=nan, cosine=nan,
        )  # fmt: skip
        true, made = seen[i], shown[i]
        if true[0].sum() > SEEN and true[-1].sum() > SEEN:
            row["iou"], row["iou_copy"] = _iou(made[-1], true[-1]), _iou(true[0], true[-1])
            row["area"] = float(made[-1].sum() / true[-1].sum())
            ends = centroid(torch.stack([true[0], true[-1], made[0], made[-1]]).float())
            a, b = ends[1] - ends[0], ends[3] - ends[2]
            if not (made[0].any() and made[-1].any()):
                b = torch.zeros_like(b)  # what is not there goes nowhere
            if a.norm() > MOVED:
                row["length"], row["length_true"] = float(b.norm()), float(a.norm())
                row["cosine"] = float(a @ b / (a.norm() * b.norm()).clamp(min=1e-6))
        rows.append(row)
    return rows


def summary(rows: list[dict]) -> dict[str, float]:
    """Figures of a set of clips from `measure`'s rows: means, but area's median, and

    iou_share: (iou - iou_copy) / (1 - iou_copy) of the means, the share of the way from a static copy to truth;
    moving_gain: dB over a static copy; length: mean way against mean true way; kept: share of the areas in 0.35 .. 2;
    compared, moved: how many clips have a shape, and a direction, to compare. nan where none has.
    """

    def known(key):
        values = torch.tensor([r[key] for r in rows], dtype=torch.float64)
        return values[~values.isnan()]

    mean = {key: float(known(key).mean()) for key, value in rows[0].items() if not isinstance(value, str)}
    area = known("area")
    return mean | dict(
        iou_share=(mean["iou"] - mean["iou_copy"]) / max(1e-6, 1 - mean["iou_copy"]),
        moving_gain=mean["moving"] - mean["moving_copy"],
        length=mean["length"] / mean["length_true"],
        length_pixels=mean["length"],
        area=float(area.quantile(0.5)) if len(area) else float("nan"),
        kept=float(((area > KEPT[0]) & (area < KEPT[1])).double().mean()),
        travel=float(known("travel").quantile(0.5)),
        compared=len(area),
        moved=len(known("cosine")),
    )
