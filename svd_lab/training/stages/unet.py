"""Stage `unet`: the UNet and the CLIP image encoder together, on a bank of latents that is refreshed all the time.

The conditioning is exactly StableVideoDiffusionPipeline's: picture latents = mode of encode(picture + noise_aug * randn), NOT
scaled, repeated over frames and joined on the channels; video latents x scaling_factor; input / sqrt(sigma^2 + 1); timestep
ln(sigma) / 4; v-prediction; added_time_ids = [fps - 1, motion_bucket_id, noise_aug]; unconditional = zero CLIP embedding and zero
picture latents. [diffusers StableVideoDiffusionPipeline; sigma and preconditioning: EDM, arXiv 2206.00364]

A small head (dropped afterwards) predicts from the CLIP embedding what moves and which way it faces. With `--freeze` the encoder
stays as its own stage left it (image_encoder.py), and the UNet learns to live with its embeddings. A UNet whose encoder is always
right about known things stops looking at the picture, and follows the encoder where it is wrong or unsure: with held-out things. So
with `--weaker-share p` a share p of the clips is embedded by `--weaker-encoder`, an earlier checkpoint with the same embedding
space: what that one is unsure of, the UNet has to see for itself. `--guided-weight w` adds w times the loss of guided predictions
on the UNet's own sampling (self_sampling.py).

New clips come from `--workers` other processes, which draw them on the CPU. The GPU only encodes them, 64 at a time, whenever so
many are ready and `--every` steps have passed since the last ones.
"""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from svd_lab.training.loop.background import BackgroundBatches
from svd_lab.training.loop.checkpoints import half, load_parts, save_parts
from svd_lab.training.loop.clock import Clock, SigmaBuckets, rate_factor, unnamed
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
from svd_lab.training.loop.options import StageOptions, check_shares, option
from svd_lab.training.loop.process import Process, finish, print_peak_memory, start
from svd_lab.training.loop.render_workers import render_workers
from svd_lab.training.loop.sampling import random_sigmas
from svd_lab.training.loop.self_sampling import SelfSampledStates, guided_distance
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import clip_of, make_clip, make_unet, widened, zero_residuals
from svd_lab.training.stages.unet_losses import drop_masks, head_loss, unseen_error, v_loss
from svd_lab.training.world.varied_world import VariedWorld
from svd_lab.world.clips import FRAMES
from svd_lab.world.motion import KINDS
from svd_lab.world.scenes import World

ENCODED_TOGETHER = 64  # clips
FEWER = 10  # frames of every fifth step, as the class's call has; the others have FRAMES
BUCKETS = (0.3, 1.0, 3.0, 10.0, 40.0)  # noise levels, of the log
PROFILED = range(30, 33)  # steps


@dataclass(frozen=True, kw_only=True)
class UNetOptions(StageOptions):
    """Options of stage `unet`."""

    vae: str = option("vae.pt", "checkpoint or folder with the VAE; none: an untrained one, for dry runs")
    weights: str = option("", "checkpoint or folder to start from, with fresh momenta")
    freeze: bool = option(False, "leave the image encoder as it is in --weights")
    batch: int = option(48, "clips a step")
    bank: int = option(20000, "encoded clips to draw from")
    prefill: int = option(4096, "encoded clips before the first step")
    every: int = option(24, "steps between two batches of new clips")
    workers: int = option(-1, "processes that draw clips; -1: one for each spare core, none on a CPU; 0: none")
    designs: str = option("", "folder of assets.build_designs with other drawings of the things")
    plain: float = option(0.0, "share of clips on plain backgrounds")
    scale: int = option(1, "2: clips of 448 x 256 pixels, for a VAE with cells of 16 x 16 pixels")
    nothing: float = option(0.12, "share of clips without a known thing")
    two: float = option(0.18, "share of clips with two things")
    sigma_mean: float = option(1.5, "mean of ln(sigma)")
    sigma_max: float = option(700.0, "highest noise level")
    uniform: float = option(0.35, "share of noise levels drawn uniformly in ln(sigma), up to sigma-max")
    mask_weight: float = option(3.0, "additional weight of the loss where things are")
    head_weight: float = option(0.05, "weight of the head's loss")
    drop_embedding: float = option(0.04, "share of clips without the CLIP embedding, but with picture latents")
    weaker_share: float = option(0.0, "share of clips that --weaker-encoder embeds")
    weaker_encoder: str = option("", "checkpoint with an earlier, less able image encoder")
    guided_weight: float = option(0.0, "weight of the loss on the UNet's own guided sampling; 0: without")
    guided_batch: int = option(24, "states of its own sampling a step")
    sampled_clips: int = option(32, "clips it samples after each batch of new ones, five states each")
    sampled_states: int = option(4800, "newest states to draw from")
    ema: float = option(0.9993, "decay of the averaged weights")
    warmup: int = option(200, "steps over which the learning rate rises")
    decay: float = option(0.9, "share of the schedule over which the learning rate falls")
    profile: bool = option(False, "print a profile of steps 30 to 32")

    def __post_init__(self) -> None:
        if self.freeze and not self.weights:
            raise ValueError(
                "--freeze keeps the image encoder of --weights, which is missing: give --weights, or leave it out"
            )
        check_shares(self, "plain", "nothing", "two", "drop_embedding")
        check_weaker_encoder(self.weaker_share, self.weaker_encoder)


class UNetTraining:
    """The models of this stage, their optimiser, and the steps of its `learn`.

    Args:
        options: Of the stage.
        process: This one.
        world: On the process's device; draws the clips that `workers` don't.
        workers: Draw clips elsewhere.
    """

    def __init__(self, options: UNetOptions, process: Process, world: World, workers: BackgroundBatches | None):
        self.options, self.process, self.workers = options, process, workers
        device, dtype = process.device, process.dtype
        self.weaker = load_encoder(options.weaker_encoder, device, dtype)
        torch.manual_seed(0)
        vae = rewrite(load_vae(options.vae, device).to(dtype))
        self.saved = load_parts(options.weights) if options.weights else {}
        self._make_models(device, dtype, vae.config.latent_channels)
        named = [(f"{k}.{n}", p) for k in ("unet", "clip", "head") for n, p in getattr(self, k).named_parameters()]
        self.optimiser = Optimiser(named, muon=options.muon, ema=options.ema)
        if options.resume:
            self.optimiser.load(torch.load(options.resume, map_location=device))
        torch.manual_seed(7000 + 100 * options.seed + process.rank)
        batch = min(ENCODED_TOGETHER, options.prefill)
        self.bank = LatentBank(vae, world, options.bank, batch, nothing=options.nothing, two=options.two)
        self.sampled = min(options.sampled_clips, batch)
        self.states = None
        if options.guided_weight:
            self.states = SelfSampledStates(
                self.unet, self.optimiser, options.sampled_states, self.sampled, process.gpu
            )
        self.step = Graphed(self.forward_backward, self.optimiser, process.gpu)

    def _make_models(self, device: str, dtype: torch.dtype, latent: int) -> None:
        """Make UNet, image encoder and head, from averaged weights where there are some (an exported folder has no head)."""
        saved = self.saved
        self.unet = rewrite(zero_residuals(make_unet(latent=latent)).to(device, dtype)).train()
        clip = (clip_of(saved["clip"]) if saved else make_clip()).to(device, dtype).train()
        self.clip = clip.requires_grad_(not self.options.freeze)
        self.head = nn.Linear(clip.config.projection_dim, len(KINDS) + 1).to(device, dtype)
        if "unet" in saved:
            self.unet.load_state_dict(widened(saved["unet"], latent))
        if "head" in saved:
            self.head.load_state_dict(saved["head"])

    def fill_bank(self, began: float) -> None:
        """Fill the bank; idle, this process draws as well. began: when the set-up began, for the log."""
        bank, theirs = self.bank, 0
        while bank.n < self.options.prefill:
            made = self.workers.ready() if self.workers else None
            bank.put(made or bank.render())
            theirs += bank.batch if made else 0
        if self.process.main:
            spread = bank.parts[0][: bank.n].float().std().item()
            workers = self.workers.workers if self.workers else 0
            print(
                f"unet bank {bank.n}, {theirs} of them from {workers} workers, latent std {spread:.3f}, "
                f"set-up {time.time() - began:.0f} s",
                flush=True,
            )

    def refresh(self) -> bool:
        """Put new clips into the bank, if some are ready, and sample from them; returns whether it did."""
        made = self.workers.ready() if self.workers else self.bank.render()
        if made:
            self.bank.put(made)
            self.sample_newest()
        return bool(made)

    @torch.no_grad()
    def sample_newest(self) -> None:
        """Add the UNet's own sampling of the newest clips to the states, if there are any."""
        if self.states is None:
            return
        x0, cond, picture, ids, mask, _ = self.bank.newest(self.sampled)
        weaker = torch.rand(self.sampled, device=self.process.device) < self.options.weaker_share
        embedding = mix_embeddings(self.weaker, picture, embed(self.clip, picture), weaker)
        self.states.add_clips(x0, cond.float(), embedding, ids, mask)

    def draw(self, step: int, progress: float) -> tuple[torch.Tensor, ...]:
        """Draw the arguments of `forward_backward`."""
        options, device = self.options, self.process.device
        n, frames = options.batch, FEWER if step % 5 == 0 else FRAMES
        late = max(0.0, (progress - 0.8) / 0.2)  # details last
        mean, uniform = options.sigma_mean - 0.8 * late, options.uniform * (1 - 0.3 * late)
        sigma = random_sigmas(n, device, mean=mean, spread=1.6, uniform=uniform, low=0.01, high=options.sigma_max)
        keep_picture, keep_embedding = drop_masks(n, device, options.drop_embedding)
        weaker = torch.rand(n, device=device) < options.weaker_share
        clips = self.bank.draw(n, frames)
        states = self.states.draw(options.guided_batch) if self.states else []
        return *clips, sigma, torch.randn_like(clips[0]), keep_picture, keep_embedding, weaker, *states

    def forward_backward(
        self,
        x0: torch.Tensor,
        cond: torch.Tensor,
        picture: torch.Tensor,
        ids: torch.Tensor,
        mask: torch.Tensor,
        what: torch.Tensor,
        sigma: torch.Tensor,
        noise: torch.Tensor,
        keep_picture: torch.Tensor,
        keep_embedding: torch.Tensor,
        weaker: torch.Tensor,
        *states: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Compute all gradients of a step.

        Args:
            x0 .. what: A draw of the bank.
            sigma, noise: As for `v_loss`.
            keep_picture, keep_embedding: `drop_masks`.
            weaker: Which clips the weaker encoder embeds.
            states: A draw of the states, if any.

        Returns:
            By clip the loss and the error of x0 where things are; of the head the share of known motions and the loss of facing;
            the loss of guided predictions.
        """
        options = self.options
        embedding = embed(self.clip, picture)
        predicted, right, facing = head_loss(self.head, embedding, what)
        cond = cond.float() * keep_picture[:, None, None, None]
        embedding = mix_embeddings(self.weaker, picture, embedding, weaker)
        embedding = embedding * keep_embedding[:, None].to(embedding.dtype)
        loss, each, inside = v_loss(
            self.unet, x0, cond, embedding, ids, mask.float(), sigma, noise, options.mask_weight
        )
        (loss + options.head_weight * predicted).backward()
        guided = torch.zeros_like(loss)
        if states:
            guided = guided_distance(self.unet, options.mask_weight, *states).mean()
            (options.guided_weight * guided).backward()
        return each, inside, right, facing, guided.detach()

    def learn(self) -> None:
        """Train until the clock says so."""
        options, optimiser, fresh = self.options, self.optimiser, self.optimiser.n
        profiler = torch.profiler.profile() if options.profile and self.process.main else None
        self.sample_newest()
        buckets = SigmaBuckets(BUCKETS, 2, self.process.device)
        clock, due, self.logged = Clock(options, self.process.device), options.every, self.bank.seen
        while (progress := clock.tick()) is not None:
            if profiler:
                profile_step(profiler, clock.n, self.process.gpu)
            if clock.n >= due and self.refresh():
                due = clock.n + options.every
            batch = self.draw(clock.n, progress)
            each, inside, *shown = self.step(*batch)
            rate = rate_factor(optimiser.n - fresh, progress, warmup=options.warmup, decay=options.decay, floor=0.003)
            norm = optimiser.step(rate)
            sigma, keep_picture = batch[6], batch[8]
            buckets.add(sigma, [(each, keep_picture), (inside, keep_picture)])
            if self.process.main and (clock.n in (1, 2, 5, 20, 100) or clock.last or clock.n % 500 == 0):
                self.log(clock, f"rate {rate:.3f} norm {norm.item():.2f}", shown, buckets)

    def log(self, clock: Clock, rate: str, shown: list[torch.Tensor], buckets: SigmaBuckets) -> None:
        """Print the state of training; at times also the error on new clips."""
        right, facing, guided = (value.item() for value in shown)
        v, x0 = buckets.take()
        ending = f" guided {guided:.3f}" if self.states else ""
        unseen, pace, elapsed = "", clock.pace(), clock.elapsed
        if clock.n % 500 == 0 or clock.last:
            unseen = f" unseen {unseen_error(self.unet, self.clip, self.bank, self.options.batch):.3f}"
        print(
            f"unet {self.optimiser.n} t {elapsed:.0f}s {pace:.1f} ms prog {clock.progress:.3f} {rate} bank {self.bank.n} "
            f"new {self.bank.seen - self.logged} kind {right:.2f} facing {facing:.2f}{ending} | v {buckets.named(v)} | "
            f"x0 inside {unnamed(x0)}{unseen}",
            flush=True,
        )
        self.logged = self.bank.seen
        clock.mark()

    def save(self) -> None:
        """Write --state, and the averaged weights as OUT/unet.pt."""
        torch.save(self.optimiser.state(), self.options.state)
        self.optimiser.use_average()
        frozen = self.options.freeze and self.saved
        encoder = self.saved["clip"] if frozen else half(self.clip)  # not rounded to bfloat16 for nothing
        made: dict[str, Any] = dict(unet=half(self.unet), clip=encoder, head=half(self.head), steps=self.optimiser.n)
        save_parts(made, f"{self.options.out}/unet.pt")


def profile_step(profiler: torch.profiler.profile, step: int, gpu: bool) -> None:
    """Profile the steps PROFILED, and print the kernels that take longest."""
    if step == PROFILED.start:
        profiler.start()
    if step == PROFILED.stop:
        profiler.stop()
        order = "self_cuda_time_total" if gpu else "self_cpu_time_total"
        print(profiler.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=70), flush=True)


def train(options: UNetOptions) -> None:
    """Train the UNet and the image encoder of the video mini; writes OUT/unet.pt and --state."""
    process, began = start(), time.time()
    world = VariedWorld(designs=options.designs, plain=options.plain, scale=options.scale)
    batch = min(ENCODED_TOGETHER, options.prefill)
    drawn = dict(nothing=options.nothing, two=options.two)
    # The workers come first: while they start, the models are loaded.
    with render_workers(world, options.workers, batch, options.seed, process, **drawn) or nullcontext() as workers:
        world = world.on(process.device, 5000 + 100 * options.seed + process.rank)
        training = UNetTraining(options, process, world, workers)
        training.fill_bank(began)
        training.learn()
        if process.main:
            print_peak_memory()
            training.save()
    finish()
