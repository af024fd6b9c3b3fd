"""Frames → a video file, all or nothing, for :mod:`svd_lab.clip`. ffmpeg comes with imageio-ffmpeg."""

from __future__ import annotations

import numbers
import os
import re
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# The BT.709 matrix, and said so in the file: untagged, players guess it from the size and colours shift.
H264 = (
    "-vf scale=out_color_matrix=bt709:out_range=tv:flags=lanczos+accurate_rnd,format=yuv420p,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv "
    "-c:v libx264 -preset veryfast -crf 18 -movflags +faststart -f mp4"
).split()
# One palette for the whole clip and dither that stays in place: what stands still does not flicker.
GIF = (
    "-vf split[a][b];[a]palettegen=reserve_transparent=0[p];[b][p]paletteuse=dither=bayer:bayer_scale=4 -loop 0 -f gif"
).split()


def check_path(path: str | os.PathLike[str], suffix: str) -> Path:
    """Refuse a place where a file cannot be written; return it as an absolute path, ``~`` expanded.

    Missing folders are fine (:func:`encode` creates them). Leaves nothing behind.

    Raises:
        TypeError: not a str or Path.
        ValueError: empty, with a NUL, an address (``https://…``), not ending in ``suffix``, a longer name than file
            systems take.
        OSError: a folder (IsADirectoryError), inside a file (NotADirectoryError), not writable
            (PermissionError), a device, no space.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    example = f"Give a name like clip{suffix}."
    if not isinstance(text, str):
        raise TypeError(f"The file to write must be a str or Path; got {type(path).__name__}. {example}")
    if not text.strip() or "\0" in text:
        raise ValueError(f"The file to write needs a name, without NUL; got {text!r}. {example}")
    if re.match(r"\s*([A-Za-z][\w+.-]+://|https?:/)", text):  # Path("https://…") has lost a slash
        raise ValueError(f"A file is written to a folder of this computer, not to an address like {text!r}. {example}")
    target = Path(os.path.abspath(os.path.expanduser(text)))
    if os.path.isdir(target) or text.endswith(("/", os.sep)):
        raise IsADirectoryError(f"{text} is a folder. Give a file in it, like {target / ('clip' + suffix)}.")
    if target.suffix.lower() != suffix:
        raise ValueError(f"The file to write must end in {suffix}; got {text!r}. {example}")
    try:
        longest = max(len(os.fsencode(part)) for part in target.parts)
    except UnicodeEncodeError as error:
        raise ValueError(f"No file can have the name {text!r}: it holds half a character. {example}") from error
    if longest > 255 or len(os.fsencode(target)) > 4000:
        raise ValueError(f"{text[:60]!r}… is too long: {longest} bytes in one name, at most 255. {example}")
    folder = next(parent for parent in target.parents if os.path.lexists(parent))
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"{text} cannot be written: {folder} is not a folder. Choose another.")
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(f"{text} is a device or a pipe, not a file. Choose another name.")
    try:
        if os.path.exists(target) and not os.access(target, os.W_OK):
            raise PermissionError("the existing file is read-only")
        with tempfile.TemporaryFile(dir=folder) as probe:  # asks for permission, read-only disk, quota, space
            probe.write(bytes(65536))
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"{text} cannot be written: {reason}. Choose another place.") from error
    return target


def encode(frames: list[Image.Image], target: Path, fps: float, arguments: list[str]) -> None:
    """Write ``frames`` with ffmpeg into a hidden file beside ``target`` and move it into place.

    Whatever happens to the encoder, ``target`` is either complete or as it was, and nothing else is left.
    Missing folders are created. The last row or column is repeated where a side is odd, because yuv420p needs
    even ones.

    Args:
        frames: pictures of one size.
        target: from :func:`check_path`. A symbolic link is kept; the file that it names is replaced.
        fps: frames a second, above 0, at most 120.
        arguments: of ffmpeg, between input and output: :data:`H264`, :data:`GIF`, ``-metadata`` and the like.

    Raises:
        TypeError, ValueError: fps. OSError: the encoder failed, the disk is full, the place is not writable.
    """
    if isinstance(fps, bool) or not isinstance(fps, numbers.Real):
        raise TypeError(f"fps must be a number of frames a second; got {fps!r}.")
    if not 0 < fps <= 120:
        raise ValueError(f"fps must be above 0 and at most 120 frames a second; got {fps!r}.")
    width, height = frames[0].size
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    raw = b"".join(np.pad(np.asarray(f.convert("RGB")), pad, mode="edge").tobytes() for f in frames)
    size = f"{width + width % 2}x{height + height % 2}"
    target = Path(os.path.realpath(target))
    # Not tempfile.mkstemp: its files are private (0600) and would stay so under their final name.
    hidden = target.parent / f".svd-lab-{uuid.uuid4().hex}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _run_ffmpeg(f"-f rawvideo -pix_fmt rgb24 -s {size} -framerate {float(fps)}", raw, arguments, hidden)
        os.replace(hidden, target)
    except OSError as error:
        raise OSError(f"Could not write {target} (an older file is as it was): {error}.") from error
    finally:
        hidden.unlink(missing_ok=True)  # also on Ctrl-C


def _run_ffmpeg(given: str, raw: bytes, arguments: list[str], output: Path) -> None:
    # Not imageio_ffmpeg.write_frames: it does not report an encoder that dies after the last frame.
    from imageio_ffmpeg import get_ffmpeg_exe

    try:
        executable = get_ffmpeg_exe()
    except RuntimeError as error:
        raise OSError("no ffmpeg found; pip install --force-reinstall imageio-ffmpeg brings one") from error
    command: list[Any] = [
        executable,
        "-hide_banner",
        "-loglevel",
        "error",
        "-y",
        *given.split(),
        "-i",
        "pipe:0",
    ]
    try:
        done = subprocess.run([*command, *arguments, f"file:{output}"], input=raw, capture_output=True)
    except FileNotFoundError as error:
        raise OSError(f"no ffmpeg at {executable}; correct or unset IMAGEIO_FFMPEG_EXE") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or "it said nothing"
        why = "make room if the disk is full; try again if ffmpeg was stopped"
        raise OSError(f"ffmpeg ended with {done.returncode} ({re.sub('^.*] ', '', said)[-200:]}); {why}")
