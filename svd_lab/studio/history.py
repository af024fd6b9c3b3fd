"""The runs of a folder, on disk: each has its video, its contact sheet, and a line of JSON in runs.jsonl. Knows no models.

A finished run survives a closed browser, a restarted kernel and a power cut: its line is appended whole, after its video.
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
PICTURES = "pictures"  # the subfolder of uploaded pictures


class History:
    """The runs in `folder`, which is created when the first one is added.

    Attributes:
        folder: Where videos, contact sheets, uploaded pictures and runs.jsonl are.
        runs: A dict for each run, oldest first: "number", "file", "call" (settings), "texts" (of the fields) and more.

    Raises:
        OSError, ValueError: As `check_video_path`, for a folder that cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(os.fspath(folder))
        check_video_path(self.folder / "clip.mp4")
        self.runs: list[dict[str, Any]] = list(_read_lines(self.folder / RUNS))

    def add(self, run: dict[str, Any], clip: Clip) -> dict[str, Any]:
        """Record a run, {"file": name, …} of plain JSON values, with its clip's contact sheet; return it with its "number"."""
        run = {"number": max((r["number"] for r in self.runs), default=0) + 1, **run}
        clip.contact_sheet(width=960).save(self.folder / run["file"].replace(".mp4", ".jpg"), quality=85)
        with (self.folder / RUNS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(run, ensure_ascii=False) + "\n")
        self.runs.append(run)
        return run

    def new_name(self, stem: str) -> str:
        """Return a file name that is free here: stem-001.mp4, stem-002.mp4, …"""
        stem = re.sub(r"[^\w-]+", "-", stem).strip("-")[:40] or "clip"
        number = 1
        while (self.folder / f"{stem}-{number:03}.mp4").exists():
            number += 1
        return f"{stem}-{number:03}.mp4"

    def keep_picture(self, name: str, data: bytes) -> Path:
        """Write an uploaded picture into pictures/, named by its own name and the start of its hash; return the path."""
        source = Path(name.replace("\\", "/")).name
        stem = re.sub(r"[^\w-]+", "-", Path(source).stem).strip("-")[:40] or "picture"
        suffix = re.sub(r"[^.\w]", "", Path(source).suffix)[:8] or ".png"
        path = self.folder / PICTURES / f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def keep_image(self, image: Image.Image, name: str = "picture") -> Path:
        """Do the same with a picture in memory, as PNG, which is lossless."""
        image.save(buffer := io.BytesIO(), "PNG")
        return self.keep_picture(f"{name}.png", buffer.getvalue())

    def thumbnail(self, run: dict[str, Any], width: int = 132) -> Image.Image | None:
        """Return the middle frame of a run, `width` pixels wide; None when its file is gone."""
        frames = self.frames(run)
        if not frames:
            return None
        frame = frames[len(frames) // 2]
        return frame.resize((width, max(1, round(width * frame.height / frame.width))), Image.Resampling.LANCZOS)

    def frames(self, run: dict[str, Any]) -> list[Image.Image]:
        """Decode the frames of a run's video; none when the file is gone or damaged."""
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
    """Read the runs of a file, skipping damaged lines: a full disk leaves half of one."""
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
