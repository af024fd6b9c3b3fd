"""What the default call costs on a CPU: seconds and peak memory, beside how fast the machine was in that very minute.

    python -m svd_lab.training.measure.cpu_cost --threads 2 [--folder DIR] [--calls 3]

The call is the lessons': generate_video(picture, file), 10 frames x 10 steps, decode_chunk_size 2. It runs in a process
of its own, which imports what a newcomer's process imports and nothing else; the result is one line of JSON.
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

from svd_lab.models.checkpoints import locate

RESULT = "cost: "  # what the line with the result starts with; the pipeline prints lines of its own


def peak_rss() -> float:
    """GiB of this process at its largest.

    Linux: VmHWM. ru_maxrss would not do: a child inherits the peak of the process that started it.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 2**20
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def conv_rate(seconds: float = 1.0) -> float:
    """GFLOP/s, right now, of the mini's staple: a 3x3 convolution, 128 channels, 4 x 32 x 56, channels last, fp32."""
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


def measure(folder: str, threads: int, calls: int) -> dict:
    """-> threads, load (seconds from the first import to a pipeline), first, warm (seconds of the first call and of the
    fastest later one), rss (GiB at the largest, over all calls), conv (GFLOP/s before and after the later calls)."""
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


def in_own_process(folder: str | Path = "mini", threads: int = 2, calls: int = 3) -> dict:
    """`measure` in a fresh process. Raises FileNotFoundError or ValueError if there is no such model, and RuntimeError
    with what that process said if it fails."""
    locate(folder)
    environment = os.environ | dict(OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive", CUDA_VISIBLE_DEVICES="")
    command = [
        sys.executable,
        "-m",
        "svd_lab.training.measure.cpu_cost",
        "--folder",
        folder,
        "--threads",
        threads,
        "--calls",
        calls,
    ]
    done = subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if done.returncode or not lines:
        raise RuntimeError(f"the cost of {folder} could not be measured: {done.stderr.strip()[-2000:]}")
    return json.loads(lines[-1].removeprefix(RESULT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", default="mini", help="a model folder, or a name that load_video_pipeline knows (mini)"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--calls", type=int, default=3)
    args = parser.parse_args()
    print(RESULT + json.dumps(measure(args.folder, args.threads, args.calls)), flush=True)


if __name__ == "__main__":
    main()
