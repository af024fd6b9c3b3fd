"""Write files whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a hidden path in the folder of `path`; what the block writes there replaces `path` when the block ends.

    If the block raises, also on Ctrl-C, the hidden file is removed and `path` is as it was. Missing folders are created. A symbolic
    link stays a link: the file that it names is replaced.

    Args:
        path: The file to write.

    Yields:
        Where to write meanwhile. It has no suffix, and the permissions that a new file gets.

    Raises:
        OSError: The folder cannot be created, or the file cannot be moved into place.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile.mkstemp: its files are private (0600) and would stay so under their final name.
    hidden = target.parent / f".svd-lab-{uuid.uuid4().hex}"
    try:
        yield hidden
        os.replace(hidden, target)
    finally:
        hidden.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write `data` (text as UTF-8) to `path`, all of it or nothing; raises as `whole_file`."""
    with whole_file(path) as hidden:
        hidden.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
