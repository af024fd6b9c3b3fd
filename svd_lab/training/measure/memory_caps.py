"""Do the memory placements hold? A video under a real cap, as on a card of 8, 12, 16, 24 or 80 GB, and what each placement costs.

    python -m svd_lab.training.measure.memory_caps --model svd --caps 8 12 16 --placements whole blocks --json rows.json

torch.cuda.set_per_process_memory_fraction makes every allocation beyond the cap fail as it would on a smaller card. Under each cap
the model is loaded with memory="auto", a video is made, and the peak is compared with the estimate; then an excessive call must end
in a MemoryError with advice, and the next, modest one must give the frames of the first.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from svd_lab.batch.items import call_settings
from svd_lab.bundled import PICTURES
from svd_lab.generation import run_video
from svd_lab.images import open_image
from svd_lab.performance import placement
from svd_lab.performance.memory import CONSTANTS, GIB, PLACEMENTS, check_name
from svd_lab.pipe_facts import device_number, native_size
from svd_lab.pipelines import choose_device, load_video_pipeline
from svd_lab.recipe import sha256

SEED = 42
USABLE = 0.95  #: of a card's nominal memory; a desktop and the driver take the rest


def bench_memory(
    model: str,
    caps: Sequence[float],
    placements: Sequence[str] = (),
    *,
    device: Any = None,
    dtype: Any = None,
    **settings: int,
) -> Iterator[dict[str, Any]]:
    """Measure a video under each cap, then with each placement without a cap.

    Args:
        model: As for load_video_pipeline.
        caps: GB of GPU memory.
        placements: Names.
        device: As for load_video_pipeline.
        dtype: As for load_video_pipeline.
        settings: num_frames, num_inference_steps, decode_chunk_size, height and width; defaults: the model's own, 10 steps, chunks
            of 2.

    Yields:
        A row as soon as it is measured: placement, estimated and measured peak, seconds, and the outcome of an excessive call.

    Raises:
        ValueError: There is no CUDA, or no such placement.
    """
    import torch

    place, _ = choose_device(device)
    if place.type != "cuda":
        raise ValueError("memory caps need a CUDA GPU, and torch finds none")
    for name in placements:
        check_name(name)
    try:
        for cap in caps:
            yield _under(cap, "auto", model, place, dtype, settings)
        for name in placements:
            yield _under(None, name, model, place, dtype, settings)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device_number(place))


def _under(
    cap: float | None, memory: str, model: str, device: Any, dtype: Any, settings: dict[str, int]
) -> dict[str, Any]:
    import torch

    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info(device)[1]
    usable = cap * GIB * USABLE if cap else 2.0 * total
    torch.cuda.set_per_process_memory_fraction(min(1.0, usable / total), device_number(device))
    pipe = load_video_pipeline(model, device=device, dtype=dtype, memory=memory)
    pipe.set_progress_bar_config(disable=True)
    # torch's cap counts tensors only; on a card of this size CUDA itself would take its part.
    torch.cuda.set_per_process_memory_fraction(min(1.0, (usable - CONSTANTS.context) / total), device_number(device))
    width, height = native_size(pipe)
    asked = {"num_frames": pipe.unet.config.num_frames, "num_inference_steps": 10, "decode_chunk_size": 2}
    asked |= {"height": height, "width": width} | settings
    need, used = placement.of_pipeline(pipe, asked), PLACEMENTS[pipe.svd_lab_memory]
    row: dict[str, Any] = {
        "cap_gb": cap,
        "placement": used.name,
        "estimate": need.peak(used),
        "card": need.card(used),
    }
    try:
        first = _video(pipe, asked)
        torch.cuda.reset_peak_memory_stats(device)
        start = time.perf_counter()
        again = _video(pipe, asked)
        row |= {"seconds": time.perf_counter() - start, "frames_repeat": first == again}
        allocated, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
        row |= {"peak": reserved if used.blocks else allocated, "allocated": allocated, "reserved": reserved}
        row["off"] = row["estimate"] / row["peak"] - 1
        free, total = torch.cuda.mem_get_info(device)
        row["context"] = total - free - torch.cuda.memory_reserved(device)  # and whatever else runs on this card
        if cap:
            row |= _excessive(pipe, asked, first)
    except MemoryError as error:
        row["error"] = str(error)
    return row


def _excessive(pipe: Any, asked: dict[str, int], modest: str) -> dict[str, Any]:
    """Ask for more than any small card has; return the advice, and whether the pipeline still gives the modest video."""
    try:
        _video(pipe, asked | {"num_frames": 60, "decode_chunk_size": 60, "num_inference_steps": 1})
        return {"advice": None}
    except MemoryError as error:
        return {"advice": str(error), "usable_after": _video(pipe, asked) == modest}


def _video(pipe: Any, asked: dict[str, int]) -> str:
    """Make the video without a file and return the hash of its frames."""
    import torch

    picture = open_image(PICTURES["rocket"], size=(asked["width"], asked["height"]))
    return sha256(
        *run_video(pipe, picture, call_settings(False, SEED, asked), torch.Generator().manual_seed(SEED), None, None)
    )


HEAD = f"{'cap':>6}  {'placement':15}{'estimate':>9}  {'peak':>6}  {'off':>5}  {'seconds':>7}  excessive call"


def memory_line(row: dict[str, Any]) -> str:
    """Return a row as text, below HEAD."""
    cap = f"{row['cap_gb']:>3.0f} GB" if row["cap_gb"] else " " * 6
    start = f"{cap}  {row['placement']:15}{row['estimate'] / GIB:>5.1f} GiB"
    if "error" in row:
        return f"{start}  {row['error']}"
    after = "" if row.get("advice") is None else f"refused with advice, usable after: {row['usable_after']}"
    return f"{start}  {row['peak'] / GIB:>6.2f}  {row['off']:>+5.0%}  {row['seconds']:>7.1f}  {after}".rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and save each row as soon as it is measured, so that an interrupted run keeps them."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="svd")
    parser.add_argument("--device")
    parser.add_argument("--dtype", choices=["float16", "bfloat16", "float32"])
    parser.add_argument(
        "--caps", nargs="+", type=float, default=(), metavar="GB", help="of GPU memory, as on such a card"
    )
    parser.add_argument("--placements", nargs="+", default=(), help="a video with each, without a cap")
    for name in ("num-frames", "num-inference-steps", "decode-chunk-size", "height", "width"):
        parser.add_argument(f"--{name}", type=int, metavar="X")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    names = ("num_frames", "num_inference_steps", "decode_chunk_size", "height", "width")
    settings = {name: value for name in names if (value := getattr(options, name)) is not None}
    dtype = getattr(torch, options.dtype) if options.dtype else None
    rows: list[dict[str, Any]] = []
    try:
        for row in bench_memory(
            options.model, options.caps, options.placements, device=options.device, dtype=dtype, **settings
        ):
            rows.append(row)
            print(*([HEAD] if len(rows) == 1 else []), memory_line(row), sep="\n", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=2) + "\n")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
