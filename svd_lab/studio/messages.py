"""What the studio says of times, sizes and failures."""

from __future__ import annotations

from svd_lab.language import mark, say

_OF_A_RUN = (
    (FloatingPointError, mark("The model's numbers overflowed. Lower the guidance or the noise.")),
    (OSError, mark("A file could not be written or read.")),
    (BaseException, mark("The video could not be made.")),
)
_OF_A_PICTURE = (
    (FileNotFoundError, mark("No such picture. Check its name and folder.")),
    (PermissionError, mark("You have no permission to open that picture.")),
    (
        (ConnectionError, TimeoutError),
        mark("The picture could not be downloaded. Check the address and the network."),
    ),
    (BaseException, mark("It cannot be opened as a picture. Choose a JPEG, PNG, WebP or similar file.")),
)


def duration(seconds: float, language: str) -> str:
    """Format seconds: 9.4 → "9.4초", 95 → "1분 35초"."""
    if seconds < 60:
        return say("{seconds:.1f} s", language, seconds=seconds)
    return say("{minutes} min {seconds:.0f} s", language, minutes=int(seconds // 60), seconds=seconds % 60)


def size(number: float) -> str:
    """Format bytes as MiB or GiB."""
    mib = number / 2**20
    return f"{mib:.0f} MiB" if mib < 1000 else f"{mib / 1024:.1f} GiB"


def explain(error: BaseException, language: str) -> str:
    """Say what went wrong in a run, followed by the error's own text where that adds something."""
    text = str(error).strip() or type(error).__name__
    kind = type(error).__name__
    if kind == "Cancelled":
        return say("Stopped. No file was written.", language)
    full = kind == "OutOfMemoryError" or isinstance(error, MemoryError)
    if full or "out of memory" in text or "allocate memory" in text:
        return say("Memory ran out. Try fewer frames, a smaller size, or fewer frames decoded at a time.", language)
    return f"{_first(error, _OF_A_RUN, language)} {text}"


def explain_picture(error: BaseException, language: str) -> str:
    """Say why a picture could not be opened, followed by the error's own text."""
    return f"{_first(error, _OF_A_PICTURE, language)} {error}"


def _first(error: BaseException, table: tuple, language: str) -> str:
    return say(next(message for kind, message in table if isinstance(error, kind)), language)
