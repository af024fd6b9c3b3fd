"""A finished clip: its frames and how they were made; writes H.264, shows itself in a notebook.

Knows no models; imports no torch.
"""

from __future__ import annotations

import base64
import html
import io
import math
import numbers
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from svd_lab.ffmpeg import GIF, H264, check_path, copy_bare, encode
from svd_lab.language import say
from svd_lab.recipe_file import carried

EMBED_BYTES = 8_000_000  #: larger videos are linked: notebooks with huge outputs fail to save
MIN_SHOWN_WIDTH = 448  #: smaller clips are shown enlarged to this width, in pixels of the page


@dataclass(repr=False, eq=False)
class Clip:
    """Frames with their seed and recipe; as the last expression of a notebook cell it plays.

    Attributes:
        frames: PIL images, at least one, all of one size.
        seed: the seed that was used, also when -1 asked for a random one.
        recipe: every setting, the model and the versions, as plain Python values.
        path: the mp4 file, absolute; None before :meth:`save`.
        image: the picture that the video starts from, as the model saw it; None if unknown.

    Raises:
        TypeError, ValueError: Not a list of PIL images, no frame, or frames of different sizes.
    """

    frames: list[Image.Image]
    seed: int
    recipe: dict[str, Any]
    path: Path | None = None
    image: Image.Image | None = None
    _fps: float = field(default=7, init=False)
    _stamp: tuple[int, int] | None = field(default=None, init=False)  # our file, not a later one of its name

    def __post_init__(self) -> None:
        frames = self.frames
        if not isinstance(frames, (list, tuple)) or not all(isinstance(f, Image.Image) for f in frames):
            raise TypeError(say("frames must be a list of PIL images; got {kind}.", kind=type(frames).__name__))
        sizes = {frame.size for frame in frames}
        if len(sizes) != 1:
            raise ValueError(
                say("frames must be at least one picture, all of one size; got sizes {sizes}.", sizes=sorted(sizes))
            )
        self.frames = list(frames)
        if self.path is not None:
            self.path = Path(os.path.abspath(os.path.expanduser(self.path)))
            self._stamp = _stamp(self.path)

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        width, height = self.frames[0].size
        where = "not saved" if self.path is None else _short(self.path)
        return f"Clip({len(self)} frames of {width}x{height}, seed {self.seed}, {where})"

    def save(self, path: str | os.PathLike[str], fps: float = 7) -> Path:
        """Write an mp4 (H.264, yuv420p, faststart) that browsers play; return its absolute path.

        The file is written beside under a hidden name and moved into place when complete: a failure leaves no
        file, or an existing one as it was. Missing folders are created. For an odd width or height the last
        column or row is repeated. ``clip.path`` becomes this path. A clip whose frames match its
        recipe carries the recipe and the picture in the file (:mod:`svd_lab.recipe_file`). The same clip, versions
        and machine give the same bytes.

        Args:
            path: must end in .mp4; ``~`` is the home folder.
            fps: playback frames a second, above 0, at most 120.

        Raises:
            TypeError, ValueError, OSError: as :func:`check_video_path`; OSError when writing fails.
        """
        target = check_video_path(path)
        encode(self.frames, target, fps, H264, *carried(self.recipe, self.frames, self.image, fps))
        self.path, self._fps, self._stamp = target, float(fps), _stamp(target)
        return target

    def save_gif(self, path: str | os.PathLike[str], fps: float = 7) -> Path:
        """Write an endless GIF, one palette of 256 colours, for places without video; return its path.

        ``path`` must end in .gif; all else as :meth:`save`, ``clip.path`` stays. GIF counts hundredths of a
        second, and browsers slow down anything above 50 frames a second.
        """
        target = check_path(path, ".gif")
        encode(self.frames, target, fps, GIF)
        return target

    def contact_sheet(
        self, columns: int | None = None, width: int = 960, frames: int | Sequence[int] | None = None
    ) -> Image.Image:
        """Frames on one RGB picture, in reading order on white, with gaps of 4 pixels.

        Args:
            columns: frames a row; default up to 5.
            width: of the sheet in pixels, at most; frames are scaled to it (LANCZOS), enlarged too.
            frames: how many, evenly spread with the first and the last, or which (indices); default all.

        Raises:
            TypeError, ValueError: not whole numbers, below 1, too narrow. IndexError: no such frame.
        """
        if frames is None or isinstance(frames, numbers.Integral):
            count = len(self) if frames is None else min(_whole("frames", frames), len(self))
            frames = np.linspace(0, len(self) - 1, count).round().astype(int)
        chosen = [self.frames[index].convert("RGB") for index in frames]
        if not chosen:
            raise ValueError(say("frames must name at least one frame; got none."))
        columns, gap = min(5 if columns is None else _whole("columns", columns), len(chosen)), 4
        cell_width = (_whole("width", width) - gap * (columns - 1)) // columns
        if cell_width < 8:
            raise ValueError(
                say(
                    "width={width} is too narrow for {columns} columns of at least 8 pixels.",
                    width=width,
                    columns=columns,
                )
            )
        cell_height = max(1, round(cell_width * chosen[0].height / chosen[0].width))
        rows = math.ceil(len(chosen) / columns)
        sheet_size = columns * (cell_width + gap) - gap, rows * (cell_height + gap) - gap
        sheet = Image.new("RGB", sheet_size, "white")
        for i, frame in enumerate(chosen):
            place = (i % columns * (cell_width + gap), i // columns * (cell_height + gap))
            sheet.paste(frame.resize((cell_width, cell_height), Image.Resampling.LANCZOS), place)
        return sheet

    def _repr_html_(self) -> str:
        """A ``<video>``: embedded below :data:`EMBED_BYTES`, else linked relative to the notebook's folder.

        The file is shown only while it is the one that this clip wrote. Deleted, overwritten (two cells that
        write one name) or never saved, the frames in memory are encoded anew, and a line below says so.
        The copy in the notebook has no recipe in it: notebooks stay small, and tell no more than they show.
        """
        stamp = _stamp(self.path) if self.path else None
        intact = stamp is not None and stamp == self._stamp
        note = ""
        if not intact:
            note = self._why_from_memory(html.escape(_short(self.path)) if self.path else "", bool(stamp))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "clip.mp4")
            if not intact:
                encode(self.frames, file, self._fps, H264)
            elif "frames_sha256" in self.recipe:
                copy_bare(self.path, file)
            else:
                file = self.path
            if file.stat().st_size < EMBED_BYTES:
                source = "data:video/mp4;base64," + base64.b64encode(file.read_bytes()).decode()
            elif intact:
                # No ?v=… against the browser's cache: JupyterLab would quote it and find no such file. It
                # adds its own [jupyterlab rendermime, renderers.ts handleAttr].
                source = quote(_relative(self.path, _notebook_folder()), safe="/:")
                link = f'<a href="{source}" target="_blank">{html.escape(self.path.name)}</a>'
                note = say("Too large to keep in the notebook: {link} must stay beside it.", link=link)
            else:
                note = self._why_from_memory(
                    html.escape(_short(self.path)) if self.path else "", bool(stamp), played=False
                )
                return f'<img src="{self._preview()}" style="max-width:100%"><div>{note}</div>'
        style = f"width:{max(self.frames[0].width, MIN_SHOWN_WIDTH)}px;max-width:100%"
        # The picture inside shows where <video> is stripped, as on the pages of code hosts.
        return (
            f'<video src="{source}" style="{style}" controls autoplay loop muted playsinline>'
            f'<img src="{self._preview()}"></video>' + (f"<div>{note}</div>" if note else "")
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Text, HTML, and a small contact sheet (JPEG) for notebooks turned into PDF, which cannot play."""
        preview = self._preview().partition(",")[2]
        return {"text/plain": repr(self), "text/html": self._repr_html_(), "image/jpeg": preview}

    def _why_from_memory(self, name: str, overwritten: bool, played: bool = True) -> str:
        """The line below a clip whose file is not there or not its own. name: the file's, as HTML."""
        if not name:
            what = say("This clip is not saved")
        elif overwritten:
            what = say("{name} was overwritten", name=name)
        else:
            what = say("{name} is no longer there", name=name)
        how = say("played from memory") if played else say("too large to play from memory")
        return say("{what}; {how}. <code>clip.save('name.mp4')</code> writes it.", what=what, how=how)

    def _preview(self) -> str:
        """A contact sheet of at most 5 frames as a data: address."""
        sheet = self.contact_sheet(frames=5, width=800)
        sheet.save(buffer := io.BytesIO(), "JPEG", quality=80)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def check_video_path(path: str | os.PathLike[str]) -> Path:
    """Refuse, before minutes of work, a place where an mp4 cannot be written; return it as an absolute path.

    Missing folders are fine: they are created when the video is written. Nothing is left behind.

    Raises:
        TypeError: not a str or Path.
        ValueError: empty, with a NUL, an address, not ending in .mp4, a longer name than file systems take.
        OSError: a folder (IsADirectoryError), inside a file (NotADirectoryError), not writable
            (PermissionError), a device, no space.
    """
    return check_path(path, ".mp4")


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _relative(path: Path, folder: str) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_uri()


def _short(path: Path) -> str:
    """Relative to the working folder where it lies below: committed notebooks tell no one's home folder."""
    relative = _relative(path, os.getcwd())
    return str(path) if relative.startswith(("../", "file:")) else relative


def _notebook_folder() -> str:
    """Where a notebook's relative links start: IPython's first folder, also after os.chdir."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return str(shell.user_ns["_dh"][0]) if shell and shell.user_ns.get("_dh") else os.getcwd()


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(say("{name} must be a whole number; got {value!r}.", name=name, value=value))
    if value < 1:
        raise ValueError(say("{name} must be at least 1; got {value}.", name=name, value=value))
    return int(value)
