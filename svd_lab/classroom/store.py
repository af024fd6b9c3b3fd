"""The results of a class: a folder that all machines share, or any address that fsspec knows (s3://, gs://, …).

index.html, summary.csv             the page and the table
STUDENT/LESSON/                     the executed notebook, clips, result.json; run.json, written last: they are complete
.class/inputs/SHA-256               the notebooks and pictures that the runs read
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svd_lab.files import write_atomically
from svd_lab.language import say

RECORD = "run.json"
_MARK = ".class/class.json"
_LOCK = ".class/lock"


@dataclass(frozen=True)
class Store:
    """A folder on an fsspec filesystem.

    Attributes:
        fs: The filesystem.
        root: The folder as the filesystem names it.
        address: The folder as `open_store` takes it, on other machines, too.
        is_local: Whether it is a path of this machine.
    """

    fs: Any
    root: str
    address: str
    is_local: bool

    def path(self, name: str) -> str:
        """The filesystem's name of the file `name` in this folder."""
        return f"{self.root}/{name}"


def open_store(out: str) -> Store:
    """Return the store at `out`.

    Credentials of object stores are the machine's own (environment variables, configuration files).

    Raises:
        ImportError: The package for this kind of address is missing.
        ValueError: The kind of address is unknown.
    """
    from fsspec.core import url_to_fs

    # Listings are not cached, because other machines write, too.
    if "://" in out:
        fs, root = url_to_fs(out, use_listings_cache=False)
        return Store(fs, root.rstrip("/"), out.rstrip("/"), is_local=False)
    fs, root = url_to_fs(os.path.abspath(out), auto_mkdir=True)
    return Store(fs, root.rstrip("/"), root.rstrip("/"), is_local=True)


def prepare(store: Store, resume: bool) -> None:
    """Create the folder of a class, or check that it is one.

    Raises:
        FileExistsError: It holds something else, or the results of a class and `resume` is false.
    """
    if store.fs.exists(store.path(_MARK)):
        if not resume:
            raise FileExistsError(
                say(
                    "{address} holds the results of a class. Give --resume to run what is missing or changed, or "
                    "another --out",
                    address=store.address,
                )
            )
        return
    if store.fs.exists(store.root) and store.fs.ls(store.root, detail=False):
        raise FileExistsError(
            say("{address} is not empty and is not a class's folder. Give another --out", address=store.address)
        )
    write_file(store, _MARK, b'{"svd-lab class": 1}\n')


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """Keep other `svd-lab class` commands out of the folder during a block.

    The system releases the lock when the process ends, however it ends. Object stores and some shared folders have no locks:
    there nothing is locked.

    Raises:
        FileExistsError: Another command has the lock.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(store.path(_LOCK), timeout=0) if store.is_local else nullcontext()
    try:
        lock.__enter__()
    except Timeout:
        raise FileExistsError(
            say(
                "another svd-lab class is running in {address}. Wait until it is done, stop it, or give another --out",
                address=store.address,
            )
        ) from None
    except (NotImplementedError, OSError):
        lock = nullcontext()
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def write_file(store: Store, name: str, data: bytes) -> None:
    """Write a file completely or not at all."""
    path = store.path(name)
    if store.is_local:
        write_atomically(path, data)
        return
    store.fs.makedirs(os.path.dirname(path), exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder, os.path.basename(name))).write_bytes(data)
        store.fs.put_file(str(file), path)  # not pipe_file: put_file reports the type of the file to the object store


def put_inputs(store: Store, inputs: dict[str, bytes | Path]) -> None:
    """Put the files that runs read into the store, except those that it has.

    Args:
        store: Where to.
        inputs: {SHA-256 of the content: content, or a file that has it}.
    """
    present = set(list_files(store, ".class/inputs"))
    for sha, content in inputs.items():
        name = f".class/inputs/{sha}"
        if name not in present:
            write_file(store, name, content if isinstance(content, bytes) else content.read_bytes())


def list_files(store: Store, folder: str = "") -> dict[str, int]:
    """Return {name: size in bytes} of all files in the store, or in a folder of it."""
    top = store.path(folder) if folder else store.root
    found = store.fs.find(top, detail=True) if store.fs.exists(top) else {}
    return {path[len(store.root) + 1 :]: row["size"] for path, row in found.items()}


def read_finished(store: Store, folders: Iterable[str], below: str = "") -> dict[str, dict[str, Any]]:
    """Return the records of the runs that have ended and whose files are complete.

    Args:
        store: The class's store.
        folders: The runs' folders.
        below: A folder that holds them all; the listing starts there.

    Returns:
        {folder: record}. A run is left out when it has no record, or when the size of a file differs from its record.
    """
    sizes = list_files(store, below)
    names = [f"{folder}/{RECORD}" for folder in folders if f"{folder}/{RECORD}" in sizes]
    contents = store.fs.cat([store.path(name) for name in names], on_error="omit") if names else {}
    finished = {}
    for name in names:
        folder = name.removesuffix(f"/{RECORD}")
        record = parse_record(contents.get(store.path(name), b""))
        if record and all(sizes.get(f"{folder}/{file}") == size for file, size in record["files"].items()):
            finished[folder] = record
    return finished


def parse_record(data: bytes) -> dict[str, Any] | None:
    """Read a run's record; None for anything else, such as half of one."""
    try:
        record = json.loads(data)
    except ValueError:
        return None
    complete = isinstance(record, dict) and {"key", "status", "files", "lesson", "student"} <= set(record)
    return record if complete and isinstance(record["files"], dict) else None


def read_record(store: Store, folder: str) -> dict[str, Any] | None:
    """Return the record of the run in `folder`, or None unless it has ended and its files are complete."""
    return read_finished(store, [folder], below=folder).get(folder)


def publish(store: Store, folder: str, outputs: Path, record: dict[str, Any]) -> None:
    """Replace a run's folder in the store by new outputs; the record is written last.

    After a failure the folder is gone, so that no incomplete run is left.

    Args:
        store: The class's store.
        folder: The run's folder.
        outputs: Local folder of the files that `record["files"]` names.
        record: What run.json will hold.
    """
    target = store.path(folder)
    if store.fs.exists(target):
        store.fs.rm(target, recursive=True)
    try:
        for name in record["files"]:
            path = store.path(f"{folder}/{name}")
            store.fs.makedirs(os.path.dirname(path), exist_ok=True)
            store.fs.put_file(str(outputs / name), path)
        write_file(store, f"{folder}/{RECORD}", json.dumps(record, ensure_ascii=False, indent=1).encode())
    except BaseException:
        if store.fs.exists(target):
            store.fs.rm(target, recursive=True)
        raise
