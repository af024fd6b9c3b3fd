"""A studio without widgets: what is set, what is wrong with it, how long it would take, and one run."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import threading
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from svd_lab.bundled import EXAMPLES, PICTURES
from svd_lab.clip import Clip
from svd_lab.generation import generate_video
from svd_lab.images import open_image
from svd_lab.performance.estimate import Estimate, Rates, calibrate, estimate, learn
from svd_lab.performance.flops import count
from svd_lab.performance.peak_memory import peak_memory
from svd_lab.pipe_facts import size_step
from svd_lab.prompts import PromptWarning, warn_about_prompt
from svd_lab.runner import borrow, watching
from svd_lab.settings import check_size
from svd_lab.settings_table import default_of, settings_of
from svd_lab.studio.fields import TEXT_FIELDS, VIDEO_FIELDS, check_together, read, write
from svd_lab.studio.history import Shelf
from svd_lab.studio.messages import say
from svd_lab.studio.preview import Preview, projection
from svd_lab.text2video import generate_text2video

VIDEO, TEXT = "generate_video", "generate_text2video"
_CALLS = {VIDEO: (generate_video, VIDEO_FIELDS), TEXT: (generate_text2video, TEXT_FIELDS)}
BUNDLED = {**PICTURES, **EXAMPLES}


class Session:
    """What a studio holds: `texts`, as they stand in the fields; `source` and `picture`, opened; `shelf`; `clips` of this session.

    call: VIDEO or TEXT. image_pipe: None for VIDEO. given: values of the call's keywords that the fields begin with.
    """

    def __init__(
        self,
        call: str,
        pipe: Any,
        image_pipe: Any,
        language: str,
        folder: str | os.PathLike[str],
        given: dict[str, Any],
    ) -> None:
        self.call, self.pipe, self.image_pipe, self.language = call, pipe, image_pipe, language
        self.function, self.fields = _CALLS[call]
        self.shelf = Shelf(folder)
        # The class's seed for texts, too: a field that said -1 would give a beginner another video at every press.
        defaults = {name: default_of(name, call) for name in settings_of(call)} | {
            "seed": 42,
            "prompt": "",
            "file": None,
        }
        unknown = sorted(set(given) - {field.name for field in self.fields})
        if unknown:
            known = ", ".join(field.name for field in self.fields)
            raise TypeError(f"the studio has no setting {', '.join(unknown)}; it has {known}")
        self.texts = {field.name: write((defaults | given)[field.name]) for field in self.fields}
        self.source: str | None = None
        self.picture: Image.Image | None = None
        self.clips: list[Clip] = []
        self.calibrated: Rates | None = None
        self._image_rates: Rates | None = None
        self.unmeasured = ""  # why there is no estimate, where there is none
        self._learnt: tuple[Rates | None, Rates | None] = (None, None)  # of the video, of the image

    # what is set

    def use(self, source: str) -> Image.Image:
        """Take a picture: a bundled one's name, a path, or an address. Raises as `open_image`; the old one then stays."""
        self.picture, self.source = self.open(source), source
        return self.picture

    @staticmethod
    def open(source: str) -> Image.Image:
        """The picture that `use` would take."""
        return open_image(BUNDLED.get(source, source))

    def held(self) -> dict[str, Any]:
        """What `make` needs beside the values, as it stands now: the fields may change while it runs."""
        return {"texts": dict(self.texts), "source": self.source, "picture": self.picture}

    def read(self) -> tuple[dict[str, Any], dict[str, str]]:
        """(values, problems): what the fields say, and {field's name: sentence} for what is wrong with them."""
        values, problems = {}, {}
        for field in self.fields:
            try:
                values[field.name] = read(field, self.texts[field.name], self.language)
            except ValueError as error:
                problems[field.name] = str(error)
        if not problems:
            unit = size_step(self.pipe)
            problems = check_together(values, unit, self.language)
        if not problems and values["file"] and (self.shelf.folder / values["file"]).exists():
            problems["file"] = say("file_exists", self.language, name=values["file"])
        return values, problems

    def seen(self) -> Image.Image | None:
        """The picture as the model will see it, by width, height and fit; None while one of them, or the picture, is missing."""
        values, problems = self.read()
        if self.picture is None or {"width", "height", "fit"} & set(problems) or "fit" not in values:
            return None
        size = check_size(self.pipe, values.get("height"), values.get("width"))
        return open_image(self.picture, size=(size["width"], size["height"]), fit=values["fit"])

    # how long it takes

    def prepare(self) -> None:
        """Count, calibrate, and fit the preview: a second or two, once a pipeline. What fails is told in `unmeasured`."""
        try:
            count(self.pipe)
            with borrow(self.pipe):
                self.calibrated = calibrate(self.pipe)
                projection(self.pipe)
            if self.image_pipe is not None:
                count(self.image_pipe)
                with borrow(self.image_pipe):
                    self._image_rates = calibrate(self.image_pipe)
                    projection(self.image_pipe)
            self.learn()
        except Exception as error:  # an unusual pipeline: it may run all the same
            self.unmeasured = f"{type(error).__name__}: {error}"

    def learn(self) -> None:
        """Take rates from the latest runs on this machine with these models."""
        mine = [run for run in self.shelf.runs if run.get("machine") == self._machine()]
        image = [run["image"] for run in mine if run.get("image")]
        self._learnt = (
            learn(self.pipe, [run["video"] for run in mine if run.get("video")], self.calibrated),
            learn(self.image_pipe, image, self._image_rates) if self.image_pipe is not None else None,
        )

    def estimate(self, values: dict[str, Any]) -> Estimate | None:
        """What a run with these values would take; None before `prepare`."""
        video, image = self._learnt
        if video is None or (self.image_pipe is not None and image is None):
            return None
        settings = self._sized(values)
        found = estimate(self.pipe, settings, video)
        if image is None:
            return found
        drawn = estimate(self.image_pipe, _image_settings(settings), image)
        return Estimate(found.seconds + drawn.seconds, found.step, max(found.bytes, drawn.bytes))

    def free_memory(self) -> float | None:
        """Bytes that are free where the models run; None where the system does not tell."""
        import torch

        device = self.pipe._execution_device
        if device.type == "cuda":
            return float(torch.cuda.mem_get_info(device)[0])
        try:
            text = Path("/proc/meminfo").read_text()
            return int(text.split("MemAvailable:")[1].split()[0]) * 1024.0
        except (OSError, IndexError, ValueError):
            return None

    def remarks(self, values: dict[str, Any]) -> list[str]:
        """What the image model will not read of the prompts, in words; waits until nothing else runs that model."""
        if self.image_pipe is None:
            return []
        with borrow(self.image_pipe), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", PromptWarning)
            for name in ("prompt", "negative_prompt"):
                if values[name]:
                    warn_about_prompt(values[name], self.image_pipe.tokenizer, name)
        return [str(warning.message) for warning in told]

    # one run

    def make(
        self,
        values: dict[str, Any],
        on_step: Callable[[int, int, float], object] | None = None,
        on_preview: Callable[[bytes], object] | None = None,
        on_image: Callable[[Image.Image], object] | None = None,
        cancel: threading.Event | None = None,
        held: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Any], Clip]:
        """Run the call in this thread and put it on the shelf: (run, clip). values: from `read`, without problems.

        on_preview(WebP): now and then, while it forms. held: from `held`, of the moment of the values.
        Raises what the call raises; then nothing is on the shelf.
        """
        values, held = dict(values), held or self.held()
        if values["seed"] == -1:
            values["seed"] = secrets.randbelow(2**32)
        file = values.pop("file") or self.shelf.new_name(_stem(values, held["source"]))
        arguments, path = dict(values), self.shelf.folder / file
        expected = self.estimate(values)
        first = arguments.pop("prompt") if self.call == TEXT else held["picture"]
        marks: list[float] = []
        drawn: list[float] = []

        def step(number: int, total: int, left: float) -> None:
            marks.append(time.perf_counter())
            if on_step is not None:
                on_step(number, total, left)

        def image(picture: Image.Image) -> None:
            drawn.append(time.perf_counter())
            if on_image is not None:
                on_image(picture)

        pipes = {"pipe": self.pipe}
        if self.call == TEXT:
            pipes |= {"image_pipe": self.image_pipe, "on_image": image}
        preview = Preview(on_preview) if on_preview is not None else None
        with peak_memory(self.pipe._execution_device) as peak, watching(preview):
            start = time.perf_counter()
            clip = self.function(first, path, **arguments, **pipes, on_step=step, cancel=cancel)
            end = time.perf_counter()
        settings = self._sized(values)
        run = {
            "version": 1,
            "file": file,
            "call": values,
            "source": held["source"],
            "texts": held["texts"] | {"seed": str(values["seed"]), "file": ""},
            "seconds": end - start,
            "estimated": expected.seconds if expected else None,
            "preview_seconds": preview.seconds if preview else 0.0,
            "machine": self._machine(),
            "video": _timing(settings, drawn[0] if drawn else start, marks[-settings["num_inference_steps"] :], end),
        }
        if self.call == VIDEO and peak["bytes"] > 0:
            run["video"]["peak_bytes"] = peak["bytes"]
        if drawn:
            steps = values["image_num_inference_steps"]
            run["image"] = _timing(_image_settings(settings), start, marks[:steps], drawn[0])
        run = self.shelf.add(run, clip)
        self.clips.append(clip)
        if self.calibrated is not None:
            self.learn()
        return run, clip

    def restore(self, run: dict[str, Any]) -> None:
        """Set the fields, and the picture, as they were for a run. Raises as `open_image` when the picture is gone."""
        for field in self.fields:
            self.texts[field.name] = str(run["texts"].get(field.name, self.texts[field.name]))
        if run.get("source"):
            self.use(run["source"])

    def _sized(self, values: dict[str, Any]) -> dict[str, Any]:
        return values | check_size(self.pipe, values["height"], values["width"], self.image_pipe)

    def _machine(self) -> str:
        """Which models on what machine, for comparing only: a hash tells no one's host name."""
        import torch

        pipes = [self.pipe] + ([self.image_pipe] if self.image_pipe is not None else [])
        told = [platform.node(), str(torch.get_num_threads())]
        for pipe in pipes:
            told += [str(pipe.name_or_path), str(pipe._execution_device), str(pipe.unet.dtype)]
        return hashlib.sha256("|".join(told).encode()).hexdigest()[:16]


def _stem(values: dict[str, Any], source: str | None) -> str:
    """What a file is called after: its picture's name, or the first words of its prompt."""
    return Path(source.split("?")[0]).stem if source else " ".join(values["prompt"].split()[:6])


def _image_settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: settings[key] for key in ("width", "height")} | {
        "num_inference_steps": settings["image_num_inference_steps"]
    }


def _timing(settings: dict[str, Any], start: float, marks: list[float], end: float) -> dict[str, Any]:
    """What `estimate.learn` wants: the first step has the encoding with it, so the others tell what a step takes. A step that
    something else held up counts neither there nor in the rest."""
    step = median(b - a for a, b in pairwise(marks)) if len(marks) > 1 else marks[0] - start
    names = ("num_frames", "num_inference_steps", "decode_chunk_size", "width", "height")
    return {
        "settings": {name: settings[name] for name in names if name in settings},
        "step_seconds": step,
        "rest_seconds": max(marks[0] - start - step, 0) + end - marks[-1],
    }
