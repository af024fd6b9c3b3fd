"""Runs of lessons: parameters are checked before a kernel starts, an unfinished run is marked as failed, a fresh run gives the
committed outputs, and no lesson needs a network."""

import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import papermill
import pytest
from helpers import module_at
from IPython.core.inputtransformer2 import TransformerManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError

import svd_lab.lesson.run
from svd_lab.commands.main import main
from svd_lab.lesson.run import check_parameters, find_lesson, run_lesson

ROOT = Path(__file__).parents[2]
build = module_at(ROOT / "lessons" / "build.py")
KOREAN, ENGLISH = (sorted((ROOT / "lessons" / language).glob("*.ipynb")) for language in ("ko", "en"))
NOTEBOOKS = [path for language in ("ko", "en") for path in sorted((ROOT / "lessons" / language).glob("*.ipynb"))]
PARAMETERS = (
    'seed: int = 42  # a seed\nshare: float = 0.5\nnoisy: bool = False\nmodel: str = "mini"\nout_dir: str = "out/a"'
)
KILL = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
SLEEP = "import time\ntime.sleep(60)"


@pytest.fixture(autouse=True)
def kernel_finds_us(monkeypatch):
    """A kernel imports this checkout, whether or not the package is installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A function that writes a notebook of PARAMETERS and the given cells and returns its path; the test runs in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def write(*cells, parameters=PARAMETERS):
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (parameters, *cells)])
        made.cells[0].metadata.tags = ["parameters"]
        made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = tmp_path / "a.ipynb"
        nbformat.write(made, path)
        return str(path)

    return write


@pytest.fixture
def no_kernel(monkeypatch):
    """Fails a test that starts a kernel."""
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("a kernel was about to start"))


def statuses(path):
    """The papermill status of each cell: parameters, injected parameters, and the notebook's own."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.metadata.papermill.status for cell in cells if "papermill" in cell.metadata]


# What the runner refuses, and what it leaves


def test_an_unknown_parameter_is_refused_before_a_kernel_starts(no_kernel, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["lesson", "02", "--language", "en", "-p", "sed", "7", "--out", str(out)]) == 1
    words = capsys.readouterr().err
    assert "no parameter 'sed'" in words and "seed: int = 42  0 to 4294967295" in words and "num_frames: int" in words
    assert not out.exists()


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("seed", "abc", "seed must be a whole number, not 'abc'"),
        ("seed", "1.5", "seed must be a whole number"),
        ("share", "nan", "share must be a number"),
        ("noisy", "5", "noisy must be true or false"),
        ("out_dir", "x", "--out"),
    ],
)
def test_a_value_of_another_type_is_refused_before_a_kernel_starts(name, value, words, notebook, no_kernel):
    with pytest.raises(ValueError, match=words):
        run_lesson(notebook(), {name: value})


def test_a_notebook_without_parameters_says_so(notebook, no_kernel):
    with pytest.raises(ValueError, match="no parameter 'seed'. It has no cell tagged 'parameters'"):
        run_lesson(notebook(parameters="# none"), {"seed": "1"})


def test_text_becomes_the_type_that_the_notebook_declares():
    known = {
        name: {"inferred_type_name": kind, "default": "", "help": ""}
        for name, kind in dict(a="int", b="float", c="bool", d="str", e="None").items()
    }
    given = dict(a="-1", b="1e-3", c="True", d="5", e="x")
    assert check_parameters(given, known) == dict(a=-1, b=0.001, c=True, d="5", e="x")
    assert check_parameters({"a": 3, "d": None}, known) == {"a": 3, "d": None}, "values that are not text stay"


def test_a_lesson_is_found_by_its_number_in_its_language():
    assert find_lesson("02", "en") == ROOT / "lessons" / "en" / "02_rocket.ipynb"
    for wrong in ("99", "", "0"):
        with pytest.raises(FileNotFoundError, match="01_pipeline, 02_rocket"):
            find_lesson(wrong)
    with pytest.raises(FileNotFoundError, match="no notebook x.ipynb"):
        find_lesson("x.ipynb")
    with pytest.raises(ValueError, match="ko, en"):
        find_lesson("01", "fr")


def test_an_installed_package_finds_the_lessons_of_the_clone_around_it(tmp_path, monkeypatch):
    monkeypatch.setattr(
        svd_lab.lesson.run, "__file__", str(tmp_path / "site-packages" / "svd_lab" / "lesson" / "run.py")
    )
    monkeypatch.chdir(ROOT)
    assert find_lesson("01").resolve() == KOREAN[0]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="run this in a clone"):
        find_lesson("01")


def test_a_run_writes_into_one_folder_only(notebook, tmp_path, capsys):
    write = (
        "import json, pathlib\npathlib.Path(out_dir, 'result.json').write_text(json.dumps([seed, share, noisy, model]))"
    )
    out = tmp_path / "mine {1}"
    arguments = ["-p", "seed", "-1", "-p", "noisy", "true", "-p", "model", "7", "--out", str(out)]
    assert main(["lesson", notebook(write), *arguments]) == 0
    assert {path.name for path in out.iterdir()} == {"a.ipynb", "a.html", "result.json"}
    assert json.loads((out / "result.json").read_text()) == [-1, 0.5, True, "7"]
    said, progress = capsys.readouterr()
    assert str(out / "a.ipynb") in said and str(out / "a.html") in said
    assert "1/3, about " in progress and "encryption" not in progress
    assert {path.name for path in tmp_path.iterdir()} == {"a.ipynb", out.name}


def test_the_notebook_itself_is_never_overwritten(notebook, no_kernel, tmp_path):
    path = notebook()
    before = Path(path).read_bytes()
    with pytest.raises(ValueError, match="another folder"):
        run_lesson(path, out=tmp_path)
    assert Path(path).read_bytes() == before


def test_a_cell_that_raises_ends_the_run_and_an_older_result_is_gone(notebook, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text("old")
    assert main(["lesson", notebook("1 / 0", "print('later')"), "--out", str(out)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {"a.ipynb", "a.html"}
    assert "ZeroDivisionError" in (out / "a.html").read_text()
    assert "ZeroDivisionError" in (out / "a.ipynb").read_text() and "failed" in statuses(out / "a.ipynb")


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell, error, words, code",
    [(KILL, DeadKernelError, "Kernel died", 138), (SLEEP, CellTimeoutError, "timed out", 1)],
    ids=["killed kernel", "cell time-out"],
)
def test_a_run_that_did_not_finish_is_a_failure(cell, error, words, code, notebook, tmp_path, capsys):
    path = notebook("print('before')", cell, "print('later')")
    with pytest.raises(error):  # plain papermill raises, though its notebook says "completed"
        papermill.execute_notebook(path, tmp_path / "bare.ipynb", progress_bar=False, execution_timeout=5)
    assert main(["lesson", path, "--out", "out", "--cell-timeout", "5"]) == code
    assert words in capsys.readouterr().err
    assert statuses("out/a.ipynb") == ["completed"] * 3 + ["failed", "pending"]
    ran = nbformat.read("out/a.ipynb", as_version=4)
    assert ran.metadata.papermill.exception is True
    assert ran.cells[2].outputs[0].text == "before\n" and ran.cells[4].execution_count is None
    assert ran.cells[3].outputs[-1].ename == error.__name__ and words in ran.cells[3].outputs[-1].evalue


@pytest.mark.slow
def test_papermills_command_fails_when_the_kernel_is_killed(notebook):
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", notebook(KILL), "out.ipynb"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 138 and "Kernel died" in ended.stderr


@pytest.mark.slow
def test_a_lesson_runs_by_its_number_on_the_command_line(tiny_folder, picture_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = dict(model=tiny_folder, picture=picture_file, num_frames=4, num_inference_steps=2, seed=7)
    flags = [flag for name, value in given.items() for flag in ("-p", name, str(value))]
    assert main(["lesson", "01", "--language", "en", *flags, "--out", "minji/01", "--cell-timeout", "200"]) == 0
    result = json.loads(Path("minji/01/result.json").read_text("utf-8"))
    assert result["lesson"] == "01_pipeline" and result["parameters"]["seed"] == 7
    assert (result["parameters"]["num_frames"], result["parameters"]["num_inference_steps"]) == (4, 2)
    assert {"01_pipeline.ipynb", "rocket.mp4"} <= {path.name for path in Path("minji/01").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["minji"]


def test_a_cell_that_fails_is_one_line_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lesson", "01", "--language", "en", "-p", "picture", "rokcet", "--out", "out"]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("svd-lab: ")]
    assert len(said) == 1 and "FileNotFoundError: image not found: rokcet" in said[0] and "balloon" in said[0]


# Colab and Kaggle


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_notebook_begins_with_the_installation_then_the_parameters(path):
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert code[0].id == "install" and code[1].metadata.get("tags") == ["parameters"]
    assert not code[0].outputs


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("place", ["colab", "kaggle", "here"])
@pytest.mark.parametrize("there", [True, False])
def test_only_colab_and_kaggle_install_svd_lab_and_a_missing_one_stops(place, there, published, language, monkeypatch):
    address = "https://github.com/someone/svd-lab" if published else None
    cell = build.install_cell(language, address)
    ran = []

    class Shell:
        def run_line_magic(self, name, line, *_):
            ran.append((name, line))

    if place == "colab":
        monkeypatch.setitem(sys.modules, "google.colab", sys)
    if place == "kaggle":
        monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setenv("SVD_LAB_LANGUAGE", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: sys if (there or ran) and name == "svd_lab" else None)
    installs = published and place != "here" and not there
    run = lambda: exec(TransformerManager().transform_cell(cell), {"get_ipython": Shell})  # noqa: E731
    if there or installs:
        run()
    else:
        with pytest.raises(ModuleNotFoundError, match="pip install"):
            run()
    assert ran == ([("pip", f"install --quiet git+{address}")] if installs else [])
    assert os.environ["SVD_LAB_LANGUAGE"] == language


# The committed outputs in a fresh run, without a network

GUARD = """
import os, socket, sys

def guard(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None  # not a tuple: a Unix socket, or one already connected
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    if host and host not in ("localhost", "::1", "0.0.0.0", own) and not host.startswith("127."):
        with open(os.environ["ATTEMPTS"], "a") as file:
            print(event, host, file=file)
        raise OSError(f"no network in this test: {event} {host}")

own = socket.gethostname()
sys.addaudithook(guard)
"""
ALONE = (  # bring up the loopback of a fresh network namespace, which a kernel needs, and become the command
    "import fcntl, os, socket, struct, sys; "
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1)); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


@pytest.fixture(scope="module")
def without_network(tmp_path_factory):
    """(prefix of a command, environment): Python's sockets reach only this machine and log other attempts in $ATTEMPTS; where the
    system permits it, the prefix also puts the command into a network namespace without a network."""
    folder = tmp_path_factory.mktemp("guard")
    (folder / "sitecustomize.py").write_text(GUARD)
    environment = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "PYTEST_ADDOPTS")}
    settings = {"CUDA_VISIBLE_DEVICES": "", "SVD_LAB_MODELS": "", "HF_HOME": str(folder / "empty")}
    environment |= {**settings, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    prefix = ["unshare", "-rn", sys.executable, "-S", "-c", ALONE]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        prefix = []
    return prefix, environment


def nbval(path, prefix, environment):
    """Run notebook `path` in its folder, compare its marked outputs, and return the finished process."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    command += ["--nbval-cell-timeout=300", "--timeout=600", "--rootdir", path.parent, path.name]
    return subprocess.run(
        [*prefix, *map(str, command)], cwd=path.parent, env=environment, capture_output=True, text=True, timeout=1200
    )


@pytest.fixture(scope="module")
def fresh_runs(without_network, tmp_path_factory):
    """{name: future of (folder, finished process)} of all English lessons, which were executed, as committed, two at a time."""
    prefix, environment = without_network

    def run(path):
        folder = tmp_path_factory.mktemp(path.stem)
        shutil.copy(path, folder)
        return folder, nbval(
            folder / path.name, prefix, {**environment, "ATTEMPTS": str(folder / "attempts"), "OMP_NUM_THREADS": "1"}
        )

    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        yield {path.stem: pool.submit(run, path) for path in ENGLISH}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [path.stem for path in ENGLISH])
def test_a_fresh_run_gives_the_committed_outputs_without_a_network(name, fresh_runs):
    cells = nbformat.read(ROOT / "lessons" / "en" / f"{name}.ipynb", as_version=4).cells
    checked = [cell for cell in cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert checked and all(cell.outputs for cell in checked), "a lesson marks outputs that must not change"
    folder, ended = fresh_runs[name].result()
    assert ended.returncode == 0, ended.stdout[-5000:]
    assert f"{sum(cell.cell_type == 'code' for cell in cells)} passed" in ended.stdout
    assert not (folder / "attempts").exists(), (folder / "attempts").read_text()
    result = json.loads((folder / "out" / name / "result.json").read_text("utf-8"))
    assert result["lesson"] == name and result["device"] == "cpu"


@pytest.mark.slow
def test_nbval_fails_where_a_marked_output_differs(notebook, without_network, tmp_path):
    path = Path(notebook("print('difference', 0)"))
    made = nbformat.read(path, as_version=4)
    made.cells[1].metadata.tags = ["nbval-check-output"]
    for number, text, status in ((0, "difference 0\n", 0), (1, "difference 3\n", 1)):
        made.cells[1].outputs = [nbformat.v4.new_output("stream", text=text)]
        made.cells[1].execution_count = made.cells[0].execution_count = 1
        folder = tmp_path / str(number)
        folder.mkdir()
        nbformat.write(made, folder / path.name)
        ended = nbval(folder / path.name, [], {**os.environ, "PYTHONPATH": str(ROOT)})
        assert ended.returncode == status, ended.stdout[-2000:]


def test_the_guard_logs_and_stops_attempts_to_use_a_network(without_network, tmp_path):
    _, environment = without_network
    code = (
        "import socket\ntry:\n    socket.create_connection(('{}', 80), 2)\nexcept OSError as error:\n    print(error)"
    )
    for host in ("192.0.2.1", "huggingface.co"):
        log = tmp_path / host
        command = [sys.executable, "-c", code.format(host)]
        ended = subprocess.run(command, env={**environment, "ATTEMPTS": str(log)}, capture_output=True, text=True)
        assert "no network in this test" in ended.stdout and host in log.read_text()


def test_the_namespace_has_no_network_but_its_loopback(without_network):
    prefix, _ = without_network
    if not prefix:
        pytest.skip("this system does not let a user make a network namespace")
    code = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname(), 2).close()\n"
        "try:\n    socket.create_connection(('192.0.2.1', 80), 2)\nexcept OSError as error:\n    print(error.errno)"
    )
    ended = subprocess.run([*prefix, sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.stdout.strip() == str(errno.ENETUNREACH), ended.stderr
