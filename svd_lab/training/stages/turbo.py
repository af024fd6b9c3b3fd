"""Stage `turbo`: a low-rank delta for the UNet that makes 4 steps without guidance as good as 10 with it.

    python -m svd_lab.training.train turbo --weights DIR --seconds 200 --state STATE --out OUT      # torchrun: on several GPUs
    python -m svd_lab.training.train turbo --weights DIR --resume STATE ...                         # another run
    python -m svd_lab.training.train turbo --weights DIR --file OUT/turbo.safetensors ...           # if only the file is left
    python -m svd_lab.training.measure.compare_turbo --folder DIR --turbo OUT/turbo.safetensors

Teacher: the mini in DIR as the class calls it, 10 steps, guidance 1 to 3 linear over the frames. Student: the same weights plus
the delta (svd_lab.models.turbo), 4 steps of the same Euler solver, no guidance. Both start from the same noise. Sampling is an
ODE, so the teacher's clip is a function of picture and noise, and the student is distilled to that function end to end: gradients
run back through all 4 steps. For four short steps of a small UNet that is affordable, nothing else is as direct (progressive
distillation, arXiv 2202.00512, needs a stage for every halving; consistency training, arXiv 2303.01469, a target that itself still
learns), and what the student is trained to do is exactly what the pipeline will do.

The loss is pseudo-Huber in every cell, sqrt(mean over channels of e^2 + c^2) [as arXiv 2310.14189]: where a 4-step student cannot
follow the teacher, a squared error would make it draw the mean of several clips, a blur. `--truth-weight` mixes in the distance to
the true clip, which the training world knows: guidance also overshoots. Clips are new ones of VariedWorld. The image encoder is
always sure of known things, so a student of known things alone never sees the teacher's clips of what the encoder is unsure of:
for a share `--weaker-share` of them `--weaker-encoder`, an earlier checkpoint, embeds the picture.
"""

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from svd_lab.models import turbo
from svd_lab.training.loop.checkpoints import full, load_parts
from svd_lab.training.loop.clock import Clock, rate_factor
from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.latent_bank import (
    LatentBank,
    check_weaker_encoder,
    embed,
    load_encoder,
    load_vae,
    mix_embeddings,
)
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.options import RunOptions, check_shares, option
from svd_lab.training.loop.process import Process, finish, print_peak_memory, start
from svd_lab.training.loop.sampling import distance, levels, rollout
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import clip_of, make_unet
from svd_lab.training.stages.distillation import Pairs, Student, losses
from svd_lab.training.turbo_file import save, zero_delta
from svd_lab.training.world.varied_world import VariedWorld
from svd_lab.world.clips import FRAMES

FEWER = 10  # frames of the class's call; every fourth step and clip has so many, the others FRAMES
GUIDANCE = (1.0, 3.0)  # of the teacher
SIGMA_MIN = 0.3  # where the last of the 4 steps starts; undistilled, 0.02 to 1 made no difference (docs/mini.md)


@dataclass(frozen=True, kw_only=True)
class TurboOptions(RunOptions):
    """Options of stage `turbo`."""

    weights: str = option("svd_lab/mini/weights", "checkpoint or folder of the teacher")
    vae: str = option("", "checkpoint or folder with the VAE; default: that of --weights")
    file: str = option("", "turbo file to go on from, which decides --rank and --sigma-min")
    rank: int = option(5, "of the delta's matrices")
    sigma_min: float = option(SIGMA_MIN, "noise level that the last of the 4 steps starts from")
    batch: int = option(32, "clips a step")
    part: int = option(64, "clips drawn and sampled by the teacher together")
    bank: int = option(6000, "the teacher's clips to draw from")
    prefill: int = option(1024, "the teacher's clips before the first step")
    every: int = option(16, "steps between two batches of new clips")
    designs: str = option("", "folder of assets.build_designs with other drawings of the things")
    plain: float = option(0.0, "share of clips on plain backgrounds")
    nothing: float = option(0.08, "share of clips without a known thing")
    two: float = option(0.2, "share of clips with two things")
    weaker_share: float = option(0.0, "share of clips that --weaker-encoder embeds")
    weaker_encoder: str = option("", "checkpoint with an earlier, less able image encoder")
    mask_weight: float = option(3.0, "additional weight of the loss where things are")
    truth_weight: float = option(0.5, "share of the loss that is distance to the true clip, not to the teacher's")
    early_weight: float = option(0.1, "weight of the predictions before the last step")
    rate: float = option(1e-3, "peak learning rate")
    ema: float = option(0.99, "decay of the averaged delta")
    warmup: int = option(20, "steps over which the learning rate rises")
    decay: float = option(0.7, "share of the schedule over which the learning rate falls")
    show: int = option(100, "steps between two measurements on new clips")

    def __post_init__(self) -> None:
        if self.resume and self.file:
            raise ValueError("--resume goes on with everything, --file from a finished file: give one of them")
        check_shares(self, "plain", "nothing", "two", "truth_weight")
        check_weaker_encoder(self.weaker_share, self.weaker_encoder)


class TurboTraining:
    """Teacher, student and their pairs, and the steps of `learn`."""

    def __init__(self, options: TurboOptions, process: Process):
        self.process, device, dtype = process, process.device, process.dtype
        self.weaker = load_encoder(options.weaker_encoder, device, dtype)
        saved = load_parts(options.weights)
        self.plain = make_unet()
        self.plain.load_state_dict(full(saved["unet"]))
        self.encoder = clip_of(saved["clip"]).to(device, dtype).eval().requires_grad_(False)
        vae = rewrite(load_vae(options.vae or options.weights, device).to(dtype))
        trained = None
        if options.file:
            about, trained = turbo.read(self.plain, options.file)
            options = replace(options, rank=int(about["rank"]), sigma_min=float(about["sigma_min"]))
        self.options = options
        self._make_student(trained)
        self.optimiser = Optimiser([("delta", self.delta)], adam=options.rate, ema=options.ema)
        if options.resume:
            self.optimiser.load(torch.load(options.resume, map_location=device))
        torch.manual_seed(9000 + 100 * options.seed + process.rank)
        self.teacher_sigmas, self.sigmas = levels(10), levels(turbo.STEPS, options.sigma_min)
        self.step = Graphed(self.forward_backward, self.optimiser, process.gpu)
        self._make_pairs(vae)

    def _make_student(self, trained: torch.Tensor | None) -> None:
        """Make the student's UNet, which is the teacher's as well, and its delta."""
        device, dtype = self.process.device, self.process.dtype
        self.unet = rewrite(make_unet()).eval().requires_grad_(False)
        self.unet.load_state_dict(self.plain.state_dict())
        base = {name: p.detach().clone().to(device) for name, p in self.unet.named_parameters()}
        self.student = Student(self.unet.to(device, dtype), base, self.options.rank)
        self.undistilled = zero_delta(self.student.slots).to(device)
        self.delta = nn.Parameter(self.undistilled.clone() if trained is None else trained.float().to(device))

    def _make_pairs(self, vae: nn.Module) -> None:
        """Make the empty pools of pairs, by number of frames."""
        options, process = self.options, self.process
        seed, part = 6000 + 100 * options.seed + process.rank, min(options.part, options.prefill)
        world = VariedWorld(process.device, seed=seed, designs=options.designs, plain=options.plain)
        clips = LatentBank(vae, world, part, part, nothing=options.nothing, two=options.two)
        teach = Graphed(self.teach, self.optimiser, process.gpu)
        sizes = {FRAMES: options.bank, FEWER: options.bank // 3}
        self.pairs = {frames: Pairs(clips, self.encode, teach, frames, size) for frames, size in sizes.items()}

    @torch.no_grad()
    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        """Embed pictures, some of them with the weaker encoder."""
        embedding = embed(self.encoder, picture)
        weaker = torch.rand(len(picture), device=picture.device) < self.options.weaker_share
        return mix_embeddings(self.weaker, picture, embedding, weaker)

    @torch.no_grad()
    def teach(
        self, noise: torch.Tensor, cond: torch.Tensor, embedding: torch.Tensor, ids: torch.Tensor
    ) -> torch.Tensor:
        """Sample as the class does."""
        return rollout(self.unet, noise, cond, embedding, ids, self.teacher_sigmas, GUIDANCE)[-1]

    def forward_backward(self, *batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the gradients of a step on a draw of Pairs; returns mean distances from teacher and truth."""
        options = self.options
        self.student.use(self.delta)
        near, true, way = losses(self.student, self.sigmas, options.mask_weight, *batch)
        share = options.truth_weight
        ((1 - share) * near + share * true + options.early_weight * way).mean().backward()
        return near.detach().mean(), true.detach().mean()

    @torch.no_grad()
    def unseen(self, delta: torch.Tensor) -> dict[str, float]:
        """Measure distances on clips that no step has seen, also of the undistilled student, and of the teacher."""
        options, batch = self.options, [x[: self.options.batch] for x in self.pairs[FRAMES].new()]
        batch, out = [x.float() if x.ndim > 2 else x for x in batch], {}
        for who, flat in (("student", delta), ("undistilled", self.undistilled)):
            self.student.use(flat)
            near, true, _ = losses(self.student, self.sigmas, options.mask_weight, *batch)
            for what, d in (("teacher", near), ("truth", true)):
                out[f"{who} to {what}"] = round(d.mean().item(), 4)
        *_, mask, target, truth = batch
        return out | {"teacher to truth": round(distance(target, truth, mask, options.mask_weight).mean().item(), 4)}

    def prefill(self, began: float) -> None:
        """Fill the pools, three clips of FRAMES to one of FEWER frames. began: when the set-up began, for the log."""
        long, short = self.pairs[FRAMES], self.pairs[FEWER]
        while long.n + short.n < self.options.prefill or not (long.n and short.n):
            (short if short.n * 3 < long.n else long).fill()
        if self.process.main:
            print(
                f"turbo rank {self.options.rank} numbers {len(self.delta)} pairs {long.n + short.n} "
                f"set-up {time.time() - began:.0f} s",
                flush=True,
            )

    def learn(self) -> None:
        """Train until the clock says so."""
        options, optimiser, fresh = self.options, self.optimiser, self.optimiser.n
        sums, clock = torch.zeros(2, device=self.process.device), Clock(options, self.process.device)
        while (progress := clock.tick()) is not None:
            if clock.n % options.every == 0:
                self.pairs[FEWER if clock.n // options.every % 4 == 0 else FRAMES].fill()
            sums += torch.stack(self.step(*self.pairs[FEWER if clock.n % 4 == 0 else FRAMES].draw(options.batch)))
            rate = rate_factor(optimiser.n - fresh, progress, warmup=options.warmup, decay=options.decay, floor=0.003)
            norm = optimiser.step(rate)
            measured = clock.n % options.show == 0
            if self.process.main and (clock.n in (1, 2, 5, 20) or measured or clock.last):
                near, true = (sums / (clock.n - clock.steps_marked)).tolist()
                print(
                    f"turbo {optimiser.n} t {clock.elapsed:.0f}s {clock.pace():.0f} ms prog {progress:.3f} rate {rate:.3f} "
                    f"norm {norm.item():.2f} | to teacher {near:.4f} to truth {true:.4f}",
                    *([f"| unseen {self.unseen(optimiser.average)}"] if measured else []),
                    flush=True,
                )
                clock.mark()
                sums.zero_()

    def save(self) -> dict[str, Any]:
        """Write --state, OUT/turbo.safetensors and OUT/turbo.json; returns the content of the last."""
        options, optimiser, out = self.options, self.optimiser, Path(self.options.out)
        torch.save(optimiser.state(), options.state)
        size = save(out / "turbo.safetensors", optimiser.average, self.plain, options.rank, options.sigma_min)
        unseen = self.unseen(optimiser.average)
        about = dict(steps=optimiser.n, bytes=size, sigmas=self.sigmas, unseen=unseen, settings=asdict(options))
        (out / "turbo.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        print(f"{out / 'turbo.safetensors'}: {size} bytes, unseen {unseen}", flush=True)
        return about


def train(options: TurboOptions) -> dict[str, Any]:
    """Distil the video mini to 4 steps; writes --state, OUT/turbo.safetensors and OUT/turbo.json (returned by rank 0)."""
    process, began = start(), time.time()
    training = TurboTraining(options, process)
    training.prefill(began)
    training.learn()
    about = {}
    if process.main:
        print_peak_memory()
        about = training.save()
    finish()
    return about
