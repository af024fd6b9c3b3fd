"""Stage `vae`: the video mini's VAE, alone and first, because it is the ceiling of everything after it.

First two thirds: many independent 96 x 96 crops, mostly around things. Last third: whole pictures, two neighbouring frames or all
fourteen, because the decoder's norms and temporal layers span what it decodes at once (decode_chunk_size). Latents are decoded
with some noise on them, since the UNet's will not be perfect, and a share of them scaled and shifted (EQ-VAE, arXiv 2502.09509).
And the code of a picture shifted by a few pixels must be the shifted code (`shift_error`): otherwise every position inside a cell
of 8 x 8 pixels has another code, and the UNet must learn each by heart (docs/mini.md has the numbers).
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from svd_lab.training.loop.checkpoints import half, load_parts, save_parts
from svd_lab.training.loop.clock import Clock, rate_factor
from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.options import StageOptions, option
from svd_lab.training.loop.process import Process, finish, start
from svd_lab.training.loop.ring import Ring
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import LATENT, make_vae
from svd_lab.training.stages.reconstruction import (
    decibels,
    encode,
    kl_divergence,
    noised,
    pixel_loss,
    random_strength,
    shift_error,
    shifts,
    warp,
)
from svd_lab.training.world.varied_world import VariedWorld
from svd_lab.world.clips import FRAMES
from svd_lab.world.scenes import World

CROP = 96  # pixels
NUMBERS = ("loss", "l1", "edge", "flicker", "kl", "std", "error", "thing error", "shift error")  # of `losses`


@dataclass(frozen=True, kw_only=True)
class VaeOptions(StageOptions):
    """Options of stage `vae`."""

    weights: str = option("", "checkpoint to start from")
    equivariance: float = option(0.7, "weight of the shift error in the loss")
    batch: int = option(128, "crops a step; whole pictures: three eighths as many")
    pool: int = option(1024, "clips to draw from")
    crops: float = option(0.62, "progress at which whole pictures follow the crops")
    warp: float = option(0.2, "share of the clips whose latents are scaled and shifted")


def losses(
    vae: nn.Module,
    x: torch.Tensor,
    mask: torch.Tensor,
    noise: torch.Tensor,
    strength: torch.Tensor,
    theta: torch.Tensor,
    shift: torch.Tensor,
    frames: int,
    equivariance: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss and the NUMBERS of a step.

    Args:
        vae: In training.
        x: Pictures [N,3,h,w] in -1 .. 1, N = clips * frames.
        mask: Where things are, [N,1,h,w].
        noise: [2,N,8,h/8,w/8].
        strength: Of the noise added to the latents, [N,1,1,1].
        theta: Affine maps of latents and target, [N,2,3].
        shift: Translations for `shift_error`, [N,2,3].
        frames: Decoded at once.
        equivariance: Weight of the shift error.
    """
    mean, logvar = encode(vae, x)
    spread = mean.detach().std()
    shifted = shift_error(vae, x, mean, shift)
    z = warp(noised(mean, logvar, noise[0]), theta) + strength * spread * noise[1]
    x, mask = warp(x, theta), warp(mask, theta)
    images = torch.zeros(len(x) // frames, frames, device=x.device)
    d = vae.decoder(z.to(next(vae.parameters()).dtype), num_frames=frames, image_only_indicator=images).float() - x
    loss, l1, edge = pixel_loss(d, mask, 3)
    kl = kl_divergence(mean, logvar)
    loss = loss + 3e-5 * kl + equivariance * shifted
    flicker = d.new_zeros(())
    if frames > 1:
        t = d.view(-1, frames, *d.shape[1:])
        flicker = (t[:, 1:] - t[:, :-1]).abs().mean()
        loss = loss + 0.5 * flicker
    inside = ((d * d) * mask).sum() / (mask.sum() * 3 + 1)
    return loss, torch.stack([loss, l1, edge, flicker, kl, spread, (d * d).mean(), inside, shifted]).detach()


class Pool(Ring):
    """Rendered clips as uint8, some replaced at every refresh: pictures for many steps at the cost of few renderings."""

    def __init__(self, world: World, size: int, batch: int):
        super().__init__(size, min(batch, size))
        self.world = world
        while self.n < self.size:
            self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Draw a batch of new clips."""
        c = self.world.clips(self.batch, nothing=0.2, two=0.35)
        self.add((c.video * 255).round().byte(), (c.alpha * 255).round().byte())

    @property
    def video(self) -> torch.Tensor:
        """The clips [size,T,3,128,224]."""
        return self.parts[0]

    @property
    def alpha(self) -> torch.Tensor:
        """Where things are [size,T,128,224]."""
        return self.parts[1]

    def frames(self, clips: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return whole pictures [clips*frames,3,128,224] in -1 .. 1 and masks [..,1,128,224]: neighbouring frames of each clip."""
        d = self.video.device
        i = torch.randint(len(self.video), (clips,), device=d)
        t = torch.randint(FRAMES - frames + 1, (clips, 1), device=d) + torch.arange(frames, device=d)
        x, m = self.video[i[:, None], t], self.alpha[i[:, None], t]
        return x.flatten(0, 1).float() / 127.5 - 1, m.flatten(0, 1)[:, None].float() / 255

    def crops(self, n: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return n crops [n,3,size,size] in -1 .. 1 and masks, three of four around a pixel of a thing."""
        d = self.video.device
        i, t = torch.randint(len(self.video), (n,), device=d), torch.randint(FRAMES, (n,), device=d)
        m = self.alpha[i, t]
        around = torch.multinomial((m.flatten(1) > 127).float() + 1e-6, 1)[:, 0]
        anywhere = torch.randint(m[0].numel(), (n,), device=d)
        centre = torch.where(torch.rand(n, device=d) < 0.75, around, anywhere)
        shake = torch.randint(-size // 4, size // 4 + 1, (2, n), device=d)
        y = (centre // 224 - size // 2 + shake[0]).clamp(0, 128 - size)
        x = (centre % 224 - size // 2 + shake[1]).clamp(0, 224 - size)
        rows = (y[:, None] + torch.arange(size, device=d))[:, :, None]
        cols = (x[:, None] + torch.arange(size, device=d))[:, None, :]
        k, v = torch.arange(n, device=d)[:, None, None], self.video[i, t].permute(0, 2, 3, 1)
        return v[k, rows, cols].permute(0, 3, 1, 2).float() / 127.5 - 1, m[k, rows, cols][:, None].float() / 255


def thetas(clips: int, frames: int, share: float, device: str | torch.device) -> torch.Tensor:
    """Return maps [clips*frames,2,3]: the identity; for a share of the clips scales 0.75 .. 1.15, shifts up to an eighth."""
    on = (torch.rand(clips, device=device) < share).float()
    scale = 1 + on * (torch.rand(clips, device=device) * 0.4 - 0.15)
    theta = torch.zeros(clips, 2, 3, device=device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = on[:, None] * (torch.rand(clips, 2, device=device) - 0.5) * 0.25
    return theta.repeat_interleave(frames, 0)


@torch.no_grad()
def measure(vae: nn.Module, device: str, n: int) -> dict[str, float | list[float]]:
    """Measure the VAE on n times two clips of held-out things.

    Returns:
        PSNR of the round trip (all pixels, those of things; decoding 14 and 2 frames at once), the shift error, and the standard
        deviation of the latents, also by channel.
    """
    world = World(device, "held_out", seed=5)
    error, inside, pair, latents, shifted = [], [], [], [], []
    for _ in range(n):
        c = world.clips(2, nothing=0.0, two=0.0)
        x, m = c.video.flatten(0, 1) * 2 - 1, c.alpha.flatten(0, 1)[:, None]
        z = vae.encode(x).latent_dist.mode()
        s = shifts(len(x), 128, 224, x.device)
        difference = (vae.encode(warp(x, s)).latent_dist.mode() - warp(z, s))[..., 2:-2, 2:-2]
        shifted.append(difference.square().mean() / z.var())
        d = ((decode(vae, z, FRAMES) - x) / 2).square()
        error.append(d.mean())
        inside.append((d * m).sum() / (3 * m.sum()))
        pair.append(((decode(vae, z, 2) - x) / 2).square().mean())
        latents.append(z)
    z = torch.cat(latents)
    return dict(
        psnr=decibels(error), thing=decibels(inside), psnr_chunk2=decibels(pair),
        shift_error=round(torch.stack(shifted).mean().item(), 4), std=z.std().item(),
        channels=[round(s, 3) for s in z.std((0, 2, 3)).tolist()],
    )  # fmt: skip


def decode(vae: nn.Module, z: torch.Tensor, frames: int) -> torch.Tensor:
    """Decode latents, so many frames at once."""
    return torch.cat([vae.decode(part, num_frames=frames).sample for part in z.split(frames)]).clamp(-1, 1)


def draw_batch(pool: Pool, options: VaeOptions, step: int, progress: float) -> tuple[int, list[torch.Tensor]]:
    """Return the number of frames of this step, and the arguments of `losses` from x to shift."""
    whole = progress > options.crops
    frames = 1 if not whole else (FRAMES if step % 4 == 0 else 2)
    clips = options.batch if not whole else max(1, options.batch * 3 // 8 // frames)
    x, mask = pool.frames(clips, frames) if whole else pool.crops(clips, CROP)
    n, _, h, w = x.shape
    noise = torch.randn(2, n, LATENT, h // 8, w // 8, device=x.device)
    strength = random_strength(clips, x.device).repeat_interleave(frames)[:, None, None, None]
    theta = thetas(clips, frames, options.warp * (1 - max(0.0, progress - 0.8) * 5), x.device)
    shift = shifts(n, h, w, x.device)
    return frames, [x.contiguous(memory_format=torch.channels_last), mask, noise, strength, theta, shift]


def make_step(vae: nn.Module, optimiser: Optimiser, frames: int, equivariance: float, gpu: bool) -> Graphed:
    """Return the step for clips of so many frames."""

    def step(*batch: torch.Tensor) -> torch.Tensor:
        loss, numbers = losses(vae, *batch, frames, equivariance)
        loss.backward()
        return numbers

    return Graphed(step, optimiser, gpu)


def learn(options: VaeOptions, process: Process, vae: nn.Module, optimiser: Optimiser, pool: Pool) -> None:
    """Train until the clock says so."""
    steps, average = {}, None  # steps by the number of frames, which is part of the graph
    clock = Clock(options, process.device)
    while (progress := clock.tick()) is not None:
        if clock.n % 2 == 0:
            pool.refresh()
        frames, batch = draw_batch(pool, options, clock.n, progress)
        if frames not in steps:
            steps[frames] = make_step(vae, optimiser, frames, options.equivariance, process.gpu)
        numbers = steps[frames](*batch)
        norm = optimiser.step(rate_factor(optimiser.n, progress, warmup=100, decay=0.6, floor=0.01))
        average = numbers.clone() if average is None else average.lerp(numbers, 0.02)
        if process.main and (clock.n in (1, 2, 5, 20) or clock.n % 200 == 0):
            v = dict(zip(NUMBERS, average.tolist(), strict=True))
            print(
                f"vae {optimiser.n} t {clock.elapsed:.0f}s {clock.pace():.0f} ms prog {progress:.2f} frames {frames} "
                f"loss {v['loss']:.4f} edge {v['edge']:.4f} flicker {v['flicker']:.4f} kl {v['kl']:.1f} std {v['std']:.2f} "
                f"shift error {v['shift error']:.4f} psnr {10 * math.log10(4 / v['error']):.2f} "
                f"thing {10 * math.log10(4 / max(v['thing error'], 1e-9)):.2f} norm {norm.item():.2f}",
                flush=True,
            )
            clock.mark()


def train(options: VaeOptions) -> None:
    """Train the VAE of the video mini; writes OUT/vae.pt and --state."""
    process = start()
    torch.manual_seed(0)
    vae = rewrite(make_vae().to(process.device, process.dtype)).train()
    if options.weights:
        vae.load_state_dict(load_parts(options.weights)["vae"])
    optimiser = Optimiser(vae.named_parameters(), muon=options.muon, ema=0.998)
    if options.resume:
        optimiser.load(torch.load(options.resume, map_location=process.device))
    torch.manual_seed(1000 * options.seed + process.rank)
    world = VariedWorld(process.device, seed=100 + 10 * options.seed + process.rank)
    learn(options, process, vae, optimiser, Pool(world, options.pool, 32))
    if process.main:
        torch.save(optimiser.state(), options.state)
        optimiser.use_average()
        result = measure(vae.float().eval(), process.device, 12 if process.gpu else 1)
        print("VAE", result, "steps", optimiser.n, flush=True)
        factor = 1 / result["std"]
        save_parts(
            dict(vae=half(vae), scaling_factor=factor, measure=result, steps=optimiser.n), f"{options.out}/vae.pt"
        )
    finish()
