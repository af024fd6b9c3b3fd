"""Measure the studio with the miniature on this machine, and print Markdown; docs/studio.md has the output of a run.

    python docs/measure_studio.py            # everything: about 4 minutes on one core
    python docs/measure_studio.py estimate   # or: opening, cost, memory

estimate: for ten runs of varied settings, the estimate before each (by calibration, then by the runs so far) and the time taken.
The speed of a shared machine varies by a third from minute to minute, which no estimate can foresee. So a fixed piece of work is
timed before and after each run, and a second error is computed from all timings divided by that speed. memory: four settings, each
in a new process, because one that has made a video reuses what it has freed. opening: seconds until the panel is open, with the
pipeline loaded. cost: the share of a run that previews, progress and measuring take.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from svd_lab import generate_video, load_video_pipeline
from svd_lab.performance import flops  # before torch
from svd_lab.performance.estimate import Rates, estimate, learn
from svd_lab.studio import components
from svd_lab.studio.session import VIDEO, Session

import torch  # isort: skip

# num_frames, width, height, decode_chunk_size, num_inference_steps
RUNS = [
    (10, 224, 128, 2, 4), (14, 224, 128, 2, 4), (6, 224, 128, 1, 8), (14, 224, 128, 7, 4), (25, 224, 128, 2, 4),
    (10, 320, 192, 2, 4), (10, 160, 96, 2, 10), (4, 448, 256, 1, 4), (4, 96, 64, 2, 4), (10, 224, 128, 10, 6),
]  # fmt: skip


def open_session(pipe: Any, folder: str) -> Session:
    """Open a studio without widgets, with the rocket."""
    made = Session(VIDEO, pipe, None, "en", folder, {})
    made.use("rocket")
    return made


def read(session: Session, **changes: Any) -> dict[str, Any]:
    """Set fields of the studio, and return the values of all."""
    session.texts |= {name: str(value) for name, value in changes.items()}
    values, problems = session.read()
    assert not problems, problems
    return values


def pace(pipe: Any) -> float:
    """Time a fixed piece of work: three small calls each of the UNet and the decoder; seconds."""
    device, dtype = pipe._execution_device, pipe.unet.dtype
    start = time.perf_counter()
    with torch.no_grad():
        for _ in range(3):
            flops.step(pipe, 2, 128, 224, device, dtype)
            flops.decode(pipe, 1, 64, 112, device, dtype)
    return time.perf_counter() - start


def measure_estimate(pipe: Any, folder: str) -> None:
    """Compare estimates of time with what ten runs take."""
    session = open_session(pipe, folder)
    start = time.perf_counter()
    session.prepare()
    print(f"Counting, calibrating and fitting the preview took {time.perf_counter() - start:.1f} s.\n")
    usual = min(pace(pipe) for _ in range(3))
    print("| run | frames | size | chunk | steps | estimated | took | error | at an even pace |")
    print("|---|---|---|---|---|---|---|---|---|")
    errors, even_errors, even_runs = [], [], []
    for number, (frames, width, height, chunk, steps) in enumerate(RUNS, 1):
        names = ("num_frames", "width", "height", "decode_chunk_size", "num_inference_steps")
        wanted = read(session, **dict(zip(names, (frames, width, height, chunk, steps), strict=True)))
        before = pace(pipe)
        found = session.estimate(wanted)
        run, _ = session.make(wanted, on_step=lambda *_: None, on_preview=lambda _: None)
        slower = (before + pace(pipe)) / 2 / usual
        even = estimate(pipe, wanted, learn(pipe, even_runs, session.calibrated)).seconds
        errors.append(run["estimated"] / run["seconds"] - 1)
        even_errors.append(even / (run["seconds"] / slower) - 1)
        timing = run["video"]
        even_runs.append(timing | {key: timing[key] / slower for key in ("step_seconds", "rest_seconds")})
        print(
            f"| {number} | {frames} | {width}×{height} | {chunk} | {steps} | {found.seconds:.1f} s | {run['seconds']:.1f} s "
            f"| {errors[-1]:+.0%} | {even_errors[-1]:+.0%} |",
            flush=True,
        )
    for name, all_errors in (("As the clock says", errors), ("At an even pace", even_errors)):
        later = [abs(error) for error in all_errors[1:]]
        within = sum(error <= 0.25 for error in later)
        words = f"{within} of the {len(later)} after the first within 25%, median {median(later):.0%}, worst {max(later):.0%}"
        print(f"\n{name}: {words}.")


def memory_of(setting: tuple[int, int, int, int]) -> tuple[float, float]:
    """(estimated, measured) MiB of one run; to be called in a new process."""
    pipe = load_video_pipeline("mini", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(pipe, folder)
        names = ("num_frames", "width", "height", "decode_chunk_size")
        values = read(session, num_inference_steps=2, **dict(zip(names, setting, strict=True)))
        session.calibrated = Rates(1, 1)  # no calibration, which would take some of the memory before the run
        session.learn()
        run, _ = session.make(values)
        return session.estimate(values).bytes / 2**20, run["video"]["peak_bytes"] / 2**20


def measure_memory(pipe: Any, folder: str) -> None:
    """Compare estimates of memory with the peaks of four runs."""
    print("| frames | size | chunk | estimated | measured |\n|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
        for setting in ((10, 224, 128, 2), (6, 224, 128, 1), (14, 224, 128, 7), (4, 448, 256, 1)):
            estimated, measured = processes.submit(memory_of, setting).result()
            frames, width, height, chunk = setting
            print(f"| {frames} | {width}×{height} | {chunk} | {estimated:.0f} MiB | {measured:.0f} MiB |", flush=True)


def measure_opening(pipe: Any, folder: str) -> None:
    """Time opening the panel."""
    start = time.perf_counter()
    from svd_lab.studio.panel import Panel

    imported = time.perf_counter() - start
    times = []
    for _ in range(5):
        start = time.perf_counter()
        Panel(open_session(pipe, folder))
        times.append(time.perf_counter() - start)
    print(f"Imports {imported:.2f} s, the first panel {times[0]:.2f} s, the next ones {min(times):.2f} s.")


def measure_cost(pipe: Any, folder: str) -> None:
    """Measure the shares of one run's processor time that previews, progress and other threads take."""
    from svd_lab.studio.panel import Panel

    session = open_session(pipe, folder)
    session.prepare()
    panel, inside, shown = Panel(session), [0.0, 0.0], []

    def on_step(step: int, total: int, left: float) -> None:
        start = time.thread_time()
        panel.progress.value, panel.status.value = (
            components.progress_bar(step / total, "progress"),
            components.status(f"{step} {left:.1f}"),
        )
        inside[0] += time.thread_time() - start

    def on_preview(data: bytes) -> None:
        start = time.thread_time()
        panel.output.value = components.animation(data, "preview")
        shown.append(len(data))
        inside[1] += time.thread_time() - start

    values = read(session, num_inference_steps=24)
    everything, mine = time.process_time(), time.thread_time()
    run, _ = session.make(values, on_step=on_step, on_preview=on_preview)
    mine = time.thread_time() - mine
    other = time.process_time() - everything - mine
    total = mine + other
    print(
        f"A run of {run['seconds']:.1f} s ({total:.1f} s of one processor): {len(shown)} previews of "
        f"{median(shown) / 1024:.0f} KiB took {run['preview_seconds'] / run['seconds']:.2%} of its time (showing them "
        f"{inside[1] / total:.2%}), progress {inside[0] / total:.2%}, other threads {other / total:.2%}."
    )
    plain, studio = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(6):
            start = time.process_time()
            if number % 2:
                session.make(read(session, num_inference_steps=8), on_step=on_step, on_preview=on_preview)
                studio.append(time.process_time() - start)
            else:
                path = Path(scratch) / f"{number}.mp4"
                generate_video(session.picture, path, 42, pipe=pipe, num_inference_steps=8, on_step=lambda *_: None)
                plain.append(time.process_time() - start)
    print(
        f"Alternating with plain calls, the least processor time of three each: {min(plain):.2f} s plain, {min(studio):.2f} s in "
        f"the studio, {min(studio) / min(plain) - 1:+.1%} (with its contact sheet; the machine itself varies by "
        f"{max(plain) / min(plain) - 1:.0%} between plain runs)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {
        "opening": measure_opening,
        "cost": measure_cost,
        "estimate": measure_estimate,
        "memory": measure_memory,
    }
    parser.add_argument("what", nargs="*", help=f"of {', '.join(measures)}; default: all")
    chosen = parser.parse_args().what or list(measures)
    pipe = load_video_pipeline("mini", device="cpu")
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            print(f"\n## {name}\n", flush=True)
            measures[name](pipe, folder)


if __name__ == "__main__":
    main()
