"""How fast is it, and is it the same? The same call on plain diffusers and on ours, in one run, on any machine.

`svd-lab bench` loads a model once, makes the call of the class that the lessons follow (10 frames, 10 steps) at every level of
`speed`, and reports for each: seconds of the first call (compilation included), of a later one and of its parts; the share of the
machine's matrix rate that a step reaches; memory; and how far one step and the frames are from plain diffusers. With a reference,
also how far plain float16 is from float32.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from svd_lab.performance import flops, speed
from svd_lab.performance.peak_memory import peak_memory
from svd_lab.pipe_facts import uncompiled

if TYPE_CHECKING:
    from PIL import Image

SEED = 42
#: Parts of a call: image encoder, VAE encoder, UNet, VAE decoder, frames to pictures.
PARTS = ("clip", "encode", "step", "decode", "frames")


def bench(
    pipe: Any,
    picture: Image.Image,
    levels: Sequence[str] = ("exact",),
    *,
    model: Mapping[str, Any] | None = None,
    num_frames: int = 10,
    num_inference_steps: int = 10,
    decode_chunk_size: int = 2,
    repeats: int = 3,
    reference: bool = False,
) -> dict[str, Any]:
    """Measure a StableVideoDiffusionPipeline, plain and at `levels`; its level is restored unless a call fails.

    Args:
        pipe: The pipeline.
        picture: What every call starts from, already at the video's size.
        levels: Levels of `speed`, or rewrites by name, joined by +.
        model: Facts about the model for the result, such as those of `recipe.video_model`.
        num_frames: Of the call.
        num_inference_steps: Of the call.
        decode_chunk_size: Of the call.
        repeats: Calls that are timed after a first one; their median counts.
        reference: Also measure in float32, which is slow and takes twice the memory; the weights are float32 afterwards.

    Returns:
        What was measured, as plain JSON values.

    Raises:
        ValueError: A level or rewrite is unknown or unavailable.
    """
    chosen = {
        level: speed.choose(pipe, level if level in speed.LEVELS else level.split("+")) for level in ("off", *levels)
    }
    size = {"height": picture.height, "width": picture.width}
    settings = {
        "num_frames": num_frames,
        "num_inference_steps": num_inference_steps,
        "decode_chunk_size": decode_chunk_size,
    }
    call = {"image": picture, **settings, **size}
    pixels = size["height"] * size["width"]
    counts = flops.count(pipe)
    step_gflop = flops.gflop(counts.step, num_frames, pixels)
    chunk = min(decode_chunk_size, num_frames)
    whole, rest = divmod(num_frames, chunk)
    decode_gflop = whole * flops.gflop(counts.decode, chunk, pixels) + flops.gflop(counts.decode, rest, pixels)
    device, before = pipe._execution_device, speed.applied(pipe)
    rate = matrix_rate(device, pipe.unet.dtype)
    rows: dict[str, dict[str, Any]] = {}
    plain: tuple[Any, Any] | None = None
    for level in chosen:
        names = speed.apply(pipe, chosen[level])
        row, step, frames = _measure(pipe, call, repeats)
        plain = plain or (step, frames)
        row |= {"rewrites": list(names), **_distance(plain, (step, frames))}
        row["ratio"] = rows["off"]["call"] / row["call"] if rows else 1.0
        row["step_share"] = step_gflop / row["step"] / rate
        row["decode_share"] = decode_gflop / row["decode"] / rate
        rows[level] = row
    result: dict[str, Any] = {**(model or {}), "settings": settings | size, "seed": SEED}
    result |= {"matrix_tflops": rate / 1e3, "step_tflop": step_gflop / 1e3}
    result |= {"decode_tflop": decode_gflop / 1e3, "levels": rows}
    if reference:
        result["float32"] = _reference(pipe, call, plain)
    speed.apply(pipe, before)
    return result


def matrix_rate(device: Any, dtype: Any, seconds: float = 0.3) -> float:
    """Return the GFLOP/s of a large product of random matrices in this precision, the best of three: this machine's peak."""
    import torch

    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    torch.mm(a, b)
    for _ in range(3):
        _wait(device)
        start, count = time.perf_counter(), 0
        while count == 0 or time.perf_counter() - start < seconds / 3:
            for _ in range(4):
                torch.mm(a, b)
            count += 4
            _wait(device)
        best = max(best, 2e-9 * side**3 * count / (time.perf_counter() - start))
    return best


def _measure(pipe: Any, call: dict[str, Any], repeats: int) -> tuple[dict[str, Any], Any, Any]:
    """Return (seconds and bytes, the output of one step, the frames as uint8)."""
    import torch

    device = pipe._execution_device
    gc.collect()
    first, _ = _timed(pipe, call)
    with peak_memory(device) as peak:
        calls = [_timed(pipe, call)[0] for _ in range(repeats)]
        if device.type == "cuda":
            allocated = torch.cuda.max_memory_allocated(device)
    with _clocks(pipe) as clocks:
        watched, frames = _timed(pipe, call)
    row = {"first": first, "call": statistics.median(calls), "calls": calls}
    row |= {part: sum(clocks[part]) for part in PARTS}
    row["rest"] = watched - sum(map(sum, clocks.values()))
    row["step"] = statistics.median(clocks["step"])
    # On a CPU the growth of the process; on a GPU all that torch had allocated, weights included.
    row["peak_bytes"] = int(peak["bytes"] if device.type == "cpu" else allocated)
    return row, _one_step(pipe, call), frames


def _timed(pipe: Any, call: dict[str, Any]) -> tuple[float, Any]:
    """Return the seconds of the call, and its frames, [frames, height, width, 3] of uint8."""
    import numpy as np
    import torch

    # The same noise in every precision: torch draws different numbers in float16 and in float32.
    latents = _noise(pipe, call, pipe.unet.config.out_channels)
    _wait(pipe._execution_device)
    start = time.perf_counter()
    frames = pipe(**call, latents=latents, generator=torch.Generator().manual_seed(SEED)).frames[0]
    seconds = time.perf_counter() - start
    return seconds, np.stack([np.asarray(frame) for frame in frames])


@contextmanager
def _clocks(pipe: Any) -> Iterator[dict[str, list[float]]]:
    """Yield the seconds of each part's calls, by part, while the pipeline runs in the block; synchronizing costs a little time."""
    device = pipe._execution_device
    seconds: dict[str, list[float]] = {part: [] for part in PARTS}
    starts: dict[str, float] = {}
    unet, vae = uncompiled(pipe.unet), uncompiled(pipe.vae)
    hooks = []

    def begin(part: str) -> None:
        _wait(device)
        starts[part] = time.perf_counter()

    def end(part: str) -> None:
        _wait(device)
        seconds[part].append(time.perf_counter() - starts[part])

    modules = {"clip": pipe.image_encoder, "encode": vae.encoder, "step": unet, "decode": vae.decoder}
    for part, module in modules.items():
        hooks.append(module.register_forward_pre_hook(lambda *_, part=part: begin(part)))
        hooks.append(module.register_forward_hook(lambda *_, part=part: end(part)))
    processor = pipe.video_processor
    plain, own = processor.postprocess_video, vars(processor).get("postprocess_video")

    def postprocess_video(*args: Any, **keywords: Any) -> Any:
        begin("frames")
        result = plain(*args, **keywords)
        end("frames")
        return result

    processor.postprocess_video = postprocess_video
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()
        del processor.postprocess_video
        if own is not None:
            processor.postprocess_video = own


def _one_step(pipe: Any, call: dict[str, Any]) -> Any:
    """Return the UNet's prediction for fixed random numbers, in float32 on the CPU."""
    import torch

    place = {"device": pipe._execution_device, "dtype": pipe.unet.dtype}
    sample = torch.cat([_noise(pipe, call, pipe.unet.config.in_channels, seed=SEED + i) for i in range(2)])
    token = torch.randn(2, 1, pipe.unet.config.cross_attention_dim, generator=torch.Generator().manual_seed(SEED)).to(
        **place
    )
    token[0] = 0  # as guidance does
    ids = torch.tensor([[6.0, 127.0, 0.02]] * 2).to(**place)
    with torch.no_grad():
        return pipe.unet(sample, torch.tensor(0.5), token, added_time_ids=ids, return_dict=False)[0].float().cpu()


def _noise(pipe: Any, call: dict[str, Any], channels: int, seed: int = SEED) -> Any:
    """Return noise [1, frames, channels, h, w] in the pipeline's precision, of numbers that float16 represents."""
    import torch

    scale = pipe.vae_scale_factor
    shape = (1, call["num_frames"], channels, call["height"] // scale, call["width"] // scale)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).half()
    return noise.to(pipe._execution_device, pipe.unet.dtype)


def _distance(plain: tuple[Any, Any], ours: tuple[Any, Any]) -> dict[str, float]:
    """Return how far one step differs, relative to its size, and the frames, of 255."""
    difference = abs(ours[1].astype("float32") - plain[1].astype("float32"))
    return {
        "step_error": float((ours[0] - plain[0]).norm() / plain[0].norm()),
        "frames_mean": float(difference.mean()),
        "frames_max": float(difference.max()),
    }


def _reference(pipe: Any, call: dict[str, Any], plain: tuple[Any, Any]) -> dict[str, float]:
    """Return how far plain diffusers in this pipeline's precision is from float32, without TF32."""
    import torch

    speed.apply(pipe, "off")
    for part in (pipe.unet, pipe.vae, pipe.image_encoder):
        torch.nn.Module.float(part)
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        return _distance((_one_step(pipe, call), _timed(pipe, call)[1]), plain)
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


def _wait(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
