"""The judge: a small classifier that says what is in a picture, to measure the text mini with. It is trained apart, never shipped.

It learns from rendered stills alone, with other seeds than the generator's, blurred, brightened, shifted, noisy, and half of them
passed through the VAE, so that softness is no news to it; from held-out combinations too, because it must judge them.
`measure_judge` says how far it can be believed, on stills that it has not seen.

    python -m svd_lab.training.train judge --vae OUT/text_vae.pt --seconds 60 --out OUT      # -> OUT/judge.pt.0
"""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.loop.stretch import Clock, Graphed, finish, half, load_parts, save_parts, start
from svd_lab.training.text.place_words import COLOURS
from svd_lab.training.text.scene_grammar import RELATIONS, draw_scene, things
from svd_lab.training.world.stills import Stills, labels, place_keys

THRESHOLD = 0.5  # of the probability that a thing is there


class Block(nn.Module):
    """Two convolutions around a shortcut; halves the picture if `stride` is 2."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.one, self.two = (
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
        )
        self.norm1, self.norm2 = nn.GroupNorm(16, after), nn.GroupNorm(16, after)
        self.short = nn.Conv2d(before, after, 1, stride, bias=False)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.norm1(self.one(x)))
        return F.relu(self.norm2(self.two(h)) + self.short(x))


class Judge(nn.Module):
    """Pictures [n,3,128,224] in 0..1 -> logits of things [n,242], place [n,36], relation [n,6], colour [n,11]. 3 M parameters."""

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
        h = self.last(self.blocks(F.relu(self.stem(picture * 4 - 2))))
        pooled = torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1)
        place, relation, colour = self.heads["rest"](pooled).split(
            [len(place_keys()), len(RELATIONS), len(COLOURS) + 1], 1
        )
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
    """Judge pictures [n,3,128,224] in 0..1."""
    device, parts = next(judge.parameters()).device, []
    for x in pictures.split(128):
        parts.append({k: v.float().cpu() for k, v in judge(x.to(device)).items()})
    out = {k: torch.cat([p[k] for p in parts]) for k in parts[0]}
    return Verdict(out["things"].sigmoid(), *(out[k].argmax(1) for k in ("place", "relation", "colour")))


def spoiled(x: torch.Tensor) -> torch.Tensor:
    """Pictures [n,3,h,w] in 0..1, each blurred, shifted, brightened, tinted and noisy by chance."""
    n, device = len(x), x.device
    r = lambda *s: torch.rand(*s, device=device)  # noqa: E731
    theta = torch.eye(2, 3, device=device).repeat(n, 1, 1)
    theta[:, :, 2] = (r(n, 2) - 0.5) * 0.1
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + (r(n) - 0.5) * 0.12
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), padding_mode="border", align_corners=False)
    soft = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)
    x = x + (soft - x) * (r(n, 1, 1, 1) * 1.3 - 0.3).clamp(min=0)
    x = (x - 0.5) * (0.85 + 0.3 * r(n, 1, 1, 1)) + 0.5 + (r(n, 3, 1, 1) - 0.5) * 0.08
    return (x + torch.randn_like(x) * r(n, 1, 1, 1) ** 2 * 0.06).clamp(0, 1)


def judge_loss(out: dict[str, torch.Tensor], truth: dict[str, torch.Tensor]) -> torch.Tensor:
    logits = out["things"].float()
    present = F.binary_cross_entropy_with_logits(logits, truth["things"]) * 60
    seen = truth["things"].sum(1) > 0
    colour = (F.cross_entropy(out["colour"].float(), truth["colour"], reduction="none") * seen).mean()
    return present + sum(F.cross_entropy(out[k].float(), truth[k]) for k in ("place", "relation")) + colour


@torch.no_grad()
def measure_judge(judge: Judge, vae, device: str, n: int = 1024, seed: int = 4242) -> dict[str, float]:
    """On unseen stills (half through the VAE), shares: of present things found, of absent ones claimed, of best guesses right for
    single things, of both of two found, of places, relations and colours right."""
    stills = Stills(device, seed)
    found, claimed, top, both, place, relation, colour = [], [], [], [], [], [], []
    for start_at in range(0, n, 128):
        scenes = [draw_scene(stills.rng, training=i % 9 > 0) for i in range(min(128, n - start_at))]
        x, _ = stills.render(scenes)
        if vae is not None:
            x[::2] = through(vae, x[::2])
        truth, seen = labels(scenes), look(judge, x)
        there, absent = truth["things"] > 0, truth["things"] == 0
        yes = seen.things > THRESHOLD
        found += yes[there].tolist()
        claimed.append(yes[absent].float().mean().item())
        count = there.sum(1)
        top += (seen.things.argmax(1) == truth["things"].argmax(1))[count == 1].tolist()
        both += (yes & there).sum(1).eq(2)[count == 2].tolist()
        place += (seen.place == truth["place"]).tolist()
        relation += (seen.relation == truth["relation"]).tolist()
        colour += (seen.colour == truth["colour"])[count > 0].tolist()
    mean = lambda v: round(sum(map(float, v)) / max(1, len(v)), 4)  # noqa: E731
    return dict(found=mean(found), claimed=round(sum(claimed) / len(claimed), 6), best=mean(top), both=mean(both),
                place=mean(place), relation=mean(relation), colour=mean(colour))  # fmt: skip


@torch.no_grad()
def through(vae, x: torch.Tensor) -> torch.Tensor:
    """Pictures in 0..1 through the VAE and back."""
    kind = next(vae.parameters()).dtype
    parts = [vae.decode(vae.encode(q.to(kind) * 2 - 1).latent_dist.mode()).sample for q in x.split(128)]
    return (torch.cat(parts).to(x.dtype) / 2 + 0.5).clamp(0, 1)


def load_judge(path: str, device: str = "cpu") -> Judge:
    """The judge of a checkpoint. Raises FileNotFoundError."""
    judge = Judge()
    judge.load_state_dict({k: v.float() for k, v in load_parts(path)["judge"].items()})
    return judge.to(device).eval()


def train(args) -> None:
    """Stage `judge`: AdamW with warm-up and cosine-like fall, on a pool of stills refreshed all the time."""
    from svd_lab.training.loop.muon import Optimiser
    from svd_lab.training.stages.text_vae import load_text_vae

    rank, _, device = start()
    gpu = device != "cpu"
    torch.manual_seed(0)
    kind = torch.bfloat16 if gpu else torch.float32
    vae = None if args.vae == "none" else load_text_vae(args.vae, device).to(kind)
    judge = Judge().to(device, kind, memory_format=torch.channels_last).train()
    optimiser = Optimiser(judge.named_parameters(), muon=args.muon, ema=0.995)
    torch.manual_seed(500 + rank)
    stills, pool = (
        Stills(device, seed=900_000 + rank),
        torch.zeros(args.pool, 3, 128, 224, device=device, dtype=torch.uint8),
    )
    truth = {
        k: v.to(device).repeat(args.pool, *[1] * (v.ndim - 1)) for k, v in labels([draw_scene(stills.rng)]).items()
    }
    part, at = min(256, args.pool), 0

    def refresh():
        nonlocal at
        scenes = [draw_scene(stills.rng, training=stills.rng.random() > 0.12) for _ in range(part)]
        with torch.no_grad():
            x, _ = stills.render(scenes)
            if vae is not None:
                x[::2] = through(vae, x[::2])
            rows = torch.arange(at, at + part, device=device) % len(pool)
            pool[rows] = (x * 255).round().byte()
            for k, v in labels(scenes).items():
                truth[k][rows] = v.to(device)
        at = (at + part) % len(pool)

    for _ in range(-(-args.pool // part)):
        refresh()

    def work(x, present, place, relation, colour):
        out = judge(x)
        loss = judge_loss(out, dict(things=present, place=place, relation=relation, colour=colour))
        loss.backward()
        return torch.stack([loss.detach(), (out["place"].argmax(1) == place).float().mean()])

    step, clock = Graphed(work, optimiser, gpu), Clock(args.seconds, args.begin, args.end, args.steps, device)
    last, before = time.time(), 0
    while (progress := clock.tick()) is not None:
        if clock.n % 8 == 0:
            refresh()
        i = torch.randint(len(pool), (args.batch,), device=device)
        x = spoiled(pool[i].float() / 255).to(kind).contiguous(memory_format=torch.channels_last)
        loss, place = step(x, *(truth[k][i] for k in ("things", "place", "relation", "colour")))
        optimiser.step(min(1.0, (optimiser.n + 1) / 100) * min(1.0, (1 - progress) / 0.7 + 0.003))
        if rank == 0 and (clock.n in (1, 2, 20, 100) or clock.n % 500 == 0):
            pace = (time.time() - last) / (clock.n - before) * 1e3
            print(
                f"judge {clock.n} {pace:.0f} ms prog {progress:.2f} loss {loss.item():.3f} place {place.item():.3f}",
                flush=True,
            )
            last, before = time.time(), clock.n
    if rank == 0:
        optimiser.use_average()
        judge.float().eval()
        result = measure_judge(judge, vae, device, 2048 if gpu else 16)
        print("JUDGE", result, "steps", optimiser.n, flush=True)
        save_parts(dict(judge=half(judge), measure=result), f"{args.out}/judge.pt")
    finish()
