"""Do what a student does with full-size models, and record times, GPU memory and failures.

    python tests/full_size.py MODELS --models svd sd21      # random weights, if the published ones are not at hand
    SVD_LAB_MODELS=MODELS python docs/measure_rehearsal.py RESULTS --budget 400

| part | what |
|---|---|
| check | svd-lab check --model svd |
| generate | svd-lab generate with the settings of the lessons' call; the mp4 is read again: frames, size, recipe |
| 01 to 04 | svd-lab lesson: seconds, slowest cells, the cell that failed, differences in result.json |
| estimate | the studio's estimates of six runs compared with their times, after calibration alone and while it learns |
| prompt | svd-lab generate --prompt |
| replay | svd-lab recipe --replay of the generated video |

Each part is its own process; a failure is recorded and the others continue. RESULTS gets rehearsal.json and rehearsal.txt.
--budget: parts that would not fit into the remaining seconds on an H100 are skipped, and the one that runs at the end is stopped.
--leave 8: the GPU's memory is filled until so many GB are free, as on a smaller card. --at-once 3: so many parts at a time; the
estimate always runs alone, and only its times are then those of an idle machine.
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
#: In order: seconds on an H100 without the denoising steps, and seconds of the steps at the lessons' 10.
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
    parser.add_argument("--steps", type=int, default=10, help="num_inference_steps of the lessons (10)")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="parts at a time (1)")
    parser.add_argument("--leave", type=float, metavar="GB", help="fill the GPU until so much is free")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    languages = {part: options.languages for part in LESSONS}
    parts = [(part, language) for part in PARTS if part in options.only for language in languages.get(part, [""])]
    rows: list[dict[str, Any]] = []

    def measure(part: tuple[str, str]) -> None:
        row = run_part(*part, options, work, start)
        rows.append(row)
        print(line(row), flush=True)
        write(options, rows, time.monotonic() - start)  # after each part, in case the rest is interrupted

    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder, filled(options.leave):
        work = Path(folder)
        alone = [part for part in parts if options.at_once == 1 or part[0] == "estimate"]
        for part in alone:
            measure(part)
        with ThreadPoolExecutor(options.at_once) as pool:
            list(pool.map(measure, [part for part in parts if part not in alone]))
    print("\n" + write(options, rows, time.monotonic() - start))
    return any(row["status"] in ("failed", "stopped") for row in rows)


def run_part(part: str, language: str, options: argparse.Namespace, work: Path, start: float) -> dict[str, Any]:
    """Run a part. Returns part, status (ok, failed, stopped, skipped), seconds, gpu_gib, says, and what the part measured."""
    row: dict[str, Any] = {"part": part + language, "status": "skipped", "seconds": 0.0, "gpu_gib": None, "says": ""}
    fixed, steps = PARTS[part]
    expected = fixed + steps * options.steps / 10
    left = options.budget - (time.monotonic() - start) if options.budget else float("inf")
    rocket, out = work / "rocket.mp4", work / (part + language)
    if left < expected:
        return row | {"says": f"about {expected:.0f} s do not fit into the remaining {max(left, 0):.0f} s"}
    if part == "replay" and not rocket.is_file():
        return row | {"says": "there is no rocket.mp4; it needs the part generate"}
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
            row["seconds"], code, output = run(command, work / f"{part}{language}.log", left)
        row |= {"gpu_gib": peak.get("gib"), "log": output[-6000:]}
        row["status"] = "stopped" if code is None else "failed" if code else "ok"
        row["says"] = find_error(output) if code != 0 else ""
        if part in LESSONS:
            row |= read_lesson(out, row["says"])
        elif row["status"] == "ok":
            row |= {
                "check": read_check,
                "estimate": lambda output: read_estimate(out, output),
                "generate": lambda _: read_video(rocket, 10),
                "prompt": lambda _: read_video(work / "horse.mp4", 12),
                "replay": lambda output: {"says": last_line(output)},
            }[part](output)
    except Exception as error:  # the other parts continue
        row |= {"status": "failed", "says": f"{type(error).__name__}: {error}"}
    return row


def run(command: list[str], log: Path, limit: float) -> tuple[float, int | None, str]:
    """Return the seconds, the exit status (None: stopped after `limit` seconds) and the output of a command."""
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
            os.killpg(process.pid, signal.SIGINT)  # papermill then records in the notebook where it was
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # a kernel ends with its parent
                process.wait()
    return time.monotonic() - start, code, log.read_text(errors="replace")


@contextmanager
def peak_of_gpu() -> Iterator[dict[str, float]]:
    """Yield a dict whose "gib" becomes the peak memory of the first GPU, all processes together; it stays empty without a GPU."""
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
    """Let another process hold GPU memory until `leave` GB (10**9 bytes) are free; None: hold nothing."""
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


# The results of a part


def last_line(output: str) -> str:
    return next((text.strip()[:300] for text in reversed(output.splitlines()) if text.strip()), "no output")


def find_error(output: str) -> str:
    """Return the last line that names an error, or else the last line."""
    named = [text for text in output.splitlines() if re.match(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b", text)]
    return last_line(named[-1] if named else output)


def read_check(output: str) -> dict[str, Any]:
    lines = [text for text in output.splitlines() if text.startswith("[")]
    return {
        "says": f"{lines[-1]} ({len(lines)} checks, {sum('[WARN]' in text for text in lines)} warn)",
        "lines": lines,
    }


def read_video(video: Path, frames: int) -> dict[str, Any]:
    """Read the mp4 with ffmpeg, as another program would. Raises ValueError if it is not what was requested."""
    from imageio_ffmpeg import read_frames

    from svd_lab import read_recipe

    reader = read_frames(str(video))
    width, height = (about := next(reader))["size"]
    found, recipe = sum(1 for _ in reader), read_recipe(video)
    says = f"{found} frames of {width}x{height}, {about['codec']}, {video.stat().st_size / 1e6:.1f} MB, "
    says += f"recipe of {recipe['call']} with {recipe['model']} in {recipe['dtype']} on {recipe['machine']}"
    if (found, recipe["num_frames"], recipe["width"], recipe["height"]) != (frames, frames, width, height):
        raise ValueError(f"not the {frames} frames that were requested: {says}")
    return {"says": says}


def read_lesson(out: Path, says: str) -> dict[str, Any]:
    """Return the seconds of an executed lesson's cells, the cell that failed and its error, and what result.json has."""
    found: dict[str, Any] = {"says": says}
    notebook = next(out.glob("*.ipynb"), None)
    if notebook is not None:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        rows = {cell["id"]: cell["metadata"].get("papermill", {}) for cell in cells if cell["cell_type"] == "code"}
        seconds = {name: round(row["duration"], 1) for name, row in rows.items() if row.get("duration")}
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


def read_estimate(out: Path, output: str) -> dict[str, Any]:
    found = json.loads((out / "estimate.json").read_text("utf-8"))
    words = []
    for name in ("calibrated_seconds", "estimated_seconds", "estimated_gib"):
        measured = "peak_gib" if name.endswith("gib") else "seconds"
        rows = found["runs"][1:] if name == "estimated_seconds" else found["runs"]
        if measured == "peak_gib" and found["device"] == "cpu":
            rows = rows[:1]  # a process keeps freed memory, so later runs seem to take none
        errors = [abs(run[name] / run[measured] - 1) for run in rows if run[measured]]
        if errors:
            words.append(f"{name.replace('_', ' ')}: median error {median(errors):.0%}, worst {max(errors):.0%}")
    return {"says": "; ".join(words), "lines": [text for text in output.splitlines() if "took" in text], **found}


# The report


def line(row: dict[str, Any]) -> str:
    memory = f"{row['gpu_gib']:5.1f} GiB" if row["gpu_gib"] else " " * 9
    return f"{row['part']:9}{row['status']:8}{row['seconds']:7.1f} s {memory}  {row['says']}"


def write(options: argparse.Namespace, rows: list[dict[str, Any]], seconds: float) -> str:
    """Write both files with the parts so far; returns the text."""
    about = {name: value for name, value in vars(options).items() if name not in ("results", "only")}
    text = [f"rehearsal: {about}", "part     status    seconds  GPU peak   result", *map(line, rows)]
    for row in rows:
        details = row.get("lines", [])
        if row["status"] in ("failed", "stopped"):
            details = [row.get("error", ""), *row.get("log", "").splitlines()[-25:]]
        text += ["", f"{row['part']}:", *details] if details else []
    words = [f"{sum(row['status'] == kind for row in rows)} {kind}" for kind in ("ok", "failed", "stopped", "skipped")]
    text.append(f"\n{', '.join(words)} in {seconds:.0f} s")
    (options.results / "rehearsal.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
    answer = {"options": about, "seconds": seconds, "parts": rows}
    (options.results / "rehearsal.json").write_text(json.dumps(answer, indent=1, ensure_ascii=False), encoding="utf-8")
    return "\n".join(text)


if __name__ == "__main__":
    sys.exit(main())
