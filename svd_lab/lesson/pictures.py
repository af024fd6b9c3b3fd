"""What lesson 3 needs beside its ideas: the mini's things on a page, and a web address without a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from PIL import Image

from svd_lab.language import say
from svd_lab.mini.catalogue import catalogue, cutout


def stand(page: Image.Image, name: str, x: float, y: float, size: float) -> Image.Image:
    """Return a copy of a page with one of the mini's things on it.

    Args:
        page: Any picture; a transparent one (RGBA) stays transparent around the thing.
        name: The thing's English name, as "rabbit"; `thing_names` lists them.
        x, y: The thing's middle, as a share of the page's width and height.
        size: The thing's height, as a share of the page's.

    Raises:
        ValueError: There is no such thing.
    """
    names = thing_names()
    if name not in names:
        raise ValueError(
            say(
                "the mini has no thing {name!r}; thing_names() lists the {count} that it has",
                name=name,
                count=len(names),
            )
        )
    thing = cutout(names.index(name))
    thing = thing.crop(thing.getbbox())
    tall = max(1, round(size * page.height))
    wide = max(1, round(thing.width * tall / thing.height))
    thing = thing.resize((wide, tall), Image.Resampling.LANCZOS)
    made = page.convert("RGBA")
    made.alpha_composite(thing, (round(x * page.width - wide / 2), round(y * page.height - tall / 2)))
    return made if page.mode == "RGBA" else made.convert("RGB")


def thing_names() -> list[str]:
    """The English names of the things that the mini was trained on."""
    return [thing["en"] for thing in catalogue()]


@contextmanager
def served(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Serve a folder's files at a web address of this computer, which no other computer reaches, while the block runs.

    Yields:
        The address, without a slash at its end.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=os.fspath(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing: a request a line would stand between a cell's results."""
