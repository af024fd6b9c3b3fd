"""The runs of a folder, on disk: each has its video, its contact sheet, and a line of JSON in runs.jsonl. Knows no models.

A closed browser, a restarted kernel or a power cut loses no finished run: the line is written after the video and appended whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from PIL import Image

from svd_lab.clip import Clip, check_video_path

RUNS = "runs.jsonl"
PICTURES = "pictures"  # below the folder: what was uploaded


class Shelf:
    """The runs below `folder`, made when the first one is added. Raises as `check_video_path` for a folder that cannot be."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(os.fspath(folder))
        check_video_path(self.folder / "clip.mp4")
        self.runs: list[dict[str, Any]] = list(_read_lines(self.folder / RUNS))

    def add(self, run: dict[str, Any], clip: Clip) -> dict[str, Any]:
        """Keep a run, {"file": name, …} of plain JSON values, and its clip's contact sheet; the run with its "number"."""
        run = {"number": max((r["number"] for r in self.runs), default=0) + 1, **run}
        clip.contact_sheet(width=960).save(self.folder / run["file"].replace(".mp4", ".jpg"), quality=85)
        with (self.folder / RUNS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(run, ensure_ascii=False) + "\n")
        self.runs.append(run)
        return run

    def new_name(self, stem: str) -> str:
        """A name that no file here has: stem-001.mp4, stem-002.mp4, …"""
        stem = re.sub(r"[^\w-]+", "-", stem).strip("-")[:40] or "clip"
        number = 1
        while (self.folder / f"{stem}-{number:03}.mp4").exists():
            number += 1
        return f"{stem}-{number:03}.mp4"

    def keep_picture(self, name: str, data: bytes) -> Path:
        """Write an uploaded picture to pictures/, under its name and the beginning of its hash; the path."""
        source = Path(name.replace("\\", "/")).name
        stem = re.sub(r"[^\w-]+", "-", Path(source).stem).strip("-")[:40] or "picture"
        suffix = re.sub(r"[^.\w]", "", Path(source).suffix)[:8] or ".png"
        path = self.folder / PICTURES / f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def keep_image(self, image: Image.Image) -> Path:
        """The same for a picture in memory, as PNG: not a pixel changes."""
        image.save(buffer := io.BytesIO(), "PNG")
        return self.keep_picture("picture.png", buffer.getvalue())

    def thumbnail(self, run: dict[str, Any], width: int = 132) -> Image.Image | None:
        """The middle frame of a run, small; None when its file is gone."""
        frames = self.frames(run)
        if not frames:
            return None
        frame = frames[len(frames) // 2]
        return frame.resize((width, max(1, round(width * frame.height / frame.width))), Image.Resampling.LANCZOS)

    def frames(self, run: dict[str, Any]) -> list[Image.Image]:
        """The frames of a run's video as the file has them; none when it is gone or damaged."""
        from imageio_ffmpeg import read_frames

        path = self.folder / run["file"]
        if not path.is_file():
            return []
        try:
            reader = read_frames(str(path))
            about = next(reader)
            return [Image.frombytes("RGB", about["size"], frame) for frame in reader]
        except (OSError, RuntimeError, subprocess.SubprocessError):
            return []


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The runs in a file, without lines that are no run: a disk that was full leaves half of one."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    runs = []
    for line in lines:
        try:
            run = json.loads(line)
            plain = isinstance(run["number"], int) and isinstance(run["texts"], dict) and isinstance(run["call"], dict)
            if plain and Path(run["file"]).name == run["file"]:
                runs.append(run)
        except (ValueError, KeyError, TypeError):
            continue
    return runs
