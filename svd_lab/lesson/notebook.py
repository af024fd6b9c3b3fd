"""The frame of a lesson's notebook: check the parameters in its first cell, write result.json in its last.

    lesson = start_lesson("02_rocket", model=model, seed=seed, picture=picture, …)  # prompt=prompt in lesson 4
    …
    finish_lesson(lesson, {"rocket": clip}, {"seconds_per_video": 9.1})

Imports no torch before the parameters are found good, so that a slip costs seconds.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from svd_lab.bundled import PICTURES
from svd_lab.clip import Clip, check_video_path
from svd_lab.images import open_image
from svd_lab.models.checkpoints import check_folder, locate
from svd_lab.models.table import IMAGE, VIDEO, Family
from svd_lab.prompts import check_prompt
from svd_lab.recipe import image_name
from svd_lab.settings import check_settings
from svd_lab.settings_table import SETTINGS

RESULT = "result.json"


@dataclass(frozen=True)
class Lesson:
    """The checked parameters of a lesson's run: `picture` opened (RGB, upright, own size) or `prompt`, the other one None; `seed`
    drawn where -1 asked for it; `out_dir` absolute and there; `given` as they stood in the notebook, fit to be shown around;
    `started` by time.monotonic. image_model: of a lesson that starts from a prompt, else None."""

    name: str
    model: str
    image_model: str | None
    seed: int
    picture: Image.Image | None
    prompt: str | None
    num_frames: int
    num_inference_steps: int
    out_dir: Path
    given: dict[str, Any]
    started: float


def start_lesson(
    name: str,
    *,
    model: str,
    seed: int,
    picture: Any = None,
    prompt: str | None = None,
    image_model: str = "auto",
    num_frames: int,
    num_inference_steps: int,
    out_dir: str | os.PathLike[str],
) -> Lesson:
    """Check a lesson's parameters within seconds, open the picture, and make `out_dir`.

    model: as for load_video_pipeline. seed, num_frames, num_inference_steps: as for generate_video; a seed of -1 is drawn here,
    once for the whole lesson. picture: the name of a bundled picture ("ball", "balloon", "boat", "car", "rabbit", "rocket"),
    or whatever open_image takes; or, in its place, prompt: as for generate_text2video, and image_model: as for
    load_image_pipeline. out_dir: the one folder in which the run
    writes; missing folders are made, and a result.json of an earlier run is removed, so that one that is there always belongs to
    a run that came to its end.

    Raises TypeError or ValueError for a wrong value (papermill hands over strings), OSError for a picture, model or folder that
    cannot be read or written.
    """
    started = time.monotonic()
    settings = {"seed": seed, "num_frames": num_frames, "num_inference_steps": num_inference_steps}
    checked = check_settings("generate_video", settings)
    _check_model(model, VIDEO)
    if prompt is not None:
        _check_model(image_model, IMAGE)
    folder = _check_folder_name(out_dir)
    if (picture is None) == (prompt is None):
        raise TypeError(f"a lesson starts from a picture or from a prompt: give one, not {picture=}, {prompt=}")
    opened = None if picture is None else _open_picture(picture)
    if opened is None:
        start = {"image_model": _shown(image_model), "prompt": check_prompt("prompt", prompt)}
    else:
        start = {"picture": image_name(picture)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    return Lesson(
        name=name,
        model=model,
        image_model=None if prompt is None else image_model,
        seed=secrets.randbelow(2**32) if checked["seed"] == -1 else checked["seed"],
        picture=opened,
        prompt=start.get("prompt"),
        num_frames=checked["num_frames"],
        num_inference_steps=checked["num_inference_steps"],
        out_dir=folder,
        given={
            "model": _shown(model),
            "seed": checked["seed"],
            **start,
            "num_frames": checked["num_frames"],
            "num_inference_steps": checked["num_inference_steps"],
            "out_dir": _shown(out_dir),
        },
        started=started,
    )


def _check_model(model: str, family: Family) -> None:
    if model == "auto":
        return
    found = locate(model, family)
    if found.folder is not None and found.source != "the Hub cache":  # a half download is completed when it is loaded
        check_folder(found.folder, half=False, family=family)


def _shown(path: str | os.PathLike[str]) -> str:
    """A name or a relative path as it is; of an absolute path the last part, because the others tell about the machine."""
    return Path(path).name if os.path.isabs(path) else os.fspath(path)


def _check_folder_name(out_dir: Any) -> Path:
    if not isinstance(out_dir, str | os.PathLike) or not os.fspath(out_dir).strip():
        raise (ValueError if isinstance(out_dir, str) else TypeError)(
            f"out_dir must be the name of a folder to write into, not {out_dir!r}. Give one like 'out/01_pipeline'"
        )
    return check_video_path(f"{os.fspath(out_dir)}/clip.mp4").parent


def _open_picture(picture: Any) -> Image.Image:
    if isinstance(picture, str) and picture in PICTURES:
        return open_image(PICTURES[picture])
    try:
        return open_image(picture)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} Bundled pictures have the names {', '.join(PICTURES)}") from error


def finish_lesson(lesson: Lesson, clips: dict[str, Clip], measured: dict[str, Any]) -> None:
    """Write `out_dir`/result.json, complete or not at all, and print a line about it.

    It holds lesson, parameters, model, device, dtype, versions, seconds (since start_lesson), videos (of each clip: file, seed,
    and what the settings were) and measured, as plain JSON. Raises ValueError for a measured value that is NaN or infinite, and
    TypeError for one that is no number, text, list or dict.
    """
    videos = {
        name: {"file": clip.path.name if clip.path else None, "seed": clip.seed, **_settings(clip.recipe)}
        for name, clip in clips.items()
    }
    machine = next(iter(clips.values())).recipe
    result = {
        "lesson": lesson.name,
        "parameters": lesson.given,
        **{key: machine[key] for key in ("model", "device", "dtype", "versions")},
        "seeds": sorted({clip.seed for clip in clips.values()}),
        "seconds": round(time.monotonic() - lesson.started, 3),
        "videos": videos,
        "measured": measured,
    }
    text = json.dumps(result, ensure_ascii=False, indent=2, allow_nan=False, default=_plain)
    path = lesson.out_dir / RESULT
    hidden = lesson.out_dir / f".svd-lab-{uuid.uuid4().hex}"
    try:
        hidden.write_text(text + "\n", "utf-8")
        os.replace(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
    print(f"{lesson.name}: {result['seconds']:.0f} s; {RESULT} is in {lesson.given['out_dir']}")


def _plain(value: Any) -> Any:
    """NumPy's and torch's numbers as Python's."""
    if not hasattr(value, "item"):
        raise TypeError(
            f"a measured value must be a number, text, list or dict, not {value!r} ({type(value).__name__})"
        )
    return value.item()


def _settings(recipe: dict[str, Any]) -> dict[str, Any]:
    return {name: recipe[name] for name in SETTINGS if name in recipe and name != "seed"}


def progress(label: str) -> Callable[[int, int, float], None]:
    """An on_step function for a notebook: one line that is rewritten at each step, plain text, the same in headless runs."""
    from IPython.display import display

    handle: Any = None

    def on_step(step: int, total: int, seconds_left: float) -> None:
        nonlocal handle
        bar = "▮" * round(20 * step / total)
        left = f", {seconds_left:.0f} s" if step < total else ""
        bundle = {"text/plain": f"{label} {bar:▯<20} {step}/{total}{left}"}
        if handle is None:
            handle = display(bundle, raw=True, display_id=True)
        else:
            handle.update(bundle, raw=True)

    return on_step


@contextmanager
def cost(device: Any) -> Iterator[dict[str, float]]:
    """Measure a block: the dict holds "seconds" and "MiB" afterwards.

    MiB: how far memory rose above where it stood at the start; on CUDA of torch's allocations on `device`, else of the process,
    sampled every 5 ms (Linux; NaN elsewhere).
    """
    import torch

    device = torch.device(device)
    spent: dict[str, float] = {}
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        start = time.perf_counter()
        yield spent
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device)
    else:
        ended, seen = threading.Event(), [before := _resident()]

        def watch() -> None:
            while not ended.wait(0.005):
                seen.append(_resident())

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        start = time.perf_counter()
        try:
            yield spent
        finally:
            ended.set()
            watcher.join()
        peak = max(seen)
    spent["seconds"] = time.perf_counter() - start
    spent["MiB"] = (peak - before) / 2**20


def _resident() -> float:
    """Bytes of this process that are in memory now; NaN where the system does not tell in /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))
    except (OSError, AttributeError):
        return float("nan")
