"""The frame of a lesson's notebook: its first cell checks the parameters, its last one writes result.json.

    lesson = start_lesson("02_rocket", model=model, seed=seed, picture=picture, …)  # prompt=prompt in lesson 4
    …
    finish_lesson(lesson, {"rocket": clip}, {"seconds_per_video": 9.1})

The parameters are checked before torch is imported, so that a mistake costs a second.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from svd_lab.clip import Clip, check_video_path
from svd_lab.files import write_atomically
from svd_lab.images import open_image
from svd_lab.language import say
from svd_lab.lesson.checking import answers, forget
from svd_lab.models.checkpoints import check_download, check_folder, locate
from svd_lab.models.table import IMAGE, VIDEO, Family
from svd_lab.performance.peak_memory import peak_memory
from svd_lab.prompts import check_prompt
from svd_lab.recipe import image_name
from svd_lab.settings import check_settings
from svd_lab.settings_table import SETTINGS

RESULT = "result.json"


@dataclass(frozen=True)
class Lesson:
    """The checked parameters of a lesson's run.

    Attributes:
        name: The notebook's name, without a suffix.
        model: The video model.
        image_model: The image model of a lesson that starts from a prompt, else None.
        seed: The seed, drawn if -1 was given.
        picture: The opened picture (RGB, upright, in its own size), or None in a lesson that starts from a prompt.
        prompt: The prompt, or None in a lesson that starts from a picture.
        num_frames: Frames of a video.
        num_inference_steps: Denoising steps of a video.
        out_dir: The folder for the results, absolute and existing.
        given: The parameters as given, without paths that reveal folders of the machine.
        started: When the run started, by time.monotonic.
    """

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
    """Check a lesson's parameters within seconds, open the picture, and create `out_dir`.

    Args:
        name: The notebook's name, without a suffix.
        model: As for load_video_pipeline.
        seed: As for generate_video; -1 draws one here, for the whole lesson.
        picture: A bundled picture's name ("ball", "balloon", "boat", "car", "rabbit", "rocket"), or whatever open_image takes.
        prompt: Instead of a picture, a prompt as for generate_text2video.
        image_model: With a prompt, as for load_image_pipeline.
        num_frames, num_inference_steps: As for generate_video.
        out_dir: The only folder in which the run writes; missing folders are created. An earlier run's result.json is removed, so
            that one always belongs to a run that finished.

    Raises:
        TypeError, ValueError: A wrong value; papermill passes strings.
        OSError: A picture, model or folder that cannot be read or written.
    """
    started = time.monotonic()
    # Transformers warns about torchvision, which it does not need here, in every first import.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    settings = {"seed": seed, "num_frames": num_frames, "num_inference_steps": num_inference_steps}
    checked = check_settings("generate_video", settings)
    _check_model(model, VIDEO)
    if prompt is not None:
        _check_model(image_model, IMAGE)
    folder = _check_folder_name(out_dir)
    if (picture is None) == (prompt is None):
        raise TypeError(
            say(
                "a lesson starts from a picture or from a prompt: give one of them, not picture={picture!r}, "
                "prompt={prompt!r}",
                picture=picture,
                prompt=prompt,
            )
        )
    opened = None if picture is None else open_image(picture)
    if opened is None:
        start = {"image_model": _shown(image_model), "prompt": check_prompt("prompt", prompt)}
    else:
        start = {"picture": image_name(picture)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    forget()
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
    if found.folder is None:
        check_download(found)
    elif found.source != "the Hub cache":  # loading completes a partial download
        check_folder(found.folder, half=False, family=family)


def _shown(path: str | os.PathLike[str]) -> str:
    """A name or a relative path as it is; the last part of an absolute path, because the others describe the machine."""
    return Path(path).name if os.path.isabs(path) else os.fspath(path)


def _check_folder_name(out_dir: Any) -> Path:
    if not isinstance(out_dir, str | os.PathLike) or not os.fspath(out_dir).strip():
        raise (ValueError if isinstance(out_dir, str) else TypeError)(
            say(
                "out_dir must be the name of a folder to write into, like 'out/01_pipeline', not {out_dir!r}",
                out_dir=out_dir,
            )
        )
    return check_video_path(f"{os.fspath(out_dir)}/clip.mp4").parent


def finish_lesson(lesson: Lesson, clips: dict[str, Clip], measured: dict[str, Any]) -> None:
    """Write `out_dir`/result.json, whole or not at all, and print a line about it.

    It has lesson, parameters, model, device, dtype, versions, seeds, seconds (since start_lesson), videos (file, seed and settings
    of each clip) and measured, as plain JSON.

    Args:
        lesson: From start_lesson.
        clips: The lesson's videos by name, at least one.
        measured: What the lesson measured, by name: numbers, texts, lists and dicts.

    Raises:
        ValueError: A measured value is NaN or infinite.
        TypeError: A measured value is of another type.
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
        "answers": answers(),
    }
    text = json.dumps(result, ensure_ascii=False, indent=2, allow_nan=False, default=_plain)
    write_atomically(lesson.out_dir / RESULT, text + "\n")
    print(
        say(
            "{name}: {seconds:.0f} s; {result} is in {out_dir}",
            name=lesson.name,
            seconds=result["seconds"],
            result=RESULT,
            out_dir=lesson.given["out_dir"],
        )
    )


def _plain(value: Any) -> Any:
    """Convert a number of NumPy or torch to Python's."""
    if not hasattr(value, "item"):
        raise TypeError(
            say(
                "a measured value must be a number, text, list or dict, not {value!r} ({kind})",
                value=value,
                kind=type(value).__name__,
            )
        )
    return value.item()


def _settings(recipe: dict[str, Any]) -> dict[str, Any]:
    return {name: recipe[name] for name in SETTINGS if name in recipe and name != "seed"}


def progress(label: str) -> Callable[[int, int, float], None]:
    """Make an on_step function that rewrites one line of plain text at each step, in a notebook or in a headless run of it."""
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
    """Measure what a block costs.

    Args:
        device: The device that computes.

    Yields:
        A dict that has, after the block, "seconds" and "MiB": the memory's peak beyond its level at the start, of torch's
        allocations on a CUDA device, else of the process, sampled every 5 ms.
    """
    import torch

    device = torch.device(device)
    spent: dict[str, float] = {}
    with peak_memory(device, interval=0.005) as peak:
        start = time.perf_counter()
        yield spent
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent["seconds"] = time.perf_counter() - start
    spent["MiB"] = peak["bytes"] / 2**20
