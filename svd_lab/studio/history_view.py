"""The studio's history: play a video, restore its settings, show its code, compare several side by side."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from PIL import Image

from svd_lab.bundled import PICTURES
from svd_lab.clip import Clip
from svd_lab.language import mark, say
from svd_lab.lesson.figures import side_by_side
from svd_lab.studio import components
from svd_lab.studio.as_code import code
from svd_lab.studio.crop import CENTRE
from svd_lab.studio.fields import TEXT_FIELDS, VIDEO_FIELDS
from svd_lab.studio.session import Session

SHOWN = 12  # of the latest runs; older ones stay on disk
MOST = 4  # differences that a card lists
_LABELS = {"picture": mark("Picture"), "crop": mark("Crop"), "model": mark("Model"), "speed": mark("Speed")}


def video(session: Session, run: dict[str, Any]) -> str:
    """The HTML of a run's video, with its number, file and seed."""
    path = session.history.folder / run["file"]
    if not path.is_file():
        return components.problem(say("The file {name} is gone: moved or deleted.", session.language, name=run["file"]))
    name = say(
        "Result {number} · {file} · seed {seed}",
        session.language,
        number=run["number"],
        file=run["file"],
        seed=run["call"]["seed"],
    )
    return components.video(path.read_bytes(), name)


def about(session: Session, run: dict[str, Any]) -> str:
    """The HTML of a run's contact sheet and code, both folded."""
    language, sheet = session.language, (session.history.folder / run["file"]).with_suffix(".jpg")
    block = components.code_block(
        code(session, run), say("Paste this into a cell to make the same video again.", language), say("Copy", language)
    )
    parts = [components.fold(say("As code", language), block)]
    if sheet.is_file():
        url, name = components.data_url(sheet.read_bytes(), "image/jpeg"), html.escape(say("All frames", language))
        parts.insert(0, components.fold(name, f'<img src="{url}" alt="{name}">'))
    return "".join(parts)


def differences(run: dict[str, Any], before: dict[str, Any] | None, language: str) -> list[str]:
    """What a run changed from the one before it, in words: "Steps 10 → 6"; the first has nothing to compare with."""
    if before is None:
        return [say("the first video", language)]
    fields = {field.name: field for field in (*VIDEO_FIELDS, *TEXT_FIELDS) if field.name != "file"}
    now, then = _facts(run), _facts(before)
    changes = []
    for name in dict.fromkeys([*now, *then]):
        if now.get(name) == then.get(name):
            continue
        label = say(fields[name].label, language) if name in fields else say(_LABELS[name], language)
        old, new = (_shown(facts.get(name), fields.get(name), language) for facts in (then, now))
        changes.append(say("{label} {old} → {new}", language, label=label, old=old, new=new))
    if len(changes) > MOST:
        rest = say("and {count} more", language, count=len(changes) - MOST + 1)
        changes = [*changes[: MOST - 1], rest]
    return changes or [say("the same settings", language)]


def _facts(run: dict[str, Any]) -> dict[str, Any]:
    """What can differ between runs, by name: picture, model, speed and the settings of the call."""
    picture, model = run.get("picture") or {"source": run.get("source")}, run.get("model") or {}
    facts = {name: value for name, value in run["call"].items() if name != "file"}
    found = {}
    if picture.get("source"):  # an uploaded picture's name ends in its hash
        found["picture"] = re.sub(r"-[0-9a-f]{8}$", "", Path(str(picture["source"])).stem)
    if picture.get("crop", CENTRE) != CENTRE:
        found["crop"] = picture["crop"]
    if model.get("name"):
        found |= {"model": Path(model["name"]).name, "speed": model.get("speed", "")}
    return found | facts


def _shown(value: Any, field: Any, language: str) -> str:
    if value is None or value == "":
        return say(field.blank, language) if field is not None and field.blank else say("usual", language)
    words = dict(field.presets).get(value) if field is not None and field.kind == "fit" else None
    if isinstance(value, str) and value in PICTURES:
        words = value
    text = say(words, language) if words else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 18 else f"{text[:17]}…"


class HistoryView:
    """The history's widgets, in `.box`.

    Args:
        session: Its `history` is shown.
        restore: Called with a run when its button is clicked.
    """

    def __init__(self, session: Session, restore: Callable[[dict[str, Any]], object]) -> None:
        self.session, self.language, self.restore = session, session.language, restore
        self._cards: dict[int, tuple[widgets.Widget, widgets.Checkbox]] = {}
        self.title, self.compared = widgets.HTML(), widgets.HTML()
        self.cards = components.flow([])
        self.button = components.button(say("Compare the selected videos", self.language), self._compare, "", "columns")
        self.box = widgets.VBox([self.title, self.cards, components.row([self.button]), self.compared])
        self.show()

    def show(self) -> None:
        """Show the latest runs, newest first."""
        runs = [run for run in self.session.history.runs if run["number"] is not None][-SHOWN:][::-1]
        for run in runs:
            if run["number"] not in self._cards:
                self._cards[run["number"]] = self._card(run)
        self.cards.children = [self._cards[run["number"]][0] for run in runs]
        title = say("History", self.language)
        self.title.value = f"<h4>{title}</h4>" if runs else ""
        self.button.layout.display = "" if len(runs) > 1 else "none"

    def _card(self, run: dict[str, Any]) -> tuple[widgets.Widget, widgets.Checkbox]:
        small = self.session.history.thumbnail(run)
        caption = say(
            "{number} · {seconds:.1f} s · seed {seed}",
            self.language,
            number=run["number"],
            seconds=run["seconds"],
            seed=run["call"]["seed"],
        )
        image = f'<img src="{components.jpeg_url(small)}" alt="{html.escape(caption)}">' if small else "🎞"
        lines = "<br>".join(map(html.escape, differences(run, self._before(run), self.language)))
        picture = widgets.HTML(
            f"{image}<div class=svd-help>{html.escape(caption)}</div><div class=svd-diff>{lines}</div>"
        )
        back = components.button(
            say("Back to number {number}", self.language, number=run["number"]), lambda: self.restore(run)
        )
        choose = widgets.Checkbox(
            description=say("Compare {number}", self.language, number=run["number"]),
            indent=False,
            layout=widgets.Layout(width="auto"),
        )
        card = widgets.VBox([picture, back, choose])
        card.add_class("svd-run")
        components.keep_reachable(card)
        return card, choose

    def _before(self, run: dict[str, Any]) -> dict[str, Any] | None:
        earlier = [other for other in self.session.history.runs if other["number"] < run["number"]]
        return earlier[-1] if earlier else None

    def _compare(self) -> None:
        numbers = {number for number, (_, box) in self._cards.items() if box.value}
        runs = [run for run in self.session.history.runs if run["number"] in numbers]
        found = [(run, frames) for run in runs if (frames := self.session.history.frames(run))]
        if len(found) < 2:
            self.compared.value = components.problem(say("Select at least two videos to compare.", self.language))
            return
        longest = max(len(frames) for _, frames in found)
        labels = [_label(run, [run for run, _ in found]) for run, _ in found]
        size = found[0][1][0].size
        clips = [Clip(_padded(frames, longest, size), run["call"]["seed"], {}) for run, frames in found]
        together = side_by_side(clips, labels, columns=min(3, len(clips)), width=min(900, 300 * min(3, len(clips))))
        path = together.save(self.session.history.folder / "compared.mp4", fps=7)
        self.compared.value = components.video(path.read_bytes(), " / ".join(labels), together.frames[0].width)


def _padded(frames: list[Image.Image], length: int, size: tuple[int, int]) -> list[Image.Image]:
    """The frames, resized to `size`, and the last one repeated until there are `length`."""
    frames = [frame if frame.size == size else frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]
    return frames + [frames[-1]] * (length - len(frames))


def _label(run: dict[str, Any], others: list[dict[str, Any]]) -> str:
    """The run's number and up to three settings in which the runs differ, in ASCII: Pillow's default font has no Hangul."""
    differing = [key for key in run["call"] if len({repr(other["call"].get(key)) for other in others}) > 1]
    shown = [f"{key}={str(run['call'][key])[:24]}" for key in differing if key != "prompt"]
    return ascii(f"#{run['number']} " + ", ".join(shown[:3])).strip("'\"")
