"""What a class promises while things go wrong: the other runs continue, failures are reported with cell and message, finished runs
are neither lost nor repeated, and nothing is left behind. Real Dask, papermill and kernels; the notebooks do next to nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from helpers import hear_ctrl_c
from small_class import count_starts, read_run, write_class

from svd_lab.commands.main import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLASS = [sys.executable, "-m", "svd_lab.commands.main", "class"]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH", "0")


def wait_until(condition, process=None):
    """Wait until condition() is true; the test fails if `process` ends before."""
    while not condition():
        assert process is None or process.poll() is None, process.stderr.read()
        time.sleep(0.1)


def class_processes():
    """Command lines of the processes below this one that belong to a class."""
    lines = []
    for process in psutil.Process().children(recursive=True):
        try:
            lines.append(process.cmdline())
        except psutil.Error:
            continue
    words = ("svd_lab.classroom", "ipykernel", "spawn_main")
    return [line for line in lines if any(word in " ".join(line) for word in words)]


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """(folder, exit status, standard error) of one class in which everything goes wrong."""
    folder = tmp_path_factory.mktemp("faults")
    scratch = folder / "scratch"
    scratch.mkdir()
    modes = {
        "A": "",
        "Raise": "raise",
        "Worker": "worker",
        "Kernel": "kernel",
        "Full": "full",
        "Hang": "timeout",
        "민지": "",
    }
    arguments = write_class(folder, {name: (seed, mode) for seed, (name, mode) in enumerate(modes.items(), 1)})
    command = [*CLASS, *arguments, "--out", str(folder / "out"), "--workers", "2", "--timeout", "800", "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    return folder, ended.returncode, ended.stderr


def test_other_runs_continue_when_runs_fail_hang_or_kill_their_worker(faults):
    folder, status, _ = faults
    assert status == 1
    for name, seed in {"A": 1, "Worker": 3, "민지": 7}.items():
        assert read_run(folder / "out", name)["status"] == "done"
        assert (folder / "out" / name / "small" / "a.mp4").read_bytes() == b"clip" * seed
    starts = {1: 1, 2: 1, 3: 2, 4: 1, 5: 1, 6: 1, 7: 1}
    assert count_starts(folder) == starts, "only what died with its worker was started again"


@pytest.mark.parametrize(
    "name, words",
    [
        ("Raise", "RuntimeError: no <b>luck</b>"),
        ("Kernel", "DeadKernelError"),
        ("Full", "OSError: [Errno 28] No space left on device"),
        ("Hang", "did not finish within 800 s"),
    ],
)
def test_a_failure_is_reported_with_its_cell_and_its_notebook_is_kept(name, words, faults):
    folder, _, output = faults
    failed = read_run(folder / "out", name)
    assert failed["status"] == "failed" and failed["cell"] == "code cell 2 of 3 (c1)" and words in failed["message"]
    assert (folder / "out" / name / "small" / "small.ipynb").is_file()
    assert f"failed: {name}, small, code cell 2 of 3 (c1): " in output
    table = (folder / "out" / "summary.csv").read_text("utf-8-sig")
    assert words in table and table.count("failed") == 4


def test_a_run_has_its_own_environment_and_leaves_nothing_of_it_behind(faults):
    folder, *_ = faults
    results = [json.loads((folder / "out" / name / "small" / "result.json").read_text()) for name in ("A", "민지")]
    assert all(result["threads"] == "1" for result in results)
    assert len({result["home"] for result in results}) == 2
    wait_until(
        lambda: not list((folder / "scratch").glob("svd-lab-class-*"))
    )  # a killed worker's run cleans up by itself
    assert read_run(folder / "out", "A")["clips"] == ["b.mp4", "a.mp4"], "the lesson's main clip comes first"


def test_ctrl_c_stops_in_order_and_resume_runs_the_rest_once(tmp_path, capsys):
    arguments = write_class(tmp_path, {"A": (1, ""), "B": (2, "hang"), "C": (3, "")})
    out = tmp_path / "out"
    command = [*CLASS, *arguments, "--out", str(out), "--workers", "1"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c, process_group=0, cwd=tmp_path
    )
    wait_until(lambda: 2 in count_starts(tmp_path), process)  # A is finished, B runs
    os.killpg(process.pid, signal.SIGINT)  # to the whole group, as a terminal does
    _, output = process.communicate()
    assert process.returncode == 130 and "--resume runs the rest" in output and "Traceback" not in output
    assert not class_processes()
    assert "waiting" in (out / "summary.csv").read_text("utf-8-sig") and (out / "index.html").is_file()
    assert read_run(out, "A")["status"] == "done"

    write_class(tmp_path, {"A": (1, ""), "B": (4, ""), "C": (3, "")})
    assert main(["class", *arguments, "--out", str(out), "--workers", "2"]) == 1, "an earlier class is not overwritten"
    assert "--resume" in capsys.readouterr().err
    assert main(["class", *arguments, "--out", str(out), "--workers", "2", "--resume"]) == 0
    assert count_starts(tmp_path) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert "1 finished before, 2 done, 0 failed, 0 left" in capsys.readouterr().err


@pytest.fixture
def cluster(tmp_path):
    """A function that starts a scheduler and a worker, always at the same address; returns the address and both processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []

    def start():
        address = f"tcp://127.0.0.1:{port}"
        commands = (
            ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
            ["worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path / "dask")],
        )
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "dask", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for words in commands
        ]
        started.extend(both)
        return address, *both

    yield start
    for process in reversed(started):
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()


def test_a_restarted_scheduler_gets_the_rest_and_finished_runs_stay(cluster, tmp_path):
    arguments = write_class(tmp_path, {"A": (1, ""), "B": (2, "wait"), "C": (3, "")})
    address, scheduler, _ = cluster()
    out = tmp_path / "out"
    command = [*CLASS, *arguments, "--out", str(out), "--scheduler", address]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: 2 in count_starts(tmp_path), process)
    first = read_run(out, "A")
    scheduler.kill()
    scheduler.wait()
    Path(tmp_path / "notes.go").touch()
    cluster()
    _, output = process.communicate()
    assert process.returncode == 0, output
    assert "submitted again" in output and "3 done, 0 failed, 0 left" in output
    assert read_run(out, "A") == first
    starts = count_starts(tmp_path)
    assert starts[1] == 1 and starts[3] == 1 and starts[2] <= 2
