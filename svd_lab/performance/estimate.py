"""How long will a run take, and how much memory: counted, calibrated on this machine, corrected by the runs that were made.

Seconds are FLOP (`counting`) over a rate, and for each call of the UNet what Python takes beside them. The rates of the UNet and of
the VAE differ (a CPU does convolutions over time badly), so each has its own: from `calibrate`, a second with the genuine networks,
until runs have shown better ones. Memory is what `counting` finds alive at the peak, and what the libraries take beside it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from svd_lab.performance import flops
from svd_lab.performance.flops import count, gflop

RECENT = 3  # runs that a rate is learnt from: the median forgives one that something else slowed down
FILE = 0.1  # seconds for what no network does: ffmpeg starts, the recipe is written; measured with tiny videos
# A CPU's convolutions reorder what they work on, and torch fetches memory of its own in its first run. Fitted to peaks of the mini,
# each in a new process (docs/studio.md), which differ by a fifth between runs. CUDA's allocator counts exactly.
CPU_FIRST, CPU_LIVE = 90 * 2**20, 1.6
_SHORT = {"cpu": 25.0}  # GFLOP that a call of the calibration may have; elsewhere:
_LONG = 15e3


@dataclass(frozen=True)
class Rates:
    """step, decode: seconds for each GFLOP of the UNet, and of the VAE with all that belongs to it. call: seconds that each step
    takes beside its FLOP. memory: by what factor a GPU's memory was off."""

    step: float
    decode: float
    call: float = 0.0
    memory: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """What a run should take: seconds in all, seconds of one denoising step, bytes beyond those of the loaded models."""

    seconds: float
    step: float
    bytes: float


def estimate(pipe: Any, settings: dict[str, Any], rates: Rates) -> Estimate:
    """What these checked settings (num_frames, num_inference_steps, decode_chunk_size, height, width) take at these rates.

    For a StableDiffusionPipeline num_frames and decode_chunk_size are 1.
    """
    counts = count(pipe)
    frames, pixels = settings.get("num_frames", 1), settings["height"] * settings["width"]
    chunk = min(settings.get("decode_chunk_size", 1), frames)
    step = gflop(counts.step, frames, pixels) * rates.step + rates.call
    rest = _rest_gflop(pipe, settings) * rates.decode + FILE
    pictures = frames * pixels * 3 * 4 * 3  # the decoded frames: collected, joined, and turned into float32 for PIL
    live = max(counts.step_bytes * frames, counts.decode_bytes * chunk, counts.encode_bytes) * pixels + pictures
    on_cpu = pipe._execution_device.type == "cpu"
    return Estimate(
        step * settings["num_inference_steps"] + rest,
        step,
        CPU_FIRST + CPU_LIVE * live if on_cpu else live * rates.memory,
    )


def learn(pipe: Any, runs: list[dict[str, Any]], before: Rates | None) -> Rates | None:
    """The rates that the latest of `runs` had: {"settings", "step_seconds", "rest_seconds", "peak_bytes"}; `before` without any.

    step_seconds: median of a step. rest_seconds: all but the steps. peak_bytes: beyond the loaded models, None where unknown. A
    CPU's are not learnt from: what a process has freed stays with it, so that later runs seem to take nothing. Until there are
    RECENT runs, `before` counts as one of them: a first run on a GPU also compiles kernels, and took twice its time on an H100.
    """
    if not runs:
        return before
    counts, steps, rests = count(pipe), [], []
    call = before.call if before else 0.0
    for run in runs[-RECENT:]:
        settings = run["settings"]
        work = gflop(counts.step, settings.get("num_frames", 1), settings["height"] * settings["width"])
        steps.append(max(run["step_seconds"] - call, run["step_seconds"] / 4) / work)
        rests.append(max(run["rest_seconds"] - FILE, run["rest_seconds"] / 4) / _rest_gflop(pipe, settings))
    if before and len(steps) < RECENT:
        steps.append(before.step)
        rests.append(before.decode)
    peaks = [
        run["peak_bytes"] / estimate(pipe, run["settings"], Rates(0, 0)).bytes
        for run in runs[-RECENT:]
        if run.get("peak_bytes") and pipe._execution_device.type != "cpu"
    ]
    return Rates(median(steps), median(rests), call, median(peaks) if peaks else before.memory if before else 1.0)


def calibrate(pipe: Any) -> Rates:
    """Time the networks themselves on little work, and on four times as much: the difference is the rate, free of what each call
    costs beside. The pipeline is not run; call it while nothing else runs it (`running.borrow`). About a tenth of a default
    video's time. Random numbers are neither used nor drawn."""
    import torch

    device, dtype = pipe._execution_device, pipe.unet.dtype

    def seconds(call: Any, frames: int, size: tuple[int, int]) -> float:
        start = time.perf_counter()
        call(pipe, frames, *size, device, dtype)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    counts, rates, beside = count(pipe), [], 0.0
    with torch.no_grad():
        for call, cost in ((flops.step, counts.step), (flops.decode, counts.decode)):
            frames = 1 if hasattr(pipe, "text_encoder") or call is flops.decode else 2
            large = _size(pipe, cost, frames, _SHORT.get(device.type, _LONG))
            small = _halved(pipe, large)
            for size in (small, large) if device.type == "cuda" else (small,):
                seconds(call, frames, size)  # memory is fetched and kernels are chosen
            times = [min(seconds(call, frames, size) for _ in range(2)) for size in (small, large)]
            work = [gflop(cost, frames, height * width) for height, width in (small, large)]
            slope = (times[1] - times[0]) / max(work[1] - work[0], 1e-9)
            whole = times[1] / work[1]  # with all that a call costs beside, so the rate cannot be above it
            rates.append(min(max(slope, whole / 2), whole))
            if call is flops.step and device.type == "cpu":  # elsewhere Python runs ahead of the device
                beside = max(0.0, times[1] - rates[0] * work[1])
    return Rates(*rates, beside)


def _rest_gflop(pipe: Any, settings: dict[str, Any]) -> float:
    """What the VAE does in a run: the picture once, the frames chunk by chunk."""
    counts, pixels = count(pipe), settings["height"] * settings["width"]
    frames, chunk = settings.get("num_frames", 1), settings.get("decode_chunk_size", 1)
    whole, rest = divmod(frames, min(chunk, frames))
    decoded = whole * gflop(counts.decode, min(chunk, frames), pixels) + gflop(counts.decode, rest, pixels)
    return decoded + gflop(counts.encode, 1, pixels)


def _size(pipe: Any, cost: flops.Cost, frames: int, most: float) -> tuple[int, int]:
    """(height, width): as trained, halved until a call has no more GFLOP than `most`."""
    from svd_lab.pipe_facts import native_size

    size = native_size(pipe)[::-1]
    while gflop(cost, frames, size[0] * size[1]) > most and (less := _halved(pipe, size)) != size:
        size = less
    return size


def _halved(pipe: Any, size: tuple[int, int]) -> tuple[int, int]:
    from svd_lab.pipe_facts import size_step

    unit = size_step(pipe)
    return tuple(max(unit, side // 2 // unit * unit) for side in size)
