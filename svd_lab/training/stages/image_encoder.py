"""Stage `clip`: the image encoder alone learns what moves how, and which way, whatever it is and whatever is behind it.

Version 2 of the weights moved things wrongly where the encoder, not the UNet, was misled: by the background with known things, by
their looks with held-out things. With one embedding for each kind of motion and way to face instead of the encoder's own, most
clips that fail become right (docs/mini.md). So the encoder learns these target embeddings: for each kind and way the mean over
pictures of all its things on plain colours, as the encoder embedded them before this stage, times `--target-scale`: further out
the UNet, which knows the targets as noisy ones, is surer of what is meant. The UNet stays as it is.

A picture costs a hundredth of what a clip costs the UNet, so this stage sees far more pictures than the UNet's ever could. With
`--drawings FILE` (assets.build_drawings) the share `--drawn` of them is the text mini's.

When unsure, the encoder should take a side, because the UNet makes no sense of what is between two targets: so `--huber c` counts
the root of the distance above c, not its square, and `--blended` is the share of pictures that are two at once, where either
target is right.
"""

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from svd_lab.training.loop.augment import augment
from svd_lab.training.loop.checkpoints import half, load_parts, save_parts
from svd_lab.training.loop.clock import Clock
from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.latent_bank import embed
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.options import StageOptions, check_shares, option
from svd_lab.training.loop.process import Process, start
from svd_lab.training.loop.ring import Ring
from svd_lab.training.loop.sampling import pseudo_huber
from svd_lab.training.networks.video import clip_of, make_clip
from svd_lab.training.stages.encoder_targets import (
    TargetEmbeddings,
    Targets,
    accuracy_on_clips,
    accuracy_on_drawings,
    first_frames,
    loss,
)
from svd_lab.training.world.encoder_world import EncoderWorld
from svd_lab.world.scenes import World


@dataclass(frozen=True, kw_only=True)
class ImageEncoderOptions(StageOptions):
    """Options of stage `clip`."""

    weights: str = option("svd_lab/mini/weights", "checkpoint or folder to start from")
    teacher: str = option("", "checkpoint whose encoder gives the targets; default: that of --weights")
    designs: str = option("", "folder of assets.build_designs with other drawings of the things")
    patch: int = option(0, "patch size of a new encoder; 0: go on with that of --weights")
    layers: int = option(0, "layers of a new encoder")
    each: int = option(8, "pictures of each thing that a target is the mean of")
    target_scale: float = option(1.0, "factor on the targets")
    pool: int = option(98304, "pictures to draw from")
    prefill: int = option(16384, "pictures before the first step")
    render: int = option(512, "pictures drawn at once")
    every: int = option(8, "steps between two draws of new pictures")
    batch: int = option(512, "pictures a step")
    peak: float = option(0.3, "factor on the optimiser's peak learning rates")
    facing_weight: float = option(0.3, "weight of the error of facing")
    warmup: int = option(100, "steps over which the learning rate rises")
    ema: float = option(0.999, "decay of the averaged weights")
    nothing: float = option(0.08, "share of pictures without a known thing")
    two: float = option(0.24, "share of pictures with two things")
    drawings: str = option("", "file of assets.build_drawings")
    drawn: float = option(0.15, "share of pictures from --drawings, below 1")
    huber: float = option(0.0, "distance from which its root counts, not its square; 0: always the square")
    blended: float = option(0.0, "share of pictures that are two at once")

    def __post_init__(self) -> None:
        check_shares(self, "nothing", "two", "drawn", "blended")
        if self.drawn == 1:
            raise ValueError("--drawn is a share of the pictures, from 0 to less than 1, not 1")
        if self.huber < 0:
            raise ValueError(f"--huber is a distance, 0 or more, not {self.huber:g}")
        if self.drawings and not Path(self.drawings).is_file():
            raise ValueError(
                f"--drawings {self.drawings} does not exist: "
                f"python -m svd_lab.training.assets.build_drawings {self.drawings} makes it"
            )


def load_drawings(path: str | Path) -> dict[str, Any]:
    """Read what build_drawings.save wrote: `pictures` uint8 [n,3,128,224], `things` [n], `texts`."""
    made = torch.load(path)
    pages = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in made["pictures"]]
    return made | dict(pictures=torch.from_numpy(np.stack(pages)).permute(0, 3, 1, 2).contiguous())


@dataclass
class Drawings:
    """Pictures drawn by the text mini, with their targets; the first `learnt` are for training, the others for the log."""

    pictures: torch.Tensor
    targets: Targets
    learnt: int

    @staticmethod
    def load(path: str, means: TargetEmbeddings, device: str) -> "Drawings":
        """Read the file and look up the targets."""
        made = load_drawings(path)
        pictures = made["pictures"].to(device)
        return Drawings(pictures, means.for_things(made["things"].to(device)), max(1, len(pictures) * 9 // 10))

    def draw(self, world: World, n: int) -> tuple[torch.Tensor, Targets]:
        """Draw n pictures in 0 .. 1 for training, augmented and mirrored at random, and their targets."""
        i = world.draw.integers(n, 0, self.learnt)
        pictures, mirrored = self.pictures[i] / 255, world.draw.uniform(n, 1, 1, 1) < 0.5
        return augment(torch.where(mirrored, pictures.flip(-1), pictures)), tuple(t[i] for t in self.targets)

    def accuracy(self, clip: nn.Module, means: TargetEmbeddings) -> str:
        """Measure an encoder on the pictures that are not for training."""
        return accuracy_on_drawings(clip, self.pictures[self.learnt :], [t[self.learnt :] for t in self.targets], means)


def blend(picture: torch.Tensor, m: int) -> torch.Tensor:
    """Blend the first m of pictures uint8 [n,3,H,W], in place, with another of these m, by 0.2 to 0.8.

    A picture between two should be embedded as one of the two, not as something between them.

    Returns:
        The index of the other picture, for all n.
    """
    other = torch.arange(len(picture), device=picture.device)
    other[:m] = other[:m].roll(1)
    ours, theirs = picture[:m].float(), picture[other[:m]].float()
    picture[:m] = (ours + (0.2 + 0.6 * torch.rand(m, 1, 1, 1, device=picture.device)) * (theirs - ours)).round().byte()
    return other


class ImageEncoderTraining:
    """The student, its teacher's targets, and the pool of pictures.

    A student that goes on learns from its first teacher's targets, because those are what the UNet knows.
    """

    def __init__(self, options: ImageEncoderOptions, process: Process):
        self.options, self.process = options, process
        device = process.device
        self.saved = load_parts(options.weights)
        teacher = clip_of(load_parts(options.teacher)["clip"] if options.teacher else self.saved["clip"])
        self.teacher = teacher.to(device).eval().requires_grad_(False)
        # Of another shape than the weights it starts untrained.
        new = make_clip(layers=options.layers, patch=options.patch) if options.patch else clip_of(self.saved["clip"])
        self.student = new.to(device, process.dtype).train()
        self.means = TargetEmbeddings.measured(
            self.teacher, World(device, seed=6000 + options.seed), options.each, options.target_scale,
            960 if process.gpu else 64,
        )  # fmt: skip
        self.world = EncoderWorld(device, seed=6500 + options.seed, designs=options.designs)
        self.held_out = World(device, "held_out", seed=6700 + options.seed)
        self.drawings = Drawings.load(options.drawings, self.means, device) if options.drawings else None
        self.drawn = round(options.render * options.drawn) if self.drawings else 0
        self.pool = Ring(options.pool, options.render)
        while self.pool.n < min(options.prefill, self.pool.size):
            self.refresh()
        self.optimiser = Optimiser(self.student.named_parameters(), muon=options.muon, ema=options.ema)
        self.step = Graphed(self.forward_backward, self.optimiser, process.gpu)

    @torch.no_grad()
    def refresh(self) -> None:
        """Draw new pictures into the pool."""
        options = self.options
        clips = first_frames(self.world, options.render - self.drawn, two=options.two, nothing=options.nothing)
        pictures, targets = clips.video[:, 0], self.means.for_clips(self.teacher, clips)
        if self.drawn:
            drawn, theirs = self.drawings.draw(self.world, self.drawn)
            pictures = torch.cat([pictures, drawn])
            targets = [torch.cat(pair) for pair in zip(targets, theirs, strict=True)]
        self.pool.add((pictures * 255).round().to(torch.uint8), *targets)

    def forward_backward(
        self,
        picture: torch.Tensor,
        wanted: torch.Tensor,
        turned: torch.Tensor,
        side: torch.Tensor,
        rival: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the gradients of a step; rival [n,64]: a second target, as good as the first. Returns what `loss` does."""
        embedding = embed(self.student, picture).float()
        distance, facing, wrong = loss(embedding, wanted, turned, side, self.means.spread)
        distance = torch.minimum(distance, (embedding - rival).square().sum(1) / self.means.spread)
        # The least square of two targets, one a little likelier, is between them; the least root is at that one.
        huber = self.options.huber
        near, way = (pseudo_huber(x, huber) if huber else x for x in (distance, facing))
        (near + self.options.facing_weight * way).mean().backward()
        return distance.detach(), facing.detach(), wrong

    def accuracy(self, n: int) -> str:
        """Measure the student on n new pictures, on n of held-out things, and on drawings."""
        new, other = (
            accuracy_on_clips(self.student, w, self.means, self.teacher, n) for w in (self.world, self.held_out)
        )
        text = f"{new}, of things held out {other}"
        return text + (f", of drawings {self.drawings.accuracy(self.student, self.means)}" if self.drawn else "")

    def learn(self) -> None:
        """Train until the clock says so."""
        options, blended = self.options, round(self.options.batch * self.options.blended)
        sums, count = torch.zeros(4, device=self.process.device), 0
        clock = Clock(options, self.process.device)
        while (progress := clock.tick()) is not None:
            if clock.n % options.every == 0:
                self.refresh()
            picture, wanted, turned, side = self.pool.sample(options.batch)
            other = blend(picture, blended)
            side[:blended] = 0  # in a blend either way is right
            distance, facing, wrong = self.step(picture, wanted, turned, side, wanted[other])
            self.optimiser.step(options.peak * min(1.0, clock.n / options.warmup) * max(0.0, 1 - progress) ** 0.7)
            sums += torch.stack([distance.sum(), facing.sum(), wrong.float().sum(), (side != 0).float().sum()])
            count += len(picture)
            if clock.n in (1, 20) or clock.last or clock.n % 500 == 0:
                self.log(clock, sums.tolist(), count)
                sums.zero_()
                count = 0

    def log(self, clock: Clock, sums: list[float], count: int) -> None:
        """Print means of `count` pictures, and the accuracy on new ones."""
        distance, facing, wrong, directed = sums
        ways = max(1.0, directed)
        print(
            f"clip {clock.n} t {clock.elapsed:.0f}s prog {clock.progress:.3f} pool {self.pool.n} "
            f"distance {distance / count:.4f} facing {facing / ways:.4f} wrong {wrong / ways:.4f} "
            f"unseen {self.accuracy(self.options.batch)}",
            flush=True,
        )

    def save(self) -> None:
        """Write the averaged weights as OUT/clip.pt, with UNet and head as they came."""
        self.optimiser.use_average()
        print(f"clip averaged: unseen {self.accuracy(4 * self.options.batch)}", flush=True)
        kept = {part: self.saved[part] for part in ("unet", "head") if part in self.saved}
        save_parts(kept | dict(clip=half(self.student)), f"{self.options.out}/clip.pt")


def train(options: ImageEncoderOptions) -> None:
    """Train the image encoder of the video mini alone, in one process; writes OUT/clip.pt."""
    process, began = start(), time.time()
    if process.ranks > 1:
        raise SystemExit("the stage clip is for one process: leave --nproc_per_node out, or give 1")
    torch.manual_seed(0)
    training = ImageEncoderTraining(options, process)
    pool, spread = training.pool.n, training.means.spread
    print(f"clip pool {pool}, spread {spread:.0f}, set-up {time.time() - began:.0f} s", flush=True)
    training.learn()
    training.save()
