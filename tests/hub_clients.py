"""Clients of the stand-in Hub, each in a process of its own, with faults of the machine: a full disk, no rights, an interruption.

Run as a script, this is the clients' parent: it imports diffusers once (5 s) and forks a child for each line of JSON on stdin.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from standin_hub import SIGNATURE, TOKEN, StandinHub


class Clients:
    """Starts clients, each of which calls `loader(model)` in a process of its own with `hub` as the Hub."""

    def __init__(self, hub: StandinHub, folder: Path) -> None:
        self.hub, self.folder, self.count = hub, folder, 0
        environment = {name: value for name, value in os.environ.items() if not re.match("HF_|.*_proxy|.*_PROXY", name)}
        environment |= {
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_HOME": str(folder / "home"),
            "HF_HUB_DOWNLOAD_TIMEOUT": "1",
            "HF_HUB_ETAG_TIMEOUT": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        command = [sys.executable, __file__]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.parent = subprocess.Popen(command, env=environment, text=True, **pipes)

    def start(
        self,
        model: str = "me/tiny",
        cache: Path | None = None,
        before: str = "",
        loader: str = "load_video_pipeline",
        **environment: str,
    ) -> Client:
        """Start a client.

        Args:
            model: What it loads.
            cache: Its Hub cache; None: a new one.
            before: The name of a function below that it calls first, to cause a fault.
            loader: The name of the function that loads.
            environment: Variables of its process.
        """
        self.count += 1
        cache = cache or self.folder / f"cache-{self.count}"
        report = self.folder / f"client-{self.count}"
        call = {"model": model, "cache": str(cache), "before": before, "loader": loader, "environment": environment}
        call["report"] = str(report)
        print(json.dumps(call), file=self.parent.stdin, flush=True)
        return Client(self.hub, int(self.parent.stdout.readline()), report, cache)

    def run(self, *arguments: Any, **keywords: Any) -> Client:
        """Start a client and wait for it."""
        return self.start(*arguments, **keywords).wait()

    def close(self) -> None:
        self.parent.stdin.close()
        self.parent.wait(20)


class Client:
    """A client; after `wait` it has the error's .kind ("" where the model was loaded) and .message, .seconds, and all .output."""

    def __init__(self, hub: StandinHub, pid: int, report: Path, cache: Path) -> None:
        self.hub, self.pid, self.report, self.cache = hub, pid, report, cache

    def wait(self, seconds: float = 60) -> Client:
        end = time.monotonic() + seconds
        while not self.report.with_suffix(".json").exists():
            assert time.monotonic() < end, f"no answer after {seconds} s: {self.written()[-2000:]}"
            time.sleep(0.02)
        result = json.loads(self.report.with_suffix(".json").read_text())
        self.kind, self.message, self.seconds = result["kind"], result["message"], result["seconds"]
        self.output = self.written()
        secrets = [TOKEN, SIGNATURE, TOKEN[6:], SIGNATURE[-8:], "Bearer"]
        shown = [secret for secret in secrets if secret in self.message + self.output]
        assert not shown, f"{shown} in: {self.output}"
        return self

    def written(self) -> str:
        return self.report.with_suffix(".txt").read_text(errors="replace")

    def differing(self) -> list[str]:
        """Return the files in the snapshots of this client's cache that differ from the Hub's."""
        wrong = []
        for snapshot in self.cache.glob("models--*/snapshots/*"):
            repo_id = snapshot.parents[1].name.removeprefix("models--").replace("--", "/")
            folder = self.hub.repos[self.hub.moved.get(repo_id, repo_id)]
            files = [path for path in snapshot.rglob("*") if not path.is_dir()]
            wrong += [str(f) for f in files if f.read_bytes() != (folder / f.relative_to(snapshot)).read_bytes()]
        return wrong

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def impatient() -> None:
    """Shorten the six time-outs from 10 s, with a second between them, to 0.3 s with none."""
    import types

    import huggingface_hub.file_download as downloads

    downloads.constants.HF_HUB_DOWNLOAD_TIMEOUT = 0.3
    downloads.time = types.SimpleNamespace(sleep=lambda seconds: None)


def switched_off() -> None:
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True


def full_disk() -> None:
    """Let every write of more than a page fail as on a full disk."""
    import huggingface_hub.file_download as downloads

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def write(self, data: bytes) -> int:
            if len(data) > 4096:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

    fetch = downloads.http_get
    downloads.http_get = lambda url, file, **keywords: fetch(url, Full(file), **keywords)


def small_disk() -> None:
    """Make the Hub cache a tmpfs of 256 KB, in this process's own mount namespace; OSError where the kernel forbids that."""
    from huggingface_hub import constants

    own_mounts()
    Path(constants.HF_HUB_CACHE).mkdir(parents=True)
    mount("tmpfs", constants.HF_HUB_CACHE, 0, "size=256k")


def no_rights() -> None:
    """Drop root's capabilities, so that file permissions apply (CAP_DAC_OVERRIDE and all others)."""
    if os.getuid():
        return
    header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    if ctypes.CDLL(None, use_errno=True).capset(header, bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")


def interrupted_check() -> None:
    """Raise Ctrl-C's error while the weights' checksums are computed."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    hashlib.file_digest = interrupt


def own_mounts() -> None:
    uid, libc = os.getuid(), ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000 | (0x10000000 if uid else 0)):  # CLONE_NEWNS, CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), "unshare")
    if uid:
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    mount("none", "/", 0x4000 | 0x40000, "")  # MS_REC | MS_PRIVATE


def mount(what: str, where: str, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(what.encode(), where.encode(), what.encode(), flags, options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {what}")


def client(call: dict[str, Any]) -> None:
    """Load the model in the child, and report the error and everything that was written."""
    report = Path(call["report"])
    written = os.open(report.with_suffix(".txt"), os.O_CREAT | os.O_WRONLY)
    for number in (1, 2):
        os.dup2(written, number)
    os.environ.update(call["environment"])
    from huggingface_hub import constants

    import svd_lab

    constants.HF_HUB_CACHE = call["cache"]
    constants.DOWNLOAD_CHUNK_SIZE = 2**16  # not 10 MB: what precedes a break in a chunk is lost
    result, start = {"kind": "", "message": ""}, time.monotonic()
    try:
        if call["before"]:
            try:
                globals()[call["before"]]()
            except OSError as error:
                result = {"kind": "not possible here", "message": str(error)}
                raise SystemExit from error
        getattr(svd_lab, call["loader"])(call["model"], device="cpu")
    except SystemExit:
        pass
    except BaseException as error:
        result = {"kind": type(error).__name__, "message": str(error)}
        traceback.print_exc()  # with its causes, as a notebook shows it
    result["seconds"] = time.monotonic() - start
    sys.stdout.flush()
    sys.stderr.flush()
    part = report.with_suffix(".part")
    part.write_text(json.dumps(result))
    part.rename(report.with_suffix(".json"))


def main() -> None:
    """Fork a client for each line of stdin, a call in JSON, and print its process id."""
    from diffusers import StableVideoDiffusionPipeline  # noqa: F401
    from huggingface_hub import constants

    import svd_lab.pipelines  # noqa: F401

    assert constants.ENDPOINT == os.environ["HF_ENDPOINT"] and not constants.HF_HUB_OFFLINE
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are awaited through their reports
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                client(json.loads(line))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
