"""The studio's widgets, over a `Session`.

Clicks are handled in the kernel's main thread within milliseconds. Running, measuring and opening a picture have threads of their
own, which only set widgets' traits.
"""

from __future__ import annotations

import html
import secrets
import sys
import threading
import time
import traceback
from typing import Any

import ipywidgets as widgets

from svd_lab.language import mark, say
from svd_lab.runner import Cancelled
from svd_lab.settings_table import Setting
from svd_lab.studio import components, history_view
from svd_lab.studio.crop import CENTRE
from svd_lab.studio.messages import duration, explain, size
from svd_lab.studio.model_view import ModelView
from svd_lab.studio.picture_picker import PicturePicker
from svd_lab.studio.session import VIDEO, Session


class Panel:
    """The panel's widgets, in `.box`. `.thread` is that of the latest run, which may be over."""

    def __init__(self, session: Session) -> None:
        self.session, self.language = session, session.language
        self.thread: threading.Thread | None = None
        self._cancel = threading.Event()
        self._running = threading.Lock()  # held during a run
        self._prepared = False
        self._inputs: dict[str, Any] = {}
        self._problems: dict[str, widgets.HTML] = {}
        self.estimate = widgets.HTML()
        self.run_button = components.button(self.say("Generate"), self._run, "primary", "play")
        self.cancel_button = components.button(self.say("Stop"), self._stop, "warning", "stop")
        self.cancel_button.disabled = True
        self.progress, self.status = widgets.HTML(), widgets.HTML()
        self.input = widgets.HTML(components.placeholder(self.say("The input picture appears here")))
        self.output = widgets.HTML(
            components.placeholder(self.say("The video appears here"))
        )  # the preview, then the video
        self.small = widgets.HTML()  # the same in the bar
        self.result = widgets.HTML()
        self.history = history_view.HistoryView(session, self._restore)
        self.picker = PicturePicker(session, self.input, self._changed) if session.call == VIDEO else None
        self.model = ModelView(session, self._enter, self._model_changed)
        self.box = self._lay_out()
        components.keep_reachable(self.box)
        self._changed()

    def say(self, message: str, **values: object) -> str:
        """A message in the panel's language."""
        return say(message, self.language, **values)

    def prepare(self) -> None:
        """Measure the machine once, in a thread; called when the panel is shown."""
        if self._prepared:
            return
        self._prepared = True
        self.estimate.value = components.note(self.say("Measuring the speed of this machine…"))

        def work() -> None:
            self.session.prepare()
            self._show_estimate()

        threading.Thread(target=work, name="svd-lab studio: measure", daemon=True).start()

    # layout

    def _lay_out(self) -> widgets.Widget:
        basic = [self._field(field) for field in self.session.fields if field.basic]
        more = components.flow([self._field(field) for field in self.session.fields if not field.basic])
        more.layout.display = "none"
        more.add_class("svd-all")

        def toggle() -> None:
            closed = more.layout.display == "none"
            more.layout.display = "flex" if closed else "none"
            toggle_button.description = self.say(mark("Basic settings only") if closed else mark("All settings"))

        toggle_button = components.button(self.say("All settings"), toggle, "", "sliders")
        title = self.say(
            mark("Set a picture in motion")
            if self.session.call == VIDEO
            else mark("Make a picture from a prompt, and set it in motion")
        )
        parts = [widgets.HTML(components.STYLE + f"<h3>{html.escape(title)}</h3>")]
        if self.picker is not None:
            parts.append(self.picker.box)
        shown = [self.input] if self.picker is None else [self.input, self.picker.slider]
        parts += [self.model.box, components.flow([components.card(shown), components.card([self.output])])]
        parts += [components.flow(basic), components.row([toggle_button]), more]
        buttons = components.row([self.run_button, self.cancel_button, self.estimate])
        parts.append(components.bar([buttons, self.progress, self.status], self.small))
        parts += [self.result, self.history.box]
        box = widgets.VBox(parts)
        box.add_class("svd-studio")
        if (
            "google.colab" in sys.modules
        ):  # its cells are frames of their own that never scroll: the settings do instead
            box.add_class("svd-framed")
        return box

    def _field(self, field: Setting) -> widgets.Widget:
        label, unit = self.say(field.label), self.say(field.unit) if field.unit else ""
        limits = ""
        if field.kind in ("whole", "real", "side"):
            low, high = f"{field.low:g}", f"{field.high:.10g}"
            limits = self.say("{low} to {high}", low=low, high=high) + (f" {unit}" if unit else "")
        blank = self.say(field.blank) if field.blank else ""
        text = self.session.texts[field.name]
        if field.kind == "fit":
            options = [(self.say(words), value) for value, words in field.presets]
            entry: Any = widgets.Dropdown(description=label, options=options, value=text)
        elif field.kind == "lines":
            entry = widgets.Textarea(description=label, value=text, continuous_update=False, rows=2)
        else:
            entry = widgets.Text(description=label, value=text, placeholder=blank, continuous_update=False)
        entry.add_class("svd-entry")
        entry.observe(lambda change: self._typed(field.name, change["new"]), "value")
        self._inputs[field.name] = entry
        presets = [
            self._preset(field, label, value, self.say(words)) for value, words in field.presets if field.kind != "fit"
        ]
        if field.name == "seed":
            draw = components.button(
                self.say("random"), lambda: self._enter("seed", str(secrets.randbelow(2**32))), "", "random"
            )
            presets.append(draw)
        about = html.escape(_capital(self.say(field.help)))
        if limits:
            about += f" <span class=svd-range>({html.escape(limits)})</span>"
        self._problems[field.name] = widgets.HTML()
        parts = [entry, widgets.HTML(f"<div class=svd-help>{about}</div>"), self._problems[field.name]]
        if presets:
            parts.insert(1, components.row(presets))
        card = components.card(parts)
        if field.kind == "lines":
            card.add_class("svd-wide")
        return card

    def _preset(self, field: Setting, label: str, value: Any, word: str) -> widgets.Button:
        text = f"{value:g}" if isinstance(value, float) else str(value)
        made = components.button(f"{word} {text}", lambda: self._enter(field.name, text), "", "")
        made.tooltip = self.say("{label}: {value}", label=label, value=text)
        made.add_class("svd-preset")
        return made

    # actions

    def _model_changed(self) -> None:
        """Another model may make another size, and takes another time."""
        if self.picker is not None:
            self.picker.show()
        self._changed()

    def _enter(self, name: str, text: str) -> None:
        self._inputs[name].value = text

    def _typed(self, name: str, text: str) -> None:
        self.session.texts[name] = text
        self._changed()
        if self.picker is not None and name in ("width", "height", "fit"):
            self.picker.show()

    def _changed(self) -> None:
        _, problems = self.session.read()
        for name, shown in self._problems.items():
            shown.value = components.problem(problems[name]) if name in problems else ""
        self._show_estimate()

    def _show_estimate(self) -> None:
        values, problems = self.session.read()
        if problems:
            self.estimate.value = components.note(self.say("Fix the fields marked in red first."))
        elif self.session.unmeasured:
            self.estimate.value = components.note(
                self.say("Estimated after the first run. ({reason})", reason=html.escape(self.session.unmeasured))
            )
        elif (found := self.session.estimate(values)) is not None:
            free = self.session.free_memory()
            words = self.say(
                "Takes about <b>{seconds}</b> and <b>{memory}</b> of additional memory.",
                seconds=duration(found.seconds, self.language),
                memory=size(found.bytes),
            )
            room = self.say("({free} are free now)", free=size(free))
            warning = (
                components.problem(
                    self.say("Memory may run out. Try fewer frames, a smaller size, or fewer frames decoded at a time.")
                )
                if found.bytes > free
                else ""
            )
            self.estimate.value = components.note(f"⏱ {words} <span class=svd-aside>{room}</span>") + warning

    def _run(self) -> None:
        values, problems = self.session.read()
        self._changed()
        if problems:
            self.status.value = components.status(self.say("Fix the fields marked in red first."), "problem")
            return
        if self.picker is not None and self.session.picture is None:
            self.status.value = components.status(self.say("Choose a picture first."), "problem")
            return
        if self.model.loading.is_set():
            self.status.value = components.status(self.say("Loading the model…"), "problem")
            return
        if not self._running.acquire(blocking=False):
            self.status.value = components.status(self.say("Already running. Press again when it is done."), "problem")
            return
        self._cancel = threading.Event()
        self.cancel_button.disabled = False
        self.run_button.icon = "spinner"
        self.status.value = components.status(
            self.say("Starting… If another cell is using the model, this waits for it.")
        )
        self.result.value = ""
        self.progress.value = components.progress_bar(0, self.say("progress"))
        # The fields may be changed during the run, which uses what they said when Run was pressed.
        snapshot = self.session.snapshot()
        self.thread = threading.Thread(
            target=self._work, args=(values, snapshot, self._cancel), name="svd-lab studio: run", daemon=True
        )
        self.thread.start()

    def _work(self, values: dict[str, Any], snapshot: dict[str, Any], cancel: threading.Event) -> None:
        begun = time.perf_counter()
        reached = [0.0]

        def on_step(step: int, total: int, left: float) -> None:
            elapsed = time.perf_counter() - begun
            reached[0] = max(reached[0], elapsed / max(elapsed + left, 1e-9))
            self.progress.value = components.progress_bar(reached[0], self.say("progress"))
            words = {"step": step, "total": total, "left": duration(left, self.language)}
            if not cancel.is_set():
                self.status.value = components.status(
                    self.say(
                        mark("step {step} of {total}, {left} left")
                        if step < total
                        else mark("decoding the frames, about {left} left"),
                        **words,
                    )
                )

        def on_preview(data: bytes) -> None:
            name = self.say("The video in progress")
            self.output.value = components.animation(data, name)
            self.small.value = components.small(components.data_url(data, "image/webp"), name)

        def on_image(picture: Any) -> None:
            self.input.value = components.picture(picture, self.say("The picture from the image model"))

        try:
            remarks = "".join(map(components.problem, self.session.remarks(values)))
            self.result.value = remarks
            run, _ = self.session.make(values, on_step, on_preview, on_image, cancel, snapshot)
            self._present(run)
            self.result.value = remarks + self.result.value
            self.history.show()
            self.progress.value = components.progress_bar(1, self.say("progress"))
            path = html.escape((self.session.history.folder / run["file"]).as_posix())
            done = self.say("Done! Seed <b>{seed}</b>, {path}", seed=run["call"]["seed"], path=path)
            last = components.status(f"{done}<span class=svd-aside><br>{self._took(run)}</span>", "good")
        except BaseException as error:
            self.progress.value, self.small.value = "", ""
            self.output.value = components.placeholder(self.say("The video appears here"))
            stopped = isinstance(error, Cancelled)
            details = "" if stopped else components.details(self.say("Details (traceback)"), traceback.format_exc())
            last = components.status(html.escape(explain(error, self.language)), "" if stopped else "problem") + details
        finally:
            self.cancel_button.disabled = True
            self.run_button.icon = "play"
            self._changed()
            self._running.release()
        self.status.value = last  # last, so that whoever reads "done" can press Run

    def _took(self, run: dict[str, Any]) -> str:
        """How long the run took, and how far off the estimate was."""
        took = duration(run["seconds"], self.language)
        if not run["estimated"]:
            return self.say("It took {seconds}.", seconds=took)
        percent = f"{100 * (run['seconds'] / run['estimated'] - 1):+.0f}"
        return self.say(
            "It took {seconds}; the estimate was {estimated}, {percent}% off.",
            seconds=took,
            estimated=duration(run["estimated"], self.language),
            percent=percent,
        )

    def _stop(self) -> None:
        if self._running.locked():
            self._cancel.set()
            self.cancel_button.disabled = True
            self.status.value = components.status(self.say("Stopping…"))

    def _present(self, run: dict[str, Any]) -> None:
        self.output.value = history_view.video(self.session, run)
        frame = self.session.history.thumbnail(run, 256)
        self.small.value = components.small(components.jpeg_url(frame), run["file"]) if frame else ""
        self.result.value = history_view.about(self.session, run)

    def _restore(self, run: dict[str, Any]) -> None:
        if not self._running.locked():
            self._present(run)
        for name, entry in self._inputs.items():
            if name in run["texts"]:
                entry.value = str(run["texts"][name])
        picture = run.get("picture") or {"source": run.get("source"), "crop": CENTRE}
        if self.picker is not None and picture["source"]:
            self.picker.use(picture["source"], picture["crop"])
        model = run.get("model")
        if model and model["name"] in dict(self.model.model.options).values():
            self.model.choose(model["name"], model.get("speed", "exact"), settings=False)
        if not self._running.locked():
            self.status.value = components.status(
                self.say("The settings of number {number} are restored.", number=run["number"])
            )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
