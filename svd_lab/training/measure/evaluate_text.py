"""Measure a text mini with the genuine StableDiffusionPipeline: does the picture show what the prompt says?

    python -m svd_lab.training.measure.evaluate_text --folder DIR --judge OUT/judge.pt --json text.json [--sheets DIR] [--cost]

A classifier that was trained separately, the judge, looks at every picture, and is itself measured first, on rendered stills.
Prompts are captions without words of style; half of the combinations were never trained on. 50 steps, guidance 7.5: the lessons'
call.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch

from svd_lab.bundled import text_mini_folder
from svd_lab.training.measure.cpu_cost import RESULT, conv_rate, peak_rss, run_module
from svd_lab.training.measure.text_scores import (
    KINDS,
    SCORES,
    accepted,
    clipped,
    headline,
    markdown,
    mean,
    prompts_for,
    score,
)
from svd_lab.training.stages.judge import Judge, load_judge, measure_judge, round_trip
from svd_lab.training.text.captions import CLASS_PROMPTS, caption
from svd_lab.training.text.scene_grammar import RELATIONS, Scene
from svd_lab.training.world.stills import Stills, place_keys, sheet

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline as Pipeline

GUIDANCES = (1.0, 4.0, 7.5, 12.0)
RELIABLE = 0.95  # of rendered things, the share that a usable judge recognises
UNKNOWN = (
    "a wombat playing chess", "quantum entanglement", "my grandmother's secret recipe", "asdf qwerty", "a xylophone in a meadow",
    "Barack Obama", "슬픈 양자역학", "너구리가 라면을 먹는다", "낯선 단어들", "🦆🦆🦆", "",
    "the feeling of nostalgia, oil painting",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """The options of the command line, which `parse` explains."""

    folder: str
    judge: str
    json: Path | None
    sheets: Path | None
    single: int
    pairs: int
    sweep: int
    places: int
    class_seeds: int
    truth: int
    seed: int
    steps: int
    batch: int
    device: str
    quick: bool
    cost: bool
    video: str
    threads: int
    cost_of: str | None


def load(folder: str | Path, device: str) -> Pipeline:
    """Load the pipeline of a folder in fp32, without TF32 and progress bars. Raises an OSError if it cannot be read."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32).to(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def make(
    pipe: Pipeline, prompts: Sequence[str], seed: int, *, guidance: float = 7.5, steps: int = 50, batch: int = 1
) -> torch.Tensor:
    """Generate a picture for each prompt.

    Args:
        pipe: From `load`.
        prompts: n texts.
        seed: Of the noise. Each picture has noise of its own, the same in any batch.
        guidance: guidance_scale.
        steps: Of denoising.
        batch: How many pictures are denoised together.

    Returns:
        [n,3,128,224] in 0..1, on the CPU.
    """
    pictures = []
    for at in range(0, len(prompts), batch):
        part = prompts[at : at + batch]
        generators = [torch.Generator().manual_seed(100_000 * seed + at + i) for i in range(len(part))]
        out = pipe(part, guidance_scale=guidance, num_inference_steps=steps, generator=generators, output_type="pt")
        pictures.append(out.images.float().cpu())
    return torch.cat(pictures)


class Evaluation:
    """The parts of an evaluation: each generates pictures, scores them and writes a sheet of them."""

    def __init__(self, pipe: Pipeline, judge: Judge, options: Options):
        self.pipe, self.judge, self.options, self.begun = pipe, judge, options, time.time()

    def run(self) -> dict[str, Any]:
        """Run all parts but the cost; returns what the JSON file holds of them."""
        options, result = self.options, {}
        result["judge"] = measure_judge(self.judge, self.pipe.vae, str(self.pipe.device), options.truth)
        print("judge, on rendered stills:", result["judge"], flush=True)
        if result["judge"]["best"] < RELIABLE:
            print("warning: this judge is not reliable; train it longer", flush=True)
        result["relations"], rows = self.relations()
        result["places alone"] = self.places()
        result["class"] = self.class_prompts()
        result["unknown prompts"] = dict(psnr_through_vae=self.unknown_prompts())
        if not options.quick:
            result["guidance"] = self.guidances()
        result["table"] = headline(rows, [n / options.class_seeds for n in result["class"].values()])
        return result

    def generate(self, prompts: Sequence[str], seed: int | None = None, **settings: Any) -> torch.Tensor:
        """Pictures of prompts, with the options' seed, steps and batch."""
        options = self.options
        seed = options.seed if seed is None else seed
        return make(self.pipe, list(prompts), seed, steps=options.steps, batch=options.batch, **settings)

    def sheet(self, pictures: torch.Tensor, texts: Sequence[str], name: str, columns: int = 5) -> None:
        """Write a contact sheet, if the options ask for it."""
        if self.options.sheets:
            sheet(pictures, list(texts), self.options.sheets / f"{name}.png", columns)

    def relations(self) -> tuple[dict[str, dict[str, float | None]], list[dict[str, Any]]]:
        """Scores by kind of prompt and language, and the rows of all pictures."""
        table, everything, options = {}, [], self.options
        for kind in KINDS:
            scenes = prompts_for(kind, options.single if kind == "alone" else options.pairs, options.seed)
            for language in ("en", "ko"):
                rng = Random(options.seed)
                texts = [caption(s, rng, language, plain=True) for s in scenes]
                pictures = self.generate(texts)
                rows = score(self.judge, scenes, pictures)
                everything += [r | dict(relation_name=kind, language=language) for r in rows]
                figures = {k: mean(rows, k) for k in SCORES}
                table[f"{kind} {language}"] = figures | {"present, held out": mean(rows, "present", held_out=True)}
                print(kind, language, table[f"{kind} {language}"], f"({time.time() - self.begun:.0f} s)", flush=True)
                marked = [f"{'+' if r['present'] else '-'} {t}" for r, t in zip(rows, texts, strict=True)]
                self.sheet(pictures[:20], marked[:20], f"{kind}-{language}")
        return table, everything

    def places(self) -> float | None:
        """The share of places alone that are right, in both languages."""
        keys = place_keys()
        scenes = [Scene(keys[i % len(keys)]) for i in range(self.options.places)]
        languages = [("en", "ko")[i // len(keys) % 2] for i in range(len(scenes))]
        texts = [caption(s, Random(i), languages[i], plain=True) for i, s in enumerate(scenes)]
        pictures = self.generate(texts)
        self.sheet(pictures[: len(keys)], [s.place for s in scenes][: len(keys)], "places", 6)
        return mean(score(self.judge, scenes, pictures), "place")

    def class_prompts(self) -> dict[str, int]:
        """How many pictures of each prompt of the lessons are accepted."""
        counts, seeds = {}, self.options.class_seeds
        for which, prompt in enumerate(CLASS_PROMPTS):
            pictures = self.generate([prompt] * seeds, self.options.seed + 50)
            counts[prompt] = sum(accepted(self.judge, pictures, which))
            self.sheet(pictures, [prompt] * seeds, f"class-{which + 1}", 4)
        print(f"lessons' prompts accepted, of {seeds}:", list(counts.values()), flush=True)
        return counts

    def unknown_prompts(self) -> dict[str, float]:
        """PSNR in dB of the pictures of unknown prompts against themselves through the VAE: low for noise."""
        pictures = self.generate(UNKNOWN)
        again = round_trip(self.pipe.vae, pictures.to(self.pipe.device)).cpu()
        db = -10 * (again - pictures).square().mean((1, 2, 3)).log10()
        self.sheet(pictures, [u or "(nothing)" for u in UNKNOWN], "unknown", 4)
        return dict(zip(UNKNOWN, [round(v, 1) for v in db.tolist()], strict=True))

    def guidances(self) -> dict[str, dict[str, float | None]]:
        """Scores, share of clipped values and contrast at every guidance, and the latter two of rendered stills."""
        scenes = [s for r in RELATIONS for s in prompts_for(r, self.options.sweep, self.options.seed + 1)]
        texts = [caption(s, Random(i), "en", plain=True) for i, s in enumerate(scenes)]
        look_of = lambda p: dict(clipped=clipped(p), std=round(p.std((2, 3)).mean().item(), 4))  # noqa: E731
        result = dict(truth=look_of(Stills(seed=31).render(scenes)[0]))
        for guidance in GUIDANCES:
            pictures = self.generate(texts, guidance=guidance)
            rows = score(self.judge, scenes, pictures)
            figures = {k: mean(rows, k) for k in ("present", "place", "relation")} | look_of(pictures)
            result[f"{guidance:g}"] = figures
            print("guidance", guidance, figures, flush=True)
            self.sheet(pictures[:20], texts[:20], f"guidance-{guidance:g}")
        return result


def cost(folder: str, video: str, threads: int) -> dict[str, Any]:
    """Measure text to video on the CPU in this process, which must be a fresh one.

    Returns:
        threads; load, image, text_to_video: seconds to load both models, of a picture, and of a picture and its video (the
        faster of two); rss: peak memory in GiB; conv: GFLOP/s of a convolution.
    """
    torch.set_num_threads(threads)
    from svd_lab.pipelines import load_video_pipeline

    begun = time.perf_counter()
    pipe, video_pipe = load(folder, "cpu"), load_video_pipeline(video, device="cpu", dtype=torch.float32)
    video_pipe.set_progress_bar_config(disable=True)
    loaded, image, whole = time.perf_counter() - begun, [], []
    for seed in range(2):
        generator, start = torch.manual_seed(seed), time.perf_counter()
        picture = pipe(CLASS_PROMPTS[0], guidance_scale=7.5, generator=generator).images[0]
        image.append(time.perf_counter() - start)
        video_pipe(picture, height=picture.height, width=picture.width, decode_chunk_size=2, generator=generator,
                   num_frames=12, num_inference_steps=10)  # fmt: skip
        whole.append(time.perf_counter() - start)
    seconds = dict(load=loaded, image=min(image), text_to_video=min(whole))
    return dict(threads=threads) | seconds | dict(rss=peak_rss(), conv=conv_rate())


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", default=str(text_mini_folder()), help="folder of the text mini (the shipped one)")
    add("--judge", default="judge.pt", help="checkpoint of the judge (judge.pt)")
    add("--json", type=Path, help="write every figure here")
    add("--sheets", type=Path, help="write contact sheets into this folder")
    add("--single", type=int, default=484, help="prompts of one thing in each language (484: each thing twice)")
    add("--pairs", type=int, default=96, help="prompts of each relation in each language (96)")
    add("--sweep", type=int, default=16, help="prompts of each relation for every guidance (16)")
    add("--places", type=int, default=72, help="prompts of a place alone (72: each in both languages)")
    add("--class-seeds", type=int, default=8, help="seeds for each prompt of the lessons (8)")
    add("--truth", type=int, default=2048, help="rendered stills to measure the judge on (2048)")
    add("--seed", type=int, default=1, help="of prompts and noise (1)")
    add("--steps", type=int, default=50, help="of denoising (50)")
    add("--batch", type=int, default=0, help="pictures at a time (64 on a GPU, 1 on a CPU)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu (cuda if there is one)")
    add("--quick", action="store_true", help="guidance 7.5 only")
    add("--cost", action="store_true", help="also seconds and memory on the CPU")
    add("--video", default="mini", help="video model for --cost (mini)")
    add("--threads", type=int, default=2, help="of the CPU for --cost (2)")
    add("--cost-of", help=argparse.SUPPRESS)
    return Options(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Parse, measure, print and write; returns what the JSON file holds."""
    options, begun = parse(arguments), time.time()
    if options.cost_of:  # the process that --cost starts
        result = cost(options.cost_of, options.video, options.threads)
        print(RESULT + json.dumps(result), flush=True)
        return result
    for folder in (options.sheets, options.json and options.json.parent):
        if folder:  # before minutes of work, not after
            folder.mkdir(parents=True, exist_ok=True)
    try:
        pipe, judge = load(options.folder, options.device), load_judge(options.judge, options.device)
    except (OSError, ValueError) as error:
        sys.exit(f"--folder {options.folder} or --judge {options.judge}: {error}")
    options = replace(options, batch=options.batch or (64 if options.device.startswith("cuda") else 1))
    result = Evaluation(pipe, judge, options).run()
    if options.cost:
        module, of = "svd_lab.training.measure.evaluate_text", ["--cost-of", options.folder, "--video", options.video]
        result["cost"] = run_module(module, of, options.threads)
    versions = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers")}
    result["about"] = dict(folder=str(options.folder), seed=options.seed, steps=options.steps, single=options.single,
                           pairs=options.pairs, device=options.device, versions=versions,
                           seconds=round(time.time() - begun))  # fmt: skip
    print(markdown(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    main()
