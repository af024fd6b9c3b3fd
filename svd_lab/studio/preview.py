"""Preview a video during its run: turn the model's prediction after a step into small RGB frames, without the decoder.

A latent cell is nearly a colour: RGB = latent @ matrix + bias, fitted by least squares on a few pictures that the pipeline's own
VAE encodes. A step's latents are mostly noise; the preview shows the clean video x0 that the step predicts. Euler's method moves
from sigma s to s' along a straight line, x' = x0 + (s'/s)(x - x0), so two successive latents are enough:
x0 = x' - s' (x - x')/(s - s') [arXiv 2206.00364, algorithm 2 without churn; diffusers EulerDiscreteScheduler].
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

SHARE = 0.03  #: of a run's time that previews may take; steps beyond it are skipped
_PROJECTIONS: weakref.WeakKeyDictionary[Any, torch.Tensor] = weakref.WeakKeyDictionary()
_FITTING = threading.Lock()


def projection(pipe: Any) -> torch.Tensor:
    """Fit, once for each VAE, the matrix that turns a latent cell and a 1 into RGB from -1 to 1.

    It encodes four patterns of half the trained width and height, about as much work as decoding one frame. Call it while nothing
    else runs the pipeline (`runner.borrow`).

    Returns:
        (latent channels + 1, 3), float32 on the CPU.
    """
    import torch

    with _FITTING:
        if pipe.vae not in _PROJECTIONS:
            latents, colours = _examples(pipe)
            ones = torch.ones(len(latents), 1)
            # A small ridge term, because a few patterns hardly cover some directions of the latent space.
            a = torch.cat([latents, ones], 1)
            gram = a.T @ a + 1e-3 * len(a) * torch.eye(a.shape[1])
            _PROJECTIONS[pipe.vae] = torch.linalg.solve(gram, a.T @ colours)
        return _PROJECTIONS[pipe.vae]


def ready(pipe: Any) -> bool:
    """Whether `projection` is fitted for this pipeline's VAE."""
    return pipe.vae in _PROJECTIONS


def clean(pipe: Any, index: int, before: torch.Tensor | None, latents: torch.Tensor) -> torch.Tensor | None:
    """Compute the clean latents that a step predicts.

    Args:
        pipe: The pipeline, with the timesteps of the run.
        index: The step, from 0.
        before: The latents before the step; None where they are unknown.
        latents: The latents after it.

    Returns:
        Latents of the same shape; None where they cannot be computed, as after the first step.
    """
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
    """Convert latents, (1, frames, channels, h, w) of a video or (1, channels, h, w) of an image, to RGB frames of w x h pixels."""
    latents = latents.detach().float().cpu()
    latents = latents[0] if latents.ndim == 5 else latents
    matrix = projection(pipe)
    rgb = latents.movedim(1, -1) @ matrix[:-1] + matrix[-1]
    array = ((rgb.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    return [Image.fromarray(frame) for frame in array]


def to_bytes(frames: list[Image.Image], fps: float = 7) -> bytes:
    """Encode the frames as an animated WebP that loops."""
    first, *rest = frames
    milliseconds = round(1000 / fps)
    first.save(
        buffer := io.BytesIO(), "WEBP", save_all=True, append_images=rest, duration=milliseconds, loop=0, method=0
    )
    return buffer.getvalue()


class Preview:
    """A preview for `runner.watching`: shows steps as often as SHARE of the run's time allows.

    A failure does not end the run; it is kept in `error`, and nothing is shown from then on.

    Args:
        show: Called with the bytes of a WebP.
        fps: The frames per second of the WebP.

    Attributes:
        seconds: What the previews have taken so far.
        error: The exception that ended the preview, or None.
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
        except Exception as error:  # the run matters more than its preview
            self.error = error
        spent = time.perf_counter() - begun
        self.seconds, self._longest = self.seconds + spent, max(self._longest, spent)


def _examples(pipe: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Encode patterns: (cells, channels) latents, scaled as for the UNet, and (cells, 3) mean colours of their pixels, -1 to 1."""
    import torch
    from torch.nn import functional as F

    from svd_lab.pipe_facts import native_size, size_step

    width, height = native_size(pipe)
    unit, scale = size_step(pipe), pipe.vae_scale_factor
    height, width = (max(unit, side // 2 // unit * unit) for side in (height, width))
    generator = torch.Generator().manual_seed(0)
    cells = torch.rand(4, 3, 4, 6, generator=generator) * 2 - 1  # patches of many colours, with soft and hard edges
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
