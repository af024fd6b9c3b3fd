"""See a video while it forms: what the model thinks after a step, from latents to small RGB frames, without the decoder.

A latent cell looks much like a colour: RGB = latent @ matrix + bias, fitted by least squares on a few pictures that the pipeline's
own VAE encodes. A step's latents are mostly noise; what is shown is the clean video that the step's v-prediction points to.
Stepping from sigma s to s' along a straight line to it, Euler's method gives x' = x0 + (s'/s)(x - x0), so two successive latents
are enough: x0 = x' - s' (x - x')/(s - s') [arXiv 2206.00364, algorithm 2 without churn; diffusers EulerDiscreteScheduler].
"""

from __future__ import annotations

import io
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    import torch

SHARE = 0.03  #: of a run's time that previews may take; beyond it steps go unseen
_PROJECTIONS: weakref.WeakKeyDictionary[Any, torch.Tensor] = weakref.WeakKeyDictionary()
_FITTING = threading.Lock()


def projection(pipe: Any) -> torch.Tensor:
    """(latent channels + 1, 3), float32 on the CPU: what turns a latent cell and a 1 into RGB of -1..1; fitted once for each VAE.

    Encodes four patterns of half the trained width and height: about as much work as decoding one frame. Call it while nothing
    else runs the pipeline (`running.borrow`).
    """
    import torch

    with _FITTING:
        if pipe.vae not in _PROJECTIONS:
            latents, colours = _examples(pipe)
            ones = torch.ones(len(latents), 1)
            # A little ridge: with few colours in play some directions of the latent space are hardly seen.
            a = torch.cat([latents, ones], 1)
            gram = a.T @ a + 1e-3 * len(a) * torch.eye(a.shape[1])
            _PROJECTIONS[pipe.vae] = torch.linalg.solve(gram, a.T @ colours)
        return _PROJECTIONS[pipe.vae]


def ready(pipe: Any) -> bool:
    """Whether `projection` has been fitted for this pipeline's VAE."""
    return pipe.vae in _PROJECTIONS


def clean(pipe: Any, index: int, before: torch.Tensor | None, latents: torch.Tensor) -> torch.Tensor | None:
    """The clean latents that step `index` (from 0) points to; None where they cannot be told: before the second step."""
    sigmas = getattr(pipe.scheduler, "sigmas", None)
    if sigmas is None or len(sigmas) < index + 2:
        return latents
    sigma, after = float(sigmas[index]), float(sigmas[index + 1])
    if after == 0:
        return latents
    if before is None:
        return None
    return latents - after / (sigma - after) * (before - latents)


def to_frames(pipe: Any, latents: torch.Tensor) -> list[Image.Image]:
    """(1, frames, channels, h, w) of a video or (1, channels, h, w) of an image -> one RGB picture of w x h a frame."""
    latents = latents.detach().float().cpu()
    latents = latents[0] if latents.ndim == 5 else latents
    matrix = projection(pipe)
    rgb = latents.movedim(1, -1) @ matrix[:-1] + matrix[-1]
    array = ((rgb.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    return [Image.fromarray(frame) for frame in array]


def to_bytes(frames: list[Image.Image], fps: float = 7) -> bytes:
    """The frames as an animated WebP, endless."""
    first, *rest = frames
    milliseconds = round(1000 / fps)
    first.save(
        buffer := io.BytesIO(), "WEBP", save_all=True, append_images=rest, duration=milliseconds, loop=0, method=0
    )
    return buffer.getvalue()


class Preview:
    """Give it to `running.watching`: it calls show(bytes of a WebP) now and then, and keeps below SHARE of the time.

    seconds: what it has taken so far. Nothing here can end a run: a failure is kept in .error, and nothing is shown from then on.
    """

    def __init__(self, show: Callable[[bytes], object], fps: float = 7) -> None:
        self.show, self.fps, self.seconds, self.error = show, fps, 0.0, None
        self._before: tuple[int, int, Any] | None = None
        self._started, self._longest = time.perf_counter(), 0.0

    def __call__(self, pipe: Any, index: int, latents: Any) -> None:
        begun = time.perf_counter()
        known, self._before = self._before, (id(pipe), index, latents)
        late = self.seconds + self._longest > SHARE * (begun - self._started)
        if self.error is not None or not ready(pipe) or late:
            return
        try:
            before = known[2] if known and known[:2] == (id(pipe), index - 1) else None
            if (shown := clean(pipe, index, before, latents)) is not None:
                self.show(to_bytes(to_frames(pipe, shown), self.fps))
        except Exception as error:  # a video is worth more than its preview
            self.error = error
        spent = time.perf_counter() - begun
        self.seconds, self._longest = self.seconds + spent, max(self._longest, spent)


def _examples(pipe: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(cells, channels) latents as the UNet sees them, and (cells, 3) mean colours of the pixels under each, -1..1."""
    import torch
    from torch.nn import functional as F

    from svd_lab.pipe_facts import native_size, size_step

    width, height = native_size(pipe)
    unit, scale = size_step(pipe), pipe.vae_scale_factor
    height, width = (max(unit, side // 2 // unit * unit) for side in (height, width))
    generator = torch.Generator().manual_seed(0)
    cells = torch.rand(4, 3, 4, 6, generator=generator) * 2 - 1  # patches of all colours, soft and hard edges
    soft = F.interpolate(cells[:2], (height, width), mode="bicubic", align_corners=False).clamp(-1, 1)
    hard = F.interpolate(cells[2:], (height, width), mode="nearest")
    pictures = torch.cat([soft, hard])
    vae, dtype = pipe.vae, pipe.vae.dtype
    upcast = dtype == torch.float16 and getattr(vae.config, "force_upcast", False)
    latents = []
    with torch.no_grad():
        try:
            if upcast:  # in float16 the encoder overflows [diffusers StableVideoDiffusionPipeline]
                vae.to(dtype=torch.float32)
            for picture in pictures.to(pipe._execution_device, vae.dtype):
                latents.append(vae.encode(picture[None]).latent_dist.mode().float().cpu())
        finally:
            if upcast:
                vae.to(dtype=dtype)
    found = torch.cat(latents) * vae.config.scaling_factor
    colours = F.avg_pool2d(pictures, scale)
    return found.movedim(1, -1).reshape(-1, found.shape[1]), colours.movedim(1, -1).reshape(-1, 3)
