"""Measure a mini with the genuine StableVideoDiffusionPipeline on scenes it has never seen (docs/measures.md explains).

    python -m svd_lab.training.measure.evaluate --scenes 32 --seed 1 --json out.json [--folder DIR] [--sheets DIR] [--quick]
    python -m svd_lab.training.measure.unseen_pictures /tmp/outside && python -m svd_lab.training.measure.evaluate --outside /tmp/outside ...
    python -m svd_lab.training.measure.report out.json --markdown docs/measures.md      # or --markdown here

Backgrounds and places are new in every scene; known things and things held out of training are told apart. 14 frames,
10 steps, motion bucket 127, guidance 1 to 3 (the class's), fp32 on every device. The scenes are rendered on the CPU, so
that a seed means the same everywhere.
"""

import argparse
import importlib.metadata
import json
import math
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import torch

from svd_lab.training.measure import cpu_cost, report
from svd_lab.world.backgrounds import Draw
from svd_lab.world.contact_sheets import write_sheets
from svd_lab.world.measures import bucket_response, energy, measure, psnr, summary
from svd_lab.world.scenes import FRAMES, HEIGHT, WIDTH, Clips, World

BUCKETS = (20, 60, 127, 190, 240)
GROUPS = ("known", "held_out")


def load(folder: str | Path = "mini", device: str | None = None):
    """The pipeline of `folder` (or of a name from the table of models) in fp32, without TF32, without progress bars.

    Raises what load_video_pipeline raises: ValueError, or an OSError such as FileNotFoundError.
    """
    from svd_lab.pipelines import load_video_pipeline

    pipe = load_video_pipeline(folder, device=device, dtype=torch.float32)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    pipe.set_progress_bar_config(disable=True)
    return pipe


@cache
def _world(things: str) -> World:
    return World("cpu", things)  # a second each, for unpacking the atlas


def scenes(things: str, n: int, seed: int, bucket: int = 127) -> Clips:
    """n clips of one moving thing each, at 7 fps. things: "known" or "held_out". Training never draws from these seeds.

    Another bucket gives the same things and backgrounds; where a thing starts depends on the room that its way needs.
    """
    world = _world(things)
    world.draw = Draw("cpu", 1_000_000 + 2 * seed + GROUPS.index(things))
    parts: list[Clips] = []
    while sum(map(len, parts)) < n:
        clips = world.clips(8, bucket=bucket, fps=7, two=0, nothing=0)
        parts.append(clips[~clips.camera])
    return Clips.join(parts)[slice(n)]


@torch.no_grad()
def make(
    pipe,
    pictures,
    seed: int,
    *,
    steps: int = 10,
    guidance=(1.0, 3.0),
    bucket: int = 127,
    chunks=(FRAMES,),
    batch: int = 1,
) -> list[torch.Tensor]:
    """Videos [n,14,3,H,W] in 0..1 (on the CPU) of `pictures` (PIL, of one size that the model takes), one for each way of
    decoding in `chunks` (decode_chunk_size). Picture i gets noise of its own, the same in any `batch`."""
    videos: list[list[torch.Tensor]] = [[] for _ in chunks]
    for start in range(0, len(pictures), batch):
        part = pictures[start : start + batch]
        generators = [torch.Generator().manual_seed(100_000 * seed + start + i) for i in range(len(part))]
        latents = pipe(
            part, height=part[0].height, width=part[0].width, num_frames=FRAMES, num_inference_steps=steps, fps=7,
            min_guidance_scale=guidance[0], max_guidance_scale=guidance[1], motion_bucket_id=bucket,
            generator=generators, output_type="latent",
        ).frames  # fmt: skip
        for chunk, out in zip(chunks, videos, strict=True):
            for one in latents.split(1):  # clip by clip: a chunk must not reach into the next clip
                frames = pipe.decode_latents(one, FRAMES, chunk)
                out.append(pipe.video_processor.postprocess_video(frames, output_type="pt").cpu())
    return [torch.cat(out) for out in videos]


@torch.no_grad()
def ceiling(pipe, truth: Clips) -> tuple[torch.Tensor, dict[str, float]]:
    """Truth through the VAE alone [n,T,3,H,W], and the PSNR of that: of all pixels, and of the pixels of the thing."""
    out = []
    for video in truth.video:
        z = pipe.vae.encode((video * 2 - 1).to(pipe.device)).latent_dist.mode()
        out.append((pipe.vae.decode(z, num_frames=len(z)).sample / 2 + 0.5).clamp(0, 1).cpu())
    again = torch.stack(out)
    error, weight = (again - truth.video).square(), truth.alpha[:, :, None]
    return again, dict(vae_all=psnr(error.mean()), vae_thing=psnr((error * weight).sum() / (3 * weight.sum())))


def evaluate_group(pipe, things: str, args) -> dict:
    """Everything about known or held-out things: model, copy and ceiling; with the sweeps unless args.quick."""
    truth, begun = scenes(things, args.scenes, args.seed), time.time()
    pictures = truth.pictures()
    run = lambda n=None, **k: make(pipe, pictures[slice(n)], args.seed, batch=args.batch, **({"steps": args.steps} | k))  # noqa: E731
    video, small_chunks = run(chunks=(FRAMES, 2))
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
    if args.sheets:
        pairs = [row for pair in zip(truth.video[:16], video[:16], strict=True) for row in pair]
        say("sheets, truth over model:", ", ".join(map(str, write_sheets(pairs, args.sheets / things))))
    few = min(args.buckets, args.scenes)  # the first of the scenes
    if few and (things == "known" or not args.quick):
        energies = {b: energy(video[:few] if b == 127 else run(few, bucket=b)[0]) for b in BUCKETS}
        true = {b: energy(scenes(things, few, args.seed, b).video) for b in BUCKETS}
        for who, response in (("model", bucket_response(energies)), ("ceiling", bucket_response(true))):
            result[who]["bucket_spearman"], result[who]["bucket_grows"] = response["spearman"], response["grows"]
            result[who]["bucket_energy"] = response["energy"]
        say(f"{things}: bucket {BUCKETS}", bucket_response(energies), begun)
    if not args.quick:
        others = {f"guidance 1 to {high:g}": dict(guidance=(1.0, high)) for high in (1.0, 2.0)}
        others |= {f"{steps} steps": dict(steps=steps) for steps in (5, 25)}
        result["settings"] = {name: summary(measure(truth, run(**setting)[0])) for name, setting in others.items()}
        for name, figures in result["settings"].items():
            say(f"{things}: {name}", figures, begun)
    return result


def evaluate_outside(pipe, args) -> list[dict]:
    """Pictures that are not of this world (args.pictures, cropped to 224 x 128): there is nothing to compare with, so the
    first frame's PSNR, the motion energy, and a sheet to look at."""
    from svd_lab.images import open_image

    pictures = [open_image(f, (WIDTH, HEIGHT)) for f in args.pictures]
    (video,) = make(pipe, pictures, args.seed, steps=args.steps, batch=args.batch)
    given = torch.stack([torch.from_numpy(np.array(p)) for p in pictures]).permute(0, 3, 1, 2) / 255
    rows = [
        dict(picture=f.name, first=psnr(e), energy=moved)
        for f, e, moved in zip(
            args.pictures, (video[:, 0] - given).square().mean((1, 2, 3)), energy(video), strict=True
        )
    ]
    for row in rows:
        say(f"outside: {row['picture']}: first frame {row['first']:.1f} dB, motion energy {row['energy']:.2f}")
    if args.sheets:
        say("sheets of the outside:", ", ".join(map(str, write_sheets(list(video), args.sheets / "outside", 8))))
    return rows


def say(text: str, figures="", begun: float | None = None) -> None:
    if isinstance(figures, dict):
        figures = {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}
    print(text, figures, "" if begun is None else f"({time.time() - begun:.0f} s)", flush=True)


def plain(value):
    """For JSON, which knows no nan: None; floats to five digits."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.5g}")
    return value


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--scenes", type=int, default=32, help="of known things, and as many of held-out ones (32)")
    add("--buckets", type=int, default=32, help="of how many of the scenes the motion buckets are asked (32; 0: none)")
    add("--seed", type=int, default=1, help="of the scenes and of the noise (1)")
    add("--json", type=Path, help="write every figure here, clip by clip too")
    add("--markdown", type=Path, help="put the table into this file, between its measures:begin and measures:end marks")
    add("--folder", default="mini", help="a model folder, or a name that load_video_pipeline knows (mini)")
    add("--sheets", type=Path, help="write contact sheets into this folder, truth over model")
    add(
        "--outside",
        type=Path,
        help="a folder of pictures from outside the world (python -m svd_lab.training.measure.unseen_pictures DIR makes one)",
    )
    add("--steps", type=int, default=10, help="denoising steps (10)")
    add("--device", help="cuda or cpu (cuda where there is one)")
    add("--batch", type=int, default=0, help="clips at a time (16 on a GPU, 1 on a CPU)")
    add("--quick", action="store_true", help="no other guidance, no other steps, no bucket sweep of held-out things")
    add(
        "--cost",
        action="store_true",
        help="also seconds and memory of a default call on the CPU, in a process of its own",
    )
    add("--threads", type=int, default=2, help="of the CPU for --cost (2)")
    args = parser.parse_args(arguments)
    for name in ("scenes", "steps", "threads"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(args, name)}")
    for name in ("batch", "buckets", "seed"):
        if getattr(args, name) < 0:
            parser.error(f"--{name} must not be negative, not {getattr(args, name)}")
    if args.outside:
        found = args.outside.iterdir() if args.outside.is_dir() else ()
        args.pictures = sorted(f for f in found if f.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"))
        if not args.pictures:
            parser.error(
                f"--outside {args.outside} holds no .png, .jpg or .webp: python -m svd_lab.training.measure.unseen_pictures {args.outside} "
                "puts some there"
            )
    return args


def main(arguments: list[str] | None = None) -> dict:
    """Parse, measure, print, write; returns what the JSON holds."""
    args, begun = parse(arguments), time.time()
    for folder in (args.sheets, args.json and args.json.parent, args.markdown and args.markdown.parent):
        if folder:  # before minutes of work, not after
            folder.mkdir(parents=True, exist_ok=True)
    try:
        pipe = load(args.folder, args.device)
    except (OSError, ValueError) as error:
        sys.exit(f"--folder {args.folder}: {error}")
    args.batch = args.batch or (16 if pipe.device.type == "cuda" else 1)
    on = torch.cuda.get_device_name() if pipe.device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    versions = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers")}
    result = dict(
        about=dict(folder=str(args.folder), scenes=args.scenes, seed=args.seed, frames=FRAMES, steps=args.steps,
                   bucket=127, guidance=[1.0, 3.0], chunk=FRAMES, device=on, versions=versions)
    )  # fmt: skip
    if args.cost:  # first, while this process is idle
        result["cost"] = cpu_cost.in_own_process(args.folder, args.threads)
        say("cost", result["cost"])
    for things in GROUPS:
        result[things] = evaluate_group(pipe, things, args)
    if args.outside:
        result["outside"] = evaluate_outside(pipe, args)
    result["about"]["seconds"] = time.time() - begun
    result = plain(result)
    print(report.table(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if args.markdown:
        report.fill(args.markdown, report.page(result))
    return result


if __name__ == "__main__":
    main()
