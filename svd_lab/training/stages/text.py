"""Training of the text mini, stage `text`: UNet and text encoder together, then guidance made gentle.

Stage `text`: v-prediction on a bank of latents, each with an English and a Korean caption; one caption in ten is empty, as the
pipeline's unconditional prompt is. [arXiv 2207.12598]

A small head (dropped afterwards) asks the mean of the text vectors what and where, because a UNet that still ignores the text
teaches its encoder little (docs/text-mini.md has the numbers).

Stage `text --soften K` (last, short): guidance_scale 7.5, the pipeline's and the class's default, oversaturates a model that knows
its captions well. The student learns u + K (c - u) for a caption and u for none, c and u being the finished model's predictions:
guidance g of the student IS guidance K g of the teacher, and nothing else changes. With K = 0.4, 7.5 acts as 3 did; and like the
real Stable Diffusion, the student follows a prompt only loosely without guidance.
"""

import copy
import tempfile
import time

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.stretch import Clock, Graphed, Ring, finish, half, load_parts, save_parts, start
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.text import (
    CROSS,
    encode_prompts,
    encode_text,
    make_text_encoder,
    make_text_unet,
    noise_levels,
    tokenizer_files,
    tokenizer_for_training,
    zero_text_residuals,
)
from svd_lab.training.networks.video import LATENT
from svd_lab.training.stages.text_vae import is_text_folder, load_text_folder, load_text_vae
from svd_lab.training.text.captions import caption
from svd_lab.training.text.place_words import COLOURS
from svd_lab.training.text.scene_grammar import RELATIONS, Scene, scene_of, things
from svd_lab.training.world.stills import Stills, labels, place_keys


class Bank(Ring):
    """Encoded stills, refreshed all the time: latents (scaled), where things are, an English and a Korean caption."""

    def __init__(self, vae, stills: Stills, tokenizer, size: int, batch: int):
        super().__init__(size, batch)
        self.vae, self.stills, self.tokenizer = vae, stills, tokenizer

    @torch.no_grad()
    def fill(self) -> None:
        scenes, picture, mask = self.stills.draw(self.batch)
        texts = [caption(s, self.stills.rng, language) for s in scenes for language in ("en", "ko")]
        x = (picture * 2 - 1).to(next(self.vae.parameters()).dtype).contiguous(memory_format=torch.channels_last)
        z = torch.cat([self.vae.quant_conv(self.vae.encoder(q))[:, :LATENT].float() for q in x.split(256)])
        told, device = labels(scenes), z.device
        placed = torch.tensor([s.placed for s in scenes])
        where = torch.where(placed, told["place"], -1)  # a caption that does not say where teaches nothing about it
        self.add(
            (z * self.vae.config.scaling_factor).half(),
            F.max_pool2d(F.max_pool2d(mask, 8), 3, 1, 1).half(),
            encode_prompts(self.tokenizer, texts).view(-1, 2, 77).to(device, torch.int16),
            told["things"].to(device, torch.uint8),
            torch.stack([where, told["relation"], told["colour"]], 1).to(device, torch.int16),
        )

    def draw(self, n: int) -> list[torch.Tensor]:
        """-> latents [n,8,16,28], masks [n,1,16,28], ids [n,77] (half Korean), things [n,242]; place, relation, colour [n,3]."""
        latents, masks, ids, told, rest = self.any(n)
        language = torch.randint(2, (n,), device=ids.device)
        ids = ids[torch.arange(n, device=ids.device), language]
        return [latents.float(), masks.float(), ids.long(), told.float(), rest.long()]


class Head(nn.Module):
    """Text vectors [n,77,128] -> logits of things, place, relation and colour."""

    def __init__(self):
        super().__init__()
        self.sizes = [len(things()), len(place_keys()), len(RELATIONS), len(COLOURS) + 1]
        self.out = nn.Linear(CROSS, sum(self.sizes))
        nn.init.constant_(self.out.bias[: self.sizes[0]], -5.0)  # most things are not there

    def loss(self, text: torch.Tensor, there: torch.Tensor, rest: torch.Tensor, given: torch.Tensor):
        """there [n,242] 0 or 1, rest [n,3] (place -1: not said), given [n] 0 without a caption -> loss, share of places known."""
        guess, *others = self.out(text.mean(1)).float().split(self.sizes, 1)
        each = F.binary_cross_entropy_with_logits(guess, there, reduction="none").sum(1)
        for logits, truth in zip(others, rest.T, strict=True):
            each = each + F.cross_entropy(logits, truth.clamp(min=0), reduction="none") * (truth >= 0)
        said = given * (rest[:, 0] >= 0)
        right = ((others[0].argmax(1) == rest[:, 0]) * said).sum() / said.sum().clamp(min=1)
        best = (there.gather(1, guess.argmax(1, keepdim=True))[:, 0] * given).sum() / (
            there.amax(1) * given
        ).sum().clamp(min=1)
        return (each * given).mean(), torch.stack([right, best]).detach()


def few_scenes(n: int) -> list[Scene]:
    """A tiny world for trying out: n things in three places."""
    names = [t.name for t in things()[:n]]
    return [scene_of(name, place=place) for name in names for place in ("meadow", "night", "plain red")]


def v_loss(unet, x0, embedding, mask, sigma, noise, weight: float, target=None):
    """-> loss, and picture by picture the squared error of v. x0 [n,8,16,28] scaled. target: v to learn instead of the truth."""
    s, dtype = sigma[:, None, None, None], next(unet.parameters()).dtype
    root = (s * s + 1).sqrt()
    x = ((x0 + s * noise) / root).to(dtype)
    v = unet(x, 0.25 * sigma.log(), embedding, return_dict=False)[0].float()
    goal = (noise - s * x0) / root if target is None else target(x)
    w = 1 + weight * mask
    error = ((v - goal).square() * w).mean((1, 2, 3)) / w.mean((1, 2, 3))
    return error.mean(), error.detach()


def train(args) -> None:
    """Stage `text`: see the module's docstring."""
    rank, _, device = start()
    gpu, began = device != "cpu", time.time()
    torch.manual_seed(0)
    dtype = torch.bfloat16 if gpu else torch.float32
    vae = rewrite(load_text_vae(args.vae, device).to(dtype))
    unet, text = zero_text_residuals(make_text_unet()), make_text_encoder()
    saved = {}
    if args.weights:
        saved = load_text_folder(args.weights) if is_text_folder(args.weights) else load_parts(args.weights)
        unet.load_state_dict(saved["unet"])
        text.load_state_dict(saved["text"])
    unet, text, head = rewrite(unet).to(device, dtype).train(), text.to(device, dtype).train(), Head().to(device, dtype)
    if "head" in saved:  # the exported folder has none
        head.load_state_dict(saved["head"])
    teacher = None
    if args.soften:
        if not args.weights:
            raise ValueError(f"--soften {args.soften:g} needs a finished model to soften: give it with --weights")
        teacher = [rewrite(make_text_unet()).to(device, dtype), copy.deepcopy(text)]
        teacher[0].load_state_dict(unet.state_dict())
        for m in teacher:
            m.eval().requires_grad_(False)
    named = [
        (f"{k}.{n}", p) for k, m in (("unet", unet), ("text", text), ("head", head)) for n, p in m.named_parameters()
    ]
    optimiser = Optimiser(named, muon=args.muon, ema=args.ema)
    if args.resume:
        state = torch.load(args.resume, map_location=device)
        optimiser.load(state)
        saved = dict(tokenizer=state["tokenizer"])
    fresh = optimiser.n
    torch.manual_seed(9000 + 100 * args.seed + rank)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = tokenizer_for_training(folder, saved.get("tokenizer"))
        files = tokenizer_files(folder)
    empty = encode_prompts(tokenizer, [""])[0].to(device)
    stills = Stills(device, seed=6000 + 100 * args.seed + rank, scenes=few_scenes(args.few) if args.few else None)
    bank = Bank(vae, stills, tokenizer, args.bank, min(args.part, args.prefill))
    while bank.n < args.prefill:
        bank.fill()
    if rank == 0:
        spread = bank.parts[0][: bank.n].float().std().item()
        print(f"text bank {bank.n}, latent std {spread:.3f}, set-up {time.time() - began:.0f} s", flush=True)

    def softened(x, ids, none, sigma):
        """The teacher's u + K (c - u), or u where there is no caption."""
        t = 0.25 * sigma.log()
        with torch.no_grad():
            predict = lambda i: teacher[0](x, t, encode_text(teacher[1], i), return_dict=False)[0].float()  # noqa: E731
            c, u = predict(ids), predict(empty.expand_as(ids))
        return u + args.soften * (c - u) * (1 - none[:, None, None, None])

    def work(x0, mask, ids, there, rest, none, sigma, noise):
        target = None if teacher is None else lambda x: softened(x, ids, none, sigma)
        embedding = encode_text(text, ids)
        loss, each = v_loss(unet, x0, embedding, mask, sigma, noise, args.inside, target)
        asked, known = head.loss(embedding, there, rest, 1 - none)
        (loss + ask * asked).backward()
        return each, known

    ask = 0.0 if teacher else args.ask  # what is softened stays as it was
    step = Graphed(work, optimiser, gpu)
    edges, names = torch.tensor([0.1, 0.3, 1, 3, 10], device=device), ["<.1", ".1-.3", ".3-1", "1-3", "3-10", ">10"]
    sums, counts = torch.zeros(2, 6, device=device), torch.zeros(2, 6, device=device)
    clock, last, before = Clock(args.seconds, args.begin, args.end, args.steps, device), time.time(), 0
    while (progress := clock.tick()) is not None:
        if clock.n % args.every == 0:
            bank.fill()
        n = args.batch
        x0, mask, ids, there, rest = bank.draw(n)
        none = torch.rand(n, device=device) < (0.3 if args.soften else 0.1)
        ids = torch.where(none[:, None], empty, ids)
        sigma = noise_levels(n, device)
        sigma = sigma[torch.randperm(n, device=device)]
        each, known = step(x0, mask, ids, there, rest, none.float(), sigma, torch.randn_like(x0))
        rate = min(1.0, (optimiser.n - fresh + 1) / args.warm) * min(1.0, (1 - progress) / args.decay + 0.003)
        norm = optimiser.step(rate)
        k, given = torch.bucketize(sigma, edges), (~none).float()
        for row, share in enumerate((given, 1 - given)):
            sums[row].index_add_(0, k, each * share)
            counts[row].index_add_(0, k, share)
        if rank == 0 and (clock.n in (1, 2, 5, 20, 100) or clock.n % 500 == 0):
            v, u = (sums / counts.clamp(min=1)).tolist()
            print(
                f"text {optimiser.n} t {time.time() - clock.started:.0f}s {(time.time() - last) / (clock.n - before) * 1e3:.1f} ms "
                f"prog {progress:.3f} rate {rate:.3f} norm {norm.item():.2f} place {known[0]:.2f} thing {known[1]:.2f} | v "
                f"{' '.join(f'{a}:{b:.3f}' for a, b in zip(names, v, strict=True))} | without caption "
                f"{' '.join(f'{b:.3f}' for b in u)}",
                flush=True,
            )
            last, before = time.time(), clock.n
            sums.zero_()
            counts.zero_()
    if rank == 0:
        if gpu:
            print("peak GiB", round(torch.cuda.max_memory_allocated() / 2**30, 1), flush=True)
        torch.save(optimiser.state() | dict(tokenizer=files), args.state)
        optimiser.use_average()
        parts = dict(unet=half(unet), text=half(text), head=half(head))
        save_parts(parts | dict(tokenizer=files, steps=optimiser.n), f"{args.out}/text.pt")
    finish()


def export(vae: str, weights: str, folder: str):
    """Checkpoints of both stages -> the folder that StableDiffusionPipeline.from_pretrained reads."""
    from svd_lab.training.networks.text import save_text_folder

    saved, unet, text = load_parts(weights), make_text_unet(), make_text_encoder()
    unet.load_state_dict({k: v.float() for k, v in saved["unet"].items()})
    text.load_state_dict({k: v.float() for k, v in saved["text"].items()})
    return save_text_folder(folder, load_text_vae(vae, "cpu"), unet, text, saved.get("tokenizer"))
