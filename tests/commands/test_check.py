"""`svd-lab check`: every line can be OK or name the fault; it runs on broken machines, and reveals no name or token."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import warnings
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image

from svd_lab import limits
from svd_lab.commands import check, check_machine, main
from svd_lab.ffmpeg import H264, encode
from svd_lab.models import checkpoints

NAMES = [*"python packages gpu driver memory disk weights ffmpeg".split(), "browser video", "generation"]
TOKEN = "hf_TheTokenOfMinjiKimThatNobodyReads"
GB = 1_000_000_000


def test_a_healthy_machine_has_a_line_for_each_check_and_status_0(capsys):
    assert main.main(["check", "--quick"]) == 0
    head, *lines, tail = capsys.readouterr().out.splitlines()
    assert [re.match(r"\[(OK|WARN)\] +([a-z ]+): .+", line)[2] for line in lines] == NAMES[:-1]
    assert tail == "9 checks, none failed" and head.startswith("svd-lab ")


def test_the_json_has_its_schema_a_generation_and_nothing_private(tmp_path):
    home = tmp_path / "minji-kim"
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home),
        "USER": "minji-kim",
        "LOGNAME": "minji-kim",
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(home / ".cache" / "huggingface"),
        "SVD_LAB_MODELS": str(home / "models"),
        "https_proxy": f"http://minji-kim:{TOKEN}@proxy:3128",
    }
    (home / "models" / "svd").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "svd_lab.commands.main", "check", "--json"],
        env=environment, cwd=home, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and set(answer) == {"schema", "version", "ok", "checks"}
    assert answer["schema"] == 1 and answer["ok"] is True and [row["name"] for row in answer["checks"]] == NAMES
    assert all(set(row) == {"name", "status", "says", "data"} for row in answer["checks"])
    rows = {row["name"]: row for row in answer["checks"]}
    assert "6 frames in 3 steps" in rows["generation"]["says"] and 0 < rows["generation"]["data"]["seconds"] < 60
    assert "~/models/svd is not whole" in rows["weights"]["says"] and rows["weights"]["status"] == "warn"
    said = done.stdout + done.stderr
    for secret in (TOKEN, "minji", str(tmp_path), socket.gethostname()):
        assert secret not in said, secret
    assert sorted(path.name for path in home.iterdir() if not path.name.startswith(".")) == ["models"]


def test_it_runs_where_torch_and_pillow_cannot_be_imported():
    code = "import sys; sys.modules.update(torch=None, PIL=None); from svd_lab.commands.main import main; sys.exit(main(['check']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    failed = re.findall(r"^\[FAIL\] ([a-z ]+): (\w+)", done.stdout, re.M)
    assert done.returncode == 1 and not done.stderr
    assert (
        {"gpu", "ffmpeg", "generation"}
        <= {name for name, _ in failed}
        <= {"gpu", "ffmpeg", "browser video", "generation"}
    )
    assert "checks failed: gpu, " in done.stdout.splitlines()[-1]


def test_a_check_that_raises_is_a_failed_line(monkeypatch, capsys):
    def broken():
        raise OSError(f"nothing works for {TOKEN}\nin {Path.home()}/x")

    monkeypatch.setattr(check, "check_disk", broken)
    assert check.main(["--quick"]) == 1
    out = capsys.readouterr().out
    assert "[FAIL] disk: OSError: nothing works for hf_… in ~/x\n" in out and "1 of 9 checks failed: disk" in out


def test_missing_and_old_packages_and_an_old_python_fail(monkeypatch):
    genuine = metadata.version

    def version(name):
        if name == "tqdm":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "diffusers" else genuine(name)

    monkeypatch.setattr(metadata, "version", version)
    status, says, _ = check_machine.check_packages()
    assert (
        status == "fail" and "tqdm is missing" in says and "diffusers 0.1 is not >=" in says and "pip install" in says
    )
    monkeypatch.setattr(check_machine.platform, "python_version", lambda: "3.9.1")
    status, says, _ = check_machine.check_python()
    assert status == "fail" and "3.9.1 is not >=3.11" in says


@pytest.mark.parametrize(
    ("limit", "status", "words"),
    [
        (None, "ok", "14.0 of 16.0 GB free"),
        ((8 * GB, 2 * GB), "ok", "6.0 of 8.0 GB free (this container's limit)"),
        ((2 * GB, GB // 2), "warn", "1.5 of 2.0 GB"),
        ((1 * GB, GB // 2), "fail", "the miniature needs 1 GB"),
    ],
)
def test_memory_is_what_this_container_may_use(monkeypatch, limit, status, words):
    memory = namedtuple("memory", "total available")(16 * GB, 14 * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(limits, "memory_limit", lambda: limit)
    found, says, data = check_machine.check_memory()
    assert (found, words in says) == (status, True) and data["machine"] == 16 * GB


@pytest.mark.parametrize(
    ("free", "writable", "status"), [(50, True, "ok"), (3, True, "warn"), (0.1, True, "fail"), (50, False, "fail")]
)
def test_little_disk_is_a_warning_and_none_a_failure(monkeypatch, free, writable, status):
    monkeypatch.setattr(check_machine.shutil, "disk_usage", lambda _: namedtuple("usage", "free")(free * GB))
    monkeypatch.setattr(check_machine.os, "access", lambda *_: writable)
    found, says, _ = check_machine.check_disk()
    assert found == status and ("cannot be written" in says) == (not writable)


@pytest.fixture(params=["13.0", None], ids=["a CUDA build", "a CPU build"])
def build(request, monkeypatch):
    """torch's build, of either kind, in words."""
    monkeypatch.setattr(torch.version, "cuda", request.param)
    return f"torch {torch.__version__} is built " + (f"for CUDA {request.param}" if request.param else "without CUDA")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def card(monkeypatch):
    """A GPU as torch reports it to check_gpu: card(free bytes, what a matrix product on it comes to)."""

    def card(free, product=64.0):
        def first_product(index):
            if isinstance(product, Exception):
                raise product
            return product

        monkeypatch.setattr(check_machine, "_product_on", first_product)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 16 * GB))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Test GPU")

    return card


def test_a_gpu_is_named_with_its_memory_and_its_fault(card, build, monkeypatch, capsys):
    card(15 * GB)
    trouble = []
    monkeypatch.setattr("svd_lab.performance.fused_ops.trouble", lambda index: trouble[index] if trouble else None)
    says = f"Test GPU (15.0 of 16.0 GB free); {build}"
    assert check_machine.check_gpu()[:2] == ("ok", f"{says}; speed: fused")
    trouble.append("no C compiler")
    assert check_machine.check_gpu()[:2] == ("warn", f"{says}; videos take twice as long as they could: no C compiler")
    card(4 * GB)
    status, says, _ = check_machine.check_gpu()
    assert status == "warn" and "svd needs 6 GB" in says
    card(15 * GB, 63.0)
    assert check_machine.check_gpu()[:2] == ("fail", "GPU 0 computes wrong numbers")
    card(15 * GB, RuntimeError("CUDA error: no kernel image is available for execution on the device"))
    assert check.main(["--quick"]) == 1
    assert "[FAIL] gpu: RuntimeError: CUDA error: no kernel image" in capsys.readouterr().out


def test_no_gpu_and_no_driver_is_fine_with_either_build_of_torch(no_gpu, build, monkeypatch):
    monkeypatch.setattr(check_machine, "_driver", lambda: None)
    assert check_machine.check_gpu()[:2] == ("ok", f"none: the miniature runs on the CPU ({build})")
    assert check_machine.check_driver()[1].startswith("none")


def test_a_driver_that_torch_cannot_use_is_a_warning(no_gpu, build, tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 550.54.15\necho 550.54.15\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert check_machine.check_driver() == ("ok", "NVIDIA 550.54.15", {"version": "550.54.15"})
    status, says, _ = check_machine.check_gpu()
    assert status == "warn" and f"there is an NVIDIA driver, but torch sees no GPU ({build})" in says


def test_a_warning_of_cuda_is_shown(no_gpu, monkeypatch):
    """As torch gives it for a driver that is too old; whether the machine has a driver does not matter."""

    def is_available():
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old\n(found version 9000).", stacklevel=1
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    status, says, _ = check_machine.check_gpu()
    assert status == "warn" and says.endswith("): CUDA initialization: The NVIDIA driver on your system is too old")


def test_incomplete_weights_are_reported_and_the_miniatures_fail(tiny_folder, tiny_image_folder, tmp_path, monkeypatch):
    broken = tmp_path / "svd"
    shutil.copytree(tiny_folder, broken)
    monkeypatch.setattr(checkpoints, "cached_folder", lambda _: None)
    monkeypatch.setattr(checkpoints, "mini_folder", lambda: tiny_folder)
    monkeypatch.setattr(checkpoints, "text_mini_folder", lambda: tiny_image_folder)
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path))
    status, says, data = check.check_weights()
    assert status == "ok" and "svd is whole (SVD_LAB_MODELS); svd-xt is not here" in says and data["svd"]["whole"]
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    os.truncate(weights, weights.stat().st_size - 1)
    status, says, data = check.check_weights()
    assert status == "warn" and "svd: the model folder" in says and "cut off" in says and not data["svd"]["whole"]
    monkeypatch.setattr(checkpoints, "mini_folder", lambda: broken)
    assert check.check_weights()[0] == "fail"


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("yuv444p", [word.replace("yuv420p", "yuv444p") for word in H264]),
        ("not ready to play while it loads", [word for word in H264 if word not in ("-movflags", "+faststart")]),
        ("mpeg4", "-c:v mpeg4 -pix_fmt yuv420p -movflags +faststart -f mp4".split()),
        ("the frames do not come back", [H264[0], "negate," + H264[1], *H264[2:]]),
    ],
)
def test_a_video_that_browsers_do_not_play_fails(tmp_path, monkeypatch, what, arguments):
    video = tmp_path / "three.mp4"
    assert check.check_ffmpeg(video)[0] == "ok" and check.check_browser_video(video)[0] == "ok"
    encode([Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue")], video, 7, arguments)
    status, says, _ = check.check_browser_video(video)
    assert status == "fail" and what in says


def test_without_ffmpeg_the_line_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/no/such/ffmpeg")
    assert check.main(["--quick"]) == 1
    assert re.search(r"\[FAIL\] ffmpeg: OSError: .*unset IMAGEIO_FFMPEG_EXE", capsys.readouterr().out)


def test_texts_lose_names_and_tokens_wherever_they_are(monkeypatch):
    monkeypatch.setenv("HOME", "/home/minji")
    monkeypatch.setenv("USER", "minji")
    monkeypatch.setenv("LOGNAME", "minji")
    monkeypatch.setattr(socket, "gethostname", lambda: "lab-7.uni.example")
    monkeypatch.setenv("HF_TOKEN", "not-of-the-usual-kind")
    text = (
        f"/home/minji/a and /mnt/minji/b of minji on lab-7 or lab-7.uni.example: {TOKEN}, not-of-the-usual-kind; minjis"
    )
    assert check.clean(text) == "~/a and /mnt/…/b of … on … or …: hf_…, hf_…; minjis"
