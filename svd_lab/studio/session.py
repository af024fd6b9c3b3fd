"""A studio without widgets: read and check the fields, estimate time and memory, make one video."""

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

from svd_lab.clip import Clip
from svd_lab.generation import generate_video
from svd_lab.images import open_image
from svd_lab.language import say, speaking
from svd_lab.limits import main_memory
from svd_lab.performance.estimate import Estimate, Rates, calibrate, estimate, learn
from svd_lab.performance.flops import count
from svd_lab.performance.peak_memory import peak_memory
from svd_lab.performance.speed import apply, level
from svd_lab.pipe_facts import size_step
from svd_lab.pipelines import load_video_pipeline
from svd_lab.prompts import PromptWarning, warn_about_prompt
from svd_lab.runner import borrow, watching
from svd_lab.settings import check_size
from svd_lab.settings_table import default_of, settings_of
from svd_lab.studio.crop import CENTRE, window
from svd_lab.studio.fields import TEXT_FIELDS, VIDEO_FIELDS, check_together, parse, to_text
from svd_lab.studio.history import History
from svd_lab.studio.model_choice import name_of, record, speeds_of
from svd_lab.studio.preview import Preview, projection
from svd_lab.text2video import generate_text2video

VIDEO, TEXT = "generate_video", "generate_text2video"
_CALLS = {VIDEO: (generate_video, VIDEO_FIELDS), TEXT: (generate_text2video, TEXT_FIELDS)}


class Session:
    """The state of a studio.

    Attributes:
        fields: The fields of the call, in the studio's order.
        texts: What each field contains, by name.
        source: The picture's bundled name, path or address; None before one is chosen, and for TEXT.
        picture: The picture itself, opened.
        crop: Which part of a picture of another shape is kept (see `crop.window`).
        history: The runs in `folder`.
        clips: The videos made by this session, in order.
        unmeasured: Why there is no estimate; "" where there is one, or none yet.

    Args:
        call: VIDEO or TEXT.
        pipe: The video pipeline.
        image_pipe: The image pipeline; None for VIDEO.
        language: "ko" or "en".
        folder: Where videos and history are written.
        given: Initial values of fields, by name.

    Raises:
        TypeError: `given` has a name that is not a field.
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
        self.history = History(folder)
        defaults = {name: default_of(name, call) for name in settings_of(call)}
        # A fixed seed for prompts, too: with -1 a beginner would get another video at every press.
        defaults |= {"seed": 42, "prompt": "", "file": None}
        unknown = sorted(set(given) - {field.name for field in self.fields})
        if unknown:
            known = ", ".join(field.name for field in self.fields)
            raise TypeError(
                say("the studio has no setting {listed}; it has {known}", listed=", ".join(unknown), known=known)
            )
        self.texts = {field.name: to_text((defaults | given)[field.name]) for field in self.fields}
        self.source: str | None = None
        self.picture: Image.Image | None = None
        self.crop = CENTRE
        self._given_pipe = pipe
        self.clips: list[Clip] = []
        self.calibrated: Rates | None = None
        self._image_rates: Rates | None = None
        self.unmeasured = ""
        self._learnt: tuple[Rates | None, Rates | None] = (None, None)  # of the video, of the image

    # the fields

    def use(self, source: str) -> Image.Image:
        """Open a picture and keep it, its middle; raises as `open`, and then keeps the old one."""
        self.picture, self.source, self.crop = self.open(source), source, CENTRE
        return self.picture

    def open(self, source: str) -> Image.Image:
        """Open a bundled picture by name, a path or an address; raises as `open_image`."""
        with speaking(self.language):
            return open_image(source)

    def snapshot(self) -> dict[str, Any]:
        """Copy what `make` needs beside the values, because the fields may change during a run."""
        kept = {name: getattr(self, name) for name in ("source", "picture", "crop", "pipe")}
        return {"texts": dict(self.texts), **kept}

    def read(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Parse the fields.

        Returns:
            (values by field name, {field name: message} for each problem). The values are complete if there are no problems.
        """
        values, problems = {}, {}
        for field in self.fields:
            try:
                values[field.name] = parse(field, self.texts[field.name], self.language)
            except ValueError as error:
                problems[field.name] = str(error)
        if not problems:
            unit = size_step(self.pipe)
            problems = check_together(values, unit, self.language)
        if not problems and values["file"] and (self.history.folder / values["file"]).exists():
            problems["file"] = say(
                "{name} already exists. Enter another name, or leave it blank.", self.language, name=values["file"]
            )
        return values, problems

    def size(self) -> tuple[int, int] | None:
        """(width, height) of the video with the fields as they are; None while one of them is invalid."""
        values, problems = self.read()
        if {"width", "height", "fit"} & set(problems):
            return None
        size = check_size(self.pipe, values.get("height"), values.get("width"))
        return size["width"], size["height"]

    def model_input(self) -> Image.Image | None:
        """The picture in the size, fit and crop of the fields, as the model will get it; None while there is none."""
        size = self.size()
        if self.picture is None or size is None or not self.texts.get("fit"):
            return None
        part = self.window(size)
        with speaking(self.language):
            return open_image(self.picture.crop(part) if part else self.picture, size=size, fit=self.texts["fit"])

    def window(self, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """The part of the picture that is kept where it is not the middle one, which the call itself keeps; else None."""
        if self.picture is None or self.texts.get("fit") != "crop" or self.crop == CENTRE:
            return None
        return window(self.picture.size, size, self.crop)

    # the model

    def choose(self, name: str, speed: str) -> None:
        """Take another model of this machine, or another speed; returns when it is ready. Raises as `load_video_pipeline`.

        The pipeline that the studio was opened with is kept; others are loaded when they are chosen, to the same device.
        """
        with speaking(self.language):
            pipe = next((pipe for pipe in (self.pipe, self._given_pipe) if name_of(pipe) == name), None)
            if pipe is None:
                pipe = load_video_pipeline(name, device=self.pipe._execution_device)
            with borrow(pipe):
                if speed != level(pipe):
                    apply(pipe, speed if speed in speeds_of(pipe) else "auto")
        self.pipe, self.calibrated, self.unmeasured, self._learnt = pipe, None, "", (None, None)
        self.prepare()

    # the estimate

    def prepare(self) -> None:
        """Count FLOP, time the pipeline and fit the preview's projection, in a second or two; a failure goes to `unmeasured`."""
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
        except Exception as error:  # an unusual pipeline, which may run anyway
            self.unmeasured = f"{type(error).__name__}: {error}"

    def learn(self) -> None:
        """Update the rates from the latest runs of these models on this machine."""
        mine = [run for run in self.history.runs if run.get("machine") == self._machine()]
        image = [run["image"] for run in mine if run.get("image")]
        self._learnt = (
            learn(self.pipe, [run["video"] for run in mine if run.get("video")], self.calibrated),
            learn(self.image_pipe, image, self._image_rates) if self.image_pipe is not None else None,
        )

    def estimate(self, values: dict[str, Any]) -> Estimate | None:
        """Estimate a run with these values; None before `prepare`."""
        video, image = self._learnt
        if video is None or (self.image_pipe is not None and image is None):
            return None
        settings = self._sized(values)
        found = estimate(self.pipe, settings, video)
        if image is None:
            return found
        drawn = estimate(self.image_pipe, _image_settings(settings), image)
        return Estimate(found.seconds + drawn.seconds, found.step, max(found.bytes, drawn.bytes))

    def free_memory(self) -> float:
        """Return the bytes that are free where the models run."""
        import torch

        device = self.pipe._execution_device
        return float(torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else main_memory()[0])

    def remarks(self, values: dict[str, Any]) -> list[str]:
        """Warnings about what the image model will not read of the prompts; waits until nothing else runs that model."""
        if self.image_pipe is None:
            return []
        with speaking(self.language), borrow(self.image_pipe), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PromptWarning)
            for name in ("prompt", "negative_prompt"):
                if values[name]:
                    warn_about_prompt(values[name], self.image_pipe.tokenizer, name)
        return [str(warning.message) for warning in caught]

    # one run

    def make(
        self,
        values: dict[str, Any],
        on_step: Callable[[int, int, float], object] | None = None,
        on_preview: Callable[[bytes], object] | None = None,
        on_image: Callable[[Image.Image], object] | None = None,
        cancel: threading.Event | None = None,
        snapshot: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Any], Clip]:
        """Make a video in this thread and add it to the history. Raises what the call raises; then nothing is added.

        Args:
            values: From `read`, without problems.
            on_step: As for the call.
            on_preview: Called now and then with the unfinished video, as the bytes of a WebP.
            on_image: As for `generate_text2video`.
            cancel: As for the call.
            snapshot: From `snapshot`, taken with the values.

        Returns:
            (run as in the history, clip).
        """
        values, snapshot = dict(values), snapshot or self.snapshot()
        pipe, source = snapshot["pipe"], snapshot["source"]
        if values["seed"] == -1:
            values["seed"] = secrets.randbelow(2**32)
        file = values.pop("file") or self.history.new_name(_stem(values, source))
        arguments, path = dict(values), self.history.folder / file
        expected = self.estimate(values)
        first = arguments.pop("prompt") if self.call == TEXT else snapshot["picture"]
        settings = self._sized(values, pipe)
        part = None
        if self.call == VIDEO and values["fit"] == "crop" and snapshot["crop"] != CENTRE:
            part = window(first.size, (settings["width"], settings["height"]), snapshot["crop"])
        if part:  # the call keeps the middle, so it gets the part itself, as a file that the code can name
            first = first.crop(part)
            source = self.history.keep_image(first, f"{_stem(values, source)}-part").as_posix()
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

        pipes = {"pipe": pipe}
        if self.call == TEXT:
            pipes |= {"image_pipe": self.image_pipe, "on_image": image}
        preview = Preview(on_preview) if on_preview is not None else None
        with speaking(self.language), peak_memory(pipe._execution_device) as peak, watching(preview):
            start = time.perf_counter()
            clip = self.function(first, path, **arguments, **pipes, on_step=step, cancel=cancel)
            end = time.perf_counter()
        run = {
            "version": 1,
            "file": file,
            "call": values,
            "source": source,
            "picture": {"source": snapshot["source"], "crop": snapshot["crop"] if part else CENTRE},
            "model": record(pipe),
            "texts": snapshot["texts"] | {"seed": str(values["seed"]), "file": ""},
            "seconds": end - start,
            "estimated": expected.seconds if expected else None,
            "preview_seconds": preview.seconds if preview else 0.0,
            "machine": self._machine(pipe),
            "video": _timing(settings, drawn[0] if drawn else start, marks[-settings["num_inference_steps"] :], end),
        }
        if self.call == VIDEO and peak["bytes"] > 0:
            run["video"]["peak_bytes"] = peak["bytes"]
        if drawn:
            steps = values["image_num_inference_steps"]
            run["image"] = _timing(_image_settings(settings), start, marks[:steps], drawn[0])
        if self.image_pipe is not None:
            run["image_model"] = record(self.image_pipe)
        run = self.history.add(run, clip)
        self.clips.append(clip)
        if self.calibrated is not None and pipe is self.pipe:
            self.learn()
        return run, clip

    def _sized(self, values: dict[str, Any], pipe: Any = None) -> dict[str, Any]:
        return values | check_size(pipe or self.pipe, values["height"], values["width"], self.image_pipe)

    def _machine(self, pipe: Any = None) -> str:
        """A hash of the machine and the models, to compare only: it does not reveal the host's name."""
        import torch

        pipe = pipe or self.pipe
        pipes = [pipe] + ([self.image_pipe] if self.image_pipe is not None else [])
        facts = [platform.node(), str(torch.get_num_threads()), level(pipe)]
        for pipe in pipes:
            facts += [str(pipe.name_or_path), str(pipe._execution_device), str(pipe.unet.dtype)]
        return hashlib.sha256("|".join(facts).encode()).hexdigest()[:16]


def _stem(values: dict[str, Any], source: str | None) -> str:
    """The start of a file's name: the picture's name, or the first words of the prompt."""
    return Path(source.split("?")[0]).stem if source else " ".join(values["prompt"].split()[:6])


def _image_settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: settings[key] for key in ("width", "height")} | {
        "num_inference_steps": settings["image_num_inference_steps"]
    }


def _timing(settings: dict[str, Any], start: float, marks: list[float], end: float) -> dict[str, Any]:
    """The record that `estimate.learn` reads. A step's time is the median without the first, which includes the encoding; an
    interrupted step then counts neither there nor in the rest."""
    step = median(b - a for a, b in pairwise(marks)) if len(marks) > 1 else marks[0] - start
    names = ("num_frames", "num_inference_steps", "decode_chunk_size", "width", "height")
    return {
        "settings": {name: settings[name] for name in names if name in settings},
        "step_seconds": step,
        "rest_seconds": max(marks[0] - start - step, 0) + end - marks[-1],
    }
