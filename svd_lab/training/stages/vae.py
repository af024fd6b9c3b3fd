"""Stage one of training: the VAE, alone and first, because it is the ceiling of everything after it.

First two thirds: many independent 96 x 96 crops, mostly around things. Last third: whole pictures, two neighbouring frames or all
fourteen, because the decoder's norms and temporal layers span what it decodes at once (decode_chunk_size). Latents are decoded
with some noise on them, since the UNet's will not be perfect, and for a part shifted and scaled (EQ-VAE, arXiv 2502.09509). And
the code of a picture shifted by a few pixels must be the shifted code (`even`): without that every position inside a cell of
8 x 8 pixels is another code, and the UNet must learn each by heart (docs/mini.md has the numbers).
"""

import math
import time

import torch
import torch.nn.functional as F

from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.stretch import Clock, Graphed, Ring, finish, half, load_parts, save_parts, start
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import LATENT, make_vae
from svd_lab.training.world.varied_world import VariedWorld
from svd_lab.world.scenes import FRAMES, World


def warp(t: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(
        t, F.affine_grid(theta, t.shape, align_corners=False), padding_mode="border", align_corners=False
    )


def losses(vae, x, mask, noise, strength, theta, shift, frames: int, even_weight: float):
    """x [N,3,h,w] in -1..1 (N = clips * frames), mask [N,1,h,w], noise [2,N,8,h/8,w/8], strength [N,1,1,1] of the noise added,
    theta [N,2,3] the affine map of latents and target, shift likewise for `even`. -> loss and nine numbers to print."""
    dtype = next(vae.parameters()).dtype
    encode = lambda t: vae.quant_conv(vae.encoder(t.to(dtype))).float().chunk(2, 1)  # noqa: E731
    mean, logvar = encode(x)
    spread = mean.detach().std()
    moved = encode(warp(x, shift).contiguous(memory_format=torch.channels_last))[0]
    even = ((moved - warp(mean, shift)) / spread)[..., 2:-2, 2:-2].square().mean()  # the border's content is not known
    z = mean + torch.exp(0.5 * logvar.clamp(-30, 10)) * noise[0]
    z = warp(z, theta) + strength * spread * noise[1]
    x, mask = warp(x, theta), warp(mask, theta)
    y = vae.decoder(
        z.to(dtype), num_frames=frames, image_only_indicator=torch.zeros(len(x) // frames, frames, device=x.device)
    ).float()
    d = y - x
    w = 1 + 3 * mask
    w = w / w.mean()
    l1, l2 = (w * d.abs()).mean(), (w * d * d).mean()
    edge = ((d[..., 1:] - d[..., :-1]).abs() * w[..., 1:]).mean() + (
        (d[..., 1:, :] - d[..., :-1, :]).abs() * w[..., 1:, :]
    ).mean()
    coarse = F.avg_pool2d(d, 4).abs().mean()
    loss = l1 + 1.5 * l2 + 0.5 * edge + 0.3 * coarse
    kl = 0.5 * (mean * mean + logvar.exp() - 1 - logvar).mean()
    loss = loss + 3e-5 * kl + even_weight * even
    flicker = d.new_zeros(())
    if frames > 1:
        t = d.view(-1, frames, *d.shape[1:])
        flicker = (t[:, 1:] - t[:, :-1]).abs().mean()
        loss = loss + 0.5 * flicker
    seen = mask.sum() * 3 + 1
    numbers = torch.stack([loss, l1, edge, flicker, kl, spread, (d * d).mean(), ((d * d) * mask).sum() / seen, even])
    return loss, numbers.detach()


class Pool(Ring):
    """Rendered clips as uint8, some replaced at every visit: pictures for many steps at the cost of few renderings."""

    def __init__(self, world: World, size: int, batch: int):
        super().__init__(size, min(batch, size))
        self.world = world
        while self.n < self.size:
            self.refresh()

    @torch.no_grad()
    def refresh(self):
        c = self.world.clips(self.batch, nothing=0.2, two=0.35)
        self.add((c.video * 255).round().byte(), (c.alpha * 255).round().byte())

    @property
    def video(self) -> torch.Tensor:
        return self.parts[0]

    @property
    def alpha(self) -> torch.Tensor:
        return self.parts[1]

    def frames(self, clips: int, frames: int):
        """Whole pictures [clips*frames,3,128,224] in -1..1 and masks [..,1,128,224]: neighbouring frames of each clip."""
        d = self.video.device
        i = torch.randint(len(self.video), (clips,), device=d)
        t = torch.randint(FRAMES - frames + 1, (clips, 1), device=d) + torch.arange(frames, device=d)
        x, m = self.video[i[:, None], t], self.alpha[i[:, None], t]
        return x.flatten(0, 1).float() / 127.5 - 1, m.flatten(0, 1)[:, None].float() / 255

    def crops(self, n: int, size: int):
        """n crops [n,3,size,size], three of four around a pixel of a thing."""
        d = self.video.device
        i, t = torch.randint(len(self.video), (n,), device=d), torch.randint(FRAMES, (n,), device=d)
        m = self.alpha[i, t]
        around = torch.multinomial((m.flatten(1) > 127).float() + 1e-6, 1)[:, 0]
        anywhere = torch.randint(m[0].numel(), (n,), device=d)
        centre = torch.where(torch.rand(n, device=d) < 0.75, around, anywhere)
        shake = torch.randint(-size // 4, size // 4 + 1, (2, n), device=d)
        y = (centre // 224 - size // 2 + shake[0]).clamp(0, 128 - size)
        x = (centre % 224 - size // 2 + shake[1]).clamp(0, 224 - size)
        rows, cols = y[:, None] + torch.arange(size, device=d), x[:, None] + torch.arange(size, device=d)
        v = self.video[i, t].permute(0, 2, 3, 1)
        k = torch.arange(n, device=d)[:, None, None]
        pick = lambda a: a[k, rows[:, :, None], cols[:, None, :]]  # noqa: E731
        return pick(v).permute(0, 3, 1, 2).float() / 127.5 - 1, pick(m)[:, None].float() / 255


def shifts(n: int, h: int, w: int, device) -> torch.Tensor:
    """[n,2,3]: translations by -7 .. 7 whole pixels of a picture of h x w."""
    theta = torch.eye(2, 3, device=device).repeat(n, 1, 1)
    theta[:, :, 2] = torch.randint(-7, 8, (n, 2), device=device) * 2 / torch.tensor([w, h], device=device)
    return theta


def thetas(clips: int, frames: int, share: float, device) -> torch.Tensor:
    """[clips*frames,2,3]: identity, or for a share of the clips a scale of 0.75..1.15 with a shift of up to an eighth."""
    on = (torch.rand(clips, device=device) < share).float()
    scale = 1 + on * (torch.rand(clips, device=device) * 0.4 - 0.15)
    theta = torch.zeros(clips, 2, 3, device=device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = on[:, None] * (torch.rand(clips, 2, device=device) - 0.5) * 0.25
    return theta.repeat_interleave(frames, 0)


@torch.no_grad()
def measure(vae, device: str, n: int) -> dict:
    """On held-out things: PSNR of the round trip (all pixels, the thing's; decoding 14 and 2 frames at once), `even`, spread."""
    world = World(device, "held_out", seed=5)
    error, inside, pair, latents, even = [], [], [], [], []
    for _ in range(n):
        c = world.clips(2, nothing=0.0, two=0.0)
        x, m = c.video.flatten(0, 1) * 2 - 1, c.alpha.flatten(0, 1)[:, None]
        z = vae.encode(x).latent_dist.mode()
        s = shifts(len(x), 128, 224, x.device)
        difference = (vae.encode(warp(x, s)).latent_dist.mode() - warp(z, s))[..., 2:-2, 2:-2]
        even.append(difference.square().mean() / z.var())
        decode = lambda k: torch.cat([vae.decode(q, num_frames=k).sample for q in z.split(k)]).clamp(-1, 1)  # noqa: B023, E731
        d = ((decode(FRAMES) - x) / 2).square()
        error.append(d.mean())
        inside.append((d * m).sum() / (3 * m.sum()))
        pair.append(((decode(2) - x) / 2).square().mean())
        latents.append(z)
    z, db = torch.cat(latents), lambda q: round(-10 * torch.stack(q).mean().log10().item(), 2)
    return dict(
        psnr=db(error), thing=db(inside), psnr_chunk2=db(pair), even=round(torch.stack(even).mean().item(), 4),
        std=z.std().item(), channels=[round(s, 3) for s in z.std((0, 2, 3)).tolist()],
    )  # fmt: skip


def train(args) -> None:
    rank, _, device = start()
    torch.manual_seed(0)
    gpu = device != "cpu"
    dtype = torch.bfloat16 if gpu else torch.float32
    vae = rewrite(make_vae().to(device, dtype)).train()
    if args.weights:
        vae.load_state_dict(load_parts(args.weights)["vae"])
    optimiser = Optimiser(vae.named_parameters(), muon=args.muon, ema=0.998)
    if args.resume:
        optimiser.load(torch.load(args.resume, map_location=device))
    torch.manual_seed(1000 * args.seed + rank)
    pool = Pool(VariedWorld(device, seed=100 + 10 * args.seed + rank), args.pool, 32)

    def worker(frames: int):
        def work(*batch):
            loss, numbers = losses(vae, *batch, frames, args.equivariance)
            loss.backward()
            return numbers

        return Graphed(work, optimiser, gpu)

    steps = {}  # by the number of frames, which is part of the graph
    clock, log, last, before = Clock(args.seconds, args.begin, args.end, args.steps, device), None, time.time(), 0
    while (progress := clock.tick()) is not None:
        if clock.n % 2 == 0:
            pool.refresh()
        whole = progress > args.crops
        frames = 1 if not whole else (FRAMES if clock.n % 4 == 0 else 2)
        clips = args.batch if not whole else max(1, args.batch * 3 // 8 // frames)
        x, m = pool.frames(clips, frames) if whole else pool.crops(clips, 96)
        n = len(x)
        noise = torch.randn(2, n, LATENT, x.shape[2] // 8, x.shape[3] // 8, device=device)
        r = (torch.rand(clips, device=device) * 0.15 * (torch.rand(clips, device=device) < 0.7)).repeat_interleave(
            frames
        )
        theta = thetas(clips, frames, args.warp * (1 - max(0.0, progress - 0.8) * 5), device)
        shift = shifts(n, x.shape[2], x.shape[3], device)
        if frames not in steps:
            steps[frames] = worker(frames)
        numbers = steps[frames](
            x.contiguous(memory_format=torch.channels_last), m, noise, r[:, None, None, None], theta, shift
        )
        rate = min(1.0, (optimiser.n + 1) / 100) * min(1.0, (1 - progress) / 0.6 + 0.01)
        norm = optimiser.step(rate)
        log = numbers.clone() if log is None else log.lerp(numbers, 0.02)
        if rank == 0 and (clock.n in (1, 2, 5, 20) or clock.n % 200 == 0):
            v, pace = log.tolist(), (time.time() - last) / (clock.n - before) * 1e3
            print(
                f"vae {optimiser.n} t {time.time() - clock.started:.0f}s {pace:.0f} ms prog {progress:.2f} frames {frames} "
                f"loss {v[0]:.4f} edge {v[2]:.4f} flicker {v[3]:.4f} kl {v[4]:.1f} std {v[5]:.2f} even {v[8]:.4f} "
                f"psnr {10 * math.log10(4 / v[6]):.2f} thing {10 * math.log10(4 / max(v[7], 1e-9)):.2f} norm {norm.item():.2f}",
                flush=True,
            )
            last, before = time.time(), clock.n
    if rank == 0:
        torch.save(optimiser.state(), args.state)
        optimiser.use_average()
        vae.float().eval()
        result = measure(vae, device, 12 if gpu else 1)
        print("VAE", result, "steps", optimiser.n, flush=True)
        vae.register_to_config(scaling_factor=1 / result["std"])
        save_parts(
            dict(vae=half(vae), scaling_factor=1 / result["std"], measure=result, steps=optimiser.n),
            f"{args.out}/vae.pt",
        )
    finish()
