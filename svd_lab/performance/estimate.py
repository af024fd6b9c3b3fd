"""How long will a run take, and how much memory: counted, calibrated on this machine, corrected by finished runs.

Seconds are FLOP (`flops`) over a rate, plus Python's overhead for each call of the UNet. The rates of UNet and VAE differ (a CPU is
slow at convolutions over time), so each has its own: from `calibrate`, a second with the genuine networks, until runs give better
ones. Memory is what `flops` finds live at the peak, plus what the libraries take.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from svd_lab.performance import flops
from svd_lab.performance.flops import count, gflop
from svd_lab.pipe_facts import native_size, size_step

RECENT = 3  # runs that a rate is learned from: the median tolerates one that something else slowed down
FILE = 0.1  # seconds outside the networks: starting ffmpeg, writing the recipe; measured with tiny videos
# A CPU's convolutions reorder their inputs, and torch allocates memory of its own in the first run. Fitted to peaks of the mini,
# each in a new process (docs/studio.md), which vary by a fifth between runs. CUDA's allocator counts exactly.
CPU_FIRST, CPU_LIVE = 90 * 2**20, 1.6
_SHORT = {"cpu": 25.0}  # at most so many GFLOP for a call of the calibration; elsewhere:
_LONG = 15e3


@dataclass(frozen=True)
class Rates:
    """How fast a machine runs a pipeline.

    Attributes:
        step: Seconds for each GFLOP of the UNet.
        decode: Seconds for each GFLOP of the VAE and everything around it.
        call: Seconds that each step takes beyond its FLOP.
        memory: Measured over estimated memory of a GPU.
    """

    step: float
    decode: float
    call: float = 0.0
    memory: float = 1.0


@dataclass(frozen=True)
class Estimate:
    """What a run should take.

    Attributes:
        seconds: In all.
        step: Seconds of one denoising step.
        bytes: Beyond those of the loaded models.
    """

    seconds: float
    step: float
    bytes: float


def estimate(pipe: Any, settings: dict[str, Any], rates: Rates) -> Estimate:
    """Estimate a run with these settings at these rates.

    Args:
        pipe: A StableVideoDiffusionPipeline or a StableDiffusionPipeline.
        settings: Checked num_inference_steps, height and width, and for a video num_frames and decode_chunk_size.
        rates: From `calibrate` or `learn`.
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
    """Return the rates of the latest runs.

    Until there are RECENT runs, `before` counts as one of them: a first run on a GPU also compiles kernels, and took twice as long
    on an H100. A CPU's peaks are ignored: a process keeps what it has freed, so that later runs seem to take nothing.

    Args:
        pipe: The pipeline that ran.
        runs: For each run its "settings", "step_seconds" (median of a step), "rest_seconds" (all but the steps) and "peak_bytes"
            (beyond the loaded models, None where unknown).
        before: The rates so far, returned where there are no runs.
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
    """Measure the rates by timing the networks on little work and on four times as much: the difference is free of overhead.

    Takes about a tenth of a default video's time. The pipeline is not run, and no random numbers are drawn; call it while nothing
    else runs the pipeline (`runner.borrow`).
    """
    import torch

    device, dtype = pipe._execution_device, pipe.unet.dtype

    def seconds(call: Any, frames: int, size: tuple[int, int]) -> float:
        start = time.perf_counter()
        call(pipe, frames, *size, device, dtype)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    counts, rates, overhead = count(pipe), [], 0.0
    with torch.no_grad():
        for call, cost in ((flops.step, counts.step), (flops.decode, counts.decode)):
            frames = 1 if hasattr(pipe, "text_encoder") or call is flops.decode else 2
            large = _size(pipe, cost, frames, _SHORT.get(device.type, _LONG))
            small = _halved(pipe, large)
            for size in (small, large) if device.type == "cuda" else (small,):
                seconds(call, frames, size)  # warm-up: memory is allocated and kernels are chosen
            times = [min(seconds(call, frames, size) for _ in range(2)) for size in (small, large)]
            work = [gflop(cost, frames, height * width) for height, width in (small, large)]
            slope = (times[1] - times[0]) / max(work[1] - work[0], 1e-9)
            whole = times[1] / work[1]  # overhead included: an upper bound of the rate
            rates.append(min(max(slope, whole / 2), whole))
            if call is flops.step and device.type == "cpu":  # elsewhere Python runs ahead of the device
                overhead = max(0.0, times[1] - rates[0] * work[1])
    return Rates(*rates, overhead)


def _rest_gflop(pipe: Any, settings: dict[str, Any]) -> float:
    """GFLOP of the VAE in a run: the picture once, the frames chunk by chunk."""
    counts, pixels = count(pipe), settings["height"] * settings["width"]
    frames, chunk = settings.get("num_frames", 1), settings.get("decode_chunk_size", 1)
    whole, rest = divmod(frames, min(chunk, frames))
    decoded = whole * gflop(counts.decode, min(chunk, frames), pixels) + gflop(counts.decode, rest, pixels)
    return decoded + gflop(counts.encode, 1, pixels)


def _size(pipe: Any, cost: flops.Cost, frames: int, most: float) -> tuple[int, int]:
    """(height, width): as trained, halved until a call has at most `most` GFLOP."""
    size = native_size(pipe)[::-1]
    while gflop(cost, frames, size[0] * size[1]) > most and (less := _halved(pipe, size)) != size:
        size = less
    return size


def _halved(pipe: Any, size: tuple[int, int]) -> tuple[int, int]:
    unit = size_step(pipe)
    return tuple(max(unit, side // 2 // unit * unit) for side in size)
