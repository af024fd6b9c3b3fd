"""What a class promises about its runs: what is finished is kept, what is missing, failed or changed is run, and a folder in use is
left alone. Without Dask and kernels; see test_class_faults.py for those."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from io import StringIO

import psutil
import pytest
from fsspec.implementations.local import LocalFileSystem
from PIL import Image
from small_class import BODY, write_notebook

import svd_lab
import svd_lab.classroom.page
import svd_lab.classroom.run_class
from svd_lab.classroom import local_cluster, worker
from svd_lab.classroom.notebook_process import run_notebook
from svd_lab.classroom.plan import make_plan
from svd_lab.classroom.progress import Progress
from svd_lab.classroom.run_class import run_class
from svd_lab.classroom.store import locked, open_store, prepare, publish, put_inputs, read_finished


@pytest.fixture
def without_dask(monkeypatch):
    """run_class that runs here, by `worker.run_task`, notebooks of which only the clip is made; returns the names that it ran."""
    names = []

    def run_notebook(task, store, scratch):
        outputs = scratch / "outputs"
        outputs.mkdir()
        (outputs / "a.mp4").write_bytes(b"clip" * task["parameters"]["seed"])
        return outputs, {"status": "failed" if task["parameters"].get("mode") == "raise" else "done"}

    def run_tasks(tasks, on_record, on_poll, report, **_):
        for task in tasks:
            names.append(task["student"])
            on_record(task, worker.run_task(task))
            on_poll(1)

    monkeypatch.setattr(worker, "_run_notebook", run_notebook)
    monkeypatch.setattr(svd_lab.classroom.run_class, "run_tasks", run_tasks)

    def run(roster, lesson, out, **more):
        names.clear()
        run_class(roster, [lesson], str(out), **more)
        return list(names)

    return run


def test_resume_runs_what_is_missing_failed_or_changed_and_nothing_else(without_dask, tmp_path):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY)
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
    write_notebook(tmp_path / "small.ipynb", BODY, "print('new')")
    lines.append("E,5,,")
    assert again() == ["A", "B", "C", "D", "E"]
    assert again() == []


def test_a_folder_in_use_is_refused_before_anything_is_written(without_dask, tmp_path):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY)
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
        with pytest.raises(ValueError, match="is not an address of a scheduler"):
            without_dask(roster, lesson, tmp_path / "out", scheduler=address)
    assert not (tmp_path / "out").exists()


def test_a_second_command_in_the_same_folder_is_refused(without_dask, tmp_path):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY)
    roster, out = tmp_path / "roster.csv", tmp_path / "out"
    roster.write_text("name,seed\nA,1")
    command = [sys.executable, "-m", "svd_lab.commands.main", "class", str(roster), "--lessons", lesson]
    store = open_store(str(out))
    prepare(store, resume=False)
    with locked(store):
        with pytest.raises(FileExistsError, match="another svd-lab class is running"):
            without_dask(roster, lesson, out, resume=True)
        other = subprocess.run([*command, "--out", str(out), "--resume"], capture_output=True, text=True)
        assert other.returncode == 1 and "another svd-lab class is running" in other.stderr
        assert not (out / "A").exists()
    assert without_dask(roster, lesson, out, resume=True) == ["A"]


def test_a_full_disk_while_storing_leaves_no_half_run(without_dask, tmp_path, monkeypatch):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY)
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


def test_a_page_that_cannot_be_written_is_reported_after_all_runs(without_dask, tmp_path, monkeypatch):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY)
    (tmp_path / "roster.csv").write_text("name,seed\nA,1\nB,2")
    out, write_file = tmp_path / "out", svd_lab.classroom.page.write_file

    def full(store, name, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(svd_lab.classroom.page, "write_file", full)
    monkeypatch.setattr(svd_lab.classroom.run_class, "_PAGE_INTERVAL", -1)  # after every run
    with pytest.raises(OSError, match="No space left"):
        without_dask(tmp_path / "roster.csv", lesson, out)
    monkeypatch.setattr(svd_lab.classroom.page, "write_file", write_file)
    assert without_dask(tmp_path / "roster.csv", lesson, out, resume=True) == [] and (out / "index.html").is_file()


def test_a_finished_run_is_not_repeated_when_a_scheduler_asks_twice(tmp_path, monkeypatch):
    lesson = write_notebook(tmp_path / "small.ipynb", BODY)
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
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    done = worker.failed_record(task, "") | {"status": "done"}
    publish(store, task["folder"], outputs, done)
    monkeypatch.setattr(worker, "_run_notebook", lambda *_: pytest.fail("it ran again"))
    assert worker.run_task(task) == done
    assert read_finished(store, [task["folder"]]) == {task["folder"]: done}
    failed = worker.failed_record(task, "no luck")
    publish(store, task["folder"], outputs, failed)
    assert worker.run_task(task) == failed, "its record was lost with a worker"
    again = []
    monkeypatch.setattr(worker, "_run_notebook", lambda *_: again.append(1) or (outputs, {"status": "done"}))
    assert worker.run_task(task | {"attempt": "second"})["status"] == "done" and again, "--resume tries it again"
    monkeypatch.undo()
    assert "Install 0 there" in worker.run_task(task | {"key": "other", "version": "0"})["message"]
    lost = worker.run_task(task | {"key": "other", "notebook": "none"})
    assert lost["status"] == "failed" and "a folder that all machines share" in lost["message"]


@pytest.fixture
def alarm_restored():
    handler = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, handler)


@pytest.mark.usefixtures("alarm_restored")
def test_a_kernel_that_dies_before_its_first_cell_gets_a_second_try(tmp_path, monkeypatch):
    tries = []

    def run_lesson(*_, **__):
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr("svd_lab.lesson.run.run_lesson", run_lesson)
    assert run_notebook(tmp_path / "a.ipynb", {}, tmp_path, 600) == {"status": "done"} and len(tries) == 2


@pytest.mark.usefixtures("alarm_restored")
def test_a_notebook_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    def run_lesson(*_, **__):
        for _ in range(3000):
            time.sleep(0.1)

    monkeypatch.setattr("svd_lab.lesson.run.run_lesson", run_lesson)
    outcome = run_notebook(tmp_path / "a.ipynb", {}, tmp_path, 1)
    assert outcome["status"] == "failed" and "did not finish within 1 s" in outcome["message"]


# The machine, the progress


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
def test_workers_follow_the_gpus_or_else_memory_and_cores(gpus, cores, memory, asked, wanted, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local_cluster, "_gpus", lambda: gpus)
    monkeypatch.setattr("dask.system.CPU_COUNT", cores)
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", memory * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": memory * 2**30}))
    assert local_cluster.divide_machine(asked) == (*wanted, gpus or None)


def test_a_run_sees_the_gpu_of_its_worker_alone(monkeypatch, tmp_path):
    import distributed

    task = {"threads": None, "gpus": ["GPU-a", "GPU-b"]}
    for name, gpu in ((0, "GPU-a"), ("1", "GPU-b"), (2, "GPU-a")):
        monkeypatch.setattr(distributed, "get_worker", lambda name=name: type("Worker", (), {"name": name}))
        assert worker._environment(task, tmp_path)["CUDA_VISIBLE_DEVICES"] == gpu


def test_the_progress_says_what_is_done_and_how_long_the_rest_takes():
    progress = Progress(Counter(a=3, b=2), 4, StringIO())
    assert progress.text(2) == "4 finished before, 0 done, 0 failed, 5 left"
    progress.count({"lesson": "a", "status": "done", "seconds": 60})
    progress.count({"lesson": "b", "status": "failed", "seconds": 120})
    assert progress.seconds_left(2) == (2 * 60 + 1 * 120) / 2
    assert progress.text(2) == "4 finished before, 1 done, 1 failed, 3 left, about 2 min left"
    assert progress.seconds_left(0) is None
