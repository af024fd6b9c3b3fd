"""Compare a new studio's estimates with what the runs take, on a real model.

    SVD_LAB_MODELS=MODELS python docs/measure_estimate.py OUT --model svd

For each of six runs of the rocket: the estimate by calibration alone, the estimate by all runs so far, and what it took. OUT gets
estimate.json, updated after each run, and the videos in studio/. docs/measure_studio.py does more with the miniature.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from measure_studio import open_session, read

from svd_lab import load_video_pipeline
from svd_lab.performance.estimate import estimate
from svd_lab.pipe_facts import native_size, size_step

#: num_frames, num_inference_steps, decode_chunk_size, share of the model's own width and height
RUNS = ((6, 4, 2, 1), (14, 4, 2, 1), (14, 10, 4, 1), (6, 10, 4, 1), (14, 10, 2, 0.75), (10, 10, 2, 1))


def measure_estimate(model: str, out: Path) -> None:
    """Make the runs and write estimate.json."""
    start = time.perf_counter()
    pipe = load_video_pipeline(model)
    loaded = time.perf_counter()
    session = open_session(pipe, str(out / "studio"))
    session.prepare()
    found: dict[str, Any] = {"load": loaded - start, "prepare": time.perf_counter() - loaded, "runs": []}
    found["device"] = pipe._execution_device.type
    print(f"loading {found['load']:.1f} s, counting, calibrating and fitting {found['prepare']:.1f} s", flush=True)
    if session.unmeasured:
        raise RuntimeError(f"the studio has no estimate: {session.unmeasured}")
    found["rates"] = vars(session.calibrated)
    unit = size_step(pipe)
    for frames, steps, chunk, share in RUNS:
        width, height = (max(unit, round(side * share / unit) * unit) for side in native_size(pipe))
        names = {"num_frames": frames, "num_inference_steps": steps, "decode_chunk_size": chunk}
        values = read(session, **names, width=width, height=height)
        calibrated, learnt = estimate(pipe, values, session.calibrated), session.estimate(values)
        made, _ = session.make(values, on_step=lambda *_: None, on_preview=lambda _: None)
        row = names | {"width": width, "height": height, "seconds": made["seconds"]}
        row |= {"calibrated_seconds": calibrated.seconds, "estimated_seconds": learnt.seconds}
        row |= {"calibrated_gib": calibrated.bytes / 2**30, "estimated_gib": learnt.bytes / 2**30}
        row |= {"peak_gib": made["video"].get("peak_bytes", 0) / 2**30, **made["video"]}
        found["runs"].append(row)
        print(estimate_line(row), flush=True)
        (out / "estimate.json").write_text(json.dumps(found, indent=1))


def estimate_line(row: dict[str, Any]) -> str:
    """Format a run of estimate.json as a line."""
    said = f"{row['num_frames']:2} frames {row['width']}x{row['height']}, {row['num_inference_steps']:2} steps, chunk "
    said += f"{row['decode_chunk_size']}: took {row['seconds']:6.2f} s, {row['peak_gib']:5.2f} GiB; by calibration "
    said += f"{row['calibrated_seconds']:6.2f} s, {row['calibrated_gib']:5.2f} GiB; by the runs so far "
    return said + f"{row['estimated_seconds']:6.2f} s, {row['estimated_gib']:5.2f} GiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--model", default="svd", help="as for load_video_pipeline (svd)")
    options = parser.parse_args()
    measure_estimate(options.model, options.out)


if __name__ == "__main__":
    main()
