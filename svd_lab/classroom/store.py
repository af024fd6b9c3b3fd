"""Where a class's results lie: a folder that all machines share, or any address that fsspec knows (s3://, gs://, …).

index.html, summary.csv             the page and the table
STUDENT/LESSON/                     the executed notebook, clips, result.json; run.json, written last, says that they are whole
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

RECORD = "run.json"
_MARK = ".class/class.json"
_LOCK = ".class/lock"


@dataclass(frozen=True)
class Store:
    """A folder on an fsspec filesystem. root: the folder as the filesystem names it; address: as open_store finds it again, on
    another machine, too; is_local: it is a path."""

    fs: Any
    root: str
    address: str
    is_local: bool

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"


def open_store(out: str) -> Store:
    """The store at `out`. Log-ins of object stores are the machine's own (environment, configuration files), never ours.

    Raises ImportError for an address whose package is missing, ValueError for an unknown kind of address.
    """
    from fsspec.core import url_to_fs

    # What other machines write must be seen: no listing is kept.
    if "://" in out:
        fs, root = url_to_fs(out, use_listings_cache=False)
        return Store(fs, root.rstrip("/"), out.rstrip("/"), is_local=False)
    fs, root = url_to_fs(os.path.abspath(out), auto_mkdir=True)
    return Store(fs, root.rstrip("/"), root.rstrip("/"), is_local=True)


def prepare(store: Store, resume: bool) -> None:
    """Make the folder a class's. FileExistsError for one that holds something else, or a class's results without `resume`."""
    where = store.address
    if store.fs.exists(store.path(_MARK)):
        if not resume:
            raise FileExistsError(
                f"{where} holds the results of a class. --resume runs what is missing or changed there; or give another --out"
            )
        return
    if store.fs.exists(store.root) and store.fs.ls(store.root, detail=False):
        raise FileExistsError(f"{where} is not empty, and not a class's folder. Give another --out")
    write(store, _MARK, b'{"svd-lab class": 1}\n')


@contextmanager
def held(store: Store) -> Iterator[None]:
    """Inside, no other `svd-lab class` works in the folder; FileExistsError where one does. The system lets go when a process ends,
    however it ends. An object store has no locks, and some shared folders have none: there nobody is stopped."""
    from filelock import FileLock, Timeout

    lock = FileLock(store.path(_LOCK), timeout=0) if store.is_local else nullcontext()
    try:
        lock.__enter__()
    except Timeout:
        raise FileExistsError(
            f"another svd-lab class is at work in {store.address}: wait until it is done, or stop it, or give another --out"
        ) from None
    except (NotImplementedError, OSError):
        lock = nullcontext()
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def write(store: Store, name: str, data: bytes) -> None:
    """Write a file, complete or not at all: object stores do so anyway, on a disk it takes a second name."""
    path = store.path(name)
    store.fs.makedirs(os.path.dirname(path), exist_ok=True)
    if not store.is_local:
        with tempfile.TemporaryDirectory() as folder:
            (file := Path(folder, os.path.basename(name))).write_bytes(data)
            store.fs.put_file(str(file), path)  # not pipe_file: put_file tells the store what kind of file it is
        return
    handle, hidden = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".svd-lab-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(hidden, 0o644)  # mkstemp's files are for their owner alone; the page is for the class
        os.replace(hidden, path)
    except BaseException:
        os.unlink(hidden)
        raise


def put_inputs(store: Store, inputs: dict[str, bytes | Path]) -> None:
    """Put what the runs read into the store, where it is not there yet. A name is its content's SHA-256."""
    there = set(list_files(store, ".class/inputs"))
    for sha, content in inputs.items():
        name = f".class/inputs/{sha}"
        if name not in there:
            write(store, name, content if isinstance(content, bytes) else content.read_bytes())


def list_files(store: Store, below: str = "") -> dict[str, int]:
    """{name: bytes} of all files in the store, or in a folder of it."""
    top = store.path(below) if below else store.root
    found = store.fs.find(top, detail=True) if store.fs.exists(top) else {}
    return {path[len(store.root) + 1 :]: row["size"] for path, row in found.items()}


def read_finished(store: Store, folders: Iterable[str], below: str = "") -> dict[str, dict[str, Any]]:
    """{folder: record} of the runs that ended and whose files are all there, with the sizes that the record tells.

    below: a folder above them all; the store is listed from there."""
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
    """A run's record, or None for what is none."""
    try:
        record = json.loads(data)
    except ValueError:
        return None
    whole = isinstance(record, dict) and {"key", "status", "files", "lesson", "student"} <= set(record)
    return record if whole and isinstance(record["files"], dict) else None


def read_record(store: Store, folder: str) -> dict[str, Any] | None:
    """The record of the run in `folder`, if it ended and its files are all there, or None."""
    return read_finished(store, [folder], below=folder).get(folder)


def publish(store: Store, folder: str, made: Path, record: dict[str, Any]) -> None:
    """Put a run's files into its folder in place of what lay there, the record last. After a failure nothing half is left."""
    top = store.path(folder)
    if store.fs.exists(top):
        store.fs.rm(top, recursive=True)
    try:
        for name in record["files"]:
            path = store.path(f"{folder}/{name}")
            store.fs.makedirs(os.path.dirname(path), exist_ok=True)
            store.fs.put_file(str(made / name), path)
        write(store, f"{folder}/{RECORD}", json.dumps(record, ensure_ascii=False, indent=1).encode())
    except BaseException:
        if store.fs.exists(top):
            store.fs.rm(top, recursive=True)
        raise
