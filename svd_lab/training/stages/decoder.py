"""Stage `decoder`: the decoder of a finished VAE goes on alone, towards pictures that are sharper.

Its encoder stays as it is, to the bit: so latents, UNet, turbo and cost stay the same, and only what is drawn from a code changes.
Trained on distances in pixels alone, a decoder draws the median of all pictures that could have that code, which is soft. A critic
in pixels sees that (networks/critic.py): here its features of the drawn picture shall be those of the true one.

A true clip's codes, with some noise on them, are not what a decoder is given in use: where the UNet is unsure, its codes are means
of several, and a decoder that has never seen such codes draws a lattice of dots there (LOG.md). So every second step decodes what
the UNet makes of first frames (`--unet`, loop/sampled_codes.py), and follows there, at half the size, the decoder in `--follow`.

Pictures are whole, never crops: the decoder's norms span a picture, and its temporal layers what is decoded at once
(decode_chunk_size), so a step decodes 1, 2 or 14 frames together; and all frames of a clip should be alike where it stands still
(`--flicker-weight`). Trains on one GPU.
"""

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from svd_lab.training.loop.background import BackgroundBatches
from svd_lab.training.loop.checkpoints import half, load_parts, save_parts
from svd_lab.training.loop.clock import Clock, rate_factor
from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.latent_bank import load_vae
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.options import RunOptions, check_shares, option
from svd_lab.training.loop.pixel_pool import PixelPool, clip_workers
from svd_lab.training.loop.process import Process, print_peak_memory, start
from svd_lab.training.loop.sampled_codes import SampledCodes
from svd_lab.training.networks.critic import FlatAdam, PixelCritic
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import clip_of, unet_of
from svd_lab.training.stages.decoder_losses import NUMBERS, DecoderWeights, following_losses, losses
from svd_lab.training.stages.reconstruction import encode, random_strength
from svd_lab.training.world.varied_world import VariedWorld
from svd_lab.world.clips import FRAMES
from svd_lab.world.scenes import World

DRAWN_TOGETHER = 32  # clips
SAMPLED_TOGETHER = 32  # clips
#: Frames decoded at once, and whether their codes are the UNet's, step by step.
KINDS = ((FRAMES, False), (FRAMES, True), (2, False), (2, True), (1, False), (FRAMES, True), (2, False), (2, True))


@dataclass(frozen=True, kw_only=True)
class DecoderOptions(RunOptions):
    """Options of stage `decoder`."""

    vae: str = option("svd_lab/mini/weights", "checkpoint or folder with the VAE; none: an untrained one, for dry runs")
    follow: str = option(
        "svd_lab/mini/weights", "checkpoint or folder with the VAE that is followed on the UNet's codes"
    )
    unet: str = option(
        "svd_lab/mini/weights", "checkpoint or folder with UNet and image encoder; none: true codes alone are decoded"
    )
    muon: float = option(0.003, "peak learning rate of weight matrices; of all others a tenth of it")
    batch: int = option(56, "pictures a step")
    pool: int = option(1024, "clips to draw from")
    plain: float = option(0.25, "share of clips on plain backgrounds")
    noise: float = option(0.15, "most of the noise on true codes, in their standard deviations")
    sampled: int = option(768, "clips of the UNet to draw from")
    every: int = option(40, "steps between two batches of new clips of the UNet")
    critic_from: float = option(0.05, "progress from which the critic guides the decoder")
    feature_weight: float = option(1.0, "weight of the critic's feature matching")
    adversarial_weight: float = option(0.1, "weight of the critic's adversarial loss")
    flicker_weight: float = option(1.0, "weight of errors that change from frame to frame")
    workers: int = option(-1, "processes that draw clips; -1: one for each spare core, none on a CPU; 0: none")

    def __post_init__(self) -> None:
        if self.resume:
            raise ValueError("decoder keeps no optimiser: go on from --vae, not --resume")
        check_shares(self, "plain", "critic_from")

    @property
    def weights(self) -> DecoderWeights:
        """The weights of the parts of the loss."""
        return DecoderWeights(
            flicker=self.flicker_weight, features=self.feature_weight, adversarial=self.adversarial_weight
        )


class DecoderTraining:
    """The models of this stage, their optimisers, and the steps of its `learn`.

    Args:
        options: Of the stage.
        process: This one.
        world: On the process's device; draws the clips that `workers` don't.
        workers: Draw clips elsewhere.
    """

    def __init__(self, options: DecoderOptions, process: Process, world: World, workers: BackgroundBatches | None):
        began, device, dtype = time.time(), process.device, process.dtype
        self.options, self.process = options, process
        torch.manual_seed(options.seed)
        vae = load_vae(options.vae, "cpu")
        self.kept = half(vae)  # what of it is not trained is saved as it was, not rounded to bfloat16
        self.vae = rewrite(vae.to(device, dtype))
        self.vae.decoder.requires_grad_(True).train()
        named = [(f"decoder.{name}", p) for name, p in self.vae.decoder.named_parameters()]
        self.optimiser = Optimiser(named, muon=options.muon, adam=options.muon / 10, ema=0.998)
        self.critic = PixelCritic().to(device, dtype).to(memory_format=torch.channels_last)
        self.adam = FlatAdam(self.critic)
        self.share = torch.zeros((), device=device)  # of the critic
        self.pool = PixelPool(world, options.pool, min(DRAWN_TOGETHER, options.pool), workers)
        self.steps: dict[tuple[int, bool], Graphed] = {}  # by what is part of the graph
        self.codes = self.make_codes() if options.unet != "none" else None
        print(f"decoder: pool of {self.pool.n}, set-up {time.time() - began:.0f} s", flush=True)

    @torch.no_grad()
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the codes of pictures in -1 .. 1."""
        return encode(self.vae, x.contiguous(memory_format=torch.channels_last))[0]

    def make_codes(self) -> SampledCodes:
        """Load the UNet, and sample the first codes."""
        options, device, dtype = self.options, self.process.device, self.process.dtype
        saved = load_parts(options.unet)
        unet = rewrite(unet_of(saved["unet"]).to(device, dtype)).eval().requires_grad_(False)
        encoder = clip_of(saved["clip"]).to(device, dtype).eval().requires_grad_(False)
        vae, batch = rewrite(load_vae(options.follow, device).to(dtype)), min(SAMPLED_TOGETHER, options.pool)
        codes = SampledCodes(vae, unet, encoder, self.optimiser, options.sampled, batch, self.process.gpu)
        while codes.n < codes.size:
            codes.add_clips(*self.pool.sample(batch))
        return codes

    def make_step(self, frames: int, sampled: bool) -> Graphed:
        """Return the step for clips of so many frames, whose codes are the UNet's or true ones."""
        weights = self.options.weights

        def step(*batch: torch.Tensor) -> torch.Tensor:
            return losses(self.vae, self.critic, weights, *batch, frames)

        def follow(*batch: torch.Tensor) -> torch.Tensor:
            return following_losses(self.vae, weights, *batch, frames)

        return Graphed(follow if sampled else step, self.optimiser, self.process.gpu, self.adam)

    def draw(self, step: int, progress: float) -> tuple[tuple[int, bool], list[torch.Tensor]]:
        """Return the number of frames of this step and whether the codes are the UNet's, and the arguments of its losses."""
        options, device = self.options, self.process.device
        frames, sampled = KINDS[step % len(KINDS)]
        clips = max(1, options.batch // frames)
        if sampled and self.codes:
            return (frames, True), list(self.codes.frames(clips, frames))
        x, mask = self.pool.frames(clips, frames)
        strength = random_strength(clips, device, options.noise).repeat_interleave(frames)[:, None, None, None]
        code = self.encode(x)
        code = code + strength / self.vae.config.scaling_factor * torch.randn_like(code)
        # The critic itself learns from the first step on.
        warm = max(0, step - 200) / 200
        self.share.fill_(min(1.0, max(0.0, (progress - options.critic_from) / 0.05), warm))
        return (frames, False), [x.contiguous(memory_format=torch.channels_last), mask, code, self.share]

    def learn(self) -> None:
        """Train until the clock says so."""
        clock, averages = Clock(self.options, self.process.device), {}
        while (progress := clock.tick()) is not None:
            if clock.n % (2 if self.pool.workers else 16) == 0:
                self.pool.refresh()
            if self.codes and clock.n % self.options.every == 0:
                self.codes.add_clips(*self.pool.sample(self.codes.batch))
            kind, batch = self.draw(clock.n, progress)
            if kind not in self.steps:
                self.steps[kind] = self.make_step(*kind)
            numbers = self.steps[kind](*batch)
            for name, number in zip(NUMBERS, numbers, strict=False):
                key = f"following {name}" if kind[1] else name
                averages[key] = averages[key].lerp(number, 0.04) if key in averages else number.clone()
            norm = self.optimiser.step(rate_factor(self.optimiser.n, progress, warmup=100, decay=0.9, floor=0.003))
            self.adam.step(min(1.0, clock.n / 20))
            if clock.n in (1, 2, 5, 20) or clock.n % 200 == 0:
                self.log(clock, averages, norm.item())

    def log(self, clock: Clock, averages: dict[str, torch.Tensor], norm: float) -> None:
        """Print the state of training; errors as PSNR."""
        shown = {
            name: -10 * math.log10(max(value.item() / 4, 1e-9)) if "error" in name else value.item()
            for name, value in averages.items()
        }
        print(
            f"decoder {self.optimiser.n} t {clock.elapsed:.0f}s {clock.pace():.0f} ms prog {clock.progress:.2f} "
            + " ".join(f"{name} {value:.4g}" for name, value in shown.items())
            + f" norm {norm:.2f} new {self.pool.taken}",
            flush=True,
        )
        clock.mark()

    def save(self) -> None:
        """Write OUT/decoder.pt: the whole VAE, with the averaged weights of its decoder."""
        self.optimiser.use_average()
        trained = {name: value for name, value in half(self.vae).items() if name.startswith("decoder.")}
        about = dict(scaling_factor=self.vae.config.scaling_factor, steps=self.optimiser.n)
        save_parts(dict(vae=self.kept | trained) | about, f"{self.options.out}/decoder.pt")


def train(options: DecoderOptions) -> None:
    """Train the decoder of a VAE alone; writes OUT/decoder.pt."""
    process = start()
    if process.ranks > 1:
        raise ValueError("decoder trains on one GPU: start it without torchrun")
    world = VariedWorld(plain=options.plain)
    batch = min(DRAWN_TOGETHER, options.pool)
    # The workers come first: while they start, the models are loaded.
    with clip_workers(world, options.workers, batch, options.seed, process) or nullcontext() as workers:
        training = DecoderTraining(options, process, world.on(process.device, 300 + 10 * options.seed), workers)
        training.learn()
    print_peak_memory()
    training.save()
