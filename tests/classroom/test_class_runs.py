"""What a class promises while things go wrong: the rest goes on, failures are told with cell and message, nothing finished is lost
or run twice, and nothing is left behind. Real Dask, papermill and kernels; the notebooks do next to nothing."""

import errno
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
from conftest import hear_ctrl_c
from fsspec.implementations.local import LocalFileSystem
from PIL import Image
from test_class_roster import write_notebook

import svd_lab
import svd_lab.classroom.page
import svd_lab.classroom.run_class
from svd_lab.classroom import dask_runs, worker
from svd_lab.classroom.notebook_process import run as run_job
from svd_lab.classroom.plan import make_plan
from svd_lab.classroom.progress_line import Progress
from svd_lab.classroom.run_class import run_class
from svd_lab.classroom.store import held, open_store, prepare, publish, put_inputs, read_finished
from svd_lab.commands.main import main

ROOT = Path(__file__).parents[2]
PARAMETERS = 'seed: int = 42\nmode: str = "ok"\nnotes: str = ""\npicture: str = "rocket"\nout_dir: str = "out/a"'
BODY = """
import os, pathlib, signal, time
with open(notes, "a") as file:
    print(seed, file=file)  # who ran, once more
if mode == "raise": raise RuntimeError("no <b>luck</b>")
if mode == "kernel": os.kill(os.getpid(), signal.SIGKILL)
if mode == "hang": time.sleep(600)
if mode == "slow": time.sleep(4)
if mode == "full": open("/dev/full", "w").write("x" * 100_000)
if mode == "worker" and open(notes).read().split().count(str(seed)) == 1:
    import psutil
    os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)  # this kernel's parent is the run's process, whose is the worker
    time.sleep(600)
"""
FINISH = """
import json, os
pathlib.Path(out_dir, "b.mp4").write_bytes(b"other")
pathlib.Path(out_dir, "a.mp4").write_bytes(b"clip" * seed)
told = {"videos": {"main": {"file": "b.mp4"}}, "threads": os.environ["OMP_NUM_THREADS"], "home": os.environ["IPYTHONDIR"]}
pathlib.Path(out_dir, "result.json").write_text(json.dumps(told))
"""


@pytest.fixture(autouse=True)
def processes_find_us(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH", "0")


def make_class(folder, rows):
    """A roster of {name: (seed, mode)} beside a small lesson, as arguments of `svd-lab class` without --out."""
    lesson = write_notebook(folder / "small.ipynb", BODY, FINISH, parameters=PARAMETERS)
    lines = [f"{name},{seed},{mode}" for name, (seed, mode) in rows.items()]
    (folder / "roster.csv").write_text("\n".join(["name,seed,mode", *lines]), "utf-8")
    return [str(folder / "roster.csv"), "--lessons", lesson, "-p", "notes", str(folder / "notes")]


def ran(folder):
    """How often each seed's notebook was started."""
    seeds = (folder / "notes").read_text().split()
    return {int(seed): seeds.count(seed) for seed in seeds}


def record(out, name):
    return json.loads((out / name / "small" / "run.json").read_text("utf-8"))


def leftovers():
    """Processes of ours that a class started, and their scratch folders."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if any(word in " ".join(line) for word in ("svd_lab.classroom", "ipykernel", "spawn_main")):
            found.append(line)
    return found


# Faults


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """(folder, exit status, standard error) of one class in which everything happens."""
    folder = tmp_path_factory.mktemp("faults")
    scratch = folder / "scratch"
    scratch.mkdir()
    rows = {"A": (1, ""), "Raise": (2, "raise"), "Worker": (3, "worker"), "Kernel": (4, "kernel"), "Full": (5, "full")}
    arguments = make_class(folder, {**rows, "Hang": (6, "hang"), "민지": (7, "")})
    command = [
        sys.executable,
        "-m",
        "svd_lab.commands.main",
        "class",
        *arguments,
        "--out",
        str(folder / "out"),
        "--workers",
        "2",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    ended = subprocess.run(
        [*command, "--timeout", "15", "--threads", "1"], env=environment, capture_output=True, text=True, timeout=200
    )
    return folder, ended.returncode, ended.stderr


def test_the_rest_goes_on_when_runs_fail_hang_or_take_their_worker_with_them(faults):
    folder, status, _ = faults
    assert status == 1
    for name, seed in {"A": 1, "Worker": 3, "민지": 7}.items():
        assert record(folder / "out", name)["status"] == "done"
        assert (folder / "out" / name / "small" / "a.mp4").read_bytes() == b"clip" * seed
    assert ran(folder) == {1: 1, 2: 1, 3: 2, 4: 1, 5: 1, 6: 1, 7: 1}, "only what died with its worker was started again"


@pytest.mark.parametrize(
    "name, words",
    [
        ("Raise", "RuntimeError: no <b>luck</b>"),
        ("Kernel", "DeadKernelError"),
        ("Full", "OSError: [Errno 28] No space left on device"),
        ("Hang", "did not come to its end within 15 s"),
    ],
)
def test_a_failure_is_told_with_its_cell_and_message_and_its_notebook_is_kept(name, words, faults):
    folder, _, told = faults
    failed = record(folder / "out", name)
    assert failed["status"] == "failed" and failed["cell"] == "code cell 2 of 3 (c1)" and words in failed["message"]
    assert (folder / "out" / name / "small" / "small.ipynb").is_file()
    assert f"failed: {name}, small, code cell 2 of 3 (c1): " in told
    table = (folder / "out" / "summary.csv").read_text("utf-8-sig")
    assert words in table and table.count("failed") == 4


def test_a_run_has_its_own_surroundings_and_leaves_none_of_them(faults):
    folder, *_ = faults
    results = [json.loads((folder / "out" / name / "small" / "result.json").read_text()) for name in ("A", "민지")]
    assert all(result["threads"] == "1" for result in results)
    assert len({result["home"] for result in results}) == 2
    deadline = time.monotonic() + 5  # the run of a killed worker clears up by itself
    while (left := list((folder / "scratch").glob("svd-lab-class-*"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert record(folder / "out", "A")["clips"] == ["b.mp4", "a.mp4"], "the lesson's main clip comes first"


def test_ctrl_c_ends_in_order_and_resume_does_the_rest_and_nothing_twice(tmp_path, capsys):
    arguments = make_class(tmp_path, {"A": (1, ""), "B": (2, "hang"), "C": (3, "")})
    out = tmp_path / "out"
    command = [sys.executable, "-m", "svd_lab.commands.main", "class", *arguments, "--out", str(out), "--workers", "1"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c, process_group=0, cwd=tmp_path
    )
    deadline = time.monotonic() + 60
    while not ((tmp_path / "notes").exists() and 2 in ran(tmp_path)):  # A is finished, B runs
        assert time.monotonic() < deadline and process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everyone in the group
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130 and "--resume runs the rest" in told and "Traceback" not in told
    assert not leftovers()
    assert "waiting" in (out / "summary.csv").read_text("utf-8-sig") and (out / "index.html").is_file()
    assert record(out, "A")["status"] == "done"

    make_class(tmp_path, {"A": (1, ""), "B": (4, ""), "C": (3, "")})
    assert main(["class", *arguments, "--out", str(out), "--workers", "2"]) == 1, "an earlier class is not overwritten"
    assert "--resume" in capsys.readouterr().err
    assert main(["class", *arguments, "--out", str(out), "--workers", "2", "--resume"]) == 0
    assert ran(tmp_path) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert "1 finished before, 2 done, 0 failed, 0 left" in capsys.readouterr().err


@pytest.fixture
def cluster(tmp_path):
    """A function that starts a scheduler with a worker at one and the same address, and returns both processes."""
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
        for child in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()


def test_a_scheduler_that_is_restarted_gets_what_is_left_and_finished_runs_stay(cluster, tmp_path):
    arguments = make_class(tmp_path, {"A": (1, ""), "B": (2, "slow"), "C": (3, "")})
    address, scheduler, worker = cluster()
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "svd_lab.commands.main",
        "class",
        *arguments,
        "--out",
        str(out),
        "--scheduler",
        address,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not ((tmp_path / "notes").exists() and 2 in ran(tmp_path)):
        assert time.monotonic() < deadline and process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    first = record(out, "A")
    scheduler.kill()
    scheduler.wait()
    cluster()
    _, told = process.communicate(timeout=100)
    assert process.returncode == 0, told
    assert "given to it again" in told and "3 done, 0 failed, 0 left" in told
    assert record(out, "A") == first
    counts = ran(tmp_path)
    assert counts[1] == 1 and counts[3] == 1 and counts[2] <= 2


# What is finished, what is missing, what is changed; without Dask


@pytest.fixture
def without_dask(monkeypatch):
    """run_class whose runs are done here, by `worker.carry_out` with a notebook of which only the clip is made; the names it ran."""
    names = []

    def make(task, store, scratch):
        made = scratch / "made"
        made.mkdir()
        (made / "a.mp4").write_bytes(b"clip" * task["parameters"]["seed"])
        return made, {"status": "failed" if task["parameters"].get("mode") == "raise" else "done"}

    def run_tasks(tasks, on_record, on_tick, say, **_):
        for task in tasks:
            names.append(task["student"])
            on_record(task, worker.carry_out(task))
            on_tick(1)

    monkeypatch.setattr(worker, "_run", make)
    monkeypatch.setattr(svd_lab.classroom.run_class, "run_tasks", run_tasks)

    def run(roster, lesson, out, **more):
        names.clear()
        run_class(roster, [lesson], str(out), **more)
        return list(names)

    return run


def test_resume_runs_what_is_missing_failed_or_changed_and_nothing_else(without_dask, tmp_path):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY, parameters=PARAMETERS)
    roster, out = tmp_path / "roster.csv", tmp_path / "out"
    Image.new("RGB", (64, 64), "red").save(tmp_path / "d.png")
    lines = ["name,seed,mode,picture", "A,1,,", "B,2,,", "C,3,raise,", "D,4,,d.png"]

    def again():
        roster.write_text("\n".join(lines))
        return without_dask(roster, lesson, out, resume=True)

    assert again() == ["A", "B", "C", "D"]
    assert again() == ["C"], "what failed is tried again"
    lines[3] = "C,3,,"
    lines[2] = "B,22,,"
    assert again() == ["B", "C"], "what changed"
    assert again() == []
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "d.png")
    assert again() == ["D"], "a picture's content counts"
    (out / "A" / "small" / "a.mp4").unlink()
    assert again() == ["A"], "a file that is gone"
    (out / "B" / "small" / "a.mp4").write_bytes(b"half")
    (out / "C" / "small" / "run.json").write_text('{"key": "half a rec')
    assert again() == ["B", "C"], "files that were cut off"
    write_notebook(tmp_path / "small.ipynb", BODY, "print('new')", parameters=PARAMETERS)
    lines.append("E,5,,")
    assert again() == ["A", "B", "C", "D", "E"]
    assert again() == []


def test_a_folder_in_use_is_refused_before_anything_is_written(without_dask, tmp_path):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY, parameters=PARAMETERS)
    roster = tmp_path / "roster.csv"
    roster.write_text("name,seed\nA,1")
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.html").write_text("mine")
    for resume in (False, True):
        with pytest.raises(FileExistsError, match="not a class's folder"):
            without_dask(roster, lesson, other, resume=resume)
    assert [path.name for path in other.iterdir()] == ["index.html"]
    with pytest.raises(ValueError, match="timeout"):
        without_dask(roster, lesson, tmp_path / "out", timeout=0)
    with pytest.raises(ValueError, match="workers"):
        without_dask(roster, lesson, tmp_path / "out", workers=0)
    for address in ("there", "tcp://there", "8786"):
        with pytest.raises(ValueError, match="is no address of a scheduler"):
            without_dask(roster, lesson, tmp_path / "out", scheduler=address)
    assert not (tmp_path / "out").exists()


def test_a_second_command_in_a_folder_that_is_being_worked_in_is_refused_and_the_first_goes_on(without_dask, tmp_path):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY, parameters=PARAMETERS)
    roster, out = tmp_path / "roster.csv", tmp_path / "out"
    roster.write_text("name,seed\nA,1")
    other = [
        sys.executable,
        "-m",
        "svd_lab.commands.main",
        "class",
        str(roster),
        "--lessons",
        lesson,
        "--out",
        str(out),
        "--resume",
    ]
    store = open_store(str(out))
    prepare(store, resume=False)
    with held(store):
        with pytest.raises(FileExistsError, match="another svd-lab class is at work"):
            without_dask(roster, lesson, out, resume=True)
        done = subprocess.run(other, capture_output=True, text=True)  # another process, too
        assert done.returncode == 1 and "another svd-lab class is at work" in done.stderr
        assert not (out / "A").exists()
    assert without_dask(roster, lesson, out, resume=True) == ["A"]


def test_a_disk_that_is_full_when_results_are_stored_leaves_a_failure_and_no_half_run(
    without_dask, tmp_path, monkeypatch
):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY, parameters=PARAMETERS)
    (tmp_path / "roster.csv").write_text("name,seed\nA,1\nB,2\nC,3")
    put = LocalFileSystem.put_file

    def full(self, source, target, **more):
        put(self, source, target, **more)
        if "/B/" in target:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LocalFileSystem, "put_file", full)
    out = tmp_path / "out"
    without_dask(tmp_path / "roster.csv", lesson, out)
    assert not (out / "B" / "small").exists()
    assert "could not be stored" in (out / "summary.csv").read_text("utf-8-sig")
    monkeypatch.setattr(LocalFileSystem, "put_file", put)
    assert without_dask(tmp_path / "roster.csv", lesson, out, resume=True) == ["B"]


def test_a_page_that_cannot_be_written_ends_no_class_and_is_told_at_its_end(without_dask, tmp_path, monkeypatch):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY, parameters=PARAMETERS)
    (tmp_path / "roster.csv").write_text("name,seed\nA,1\nB,2")
    out, write = tmp_path / "out", svd_lab.classroom.page.write

    def full(store, name, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(svd_lab.classroom.page, "write", full)
    monkeypatch.setattr(svd_lab.classroom.run_class, "_PAGE_EVERY", -1)  # after every run
    with pytest.raises(OSError, match="No space left"):
        without_dask(tmp_path / "roster.csv", lesson, out)
    monkeypatch.setattr(svd_lab.classroom.page, "write", write)
    assert without_dask(tmp_path / "roster.csv", lesson, out, resume=True) == [] and (out / "index.html").is_file()


def test_a_finished_run_is_not_run_again_when_a_scheduler_asks_twice(tmp_path, monkeypatch):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY, parameters=PARAMETERS)
    (tmp_path / "roster.csv").write_text("name,seed\nA,1")
    plan = make_plan(tmp_path / "roster.csv", [lesson])
    store = open_store(str(tmp_path / "out"))
    prepare(store, resume=False)
    put_inputs(store, plan.inputs)
    task = vars(plan.runs[0]) | {
        "out": store.address,
        "timeout": 9,
        "version": svd_lab.__version__,
        "threads": 1,
        "gpus": None,
        "attempt": "first",
    }
    made = tmp_path / "made"
    made.mkdir()
    done = worker.failure(task, "") | {"status": "done"}
    publish(store, task["folder"], made, done)
    monkeypatch.setattr(worker, "_run", lambda *_: pytest.fail("it ran again"))
    assert worker.carry_out(task) == done
    assert read_finished(store, [task["folder"]]) == {task["folder"]: done}
    failed = worker.failure(task, "no luck")
    publish(store, task["folder"], made, failed)
    assert worker.carry_out(task) == failed, (
        "its record was lost with the worker that had it, before anyone had fetched it"
    )
    again = []
    monkeypatch.setattr(worker, "_run", lambda *_: again.append(1) or (made, {"status": "done"}))
    assert worker.carry_out(task | {"attempt": "second"})["status"] == "done" and again, "--resume tries it again"
    monkeypatch.undo()
    assert "install it" in worker.carry_out(task | {"key": "other", "version": "0"})["message"]
    gone = worker.carry_out(task | {"key": "other", "notebook": "none"})
    assert gone["status"] == "failed" and "a folder that all machines share" in gone["message"]


def test_a_kernel_that_dies_before_its_first_cell_gets_a_second_try(tmp_path, monkeypatch):
    tries = []

    def run_lesson(*_, **__):
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr("svd_lab.lesson.run.run_lesson", run_lesson)
    usual = signal.getsignal(signal.SIGALRM)
    try:
        assert run_job(tmp_path / "a.ipynb", {}, tmp_path, 60) == {"status": "done"} and len(tries) == 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


# The machine, the line


@pytest.mark.parametrize(
    "gpus, cores, memory, asked, wanted",
    [
        ([], 8, 64, None, (8, 1)),
        ([], 8, 5, None, (2, 4)),
        ([], 2, 1, None, (1, 2)),
        (["0", "1"], 32, 64, None, (2, 16)),
        (["0", "1"], 32, 64, 4, (4, 8)),
    ],
)
def test_a_machine_gets_a_worker_a_gpu_or_as_many_as_its_memory_and_cores_allow(
    gpus, cores, memory, asked, wanted, monkeypatch
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(dask_runs, "_gpus", lambda: gpus)
    monkeypatch.setattr("dask.system.CPU_COUNT", cores)
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", memory * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": memory * 2**30}))
    assert dask_runs.share_out(asked) == (*wanted, gpus or None)


def test_a_run_sees_the_gpu_of_its_worker_alone(monkeypatch, tmp_path):
    import distributed

    task = {"threads": None, "gpus": ["GPU-a", "GPU-b"]}
    for name, gpu in ((0, "GPU-a"), ("1", "GPU-b"), (2, "GPU-a")):
        monkeypatch.setattr(distributed, "get_worker", lambda name=name: type("Worker", (), {"name": name}))
        assert worker._environment(task, tmp_path)["CUDA_VISIBLE_DEVICES"] == gpu


def test_the_line_tells_what_is_done_and_how_long_the_rest_takes():
    from collections import Counter
    from io import StringIO

    progress = Progress(Counter(a=3, b=2), 4, StringIO())
    assert progress.line(2) == "4 finished before, 0 done, 0 failed, 5 left"
    progress.count({"lesson": "a", "status": "done", "seconds": 60})
    progress.count({"lesson": "b", "status": "failed", "seconds": 120})
    assert progress.seconds_left(2) == (2 * 60 + 1 * 120) / 2
    assert progress.line(2) == "4 finished before, 1 done, 1 failed, 3 left, about 2 min left"
    assert progress.seconds_left(0) is None
