"""Training of the text mini, stage `text-vae`: the video mini's VAE goes on with stills, without time.

The encoder too (`text_models.from_video_vae`), because stills have finer detail (windows, stars) than it has seen; `even` stays in
the loss (see train_vae.py).
"""

import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from svd_lab.training.loop.latent_bank import H, W, load_vae
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.stretch import Clock, Graphed, finish, half, load_parts, save_parts, start
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.text import from_video_vae, make_text_vae, tokenizer_files
from svd_lab.training.networks.video import LATENT
from svd_lab.training.stages.vae import shifts, warp
from svd_lab.training.world.stills import Stills


def load_text_vae(path: str, device: str):
    """The text mini's VAE: of a checkpoint, of a text folder, made of the video mini's folder; "none": untrained. Frozen, fp32."""
    vae = make_text_vae()
    if path != "none":
        saved = load_text_folder(path) if is_text_folder(path) else load_parts(path)
        if any(".temporal_res_block." in k for k in saved["vae"]):
            vae = from_video_vae(load_vae(path, "cpu"), vae)
        else:
            vae.load_state_dict({k: v.float() for k, v in saved["vae"].items()})
            vae.register_to_config(scaling_factor=saved["scaling_factor"])
    return vae.to(device).eval().requires_grad_(False)


def is_text_folder(path: str) -> bool:
    return (Path(path) / "text_encoder").is_dir()


def load_text_folder(path: str) -> dict:
    """The finished folder's weights, as the checkpoints of both stages hold them."""
    from safetensors.torch import load_file

    folder = Path(path)
    files = dict(vae="vae/diffusion_pytorch_model", unet="unet/diffusion_pytorch_model", text="text_encoder/model")
    config = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))
    parts = {k: load_file(folder / f"{f}.safetensors") for k, f in files.items()}
    return parts | dict(tokenizer=tokenizer_files(folder / "tokenizer"), scaling_factor=config["scaling_factor"])


def still_losses(vae, x, mask, noise, strength, shift, even_weight: float = 0.7):
    """x [n,3,128,224] in -1..1, mask [n,1,128,224], noise [2,n,8,16,28], strength [n,1,1,1] of the noise added to latents, shift
    [n,2,3] for `even`. -> loss, and numbers: loss, kl, spread, error, error in things, even."""
    dtype = next(vae.parameters()).dtype
    encode = lambda t: vae.quant_conv(vae.encoder(t.to(dtype))).float().chunk(2, 1)  # noqa: E731
    mean, logvar = encode(x)
    spread = mean.detach().std()
    moved = encode(warp(x, shift).contiguous(memory_format=torch.channels_last))[0]
    even = ((moved - warp(mean, shift)) / spread)[..., 2:-2, 2:-2].square().mean()
    z = mean + torch.exp(0.5 * logvar.clamp(-30, 10)) * noise[0] + strength * spread * noise[1]
    d = vae.decoder(vae.post_quant_conv(z.to(dtype))).float() - x
    w = 1 + 2 * mask
    w = w / w.mean()
    edge = ((d[..., 1:] - d[..., :-1]).abs() * w[..., 1:]).mean() + (
        (d[..., 1:, :] - d[..., :-1, :]).abs() * w[..., 1:, :]
    ).mean()
    kl = 0.5 * (mean * mean + logvar.exp() - 1 - logvar).mean()
    loss = (w * d.abs()).mean() + 1.5 * (w * d * d).mean() + 0.5 * edge + 0.3 * F.avg_pool2d(d, 4).abs().mean()
    loss = loss + 3e-5 * kl + even_weight * even
    inside = (d * d * mask).sum() / (3 * mask.sum() + 1)
    return loss, torch.stack([loss, kl, spread, (d * d).mean(), inside, even]).detach()


@torch.no_grad()
def measure_vae(vae, device: str, n: int) -> dict:
    """On held-out combinations: PSNR of the round trip, in things; the spread of the latents."""
    stills, error, inside, latents = Stills(device, 77, training=False), [], [], []
    for _ in range(n):
        _, x, mask = stills.draw(8)
        z = vae.encode(x * 2 - 1).latent_dist.mode()
        d = vae.decode(z).sample.clamp(-1, 1) / 2 + 0.5 - x
        error.append((d * d).mean())
        inside.append((d * d * mask).sum() / (3 * mask.sum()))
        latents.append(z)
    db = lambda q: round(-10 * torch.stack(q).mean().log10().item(), 2)  # noqa: E731
    return dict(psnr=db(error), thing=db(inside), std=torch.cat(latents).std().item())


def train(args) -> None:
    """Stage `text-vae`: see the docstring above."""
    rank, _, device = start()
    gpu, began = device != "cpu", time.time()
    torch.manual_seed(0)
    vae = (
        load_text_vae(args.vae, "cpu").to(device, torch.bfloat16 if gpu else torch.float32).requires_grad_(True).train()
    )
    vae = rewrite(vae)
    optimiser = Optimiser(vae.named_parameters(), muon=args.muon, ema=0.998)
    if args.resume:
        optimiser.load(torch.load(args.resume, map_location=device))
    torch.manual_seed(1000 * args.seed + rank)
    stills = Stills(device, seed=300 + 10 * args.seed + rank)
    pool = torch.zeros(args.pool, 4, 128, 224, device=device, dtype=torch.uint8)
    part, at = min(128, args.pool), 0

    def refresh():
        nonlocal at
        with torch.no_grad():
            _, x, mask = stills.draw(part)
            rows = torch.arange(at, at + part, device=device) % len(pool)
            pool[rows] = (torch.cat([x, mask], 1) * 255).round().byte()
        at = (at + part) % len(pool)

    for _ in range(-(-args.pool // part)):
        refresh()
    if rank == 0:
        print(f"text-vae pool {len(pool)}, set-up {time.time() - began:.0f} s", flush=True)

    def work(*batch):
        loss, numbers = still_losses(vae, *batch)
        loss.backward()
        return numbers

    step = Graphed(work, optimiser, gpu)
    clock, log, last, before = Clock(args.seconds, args.begin, args.end, args.steps, device), None, time.time(), 0
    while (progress := clock.tick()) is not None:
        if clock.n % 8 == 0:
            refresh()
        n = args.batch
        batch = pool[torch.randint(len(pool), (n,), device=device)].float() / 255
        strength = torch.rand(n, device=device) * 0.15 * (torch.rand(n, device=device) < 0.7)
        x = (batch[:, :3] * 2 - 1).contiguous(memory_format=torch.channels_last)
        noise = torch.randn(2, n, LATENT, H, W, device=device)
        numbers = step(x, batch[:, 3:].contiguous(), noise, strength[:, None, None, None], shifts(n, 128, 224, device))
        norm = optimiser.step(min(1.0, (optimiser.n + 1) / 100) * min(1.0, (1 - progress) / 0.7 + 0.01))
        log = numbers.clone() if log is None else log.lerp(numbers, 0.02)
        if rank == 0 and (clock.n in (1, 2, 5, 20, 100) or clock.n % 500 == 0):
            v, pace = log.tolist(), (time.time() - last) / (clock.n - before) * 1e3
            print(
                f"text-vae {optimiser.n} t {time.time() - clock.started:.0f}s {pace:.0f} ms prog {progress:.2f} loss {v[0]:.4f} "
                f"kl {v[1]:.1f} std {v[2]:.2f} even {v[5]:.4f} psnr {10 * math.log10(4 / v[3]):.2f} "
                f"thing {10 * math.log10(4 / v[4]):.2f} norm {norm.item():.2f}",
                flush=True,
            )
            last, before = time.time(), clock.n
    if rank == 0:
        torch.save(optimiser.state(), args.state)
        optimiser.use_average()
        vae.float().eval()
        result = measure_vae(vae, device, 32 if gpu else 1)
        print("TEXT-VAE", result, "steps", optimiser.n, flush=True)
        saved = dict(vae=half(vae), scaling_factor=1 / result["std"], measure=result, steps=optimiser.n)
        save_parts(saved, f"{args.out}/text_vae.pt")
    finish()
