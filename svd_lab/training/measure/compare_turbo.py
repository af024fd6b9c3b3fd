"""Is a turbo file as good as the class's call? Both, and plain steps without guidance, on the scenes of `evaluate`.

    python -m svd_lab.training.measure.compare_turbo --folder DIR --turbo OUT/turbo.safetensors --scenes 32 --json out.json --sheets DIR

Without --turbo: the 10 steps with guidance beside plain ones; several files: one beside the other. Held: better, or worse than
the 10 steps by at most 5%. `detail` is not among evaluate's measures: PSNR and IoU forgive blur, and fewer steps blur first. The
second table tells how sure the differences are, scene by scene (spread.py).
"""

import argparse
import json
import time
from pathlib import Path

import torch

from svd_lab.models import turbo
from svd_lab.training.measure.evaluate import BUCKETS, GROUPS, load, make, plain, scenes
from svd_lab.training.measure.significance import differences, shown
from svd_lab.world.contact_sheets import write_sheets
from svd_lab.world.measures import bucket_response, energy, measure, summary
from svd_lab.world.scenes import Clips

#: +1: more is better, -1: less is better, 0: 1 is best.
MEASURES = dict(
    first=1, iou_share=1, moving_gain=1, length=0, cosine=1, area=0, kept=1, background_std=-1, bucket_spearman=1, detail=1
)  # fmt: skip
SLACK = 0.05


def detail(video: torch.Tensor, truth: Clips) -> torch.Tensor:
    """By clip: differences of neighbouring pixels in its second half, where the true thing passes at any time, summed, against
    truth's: 1 is as sharp as truth, less is blurred."""
    half = truth.video.shape[1] // 2
    where = (truth.alpha.amax(1)[:, None, None, 1:, 1:] > 0.01).float()

    def edges(v):
        v = v[:, half:]
        inner = v[..., 1:, 1:]
        return (((inner - v[..., :-1, 1:]).abs() + (inner - v[..., 1:, :-1]).abs()) * where).sum((1, 2, 3, 4))

    return edges(video) / edges(truth.video).clamp(min=1e-6)


def held(key: str, value: float, reference: float) -> bool:
    """Whether `value` is within SLACK of `reference`, or better. nan is not."""
    way, room = MEASURES[key], SLACK * abs(reference)
    if way:
        return way * (value - reference) >= -room
    return abs(value - reference) <= room or abs(value - 1) <= abs(reference - 1)


def with_turbo(folder: str | Path, file: str | Path, device=None):
    """The mini in `folder` with the turbo file, in fp32. Raises as turbo.merge."""
    pipe = load(folder, device)
    parts = turbo.parts(folder, file)
    pipe.register_modules(unet=parts["unet"].to(pipe.device), scheduler=parts["scheduler"])
    return pipe


def compare(args) -> dict:
    base = load(args.folder, args.device)
    ways = {"10 steps": (base, 10, (1.0, 3.0))}
    ways |= {f"{steps} plain": (base, steps, (1.0, 1.0)) for steps in args.plain}
    for file in args.turbo:
        name = "turbo" if len(args.turbo) == 1 else str(file)
        ways[name] = (with_turbo(args.folder, file, args.device), turbo.STEPS, (1.0, 1.0))
    batch, result = 16 if base.device.type == "cuda" else 1, {}
    for things in args.of:
        truth, result[things], videos = scenes(things, args.scenes, args.seed), {}, []
        for name, (pipe, steps, guidance) in ways.items():
            begun = time.time()
            run = lambda b: make(pipe, pictures, args.seed, steps=steps, guidance=guidance, bucket=b, batch=batch)[0]  # noqa: B023, E731
            pictures = truth.pictures()
            video = run(127)
            sharp = detail(video, truth).tolist()
            clips = [row | dict(detail=d) for row, d in zip(measure(truth, video), sharp, strict=True)]
            figures = summary(clips) | dict(clips=clips, seconds=time.time() - begun)
            if args.buckets:
                response = bucket_response({b: energy(video if b == 127 else run(b)) for b in BUCKETS})
                figures["bucket_spearman"] = response["spearman"]
            result[things][name] = figures
            videos.append(video)
            print(things, name, {k: round(figures[k], 3) for k in [*MEASURES, "seconds"] if k in figures}, flush=True)
        if args.sheets:
            rows = [row for four in zip(truth.video[:8], *(v[:8] for v in videos), strict=True) for row in four]
            write_sheets(rows, args.sheets / f"turbo-{things}", 4 * (1 + len(videos)))
    return result


def table(result: dict) -> str:
    """Markdown: every measure of every way, bold where it is not held."""
    lines = []
    for things, ways in result.items():
        names = list(ways)
        lines += [f"| {things} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for key in MEASURES:
            if all(key in figures for figures in ways.values()):
                reference = ways[names[0]][key]
                mark = lambda v: f"{v:.3f}" if held(key, v, reference) else f"**{v:.3f}**"  # noqa: B023, E731
                lines.append(f"| {key} | " + " | ".join(mark(ways[n][key]) for n in names) + " |")
        lines.append("")
    return "\n".join(lines)


def surely(result: dict) -> str:
    """Markdown: how the last way differs from the first, scene by scene, with one standard error; bold beyond two."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="svd_lab/mini/weights", help="the mini's folder")
    parser.add_argument("--turbo", nargs="+", default=[], metavar="FILE", help="the files to judge")
    parser.add_argument(
        "--plain", type=int, nargs="*", default=[turbo.STEPS], help="so many steps, no guidance, no file (4)"
    )
    parser.add_argument("--scenes", type=int, default=32, help="of each kind (32)")
    parser.add_argument("--seed", type=int, default=1, help="of scenes and noise (1)")
    parser.add_argument("--of", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--buckets", action="store_true", help="also the motion buckets: five times the work")
    parser.add_argument("--device", help="cuda or cpu (cuda where there is one)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheets", type=Path, help="folder of contact sheets: truth over 10 steps, 4 plain, turbo")
    args = parser.parse_args()
    result = compare(args)
    print(table(result))
    if args.turbo or args.plain:
        print(surely(result))
    if args.json:
        args.json.write_text(json.dumps(plain(result), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
