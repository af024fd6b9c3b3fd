"""Do with the real models what a student does with them, and write down how long it took, in how much memory, and what failed.

    python tests/full_size.py /tmp/models --models svd sd21      # where the published weights are not at hand
    SVD_LAB_MODELS=/tmp/models python docs/measure_rehearsal.py RESULTS --budget 400

| part | what |
|---|---|
| check | svd-lab check --model svd |
| generate | svd-lab generate, the rocket with the class's values; the mp4 is read again: frames, size, recipe |
| 01 to 04 | the lessons, by svd-lab lesson: seconds, the slowest cells, the cell that failed, what result.json says of equality |
| estimate | the studio's estimate before each of six runs against what they took, by calibration alone and as it learns |
| prompt | svd-lab generate --prompt |
| replay | svd-lab recipe --replay of the rocket |

Each part is a process of its own; what fails is written down and the rest goes on. RESULTS gets rehearsal.json and rehearsal.txt.
--budget: a part that, by what it takes on an H100, no longer fits is left out, and one still running at the end is stopped.
--leave 8: the GPU is filled until so many GB are free, as on such a card. --at-once 3: so many parts at a time, for a short lease;
the estimate still runs alone, and only its seconds are then those of a machine to itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LAB = [sys.executable, "-m", "svd_lab.commands.main"]
PICTURE = str(ROOT / "svd_lab" / "mini" / "pictures" / "rocket.jpg")
PROMPT = "a photograph of an astronaut riding a horse"
#: The order, and what an H100 should take: seconds beside the denoising steps, and seconds of those at the lessons' 10 steps.
PARTS = {
    "check": (25, 0), "generate": (22, 0), "02": (55, 40), "estimate": (50, 0), "04": (70, 25), "03": (45, 27), "01": (40, 11),
    "prompt": (40, 0), "replay": (22, 0),
}  # fmt: skip
LESSONS = ("01", "02", "03", "04")
_EQUALITY = ("max_difference", "difference", "seed_difference")  # of a lesson's result.json
GRACE = 15  # seconds for a part to stop by itself when its time is over


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder for rehearsal.json and rehearsal.txt")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="for all of it (no limit)")
    parser.add_argument("--languages", nargs="+", choices=["en", "ko"], default=["en"], help="of the lessons (en)")
    parser.add_argument("--model", default="svd", choices=["svd", "svd-xt"], help="(svd)")
    parser.add_argument("--image-model", default="sd21", help="(sd21)")
    parser.add_argument("--steps", type=int, default=10, help="num_inference_steps of the lessons (10, the class's)")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="parts at a time (1)")
    parser.add_argument("--leave", type=float, metavar="GB", help="fill the GPU until so much is free")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    languages = {part: options.languages for part in LESSONS}
    jobs = [(part, language) for part in PARTS if part in options.only for language in languages.get(part, [""])]
    rows: list[dict[str, Any]] = []

    def carry_out(job: tuple[str, str]) -> None:
        row = one_part(*job, options, work, begin)
        rows.append(row)
        print(line(row), flush=True)
        write(options, rows, time.monotonic() - begin)  # after each: a machine can be taken away

    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder, filled(options.leave):
        work = Path(folder)
        alone = [job for job in jobs if options.at_once == 1 or job[0] == "estimate"]
        for job in alone:
            carry_out(job)
        with ThreadPoolExecutor(options.at_once) as pool:
            list(pool.map(carry_out, [job for job in jobs if job not in alone]))
    print("\n" + write(options, rows, time.monotonic() - begin))
    return any(row["status"] in ("failed", "stopped") for row in rows)


def one_part(part: str, language: str, options: argparse.Namespace, work: Path, begin: float) -> dict[str, Any]:
    """Run a part and describe it: part, status (ok, failed, stopped, skipped), seconds, gpu_gib, says, and what it measured."""
    row: dict[str, Any] = {"part": part + language, "status": "skipped", "seconds": 0.0, "gpu_gib": None, "says": ""}
    beside, steps = PARTS[part]
    expected = beside + steps * options.steps / 10
    left = options.budget - (time.monotonic() - begin) if options.budget else float("inf")
    rocket, out = work / "rocket.mp4", work / (part + language)
    if left < expected:
        return row | {"says": f"about {expected:.0f} s do not fit into the {max(left, 0):.0f} s that are left"}
    if part == "replay" and not rocket.is_file():
        return row | {"says": "there is no rocket.mp4: it comes after generate"}
    model = ["--model", options.model]
    lesson = ["lesson", part, "--language", language, "--out", str(out), "-p", "model", options.model]
    lesson += ["-p", "num_inference_steps", str(options.steps)]
    lesson += ["-p", "image_model", options.image_model] if part == "04" else []
    command = {
        "check": [*LAB, "check", *model],
        "generate": [*LAB, "generate", PICTURE, str(rocket), *model, "--debug"],
        "estimate": [sys.executable, str(ROOT / "docs" / "measure_estimate.py"), str(out), *model],
        "prompt": [*LAB, "generate", "--prompt", PROMPT, str(work / "horse.mp4"), *model, "--debug"]
        + ["--image-model", options.image_model, "--seed", "1972088094"],
        "replay": [*LAB, "recipe", str(rocket), "--replay", str(work / "again.mp4"), "--debug"],
    }.get(part, [*LAB, *lesson])
    try:
        with peak_of_gpu() as peak:
            row["seconds"], code, said = run(command, work / f"{part}{language}.log", left)
        row |= {"gpu_gib": peak.get("gib"), "log": said[-6000:]}
        row["status"] = "stopped" if code is None else "failed" if code else "ok"
        row["says"] = what_failed(said) if code != 0 else ""
        if part in LESSONS:
            row |= read_lesson(out, row["says"])
        elif row["status"] == "ok":
            row |= {
                "check": read_check,
                "estimate": lambda said: read_estimate(out, said),
                "generate": lambda _: read_video(rocket, 10),
                "prompt": lambda _: read_video(work / "horse.mp4", 12),
                "replay": lambda said: {"says": last_line(said)},
            }[part](said)
    except Exception as error:  # the rest goes on
        row |= {"status": "failed", "says": f"{type(error).__name__}: {error}"}
    return row


def run(command: list[str], log: Path, limit: float) -> tuple[float, int | None, str]:
    """(seconds, exit status or None when it was stopped after `limit` seconds, all it said)."""
    start = time.monotonic()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, stdout=file, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            code: int | None = process.wait(None if limit == float("inf") else limit)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, signal.SIGINT)  # papermill then says in the notebook where it was
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # a kernel notices that its parent is gone
                process.wait()
    return time.monotonic() - start, code, log.read_text(errors="replace")


@contextmanager
def peak_of_gpu() -> Iterator[dict[str, float]]:
    """.["gib"]: the most that the first GPU held of all processes, by nvidia-smi five times a second; empty without one."""
    peak: dict[str, float] = {}
    query = ["nvidia-smi", "-i", "0", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-lms", "200"]
    if shutil.which(query[0]) is None:
        yield peak
        return
    watcher = subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def watch() -> None:
        for text in watcher.stdout:
            if text.strip().isdigit():
                peak["gib"] = max(peak.get("gib", 0.0), int(text) / 1024)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        watcher.terminate()
        watcher.wait()
        thread.join(5)


@contextmanager
def filled(leave: float | None) -> Iterator[None]:
    """Inside, another process holds the GPU's memory until `leave` GB (10**9 bytes) are free; None: nothing is held."""
    if leave is None:
        yield
        return
    code = (
        "import sys, torch; torch.zeros(1, device='cuda'); free, _ = torch.cuda.mem_get_info(); "
        f"held = torch.empty(max(0, free - int({leave}e9)), dtype=torch.uint8, device='cuda'); "
        "print(torch.cuda.mem_get_info()[0] / 1e9, flush=True); sys.stdin.read()"
    )
    filler = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        free = filler.stdout.readline().strip()
        if not free:
            raise RuntimeError("the GPU could not be filled: --leave needs torch with a CUDA GPU")
        print(f"filled: {float(free):.1f} GB are free", flush=True)
        yield
    finally:
        filler.stdin.close()
        filler.wait(30)


# What a part left behind


def last_line(said: str) -> str:
    return next((text.strip()[:300] for text in reversed(said.splitlines()) if text.strip()), "it said nothing")


def what_failed(said: str) -> str:
    """The last line that names an error; where there is none, the last line."""
    named = [text for text in said.splitlines() if re.match(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b", text)]
    return last_line(named[-1] if named else said)


def read_check(said: str) -> dict[str, Any]:
    lines = [text for text in said.splitlines() if text.startswith("[")]
    return {
        "says": f"{lines[-1]} ({len(lines)} checks, {sum('[WARN]' in text for text in lines)} warn)",
        "lines": lines,
    }


def read_video(video: Path, frames: int) -> dict[str, Any]:
    """Look into the mp4 as another program would. Raises ValueError where it is not what was asked for."""
    from imageio_ffmpeg import read_frames

    from svd_lab import read_recipe

    reader = read_frames(str(video))
    width, height = (about := next(reader))["size"]
    found, recipe = sum(1 for _ in reader), read_recipe(video)
    says = f"{found} frames of {width}x{height}, {about['codec']}, {video.stat().st_size / 1e6:.1f} MB, "
    says += f"recipe of {recipe['call']} with {recipe['model']} in {recipe['dtype']} on {recipe['machine']}"
    if (found, recipe["num_frames"], recipe["width"], recipe["height"]) != (frames, frames, width, height):
        raise ValueError(f"not the {frames} frames that were asked for: {says}")
    return {"says": says}


def read_lesson(out: Path, says: str) -> dict[str, Any]:
    """Of an executed lesson: the seconds of its cells, the cell that failed and its error, and what result.json measured."""
    found: dict[str, Any] = {"says": says}
    notebook = next(out.glob("*.ipynb"), None)
    if notebook is not None:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        told = {cell["id"]: cell["metadata"].get("papermill", {}) for cell in cells if cell["cell_type"] == "code"}
        seconds = {name: round(row["duration"], 1) for name, row in told.items() if row.get("duration")}
        slowest = sorted(seconds, key=seconds.get, reverse=True)[:5]
        found |= {"cells": seconds, "notebook_mb": notebook.stat().st_size / 1e6}
        found["says"] = "slowest cells: " + ", ".join(f"{name} {seconds[name]:.1f} s" for name in slowest)
        for cell in cells:
            if cell["metadata"].get("papermill", {}).get("status") == "failed":
                errors = [f"{o['ename']}: {o['evalue']}" for o in cell["outputs"] if o["output_type"] == "error"]
                found |= {"failed_cell": cell["id"], "error": (errors or [says])[-1][:2000]}
                found["says"] = f"in cell {cell['id']}: {found['error'].splitlines()[0][:300]}"
    if (out / "result.json").is_file():
        result = json.loads((out / "result.json").read_text("utf-8"))
        found |= {"result": result, "videos": len(result["videos"])}
        equal = [f"{name} {result['measured'][name]}" for name in _EQUALITY if name in result["measured"]]
        found["says"] += "; " + "; ".join([f"{found['videos']} videos", *equal])
    return found


def read_estimate(out: Path, said: str) -> dict[str, Any]:
    found = json.loads((out / "estimate.json").read_text("utf-8"))
    words = []
    for name in ("calibrated_seconds", "estimated_seconds", "estimated_gib"):
        measured = "peak_gib" if name.endswith("gib") else "seconds"
        rows = found["runs"][1:] if name == "estimated_seconds" else found["runs"]
        if measured == "peak_gib" and found["device"] == "cpu":
            rows = rows[:1]  # a process keeps what it has freed: later runs seem to take nothing
        errors = [abs(run[name] / run[measured] - 1) for run in rows if run[measured]]
        if errors:
            words.append(f"{name.replace('_', ' ')}: median error {median(errors):.0%}, worst {max(errors):.0%}")
    return {"says": "; ".join(words), "lines": [text for text in said.splitlines() if "took" in text], **found}


# What is written down


def line(row: dict[str, Any]) -> str:
    memory = f"{row['gpu_gib']:5.1f} GiB" if row["gpu_gib"] else " " * 9
    return f"{row['part']:9}{row['status']:8}{row['seconds']:7.1f} s {memory}  {row['says']}"


def write(options: argparse.Namespace, rows: list[dict[str, Any]], seconds: float) -> str:
    """Both files, as far as it has come; returns the text."""
    about = {name: value for name, value in vars(options).items() if name not in ("results", "only")}
    text = [f"rehearsal: {about}", "part     status    seconds  GPU peak   what it says", *map(line, rows)]
    for row in rows:
        said = row.get("lines", [])
        if row["status"] in ("failed", "stopped"):
            said = [row.get("error", ""), *row.get("log", "").splitlines()[-25:]]
        text += ["", f"{row['part']}:", *said] if said else []
    words = [f"{sum(row['status'] == kind for row in rows)} {kind}" for kind in ("ok", "failed", "stopped", "skipped")]
    text.append(f"\n{', '.join(words)} in {seconds:.0f} s")
    (options.results / "rehearsal.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
    answer = {"options": about, "seconds": seconds, "parts": rows}
    (options.results / "rehearsal.json").write_text(json.dumps(answer, indent=1, ensure_ascii=False), encoding="utf-8")
    return "\n".join(text)


if __name__ == "__main__":
    sys.exit(main())
