"""On a shared CPU OpenMP's threads sleep while they wait, and there are no more of them than the container may use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import svd_lab
from svd_lab import threads


def omp_settings(code: str, **environment: str) -> str:
    """Return OpenMP's settings in a new Python that runs `code`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | {"OMP_DISPLAY_ENV": "true"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return (run.stdout + run.stderr).replace(" ", "").upper()


@pytest.mark.skipif(sys.platform != "linux", reason="torch may be built without OpenMP elsewhere")
def test_openmp_waits_passively_unless_the_user_chose_otherwise():
    assert "OMP_WAIT_POLICY='PASSIVE'" in omp_settings("import svd_lab, torch")
    assert "OMP_WAIT_POLICY='ACTIVE'" in omp_settings("import svd_lab, torch", OMP_WAIT_POLICY="active")


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="this system has no large pages")
def test_torch_asks_for_large_pages_unless_the_user_chose_otherwise():
    code = """import svd_lab, torch
from pathlib import Path
tensor = torch.ones(8 * 2**20)
parts = Path("/proc/self/smaps").read_text().split("VmFlags:")
at = [p for p in parts if any(int(line.split("-")[0], 16) <= tensor.data_ptr() < int(line.split("-")[1].split()[0], 16)
      for line in p.splitlines() if line[:1] in "0123456789abcdef" and "-" in line.split(" ")[0])]
print("huge" if " hg " in parts[parts.index(at[0]) + 1].splitlines()[0] + " " else "plain")"""
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}

    def pages(**more: str) -> str:
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment | more, capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    assert pages() == "huge"
    assert pages(THP_MEM_ALLOC_ENABLE="0") == "plain"


def test_the_environment_is_left_alone_once_torch_is_imported(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    threads.wait_politely()
    threads.take_large_pages()
    assert not {"OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE"} & set(os.environ)


@pytest.mark.parametrize(
    ("quota", "variable", "before", "after"),
    [
        (2.5, None, 6, 2),  # a container with two and a half CPUs on a machine with more
        (0.5, None, 6, 1),
        (8.0, None, 3, 3),  # never more than were set
        (None, None, 6, 6),  # no limit
        (2.5, "6", 6, 6),  # the user's choice
    ],
)
def test_loading_on_a_cpu_keeps_to_the_containers_quota(monkeypatch, tiny_folder, quota, variable, before, after):
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    own = torch.get_num_threads()
    try:
        torch.set_num_threads(before)
        svd_lab.load_video_pipeline(tiny_folder, device="cpu")
        assert torch.get_num_threads() == after
    finally:
        torch.set_num_threads(own)
