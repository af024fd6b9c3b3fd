"""Measure a mini with the genuine StableVideoDiffusionPipeline on scenes that it has never seen (see docs/measures.md).

    python -m svd_lab.training.measure.evaluate --scenes 32 --seed 1 --json out.json [--folder DIR] [--sheets DIR] [--quick]
    python -m svd_lab.training.measure.unseen_pictures DIR      # then --unseen DIR
    python -m svd_lab.training.measure.report out.json --markdown docs/measures.md      # or --markdown here

Backgrounds and places are new in every scene; known things and held-out ones are measured separately. 14 frames, 10 steps, motion
bucket 127, guidance 1 to 3 (the lessons'), fp32 on every device. The scenes are rendered on the CPU, so that a seed means the same
everywhere.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from svd_lab.images import open_image
from svd_lab.pipelines import load_video_pipeline
from svd_lab.training.measure import cpu_cost, report
from svd_lab.training.measure.evaluate_options import Options, parse
from svd_lab.world.backgrounds import HEIGHT, WIDTH, Draw
from svd_lab.world.clips import FRAMES, Clips
from svd_lab.world.contact_sheets import write_sheets
from svd_lab.world.measures import bucket_response, energy, measure, psnr, summary
from svd_lab.world.scenes import World

if TYPE_CHECKING:
    from diffusers import StableVideoDiffusionPipeline as Pipeline

BUCKETS = (20, 60, 127, 190, 240)
GROUPS = ("known", "held_out")
#: {name: settings of `make` besides 10 steps and guidance 1 to 3}.
OTHER_SETTINGS = {f"guidance 1 to {high:g}": dict(guidance=(1.0, high)) for high in (1.0, 2.0)} | {
    f"{steps} steps": dict(steps=steps) for steps in (5, 25)
}


def load(folder: str | Path = "mini", device: str | None = None) -> Pipeline:
    """Load a video pipeline in fp32, without TF32 and progress bars.

    Args:
        folder: A model folder, or a name that load_video_pipeline knows.
        device: "cuda" or "cpu"; by default cuda if there is one.

    Raises:
        ValueError: The name or the device is not known.
        OSError: The model cannot be read; FileNotFoundError if there is no such folder.
    """
    pipe = load_video_pipeline(folder, device=device, dtype=torch.float32)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    pipe.set_progress_bar_config(disable=True)
    return pipe


@cache
def _world(things: str, scale: int) -> World:
    """A world on the CPU; unpacking its atlas takes a second."""
    return World("cpu", things, scale=scale)


def scenes(things: str, n: int, seed: int, bucket: int = 127, scale: int = 1) -> Clips:
    """Render the scenes of evaluations, whose seeds training never uses.

    Args:
        things: One of GROUPS.
        n: How many.
        seed: Which ones.
        bucket: motion_bucket_id. Another bucket gives the same things and backgrounds; where a thing starts depends on the
            room that its motion needs.
        scale: Of the world; the scenes are the same at every scale.

    Returns:
        n clips of one moving thing each, at 7 fps.
    """
    world = _world(things, scale)
    world.draw = Draw("cpu", 1_000_000 + 2 * seed + GROUPS.index(things), scale)
    parts: list[Clips] = []
    while sum(map(len, parts)) < n:
        clips = world.clips(8, bucket=bucket, fps=7, two=0, nothing=0)
        parts.append(clips[~clips.camera])
    return Clips.join(parts)[slice(n)]


@torch.no_grad()
def sample(
    pipe: Pipeline,
    pictures: Sequence[Image.Image],
    seed: int,
    *,
    steps: int = 10,
    guidance: tuple[float, float] = (1.0, 3.0),
    bucket: int = 127,
    batch: int = 1,
) -> torch.Tensor:
    """Generate the latents [n,14,C,h,w] of a video of each picture; the arguments are those of `make`."""
    parts = []
    for start in range(0, len(pictures), batch):
        part = pictures[start : start + batch]
        generators = [torch.Generator().manual_seed(100_000 * seed + start + i) for i in range(len(part))]
        latents = pipe(
            part, height=part[0].height, width=part[0].width, num_frames=FRAMES, num_inference_steps=steps, fps=7,
            min_guidance_scale=guidance[0], max_guidance_scale=guidance[1], motion_bucket_id=bucket,
            generator=generators, output_type="latent",
        ).frames  # fmt: skip
        parts.append(latents)
    return torch.cat(parts)


@torch.no_grad()
def decode(pipe: Pipeline, latents: torch.Tensor, chunk: int = FRAMES) -> torch.Tensor:
    """Decode latents [n,14,C,h,w], `chunk` frames at once, to videos [n,14,3,H,W] in 0..1 on the CPU."""
    out = []
    for one in latents.split(1):  # clip by clip, because a chunk must not include frames of two clips
        frames = pipe.decode_latents(one, FRAMES, chunk)
        out.append(pipe.video_processor.postprocess_video(frames, output_type="pt").cpu())
    return torch.cat(out)


def make(
    pipe: Pipeline,
    pictures: Sequence[Image.Image],
    seed: int,
    *,
    chunks: Sequence[int] = (FRAMES,),
    **settings: Any,
) -> list[torch.Tensor]:
    """Generate a video of each picture.

    Args:
        pipe: From `load`.
        pictures: n pictures of one size that the model takes.
        seed: Of the noise. Each picture has noise of its own, the same in any batch.
        chunks: Values of decode_chunk_size.
        settings: steps (of denoising), guidance (min_guidance_scale and max_guidance_scale), bucket (motion_bucket_id), and batch
            (how many pictures are denoised together), with the defaults of `sample`.

    Returns:
        For each of `chunks` the videos [n,14,3,H,W] in 0..1, on the CPU.
    """
    latents = sample(pipe, pictures, seed, **settings)
    return [decode(pipe, latents, chunk) for chunk in chunks]


@torch.no_grad()
def ceiling(pipe: Pipeline, truth: Clips) -> tuple[torch.Tensor, dict[str, float]]:
    """Encode and decode true clips, which is the best that the model could do.

    Returns:
        The videos [n,T,3,H,W] in 0..1, and their PSNR in dB: vae_all of all pixels, vae_thing of the thing's.
    """
    out = []
    for video in truth.video:
        z = pipe.vae.encode((video * 2 - 1).to(pipe.device)).latent_dist.mode()
        out.append((pipe.vae.decode(z, num_frames=len(z)).sample / 2 + 0.5).clamp(0, 1).cpu())
    again = torch.stack(out)
    error, weight = (again - truth.video).square(), truth.alpha[:, :, None]
    return again, dict(vae_all=psnr(error.mean()), vae_thing=psnr((error * weight).sum() / (3 * weight.sum())))


def evaluate_group(pipe: Pipeline, things: str, options: Options) -> dict[str, Any]:
    """Measure one group of scenes.

    Args:
        pipe: From `load`.
        things: One of GROUPS.
        options: How many scenes, and how thoroughly.

    Returns:
        Figures of model, ceiling and copy (see `measures.summary`), and the rows of all clips; unless `quick`, also the figures
        of other settings.
    """
    begun, truth = time.time(), scenes(things, options.scenes, options.seed)
    pictures = truth.pictures()

    def generate(n: int | None = None, **settings: Any) -> list[torch.Tensor]:
        return make(pipe, pictures[slice(n)], options.seed, batch=options.batch, **{"steps": options.steps} | settings)

    video, small_chunks = generate(chunks=(FRAMES, 2))
    again, vae = ceiling(pipe, truth)
    clips = measure(truth, video)
    result = dict(
        model=summary(clips) | vae,
        ceiling=summary(measure(truth, again)) | vae,
        copy=summary(measure(truth, truth.video[:, :1].expand_as(truth.video))),
        background_std_chunk2=summary(measure(truth, small_chunks))["background_std"],
        clips=clips,
    )
    say(f"{things}: {len(clips)} scenes", result["model"], begun)
    if options.sheets:
        pairs = [row for pair in zip(truth.video[:16], video[:16], strict=True) for row in pair]
        say("sheets, truth over model:", ", ".join(map(str, write_sheets(pairs, options.sheets / things))))
    few = min(options.buckets, options.scenes)  # the first of the scenes
    if few and (things == "known" or not options.quick):
        energies = {b: energy(video[:few] if b == 127 else generate(few, bucket=b)[0]) for b in BUCKETS}
        true = {b: energy(scenes(things, few, options.seed, b).video) for b in BUCKETS}
        for who, response in (("model", bucket_response(energies)), ("ceiling", bucket_response(true))):
            result[who] |= {f"bucket_{key}": value for key, value in response.items()}
        say(f"{things}: bucket {BUCKETS}", bucket_response(energies), begun)
    if not options.quick:
        result["settings"] = {}
        for name, setting in OTHER_SETTINGS.items():
            result["settings"][name] = summary(measure(truth, generate(**setting)[0]))
            say(f"{things}: {name}", result["settings"][name], begun)
    return result


def evaluate_unseen(pipe: Pipeline, options: Options) -> list[dict[str, Any]]:
    """Measure pictures without a true clip, cropped to 224 x 128.

    Returns:
        For each picture its file's name, first: PSNR in dB of the first frame, and energy: the motion energy.
    """
    pictures = [open_image(file, (WIDTH, HEIGHT)) for file in options.pictures]
    (video,) = make(pipe, pictures, options.seed, steps=options.steps, batch=options.batch)
    given = torch.stack([torch.from_numpy(np.array(p)) for p in pictures]).permute(0, 3, 1, 2) / 255
    errors = (video[:, 0] - given).square().mean((1, 2, 3))
    rows = [
        dict(picture=file.name, first=psnr(error), energy=moved)
        for file, error, moved in zip(options.pictures, errors, energy(video), strict=True)
    ]
    for row in rows:
        say(f"unseen: {row['picture']}: first frame {row['first']:.1f} dB, motion energy {row['energy']:.2f}")
    if options.sheets:
        say("sheets of unseen pictures:", ", ".join(map(str, write_sheets(list(video), options.sheets / "unseen", 8))))
    return rows


def say(text: str, figures: Any = "", begun: float | None = None) -> None:
    """Print a line at once: a text, figures to three digits, and the seconds since `begun`."""
    if isinstance(figures, dict):
        figures = {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}
    print(text, figures, "" if begun is None else f"({time.time() - begun:.0f} s)", flush=True)


def plain(value: Any) -> Any:
    """Prepare figures for JSON: nan becomes None, floats keep five digits, keys become strings."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.5g}")
    return value


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Parse, measure, print and write; returns what the JSON file holds."""
    options, begun = parse(arguments, __doc__), time.time()
    for folder in (options.sheets, *(file.parent for file in (options.json, options.markdown) if file)):
        if folder:  # before minutes of work, not after
            folder.mkdir(parents=True, exist_ok=True)
    try:
        pipe = load(options.folder, options.device)
    except (OSError, ValueError) as error:
        sys.exit(f"--folder {options.folder}: {error}")
    on_gpu = pipe.device.type == "cuda"
    options = replace(options, batch=options.batch or (16 if on_gpu else 1))
    device = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    versions = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers")}
    result: dict[str, Any] = dict(
        about=dict(folder=str(options.folder), scenes=options.scenes, seed=options.seed, frames=FRAMES, steps=options.steps,
                   bucket=127, guidance=[1.0, 3.0], chunk=FRAMES, device=device, versions=versions)
    )  # fmt: skip
    if options.cost:  # first, while this process is idle
        result["cost"] = cpu_cost.in_own_process(options.folder, options.threads)
        say("cost", result["cost"])
    for things in GROUPS:
        result[things] = evaluate_group(pipe, things, options)
    if options.unseen:
        result["unseen"] = evaluate_unseen(pipe, options)
    result["about"]["seconds"] = time.time() - begun
    result = plain(result)
    print(report.table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        report.fill(options.markdown, report.page(result))
    return result


if __name__ == "__main__":
    main()
