"""Stage `text`: the text mini's UNet and text encoder together, then guidance made gentle.

v-prediction on a bank of latents, each with an English and a Korean caption; one caption in ten is empty, as the pipeline's
unconditional prompt is. [arXiv 2207.12598]

A small head (dropped afterwards) predicts from the mean of the text vectors what and where, because a UNet that still ignores the
text teaches its encoder little (docs/text-mini.md has the numbers).

`--soften K` (last, short): guidance_scale 7.5, the pipeline's and the class's default, oversaturates a model that knows its
captions well. The student learns u + K (c - u) for a caption and u for none, c and u being the finished model's predictions:
guidance g of the student IS guidance K g of the teacher, and nothing else changes. With K = 0.4, 7.5 acts as 3 did; and like the
real Stable Diffusion, the student follows a prompt only loosely without guidance.
"""

import copy
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from svd_lab.training.loop.checkpoints import full, half, load_parts, save_parts
from svd_lab.training.loop.clock import Clock, SigmaBuckets, rate_factor, unnamed
from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.options import StageOptions, option
from svd_lab.training.loop.process import Process, finish, print_peak_memory, start
from svd_lab.training.loop.sampling import random_sigmas
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.text import (
    SIGMA_MAX,
    SIGMA_MIN,
    encode_prompts,
    encode_text,
    make_text_encoder,
    make_text_unet,
    save_text_folder,
    tokenizer_files,
    tokenizer_for_training,
    zero_text_residuals,
)
from svd_lab.training.stages.text_bank import CaptionedBank, Head, few_scenes
from svd_lab.training.stages.text_vae import is_text_folder, load_text_folder, load_text_vae
from svd_lab.training.world.stills import Stills

BUCKETS = (0.1, 0.3, 1.0, 3.0, 10.0)  # noise levels, of the log


@dataclass(frozen=True, kw_only=True)
class TextOptions(StageOptions):
    """Options of stage `text`."""

    vae: str = option("text_vae.pt", "checkpoint or folder with the VAE; none: an untrained one, for dry runs")
    weights: str = option("", "checkpoint or folder to start from, with fresh momenta")
    soften: float = option(0.0, "factor on the guidance of --weights, which becomes the teacher; 0: ordinary training")
    batch: int = option(256, "stills a step")
    bank: int = option(60000, "encoded stills to draw from")
    prefill: int = option(12288, "encoded stills before the first step")
    part: int = option(256, "stills drawn at once")
    every: int = option(24, "steps between two draws of new stills")
    few: int = option(0, "things of a tiny world for trying out; 0: the whole world")
    mask_weight: float = option(2.0, "additional weight of the loss where things are")
    head_weight: float = option(0.05, "weight of the head's loss")
    ema: float = option(0.9995, "decay of the averaged weights")
    warmup: int = option(300, "steps over which the learning rate rises")
    decay: float = option(0.9, "share of the schedule over which the learning rate falls")

    def __post_init__(self) -> None:
        if self.soften and not self.weights:
            raise ValueError(f"--soften {self.soften:g} needs a finished model to soften: give it with --weights")


def noise_levels(n: int, device: str) -> torch.Tensor:
    """Draw noise levels [n], stratified, within what sampling passes through."""
    return random_sigmas(n, device, mean=0.4, spread=1.5, uniform=0.3, low=SIGMA_MIN, high=SIGMA_MAX, clamp=True)


def v_loss(
    unet: nn.Module,
    x0: torch.Tensor,
    embedding: torch.Tensor,
    mask: torch.Tensor,
    sigma: torch.Tensor,
    noise: torch.Tensor,
    mask_weight: float,
    target: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the v-prediction loss, and the squared error of v by picture [n].

    Args:
        unet: In training.
        x0: Latents [n,8,16,28], scaled.
        embedding: Text vectors [n,77,128].
        mask: Where things are, [n,1,16,28].
        sigma: Noise levels [n].
        noise: As x0.
        mask_weight: Additional weight of the mask.
        target: Gives the v to learn from the UNet's input; None: the true v.
    """
    s, dtype = sigma[:, None, None, None], next(unet.parameters()).dtype
    root = (s * s + 1).sqrt()
    x = ((x0 + s * noise) / root).to(dtype)
    v = unet(x, 0.25 * sigma.log(), embedding, return_dict=False)[0].float()
    goal = (noise - s * x0) / root if target is None else target(x)
    w = 1 + mask_weight * mask
    error = ((v - goal).square() * w).mean((1, 2, 3)) / w.mean((1, 2, 3))
    return error.mean(), error.detach()


@dataclass
class Teacher:
    """A finished UNet and text encoder, whose guidance is to be softened by the factor `soften`."""

    unet: nn.Module
    text: nn.Module
    soften: float

    @torch.no_grad()
    def predict(self, x: torch.Tensor, ids: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Return v [n,8,16,28] for prompts of token ids [n,77]."""
        return self.unet(x, 0.25 * sigma.log(), encode_text(self.text, ids), return_dict=False)[0].float()

    def softened(
        self, x: torch.Tensor, ids: torch.Tensor, empty: torch.Tensor, dropped: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Return u + soften * (c - u), or u where the caption is dropped ([n] 0 or 1); empty [77]: ids of no prompt."""
        c, u = self.predict(x, ids, sigma), self.predict(x, empty.expand_as(ids), sigma)
        return u + self.soften * (c - u) * (1 - dropped[:, None, None, None])


class TextTraining:
    """The models of this stage, their optimiser, and the steps of its `learn`."""

    def __init__(self, options: TextOptions, process: Process):
        self.options, self.process = options, process
        device, dtype = process.device, process.dtype
        torch.manual_seed(0)
        vae = rewrite(load_text_vae(options.vae, device).to(dtype))
        saved = self._make_models(device, dtype)
        named = [(f"{k}.{n}", p) for k in ("unet", "text", "head") for n, p in getattr(self, k).named_parameters()]
        self.optimiser = Optimiser(named, muon=options.muon, ema=options.ema)
        if options.resume:
            saved = torch.load(options.resume, map_location=device)
            self.optimiser.load(saved)
        torch.manual_seed(9000 + 100 * options.seed + process.rank)
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = tokenizer_for_training(folder, saved.get("tokenizer"))
            self.tokenizer_files = tokenizer_files(folder)
        self.empty = encode_prompts(tokenizer, [""])[0].to(device)
        scenes = few_scenes(options.few) if options.few else None
        stills = Stills(device, seed=6000 + 100 * options.seed + process.rank, scenes=scenes)
        self.bank = CaptionedBank(vae, stills, tokenizer, options.bank, min(options.part, options.prefill))
        self.step = Graphed(self.forward_backward, self.optimiser, process.gpu)

    def _make_models(self, device: str, dtype: torch.dtype) -> dict:
        """Make UNet, text encoder, head and, for softening, the teacher; returns the checkpoint they come from, if any."""
        options = self.options
        unet, text, saved = zero_text_residuals(make_text_unet()), make_text_encoder(), {}
        if options.weights:
            saved = (
                load_text_folder(options.weights) if is_text_folder(options.weights) else load_parts(options.weights)
            )
            unet.load_state_dict(saved["unet"])
            text.load_state_dict(saved["text"])
        self.unet, self.text = rewrite(unet).to(device, dtype).train(), text.to(device, dtype).train()
        self.head = Head().to(device, dtype)
        if "head" in saved:  # the exported folder has none
            self.head.load_state_dict(saved["head"])
        self.teacher = None
        if options.soften:
            teacher = rewrite(make_text_unet()).to(device, dtype)
            teacher.load_state_dict(unet.state_dict())
            frozen = [m.eval().requires_grad_(False) for m in (teacher, copy.deepcopy(self.text))]
            self.teacher = Teacher(*frozen, options.soften)
        return saved

    def fill_bank(self, began: float) -> None:
        """Fill the bank. began: when the set-up began, for the log."""
        bank = self.bank
        while bank.n < self.options.prefill:
            bank.fill()
        if self.process.main:
            spread = bank.parts[0][: bank.n].float().std().item()
            took = time.time() - began
            print(f"text bank {bank.n}, latent std {spread:.3f}, set-up {took:.0f} s", flush=True)

    def draw(self) -> tuple[torch.Tensor, ...]:
        """Draw the arguments of `forward_backward`."""
        n, device = self.options.batch, self.process.device
        x0, mask, ids, present, rest = self.bank.draw(n)
        dropped = torch.rand(n, device=device) < (0.3 if self.teacher else 0.1)
        ids = torch.where(dropped[:, None], self.empty, ids)
        sigma = noise_levels(n, device)
        sigma = sigma[torch.randperm(n, device=device)]
        return x0, mask, ids, present, rest, dropped.float(), sigma, torch.randn_like(x0)

    def forward_backward(
        self,
        x0: torch.Tensor,
        mask: torch.Tensor,
        ids: torch.Tensor,
        present: torch.Tensor,
        rest: torch.Tensor,
        dropped: torch.Tensor,
        sigma: torch.Tensor,
        noise: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the gradients of a step on a draw of the bank, of noise levels and of noise.

        Returns:
            The squared error of v by picture [n], and what `Head.loss` knows.
        """
        target = None
        if self.teacher:
            target = lambda x: self.teacher.softened(x, ids, self.empty, dropped, sigma)  # noqa: E731
        embedding = encode_text(self.text, ids)
        loss, each = v_loss(self.unet, x0, embedding, mask, sigma, noise, self.options.mask_weight, target)
        asked, known = self.head.loss(embedding, present, rest, 1 - dropped)
        weight = 0.0 if self.teacher else self.options.head_weight  # what is softened stays as it was
        (loss + weight * asked).backward()
        return each, known

    def learn(self) -> None:
        """Train until the clock says so."""
        options, optimiser, fresh = self.options, self.optimiser, self.optimiser.n
        buckets, clock = SigmaBuckets(BUCKETS, 2, self.process.device), Clock(options, self.process.device)
        while (progress := clock.tick()) is not None:
            if clock.n % options.every == 0:
                self.bank.fill()
            batch = self.draw()
            each, known = self.step(*batch)
            rate = rate_factor(optimiser.n - fresh, progress, warmup=options.warmup, decay=options.decay, floor=0.003)
            norm = optimiser.step(rate)
            dropped, sigma = batch[5], batch[6]
            buckets.add(sigma, [(each, 1 - dropped), (each, dropped)])
            if self.process.main and (clock.n in (1, 2, 5, 20, 100) or clock.n % 500 == 0):
                given, without = buckets.take()
                print(
                    f"text {optimiser.n} t {clock.elapsed:.0f}s {clock.pace():.1f} ms prog {progress:.3f} rate {rate:.3f} "
                    f"norm {norm.item():.2f} place {known[0]:.2f} thing {known[1]:.2f} | v {buckets.named(given)} "
                    f"| without caption {unnamed(without)}",
                    flush=True,
                )
                clock.mark()

    def save(self) -> None:
        """Write --state, and the averaged weights as OUT/text.pt."""
        files, optimiser = self.tokenizer_files, self.optimiser
        torch.save(optimiser.state() | dict(tokenizer=files), self.options.state)
        optimiser.use_average()
        parts = dict(unet=half(self.unet), text=half(self.text), head=half(self.head))
        save_parts(parts | dict(tokenizer=files, steps=optimiser.n), f"{self.options.out}/text.pt")


def train(options: TextOptions) -> None:
    """Train the UNet and the text encoder of the text mini; writes OUT/text.pt and --state."""
    process, began = start(), time.time()
    training = TextTraining(options, process)
    training.fill_bank(began)
    training.learn()
    if process.main:
        print_peak_memory()
        training.save()
    finish()


def export(vae: str, weights: str, folder: str) -> Path:
    """Make of the checkpoints of both text stages the folder that StableDiffusionPipeline.from_pretrained reads."""
    saved, unet, text = load_parts(weights), make_text_unet(), make_text_encoder()
    unet.load_state_dict(full(saved["unet"]))
    text.load_state_dict(full(saved["text"]))
    return save_text_folder(folder, load_text_vae(vae, "cpu"), unet, text, saved.get("tokenizer"))
