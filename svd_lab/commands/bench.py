"""The command `svd-lab bench`: its options, its tables."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from svd_lab.commands.options import MODELS, add_settings, manual

#: The columns of the table after the level, and what is in them.
_COLUMNS = {
    "first": "seconds of the first call, with what is compiled in it",
    "call": "seconds of a later call, the median of --repeats",
    "ratio": "how many times as fast as the first row",
    "step": "seconds of one denoising step",
    "of peak": "the share of this machine's matrix rate that the part before it reaches",
    "decode": "seconds of decoding all frames",
    "encode": "seconds of encoding the picture",
    "frames": "seconds of turning numbers into pictures",
    "rest": "seconds of all else in a call",
    "GiB": "most memory: on a CPU what the process grew by, on a GPU all that torch held, weights included",
    "step error": "how far one step is from the first row's, relative to its size",
    "frames differ": "how far the frames are from the first row's, on the scale 0 to 255",
}
_HEAD = ("", "first", "call", "ratio", "step", "of peak", "decode", "of peak", "encode", "frames", "rest", "GiB")
_SETTINGS = ("num_frames", "num_inference_steps", "decode_chunk_size", "height", "width")


def add_bench(commands: Any, *parents: argparse.ArgumentParser) -> None:
    """Add the command to argparse's `commands`."""
    command = commands.add_parser(
        "bench",
        parents=list(parents),
        help="measure speed on this machine: plain diffusers and ours in one run, and how far they differ",
        **manual(
            "Make the same video with plain diffusers and with svd-lab's faster code, in one run. Print a table of how long each "
            "part takes, how much memory it needs, and how far the frames differ; the first row, off, is plain diffusers.",
            "svd-lab bench --model mini",
            "svd-lab bench --model svd --reference",
            "svd-lab bench --model mini --speed exact fused --num-inference-steps 4 --repeats 5",
            more="columns:\n" + _legend(),
        ),
    )
    command.add_argument("--model", default="auto", help=f"{MODELS} (auto)")
    command.add_argument(
        "--speed",
        nargs="+",
        metavar="LEVEL",
        help="besides plain diffusers: exact, fused, or rewrites as a+b (exact, and fused where it runs)",
    )
    add_settings(command, _SETTINGS, "generate_video")
    command.add_argument(
        "--repeats", type=int, default=3, metavar="N", help="calls that are timed after a first one (3)"
    )
    command.add_argument(
        "--reference", action="store_true", help="also measure how far plain float16 is from float32; slow"
    )
    command.add_argument(
        "--json", metavar="FILE", help="write the result to FILE as JSON; - prints it instead of the table"
    )
    command.set_defaults(run=run_bench)


def run_bench(options: argparse.Namespace) -> None:
    """Load the model, measure it and print the table."""
    import torch

    import svd_lab
    from svd_lab.bundled import PICTURES
    from svd_lab.images import open_image
    from svd_lab.performance.benchmark import bench
    from svd_lab.performance.speed import fits
    from svd_lab.recipe import video_model
    from svd_lab.settings import check_size

    dtype = getattr(torch, options.dtype) if options.dtype else None
    settings = {name: getattr(options, name) for name in _SETTINGS}
    pipe = svd_lab.load_video_pipeline(options.model, device=options.device, dtype=dtype, speed="off")
    pipe.set_progress_bar_config(disable=True)
    levels = options.speed or ["exact", *(["fused"] if fits("fused", pipe) else [])]
    size = check_size(pipe, settings.pop("height"), settings.pop("width"))
    picture = open_image(PICTURES["rocket"], size=(size["width"], size["height"]))
    model = {name: value for name, value in video_model(pipe).items() if name != "speed"}
    result = bench(pipe, picture, levels, model=model, **settings, repeats=options.repeats, reference=options.reference)
    _report(options, result, table(result))


def _report(options: argparse.Namespace, result: Any, text: str) -> None:
    if options.json == "-":
        print(json.dumps(result, indent=2))
        return
    print(text)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n")


def _legend() -> str:
    width = max(map(len, _COLUMNS))
    return "\n".join(f"  {name.ljust(width)}  {text}" for name, text in _COLUMNS.items())


def table(result: dict[str, Any]) -> str:
    """Return the result of `bench` as a table of text."""
    asked = result["settings"]
    lines = [
        f"{result['model']}: {asked['num_frames']} frames of {asked['width']}x{asked['height']}, {asked['num_inference_steps']} "
        f"steps, decoded {asked['decode_chunk_size']} at a time, seed {result['seed']}",
        f"{result['machine']}, torch {result['versions']['torch']}, {result['dtype']}; matrix rate: "
        f"{result['matrix_tflops']:.3g} TFLOP/s",
        "",
    ]
    rows = [(*_HEAD, "step error", "frames differ")]
    for level, row in result["levels"].items():
        times = [f"{row[name]:.3f}" for name in ("first", "call")] + [f"{row['ratio']:.2f}"]
        times += [f"{row['step']:.3f}", f"{row['step_share']:.0%}"]
        times += [f"{row['decode']:.3f}", f"{row['decode_share']:.0%}"]
        times += [f"{row['clip'] + row['encode']:.3f}", f"{row['frames']:.3f}", f"{row['rest']:.3f}"]
        differ = f"mean {row['frames_mean']:.4f}, max {row['frames_max']:.0f} of 255"
        rows.append((level, *times, f"{row['peak_bytes'] / 2**30:.2f}", f"{row['step_error']:.1e}", differ))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for first, *others in rows:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    lines.append(f"\nThe first row is diffusers alone.\n{_legend()}")
    if "float32" in result:
        far = result["float32"]
        lines.append(
            f"The first row's distance from float32: step {far['step_error']:.1e}, frames mean {far['frames_mean']:.4f}, "
            f"max {far['frames_max']:.0f} of 255."
        )
    return "\n".join(lines)
