"""What the tests of a class share: small notebooks, and rosters of them."""

import json

import nbformat

PARAMETERS = 'seed: int = 42\nmode: str = "ok"\nnotes: str = ""\npicture: str = "rocket"\nout_dir: str = "out/a"'
#: A cell that writes down that it ran, and then does what its student's `mode` says.
BODY = """
import os, pathlib, signal, time
with open(notes, "a") as file:
    print(seed, file=file)
if mode == "raise": raise RuntimeError("no <b>luck</b>")
if mode == "kernel": os.kill(os.getpid(), signal.SIGKILL)
if mode == "full": open("/dev/full", "w").write("x" * 100_000)
if mode == "timeout": os.kill(os.getppid(), signal.SIGALRM)  # the run's timer goes off now; its process is this kernel's parent
if mode == "worker" and open(notes).read().split().count(str(seed)) == 1:
    import psutil
    os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)  # the parent of the run's process
    mode = "hang"
for _ in range(6000):  # ten minutes, if nobody stops it
    if mode not in ("timeout", "hang") and (mode != "wait" or os.path.exists(notes + ".go")): break
    time.sleep(0.1)
"""
FINISH = """
import json, os
pathlib.Path(out_dir, "b.mp4").write_bytes(b"other")
pathlib.Path(out_dir, "a.mp4").write_bytes(b"clip" * seed)
result = {"videos": {"main": {"file": "b.mp4"}}, "threads": os.environ["OMP_NUM_THREADS"], "home": os.environ["IPYTHONDIR"]}
pathlib.Path(out_dir, "result.json").write_text(json.dumps(result))
"""


def write_notebook(path, *cells, parameters=PARAMETERS):
    """Write a notebook of the given cells after `parameters`; returns its path as text."""
    sources = (parameters, *cells)
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, id=f"c{number}") for number, source in enumerate(sources)]
    )
    notebook.cells[0].metadata.tags = ["parameters"]
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return str(path)


def write_class(folder, rows):
    """Write a roster of {name: (seed, mode)} and a small lesson; returns arguments of `svd-lab class` without --out."""
    lesson = write_notebook(folder / "small.ipynb", BODY, FINISH)
    lines = [f"{name},{seed},{mode}" for name, (seed, mode) in rows.items()]
    (folder / "roster.csv").write_text("\n".join(["name,seed,mode", *lines]), "utf-8")
    return [str(folder / "roster.csv"), "--lessons", lesson, "-p", "notes", str(folder / "notes")]


def count_starts(folder):
    """{seed: how often its notebook was started} of a class that write_class wrote."""
    path = folder / "notes"
    seeds = path.read_text().split() if path.exists() else []
    return {int(seed): seeds.count(seed) for seed in seeds}


def read_run(out, name):
    """The record of a student's run."""
    return json.loads((out / name / "small" / "run.json").read_text("utf-8"))
