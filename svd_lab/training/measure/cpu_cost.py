"""The cost of a default call on a CPU: seconds and peak memory, with the speed of the machine at that moment.

    python -m svd_lab.training.measure.cpu_cost --threads 2 [--folder DIR] [--calls 3]

The call is the lessons': generate_video(picture, file), 10 frames x 10 steps, decode_chunk_size 2. It runs in a process of its own,
which imports only what a user's process imports; the result is one line of JSON.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from svd_lab.models.checkpoints import locate

RESULT = "cost: "  # marks the line with the result among those that the pipeline prints


def peak_rss() -> float:
    """The largest resident memory of this process so far, in GiB.

    On Linux VmHWM, because a child inherits ru_maxrss from the process that started it.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 2**20
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def conv_rate(seconds: float = 1.0) -> float:
    """GFLOP/s of the mini's most frequent operation now: a 3x3 convolution, 128 channels, 4 x 32 x 56, channels last, fp32."""
    import torch
    import torch.nn.functional as F

    x = torch.randn(4, 128, 32, 56).contiguous(memory_format=torch.channels_last)
    w = torch.randn(128, 128, 3, 3).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        F.conv2d(x, w, padding=1)
        n, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            F.conv2d(x, w, padding=1)
            n += 1
        return n * 2 * x.numel() * 128 * 9 / (time.perf_counter() - start) / 1e9


def measure(folder: str, threads: int, calls: int) -> dict[str, Any]:
    """Measure in this process, which must not have imported torch before.

    Args:
        folder: A model folder, or a name that load_video_pipeline knows.
        threads: Of torch.
        calls: How many.

    Returns:
        threads; load: seconds from the first import to a pipeline; first, warm: seconds of the first call and of the fastest
        later one; rss: peak memory over all calls in GiB; conv: GFLOP/s before and after the later calls.
    """
    begun = time.perf_counter()
    import torch

    torch.set_num_threads(threads)
    from PIL import Image

    from svd_lab import generate_video, load_video_pipeline

    pipe = load_video_pipeline(folder, device="cpu")
    load, seconds = time.perf_counter() - begun, []
    picture = Image.linear_gradient("L").convert("RGB")
    picture.paste((200, 60, 40), (90, 120, 150, 180))
    rate = []
    with tempfile.TemporaryDirectory() as where:
        for i in range(calls):
            start = time.perf_counter()
            generate_video(picture, Path(where) / f"{i}.mp4", pipe=pipe, on_step=lambda *_: None)
            seconds.append(time.perf_counter() - start)
            if i == 0:
                rate.append(conv_rate())
    rss = peak_rss()
    rate.append(conv_rate())
    return dict(threads=threads, load=load, first=seconds[0], warm=min(seconds[1:] or seconds), rss=rss, conv=rate)


def run_module(module: str, arguments: list[str | Path | int], threads: int) -> dict[str, Any]:
    """Run a module in a fresh process, on the CPU only, and read the JSON that it prints after RESULT.

    Raises:
        RuntimeError: The process failed; with what it printed.
    """
    environment = os.environ | dict(OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive", CUDA_VISIBLE_DEVICES="")
    command = [sys.executable, "-m", module, *map(str, arguments), "--threads", str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if done.returncode or not lines:
        raise RuntimeError(f"the measurement failed: {' '.join(command[1:])}\n{done.stderr.strip()[-2000:]}")
    return json.loads(lines[-1].removeprefix(RESULT))


def in_own_process(folder: str | Path = "mini", threads: int = 2, calls: int = 3) -> dict[str, Any]:
    """Call `measure` in a fresh process.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There is no such model.
        RuntimeError: The measurement failed.
    """
    locate(folder)
    return run_module("svd_lab.training.measure.cpu_cost", ["--folder", folder, "--calls", calls], threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", default="mini", help="model folder, or a name that load_video_pipeline knows (mini)"
    )
    parser.add_argument("--threads", type=int, default=2, help="(2)")
    parser.add_argument("--calls", type=int, default=3, help="(3)")
    args = parser.parse_args()
    print(RESULT + json.dumps(measure(args.folder, args.threads, args.calls)), flush=True)


if __name__ == "__main__":
    main()
