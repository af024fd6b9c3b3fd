"""One file over http(s), for :mod:`svd_lab.images`: time-outs, a size cap, and every failure in plain words.

Never opens any other scheme (no file://, not even through a redirect). Imports requests only when called.
"""

from __future__ import annotations

import re
import time
from typing import Any

from svd_lab.language import say

MAX_BYTES = 50_000_000  #: largest body that is accepted, after decompression
MAX_REDIRECTS = 5
MAX_SECONDS = 120  #: for a server that sends slowly: a read time-out alone starts again with every byte


def download(url: str, timeout: float | tuple[float, float] = (10, 30)) -> bytes:
    """GET ``url`` (http or https) and return its body, at most :data:`MAX_BYTES`.

    Args:
        url: the address; messages show its :func:`public_part`.
        timeout: seconds (connect, read), or one number for both; the whole body may take :data:`MAX_SECONDS`.

    Raises:
        ValueError: not an address, a redirect to another scheme, too large.
        FileNotFoundError: HTTP 404 or 410. PermissionError: HTTP 401 or 403. TimeoutError: no answer in time.
        ConnectionError: no network, no such host, bad TLS, other HTTP errors, a body that breaks off.
    """
    # Here because it takes 60 ms to import. Beats urllib: brings certificates (python.org's macOS Python has
    # none) and keeps connect and read time-outs apart.
    import requests

    where = public_part(url)
    try:
        with requests.Session() as session:
            session.max_redirects = MAX_REDIRECTS
            session.headers["User-Agent"] = "svd-lab (python-requests)"  # some hosts refuse requests' own
            with session.get(url, stream=True, timeout=timeout) as reply:
                _check_status(reply.status_code, where)
                return _read_capped(reply, where)
    except requests.exceptions.InvalidSchema as error:  # requests knows no scheme but http and https
        raise ValueError(
            say(
                "{where} redirects to an address that is not http or https: refused. Give the picture's own.",
                where=where,
            )
        ) from error
    except requests.exceptions.TooManyRedirects as error:
        raise ConnectionError(
            say(
                "{where} redirects more than {max_redirects} times. Give the picture's own address.",
                where=where,
                max_redirects=MAX_REDIRECTS,
            )
        ) from error
    except requests.exceptions.Timeout as error:
        raise TimeoutError(
            say(
                "{where} did not answer in time ({timeout} s). Try again, or download it and give its path.",
                where=where,
                timeout=timeout,
            )
        ) from error
    except requests.exceptions.SSLError as error:
        raise ConnectionError(
            say(
                "No safe connection to {where} ({error}). Check the address and this machine's clock.",
                where=where,
                error=error,
            )
        ) from error
    except (requests.exceptions.InvalidURL, UnicodeError) as error:
        raise ValueError(
            say("Not a usable address: {where!r}. Copy the picture's address from the browser.", where=where)
        ) from error
    except requests.exceptions.RequestException as error:
        raise ConnectionError(
            say(
                "Could not reach {where}: no network, no such host, or it refused ({kind}). Check the "
                "address and the network, or give the path of a picture on this machine.",
                where=where,
                kind=type(error).__name__,
            )
        ) from error


def public_part(url: str) -> str:
    """``url`` without password, query and fragment, which may be secret (signed addresses); for messages."""
    return re.sub(r"//[^/@]*@", "//", re.split("[?#]", url)[0])


def _check_status(status: int, where: str) -> None:
    if status in (404, 410):
        raise FileNotFoundError(
            say("{where} does not exist (HTTP {status}). Check the address in a browser.", where=where, status=status)
        )
    if status in (401, 403):
        raise PermissionError(
            say(
                "{where} is not open to everyone (HTTP {status}). Download it in a browser and give its path.",
                where=where,
                status=status,
            )
        )
    if status != 200:
        raise ConnectionError(
            say(
                "{where}: download failed, the server answered HTTP {status}. Try again later.",
                where=where,
                status=status,
            )
        )


def _read_capped(reply: Any, where: str) -> bytes:
    import urllib3  # requests' own transport

    announced = reply.headers.get("Content-Length", "0")
    data, deadline = bytearray(), time.monotonic() + MAX_SECONDS
    while len(data) <= MAX_BYTES and not (announced.isdigit() and int(announced) > MAX_BYTES):
        try:  # read1 returns what has come; iter_content waits for a whole chunk, against any deadline
            block = reply.raw.read1(65536, decode_content=True)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TimeoutError(
                say("{where} stopped sending after {count:,} bytes. Try again.", where=where, count=len(data))
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ConnectionError(
                say("{where} broke off after {count:,} bytes. Try again.", where=where, count=len(data))
            ) from error
        if not block:
            return bytes(data)
        data += block
        if time.monotonic() > deadline:
            raise TimeoutError(
                say(
                    "{where} sent only {count:,} bytes in {max_seconds} s. Give a picture's path instead.",
                    where=where,
                    count=len(data),
                    max_seconds=MAX_SECONDS,
                )
            )
    raise ValueError(
        say(
            "{where} is larger than {max_bytes:,} bytes. Download it, scale it down and give its path.",
            where=where,
            max_bytes=MAX_BYTES,
        )
    )
