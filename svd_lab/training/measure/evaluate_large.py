"""Measure the video mini with a large VAE against the mini as it is, scene by scene.

    python -m svd_lab.training.measure.evaluate_large --vae OUT/large_vae.pt --scenes 24 --out OUT

Both use the same UNet and the same noise, whose shape is the same; the large VAE's pipeline is given pictures of 448 x 256 pixels.
Its videos are measured at half the size, as `evaluate` does, so that both are compared with the same truth. `sharp` is measured at
both sizes; for that the mini's videos are enlarged bicubically. Needs the atlases of `build_things --scale 2`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from svd_lab.training.loop.latent_bank import load_vae
from svd_lab.training.measure.compare_turbo import detail
from svd_lab.training.measure.evaluate import GROUPS, load, make, plain, scenes
from svd_lab.training.measure.sharpness import edge_errors, sharp, through
from svd_lab.training.measure.significance import differences, shown
from svd_lab.training.stages.large_vae_losses import SCALE
from svd_lab.world.clips import Clips
from svd_lab.world.measures import grow, measure, summary, thing_pixels

if TYPE_CHECKING:
    from diffusers import StableVideoDiffusionPipeline as Pipeline

SHOWN = (
    "vae_all", "vae_thing", "vae_sharp", "vae_corner", "vae_border", "corner", "first", "iou_share", "moving_gain", "length",
    "cosine", "area", "kept", "background_std", "detail", "sharp", "sharp_large",
)  # fmt: skip
COLUMNS = (0, 4, 9, 13)  # frames on the sheets


def halved(video: torch.Tensor) -> torch.Tensor:
    """Halve videos [n,T,3,H,W] each way."""
    return F.avg_pool2d(video.flatten(0, 1), SCALE).unflatten(0, video.shape[:2])


def enlarged(video: torch.Tensor) -> torch.Tensor:
    """Double videos [n,T,3,H,W] in 0..1 each way, bicubically."""
    large = F.interpolate(video.flatten(0, 1), scale_factor=SCALE, mode="bicubic", align_corners=False).clamp(0, 1)
    return large.unflatten(0, video.shape[:2])


def halved_clips(truth: Clips) -> Clips:
    """Halve the pictures of clips each way."""
    alpha, background = F.avg_pool2d(truth.alpha, SCALE), F.avg_pool2d(truth.background, SCALE)
    return replace(truth, video=halved(truth.video), alpha=alpha, background=background)


def rows_of(truth: Clips, half: Clips, video: torch.Tensor, again: torch.Tensor) -> list[dict[str, Any]]:
    """Measure videos of either size.

    Args:
        truth: The true clips.
        half: The same at half the size.
        video: Generated.
        again: True videos, encoded and decoded.

    Returns:
        The rows of `measures.measure`, with vae_all, vae_thing (PSNR in dB at the VAE's own size), vae_sharp, vae_corner,
        vae_border and corner (`edge_errors` at half the size), detail, sharp and sharp_large.
    """
    is_large = lambda v: v.shape[-1] == truth.video.shape[-1]  # noqa: E731
    large, small = (video, halved(video)) if is_large(video) else (enlarged(video), video)
    again_half, own = (halved(again), truth) if is_large(again) else (again, half)
    error, weight = (again - own.video).square(), own.alpha[:, :, None]
    decibels = lambda e: (-10 * e.clamp(min=1e-10).log10()).tolist()  # noqa: E731
    near = grow(thing_pixels(small, half), 1) | grow(thing_pixels(half.video, half), 1)
    near_large = F.interpolate(near.float(), scale_factor=SCALE, mode="nearest") > 0
    vae_corner, vae_border = edge_errors(again_half, half.video)
    more = dict(
        vae_all=decibels(error.mean((1, 2, 3, 4))),
        vae_thing=decibels((error * weight).sum((1, 2, 3, 4)) / (3 * weight.sum((1, 2, 3, 4)))),
        vae_sharp=sharp(again_half, half.video, near),
        vae_corner=vae_corner,
        vae_border=vae_border,
        corner=edge_errors(small, half.video)[0],
        detail=detail(small, half).tolist(),
        sharp=sharp(small, half.video, near),
        sharp_large=sharp(large, truth.video, near_large),
    )
    values = zip(*more.values(), strict=True)
    return [row | dict(zip(more, v, strict=True)) for row, v in zip(measure(half, small), values, strict=True)]


def write_page(videos: Sequence[torch.Tensor], clips: int, path: Path) -> None:
    """Write the first clips of videos of one size as one JPEG at full size: for each clip a row of each video."""
    rows = [torch.cat([v[i, t] for t in COLUMNS], 2) for i in range(clips) for v in videos]
    page = (torch.cat(rows, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(page).save(path, quality=90)


def compare(pipe: Pipeline, large_vae: nn.Module, things: str, args: argparse.Namespace) -> dict[str, Any]:
    """Measure both on one group of scenes, print the table and write the sheet; args: see `main`."""
    small_vae, device = pipe.vae, pipe.device
    batch = 12 if device.type == "cuda" else 1
    truth = scenes(things, args.scenes, args.seed, scale=SCALE)
    half, videos, rows = halved_clips(truth), [], []
    for vae, cell, true in ((small_vae, 8, half), (large_vae, 16, truth)):
        pipe.register_modules(vae=vae)
        pipe.vae_scale_factor = cell
        (video,) = make(pipe, true.pictures(), args.seed, batch=batch)
        rows.append(rows_of(truth, half, video, through(vae, true.video, device)))
        videos.append(video)
    pipe.register_modules(vae=small_vae)
    pipe.vae_scale_factor = 8
    before, after, change = *map(summary, rows), differences(*rows)
    for key in SHOWN:
        print(f"{things} {key:15s} {before[key]:8.3f} {after[key]:8.3f}  {shown(*change[key])}", flush=True)
    if args.show:
        shown_clips = min(args.show, args.scenes)
        write_page([truth.video, enlarged(videos[0]), videos[1]], shown_clips, args.out / f"large-{things}.jpg")
    return dict(mini=before, large=after, clips=rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", default="svd_lab/mini/weights", help="folder of the mini (svd_lab/mini/weights)")
    add("--vae", required=True, help="checkpoint of the large VAE")
    add("--scenes", type=int, default=24, help="of each group (24)")
    add("--seed", type=int, default=1, help="of scenes and noise (1)")
    add("--show", type=int, default=6, help="clips on the sheets: truth, the mini enlarged, with the large VAE (6)")
    add("--device", help="cuda or cpu (cuda if there is one)")
    add("--out", type=Path, default=Path("."), help="folder for evaluate_large.json and the sheets (.)")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    pipe = load(args.folder, args.device)
    large_vae = load_vae(args.vae, str(pipe.device))
    result = {things: compare(pipe, large_vae, things, args) for things in GROUPS}
    (args.out / "evaluate_large.json").write_text(json.dumps(plain(result)), encoding="utf-8")


if __name__ == "__main__":
    main()
