"""How long will a run take, and how much memory: counted, calibrated on this machine, corrected by the runs that were made.

FLOP and live bytes are counted once for each pipeline on "meta" tensors, which have shapes and no numbers: its own networks are
built anew there and called once. Convolutions and linear layers cost in proportion to frames x pixels, attention over space to
frames x pixels**2, attention over time to frames**2 x pixels; the three are counted apart.

Seconds are FLOP over a rate. The rates of the UNet and of the decoder differ (a CPU does convolutions over time badly), so each
has its own: from `calibrate`, a fraction of a second with the genuine networks, until runs have shown better ones.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

_COUNTS: weakref.WeakKeyDictionary[Any, Counts] = weakref.WeakKeyDictionary()
_COUNTING = threading.Lock()
# A CPU's convolutions copy what they work on: the mini took 2.6 to 3.0 times its live tensors. CUDA's allocator is exact.
CPU_MEMORY = 2.7
RECENT = 3  # runs that a rate is learnt from: the median forgives one that something else slowed down


@dataclass(frozen=True)
class Counts:
    """What the networks of a pipeline cost. step, decode: GFLOP as (a, b, c) of frames * pixels * (a + b * pixels + c * frames);
    step_bytes, decode_bytes: live at the peak for each pixel of each frame (of a decoded chunk); weights: bytes."""

    step: tuple[float, float, float]
    decode: tuple[float, float, float]
    step_bytes: float
    decode_bytes: float
    weights: int


@dataclass(frozen=True)
class Rates:
    """Seconds for each GFLOP of the UNet and of the decoder (with all that follows it), and by what factor memory was off."""

    step: float
    decode: float
    memory: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """What a run should take: seconds in all, seconds of one denoising step, bytes beyond those of the loaded models."""

    seconds: float
    step: float
    bytes: float


def count(pipe: Any) -> Counts:
    """The Counts of a StableVideoDiffusionPipeline or a StableDiffusionPipeline; a second at most, once for each pipeline."""
    with _COUNTING:
        if pipe not in _COUNTS:
            _COUNTS[pipe] = _count(pipe)
        return _COUNTS[pipe]


def estimate(pipe: Any, settings: dict[str, Any], rates: Rates) -> Estimate:
    """What these checked settings (num_frames, num_inference_steps, decode_chunk_size, height, width) take at these rates.

    For a StableDiffusionPipeline num_frames and decode_chunk_size are 1.
    """
    counts = count(pipe)
    frames, chunk = settings.get("num_frames", 1), settings.get("decode_chunk_size", 1)
    pixels = settings["height"] * settings["width"]
    step = _polynomial(counts.step, frames, pixels) * rates.step
    decode = _decode_flop(counts, frames, chunk, pixels) * rates.decode
    pictures = frames * pixels * 3 * 4 * 3  # the decoded frames: collected, joined, and turned into float32 for PIL
    peak = max(counts.step_bytes * frames, counts.decode_bytes * min(chunk, frames)) * pixels
    seconds = step * settings["num_inference_steps"] + decode
    return Estimate(seconds, step, (peak + pictures) * rates.memory)


def learn(pipe: Any, runs: list[dict[str, Any]], before: Rates | None) -> Rates | None:
    """The rates that the latest of `runs` had: {"settings", "step_seconds", "rest_seconds", "peak_bytes"}; `before` without any.

    step_seconds: mean of a step. rest_seconds: all but the steps. peak_bytes: beyond the loaded models, None where unknown.
    """
    if not runs:
        return before
    counts, step, decode = count(pipe), [], []
    for run in runs[-RECENT:]:
        settings = run["settings"]
        frames, chunk = settings.get("num_frames", 1), settings.get("decode_chunk_size", 1)
        pixels = settings["height"] * settings["width"]
        step.append(run["step_seconds"] / _polynomial(counts.step, frames, pixels))
        decode.append(run["rest_seconds"] / _decode_flop(counts, frames, chunk, pixels))
    # The largest of all runs: what an earlier one has freed lies ready in this process, so later ones seem to take less.
    peaks = [
        (run["peak_bytes"], estimate(pipe, run["settings"], Rates(0, 0)).bytes) for run in runs if run.get("peak_bytes")
    ]
    factor = max((peak / counted for peak, counted in peaks), default=before.memory if before else 1.0)
    return Rates(median(step), median(decode), factor)


def calibrate(pipe: Any) -> Rates:
    """Time the networks themselves on little work, 2 frames of half the trained width and height and then of all: the difference
    is the rate, free of what each call costs beside. The pipeline is not run; call it while nothing else runs it
    (`running.borrow`). About a tenth of a default video's time. Random numbers are neither used nor drawn."""
    import torch

    from svd_lab.pipelines import native_size, size_step

    width, height = native_size(pipe)
    counts, unit = count(pipe), size_step(pipe)
    small = tuple(max(unit, side // 2 // unit * unit) for side in (height, width))
    device, dtype = pipe._execution_device, pipe.unet.dtype
    frames = 1 if hasattr(pipe, "text_encoder") else 2

    def seconds(call: Any, *arguments: Any) -> float:
        start = time.perf_counter()
        call(pipe, *arguments, device, dtype)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    rates = []
    with torch.no_grad():
        for call, cost in ((_step, counts.step), (_decode, counts.decode)):
            sizes = [small, (height, width)] if call is _step else [(unit, unit), small]
            seconds(call, frames, *sizes[0])  # memory is fetched and kernels are chosen
            times = [min(seconds(call, frames, *size) for _ in range(2)) for size in sizes]
            work = [_polynomial(cost, frames, h * w) for h, w in sizes]
            slope = (times[1] - times[0]) / max(work[1] - work[0], 1e-9)
            whole = times[1] / work[1]  # with all that a call costs beside, so the rate cannot be above it
            rates.append(min(max(slope, whole / 2), whole))
    return Rates(*rates, CPU_MEMORY if device.type == "cpu" else 1.0)


@contextmanager
def peak_memory(device: Any) -> Iterator[dict[str, float]]:
    """Measure what runs inside: .["bytes"] at the peak beyond those at the start, of the GPU or of this process; 0 where unknown.

    On a CPU a thread looks 20 times a second, which costs less than a thousandth; a peak that is shorter goes unseen.
    """
    import torch

    found = {"bytes": 0.0}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield found
        found["bytes"] = float(torch.cuda.max_memory_allocated(device) - before)
        return
    ended, before = threading.Event(), _resident()

    def watch() -> None:
        while not ended.wait(0.05):
            found["bytes"] = max(found["bytes"], _resident() - before)

    watcher = threading.Thread(target=watch, name="svd-lab: memory", daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()


def _resident() -> float:
    """Bytes of this process in memory; 0 where the system does not tell in /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))
    except (OSError, AttributeError, ValueError):
        return 0.0


def _step(pipe: Any, frames: int, height: int, width: int, device: Any, dtype: Any) -> None:
    """One call of the UNet, as guidance makes it: twice the batch."""
    import torch

    config, scale = pipe.unet.config, pipe.vae_scale_factor
    with torch.device(device):
        if hasattr(pipe, "text_encoder"):
            sample = torch.zeros(2, config.in_channels, height // scale, width // scale, dtype=dtype)
            pipe.unet(sample, torch.ones(()), torch.zeros(2, 77, config.cross_attention_dim, dtype=dtype))
        else:
            sample = torch.zeros(2, frames, config.in_channels, height // scale, width // scale, dtype=dtype)
            states = torch.zeros(2, 1, config.cross_attention_dim, dtype=dtype)
            pipe.unet(sample, torch.ones(()), states, added_time_ids=torch.zeros(2, 3, dtype=dtype))


def _decode(pipe: Any, frames: int, height: int, width: int, device: Any, dtype: Any) -> None:
    import torch

    scale = pipe.vae_scale_factor
    shape = (frames, pipe.vae.config.latent_channels, height // scale, width // scale)
    latents = torch.zeros(shape, dtype=pipe.vae.dtype if dtype is None else dtype, device=device)
    pipe.vae.decode(latents, **({} if hasattr(pipe, "text_encoder") else {"num_frames": frames}))


def _polynomial(coefficients: tuple[float, float, float], frames: int, pixels: float) -> float:
    a, b, c = coefficients
    return frames * pixels * (a + b * pixels + c * frames)


def _decode_flop(counts: Counts, frames: int, chunk: int, pixels: int) -> float:
    whole, rest = divmod(frames, min(chunk, frames))
    return whole * _polynomial(counts.decode, min(chunk, frames), pixels) + _polynomial(counts.decode, rest, pixels)


def _count(pipe: Any) -> Counts:
    import torch

    from svd_lab.pipelines import native_size

    with torch.device("meta"):
        unet, vae = (type(part).from_config(part.config).eval().to("meta") for part in _plain(pipe.unet, pipe.vae))
    empty = _Shell(unet, vae, pipe.vae_scale_factor, hasattr(pipe, "text_encoder"))
    width, height = native_size(pipe)
    frames, pixels = 1 if hasattr(empty, "text_encoder") else 3, width * height
    results = []
    with torch.no_grad():
        for call in (_step, _decode):
            with _meter(frames) as meter:
                call(empty, frames, height, width, torch.device("meta"), torch.float32)
            cost = (meter.plain, meter.over_space / pixels, meter.over_time / frames)
            results.append((tuple(flop / 1e9 / (frames * pixels) for flop in cost), meter.peak / (frames * pixels)))
    (step, step_live), (decode, decode_live) = results
    item = pipe.unet.dtype.itemsize
    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    weights = sum(p.numel() * p.element_size() for part in parts for p in part.parameters())
    return Counts(step, decode, step_live * item / 4, decode_live * item / 4, weights)


def _plain(*parts: Any) -> Iterator[Any]:
    return (getattr(part, "_orig_mod", part) for part in parts)  # under torch.compile


class _Shell:
    """What `_step` and `_decode` ask of a pipeline, around networks of shapes only."""

    def __init__(self, unet: Any, vae: Any, scale: int, image: bool) -> None:
        self.unet, self.vae, self.vae_scale_factor = unet, vae, scale
        if image:
            self.text_encoder = None


@contextmanager
def _meter(frames: int) -> Iterator[Any]:
    """Counts the FLOP of what runs inside on meta tensors (a multiplication and an addition are two): .plain, .over_space and
    .over_time of attention; and the .peak of live bytes."""
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    aten = torch.ops.aten
    first = {aten.mm.default: 0, aten.bmm.default: 0, aten.addmm.default: 1, aten.baddbmm.default: 1}

    class Meter(TorchDispatchMode):
        plain = over_space = over_time = live = peak = 0

        def __torch_dispatch__(self, call: Any, types: Any, args: tuple = (), keywords: dict | None = None) -> Any:
            result = call(*args, **(keywords or {}))
            if call is aten.convolution.default:
                self.plain += 2 * result.numel() * args[1][0].numel()
            elif call in first:
                self.plain += 2 * result.numel() * args[first[call]].shape[-1]
            for tensor in result if isinstance(result, tuple | list) else (result,):
                if isinstance(tensor, torch.Tensor) and not tensor._is_view() and not any(tensor is a for a in args):
                    size = tensor.numel() * tensor.element_size()
                    self.live += size
                    self.peak = max(self.peak, self.live)
                    weakref.finalize(tensor, self.release, size)
            return result

        def release(self, size: int) -> None:
            self.live -= size

    class Attention(TorchFunctionMode):
        """torch's own attention never makes the matrix of all pairs; on meta tensors it would."""

        def __torch_function__(self, call: Any, types: Any, args: tuple = (), keywords: dict | None = None) -> Any:
            if call is not torch.nn.functional.scaled_dot_product_attention:
                return call(*args, **(keywords or {}))
            query, key = args[:2]
            flop = 4 * query.numel() * key.shape[-2]
            if key.shape[-2] != query.shape[-2]:  # the picture's one token, or a text's 77
                meter.plain += flop
            elif key.shape[-2] == frames:
                meter.over_time += flop
            else:
                meter.over_space += flop
            return torch.empty_like(query)

    meter = Meter()
    with meter, Attention():
        yield meter
