"""Limits of a container: its share of the CPUs and of the memory, read from control groups of either version."""

from collections import namedtuple

import psutil
import pytest

from svd_lab import limits

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_containers_cpu_quota_is_read(tmp_path, files, quota):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert limits.cpu_quota(tmp_path) == quota


def write_group(folder, limit, used, inactive, v1=False):
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if v1 else ("memory.max", "memory.current")
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{'total_' if v1 else ''}inactive_file {inactive}\n")


def test_the_tightest_memory_limit_counts_without_cached_files(tmp_path):
    own = tmp_path / "own"
    assert limits.memory_limit(tmp_path, own) is None
    own.write_text("0::/class/minji\n")
    assert limits.memory_limit(tmp_path, own) is None
    write_group(tmp_path / "class", 4 * GB, 3 * GB, 1 * GB)
    write_group(tmp_path / "class" / "minji", "max", 1 * GB, 0)
    assert limits.memory_limit(tmp_path, own) == (4 * GB, 2 * GB)
    write_group(tmp_path / "class" / "minji", 2 * GB, 1 * GB, 0)
    assert limits.memory_limit(tmp_path, own) == (2 * GB, 1 * GB)
    own.write_text("5:cpu,cpuacct:/x\n3:memory:/docker/abc\n")  # v1, in a container where that path is absent
    write_group(tmp_path / "memory", 3 * GB, 2 * GB, 1 * GB, v1=True)
    assert limits.memory_limit(tmp_path, own) == (3 * GB, 1 * GB)


@pytest.mark.parametrize(
    ("limit", "free", "total"),
    [
        (None, 14, 16),
        ((8 * GB, 2 * GB), 6, 8),
        ((15 * GB, 0), 14, 15),  # the machine itself has less free
        ((32 * GB, 1 * GB), 14, 16),  # no limit on this machine
    ],
)
def test_main_memory_is_the_machines_or_its_containers(monkeypatch, limit, free, total):
    memory = namedtuple("memory", "total available")(16 * GB, 14 * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(limits, "memory_limit", lambda: limit)
    assert limits.main_memory() == (free * GB, total * GB)
