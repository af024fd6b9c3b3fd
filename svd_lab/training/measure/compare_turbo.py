"""Is a turbo file as good as 10 steps with guidance? Both, and few steps without guidance, on the scenes of `evaluate`.

    python -m svd_lab.training.measure.compare_turbo --turbo OUT/turbo.safetensors --scenes 32 --json out.json --sheets DIR

A figure is acceptable if it is better, or worse than that of the 10 steps by at most 5%. `detail` is measured as well, because PSNR
and IoU forgive blur, and fewer steps blur first. The second table says how sure the differences are, scene by scene.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from svd_lab.models import turbo
from svd_lab.training.measure.evaluate import BUCKETS, GROUPS, load, make, plain, scenes
from svd_lab.training.measure.significance import differences, shown
from svd_lab.world.clips import Clips
from svd_lab.world.contact_sheets import write_sheets
from svd_lab.world.measures import bucket_response, energy, measure, summary

if TYPE_CHECKING:
    from diffusers import StableVideoDiffusionPipeline as Pipeline

#: {figure: 1 if more is better, -1 if less is better, 0 if 1 is best}.
MEASURES = dict(
    first=1, iou_share=1, moving_gain=1, length=0, cosine=1, area=0, kept=1, background_std=-1, bucket_spearman=1, detail=1
)  # fmt: skip
TOLERANCE = 0.05
Result = Mapping[str, Mapping[str, Mapping[str, Any]]]  # {group of scenes: {way to generate: figures}}


@dataclass(frozen=True)
class Way:
    """One way to generate a video."""

    pipe: Pipeline
    steps: int
    guidance: tuple[float, float]


def detail(video: torch.Tensor, truth: Clips) -> torch.Tensor:
    """How sharp each thing is in the second half of its clip.

    Args:
        video: [n,T,3,H,W] in 0..1.
        truth: The true clips.

    Returns:
        [n]: the summed differences of neighbouring pixels where the true thing passes, relative to truth: 1 is as sharp, less is
        blurred.
    """
    half = truth.video.shape[1] // 2
    where = (truth.alpha.amax(1)[:, None, None, 1:, 1:] > 0.01).float()

    def edges(v: torch.Tensor) -> torch.Tensor:
        v = v[:, half:]
        inner = v[..., 1:, 1:]
        return (((inner - v[..., :-1, 1:]).abs() + (inner - v[..., 1:, :-1]).abs()) * where).sum((1, 2, 3, 4))

    return edges(video) / edges(truth.video).clamp(min=1e-6)


def acceptable(key: str, value: float, reference: float) -> bool:
    """Whether a figure is better than the reference, or worse by at most TOLERANCE. nan is not."""
    sign, room = MEASURES[key], TOLERANCE * abs(reference)
    if sign:
        return sign * (value - reference) >= -room
    return abs(value - reference) <= room or abs(value - 1) <= abs(reference - 1)


def with_turbo(folder: str | Path, file: str | Path, device: str | None = None) -> Pipeline:
    """Load a mini with a turbo file, in fp32. Raises what `svd_lab.models.turbo.parts` raises."""
    pipe = load(folder, device)
    parts = turbo.parts(folder, file)
    pipe.register_modules(unet=parts["unet"].to(pipe.device), scheduler=parts["scheduler"])
    return pipe


def ways_of(args: argparse.Namespace) -> dict[str, Way]:
    """The ways to compare, the reference first."""
    base = load(args.folder, args.device)
    ways = {"10 steps": Way(base, 10, (1.0, 3.0))}
    ways |= {f"{steps} plain": Way(base, steps, (1.0, 1.0)) for steps in args.plain}
    for file in args.turbo:
        name = "turbo" if len(args.turbo) == 1 else str(file)
        ways[name] = Way(with_turbo(args.folder, file, args.device), turbo.STEPS, (1.0, 1.0))
    return ways


def measure_way(way: Way, truth: Clips, seed: int, buckets: bool) -> tuple[dict[str, Any], torch.Tensor]:
    """Generate and measure the videos of some scenes.

    Args:
        way: How.
        truth: The scenes.
        seed: Of the noise.
        buckets: Whether to measure all motion buckets as well.

    Returns:
        The figures of `measures.summary`, detail, bucket_spearman, seconds and the rows of all clips; and the videos.
    """
    begun, pictures = time.time(), truth.pictures()

    def generate(bucket: int) -> torch.Tensor:
        batch = 16 if way.pipe.device.type == "cuda" else 1
        options = dict(steps=way.steps, guidance=way.guidance, bucket=bucket, batch=batch)
        return make(way.pipe, pictures, seed, **options)[0]

    video = generate(127)
    sharpness = detail(video, truth).tolist()
    clips = [row | dict(detail=d) for row, d in zip(measure(truth, video), sharpness, strict=True)]
    figures = summary(clips) | dict(clips=clips, seconds=time.time() - begun)
    if buckets:
        response = bucket_response({b: energy(video if b == 127 else generate(b)) for b in BUCKETS})
        figures["bucket_spearman"] = response["spearman"]
    return figures, video


def compare(args: argparse.Namespace) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure every way on every group of scenes; args: see `main`."""
    ways, result = ways_of(args), {}
    for things in args.of:
        truth, result[things], videos = scenes(things, args.scenes, args.seed), {}, []
        for name, way in ways.items():
            figures, video = measure_way(way, truth, args.seed, args.buckets)
            result[things][name] = figures
            videos.append(video)
            print(things, name, {k: round(figures[k], 3) for k in [*MEASURES, "seconds"] if k in figures}, flush=True)
        if args.sheets:
            rows = [row for one in zip(truth.video[:8], *(v[:8] for v in videos), strict=True) for row in one]
            write_sheets(rows, args.sheets / f"turbo-{things}", 4 * (1 + len(videos)))
    return result


def table(result: Result) -> str:
    """Every measure of every way as Markdown, bold where it is not acceptable."""
    lines = []
    for things, ways in result.items():
        names = list(ways)
        lines += [f"| {things} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for key in (key for key in MEASURES if all(key in figures for figures in ways.values())):
            values, reference = [ways[name][key] for name in names], ways[names[0]][key]
            cells = [f"{v:.3f}" if acceptable(key, v, reference) else f"**{v:.3f}**" for v in values]
            lines.append(f"| {key} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def significance_table(result: Result) -> str:
    """The difference of the last way from the first as Markdown, with one standard error, bold beyond two."""
    lines = []
    for things, ways in result.items():
        first, last = list(ways)[0], list(ways)[-1]
        lines += [f"| {things} | {last} - {first} | |", "|---|---|---|"]
        change = differences(ways[first]["clips"], ways[last]["clips"])
        for key in (key for key in MEASURES if key in change):
            value, error = change[key]
            share = f"{value / abs(was):+.1%}" if (was := ways[first][key]) else "–"
            lines.append(f"| {key} | {shown(value, error)} | {share} |")
        lines.append("")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", default="svd_lab/mini/weights", help="folder of the mini (svd_lab/mini/weights)")
    add("--turbo", nargs="+", default=[], metavar="FILE", help="files to measure")
    add("--plain", type=int, nargs="*", default=[turbo.STEPS], help="numbers of steps without guidance and file (4)")
    add("--scenes", type=int, default=32, help="of each group (32)")
    add("--seed", type=int, default=1, help="of scenes and noise (1)")
    add("--of", nargs="+", choices=GROUPS, default=list(GROUPS), help="groups (both)")
    add("--buckets", action="store_true", help="also the motion buckets: five times the work")
    add("--device", help="cuda or cpu (cuda if there is one)")
    add("--json", type=Path, help="write every figure here")
    add("--sheets", type=Path, help="folder for contact sheets: truth, then each way")
    args = parser.parse_args(arguments)
    result = compare(args)
    print(table(result))
    if args.turbo or args.plain:
        print(significance_table(result))
    if args.json:
        args.json.write_text(json.dumps(plain(result), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
