"""`svd-lab check`: what works on this machine, in lines that a student can send to an instructor.

Ten checks, each [OK], [WARN] (works, with a drawback) or [FAIL] (does not work); the exit status is 1 when one fails, else 0. A
check that raises has failed, and imports what it tests itself, so this also runs on broken installations. Nothing is downloaded
or sent. `clean` removes tokens, the user's name, the home folder and the machine's name from every text.

--json prints one object: {"schema": 1, "version": svd-lab's, "ok": no check failed, "checks": [{"name": as in the line, "status":
"ok", "warn" or "fail", "says": the rest of the line, "data": what was measured, in bytes and seconds, {} where a check raised}]}.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import svd_lab
from svd_lab.commands.check_machine import (
    Result,
    check_disk,
    check_driver,
    check_gpu,
    check_memory,
    check_packages,
    check_python,
)
from svd_lab.commands.options import manual
from svd_lab.version import __version__

FRAMES, STEPS = 6, 3  #: of the generation: about 5 s on two cores


def check_weights(model: str = "mini") -> Result:
    """Check which models are whole: FAIL where `model` is not, WARN where another one on this machine is not."""
    from svd_lab.models.checkpoints import check_location, locate
    from svd_lab.models.table import FAMILIES, VIDEO

    status, words, data = "ok", [], {}
    for family in FAMILIES:
        for name in family.models:
            found = locate(name, family)
            label = name if name != "mini" or family is VIDEO else "mini (images)"
            data[label] = {"source": found.source, "folder": found.folder and str(found.folder), "whole": False}
            if found.folder is None:
                status = "fail" if label == model else status
                words.append(f"{label} is not here")
                continue
            try:
                check_location(found, half=False, family=family)
            except (OSError, ValueError) as error:
                status = "fail" if label == model else max(status, "warn", key=["ok", "warn", "fail"].index)
                words.append(f"{label}: {error}")
            else:
                data[label]["whole"] = True
                words.append(f"{label} is whole ({found.source})")
    return status, "; ".join(words), data


def check_ffmpeg(video: Path) -> Result:
    """Check that ffmpeg writes three frames, red, green and blue, as every video is written."""
    import imageio_ffmpeg
    from PIL import Image

    from svd_lab.ffmpeg import H264, encode

    encode([Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue")], video, 7, H264)
    version = imageio_ffmpeg.get_ffmpeg_version()
    return "ok", f"{version} wrote 3 frames, {video.stat().st_size} bytes", {"version": version}


def check_browser_video(video: Path) -> Result:
    """Check that browsers play the video: H.264 in yuv420p, the index first, and the three colours unchanged."""
    import imageio_ffmpeg
    import numpy as np

    options = "-f rawvideo -pix_fmt rgb24 pipe:1".split()
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(video), *options]
    read = subprocess.run(command, capture_output=True, timeout=60)
    stream = re.search(r"Video: (\w+)[^,]*, (\w+)", read.stderr.decode(errors="replace"))
    pixels = np.frombuffer(read.stdout, np.uint8).astype(int)
    colours = pixels.reshape(3, -1, 3).mean(1).argmax(1).tolist() if pixels.size == 3 * 64 * 48 * 3 else []
    data = {
        "codec": stream and stream[1],
        "pixels": stream and stream[2],
        "index_first": _index_first(video.read_bytes()),
    }
    ready = "ready" if data["index_first"] else "not ready"
    says = f"{data['codec']}, {data['pixels']}, {ready} to play while it loads"
    if list(data.values()) == ["h264", "yuv420p", True] and colours == [0, 1, 2]:
        return "ok", says, data
    wrong = "" if colours == [0, 1, 2] else "; the frames do not come back"
    return "fail", f"{says}{wrong}: browsers may show nothing", data


def check_generation(folder: Path, model: str = "mini") -> Result:
    """Check that `model` makes a short video on the default device, and estimate the time of a default video."""
    import numpy as np

    from svd_lab.bundled import PICTURES

    start, steps = time.perf_counter(), []
    pipe = svd_lab.load_video_pipeline(model)
    loaded = time.perf_counter()
    clip = svd_lab.generate_video(
        PICTURES["rocket"], folder / "check.mp4", 42, pipe=pipe, num_frames=FRAMES, num_inference_steps=STEPS,
        on_step=lambda *_: steps.append(time.perf_counter()),
    )  # fmt: skip
    end = time.perf_counter()
    frames = np.stack([np.asarray(frame, dtype=float) for frame in clip.frames])
    # A default video has 10 frames and 10 steps; time is proportional to both. The first step includes a session's warm-up.
    default = ((steps[-1] - steps[0]) / (STEPS - 1) * 10 + end - steps[-1]) * 10 / FRAMES
    data = {"device": str(pipe.device), "load": loaded - start, "seconds": end - loaded, "default_video": default}
    if len(frames) != FRAMES or frames.std() < 5:
        return "fail", f"{len(frames)} of {FRAMES} frames came, of almost one colour", data
    says = f"{FRAMES} frames in {STEPS} steps took {end - loaded:.1f} s on {pipe.device} (loading {loaded - start:.1f} s); "
    says += f"a video with the default settings takes about {default:.0f} s"
    return ("warn", says + ": slow, is this machine busy?", data) if default > 180 else ("ok", says, data)


def clean(text: str) -> str:
    """Return `text` without tokens and passwords, and with ~ and … for the home folder, the user's and the machine's names."""
    with contextlib.suppress(Exception):  # huggingface_hub may be what is broken
        from svd_lab.models.hub import public

        text = public(text)
    text = re.sub(r"hf_[A-Za-z0-9]{16,}", "hf_…", text)
    homes = {str(Path.home()), os.path.realpath(Path.home())} - {"/"}
    for home in sorted(homes, key=len, reverse=True):
        text = text.replace(home, "~")
    names = {Path.home().name, socket.gethostname(), socket.gethostname().split(".")[0]} - {"", "root", "localhost"}
    with contextlib.suppress(Exception):  # a user in a container may have no name
        names |= {getpass.getuser()} - {"root"}
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "…", text)
    return text


def run_checks(quick: bool = False, model: str = "mini") -> Iterator[dict[str, Any]]:
    """Yield one row of the JSON for each check, as soon as it is done; `quick` leaves out the generation with `model`."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder, "three.mp4")
        checks = {
            "python": check_python,
            "packages": check_packages,
            "gpu": check_gpu,
            "driver": check_driver,
            "memory": check_memory,
            "disk": check_disk,
            "weights": lambda: check_weights(model),
            "ffmpeg": lambda: check_ffmpeg(video),
            "browser video": lambda: check_browser_video(video),
            "generation": lambda: check_generation(Path(folder), model),
        }
        for name, check in checks.items():
            if quick and name == "generation":
                continue
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                try:
                    status, says, data = check()
                except Exception as error:
                    status, says, data = "fail", f"{type(error).__name__}: {error}", {}
            yield {"name": name, "status": status, "says": clean(" ".join(says.split())), "data": _clean_data(data)}


def build_parser() -> argparse.ArgumentParser:
    """Return the command's own parser."""
    parser = argparse.ArgumentParser(
        prog="svd-lab check",
        **manual(
            "Report what works on this machine and what does not, in ten lines to paste to whoever helps you. They contain no "
            "token, name or address of yours, and nothing is downloaded or sent. Exit status: 0 nothing failed, 1 something did.",
            "svd-lab check",
            "svd-lab check --model svd",
        ),
    )
    parser.add_argument("--quick", action="store_true", help="without the short generation (a few seconds)")
    parser.add_argument("--model", default="mini", choices=["mini", "svd", "svd-xt"], help="which makes it (mini)")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object; svd_lab/commands/check.py describes it"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each check, or the JSON; return 0 when none failed, else 1."""
    options = build_parser().parse_args(arguments)
    rows = []
    if not options.json:
        print(f"svd-lab {__version__}: these lines contain no token, name or address of yours")
    try:
        for row in run_checks(options.quick, options.model):
            rows.append(row)
            if not options.json:
                print(f"{'[' + row['status'].upper() + ']':7}{row['name']}: {row['says']}", flush=True)
    except KeyboardInterrupt:
        print("\nsvd-lab: stopped", file=sys.stderr)
        return 130
    failed = [row["name"] for row in rows if row["status"] == "fail"]
    if options.json:
        answer = {"schema": 1, "version": __version__, "ok": not failed, "checks": rows}
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        print(
            f"{len(failed)} of {len(rows)} checks failed: {', '.join(failed)}"
            if failed
            else f"{len(rows)} checks, none failed"
        )
    return 1 if failed else 0


def _index_first(data: bytes) -> bool:
    """Whether an mp4's index ("moov") precedes its frames ("mdat") [ISO/IEC 14496-12, boxes: 4 bytes of length, 4 of name]."""
    place, names = 0, []
    while place + 8 <= len(data):
        names.append(data[place + 4 : place + 8])
        place += max(8, int.from_bytes(data[place : place + 4], "big"))
    return b"moov" in names and b"mdat" in names and names.index(b"moov") < names.index(b"mdat")


def _clean_data(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _clean_data(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_clean_data(value) for value in data]
    return clean(data) if isinstance(data, str) else data


if __name__ == "__main__":
    sys.exit(main())
