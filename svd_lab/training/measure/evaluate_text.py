"""Measure a text mini with the genuine StableDiffusionPipeline: does the picture show what the prompt says?

    python -m svd_lab.training.measure.evaluate_text --folder DIR --judge OUT/judge.pt --json text.json [--sheets DIR] [--quick] [--cost]

A judge that was trained apart (judge.py) looks at every picture, and is itself measured first, on rendered truth. Prompts are
captions without style words; half of the combinations were never trained on. 50 steps, guidance 7.5: what the class's call takes.
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import torch

from svd_lab.bundled import text_mini_folder
from svd_lab.training.measure.cpu_cost import RESULT, conv_rate, peak_rss
from svd_lab.training.stages.judge import THRESHOLD, Judge, load_judge, look, measure_judge, through
from svd_lab.training.text.captions import CLASS_PROMPTS, caption
from svd_lab.training.text.scene_grammar import RELATIONS, Scene, colours_of, draw_scene, held_out, scene_of, things
from svd_lab.training.world.stills import Stills, labels, place_keys, sheet

KINDS = (*RELATIONS, "coloured")
GUIDANCES = (1.0, 4.0, 7.5, 12.0)
UNKNOWN = (
    "a wombat playing chess", "quantum entanglement", "my grandmother's secret recipe", "asdf qwerty", "a xylophone in a meadow",
    "Barack Obama", "슬픈 양자역학", "너구리가 라면을 먹는다", "낯선 단어들", "🦆🦆🦆", "",
    "the feeling of nostalgia, oil painting",
)  # fmt: skip
FLOORS = {
    "thing present, English": 0.9, "thing present, Korean": 0.85, "both things, English": 0.75, "both things, Korean": 0.75,
    "place right": 0.9, "class 1": 0.75, "class 2": 0.75,
}  # fmt: skip


def load(folder: str | Path, device: str):
    """The folder's pipeline in fp32, without TF32, without progress bars. Raises what from_pretrained raises (an OSError)."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32).to(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    pipe.set_progress_bar_config(disable=True)
    return pipe


def prompts_for(relation: str, n: int, seed: int) -> list[Scene]:
    """n scenes of one kind, each second one a combination that training never had; "alone" goes through all things in turn,
    "coloured" is one thing in a colour that was asked for."""
    rng, out = Random(seed * 1000 + KINDS.index(relation)), []
    if relation == "coloured":
        asked = [(thing.name, colour) for thing in things() for colour in colours_of(thing)]
        return [scene_of(name, colour=colour) for name, colour in rng.sample(asked, min(n, len(asked)))]
    while len(out) < n:
        if relation == "alone":  # each thing: a trained place, then a held-out one
            name, want = things()[len(out) // 2 % len(things())].name, len(out) % 2 == 1
            where = [s for s in (scene_of(name, place=p) for p in place_keys()) if held_out(s) == want]
            if not where:  # a thing may lack held-out places
                where = [scene_of(name, place=p) for p in place_keys()]
            scene = rng.choice(where)
        else:
            scene = draw_scene(rng, relation, training=len(out) % 2 == 0)
        out.append(scene)
    return out


@torch.no_grad()
def make(
    pipe, prompts: list[str], seed: int, *, guidance: float = 7.5, steps: int = 50, batch: int = 1
) -> torch.Tensor:
    """Pictures [n,3,128,224] in 0..1 on the CPU; picture i has noise of its own, the same in any batch."""
    out = []
    for at in range(0, len(prompts), batch):
        part = prompts[at : at + batch]
        generators = [torch.Generator().manual_seed(100_000 * seed + at + i) for i in range(len(part))]
        picture = pipe(
            part, guidance_scale=guidance, num_inference_steps=steps, generator=generators, output_type="pt"
        ).images
        out.append(picture.float().cpu())
    return torch.cat(out)


def score(judge: Judge, scenes: list[Scene], pictures: torch.Tensor) -> list[dict]:
    """For each picture: all named things present, the best guess right (one thing), place, relation and colour right."""
    truth, seen, rows = labels(scenes), look(judge, pictures), []
    for i, scene in enumerate(scenes):
        named = [item.thing for item in scene.items]
        rows.append(
            dict(
                present=all(seen.things[i, k] > THRESHOLD for k in named),
                best=int(seen.things[i].argmax()) in named if named else None,
                place=bool(seen.place[i] == truth["place"][i]) if scene.placed else None,
                relation=bool(seen.relation[i] == truth["relation"][i]) if named else None,
                colour=bool(seen.colour[i] == truth["colour"][i]) if named and scene.items[0].colour else None,
                held_out=held_out(scene),
            )
        )
    return rows


def mean(rows: list[dict], key: str, **only) -> float | None:
    """Share of rows where `key` is true, among those that have it and match `only`; None without any."""
    values = [r[key] for r in rows if r[key] is not None and all(r[k] == v for k, v in only.items())]
    return round(sum(values) / len(values), 4) if values else None


def clipped(pictures: torch.Tensor) -> float:
    """Share of colour values at the ends of the range, 0 or 255: what too much guidance does."""
    return round(((pictures < 1 / 255) | (pictures > 254 / 255)).float().mean().item(), 4)


def accepted(judge: Judge, pictures: torch.Tensor, which: int) -> list[bool]:
    """The class's prompts: 0 an astronaut, a horse, and riding; 1 a city at night from above."""
    seen, names = look(judge, pictures), [t.name for t in things()]
    if which == 1:
        return [place_keys()[p] == "aerial" for p in seen.place.tolist()]
    both = (seen.things[:, [names.index("astronaut"), names.index("horse")]] > THRESHOLD).all(1)
    return [bool(b) and RELATIONS[r] == "riding" for b, r in zip(both, seen.relation.tolist(), strict=True)]


def cost(folder: str | Path, video: str | Path, threads: int, prompt: str = CLASS_PROMPTS[0]) -> dict:
    """In a process of its own: seconds of an image and of text -> video on the CPU, warm, and peak memory (GiB)."""
    environment = os.environ | dict(OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive", CUDA_VISIBLE_DEVICES="")
    command = [
        sys.executable,
        "-m",
        "svd_lab.training.measure.evaluate_text",
        "--cost-of",
        folder,
        "--video",
        video,
        "--threads",
        threads,
    ]
    done = subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if done.returncode or not lines:
        raise RuntimeError(f"the cost of {folder} could not be measured: {done.stderr.strip()[-2000:]}")
    return json.loads(lines[-1].removeprefix(RESULT))


def cost_here(folder: str, video: str, threads: int) -> dict:
    torch.set_num_threads(threads)
    from svd_lab.pipelines import load_video_pipeline

    begun = time.perf_counter()
    pipe, film = load(folder, "cpu"), load_video_pipeline(video, device="cpu", dtype=torch.float32)
    film.set_progress_bar_config(disable=True)
    loaded, image, whole = time.perf_counter() - begun, [], []
    for seed in range(2):
        generator, start = torch.manual_seed(seed), time.perf_counter()
        picture = pipe(CLASS_PROMPTS[0], guidance_scale=7.5, generator=generator).images[0]
        image.append(time.perf_counter() - start)
        film(picture, height=picture.height, width=picture.width, decode_chunk_size=2, generator=generator, num_frames=12,
             num_inference_steps=10)  # fmt: skip
        whole.append(time.perf_counter() - start)
    return dict(
        threads=threads, load=loaded, image=min(image), text_to_video=min(whole), rss=peak_rss(), conv=conv_rate()
    )


def evaluate(pipe, judge: Judge, args) -> dict:
    """Everything that issue 5 B asks, but for `cost`. args: see `parse`."""
    run = lambda texts, seed=args.seed, **k: make(pipe, texts, seed, steps=args.steps, batch=args.batch, **k)  # noqa: E731
    device, result, begun = str(pipe.device), {}, time.time()
    result["judge"] = measure_judge(judge, pipe.vae, device, args.truth)
    print("judge, on rendered truth:", result["judge"], flush=True)
    if result["judge"]["best"] < 0.95:
        print("warning: the judge is not to be believed, train it longer", flush=True)
    table, everything = {}, []
    for relation in KINDS:
        n = args.single if relation == "alone" else args.pairs
        scenes = prompts_for(relation, n, args.seed)
        for language in ("en", "ko"):
            rng = Random(args.seed)
            texts = [caption(s, rng, language, plain=True) for s in scenes]
            pictures = run(texts)
            rows = score(judge, scenes, pictures)
            everything += [r | dict(relation_name=relation, language=language) for r in rows]
            table[f"{relation} {language}"] = {
                k: mean(rows, k) for k in ("present", "best", "place", "relation", "colour")
            } | {"present, held out": mean(rows, "present", held_out=True)}
            print(relation, language, table[f"{relation} {language}"], f"({time.time() - begun:.0f} s)", flush=True)
            if args.sheets:
                few = slice(0, 20)
                sheet(pictures[few], [f"{'+' if r['present'] else '-'} {t}" for r, t in zip(rows, texts, strict=True)][few],
                      args.sheets / f"{relation}-{language}.png")  # fmt: skip
    result["relations"] = table
    keys = place_keys()
    scenes = [Scene(keys[i % len(keys)]) for i in range(args.places)]
    pictures = run([caption(s, Random(i), ("en", "ko")[i // len(keys) % 2], plain=True) for i, s in enumerate(scenes)])
    result["places alone"] = mean(score(judge, scenes, pictures), "place")
    if args.sheets:
        sheet(pictures[: len(keys)], [s.place for s in scenes][: len(keys)], args.sheets / "places.png", 6)
    result["class"] = {}
    for which, prompt in enumerate(CLASS_PROMPTS):
        pictures = run([prompt] * args.class_seeds, seed=args.seed + 50)
        result["class"][prompt] = sum(accepted(judge, pictures, which))
        if args.sheets:
            sheet(pictures, [prompt] * len(pictures), args.sheets / f"class-{which + 1}.png", 4)
    print(f"class's prompts accepted, of {args.class_seeds}:", list(result["class"].values()), flush=True)
    pictures = run(list(UNKNOWN))
    again = through(pipe.vae, pictures.to(device)).cpu()
    db = -10 * (again - pictures).square().mean((1, 2, 3)).log10()
    result["unknown prompts"] = dict(
        psnr_through_vae=dict(zip(UNKNOWN, [round(v, 1) for v in db.tolist()], strict=True))
    )
    if args.sheets:
        sheet(pictures, [u or "(nothing)" for u in UNKNOWN], args.sheets / "unknown.png", 4)
    if not args.quick:
        scenes = [s for r in RELATIONS for s in prompts_for(r, args.sweep, args.seed + 1)]
        texts = [caption(s, Random(i), "en", plain=True) for i, s in enumerate(scenes)]
        _, truth = Stills(seed=31).draw(1)[0], Stills(seed=31).render(scenes)[0]
        result["guidance"] = dict(truth=dict(clipped=clipped(truth), std=round(truth.std((2, 3)).mean().item(), 4)))
        for guidance in GUIDANCES:
            pictures = run(texts, guidance=guidance)
            rows = score(judge, scenes, pictures)
            figures = {k: mean(rows, k) for k in ("present", "place", "relation")}
            result["guidance"][f"{guidance:g}"] = figures | dict(
                clipped=clipped(pictures), std=round(pictures.std((2, 3)).mean().item(), 4)
            )
            print("guidance", guidance, result["guidance"][f"{guidance:g}"], flush=True)
            if args.sheets:
                sheet(pictures[:20], texts[:20], args.sheets / f"guidance-{guidance:g}.png")
    pick = lambda **only: [r for r in everything if all(r[k] in v for k, v in only.items())]  # noqa: E731
    pairs = ("beside", "on", "above", "riding")
    result["table"] = {
        "thing present, English": mean(pick(relation_name=("alone",), language=("en",)), "present"),
        "thing present, Korean": mean(pick(relation_name=("alone",), language=("ko",)), "present"),
        "both things, English": mean(pick(relation_name=pairs, language=("en",)), "present"),
        "both things, Korean": mean(pick(relation_name=pairs, language=("ko",)), "present"),
        "place right": mean(everything, "place"), "relation right": mean(everything, "relation"),
        "colour right (one thing)": mean(pick(relation_name=("coloured",)), "colour"),
        "thing present, combination never trained": mean(pick(relation_name=("alone",)), "present", held_out=True),
        "both things, combination never trained": mean(pick(relation_name=pairs), "present", held_out=True),
        "class 1": result["class"][CLASS_PROMPTS[0]] / args.class_seeds,
        "class 2": result["class"][CLASS_PROMPTS[1]] / args.class_seeds,
    }  # fmt: skip
    return result


def markdown(result: dict) -> str:
    """Issue 5 B's table."""
    lines = ["| measure | value | floor |", "|---|---|---|"]
    for name, value in result["table"].items():
        floor = FLOORS.get(name)
        mark = "" if floor is None or value is None else f"{floor:.0%}" + (" **missed**" if value < floor else "")
        lines.append(f"| {name} | {'–' if value is None else f'{value:.1%}'} | {mark} |")
    for name, limit in (("image", 6), ("text_to_video", 25), ("rss", 1.2)) if "cost" in result else ():
        value = result["cost"][name]
        lines.append(f"| {name} | {value:.2f} | {limit}{' **missed**' if value > limit else ''} |")
    return "\n".join(lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", default=str(text_mini_folder()), help="the text mini's folder (the shipped one)")
    add("--judge", default="judge.pt", help="the judge's checkpoint")
    add("--json", type=Path, help="write every figure here")
    add("--sheets", type=Path, help="write contact sheets into this folder")
    add("--single", type=int, default=484, help="single-thing prompts in each language (484: each thing twice)")
    add("--pairs", type=int, default=96, help="prompts of each relation in each language (96)")
    add("--sweep", type=int, default=16, help="prompts of each relation for every guidance (16)")
    add("--places", type=int, default=72, help="prompts of nothing but a place (72: each in both languages)")
    add("--class-seeds", type=int, default=8, help="seeds for each of the class's prompts (8)")
    add("--truth", type=int, default=2048, help="rendered stills to measure the judge on (2048)")
    add("--seed", type=int, default=1)
    add("--steps", type=int, default=50)
    add("--batch", type=int, default=0, help="pictures at a time (64 on a GPU, 1 on a CPU)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--quick", action="store_true", help="guidance 7.5 only")
    add("--cost", action="store_true", help="also seconds and memory on the CPU")
    add("--video", default="mini", help="the video mini for --cost")
    add("--threads", type=int, default=2)
    add("--cost-of", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict:
    """Parse, measure, print, write; returns what the JSON holds."""
    args, begun = parse(arguments), time.time()
    if args.cost_of:
        result = cost_here(args.cost_of, args.video, args.threads)
        print(RESULT + json.dumps(result), flush=True)
        return result
    for folder in (args.sheets, args.json and args.json.parent):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    try:
        pipe, judge = load(args.folder, args.device), load_judge(args.judge, args.device)
    except (OSError, ValueError) as error:
        sys.exit(f"--folder {args.folder} or --judge {args.judge}: {error}")
    args.batch = args.batch or (64 if args.device.startswith("cuda") else 1)
    result = evaluate(pipe, judge, args)
    if args.cost:
        result["cost"] = cost(args.folder, args.video, args.threads)
    versions = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers")}
    result["about"] = dict(folder=str(args.folder), seed=args.seed, steps=args.steps, single=args.single, pairs=args.pairs,
                           device=args.device, versions=versions, seconds=round(time.time() - begun))  # fmt: skip
    print(markdown(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    main()
