"""Stage two of training: the UNet and the CLIP image encoder together, on a bank of latents that is refreshed all the time.

The conditioning is StableVideoDiffusionPipeline's to the letter: picture latents = mode of encode(picture + noise_aug * randn),
NOT scaled, repeated over frames and joined on the channels; video latents x scaling_factor; input / sqrt(sigma^2 + 1); timestep
ln(sigma) / 4; v-prediction; added_time_ids = [fps - 1, motion_bucket_id, noise_aug]; unconditional = zero CLIP embedding and zero
picture latents. [diffusers StableVideoDiffusionPipeline; sigma and preconditioning: EDM, arXiv 2206.00364]

While it trains, a small head (dropped afterwards) asks the CLIP embedding what moves and which way it faces. With `--freeze 1` the
encoder stays as it came (from its own stage, train_clip.py), the head only listens, and the UNet learns to live with its answers.
A UNet whose encoder is always right about known things forgets to look at the picture, and follows it where it is wrong or unsure:
with things held out. So with `--doubt p` a share p of the clips comes with the answer of `--doubter` instead, an earlier, less able
encoder whose answers lie in the same space: what it is unsure of, the UNet has to see for itself. And with `--guided w` its own
sampling, guidance and all, is led towards the truth (visits.py): w times that loss, on `--visited` of the newest `--places`,
which come, five each, from `--sampled` clips of each refill.

New clips come from `--workers` other processes, which draw them on the CPU (-1: as many as there are cores to spare, none where
training itself is on the CPU; 0: this process draws them, on its device). The GPU only encodes them, 64 at a time, whenever so
many are ready and `--every` steps have passed since the last ones.
"""

import math
import time
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from .bank import Bank, doubts, embed, load_doubter, load_vae
from .models import clip_of, make_clip, make_unet, widened, zero_residuals
from .motion import KINDS
from .optim import Optimiser
from .renderer import Renderer
from .rewrites import rewrite
from .scenes import FRAMES, World
from .stretch import (
    Ahead,
    Clock,
    Graphed,
    finish,
    half,
    load_parts,
    save_parts,
    shared_memory,
    spare_cores,
    start,
)
from .varied import VariedWorld
from .visits import Visits, guided_distance

AT_ONCE = 8  # clips a worker draws at once: 29 a second on one core, where 64 at once need 5 GB and come at 19


def sigmas(n: int, device, mean: float, spread: float, wide: float, top: float = 700.0) -> torch.Tensor:
    """[n] noise levels, stratified: lognormal, and a share `wide` uniform in ln(sigma) over 0.01 .. `top`."""
    k = int(n * wide)
    strata = lambda m: (torch.rand(1, device=device) + torch.arange(m, device=device) / max(1, m)).remainder(1)  # noqa: E731
    normal = mean + spread * math.sqrt(2) * torch.erfinv(2 * strata(n - k).clamp(1e-4, 1 - 1e-4) - 1)
    lo, hi = math.log(0.01), math.log(top)
    return torch.exp(torch.cat([normal, lo + (hi - lo) * strata(k)]))


def v_loss(unet, x0, cond, embedding, ids, mask, sigma, noise, weight: float):
    """-> loss, and by clip: v-loss, squared error of x0 inside the mask. x0 [n,T,8,16,28] scaled, cond [n,8,16,28] (0: dropped)."""
    s, dtype = sigma[:, None, None, None, None], next(unet.parameters()).dtype
    root = (s * s + 1).sqrt()
    inputs = torch.cat([(x0 + s * noise) / root, cond[:, None].expand_as(x0)], 2).to(dtype)
    v = unet(inputs, 0.25 * sigma.log(), embedding[:, None], ids, return_dict=False)[0].float()
    error = (v - (noise - s * x0) / root).square()
    w = 1 + weight * mask
    each = (error * w).mean((1, 2, 3, 4)) / w.mean((1, 2, 3, 4))
    inside = (error.detach() * s * s / (s * s + 1) * mask).mean((1, 2, 3, 4)) / mask.mean((1, 2, 3, 4)).clamp(min=1e-3)
    return each.mean(), each.detach(), inside


@torch.no_grad()
def unseen_error(unet, clip, bank: Bank, n: int) -> float:
    """Error of x0 around things at sigma 60, where way and kind of motion are decided, on clips that no step has seen.

    Far above the log's ">40", which is of clips of the bank: the bank is being learnt by heart, so refresh it more often (--every).
    """
    bank.fill()
    x0, cond, picture, ids, mask, _ = bank.newest(n)
    embedding = embed(clip, picture)
    sigma = torch.full((len(x0),), 60.0, device=x0.device)
    return (
        v_loss(unet, x0, cond.float(), embedding, ids, mask.float(), sigma, torch.randn_like(x0), 0.0)[2].mean().item()
    )


def other_processes(args, world: World, rank: int, device: str, batch: int) -> Ahead | None:
    """Workers that draw batches of clips for a Bank; None if it has to draw its own."""
    workers = args.workers if args.workers >= 0 else spare_cores() if device != "cpu" else 0
    tables = sum(t.nbytes for t in vars(world).values() if isinstance(t, torch.Tensor))
    need = 1.2 * tables + workers * 2**26  # these are shared, and four parts are on their way from each
    if workers and shared_memory() < need:
        print(
            f"rank {rank}: /dev/shm is too small for {workers} workers ({need / 2**30:.1f} GiB), so there are none",
            flush=True,
        )
        workers = 0
    if not workers:
        return None
    part = math.gcd(batch, AT_ONCE)
    seed = 10**9 + (args.seed * 1000 + rank) * 1000  # + the worker's number; none of it a seed of something else
    return Ahead(
        Renderer(world, part, seed, nothing=args.nothing, two=args.two), workers, batch // part, device != "cpu"
    )


def train(args) -> None:
    if args.freeze and not args.weights:
        raise SystemExit(
            "--freeze 1 keeps the image encoder of --weights, and there are none: give --weights, or leave it out"
        )
    for name in ("plain", "nothing", "two", "blind"):
        if not 0 <= getattr(args, name) <= 1:
            raise SystemExit(f"--{name} is a share of the clips, from 0 to 1, not {getattr(args, name):g}")
    rank, _, device = start()
    doubter = load_doubter(args.doubt, args.doubter, device, torch.bfloat16 if device != "cpu" else torch.float32)
    began, batch = time.time(), min(64, args.prefill)
    world = VariedWorld(designs=args.designs, plain=args.plain, scale=args.scale)
    # The workers come first: while they start, the models are loaded.
    with other_processes(args, world, rank, device, batch) or nullcontext() as ahead:
        world = world.on(device, 5000 + 100 * args.seed + rank)
        learn(args, rank, device, began, world, batch, ahead, doubter)
    finish()


def learn(args, rank: int, device: str, began: float, world: World, batch: int, ahead: Ahead | None, doubter) -> None:
    """A stretch of training on clips of `world`, and on those that come from `ahead`."""
    torch.manual_seed(0)
    gpu = device != "cpu"
    dtype = torch.bfloat16 if gpu else torch.float32
    vae = rewrite(load_vae(args.vae, device).to(dtype))
    unet = rewrite(zero_residuals(make_unet(latent=vae.config.latent_channels)).to(device, dtype)).train()
    saved = load_parts(args.weights) if args.weights else {}
    clip = (clip_of(saved["clip"]) if saved else make_clip()).to(device, dtype).train().requires_grad_(not args.freeze)
    head = nn.Linear(clip.config.projection_dim, len(KINDS) + 1).to(device, dtype)
    named = [
        (f"{k}.{n}", p) for k, m in (("unet", unet), ("clip", clip), ("head", head)) for n, p in m.named_parameters()
    ]
    for k, m in (("unet", unet), ("head", head)):
        if k in saved:  # go on from averaged weights, with fresh momenta; the exported folder has no head
            m.load_state_dict(widened(saved[k], vae.config.latent_channels) if k == "unet" else saved[k])
    optimiser = Optimiser(named, muon=args.muon, ema=args.ema)
    if args.resume:
        optimiser.load(torch.load(args.resume, map_location=device))
    fresh = optimiser.n
    torch.manual_seed(7000 + 100 * args.seed + rank)
    bank, theirs = Bank(vae, world, args.bank, batch, nothing=args.nothing, two=args.two), 0
    while bank.n < args.prefill:
        made = ahead.ready() if ahead else None
        bank.put(made or bank.render())  # idle, this process draws as well
        theirs += batch if made else 0
    if rank == 0:
        spread = bank.parts[0][: bank.n].float().std().item()
        print(
            f"unet bank {bank.n}, {theirs} of them from {ahead.workers if ahead else 0} workers, latent std {spread:.3f}, "
            f"set-up {time.time() - began:.0f} s",
            flush=True,
        )

    sampled = min(args.sampled, batch)
    visits = Visits(unet, optimiser, args.places, sampled, gpu) if args.guided else None

    @torch.no_grad()
    def sample_newest():
        x0, cond, picture, ids, mask, _ = bank.newest(sampled)
        doubted = torch.rand(sampled, device=device) < args.doubt
        embedding = doubts(doubter, picture, embed(clip, picture), doubted)
        visits.add_clips(x0, cond.float(), embedding, ids, mask)

    def work(x0, cond, picture, ids, mask, what, sigma, noise, keep_picture, keep_embedding, doubted, *visited):
        embedding = embed(clip, picture)
        guess = head(embedding).float()
        known = (what[:, 0] >= 0).float()
        kind = F.cross_entropy(guess[:, :-1], what[:, 0].clamp(min=0), reduction="none") * known
        side = what[:, 1].float()
        facing = F.binary_cross_entropy_with_logits(guess[:, -1], (side > 0).float(), reduction="none") * side.abs()
        right = ((guess[:, :-1].argmax(1) == what[:, 0]).float() * known).sum() / known.sum().clamp(min=1)
        cond = cond.float() * keep_picture[:, None, None, None]
        embedding = doubts(doubter, picture, embedding, doubted) * keep_embedding[:, None].to(dtype)
        loss, each, inside = v_loss(unet, x0, cond, embedding, ids, mask.float(), sigma, noise, args.inside)
        (loss + args.ask * (kind + facing).mean()).backward()
        near = torch.zeros_like(loss)
        if visited:
            near = guided_distance(unet, args.inside, *visited).mean()
            (args.guided * near).backward()
        return each, inside, right.detach(), facing.detach().sum() / side.abs().sum().clamp(min=1), near.detach()

    step = Graphed(work, optimiser, gpu)
    edges, names = torch.tensor([0.3, 1, 3, 10, 40], device=device), ["<.3", ".3-1", "1-3", "3-10", "10-40", ">40"]
    if visits:
        sample_newest()
    sums, count = torch.zeros(2, 6, device=device), torch.zeros(6, device=device)
    profile = torch.profiler.profile() if args.profile and rank == 0 else None
    clock, last, before = Clock(args.seconds, args.begin, args.end, args.steps, device), time.time(), 0
    due, seen = args.every, bank.seen
    while (progress := clock.tick()) is not None:
        if profile and clock.n == 30:
            profile.start()
        if profile and clock.n == 33:
            profile.stop()
            order = "self_cuda_time_total" if gpu else "self_cpu_time_total"
            print(profile.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=70), flush=True)
        if clock.n >= due and (made := ahead.ready() if ahead else bank.render()):
            bank.put(made)
            due = clock.n + args.every
            if visits:
                sample_newest()
        n, frames = args.batch, 10 if clock.n % 5 == 0 else FRAMES
        late = max(0.0, (progress - 0.8) / 0.2)  # details last
        sigma = sigmas(n, device, args.mean - 0.8 * late, 1.6, args.wide * (1 - 0.3 * late), args.top)
        drop = torch.rand(n, device=device)  # 8% neither, 4% no picture latents, `blind` no embedding
        keep_picture = (drop > 0.12).float()
        keep_embedding = ((drop > 0.08) & ~((drop > 0.12) & (drop <= 0.12 + args.blind))).float()
        doubted = torch.rand(n, device=device) < args.doubt
        x0, *rest = bank.draw(n, frames)
        visited = visits.draw(args.visited) if visits else []
        each, inside, right, facing, near = step(
            x0, *rest, sigma, torch.randn_like(x0), keep_picture, keep_embedding, doubted, *visited
        )
        rate = min(1.0, (optimiser.n - fresh + 1) / args.warm) * min(1.0, (1 - progress) / args.decay + 0.003)
        norm = optimiser.step(rate)
        k = torch.bucketize(sigma, edges)
        count.index_add_(0, k, keep_picture)
        sums[0].index_add_(0, k, each * keep_picture)
        sums[1].index_add_(0, k, inside * keep_picture)
        if rank == 0 and (clock.n in (1, 2, 5, 20, 100, args.steps) or clock.n % 500 == 0):
            v, x = (sums / count.clamp(min=1)).tolist()
            ask = clock.n % 500 == 0 or clock.n == args.steps
            led = f" guided {near.item():.3f}" if visits else ""
            unseen = f" unseen {unseen_error(unet, clip, bank, n):.3f}" if ask else ""
            print(
                f"unet {optimiser.n} t {time.time() - clock.started:.0f}s {(time.time() - last) / (clock.n - before) * 1e3:.1f} ms "
                f"prog {progress:.3f} rate {rate:.3f} norm {norm.item():.2f} bank {bank.n} "
                f"new {bank.seen - seen} kind {right.item():.2f} facing {facing.item():.2f}{led} | "
                f"v {' '.join(f'{a}:{b:.3f}' for a, b in zip(names, v, strict=True))}"
                f" | x0 inside {' '.join(f'{b:.3f}' for b in x)}{unseen}",
                flush=True,
            )
            last, before, seen = time.time(), clock.n, bank.seen
            sums.zero_()
            count.zero_()
    if rank == 0:
        if gpu:
            print("peak GiB", round(torch.cuda.max_memory_allocated() / 2**30, 1), flush=True)
        torch.save(optimiser.state(), args.state)
        optimiser.use_average()
        encoder = saved["clip"] if args.freeze and saved else half(clip)  # not rounded to bfloat16 for nothing
        save_parts(dict(unet=half(unet), clip=encoder, head=half(head), steps=optimiser.n), f"{args.out}/unet.pt")
