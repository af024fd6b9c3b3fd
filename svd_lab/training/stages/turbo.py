"""Stage three of training: turbo, a small difference for the UNet that makes 4 steps without guidance as good as 10 with it.

    python -m svd_lab.training.stages.turbo --weights DIR --seconds 200 --state /tmp/turbo --out OUT      # torchrun: on several GPUs
    python -m svd_lab.training.stages.turbo --weights DIR --resume /tmp/turbo ...                         # another stretch
    python -m svd_lab.training.stages.turbo --weights DIR --file OUT/turbo.safetensors ...                # if only the file is left
    python -m svd_lab.training.measure.compare_turbo --folder DIR --turbo OUT/turbo.safetensors

Teacher: the mini in DIR as the class calls it, 10 steps, guidance 1 to 3 linear over the frames. Student: the same weights plus
the difference (svd_lab.models.turbo), 4 steps of the same Euler solver, no guidance. Both start from the same noise. Sampling is an ODE,
so the teacher's clip is a function of picture and noise, and the student learns that function end to end: gradients run back
through all 4 steps. For four short steps of a small UNet that is affordable, nothing else is as direct (progressive distillation,
arXiv 2202.00512, needs a stage for every halving; consistency training, arXiv 2303.01469, a target that itself still learns), and
what the student is trained to do is exactly what the pipeline will do.

The loss is robust in every cell, sqrt(mean over channels of e^2 + c^2) [pseudo-Huber, as arXiv 2310.14189]: where a 4-step student
cannot follow the teacher, a squared error would make it draw the mean of several clips, a blur. `--truth` mixes in the distance
to the true clip, which the training world knows: guidance also overshoots. Clips are new ones of VariedWorld (`--designs`,
`--plain`: as for the UNet). Of known things the image encoder is always sure, and the teacher's clips of what it is unsure of are
what a student of known things alone never sees: so for a share `--doubt` of them `--doubter`, an earlier encoder, answers.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call

from svd_lab.models import turbo
from svd_lab.training.loop.latent_bank import Bank, doubts, embed, load_doubter, load_vae
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.sampling import distance, levels, rollout
from svd_lab.training.loop.stretch import Clock, Graphed, Ring, finish, load_parts, start
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import clip_of, make_unet
from svd_lab.training.world.varied_world import VariedWorld
from svd_lab.world.scenes import FRAMES

FEWER = 10  # frames of the class's call; every fourth step and clip has so many, the others FRAMES
SIGMA_MIN = 0.3  # where the last of the 4 steps starts; undistilled, 0.02 to 1 made no difference (docs/mini.md)


class Student:
    """A frozen, rewritten UNet that is called as it is, but with a flat difference on top of its weights.

    `use(flat)` makes the sums, for all calls that follow; base: the UNet's own weights in float32.
    """

    def __init__(self, unet, base: dict[str, torch.Tensor], rank: int):
        self.unet, self.base, self.slots = unet, base, turbo.slots(unet, rank)
        self.weights: dict[str, torch.Tensor] = {}

    def use(self, flat: torch.Tensor) -> None:
        dtype, parts = next(self.unet.parameters()).dtype, turbo.differences(flat, self.slots)
        self.weights = {name: (self.base[name] + part).to(dtype) for name, part in parts.items()}

    def __call__(self, *args, **kwargs):
        return functional_call(self.unet, self.weights, args, kwargs)


def losses(student, sigmas: list[float], inside: float, noise, cond, embedding, ids, mask, target, truth):
    """[n] distances of the student's clip to the teacher's `target`, and to `truth`; and of its guesses on the way to `target`."""
    *early, last = rollout(student, noise, cond, embedding, ids, sigmas)
    way = torch.stack([distance(x, target, mask, inside) for x in early]).mean(0)
    return distance(last, target, mask, inside), distance(last, truth, mask, inside), way


class Pairs(Ring):
    """What the student learns from, for one number of frames: noise, picture latents, embedding, the three numbers, where things
    are, the teacher's latents, the true ones. `clips` (a Bank of one batch) draws new ones; `ask` gives the embeddings of pictures;
    `teach` is rollout with the teacher."""

    def __init__(self, clips: Bank, ask, teach, frames: int, size: int):
        super().__init__(size, clips.batch)
        self.clips, self.ask, self.teach, self.frames = clips, ask, teach, frames

    @torch.no_grad()
    def new(self) -> list[torch.Tensor]:
        """A batch that no step has seen."""
        self.clips.fill()
        truth, cond, picture, ids, mask, _ = self.clips.newest(self.clips.batch)
        truth = truth[:, : self.frames]
        embedding = self.ask(picture)
        noise = torch.randn_like(truth)
        # cloned: a CUDA graph gives the same memory again next time
        return [noise, cond, embedding, ids, mask, self.teach(noise, cond, embedding, ids).clone(), truth]

    def fill(self) -> None:
        self.add(*(x.half() if x.dtype == torch.float32 and x.ndim > 2 else x for x in self.new()))

    def draw(self, n: int) -> list[torch.Tensor]:
        return [p.float() if p.ndim > 2 else p for p in self.any(n)]


def train(args) -> dict:
    """One stretch; rank 0 writes --state, OUT/turbo.safetensors and OUT/turbo.json, whose content is returned."""
    if args.resume and args.file:
        raise SystemExit("--resume goes on with everything, --file from a finished file: give one of them")
    rank, _, device = start()
    gpu, began = device != "cpu", time.time()
    dtype = torch.bfloat16 if gpu else torch.float32
    doubter, saved = load_doubter(args.doubt, args.doubter, device, dtype), load_parts(args.weights)
    plain = make_unet()
    plain.load_state_dict({k: v.float() for k, v in saved["unet"].items()})
    clip = clip_of(saved["clip"]).to(device, dtype).eval().requires_grad_(False)
    vae = rewrite(load_vae(args.vae or args.weights, device).to(dtype))
    unet = rewrite(make_unet()).eval().requires_grad_(False)
    unet.load_state_dict(plain.state_dict())
    base = {name: p.detach().clone().to(device) for name, p in unet.named_parameters()}
    trained = None
    if args.file:  # which decides these two
        of_file, trained = turbo.read(plain, args.file)
        args.rank, args.sigma_min = int(of_file["rank"]), float(of_file["sigma_min"])
    student = Student(unet.to(device, dtype), base, args.rank)
    begin = turbo.nothing(student.slots).to(device)
    flat = nn.Parameter(begin.clone() if trained is None else trained.float().to(device))
    optimiser = Optimiser([("difference", flat)], adam=args.rate, ema=args.ema)
    if args.resume:
        optimiser.load(torch.load(args.resume, map_location=device))
    fresh = optimiser.n
    torch.manual_seed(9000 + 100 * args.seed + rank)
    ten, four = levels(10), levels(turbo.STEPS, args.sigma_min)

    @torch.no_grad()
    def ask(picture):
        return doubts(doubter, picture, embed(clip, picture), torch.rand(len(picture), device=device) < args.doubt)

    @torch.no_grad()
    def teach(noise, cond, embedding, ids):
        return rollout(unet, noise, cond, embedding, ids, ten, (1.0, 3.0))[-1]

    def work(*batch):
        student.use(flat)
        near, true, way = losses(student, four, args.inside, *batch)
        ((1 - args.truth) * near + args.truth * true + args.early * way).mean().backward()
        return near.detach().mean(), true.detach().mean()

    @torch.no_grad()
    def unseen(values: torch.Tensor) -> dict[str, float]:
        """Distances on clips that no step has seen, also of the student as it began, and of the teacher."""
        batch = [x[: args.batch].float() if x.ndim > 2 else x[: args.batch] for x in pairs[FRAMES].new()]
        out = {}
        for who, flat in (("student", values), ("undistilled", begin)):
            student.use(flat)
            out |= {
                f"{who} to {what}": round(d.mean().item(), 4)
                for what, d in zip(("teacher", "truth"), losses(student, four, args.inside, *batch)[:2], strict=True)
            }
        return out | {"teacher to truth": round(distance(*batch[5:], batch[4], args.inside).mean().item(), 4)}

    step, teacher = Graphed(work, optimiser, gpu), Graphed(teach, optimiser, gpu)
    part = min(args.part, args.prefill)
    world = VariedWorld(device, seed=6000 + 100 * args.seed + rank, designs=args.designs, plain=args.plain)
    clips = Bank(vae, world, part, part, nothing=args.nothing, two=args.two)
    pairs = {t: Pairs(clips, ask, teacher, t, args.bank if t == FRAMES else args.bank // 3) for t in (FRAMES, FEWER)}
    while sum(p.n for p in pairs.values()) < args.prefill or not all(p.n for p in pairs.values()):
        pairs[FEWER if pairs[FEWER].n * 3 < pairs[FRAMES].n else FRAMES].fill()
    if rank == 0:
        print(f"turbo rank {args.rank} numbers {len(flat)} pairs {sum(p.n for p in pairs.values())} "
              f"set-up {time.time() - began:.0f} s", flush=True)  # fmt: skip
    clock, last, before = Clock(args.seconds, args.begin, args.end, args.steps, device), time.time(), 0
    sums = torch.zeros(2, device=device)
    while (progress := clock.tick()) is not None:
        if clock.n % args.every == 0:
            pairs[FEWER if clock.n // args.every % 4 == 0 else FRAMES].fill()
        sums += torch.stack(step(*pairs[FEWER if clock.n % 4 == 0 else FRAMES].draw(args.batch)))
        rate = min(1.0, (optimiser.n - fresh + 1) / args.warm) * min(1.0, (1 - progress) / args.decay + 0.003)
        norm = optimiser.step(rate)
        if rank == 0 and (clock.n in (1, 2, 5, 20) or clock.n % args.show == 0 or clock.n == args.steps):
            n, took = clock.n - before, time.time() - last
            near, true = (sums / n).tolist()
            print(
                f"turbo {optimiser.n} t {time.time() - clock.started:.0f}s {took / n * 1e3:.0f} ms prog {progress:.3f} "
                f"rate {rate:.3f} norm {norm.item():.2f} | to teacher {near:.4f} to truth {true:.4f}",
                *([f"| unseen {unseen(optimiser.average)}"] if clock.n % args.show == 0 else []),
                flush=True,
            )
            last, before = time.time(), clock.n
            sums.zero_()
    about = {}
    if rank == 0:
        if gpu:
            print("peak GiB", round(torch.cuda.max_memory_allocated() / 2**30, 1), flush=True)
        torch.save(optimiser.state(), args.state)
        file = Path(args.out) / "turbo.safetensors"
        size = turbo.save(file, optimiser.average, plain, args.rank, args.sigma_min)
        about = dict(steps=optimiser.n, bytes=size, sigmas=four, unseen=unseen(optimiser.average), settings=vars(args))
        (Path(args.out) / "turbo.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        print(f"{file}: {size} bytes, unseen {about['unseen']}", flush=True)
    finish()
    return about


SETTINGS = dict(
    weights="svd_lab/mini/weights", vae="", file="", designs="", plain=0.0, doubt=0.0, doubter="", seconds=60.0, begin=0.0, end=1.0,
    steps=10**9, seed=0, out=".", state="/tmp/turbo", resume="", rank=5, sigma_min=SIGMA_MIN, batch=32, part=64, bank=6000,
    prefill=1024, every=16, rate=1e-3, ema=0.99, warm=20, decay=0.7, inside=3.0, early=0.1, truth=0.5, nothing=0.08, two=0.2,
    show=100,
)  # fmt: skip
SMALL = dict(batch=1, part=1, bank=4, prefill=2, every=10**6, show=10, steps=3, warm=1)  # a dry run on a CPU


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help=f"a dry run on a CPU: {SMALL} where not given")
    for name, default in SETTINGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=None, help=f"({default})")
    args = parser.parse_args(arguments)
    for name, default in (SETTINGS | (SMALL if args.small else {})).items():
        if getattr(args, name) is None:
            setattr(args, name, default)
    return args


if __name__ == "__main__":
    train(parse())
