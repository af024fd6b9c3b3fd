"""Measure other decoders and UNets of the video mini against the mini as it is, scene by scene.

    python -m svd_lab.training.measure.compare_weights --decoders OUT/decoder.pt OUT/decoder.pt:0.5 --unets OUT/unet.pt --out OUT

All are measured on the same scenes from the same noise: the folder as it is, its UNet with each decoder, each UNet with the last
decoder. FILE:0.5 stands for weights halfway from the folder's own to those in FILE. The measures are those of docs/measures.md, and
of how sharp things are, of the VAE alone and of its border (`SHOWN`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from svd_lab.training.loop.checkpoints import full, load_parts
from svd_lab.training.measure.compare_turbo import detail
from svd_lab.training.measure.evaluate import GROUPS, decode, load, plain, sample, scenes
from svd_lab.training.measure.sharpness import edge_errors, ghosts, sharp, through
from svd_lab.training.measure.significance import differences, shown
from svd_lab.world.clips import Clips
from svd_lab.world.contact_sheets import write_sheets
from svd_lab.world.measures import grow, measure, summary, thing_pixels

if TYPE_CHECKING:
    from diffusers import StableVideoDiffusionPipeline as Pipeline

OF_VAE = ("vae_all", "vae_thing", "vae_sharp", "vae_corner", "vae_border")
SHOWN = (
    *OF_VAE, "corner", "first", "iou_share", "moving_gain", "length", "cosine", "area", "kept", "background_std",
    "background_std_chunk2", "ghosts", "detail", "sharp",
)  # fmt: skip
OWN = "own"
State = dict[str, torch.Tensor]


def read_state(spec: str, part: str, own: State) -> State:
    """Return weights: those in FILE, or for FILE:SHARE that share of the way from `own` to them.

    Args:
        spec: FILE, FILE:SHARE or OWN.
        part: Of the checkpoint, "vae" or "unet".
        own: The folder's weights, in float32 on the CPU.
    """
    if spec == OWN:
        return own
    file, _, share = spec.partition(":")
    new, share = full(load_parts(file)[part]), float(share or 1)
    # As they would be shipped, in half precision.
    return {name: value.lerp(new[name], share).half().float() for name, value in own.items()}


def of_vae(vae: nn.Module, truth: Clips, device: torch.device) -> list[dict[str, float]]:
    """Measure a VAE alone on true clips; rows of OF_VAE."""
    again = through(vae, truth.video, device)
    error, weight = (again - truth.video).square(), truth.alpha[:, :, None]
    decibels = lambda e: (-10 * e.clamp(min=1e-10).log10()).tolist()  # noqa: E731
    near = grow(thing_pixels(truth.video, truth), 1)
    figures = (
        decibels(error.mean((1, 2, 3, 4))),
        decibels((error * weight).sum((1, 2, 3, 4)) / (3 * weight.sum((1, 2, 3, 4)))),
        sharp(again, truth.video, near),
        *edge_errors(again, truth.video),
    )
    return [dict(zip(OF_VAE, row, strict=True)) for row in zip(*figures, strict=True)]


def of_videos(truth: Clips, video: torch.Tensor, chunked: torch.Tensor) -> list[dict[str, Any]]:
    """Measure generated videos; `chunked`: the same decoded two frames at a time."""
    near = grow(thing_pixels(video, truth), 1) | grow(thing_pixels(truth.video, truth), 1)
    more = dict(
        corner=edge_errors(video, truth.video)[0], ghosts=ghosts(video, truth), detail=detail(video, truth).tolist(),
        sharp=sharp(video, truth.video, near),
        background_std_chunk2=[row["background_std"] for row in measure(truth, chunked)],
    )  # fmt: skip
    values = zip(*more.values(), strict=True)
    return [row | dict(zip(more, v, strict=True)) for row, v in zip(measure(truth, video), values, strict=True)]


def compare(pipe: Pipeline, things: str, args: argparse.Namespace) -> dict[str, Any]:
    """Measure all pairs on one group of scenes, print a table of each and write the sheet; args: see `main`."""
    begun, truth, result, videos = time.time(), scenes(things, args.scenes, args.seed), {}, {}
    own_unet, own_vae = ({k: v.cpu() for k, v in part.state_dict().items()} for part in (pipe.unet, pipe.vae))
    alone: dict[str, list[dict[str, float]]] = {}
    for unet in (OWN, *args.unets):
        pipe.unet.load_state_dict(read_state(unet, "unet", own_unet))
        latents = sample(pipe, truth.pictures(), args.seed, batch=args.batch)
        for decoder in (OWN, *args.decoders) if unet == OWN else (OWN, *args.decoders)[-1:]:
            pipe.vae.load_state_dict(read_state(decoder, "vae", own_vae))
            if decoder not in alone:
                alone[decoder] = of_vae(pipe.vae, truth, pipe.device)
            video, chunked = decode(pipe, latents), decode(pipe, latents, 2)
            rows = [a | b for a, b in zip(of_videos(truth, video, chunked), alone[decoder], strict=True)]
            result[f"{unet} {decoder}"], videos[f"{unet} {decoder}"] = rows, video[: args.show]
        pipe.vae.load_state_dict(own_vae)  # before the next UNet: its pictures are encoded with it
    pipe.unet.load_state_dict(own_unet)
    (first, base), *others = result.items()
    before = summary(base)
    for name, rows in others:
        after, change = summary(rows), differences(base, rows)
        for key in SHOWN:
            print(
                f"{things} | {name} | {key} | {before[key]:.3f} | {after[key]:.3f} | {shown(*change[key])}", flush=True
            )
    print(f"{things}: {len(base)} scenes ({time.time() - begun:.0f} s), compared with: {first}", flush=True)
    if args.show:
        rows = [row for clips in zip(truth.video[: args.show], *videos.values(), strict=True) for row in clips]
        write_sheets(rows, args.out / things, 2 * (1 + len(videos)))
    return {name: dict(figures=summary(rows), clips=rows) for name, rows in result.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", default="svd_lab/mini/weights", help="folder of the mini (svd_lab/mini/weights)")
    add("--decoders", nargs="*", default=[], metavar="FILE[:SHARE]", help="checkpoints with a VAE of the same encoder")
    add("--unets", nargs="*", default=[], metavar="FILE[:SHARE]", help="checkpoints with a UNet")
    add("--scenes", type=int, default=96, help="of each group (96)")
    add("--seed", type=int, default=1, help="of scenes and noise (1)")
    add("--show", type=int, default=6, help="clips on the sheets: truth, then all pairs (6)")
    add("--of", nargs="+", choices=GROUPS, default=list(GROUPS), help="groups (both)")
    add("--batch", type=int, default=16, help="clips sampled together (16)")
    add("--device", help="cuda or cpu (cuda if there is one)")
    add("--out", type=Path, default=Path("."), help="folder for compare_weights.json and the sheets (.)")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    pipe = load(args.folder, args.device)
    result = {things: compare(pipe, things, args) for things in args.of}
    (args.out / "compare_weights.json").write_text(json.dumps(plain(result)), encoding="utf-8")


if __name__ == "__main__":
    main()
