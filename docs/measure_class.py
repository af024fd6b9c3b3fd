"""Measure what `svd-lab class` costs and how it scales: the numbers of docs/class.md.

python docs/measure_class.py overhead [--times 10] [--lesson 01 -p model mini …]   compared with plain papermill, in turns
python docs/measure_class.py scaling [--workers 1,2] [--runs 8] [--seconds 8]      a notebook that keeps a core busy, or sleeps
python docs/measure_class.py many [--runs 10000] [--workers 100]                   Dask, records and page; no notebooks
python docs/measure_class.py gpus [--runs 4] [--seconds 1]                         whether each notebook sees only its worker's GPU
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

import svd_lab
from svd_lab.classroom.dask_runs import run_round, task_key
from svd_lab.classroom.local_cluster import local_cluster
from svd_lab.classroom.page import write_summary
from svd_lab.classroom.plan import make_plan
from svd_lab.classroom.run_class import run_class
from svd_lab.classroom.store import open_store, prepare, put_inputs, read_finished
from svd_lab.classroom.worker import run_task
from svd_lab.lesson.run import find_lesson

PARAMETERS = 'seed: int = 42\nseconds: float = 0.0\nasleep: str = ""\nout_dir: str = "out"'
BUSY = """import time
time.sleep(seconds if asleep else 0)
end = time.process_time() + (0 if asleep else seconds)
while time.process_time() < end:
    sum(range(1000))"""
# Where it ran and what it saw. The kernel's parent is the run's process; that one's parent is the worker.
GPU = """import json, os, time
from pathlib import Path
import psutil, torch
seen = {"worker": psutil.Process(os.getppid()).ppid(), "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": os.environ.get("OMP_NUM_THREADS"), "gpus": [], "names": [], "products": 0, "started": time.time()}
for number in range(torch.cuda.device_count()):
    seen["gpus"].append(str(torch.cuda.get_device_properties(number).uuid))
    seen["names"].append(torch.cuda.get_device_name(number))
if seen["gpus"]:
    matrix = torch.full((8192, 8192), 1 / 8192, dtype=torch.float16, device="cuda")
    (matrix @ matrix).sum().item()
    begin = time.perf_counter()
    while time.perf_counter() < begin + seconds:
        matrix = matrix @ matrix
        assert matrix[-1, -1].item() == 1 / 8192  # waits for the GPU, and checks its result
        seen["products"] += 1
    seen["tflops"] = 2 * 8192**3 * seen["products"] / (time.perf_counter() - begin) / 1e12
    seen["memory"] = torch.cuda.max_memory_allocated()
seen["ended"] = time.time()
Path(out_dir, "result.json").write_text(json.dumps(seen))"""


def small_notebook(folder: Path, body: str = BUSY) -> str:
    """Write a notebook that runs `body`. BUSY keeps a core busy for `seconds` of processor time, or sleeps as long."""
    cells = [nbformat.v4.new_code_cell(source) for source in (PARAMETERS, body)]
    cells[0].metadata.tags = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "small.ipynb")
    return str(folder / "small.ipynb")


def small_roster(folder: Path, students: int, **parameters: Any) -> Path:
    """Write a roster of students who differ in their seed."""
    names = ["name", "seed", *parameters]
    rows = [",".join(map(str, (f"student {number}", number, *parameters.values()))) for number in range(students)]
    (folder / "roster.csv").write_text("\n".join([",".join(names), *rows]), "utf-8")
    return folder / "roster.csv"


def overhead(options: argparse.Namespace, folder: Path) -> None:
    """Time a notebook with papermill's command and in a class, in turns, so that other load of the machine affects both."""
    from distributed import Client

    lesson = options.lesson or small_notebook(folder)
    given = dict(options.parameters)
    plan = make_plan(small_roster(folder, options.times + 1), [lesson], parameters=given)
    store = open_store(str(folder / "out"))
    prepare(store, resume=False)
    put_inputs(store, plan.inputs)
    settings = {
        "out": store.address,
        "timeout": 3600,
        "version": svd_lab.__version__,
        "attempt": "",
        "threads": 1,
        "gpus": None,
    }
    plain, ours = [], []
    source = str(find_lesson(lesson))
    with local_cluster(1) as cluster, Client(cluster) as client:
        for number, run in enumerate(plan.runs):
            flags = [flag for name, value in run.parameters.items() for flag in ("-p", name, str(value))]
            target = folder / f"plain{number}"
            target.mkdir()
            command = [sys.executable, "-m", "papermill", "--no-progress-bar", source, str(target / "a.ipynb")]
            seconds = []
            for execute in (
                lambda command=command, flags=flags, target=target: subprocess.run(
                    [*command, *flags, "-p", "out_dir", str(target)], check=True, capture_output=True
                ),
                lambda run=run: client.submit(run_task, vars(run) | settings).result(),
            ):
                start = time.perf_counter()
                result = execute()
                seconds.append(time.perf_counter() - start)
            assert result["status"] == "done", result
            if number:  # the first pair is a warm-up
                plain.append(seconds[0])
                ours.append(seconds[1])
    ratios = [b / a for a, b in zip(plain, ours, strict=True)]
    print(f"{source}: papermill {statistics.median(plain):.3f} s, class {statistics.median(ours):.3f} s per notebook")
    print(
        f"ratio of {len(ratios)} pairs: median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}"
    )


def scaling(options: argparse.Namespace, folder: Path) -> None:
    """Time the same runs with more and more workers, without the start of the cluster and after a warm-up."""
    lesson, elapsed = small_notebook(folder), {}
    run_class(small_roster(folder, 1), [lesson], str(folder / "warm"), workers=1, threads=1, language="en")
    roster = small_roster(folder, options.runs, seconds=options.seconds, asleep=options.asleep)
    for workers in map(int, options.workers.split(",")):
        run_class(
            roster, [lesson], str(folder / f"out{workers}"), workers=workers, threads=1, language="en",
        )  # fmt: skip
        records = read_finished(
            open_store(str(folder / f"out{workers}")), [f"student {n}/small" for n in range(options.runs)]
        )
        ended = [_epoch(record["started"]) + record["seconds"] for record in records.values()]
        started = [_epoch(record["started"]) for record in records.values()]
        elapsed[workers] = max(ended) - min(started)
        failed = options.runs - sum(record["status"] == "done" for record in records.values())
        base = next(iter(elapsed))
        each = statistics.median(record["seconds"] for record in records.values())
        print(f"{workers} workers: {elapsed[workers]:.1f} s for {options.runs} runs, {elapsed[base] / elapsed[workers]:.2f} times "
              f"as fast as {base}; a run {each:.2f} s; failed: {failed}", flush=True)  # fmt: skip


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def gpus(options: argparse.Namespace, folder: Path) -> None:
    """Run `svd-lab class`, and ask each notebook which GPUs it saw.

    Exits with 1 unless each saw exactly its worker's GPU and the workers together had all; without a GPU, unless none saw one.
    """
    import torch

    roster = small_roster(folder, options.runs, seconds=options.seconds)
    command = [
        sys.executable,
        "-m",
        "svd_lab.commands.main",
        "class",
        str(roster),
        "--lessons",
        small_notebook(folder, GPU),
    ]
    subprocess.run([*command, "--out", str(folder / "out"), "--language", "en"], check=True)
    paths = [folder / "out" / f"student {number}" / "small" / "result.json" for number in range(options.runs)]
    results = [json.loads(path.read_text("utf-8")) for path in paths]
    start = min(one["started"] for one in results)
    print(
        f"{'student':8}{'worker':>8}  {'GPU':42}{'from':>6}{'to':>7} s  {'TFLOP/s':>7}  CUDA_VISIBLE_DEVICES, OMP_NUM_THREADS, name"
    )
    for number, one in enumerate(results):
        gpu, rate = " ".join(one["gpus"]) or "none", f"{one.get('tflops', 0):7.0f}"
        times = f"{one['started'] - start:6.1f}{one['ended'] - start:7.1f}"
        print(
            f"{number:<8}{one['worker']:>8}  {gpu:42}{times}    {rate}  {one['visible']}, {one['threads']}",
            *one["names"],
            sep=", ",
        )
    installed = {str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())}
    pairs = {(one["worker"], gpu) for one in results for gpu in one["gpus"]}
    workers = {one["worker"] for one in results}
    together = max(sum(b["started"] <= a["started"] < b["ended"] for b in results) for a in results)
    promises = {
        "every notebook saw exactly one GPU": all(len(one["gpus"]) == 1 for one in results),
        "no worker had two GPUs, no GPU two workers": len(workers) == len({gpu for _, gpu in pairs}) == len(pairs),
        "the workers together had all GPUs": {gpu for _, gpu in pairs} == installed,
    } if installed else {"no GPU on this machine, and no notebook saw one": not pairs}  # fmt: skip
    for promise, kept in promises.items():
        print(f"{'yes' if kept else 'NO '} {promise}")
    print(f"GPUs: {len(installed)}, workers: {len(workers)}, notebooks: {len(results)}, at the same time: {together}")
    if not all(promises.values()):
        raise SystemExit(1)


def many(options: argparse.Namespace, folder: Path) -> None:
    """Time plan, Dask, records and page for runs without notebooks; the workers are threads of this process."""
    from distributed import Client, LocalCluster

    lesson = small_notebook(folder)
    start = time.perf_counter()
    plan = make_plan(small_roster(folder, options.runs), [lesson])
    seconds: dict[str, float] = {"plan": time.perf_counter() - start}
    store = open_store(str(folder / "out"))
    prepare(store, resume=False)
    tasks = [vars(run) | {"out": store.address} for run in plan.runs]
    records: dict[str, Any] = {}
    with (
        LocalCluster(
            n_workers=options.workers, threads_per_worker=1, processes=False, memory_limit=0, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        left = {task_key(task): task for task in tasks}
        start = time.perf_counter()
        for key, record in run_round(client, left, no_run, lambda slots: None):
            records[left[key]["folder"]] = record
        seconds["Dask"] = time.perf_counter() - start
    for name, execute in (
        ("page and table", lambda: write_summary(store, plan.runs, records, "many", "en")),
        ("write records", lambda: _write_records(store, records)),
        ("read records", lambda: read_finished(store, [run.folder for run in plan.runs])),
    ):
        start = time.perf_counter()
        execute()
        seconds[name] = time.perf_counter() - start
    assert len(records) == options.runs
    size = (folder / "out" / "index.html").stat().st_size / 1e6
    each = seconds["Dask"] / options.runs * 1e3
    print(f"{options.runs:,} runs on {options.workers} workers: {each:.2f} ms a task; page {size:.2f} MB; "
          + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))  # fmt: skip


def no_run(task: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a run of 60 s with four files, without running anything."""
    files = {f"{task['lesson']}.ipynb": 1, "result.json": 1, "a.mp4": 1, "b.mp4": 1}
    fields = {name: task[name] for name in ("key", "student", "lesson", "folder", "parameters")}
    return fields | {
        "status": "done",
        "message": "",
        "cell": None,
        "files": files,
        "clips": ["a.mp4", "b.mp4"],
        "seconds": 60.0,
    }


def _write_records(store: Any, records: dict[str, Any]) -> None:
    for folder, record in records.items():
        path = Path(store.root, folder)
        path.mkdir(parents=True)
        for name in record["files"]:
            (path / name).write_bytes(b".")
        (path / "run.json").write_text(json.dumps(record))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    measurements: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
        "overhead": (overhead, {"times": 10, "lesson": ""}),
        "scaling": (scaling, {"workers": "1,2", "runs": 8, "seconds": 8.0, "asleep": ""}),
        "many": (many, {"workers": 100, "runs": 10000}),
        "gpus": (gpus, {"runs": 4, "seconds": 1.0}),
    }
    for name, (measure, flags) in measurements.items():
        command = commands.add_parser(name)
        for flag, default in flags.items():
            command.add_argument(f"--{flag}", type=type(default), default=default)
        command.add_argument("-p", dest="parameters", nargs=2, action="append", default=[])
        command.set_defaults(measure=measure)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options.measure(options, Path(folder))


if __name__ == "__main__":
    main()
