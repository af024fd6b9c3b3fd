"""The measures of a generated video against the true clip: plain functions of tensors, without any model.

The *thing's pixels* in a frame, true or generated, are those that differ from the true background by more than 40/255 in
some channel. One exception, the same for all videos: further from the path of the true thing than half its height, a pixel
that differs already in the video's own frame 0 is a fault of the background (a coarse VAE draws hills wrongly) and does not
count. A second thing that appears later counts wherever it is.

For comparison, evaluations also measure the *copy* (the input picture repeated) and the *ceiling* (truth through the VAE
alone).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F

from svd_lab.language import say
from svd_lab.mini.catalogue import catalogue
from svd_lab.world.clips import Clips
from svd_lab.world.motion import KINDS

THRESHOLD = 40 / 255  # in the channel that differs most; a pixel beyond it is the thing's
SEEN = 60  # pixels; a thing with fewer has left or cannot be seen, so its shape is not compared
MOVED = 6.0  # pixels; the direction of a shorter displacement is not compared
KEPT = (0.35, 2.0)  # times the true area; outside, the thing has vanished or doubled
CAP = 100.0  # dB, of identical pictures
STILL_MARGIN = 8  # pixels around everything that moves, which do not count as still background


def psnr(squared_error: torch.Tensor | float) -> float:
    """Peak signal-to-noise ratio.

    Args:
        squared_error: Mean squared error of values in 0..1.

    Returns:
        dB, at most 100; nan for nan.
    """
    value = float(squared_error)
    return value if math.isnan(value) else -10 * math.log10(max(10 ** (-CAP / 10), value))


def spearman(x: list[float], y: list[float]) -> float:
    """Rank correlation of two equally long lists, -1..1; ties share their mean rank; 0 if one list is constant."""
    ranks = []
    for values in (x, y):
        v = torch.tensor(values, dtype=torch.float64)
        rank = (v[:, None] > v).double().sum(1) + (v[:, None] == v).double().sum(1) / 2
        ranks.append(rank - rank.mean())
    scale = float(ranks[0].norm() * ranks[1].norm())
    return float(ranks[0] @ ranks[1]) / scale if scale else 0.0


def energy(video: torch.Tensor) -> list[float]:
    """Motion energy: the mean absolute difference of successive frames.

    Args:
        video: [n,T,3,H,W] in 0..1.

    Returns:
        A figure for each of the n videos, in steps of 1/255.
    """
    return ((video[:, 1:] - video[:, :-1]).abs().mean((1, 2, 3, 4)) * 255).tolist()


def bucket_response(energies: dict[int, list[float]]) -> dict[str, Any]:
    """How the motion energy follows the motion bucket.

    Args:
        energies: {motion_bucket_id: the motion energy of each of n clips}.

    Returns:
        spearman: rank correlation of bucket and energy, mean over the clips; grows: share of the clips that move more at every
        larger bucket; energy: {motion_bucket_id: mean over the clips}.
    """
    buckets = sorted(energies)
    clips = list(zip(*(energies[b] for b in buckets), strict=True))
    return dict(
        spearman=sum(spearman(buckets, e) for e in clips) / len(clips),
        grows=sum(all(a < b for a, b in zip(e, e[1:], strict=False)) for e in clips) / len(clips),
        energy={b: sum(energies[b]) / len(clips) for b in buckets},
    )


def grow(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """Dilate a mask [...,H,W] bool by a square: `radius` pixels up, down and sideways."""
    size = 2 * radius + 1
    flat = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    # Rows, then columns: the cost of a square window would grow with its area.
    tall = F.max_pool2d(flat, (size, 1), 1, (radius, 0))
    return (F.max_pool2d(tall, (1, size), 1, (0, radius)) > 0).view(mask.shape)


def centroid(mask: torch.Tensor) -> torch.Tensor:
    """Centre of mass of weights [...,H,W]: [...,2], x and y in pixels from the top left."""
    h, w = mask.shape[-2:]
    x, y = torch.arange(w, device=mask.device) + 0.5, torch.arange(h, device=mask.device) + 0.5
    sums = torch.stack([(mask.sum(-2) * x).sum(-1), (mask.sum(-1) * y).sum(-1)], -1)
    return sums / mask.sum((-1, -2)).clamp(min=1)[..., None]


def travel(truth: Clips) -> torch.Tensor:
    """How far each thing moves: the largest distance of its centroid from its start, in heights of the thing, [n]."""
    path = centroid(truth.alpha)
    return (path - path[:, :1]).norm(dim=-1).amax(1) / truth.height


def thing_pixels(video: torch.Tensor, truth: Clips) -> torch.Tensor:
    """Where a video shows a thing, by the rule at the top of this module.

    Args:
        video: [n,T,3,H,W] in 0..1.
        truth: The true clips.

    Returns:
        [n,T,H,W] bool.
    """
    differs = (video - truth.background[:, None]).abs().amax(2) > THRESHOLD
    path, radius = truth.alpha.amax(1) > 0.01, (truth.height / 2).long().tolist()
    near = torch.stack([grow(p, r) for p, r in zip(path, radius, strict=True)])
    return differs & ~(differs[:, 0] & ~near)[:, None]


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    """Intersection over union of two masks."""
    return float((a & b).sum() / (a | b).sum().clamp(min=1))


def measure(truth: Clips, video: torch.Tensor) -> list[dict[str, Any]]:
    """Measure generated videos against the true clips.

    Args:
        truth: n clips of one thing each that moves over a still background.
        video: [n,T,3,H,W] in 0..1, generated from their first frames, with as many frames as truth.

    Returns:
        A dict for each clip; what cannot be measured (a thing that has left the picture has no shape) is nan.

        - thing, kind: English name and kind of motion. travel: see `travel`.
        - first, whole: PSNR in dB of frame 0 against the input picture, and of all frames against truth.
        - moving, moving_copy: PSNR in dB of the pixels that the true thing touches in any frame, in frames 1 to the last,
          and the same of a static copy.
        - iou, iou_copy: intersection over union, 0..1, of the thing's pixels in the last frame with the true ones.
        - area: of the thing in the last frame, relative to truth.
        - length, length_true: displacement of the thing's centroid from the first frame to the last, in pixels.
        - cosine: of the angle between the two displacements, -1..1.
        - background_std: standard deviation over time, in steps of 1/255, of pixels further than 8 from all that moves.

    Raises:
        ValueError: The shapes differ, or the camera moves in some clip.
    """
    if video.shape != truth.video.shape:
        raise ValueError(
            say(
                "video must have truth's shape {shape}, not {given}",
                shape=tuple(truth.video.shape),
                given=tuple(video.shape),
            )
        )
    if truth.camera.any():
        raise ValueError(
            say("measure needs a still background, but the camera moves in some clips: use truth[~truth.camera]")
        )
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
        true, made = seen[i], shown[i]  # the pixels of the thing in truth and in the video
        if true[0].sum() > SEEN and true[-1].sum() > SEEN:
            row["iou"], row["iou_copy"] = _iou(made[-1], true[-1]), _iou(true[0], true[-1])
            row["area"] = float(made[-1].sum() / true[-1].sum())
            ends = centroid(torch.stack([true[0], true[-1], made[0], made[-1]]).float())
            a, b = ends[1] - ends[0], ends[3] - ends[2]
            if not (made[0].any() and made[-1].any()):
                b = torch.zeros_like(b)  # a thing that is missing has no displacement
            if a.norm() > MOVED:
                row["length"], row["length_true"] = float(b.norm()), float(a.norm())
                row["cosine"] = float(a @ b / (a.norm() * b.norm()).clamp(min=1e-6))
        rows.append(row)
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Summarise what `measure` returned for a set of clips.

    Args:
        rows: At least one; figures that are nan are left out.

    Returns:
        The mean of every figure (nan where no clip has it), but

        - area, travel: medians. length: mean displacement relative to the mean true one; length_pixels: itself.
        - iou_share: (iou - iou_copy) / (1 - iou_copy) of the means: 0 for a static copy, 1 for truth.
        - moving_gain: dB over a static copy.
        - kept: share of the areas in 0.35..2.
        - compared, moved: how many clips have a shape, and a displacement, to compare.
    """

    def known(key: str) -> torch.Tensor:
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
