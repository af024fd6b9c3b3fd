"""Stage `judge`: a small classifier of what is in a picture, to measure the text mini with. It is never shipped.

It learns from rendered stills alone, with other seeds than the generator's, blurred, brightened, shifted, noisy, and half of them
passed through the VAE, so that it knows softness; from held-out combinations too, because it must judge them. `measure_judge`
measures how reliable it is, on stills that it has not seen.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.loop.augment import augment
from svd_lab.training.loop.checkpoints import full, half, load_parts, save_parts
from svd_lab.training.loop.clock import Clock, rate_factor
from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.options import StageOptions, option
from svd_lab.training.loop.process import Process, finish, start
from svd_lab.training.loop.ring import Ring
from svd_lab.training.stages.text_vae import load_text_vae
from svd_lab.training.text.place_words import COLOURS
from svd_lab.training.text.scene_grammar import RELATIONS, Scene, draw_scene, things
from svd_lab.training.world.stills import Stills, labels, place_keys

THRESHOLD = 0.5  # of the probability that a thing is there
LABELS = ("things", "place", "relation", "colour")


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(StageOptions):
    """Options of stage `judge`."""

    vae: str = option("none", "checkpoint or folder with the text mini's VAE; none: no picture passes through one")
    batch: int = option(192, "stills a step")
    pool: int = option(16384, "stills to draw from")


class Block(nn.Module):
    """Two convolutions around a shortcut; halves the picture if `stride` is 2."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.one = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.GroupNorm(16, after), nn.GroupNorm(16, after)
        self.short = nn.Conv2d(before, after, 1, stride, bias=False)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [n,after,h/stride,w/stride]."""
        h = F.relu(self.norm1(self.one(x)))
        return F.relu(self.norm2(self.two(h)) + self.short(x))


class Judge(nn.Module):
    """Pictures [n,3,128,224] in 0 .. 1 -> logits of things [n,242], place [n,36], relation [n,6], colour [n,11]. 3 M parameters."""

    def __init__(self, width: int = 48):
        super().__init__()
        sizes = [width, width * 2, width * 4, width * 6]
        self.stem = nn.Conv2d(3, width, 5, 2, 2)
        self.blocks = nn.Sequential(*(Block(a, b, 2) for a, b in zip([width, *sizes], sizes, strict=False)))
        self.last = Block(sizes[-1], sizes[-1], 1)
        self.heads = nn.ModuleDict(
            dict(
                things=nn.Conv2d(sizes[-1], len(things()), 1),
                rest=nn.Linear(2 * sizes[-1], len(place_keys()) + len(RELATIONS) + len(COLOURS) + 1),
            )
        )

    def forward(self, picture: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the logits by name."""
        h = self.last(self.blocks(F.relu(self.stem(picture * 4 - 2))))
        pooled = torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1)
        sizes = [len(place_keys()), len(RELATIONS), len(COLOURS) + 1]
        place, relation, colour = self.heads["rest"](pooled).split(sizes, 1)
        return dict(things=self.heads["things"](h).amax((2, 3)) - 4, place=place, relation=relation, colour=colour)


@dataclass
class Verdict:
    """What the judge sees in n pictures, on the CPU."""

    things: torch.Tensor  # [n,242] probabilities
    place: torch.Tensor  # [n] index into place_keys()
    relation: torch.Tensor  # [n] index into RELATIONS
    colour: torch.Tensor  # [n] of the first thing: 0 its own, else 1 + index into COLOURS


@torch.no_grad()
def look(judge: Judge, pictures: torch.Tensor) -> Verdict:
    """Judge pictures [n,3,128,224] in 0 .. 1."""
    device, parts = next(judge.parameters()).device, []
    for x in pictures.split(128):
        parts.append({k: v.float().cpu() for k, v in judge(x.to(device)).items()})
    out = {k: torch.cat([p[k] for p in parts]) for k in parts[0]}
    return Verdict(out["things"].sigmoid(), *(out[k].argmax(1) for k in ("place", "relation", "colour")))


def judge_loss(out: dict[str, torch.Tensor], truth: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the loss of logits against `labels`."""
    present = F.binary_cross_entropy_with_logits(out["things"].float(), truth["things"]) * 60
    seen = truth["things"].sum(1) > 0
    colour = (F.cross_entropy(out["colour"].float(), truth["colour"], reduction="none") * seen).mean()
    return present + sum(F.cross_entropy(out[k].float(), truth[k]) for k in ("place", "relation")) + colour


def shares(values: list) -> float:
    """Return the mean of true and false, rounded; 0 for none."""
    return round(sum(map(float, values)) / max(1, len(values)), 4)


@torch.no_grad()
def measure_judge(
    judge: Judge, vae: nn.Module | None, device: str, n: int = 1024, seed: int = 4242
) -> dict[str, float]:
    """Measure the judge on n new stills, half of them through the VAE.

    Returns:
        Shares: of present things found, of absent ones claimed, of likeliest things that are right for single ones, of pairs found
        whole, of places, relations and colours that are right.
    """
    stills = Stills(device, seed)
    found, claimed, best, both, place, relation, colour = [], [], [], [], [], [], []
    for begin in range(0, n, 128):
        scenes = [draw_scene(stills.rng, training=i % 9 > 0) for i in range(min(128, n - begin))]
        truth, seen = labels(scenes), look(judge, render_half_decoded(stills, scenes, vae))
        there, absent = truth["things"] > 0, truth["things"] == 0
        yes, count = seen.things > THRESHOLD, there.sum(1)
        found += yes[there].tolist()
        claimed.append(yes[absent].float().mean().item())
        best += (seen.things.argmax(1) == truth["things"].argmax(1))[count == 1].tolist()
        both += (yes & there).sum(1).eq(2)[count == 2].tolist()
        place += (seen.place == truth["place"]).tolist()
        relation += (seen.relation == truth["relation"]).tolist()
        colour += (seen.colour == truth["colour"])[count > 0].tolist()
    return dict(
        found=shares(found), claimed=round(sum(claimed) / len(claimed), 6), best=shares(best), both=shares(both),
        place=shares(place), relation=shares(relation), colour=shares(colour),
    )  # fmt: skip


@torch.no_grad()
def round_trip(vae: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return pictures in 0 .. 1 after encoding and decoding."""
    dtype = next(vae.parameters()).dtype
    parts = [vae.decode(vae.encode(q.to(dtype) * 2 - 1).latent_dist.mode()).sample for q in x.split(128)]
    return (torch.cat(parts).to(x.dtype) / 2 + 0.5).clamp(0, 1)


@torch.no_grad()
def render_half_decoded(stills: Stills, scenes: list[Scene], vae: nn.Module | None) -> torch.Tensor:
    """Render scenes [n,3,128,224] in 0 .. 1, every second one through the VAE, if there is one."""
    x, _ = stills.render(scenes)
    if vae is not None:
        x[::2] = round_trip(vae, x[::2])
    return x


def load_judge(path: str, device: str = "cpu") -> Judge:
    """Return the judge of a checkpoint. Raises FileNotFoundError."""
    judge = Judge()
    judge.load_state_dict(full(load_parts(path)["judge"]))
    return judge.to(device).eval()


class LabelledPool(Ring):
    """Rendered stills as uint8 [n,3,128,224] and their LABELS; some are replaced at every refresh."""

    def __init__(self, stills: Stills, vae: nn.Module | None, size: int):
        super().__init__(size, min(256, size))
        self.stills, self.vae = stills, vae
        while self.n < self.size:
            self.refresh()

    def refresh(self) -> None:
        """Draw a batch of new stills."""
        rng = self.stills.rng
        scenes = [draw_scene(rng, training=rng.random() > 0.12) for _ in range(self.batch)]
        x, truth = render_half_decoded(self.stills, scenes, self.vae), labels(scenes)
        self.add((x * 255).round().byte(), *(truth[name].to(x.device) for name in LABELS))


def learn(options: JudgeOptions, process: Process, judge: Judge, optimiser: Optimiser, pool: LabelledPool) -> None:
    """Train until the clock says so."""

    def forward_backward(x: torch.Tensor, *truth: torch.Tensor) -> torch.Tensor:
        out, wanted = judge(x), dict(zip(LABELS, truth, strict=True))
        loss = judge_loss(out, wanted)
        loss.backward()
        return torch.stack([loss.detach(), (out["place"].argmax(1) == wanted["place"]).float().mean()])

    step, clock = Graphed(forward_backward, optimiser, process.gpu), Clock(options, process.device)
    while (progress := clock.tick()) is not None:
        if clock.n % 8 == 0:
            pool.refresh()
        pictures, *truth = pool.sample(options.batch)
        x = augment(pictures.float() / 255).to(process.dtype).contiguous(memory_format=torch.channels_last)
        loss, place = step(x, *truth)
        optimiser.step(rate_factor(optimiser.n, progress, warmup=100, decay=0.7, floor=0.003))
        if process.main and (clock.n in (1, 2, 20, 100) or clock.n % 500 == 0):
            print(
                f"judge {clock.n} {clock.pace():.0f} ms prog {progress:.2f} loss {loss.item():.3f} place {place.item():.3f}",
                flush=True,
            )
            clock.mark()


def train(options: JudgeOptions) -> None:
    """Train the classifier that measures the text mini; writes OUT/judge.pt."""
    process = start()
    torch.manual_seed(0)
    vae = None if options.vae == "none" else load_text_vae(options.vae, process.device).to(process.dtype)
    judge = Judge().to(process.device, process.dtype, memory_format=torch.channels_last).train()
    optimiser = Optimiser(judge.named_parameters(), muon=options.muon, ema=0.995)
    torch.manual_seed(500 + process.rank)
    stills = Stills(process.device, seed=900_000 + process.rank)
    draw_scene(stills.rng)  # skipped: a seed gives the same stills as it always did
    pool = LabelledPool(stills, vae, options.pool)
    learn(options, process, judge, optimiser, pool)
    if process.main:
        optimiser.use_average()
        result = measure_judge(judge.float().eval(), vae, process.device, 2048 if process.gpu else 16)
        print("JUDGE", result, "steps", optimiser.n, flush=True)
        save_parts(dict(judge=half(judge), measure=result), f"{options.out}/judge.pt")
    finish()
