"""Run ffmpeg: frames → a whole video file or none, with a comment and a cover; and read these back from any mp4.

Comment and cover are where iTunes keeps them (©cmt and covr): players skip them, ffprobe and file managers show them, and ffmpeg
keeps the comment in a copy; a key of our own (-movflags use_metadata_tags) would be lost. imageio-ffmpeg brings ffmpeg, without
ffprobe. A process of its own, killed after a time-out, keeps a hostile file away from the notebook's process.
"""

from __future__ import annotations

import numbers
import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path

import numpy as np
from PIL import Image

from svd_lab.files import whole_file
from svd_lab.language import say

# The BT.709 matrix, and said so in the file: untagged, players guess it from the size and colours shift.
H264 = (
    "-filter:v:0 scale=out_color_matrix=bt709:out_range=tv:flags=lanczos+accurate_rnd,format=yuv420p,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv "
    "-c:v:0 libx264 -preset veryfast -crf 18 -movflags +faststart -f mp4"
).split()
# One palette for the whole clip and dither that stays in place: what stands still does not flicker.
GIF = (
    "-vf split[a][b];[a]palettegen=reserve_transparent=0[p];[b][p]paletteuse=dither=bayer:bayer_scale=4 -loop 0 -f gif"
).split()
_SECONDS = 60  #: for reading a comment or a cover; it takes 0.05 on a healthy file


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
    example = say("Give a name like clip{suffix}.", suffix=suffix)
    if not isinstance(text, str):
        raise TypeError(
            say(
                "The file to write must be a str or Path; got {kind}. {example}",
                kind=type(path).__name__,
                example=example,
            )
        )
    if not text.strip() or "\0" in text:
        raise ValueError(
            say("The file to write needs a name, without NUL; got {text!r}. {example}", text=text, example=example)
        )
    if re.match(r"\s*([A-Za-z][\w+.-]+://|https?:/)", text):  # Path("https://…") has lost a slash
        raise ValueError(
            say(
                "A file is written to a folder of this computer, not to an address like {text!r}. {example}",
                text=text,
                example=example,
            )
        )
    target = Path(os.path.abspath(os.path.expanduser(text)))
    if os.path.isdir(target) or text.endswith(("/", os.sep)):
        raise IsADirectoryError(
            say("{text} is a folder. Give a file in it, like {target}.", text=text, target=target / ("clip" + suffix))
        )
    if target.suffix.lower() != suffix:
        raise ValueError(
            say(
                "The file to write must end in {suffix}; got {text!r}. {example}",
                suffix=suffix,
                text=text,
                example=example,
            )
        )
    try:
        longest = max(len(os.fsencode(part)) for part in target.parts)
    except UnicodeEncodeError as error:
        raise ValueError(
            say("No file can have the name {text!r}: it holds half a character. {example}", text=text, example=example)
        ) from error
    if longest > 255 or len(os.fsencode(target)) > 4000:
        raise ValueError(
            say(
                "{text!r}… is too long: {longest} bytes in one name, at most 255. {example}",
                text=text[:60],
                longest=longest,
                example=example,
            )
        )
    folder = next(parent for parent in target.parents if os.path.lexists(parent))
    if not os.path.isdir(folder):
        raise NotADirectoryError(
            say("{text} cannot be written: {folder} is not a folder. Choose another.", text=text, folder=folder)
        )
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(say("{text} is a device or a pipe, not a file. Choose another name.", text=text))
    try:
        if os.path.exists(target) and not os.access(target, os.W_OK):
            raise PermissionError(say("the existing file is read-only"))
        with tempfile.TemporaryFile(dir=folder) as probe:  # asks for permission, read-only disk, quota, space
            probe.write(bytes(65536))
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(
            say("{text} cannot be written: {reason}. Choose another place.", text=text, reason=reason)
        ) from error
    return target


def encode(
    frames: list[Image.Image],
    target: Path,
    fps: float,
    arguments: list[str],
    comment: str | None = None,
    cover: bytes | None = None,
) -> None:
    """Write ``frames`` with ffmpeg into a hidden file beside ``target`` and move it into place.

    Whatever happens to the encoder, ``target`` is either complete or as it was, and nothing else is left.
    Missing folders are created. The last row or column is repeated where a side is odd, because yuv420p needs
    even ones.

    Args:
        frames: pictures of one size.
        target: from :func:`check_path`. A symbolic link is kept; the file that it names is replaced.
        fps: frames a second, above 0, at most 120.
        arguments: of ffmpeg, between input and output: :data:`H264` or :data:`GIF`.
        comment: text that an mp4 carries; read_comment gives it back.
        cover: a PNG that an mp4 carries beside a comment; read_cover gives back the same bytes.

    Raises:
        TypeError, ValueError: fps. OSError: the encoder failed, the disk is full, the place is not writable.
    """
    if isinstance(fps, bool) or not isinstance(fps, numbers.Real):
        raise TypeError(say("fps must be a number of frames a second; got {fps!r}.", fps=fps))
    if not 0 < fps <= 120:
        raise ValueError(say("fps must be above 0 and at most 120 frames a second; got {fps!r}.", fps=fps))
    width, height = frames[0].size
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    raw = b"".join(np.pad(np.asarray(f.convert("RGB")), pad, mode="edge").tobytes() for f in frames)
    size = f"{width + width % 2}x{height + height % 2}"
    given = f"-f rawvideo -pix_fmt rgb24 -s {size} -framerate {float(fps)} -i pipe:0".split()
    try:
        with whole_file(target) as hidden, tempfile.TemporaryDirectory() as folder:
            given += _carried(Path(folder), comment, cover)
            _run_ffmpeg([*given, *arguments, f"file:{hidden}"], raw)
    except OSError as error:
        raise OSError(
            say("could not write {target} (an older file is as it was): {error}", target=target, error=error)
        ) from error


def copy_bare(source: Path, target: Path) -> None:
    """The video of an mp4, as it is, without comment and cover. Raises OSError."""
    _run_ffmpeg(
        [*_opened(source), *"-map 0:v:0 -c copy -map_metadata -1 -movflags +faststart -f mp4".split(), f"file:{target}"]
    )


def read_comment(path: Path, limit: int) -> str | None:
    """The comment of an mp4, None where it has none. No other file or address is opened.

    Raises ValueError for a file that is no mp4 or a broken one, or whose metadata are more than `limit` bytes; OSError.
    """
    output = _read(path, ["-f", "ffmetadata", "pipe:1"], limit)
    if not output.startswith(b";FFMETADATA1"):
        raise ValueError(
            say("{name} cannot be read as an mp4: it is another kind of file, or cut or damaged", name=path.name)
        )
    text = output.decode("utf-8", errors="replace")
    # A backslash keeps the character after it, a newline too [ffmpeg-formats, "Metadata"].
    for line in re.findall(r"((?:[^\\\n]|\\.)*)\n", text, re.S):
        if re.fullmatch(r"\[\w+\]", line):
            break  # what follows belongs to a stream or a chapter
        name, _, value = line.partition("=")
        if name == "comment":
            return re.sub(r"\\(.)", r"\1", value, flags=re.S)
    return None


def read_cover(path: Path, limit: int) -> bytes | None:
    """The bytes of an mp4's cover, None where it has none; ValueError for more than `limit` bytes; OSError."""
    return _read(path, "-map 0:v:1 -frames:v 1 -c copy -f image2pipe pipe:1".split(), limit) or None


def _carried(folder: Path, comment: str | None, cover: bytes | None) -> list[str]:
    """More inputs for ffmpeg, as files: a command line takes no more than 128 KB of text in one word [execve(2)]."""
    if comment is None:
        return []
    escaped = re.sub(r"([=;#\\\n])", r"\\\1", comment)
    (folder / "comment").write_bytes(f";FFMETADATA1\ncomment={escaped}\n".encode())
    inputs = ["-f", "ffmetadata", "-i", f"file:{folder / 'comment'}"]
    if cover is None:
        return [*inputs, *"-map 0:v -map_metadata 1".split()]
    (folder / "cover").write_bytes(cover)
    inputs += ["-f", "png_pipe", "-i", f"file:{folder / 'cover'}"]
    return [*inputs, *"-map 0:v -map 2:v -map_metadata 1 -c:v:1 copy -disposition:v:1 attached_pic".split()]


def _opened(path: Path) -> list[str]:
    # Only as mp4: in a guessed format a file could name other files or addresses. 128 MB bounds any one allocation.
    return [*"-max_alloc 134217728 -protocol_whitelist file,pipe -f mov -i".split(), f"file:{os.path.abspath(path)}"]


def _read(path: Path, arguments: list[str], limit: int) -> bytes:
    """What ffmpeg writes about an mp4, nothing where it fails; for any file, in bounded time and memory."""
    command = [_ffmpeg(), *"-hide_banner -loglevel quiet".split(), *_opened(path), *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        watch = threading.Timer(_SECONDS, process.kill)
        watch.start()
        try:
            output = process.stdout.read(limit + 1)
        finally:
            watch.cancel()
            process.kill()
    if len(output) > limit:
        raise ValueError(
            say(
                "{name} carries more than {limit:,} bytes of metadata: it is not one of ours",
                name=path.name,
                limit=limit,
            )
        )
    return output


def _ffmpeg() -> str:
    from imageio_ffmpeg import get_ffmpeg_exe

    try:
        executable = get_ffmpeg_exe()
    except RuntimeError as error:
        raise OSError(say("no ffmpeg found; pip install --force-reinstall imageio-ffmpeg brings one")) from error
    if os.path.dirname(executable) and not os.path.isfile(executable):
        raise OSError(say("no ffmpeg at {executable}; correct or unset IMAGEIO_FFMPEG_EXE", executable=executable))
    return executable


def _run_ffmpeg(arguments: list[str], raw: bytes = b"") -> None:
    # Not imageio_ffmpeg.write_frames: it does not report an encoder that dies after the last frame.
    command = [_ffmpeg(), "-hide_banner", "-loglevel", "error", "-y", *arguments]
    done = subprocess.run(command, input=raw, capture_output=True)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or say("it said nothing")
        why = say("make room if the disk is full; try again if ffmpeg was stopped")
        raise OSError(
            say(
                "ffmpeg ended with {code} ({said}); {why}",
                code=done.returncode,
                said=re.sub("^.*] ", "", said)[-200:],
                why=why,
            )
        )
