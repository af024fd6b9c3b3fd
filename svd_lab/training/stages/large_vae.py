"""Stage `large-vae`: a VAE with cells of 16 x 16 pixels, for pictures of 448 x 256: as many cells as the small one has.

Its first 8 channels (with `--latent 8` all of them) are trained to be the small VAE's code of the same picture at half the size
(`--align-weight`), and its inner levels begin with the small one's weights. So a UNet of the small VAE fits as it is, or has only
the other 8 channels, the detail, to learn (video.widened). The rest is like stage `vae`: crops and whole pictures, noise on the
latents, the shift error (here of up to 15 pixels, in the variance of each channel). A share `--without-detail` of the clips is
decoded from the first 8 channels alone, so that what a UNet cannot predict may stay 0. From `--critic-from` of the schedule on the
decoder also follows a critic in pixels (networks/critic.py).

It needs the atlases of `build_things --scale 2`, and trains on one GPU.
"""

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from svd_lab.training.loop.background import BackgroundBatches
from svd_lab.training.loop.checkpoints import half, load_parts, save_parts
from svd_lab.training.loop.clock import Clock, rate_factor
from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.latent_bank import load_vae
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.options import StageOptions, check_shares, option
from svd_lab.training.loop.pixel_pool import PixelPool, clip_workers
from svd_lab.training.loop.process import Process, print_peak_memory, start
from svd_lab.training.networks.critic import FlatAdam, PixelCritic
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.large_vae import grown, keep_channels, revive_channels, scale_channels
from svd_lab.training.networks.video import LARGE_LATENT, vae_of
from svd_lab.training.stages.large_vae_losses import CELL, NUMBERS, SCALE, LossWeights, losses
from svd_lab.training.stages.large_vae_measure import measure
from svd_lab.training.stages.reconstruction import random_strength, shifts
from svd_lab.training.stages.vae import thetas
from svd_lab.training.world.varied_world import VariedWorld
from svd_lab.world.clips import FRAMES
from svd_lab.world.scenes import World

CROP = 192  # pixels
DRAWN_TOGETHER = 32  # clips


@dataclass(frozen=True, kw_only=True)
class LargeVaeOptions(StageOptions):
    """Options of stage `large-vae`."""

    vae: str = option(
        "svd_lab/mini/weights", "checkpoint or folder with the small VAE; none: an untrained one, for dry runs"
    )
    weights: str = option("", "checkpoint of a large VAE to start from")
    latent: int = option(LARGE_LATENT, "channels: 16, or 8 for the small VAE's alone")
    revive: bool = option(False, "reset the channels of --weights beyond the small VAE's")
    equivariance: float = option(0.7, "weight of the shift error in the loss")
    align_weight: float = option(1.0, "weight of the distance to the small VAE's code")
    batch: int = option(96, "crops a step; whole pictures: three eighths as many")
    pool: int = option(768, "clips to draw from")
    crops: float = option(0.6, "progress at which whole pictures follow the crops")
    mixed: bool = option(False, "crops and whole pictures in turn all the time, instead of --crops")
    warp: float = option(0.2, "share of the clips whose latents are scaled and shifted")
    without_detail: float = option(0.25, "share of the clips decoded from the small VAE's channels alone")
    border_weight: float = option(0.0, "additional weight of the loss in the outermost 16 pixels")
    critic_from: float = option(0.45, "progress from which the critic guides the decoder")
    feature_weight: float = option(0.5, "weight of the critic's feature matching")
    adversarial_weight: float = option(0.2, "weight of the critic's adversarial loss")
    workers: int = option(-1, "processes that draw clips; -1: one for each spare core, none on a CPU; 0: none")

    def __post_init__(self) -> None:
        if self.resume:
            raise ValueError("large-vae keeps no optimiser: go on from --weights, not --resume")
        if self.latent not in (8, LARGE_LATENT):
            raise ValueError(f"--latent must be 8 or {LARGE_LATENT}, not {self.latent}")
        check_shares(self, "crops", "warp", "without_detail", "critic_from")

    @property
    def loss_weights(self) -> LossWeights:
        """The weights of the parts of the loss."""
        return LossWeights(
            equivariance=self.equivariance, align=self.align_weight, border=self.border_weight,
            features=self.feature_weight, adversarial=self.adversarial_weight,
        )  # fmt: skip


def make_large_vae(options: LargeVaeOptions, small: nn.Module) -> nn.Module:
    """Make the VAE to train, on the CPU: from --weights, or from the small one.

    Raises:
        ValueError: --weights has fewer channels than --latent.
    """
    if options.weights:
        vae = vae_of(load_parts(options.weights)["vae"])
    else:
        vae = grown({name: value.cpu() for name, value in small.state_dict().items()})
    latent = vae.config.latent_channels
    if options.latent > latent:
        raise ValueError(f"--weights has {latent} channels and cannot be widened to --latent {options.latent}")
    if options.latent < latent:
        return keep_channels(vae, options.latent)
    if options.revive or not options.weights:
        return revive_channels(vae, small.config.latent_channels)
    return vae


class LargeVaeTraining:
    """The models of this stage, their optimisers, and the steps of its `learn`.

    Args:
        options: Of the stage.
        process: This one.
        world: On the process's device; draws the clips that `workers` don't.
        workers: Draw clips elsewhere.
    """

    def __init__(self, options: LargeVaeOptions, process: Process, world: World, workers: BackgroundBatches | None):
        began, device, dtype = time.time(), process.device, process.dtype
        self.options, self.process = options, process
        torch.manual_seed(options.seed)
        self.small = rewrite(load_vae(options.vae, device).to(dtype))
        self.vae = rewrite(make_large_vae(options, self.small).to(device, dtype)).train()
        self.optimiser = Optimiser(self.vae.named_parameters(), muon=options.muon, ema=0.998)
        self.critic = PixelCritic().to(device, dtype).to(memory_format=torch.channels_last)
        self.adam = FlatAdam(self.critic)
        self.share = torch.zeros((), device=device)  # of the critic
        self.pool = PixelPool(world, options.pool, min(DRAWN_TOGETHER, options.pool), workers)
        self.steps: dict[int, Graphed] = {}  # by the number of frames, which is part of the graph
        print(f"large-vae: pool of {self.pool.n}, set-up {time.time() - began:.0f} s", flush=True)

    def make_step(self, frames: int) -> Graphed:
        """Return the step for clips of so many frames."""
        weights = self.options.loss_weights

        def step(*batch: torch.Tensor) -> torch.Tensor:
            return losses(self.vae, self.small, self.critic, weights, *batch, frames)

        return Graphed(step, self.optimiser, self.process.gpu, self.adam)

    def draw(self, step: int, progress: float) -> tuple[int, list[torch.Tensor]]:
        """Return the number of frames of this step, and the arguments of `losses` from x to share."""
        options, device = self.options, self.process.device
        whole = step % 2 == 0 if options.mixed else progress > options.crops
        frames = 1 if not whole else (FRAMES if step % 8 == 0 else 2)
        clips = options.batch if not whole else max(1, options.batch * 3 // 8 // frames)
        x, mask = self.pool.frames(clips, frames) if whole else self.pool.crops(clips, CROP)
        n, _, h, w = x.shape
        noise = torch.randn(2, n, options.latent, h // CELL, w // CELL, device=device)
        strength = random_strength(clips, device)
        theta = thetas(clips, frames, options.warp * (1 - max(0.0, progress - 0.8) * 5), device)
        # The critic itself learns from the first step on.
        warm = max(0, step - 200) / 200
        self.share.fill_(min(1.0, max(0.0, (progress - options.critic_from) / 0.05), warm))
        shift = shifts(n, h, w, device, most=CELL - 1)
        kept = (torch.rand(clips, device=device) >= options.without_detail).float()
        strength, kept = (t.repeat_interleave(frames)[:, None, None, None] for t in (strength, kept))
        return frames, [x, mask, noise, strength, kept, theta, shift, self.share]

    def learn(self) -> None:
        """Train until the clock says so."""
        clock, average = Clock(self.options, self.process.device), None
        while (progress := clock.tick()) is not None:
            if clock.n % (2 if self.pool.workers else 16) == 0:
                self.pool.refresh()
            frames, batch = self.draw(clock.n, progress)
            if frames not in self.steps:
                self.steps[frames] = self.make_step(frames)
            numbers = self.steps[frames](*batch)
            norm = self.optimiser.step(rate_factor(self.optimiser.n, progress, warmup=100, decay=0.6, floor=0.01))
            self.adam.step(min(1.0, clock.n / 20))
            average = numbers.clone() if average is None else average.lerp(numbers, 0.02)
            if clock.n in (1, 2, 5, 20) or clock.n % 200 == 0:
                self.log(clock, frames, average, norm.item())

    def log(self, clock: Clock, frames: int, average: torch.Tensor, norm: float) -> None:
        """Print the state of training."""
        v = dict(zip(NUMBERS, average.tolist(), strict=True))
        rest = " ".join(f"{name} {value:.4f}" for name, value in v.items() if "error" not in name)
        print(
            f"large-vae {self.optimiser.n} t {clock.elapsed:.0f}s {clock.pace():.0f} ms prog {clock.progress:.2f} frames {frames} "
            f"psnr {10 * math.log10(4 / v['error']):.2f} thing {10 * math.log10(4 / max(v['thing error'], 1e-9)):.2f} "
            f"shift error {v['shift error']:.4f} {rest} norm {norm:.2f} new {self.pool.taken}",
            flush=True,
        )
        clock.mark()

    @torch.no_grad()
    def finish(self) -> None:
        """Average the weights, scale the channels beyond the small VAE's like its own, write OUT/large_vae.pt, and measure."""
        self.optimiser.use_average()
        vae, small, device = self.vae.float().eval(), self.small.float().eval(), self.process.device
        world = World(device, "known", seed=9, scale=SCALE)
        at = torch.zeros(4, 1, device=device).long()
        pictures = (world.clips(4, at=at).video[:, 0] * 2 - 1 for _ in range(8))
        z = torch.cat([vae.encode(x).latent_dist.mode() for x in pictures])
        factor = small.config.scaling_factor
        scale_channels(vae, small.config.latent_channels, 1 / factor, z.std((0, 2, 3)))
        saved = dict(vae=half(vae), scaling_factor=factor, steps=self.optimiser.n)
        save_parts(saved, f"{self.options.out}/large_vae.pt")
        for things in ("known", "held_out"):
            saved[things] = measure(vae, small, device, 24 if self.process.gpu else 1, things)
            print("LARGE VAE", things, saved[things], "steps", self.optimiser.n, flush=True)
        save_parts(saved, f"{self.options.out}/large_vae.pt")


def train(options: LargeVaeOptions) -> None:
    """Train a VAE for pictures of 448 x 256; writes OUT/large_vae.pt."""
    process = start()
    if process.ranks > 1:
        raise ValueError("large-vae trains on one GPU: start it without torchrun")
    world = VariedWorld(scale=SCALE)
    # The workers come first: while they start, the models are loaded.
    with (
        clip_workers(world, options.workers, min(DRAWN_TOGETHER, options.pool), options.seed, process)
        or nullcontext() as workers
    ):
        training = LargeVaeTraining(options, process, world.on(process.device, 100 + 10 * options.seed), workers)
        training.learn()
    print_peak_memory()
    training.finish()
