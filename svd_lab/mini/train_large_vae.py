"""A VAE of 16 x 16 pixels a cell, for pictures of 256 x 448: as many cells as the small one's, so the UNet costs the same.

    python -m svd_lab.mini.train large-vae --vae svd_lab/mini/weights --seconds 470 --out OUT       # training/LOG.md has more

Its first 8 channels (with `--latent 8` all) are led to be the small VAE's code of the same picture at half the size (`align`), and
its inner levels begin with the small one's weights. So the UNet that knows the small VAE fits as it is, or has only the other 8
channels, the detail, to learn (models.widened). The rest is train_vae's recipe: crops and whole pictures, noise on the latents,
`even` (here by shifts of up to 15 pixels, each channel by its own spread). A share `without` of the clips is decoded from the first
8 channels alone, the others 0, so that what a UNet cannot tell may stay 0. From `critic` of the schedule on the decoder is led by
what a critic in pixels says, too (critic.py).
"""

import math
import time
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch.utils.data import IterableDataset, get_worker_info

from .bank import load_vae
from .critic import FlatAdam, PixelCritic, judged
from .models import LARGE_LATENT, LARGE_WIDTHS_VAE, make_vae, vae_of
from .optim import Optimiser
from .renderer import keep_memory
from .rewrites import rewrite
from .scenes import FRAMES, World
from .stretch import Ahead, Clock, Ring, half, load_parts, save_parts, shared_memory, spare_cores, start
from .train_vae import thetas, warp
from .varied import VariedWorld

SCALE, CELL = 2, 16
H, W = 128 * SCALE, 224 * SCALE
CROP = 192
AT_ONCE = 4  # clips that a worker draws at once
NAMES = "loss l1 edge flicker kl mse inside even align D fm adv rough".split()


def begun(small: dict, latent: int = LARGE_LATENT):
    """A new VAE whose inner levels have the weights `small` of the small VAE, wherever those fit."""
    vae = make_vae(LARGE_WIDTHS_VAE, latent)
    own, taken = vae.state_dict(), 0
    for name, value in small.items():
        part = name.split(".")
        if name.startswith("encoder.down_blocks."):  # one level more outside, so each lies one further in
            part[2] = str(int(part[2]) + 1)
        target = ".".join(part)
        if target in own and own[target].shape == value.shape:
            own[target] = value.float()
            taken += value.numel()
    for name in (
        "encoder.conv_out",
        "quant_conv",
        "decoder.conv_in",
    ):  # the first channels of mean, of logvar, and of the code
        wide, narrow = own[f"{name}.weight"], small[f"{name}.weight"].float()
        n = narrow.shape[1] if name == "decoder.conv_in" else len(narrow) // 2
        rows = [slice(None)] * 2 if name == "decoder.conv_in" else [slice(0, n), slice(latent, latent + n)]
        if name == "decoder.conv_in":
            wide[:, :n], wide[:, n:] = narrow, 0.3 * wide[:, n:]
            continue
        bias, old = own[f"{name}.bias"], small[f"{name}.bias"].float()
        for k, to in enumerate(rows):
            here = slice(k * n, (k + 1) * n)
            bias[to] = old[here]
            if name == "quant_conv":
                wide[to] = 0
                for j, into in enumerate(rows):
                    wide[to, into] = narrow[here, j * n : (j + 1) * n]
            else:
                wide[to] = narrow[here]
    vae.load_state_dict(own)
    print(
        f"{taken / 1e6:.2f} of {sum(v.numel() for v in own.values()) / 1e6:.2f} M weights are the small VAE's",
        flush=True,
    )
    return vae


def revived(vae, n: int, spread: float = 4.0):
    """The VAE with channels from `n` on as new: a random mean, of about `spread`, and little noise on it."""
    fresh = make_vae(LARGE_WIDTHS_VAE, LARGE_LATENT)
    latent = LARGE_LATENT
    with torch.no_grad():
        for name in ("weight", "bias"):
            own, new = getattr(vae.encoder.conv_out, name), getattr(fresh.encoder.conv_out, name)
            own[n:latent], own[latent + n :] = new[n:latent], 0
        weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
        for at in (slice(n, latent), slice(latent + n, 2 * latent)):
            weight[at], weight[:, at], bias[at] = 0, 0, 0
        for k in range(n, latent):
            weight[k, k] = 2.5 * spread  # the convolution before it gives about 0.4
        bias[latent + n :] = 2 * math.log(0.05 * spread)
        into = vae.decoder.conv_in.weight
        into[:, n:] = 0.5 * into[:, :n].std() * torch.randn_like(into[:, n:])
    return vae


def narrowed(vae, n: int):
    """The VAE with its first `n` channels alone; what the others are on average goes into the decoder's bias."""
    latent, out = vae.config.latent_channels, make_vae(LARGE_WIDTHS_VAE, n)
    state, keep = dict(vae.state_dict()), [*range(n), *range(latent, latent + n)]
    for name in ("encoder.conv_out", "quant_conv"):
        state[f"{name}.weight"], state[f"{name}.bias"] = state[f"{name}.weight"][keep], state[f"{name}.bias"][keep]
    state["quant_conv.weight"] = state["quant_conv.weight"][:, keep]
    into = state["decoder.conv_in.weight"]
    means = vae.quant_conv.bias[n:latent]  # of channels that no longer depend on the picture
    state["decoder.conv_in.bias"] = state["decoder.conv_in.bias"] + torch.einsum("oihw,i->o", into[:, n:], means)
    state["decoder.conv_in.weight"] = into[:, :n]
    out.load_state_dict({k: v.detach() for k, v in state.items()})
    return out


def normalised(vae, first: int, wanted: float, spread: torch.Tensor):
    """Channels from `first` on scaled to a standard deviation of `wanted`, in encoder and decoder alike: the same pictures."""
    by = torch.ones_like(spread)
    by[first:] = wanted / spread[first:]
    n = len(by)
    with torch.no_grad():
        vae.quant_conv.weight[:n] *= by.view(-1, 1, 1, 1)
        vae.quant_conv.bias[:n] *= by
        vae.quant_conv.bias[n:] += 2 * by.log()
        vae.decoder.conv_in.weight /= by.view(1, -1, 1, 1)
    return vae


def losses(vae, small, critic, args, x, mask, noise, strength, kept, theta, shift, share, frames: int):
    """As train_vae.losses, with `align` and the critic; the gradients of VAE and critic are left in their parameters. -> NAMES.

    x [N,3,h,w] in -1..1, mask [N,1,h,w], noise [2,N,C,h/16,w/16], strength and kept [N,1,1,1] (0: without the detail), theta
    and shift [N,2,3], share [] of the critic's part.
    """
    dtype = next(vae.parameters()).dtype
    last = dict(memory_format=torch.channels_last)
    encode = lambda t: vae.quant_conv(vae.encoder(t.to(dtype).contiguous(**last))).float().chunk(2, 1)  # noqa: E731
    mean, logvar = encode(x)
    # With its gradient: detached, `even` shrinks a channel until it has gone (so the first stretch lost all of its last eight).
    # Where `align` holds all channels fast it stays detached, as in the stretch that was stable.
    spread = mean.std((0, 2, 3), keepdim=True).clamp(min=1e-2)
    if mean.shape[1] == small.config.latent_channels:
        spread = spread.detach()
    with torch.no_grad():
        wanted = F.avg_pool2d(x, SCALE).to(dtype).contiguous(**last)
        wanted = small.quant_conv(small.encoder(wanted)).float().chunk(2, 1)[0]
    n = wanted.shape[1]
    align = ((mean[:, :n] - wanted).square().mean((0, 2, 3)) / wanted.var((0, 2, 3)).clamp(min=1e-4)).mean()
    moved = encode(warp(x, shift))[0]
    even = ((moved - warp(mean, shift)) / spread)[..., 2:-2, 2:-2].square().mean()  # the border's content is not known
    z = mean + torch.exp(0.5 * logvar.clamp(-30, 10)) * noise[0]
    z = warp(z, theta) + strength * spread.detach() * noise[1]
    z = torch.cat([z[:, :n], z[:, n:] * kept], 1)
    x, mask = warp(x, theta), warp(mask, theta)
    indicator = torch.zeros(len(x) // frames, frames, device=x.device)
    out = vae.decoder(z.to(dtype), num_frames=frames, image_only_indicator=indicator).float()
    y = out.detach().requires_grad_()
    d = y - x
    w = 1 + 3 * mask
    w[..., -CELL:, :], w[..., :CELL, :] = w[..., -CELL:, :] + args.border, w[..., :CELL, :] + args.border
    w[..., -CELL:], w[..., :CELL] = w[..., -CELL:] + args.border, w[..., :CELL] + args.border
    w = w / w.mean()
    l1, l2 = (w * d.abs()).mean(), (w * d * d).mean()
    edge = ((d[..., 1:] - d[..., :-1]).abs() * w[..., 1:]).mean()
    edge = edge + ((d[..., 1:, :] - d[..., :-1, :]).abs() * w[..., 1:, :]).mean()
    coarse = F.avg_pool2d(d, 8).abs().mean()
    distance = l1 + 1.5 * l2 + 0.5 * edge + 0.3 * coarse
    flicker = d.new_zeros(())
    if frames > 1:
        t = d.view(-1, frames, *d.shape[1:])
        flicker = (t[:, 1:] - t[:, :-1]).abs().mean()
        distance = distance + 0.5 * flicker
    gradient = torch.autograd.grad(distance, y)[0]
    more, told = judged(critic, y, x, mask, gradient, share, args.fm, args.adv)
    gradient = gradient + more
    kl = 0.5 * (mean * mean + logvar.exp() - 1 - logvar).mean()
    rest = 3e-5 * kl + args.equivariance * even + args.align * align
    ((out * gradient).sum() + rest).backward(inputs=[p for p in vae.parameters() if p.requires_grad])
    square = d.detach().square()
    inside = (square * mask).sum() / (mask.sum() * 3 + 1)
    few = torch.stack([distance + rest, l1, edge, flicker, kl, square.mean(), inside, even, align]).detach()
    return torch.cat([few, told])


class Graph:
    """stretch.Graphed for several optimisers."""

    def __init__(self, work, optimisers, on: bool):
        self.work, self.optimisers, self.on, self.graphs = work, optimisers, on, {}

    def __call__(self, *args):
        if not self.on:
            return self.work(*args)
        key = tuple(a.shape for a in args)
        if key not in self.graphs:
            static = [a.clone() for a in args]
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(2):
                    self.work(*static)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                out = self.work(*static)
            for optimiser in self.optimisers:
                optimiser.grad.zero_()
            self.graphs[key] = static, graph, out
        static, graph, out = self.graphs[key]
        torch._foreach_copy_(static, list(args))
        graph.replay()
        return out


class Videos(IterableDataset):
    """Without end: clips as uint8 [n,14,3,256,448] and where things are, uint8 [n,14,256,448]; for stretch.Ahead."""

    def __init__(self, world: World, n: int, seed: int):
        self.world, self.n, self.seed = world.on("cpu", 0), n, seed
        self.world.draw = None

    def __iter__(self):
        keep_memory()
        world = self.world.on("cpu", self.seed + get_worker_info().id)
        while True:
            yield tuple(t.share_memory_() for t in drawn(world, self.n))


@torch.no_grad()
def drawn(world: World, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    c = world.clips(n, nothing=0.2, two=0.35)
    return (c.video * 255).round().byte(), (c.alpha * 255).round().byte()


class Pool(Ring):
    """Rendered clips, the oldest replaced by those of `ahead`."""

    def __init__(self, world: World, size: int, batch: int, ahead: Ahead | None):
        super().__init__(size, min(batch, size))
        self.world, self.ahead, self.taken = world, ahead, 0
        while self.n < self.size:
            self.refresh(wait=True)

    def refresh(self, wait: bool = False) -> None:
        made = self.ahead.ready() if self.ahead else None
        if made:
            self.taken += 1
            self.add(
                *(
                    torch.cat([t.to(self.world.draw.device, non_blocking=True) for t in part])
                    for part in zip(*made, strict=True)
                )
            )
        elif wait or not self.ahead:
            parts = [drawn(self.world, min(8, self.batch)) for _ in range(-(-self.batch // 8))]
            self.add(*(torch.cat(part)[: self.batch] for part in zip(*parts, strict=True)))

    def frames(self, clips: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Whole pictures [clips*frames,3,256,448] in -1..1 and masks [..,1,256,448]: neighbouring frames of each clip."""
        video, alpha = self.parts
        d = video.device
        i = torch.randint(self.n, (clips,), device=d)
        t = torch.randint(FRAMES - frames + 1, (clips, 1), device=d) + torch.arange(frames, device=d)
        x, m = video[i[:, None], t], alpha[i[:, None], t]
        return x.flatten(0, 1).float() / 127.5 - 1, m.flatten(0, 1)[:, None].float() / 255

    def crops(self, n: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """n crops [n,3,size,size], three of four around a pixel of a thing."""
        video, alpha = self.parts
        d = video.device
        i, t = torch.randint(self.n, (n,), device=d), torch.randint(FRAMES, (n,), device=d)
        m = alpha[i, t]
        coarse = F.avg_pool2d(m[:, None].float(), 8).flatten(1)  # where to look: by cells of 8 pixels
        around = torch.multinomial((coarse > 127).float() + 1e-6, 1)[:, 0]
        anywhere = torch.randint(coarse.shape[1], (n,), device=d)
        centre = torch.where(torch.rand(n, device=d) < 0.75, around, anywhere)
        shake = torch.randint(-size // 4, size // 4 + 1, (2, n), device=d)
        y = (centre // (W // 8) * 8 - size // 2 + shake[0]).clamp(0, H - size)
        x = (centre % (W // 8) * 8 - size // 2 + shake[1]).clamp(0, W - size)
        rows, cols = y[:, None] + torch.arange(size, device=d), x[:, None] + torch.arange(size, device=d)
        k = torch.arange(n, device=d)[:, None, None]
        picture = video[i[:, None, None], t[:, None, None], :, rows[:, :, None], cols[:, None, :]]
        where = m[k, rows[:, :, None], cols[:, None, :]]
        return picture.permute(0, 3, 1, 2).float() / 127.5 - 1, where[:, None].float() / 255


def shifts(n: int, h: int, w: int, device, most: int = CELL - 1) -> torch.Tensor:
    """[n,2,3]: translations by up to `most` whole pixels of a picture of h x w."""
    theta = torch.eye(2, 3, device=device).repeat(n, 1, 1)
    by = torch.randint(-most, most + 1, (n, 2), device=device) * 2
    theta[:, 0, 2], theta[:, 1, 2] = by[:, 0] / w, by[:, 1] / h
    return theta


@torch.no_grad()
def measure(vae, small, device: str, n: int, things: str) -> dict:
    """Of pictures of 2 n clips: PSNR of the round trip (all pixels, the thing's, the frame's mean, decoding 2 at once), `even`, how
    sharp the thing stays (its Laplacian against truth's, at this size and, beside the small VAE, at half of it), align."""
    world = World(device, things, seed=5, scale=SCALE)

    def lap(v):
        four = v[..., :-2, 1:-1] + v[..., 2:, 1:-1] + v[..., 1:-1, :-2] + v[..., 1:-1, 2:]
        return (4 * v[..., 1:-1, 1:-1] - four).abs().mean(1)

    sums: dict[str, list] = {}
    put = lambda name, value: sums.setdefault(name, []).append(value)  # noqa: E731
    codes = []
    for _ in range(n):
        c = world.clips(2, nothing=0.0, two=0.0)
        x, m = c.video.flatten(0, 1) * 2 - 1, c.alpha.flatten(0, 1)[:, None]
        z = vae.encode(x).latent_dist.mode()
        s = shifts(len(x), H, W, x.device)
        difference = (vae.encode(warp(x, s)).latent_dist.mode() - warp(z, s))[..., 2:-2, 2:-2]
        spread = z.std((0, 2, 3), keepdim=True).clamp(min=1e-2)
        put("even", (difference.square().mean((0, 2, 3)) / z.var((0, 2, 3))).mean())
        put("even_all", difference.square().mean() / z.var((0, 2, 3)).mean())
        half_x, half_m = F.avg_pool2d(x, SCALE), F.avg_pool2d(m, SCALE)
        code = small.encode(half_x).latent_dist.mode()
        k = code.shape[1]
        put("align", (z[:, :k] - code).square().mean() / code.var())
        decode = lambda v, q, f: torch.cat([v.decode(p, num_frames=len(p)).sample for p in q.split(f)]).clamp(-1, 1)  # noqa: E731
        y, y_small = decode(vae, z, FRAMES), decode(small, code, FRAMES)
        shaken = decode(vae, z + 0.1 * spread * torch.randn_like(z), FRAMES)
        d = ((y - x) / 2).square()
        nested = torch.cat([z[:, :k], torch.zeros_like(z[:, k:])], 1)
        y8 = decode(vae, nested, FRAMES)
        d8 = ((y8 - x) / 2).square()
        put("nested_psnr", d8.mean())
        put("nested_thing", (d8 * m).sum() / (3 * m.sum()))
        put("psnr", d.mean())
        put("first", d.mean((1, 2, 3)).log10().mean())
        put("thing", (d * m).sum() / (3 * m.sum()))
        put("chunk2", ((decode(vae, z, 2) - x) / 2).square().mean())
        put("noisy", ((shaken - x) / 2).square().mean())
        dh = ((F.avg_pool2d(y, SCALE) - half_x) / 2).square()
        ds = ((y_small - half_x) / 2).square()
        put("half_psnr", dh.mean())
        put("half_thing", (dh * half_m).sum() / (3 * half_m.sum()))
        put("small_psnr", ds.mean())
        put("small_thing", (ds * half_m).sum() / (3 * half_m.sum()))
        for name, made, true, where in (
            ("sharp", y, x, m),
            ("nested_sharp", y8, x, m),
            ("half_sharp", F.avg_pool2d(y, SCALE), half_x, half_m),
            ("small_sharp", y_small, half_x, half_m),
        ):
            inner = (where[:, 0, 1:-1, 1:-1] > 0.01).float()
            put(name, (lap(made) * inner).sum() / (lap(true) * inner).sum())
        put(
            "full_small_sharp",
            (lap(F.interpolate(y_small, scale_factor=SCALE, mode="bicubic")) * (m[:, 0, 1:-1, 1:-1] > 0.01)).sum()
            / (lap(x) * (m[:, 0, 1:-1, 1:-1] > 0.01)).sum(),
        )
        codes.append(z)
    z = torch.cat(codes)
    out = {}
    for name, values in sums.items():
        v = torch.stack(values)
        if name in (
            "nested_psnr",
            "nested_thing",
            "psnr",
            "thing",
            "chunk2",
            "noisy",
            "half_psnr",
            "half_thing",
            "small_psnr",
            "small_thing",
        ):
            out[name] = round(-10 * v.mean().log10().item(), 2)
        else:
            out[name] = round((-10 * v.mean() if name == "first" else v.mean()).item(), 4)
        out[name + "_se"] = round(
            ((-10 * v.log10() if name in ("psnr", "thing") else v).std() / len(v) ** 0.5).item(), 4
        )
    return out | dict(
        means=[round(s, 2) for s in z.mean((0, 2, 3)).tolist()],
        channels=[round(s, 2) for s in z.std((0, 2, 3)).tolist()],
    )


def train(args) -> None:
    _, _, device = start()
    world = VariedWorld(scale=SCALE)
    workers = args.workers if args.workers >= 0 else spare_cores() if device != "cpu" else 0
    tables = sum(t.nbytes for t in vars(world).values() if isinstance(t, torch.Tensor))
    if workers and shared_memory() < 1.2 * tables + workers * 2**28:
        print("no workers: /dev/shm is too small", flush=True)
        workers = 0
    batch = min(32, args.pool)
    seed = 2 * 10**9 + args.seed * 1000
    ahead = Ahead(Videos(world, AT_ONCE, seed), workers, batch // AT_ONCE, device != "cpu") if workers else None
    with ahead or nullcontext():
        learn(args, device, world.on(device, 100 + 10 * args.seed), batch, ahead)


def learn(args, device: str, world: World, batch: int, ahead: Ahead | None) -> None:
    began = time.time()
    torch.manual_seed(args.seed)
    gpu = device != "cpu"
    dtype = torch.bfloat16 if gpu else torch.float32
    small = rewrite(load_vae(args.vae, device).to(dtype))
    n = small.config.latent_channels
    vae = (
        vae_of(load_parts(args.weights)["vae"])
        if args.weights
        else begun({k: v.cpu() for k, v in small.state_dict().items()})
    )
    if args.latent < vae.config.latent_channels:
        vae = narrowed(vae, args.latent)
    elif args.revive or not args.weights:
        vae = revived(vae, n)
    vae = rewrite(vae.to(device, dtype)).train()
    optimiser = Optimiser(vae.named_parameters(), muon=args.muon, ema=0.998)
    critic = PixelCritic().to(device, dtype).to(memory_format=torch.channels_last)
    adam = FlatAdam(critic)
    pool = Pool(world, args.pool, batch, ahead)
    print(f"large-vae: pool of {pool.n}, set-up {time.time() - began:.0f} s", flush=True)

    def worker(frames: int):
        def work(x, m, noise, strength, kept, theta, shift, share):
            return losses(vae, small, critic, args, x, m, noise, strength, kept, theta, shift, share, frames)

        return Graph(work, [optimiser, adam], gpu)

    steps, share = {}, torch.zeros((), device=device)
    clock, log, last, before = Clock(args.seconds, args.begin, args.end, args.steps, device), None, time.time(), 0
    while (progress := clock.tick()) is not None:
        if clock.n % (2 if ahead else 16) == 0:
            pool.refresh()
        whole = clock.n % 2 == 0 if args.mixed else progress > args.crops
        frames = 1 if not whole else (FRAMES if clock.n % 8 == 0 else 2)
        clips = args.batch if not whole else max(1, args.batch * 3 // 8 // frames)
        x, m = pool.frames(clips, frames) if whole else pool.crops(clips, CROP)
        n = len(x)
        noise = torch.randn(2, n, args.latent, x.shape[2] // CELL, x.shape[3] // CELL, device=device)
        r = torch.rand(clips, device=device) * 0.15 * (torch.rand(clips, device=device) < 0.7)
        theta = thetas(clips, frames, args.warp * (1 - max(0.0, progress - 0.8) * 5), device)
        share.fill_(
            min(1.0, max(0.0, (progress - args.critic) / 0.05), max(0, clock.n - 200) / 200)
        )  # the critic itself learns from the first step
        if frames not in steps:
            steps[frames] = worker(frames)
        shift = shifts(n, x.shape[2], x.shape[3], device)
        kept = (torch.rand(clips, device=device) >= args.without).float()
        r, kept = (t.repeat_interleave(frames)[:, None, None, None] for t in (r, kept))
        numbers = steps[frames](x, m, noise, r, kept, theta, shift, share)
        norm = optimiser.step(min(1.0, (optimiser.n + 1) / 100) * min(1.0, (1 - progress) / 0.6 + 0.01))
        adam.step(min(1.0, clock.n / 20))
        log = numbers.clone() if log is None else log.lerp(numbers, 0.02)
        if clock.n in (1, 2, 5, 20) or clock.n % 200 == 0:
            v, pace = dict(zip(NAMES, log.tolist(), strict=True)), (time.time() - last) / (clock.n - before) * 1e3
            text = " ".join(f"{k} {v[k]:.4f}" for k in NAMES if k not in ("mse", "inside"))
            print(f"large-vae {optimiser.n} t {time.time() - clock.started:.0f}s {pace:.0f} ms prog {progress:.2f} frames {frames} "
                  f"psnr {10 * math.log10(4 / v['mse']):.2f} thing {10 * math.log10(4 / max(v['inside'], 1e-9)):.2f} {text} "
                  f"norm {norm.item():.2f} new {pool.taken}", flush=True)  # fmt: skip
            last, before = time.time(), clock.n
    if gpu:
        print("peak GiB", round(torch.cuda.max_memory_allocated() / 2**30, 1), flush=True)
    finish(args, vae, small, optimiser, device)


def finish(args, vae, small, optimiser: Optimiser, device: str) -> None:
    """Average, even out the channels, save, measure."""
    optimiser.use_average()
    vae.float().eval()
    small.float().eval()
    n = small.config.latent_channels
    with torch.no_grad():
        world = World(device, "known", seed=9, scale=SCALE)
        z = torch.cat(
            [
                vae.encode(
                    world.clips(4, at=torch.zeros(4, 1, device=device).long()).video[:, 0] * 2 - 1
                ).latent_dist.mode()
                for _ in range(8)
            ]
        )
    scaling = small.config.scaling_factor
    vae = normalised(vae, n, 1 / scaling, z.std((0, 2, 3)))
    vae.register_to_config(scaling_factor=scaling)
    saved = dict(vae=half(vae), scaling_factor=scaling, steps=optimiser.n)
    save_parts(saved, f"{args.out}/large_vae.pt")
    for things in ("known", "held_out"):
        saved[things] = measure(vae, small, device, 24 if device != "cpu" else 1, things)
        print("LARGE VAE", things, saved[things], "steps", optimiser.n, flush=True)
    save_parts(saved, f"{args.out}/large_vae.pt")
