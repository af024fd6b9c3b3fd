"""What this process may use of the machine: the limits of its container (control groups, v2 and v1), which psutil does not know."""

import contextlib
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cpu_quota(root: Path = CGROUPS) -> float | None:
    """Return how many CPUs' worth of time this container may use, or None without a limit."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return None
    try:
        return int(limit) / int(period) if int(limit) > 0 and int(period) > 0 else None
    except ValueError:  # "max": no limit
        return None


def memory_limit(root: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> tuple[int, int] | None:
    """Return (limit, used) in bytes of the tightest control group around this process, or None without a limit.

    used leaves out cached files, which Linux reclaims when memory is short [kernel.org, cgroup-v2, memory.stat inactive_file].
    """
    try:
        paths = [line.split(":", 2)[1:] for line in own.read_text().splitlines()]
    except OSError:
        return None
    found = []
    for controllers, path in paths:
        base, names, field = root, ("memory.max", "memory.current"), "inactive_file"
        if controllers:
            if "memory" not in controllers.split(","):
                continue
            base, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
            field = "total_inactive_file"
        inner = base / path.strip("/")  # inside a container this may be the host's path, absent here
        for group in (inner, *(parent for parent in inner.parents if parent.is_relative_to(base))):
            with contextlib.suppress(OSError, ValueError):  # "max" is not a number: no limit
                limit, used = (int((group / name).read_text()) for name in names)
                stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                found.append((limit, max(0, used - int(stat.get(field, 0)))))
    return min(found, default=None)


def main_memory() -> tuple[int, int]:
    """Return (free, total) bytes of main memory that this process may use: the machine's, or its container's where that is less."""
    import psutil

    memory, limit = psutil.virtual_memory(), memory_limit()
    if limit is None or limit[0] >= memory.total:
        return memory.available, memory.total
    return min(memory.available, limit[0] - limit[1]), limit[0]
