"""Stage `text-vae`: the video mini's VAE goes on with stills, without time.

The encoder too (`networks.text.from_video_vae`), because stills have finer detail (windows, stars) than it has seen; the shift
error stays in the loss (vae.py).
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from svd_lab.training.loop.checkpoints import full, half, load_parts, load_weights, save_parts, scaling_factor
from svd_lab.training.loop.clock import Clock, rate_factor
from svd_lab.training.loop.cuda_graph import Graphed
from svd_lab.training.loop.latent_bank import H, W, load_vae
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.options import StageOptions, option
from svd_lab.training.loop.process import Process, finish, start
from svd_lab.training.loop.ring import Ring
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.text import from_video_vae, make_text_vae, tokenizer_files
from svd_lab.training.networks.video import LATENT
from svd_lab.training.stages.reconstruction import (
    decibels,
    encode,
    kl_divergence,
    noised,
    pixel_loss,
    random_strength,
    shift_error,
    shifts,
)
from svd_lab.training.world.stills import Stills

NUMBERS = ("loss", "kl", "std", "error", "thing error", "shift error")  # of `still_losses`


@dataclass(frozen=True, kw_only=True)
class TextVaeOptions(StageOptions):
    """Options of stage `text-vae`."""

    vae: str = option("svd_lab/mini/weights", "checkpoint or folder to start from; none: untrained, for dry runs")
    batch: int = option(48, "stills a step")
    pool: int = option(4096, "stills to draw from")


def load_text_vae(path: str, device: str) -> nn.Module:
    """Return the text mini's VAE, frozen, in float32.

    Args:
        path: A checkpoint, a folder of the text mini or of the video mini (whose VAE is converted), or "none": untrained.
        device: Of the result.
    """
    vae = make_text_vae()
    if path != "none":
        saved = load_text_folder(path) if is_text_folder(path) else load_parts(path)
        if any(".temporal_res_block." in name for name in saved["vae"]):
            vae = from_video_vae(load_vae(path, "cpu"), vae)
        else:
            vae.load_state_dict(full(saved["vae"]))
            vae.register_to_config(scaling_factor=saved["scaling_factor"])
    return vae.to(device).eval().requires_grad_(False)


def is_text_folder(path: str | Path) -> bool:
    """Whether the path is an exported folder of the text mini."""
    return (Path(path) / "text_encoder").is_dir()


def load_text_folder(path: str | Path) -> dict[str, Any]:
    """Return the exported folder's weights, as the checkpoints of both text stages hold them."""
    folder = Path(path)
    files = dict(vae="vae/diffusion_pytorch_model", unet="unet/diffusion_pytorch_model", text="text_encoder/model")
    rest = dict(tokenizer=tokenizer_files(folder / "tokenizer"), scaling_factor=scaling_factor(folder))
    return load_weights(folder, files) | rest


def still_losses(
    vae: nn.Module,
    x: torch.Tensor,
    mask: torch.Tensor,
    noise: torch.Tensor,
    strength: torch.Tensor,
    shift: torch.Tensor,
    equivariance: float = 0.7,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss and the NUMBERS of a step.

    Args:
        vae: In training.
        x: Pictures [n,3,128,224] in -1 .. 1.
        mask: Where things are, [n,1,128,224].
        noise: [2,n,8,16,28].
        strength: Of the noise added to the latents, [n,1,1,1].
        shift: Translations for `shift_error`, [n,2,3].
        equivariance: Weight of the shift error.
    """
    mean, logvar = encode(vae, x)
    spread = mean.detach().std()
    shifted = shift_error(vae, x, mean, shift)
    z = noised(mean, logvar, noise[0]) + strength * spread * noise[1]
    d = vae.decoder(vae.post_quant_conv(z.to(next(vae.parameters()).dtype))).float() - x
    loss, _, _ = pixel_loss(d, mask, 2)
    kl = kl_divergence(mean, logvar)
    loss = loss + 3e-5 * kl + equivariance * shifted
    inside = (d * d * mask).sum() / (3 * mask.sum() + 1)
    return loss, torch.stack([loss, kl, spread, (d * d).mean(), inside, shifted]).detach()


@torch.no_grad()
def measure_vae(vae: nn.Module, device: str, n: int) -> dict[str, float]:
    """Measure n times eight held-out combinations: PSNR of the round trip, in things; standard deviation of the latents."""
    stills, error, inside, latents = Stills(device, 77, training=False), [], [], []
    for _ in range(n):
        _, x, mask = stills.draw(8)
        z = vae.encode(x * 2 - 1).latent_dist.mode()
        d = vae.decode(z).sample.clamp(-1, 1) / 2 + 0.5 - x
        error.append((d * d).mean())
        inside.append((d * d * mask).sum() / (3 * mask.sum()))
        latents.append(z)
    return dict(psnr=decibels(error), thing=decibels(inside), std=torch.cat(latents).std().item())


class StillPool(Ring):
    """Rendered stills as uint8 [n,4,128,224], the picture and where things are; some are replaced at every refresh."""

    def __init__(self, stills: Stills, size: int):
        super().__init__(size, min(128, size))
        self.stills = stills
        while self.n < self.size:
            self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Draw a batch of new stills."""
        _, x, mask = self.stills.draw(self.batch)
        self.add((torch.cat([x, mask], 1) * 255).round().byte())


def draw_batch(pool: StillPool, n: int) -> list[torch.Tensor]:
    """Return the arguments of `still_losses` from x to shift."""
    batch = pool.sample(n)[0].float() / 255
    device = batch.device
    strength = random_strength(n, device)[:, None, None, None]
    x = (batch[:, :3] * 2 - 1).contiguous(memory_format=torch.channels_last)
    noise = torch.randn(2, n, LATENT, H, W, device=device)
    return [x, batch[:, 3:].contiguous(), noise, strength, shifts(n, 128, 224, device)]


def learn(options: TextVaeOptions, process: Process, vae: nn.Module, optimiser: Optimiser, pool: StillPool) -> None:
    """Train until the clock says so."""

    def forward_backward(*batch: torch.Tensor) -> torch.Tensor:
        loss, numbers = still_losses(vae, *batch)
        loss.backward()
        return numbers

    step, average = Graphed(forward_backward, optimiser, process.gpu), None
    clock = Clock(options, process.device)
    while (progress := clock.tick()) is not None:
        if clock.n % 8 == 0:
            pool.refresh()
        numbers = step(*draw_batch(pool, options.batch))
        norm = optimiser.step(rate_factor(optimiser.n, progress, warmup=100, decay=0.7, floor=0.01))
        average = numbers.clone() if average is None else average.lerp(numbers, 0.02)
        if process.main and (clock.n in (1, 2, 5, 20, 100) or clock.n % 500 == 0):
            v = dict(zip(NUMBERS, average.tolist(), strict=True))
            print(
                f"text-vae {optimiser.n} t {clock.elapsed:.0f}s {clock.pace():.0f} ms prog {progress:.2f} "
                f"loss {v['loss']:.4f} kl {v['kl']:.1f} std {v['std']:.2f} shift error {v['shift error']:.4f} "
                f"psnr {10 * math.log10(4 / v['error']):.2f} thing {10 * math.log10(4 / v['thing error']):.2f} "
                f"norm {norm.item():.2f}",
                flush=True,
            )
            clock.mark()


def train(options: TextVaeOptions) -> None:
    """Train the VAE of the text mini; writes OUT/text_vae.pt and --state."""
    process, began = start(), time.time()
    torch.manual_seed(0)
    vae = rewrite(load_text_vae(options.vae, "cpu").to(process.device, process.dtype).requires_grad_(True).train())
    optimiser = Optimiser(vae.named_parameters(), muon=options.muon, ema=0.998)
    if options.resume:
        optimiser.load(torch.load(options.resume, map_location=process.device))
    torch.manual_seed(1000 * options.seed + process.rank)
    pool = StillPool(Stills(process.device, seed=300 + 10 * options.seed + process.rank), options.pool)
    if process.main:
        print(f"text-vae pool {pool.n}, set-up {time.time() - began:.0f} s", flush=True)
    learn(options, process, vae, optimiser, pool)
    if process.main:
        torch.save(optimiser.state(), options.state)
        optimiser.use_average()
        result = measure_vae(vae.float().eval(), process.device, 32 if process.gpu else 1)
        print("TEXT-VAE", result, "steps", optimiser.n, flush=True)
        factor = 1 / result["std"]
        saved = dict(vae=half(vae), scaling_factor=factor, measure=result, steps=optimiser.n)
        save_parts(saved, f"{options.out}/text_vae.pt")
    finish()
