"""A stage of its own for the image encoder: it learns to see what moves how, and which way, whatever it is and stands before.

Version 2 of the weights moved things wrongly where the encoder, not the UNet, was misled: by the background with known things, by
what they look like with things that were held out. With one answer for each kind of motion and way to face in place of the
encoder's own most clips that fail come right (docs/mini.md). So the encoder is taught these answers: of each kind and way the mean
over pictures of all its things on plain colours, as the encoder saw them before this stage, times `reach`: further out the UNet,
which has known the answers as noisy ones, is surer of what is meant. The UNet stays as it is.

A picture costs a hundredth of what a clip costs the UNet, so this stage sees far more pictures than the UNet's ever could. With
`--drawings FILE` (drawings.py) the share `--drawn` of them is the text mini's.

Unsure, it should take a side, because the UNet makes nothing whole of what lies between two answers: so `--soft c` counts the root
of the distance above c, not its square, and `--mixed` is the share of pictures that are two at once, where either answer is right.
"""

import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from svd_lab.mini.catalogue import catalogue
from svd_lab.training.loop.latent_bank import embed
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.sampling import robust
from svd_lab.training.loop.stretch import Clock, Graphed, Ring, half, load_parts, save_parts, start
from svd_lab.training.networks.video import clip_of, make_clip
from svd_lab.training.stages.judge import spoiled
from svd_lab.training.world.encoder_world import WildWorld
from svd_lab.world.motion import INDEX, KINDS
from svd_lab.world.scenes import Clips, World

PLAIN = (0.62, 0.8, 0.95), (0.95, 0.95, 0.95), (0.3, 0.35, 0.4)  # a light blue, nearly white, a dark grey


def on_plain(clips: Clips) -> torch.Tensor:
    """The first frames with a plain colour behind the things: [3,n,3,H,W] in 0..1, one of PLAIN after the other."""
    picture, alpha = clips.video[:, 0], clips.alpha[:, 0, None]
    colours = torch.tensor(PLAIN, device=picture.device)[:, None, :, None, None]
    return picture * alpha + (1 - alpha) * colours


@torch.no_grad()
def embed_all(clip, pictures: torch.Tensor, batch: int = 256) -> torch.Tensor:
    """[n,3,H,W] in 0..1 -> [n,64]."""
    return torch.cat([embed(clip, (p * 255).round()).float() for p in pictures.split(batch)])


@dataclass
class Centres:
    """What the encoder should answer. kind: [kinds of motion,3,64], by facing + 1 (rows that cannot be are zero). nothing: [2,64],
    for a picture without a thing, and with a shape that is none. spread: the variance of the rows of `kind`."""

    kind: torch.Tensor
    nothing: torch.Tensor
    spread: float

    @staticmethod
    @torch.no_grad()
    def of(clip, world: World, each: int, reach: float, at_once: int = 256) -> "Centres":
        """`reach` times the means over `each` pictures of every thing of `world`."""
        device = world.draw.device
        total = torch.zeros(len(KINDS), 3, clip.config.projection_dim, device=device)
        count = torch.zeros(len(KINDS), 3, 1, device=device)
        things = [i for i in world.keep for _ in range(each)]
        for begin in range(0, len(things), at_once):
            part = things[begin : begin + at_once]
            clips = first_frames(world, len(part), two=0, nothing=0, only=part)
            answer = torch.stack([embed_all(clip, p) for p in on_plain(clips)]).mean(0)
            where = clips.kind[:, 0], clips.facing + 1
            total.index_put_(where, answer, accumulate=True)
            count.index_put_(where, torch.ones_like(answer[:, :1]), accumulate=True)
        mean = reach * total / count.clamp(min=1)
        clips = first_frames(world, max(64, 8 * each), two=0, nothing=1)
        answer, shape = embed_all(clip, clips.video[:, 0]), clips.kind[:, 0] >= 0
        nothing = reach * torch.stack([answer[~shape].mean(0), answer[shape].mean(0)])
        return Centres(mean, nothing, mean[count[..., 0] > 0].var(0).sum().item())

    def answers(self, clip, clips: Clips) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For each picture: the answer wanted [n,64]; what it changes when the thing turns round [n,64]; facing [n].

        Two things have no mean of their own: there it is what `clip` answers to these very two on plain colours.
        """
        lone, known = clips.thing[:, 1] == NOTHING, clips.thing[:, 0] != NOTHING
        kind, side = clips.kind[:, 0].clamp(min=0), clips.facing * (lone & known)
        empty = self.nothing[(clips.kind[:, 0] >= 0).long()]
        wanted = torch.where(known[:, None], self.kind[kind, clips.facing + 1], empty)
        turned = (self.kind[kind, 2] - self.kind[kind, 0]) * (side != 0)[:, None]
        two = (~lone).nonzero()[:, 0]
        if len(two):
            wanted[two] = torch.stack([embed_all(clip, p) for p in on_plain(clips)[:, two]]).mean(0)
        return wanted, turned, side

    def either_way(self, things: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `answers`, for pictures of `things` [n] (catalogue indices, or NOTHING) of which nobody knows the way they face: where
        `turned` is not zero although `side` is, `loss` takes the nearer of the two answers."""
        kinds = torch.tensor([INDEX[t["kind"]] for t in catalogue()], device=things.device)
        known = things != NOTHING
        # The middle one is zero where the others are not.
        left, ahead, right = self.kind[kinds[things.clamp(min=0)]].unbind(1)
        turned = (right - left) * known[:, None]
        wanted = torch.where(known[:, None], left + ahead, self.nothing[0])
        return wanted, turned, torch.zeros_like(things)


def first_frames(world: World, n: int, **settings) -> Clips:
    """n clips of one frame each."""
    return world.clips(n, at=torch.zeros(n, 1, device=world.draw.device), **settings)


def mix(picture: torch.Tensor, m: int) -> torch.Tensor:
    """Blend the first m of pictures uint8 [n,3,H,W], in place, with another of these m, by 0.2 to 0.8; returns which, for all n.

    What lies between two pictures is to be answered as one of the two, not by something between their answers."""
    other = torch.arange(len(picture), device=picture.device)
    other[:m] = other[:m].roll(1)
    ours, theirs = picture[:m].float(), picture[other[:m]].float()
    picture[:m] = (ours + (0.2 + 0.6 * torch.rand(m, 1, 1, 1, device=picture.device)) * (theirs - ours)).round().byte()
    return other


def loss(answer, wanted, turned, side, spread: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """-> by picture [n]: squared distance over `spread`; squared error of the way it faces, 1 being no answer; if it is wrong.

    Facing is a small part of the distance and decides the whole clip, so it counts by itself: how far the answer lies from one way
    to the other along `turned`."""
    directed = side != 0
    other = torch.where(directed[:, None], wanted, wanted + turned)  # Centres.either_way
    distance = torch.minimum((answer - wanted).square().sum(1), (answer - other).square().sum(1)) / spread
    length = turned.square().sum(1).clamp(min=1e-6)
    way = 1 + 2 * side * ((answer - wanted) * turned).sum(1) / length
    return distance, (way - 1).square() * directed, (way < 0) & directed


def train(args) -> None:
    rank, ranks, device = start()
    if ranks > 1:
        raise SystemExit("the stage clip is for one process: leave --nproc_per_node out, or give 1")
    if not 0 <= args.drawn < 1:
        raise SystemExit(f"--drawn is a share of the pictures, from 0 to less than 1, not {args.drawn:g}")
    if not 0 <= args.mixed <= 1 or args.soft < 0:
        raise SystemExit(
            f"--mixed is a share of the pictures, from 0 to 1, not {args.mixed:g}; --soft 0 or more, not {args.soft:g}"
        )
    if args.drawings and not Path(args.drawings).is_file():
        raise SystemExit(
            f"--drawings {args.drawings} is not there: python -m svd_lab.training.assets.build_drawings {args.drawings} makes it"
        )
    torch.manual_seed(0)
    gpu, began = device != "cpu", time.time()
    dtype = torch.bfloat16 if gpu else torch.float32
    saved = load_parts(args.weights)
    # What it answered before is what the UNet knows. A student that goes on learns from its first teacher's answers.
    teacher = clip_of(load_parts(args.teacher)["clip"] if args.teacher else saved["clip"])
    teacher = teacher.to(device).eval().requires_grad_(False)
    # Of another shape than the weights it begins from nothing.
    student = make_clip(layers=args.layers, patch=args.patch) if args.patch else clip_of(saved["clip"])
    student = student.to(device, dtype).train()
    centres = Centres.of(teacher, World(device, seed=6000 + args.seed), args.each, args.reach, 960 if gpu else 64)
    world = WildWorld(device, seed=6500 + args.seed, designs=args.designs)
    others = World(device, "held_out", seed=6700 + args.seed)
    pool, of_them = Ring(args.pool, args.render), 0
    if args.drawings:
        drawings = load(args.drawings)
        drawn, answers_drawn = drawings["pictures"].to(device), centres.either_way(drawings["things"].to(device))
        of_them, learnt = round(args.render * args.drawn), max(1, len(drawn) * 9 // 10)  # the others are for the log

    def refresh() -> None:
        with torch.no_grad():
            clips = first_frames(world, args.render - of_them, two=args.two, nothing=args.nothing)
            pictures, answers = clips.video[:, 0], centres.answers(teacher, clips)
            if of_them:
                i = world.draw.integers(of_them, 0, learnt)
                theirs, mirrored = drawn[i] / 255, world.draw.uniform(of_them, 1, 1, 1) < 0.5
                pictures = torch.cat([pictures, spoiled(torch.where(mirrored, theirs.flip(-1), theirs))])
                answers = [torch.cat([a, b[i]]) for a, b in zip(answers, answers_drawn, strict=True)]
            pool.add((pictures * 255).round().to(torch.uint8), *answers)

    while pool.n < min(args.prefill, pool.size):
        refresh()
    print(f"clip pool {pool.n}, spread {centres.spread:.0f}, set-up {time.time() - began:.0f} s", flush=True)
    optimiser = Optimiser(student.named_parameters(), muon=args.muon, ema=args.ema)

    def work(picture, wanted, turned, side, rival):
        answer = embed(student, picture).float()
        distance, facing, wrong = loss(answer, wanted, turned, side, centres.spread)
        distance = torch.minimum(distance, (answer - rival).square().sum(1) / centres.spread)
        # The least square of two answers, one a little likelier, lies between them; the least root at that one.
        near, way = (robust(x, args.soft) if args.soft else x for x in (distance, facing))
        (near + args.facing * way).mean().backward()
        return distance.detach(), facing.detach(), wrong

    def tell(n: int) -> str:
        new, other = (unseen(student, w, centres, teacher, n) for w in (world, others))
        said = f"{new}, of things held out {other}"
        if of_them:
            said += f", of drawings {judged(student, drawn[learnt:], [a[learnt:] for a in answers_drawn], centres)}"
        return said

    step, blended = Graphed(work, optimiser, gpu), round(args.batch * args.mixed)
    sums, count = torch.zeros(4, device=device), 0
    clock = Clock(args.seconds, args.begin, args.end, args.steps, device)
    while (progress := clock.tick()) is not None:
        if clock.n % args.every == 0:
            refresh()
        picture, wanted, turned, side = pool.any(args.batch)
        other = mix(picture, blended)
        side[:blended] = 0  # in a mixture either way will do
        distance, facing, wrong = step(picture, wanted, turned, side, wanted[other])
        optimiser.step(args.peak * min(1.0, clock.n / args.warm) * max(0.0, 1 - progress) ** 0.7)
        sums += torch.stack([distance.sum(), facing.sum(), wrong.float().sum(), (side != 0).float().sum()])
        count += len(picture)
        if clock.n in (1, 20, args.steps) or clock.n % 500 == 0:
            d, f, w, directed = sums.tolist()
            ways, new = max(1.0, directed), tell(args.batch)
            print(
                f"clip {clock.n} t {time.time() - clock.started:.0f}s prog {progress:.3f} pool {pool.n} "
                f"distance {d / count:.4f} facing {f / ways:.4f} wrong {w / ways:.4f} unseen {new}",
                flush=True,
            )
            sums.zero_()
            count = 0
    optimiser.use_average()
    print(f"clip averaged: unseen {tell(4 * args.batch)}", flush=True)
    kept = {part: saved[part] for part in ("unet", "head") if part in saved}
    save_parts(kept | dict(clip=half(student)), f"{args.out}/clip.pt")


@torch.no_grad()
def judged(clip, pictures: torch.Tensor, answers, centres: Centres) -> str:
    """On pictures uint8 [n,3,H,W] and what Centres.either_way says of them: distance, and share nearest to an answer wanted."""
    answer, rows = embed_all(clip, pictures / 255), torch.cat([centres.kind.flatten(0, 1), centres.nothing])
    rows = rows[rows.abs().sum(1) > 0]
    nearest = rows[torch.cdist(answer, rows).argmin(1)]
    distance, right = loss(answer, *answers, centres.spread)[0], loss(nearest, *answers, centres.spread)[0] < 1e-6
    return f"{distance.mean().item():.4f} right {right.float().mean().item():.4f}"


@torch.no_grad()
def unseen(clip, world: World, centres: Centres, teacher, n: int) -> str:
    """On n new pictures of one thing each: distance, share facing the wrong way, and share nearest to the answer wanted."""
    clips = first_frames(world, n, two=0, nothing=0)
    answer, (wanted, turned, side) = embed_all(clip, clips.video[:, 0]), centres.answers(teacher, clips)
    distance, _, wrong = loss(answer, wanted, turned, side, centres.spread)
    rows = centres.kind[centres.kind.abs().sum(2) > 0]
    right = (rows[torch.cdist(answer, rows).argmin(1)] == wanted).all(1)
    ways = max(1, (clips.facing != 0).sum().item())
    return f"{distance.mean().item():.4f} wrong {wrong.sum().item() / ways:.4f} right {right.float().mean().item():.4f}"


NOTHING = -1  # as in Clips.thing


def load(path: str | Path) -> dict:
    """What `save` wrote, as `draw` gave it but for what WebP leaves out."""
    made = torch.load(path)
    pages = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in made["pictures"]]
    return made | dict(pictures=torch.from_numpy(np.stack(pages)).permute(0, 3, 1, 2).contiguous())
