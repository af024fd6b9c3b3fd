"""The machine: Python, packages, GPU, driver, memory, disk. `check` prints what these functions find.

Each returns (status, says, data): "ok", "warn" or "fail"; a line; what was measured, in bytes. What may be broken is imported
inside.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import tomllib
import warnings
from pathlib import Path
from typing import Any

from svd_lab.limits import main_memory
from svd_lab.pipe_facts import torch_build

GB = 1e9
NEED_MEMORY = 1.0 * GB  #: the mini's peak, 14 frames in a process of its own, was 0.9 GB [measured]
NEED_DISK = 0.2 * GB
WANT_MEMORY, WANT_DISK = 2 * GB, 6 * GB  #: with room for a browser; SVD in fp16 takes 4.5 GB of disk
WANT_GPU_MEMORY = 5.9 * GB  #: for 14 frames with the placement "blocks", 5.5 GiB: a card sold as 6 GB
Result = tuple[str, str, dict[str, Any]]


def check_python() -> Result:
    """Check that Python is one that svd-lab supports."""
    from packaging.specifiers import SpecifierSet

    needed, _ = _project()
    version, system = platform.python_version(), f"{platform.system()} {platform.release()} {platform.machine()}"
    data = {"version": version, "system": system}
    if not SpecifierSet(needed).contains(version, prereleases=True):
        return "fail", f"{version} is not {needed}, which svd-lab needs", data
    return "ok", f"{version} on {system}", data


def check_packages() -> Result:
    """Check that every required package is installed in a supported version."""
    from importlib import metadata

    from packaging.requirements import Requirement

    found, wrong = {}, []
    for requirement in map(Requirement, _project()[1]):
        try:
            found[requirement.name] = version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if wrong:
        return "fail", "; ".join(wrong) + ". Run: pip install svd-lab (in a clone: pip install .)", found
    main = ", ".join(f"{name} {found[name]}" for name in ("torch", "diffusers", "transformers") if name in found)
    return "ok", f"{main}, and {len(found) - 3} more as required", found


def check_gpu() -> Result:
    """Check that torch computes on every GPU, that one has memory for svd, and that the fused kernels run."""
    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    build = torch_build()
    if not available:
        if torch.backends.mps.is_available():
            return "ok", "an Apple GPU (mps); the miniature runs on the CPU unless you ask for it", {"gpus": []}
        if caught or _driver():
            why = f": {str(caught[0].message).splitlines()[0]}" if caught else ""
            return "warn", f"there is an NVIDIA driver, but torch sees no GPU ({build}){why}", {"gpus": []}
        return "ok", f"none: the miniature runs on the CPU ({build})", {"gpus": []}
    gpus = []
    for index in range(torch.cuda.device_count()):
        if _product_on(f"cuda:{index}") != 64:
            return "fail", f"GPU {index} computes wrong numbers", {}
        free, total = torch.cuda.mem_get_info(index)
        gpus.append({"name": torch.cuda.get_device_name(index), "free": free, "total": total})
    says = ", ".join(f"{gpu['name']} ({gpu['free'] / GB:.1f} of {gpu['total'] / GB:.1f} GB free)" for gpu in gpus)
    if max(gpu["free"] for gpu in gpus) < WANT_GPU_MEMORY:
        return "warn", says + ": svd needs 6 GB", {"gpus": gpus}
    from svd_lab.performance import fused_ops

    slow = next((trouble for index in range(len(gpus)) if (trouble := fused_ops.trouble(index))), None)
    if slow:
        return "warn", f"{says}; {build}; videos take twice as long as they could: {slow}", {"gpus": gpus}
    return "ok", f"{says}; {build}; speed: fused", {"gpus": gpus}


def check_driver() -> Result:
    """Report the NVIDIA driver's version."""
    version = _driver()
    return "ok", f"NVIDIA {version}" if version else "none, and none needed without an NVIDIA GPU", {"version": version}


def check_memory() -> Result:
    """Check that the main memory that this process may use is enough for the miniature."""
    import psutil

    (free, total), machine = main_memory(), psutil.virtual_memory().total
    says = f"{free / GB:.1f} of {total / GB:.1f} GB free" + (" (this container's limit)" if total < machine else "")
    data = {"free": free, "total": total, "machine": machine}
    if free < NEED_MEMORY:
        return "fail", f"{says}: the miniature needs {NEED_MEMORY / GB:.0f} GB. Close other programs or notebooks", data
    return ("warn", f"{says}: close other programs before a video", data) if free < WANT_MEMORY else ("ok", says, data)


def check_disk() -> Result:
    """Check that the working folder and the Hub cache can be written and have room."""
    from huggingface_hub import constants

    data, status, words = {}, "ok", []
    for name, folder in (("this folder", Path.cwd()), ("the Hub cache", Path(constants.HF_HUB_CACHE))):
        there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
        free, writable = shutil.disk_usage(there).free, os.access(there, os.W_OK)
        data[name] = {"folder": str(folder), "free": free, "writable": writable}
        words.append(f"{free / GB:.1f} GB free for {name} ({folder}){'' if writable else ', which cannot be written'}")
        if folder == Path.cwd() and (free < NEED_DISK or not writable):
            status = "fail"
        elif status == "ok" and (free < WANT_DISK or not writable):
            status = "warn"
            words[-1] += f": a download of svd needs {WANT_DISK / GB:.0f} GB"
    return status, "; ".join(words), data


def _project() -> tuple[str, list[str]]:
    """(Python, packages) that svd-lab requires; in a clone from pyproject.toml, since an old `pip install -e` may be outdated."""
    from importlib import metadata

    file = Path(__file__).parents[2] / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text("utf-8"))["project"]
        return project["requires-python"], project["dependencies"]
    about = metadata.metadata("svd-lab")
    return about["Requires-Python"], [line for line in about.get_all("Requires-Dist") if "extra ==" not in line]


def _product_on(device: str) -> float:
    """The mean of a product of 64x64 ones on a device, 64; raises where torch has no kernels for this GPU."""
    import torch

    square = torch.ones(64, 64, device=device, dtype=torch.float16)
    return (square @ square).mean().item()


def _driver() -> str | None:
    """The NVIDIA driver's version, or None without one."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        said = subprocess.run(query, capture_output=True, text=True, timeout=20)
        if said.returncode == 0 and said.stdout.strip():
            return said.stdout.split()[0]
    with contextlib.suppress(OSError):
        return re.search(r"\d+\.\d+[.\d]*", Path("/proc/driver/nvidia/version").read_text())[0]
    return None
