"""The studio's widgets, over a `Session`. Whatever is clicked is handled in the kernel's main thread within milliseconds; a run,
the measuring and the opening of a picture have threads of their own, which only set `.value` and `.disabled`."""

from __future__ import annotations

import html
import secrets
import threading
import time
import traceback
from typing import Any

import ipywidgets as widgets

from svd_lab.runner import Cancelled
from svd_lab.settings_table import Setting
from svd_lab.studio import components, history_view
from svd_lab.studio.messages import LANGUAGES, duration, explain, say, size
from svd_lab.studio.picture_picker import PictureView
from svd_lab.studio.session import VIDEO, Session


class Page:
    """`.box` is the panel. `.thread`: the run that goes on, or the latest one."""

    def __init__(self, session: Session) -> None:
        self.session, self.language = session, session.language
        self.thread: threading.Thread | None = None
        self._cancel = threading.Event()
        self._one = threading.Lock()  # held while a run goes on
        self._prepared = False
        self._inputs: dict[str, Any] = {}
        self._problems: dict[str, widgets.HTML] = {}
        self.estimate = widgets.HTML()
        self.run_button = components.button(self.say("run"), self._run, "primary", "play")
        self.cancel_button = components.button(self.say("cancel"), self._stop, "warning", "stop")
        self.cancel_button.disabled = True
        self.progress, self.status = widgets.HTML(), widgets.HTML()
        # On the stage stand the picture and, beside it, what becomes of it.
        self.start = widgets.HTML(components.empty(self.say("picture_here")))
        self.stage = widgets.HTML(components.empty(self.say("video_here")))
        self.result = widgets.HTML()
        self.history = history_view.ShelfView(session, self._restore)
        self.picture = PictureView(session, self.start, self._changed) if session.call == VIDEO else None
        self.box = self._lay_out()
        components.keep_reachable(self.box)
        self._changed()

    def say(self, key: str, **values: object) -> str:
        return say(key, self.language, **values)

    def prepare(self) -> None:
        """Measure in a thread, once; called when the panel is shown."""
        if self._prepared:
            return
        self._prepared = True
        self.estimate.value = components.note(self.say("measuring"))

        def work() -> None:
            self.session.prepare()
            self._show_estimate()

        threading.Thread(target=work, name="svd-lab studio: measure", daemon=True).start()

    # what it looks like

    def _lay_out(self) -> widgets.Widget:
        basic = [self._field(field) for field in self.session.fields if field.basic]
        more = components.flow([self._field(field) for field in self.session.fields if not field.basic])
        more.layout.display = "none"
        toggle = components.button(self.say("more"), None, "", "sliders")

        def turn(_: Any) -> None:
            closed = more.layout.display == "none"
            more.layout.display = "flex" if closed else "none"
            toggle.description = self.say("fewer" if closed else "more")

        toggle.on_click(turn)
        title = self.say("title_video" if self.session.call == VIDEO else "title_text")
        parts = [widgets.HTML(components.STYLE + f"<h3>{html.escape(title)}</h3>")]
        if self.picture is not None:
            parts.append(self.picture.box)
        parts.append(components.flow([components.card([self.start]), components.card([self.stage])]))
        parts += [components.flow(basic), components.row([toggle]), more, self.estimate]
        parts += [components.row([self.run_button, self.cancel_button]), self.progress, self.status]
        parts += [self.result, self.history.box]
        box = widgets.VBox(parts)
        box.add_class("svd-studio")
        return box

    def _field(self, field: Setting) -> widgets.Widget:
        here = LANGUAGES.index(self.language)
        label, unit = field.label[here], field.unit[here]
        limits = ""
        if field.kind in ("whole", "real", "side"):
            limits = self.say("range", low=f"{field.low:g}", high=f"{field.high:.10g}") + (f" {unit}" if unit else "")
        blank = field.blank[here] if field.blank else ""
        text = self.session.texts[field.name]
        if field.kind == "fit":
            options = [(words[here], value) for value, words in field.presets]
            entry: Any = widgets.Dropdown(description=label, options=options, value=text)
        elif field.kind == "lines":
            entry = widgets.Textarea(description=label, value=text, continuous_update=False, rows=2)
        else:
            entry = widgets.Text(description=label, value=text, placeholder=blank, continuous_update=False)
        entry.add_class("svd-entry")
        entry.observe(lambda change: self._typed(field.name, change["new"]), "value")
        self._inputs[field.name] = entry
        presets = [
            self._preset(field, label, value, words[here]) for value, words in field.presets if field.kind != "fit"
        ]
        if field.name == "seed":
            draw = components.button(
                self.say("draw_seed"), lambda: self._enter("seed", str(secrets.randbelow(2**32))), "", "random"
            )
            presets.append(draw)
        about = html.escape(field.help[here]) + (
            f" <span class=svd-range>({html.escape(limits)})</span>" if limits else ""
        )
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
        made.tooltip = self.say("preset_tip", label=label, value=text)
        made.add_class("svd-preset")
        return made

    # what happens

    def _enter(self, name: str, text: str) -> None:
        self._inputs[name].value = text

    def _typed(self, name: str, text: str) -> None:
        self.session.texts[name] = text
        self._changed()
        if self.picture is not None and name in ("width", "height", "fit"):
            self.picture.show()

    def _changed(self) -> None:
        _, problems = self.session.read()
        for name, shown in self._problems.items():
            shown.value = components.problem(problems[name]) if name in problems else ""
        self._show_estimate()

    def _show_estimate(self) -> None:
        values, problems = self.session.read()
        if problems:
            self.estimate.value = components.note(self.say("fix_first"))
        elif self.session.unmeasured:
            self.estimate.value = components.note(self.say("no_estimate", reason=html.escape(self.session.unmeasured)))
        elif (found := self.session.estimate(values)) is not None:
            words = self.say("takes", seconds=duration(found.seconds, self.language), memory=size(found.bytes))
            free = self.session.free_memory()
            if free is not None:
                words += self.say("free", free=size(free))
            warning = components.problem(self.say("too_much")) if free is not None and found.bytes > free else ""
            self.estimate.value = components.note("⏱ " + words) + warning

    def _run(self) -> None:
        values, problems = self.session.read()
        self._changed()
        if problems:
            self.status.value = components.status(self.say("fix_first"), "problem")
            return
        if self.picture is not None and self.session.picture is None:
            self.status.value = components.status(self.say("no_picture"), "problem")
            return
        if not self._one.acquire(blocking=False):
            self.status.value = components.status(self.say("busy"), "problem")
            return
        self._cancel = threading.Event()
        self.cancel_button.disabled = False
        self.run_button.icon = "spinner"
        self.status.value = components.status(self.say("starting"))
        self.result.value = ""
        self.progress.value = components.bar(0, self.say("progress"))
        # The session's fields may be changed while it runs: what is made is what stood there when Run was pressed.
        held = self.session.held()
        self.thread = threading.Thread(
            target=self._work, args=(values, held, self._cancel), name="svd-lab studio: run", daemon=True
        )
        self.thread.start()

    def _work(self, values: dict[str, Any], held: dict[str, Any], cancel: threading.Event) -> None:
        begun = time.perf_counter()
        reached = [0.0]

        def on_step(step: int, total: int, left: float) -> None:
            elapsed = time.perf_counter() - begun
            reached[0] = max(reached[0], elapsed / max(elapsed + left, 1e-9))
            self.progress.value = components.bar(reached[0], self.say("progress"))
            words = {"step": step, "total": total, "left": duration(left, self.language)}
            if not cancel.is_set():
                self.status.value = components.status(self.say("step" if step < total else "decoding", **words))

        def on_preview(data: bytes) -> None:
            self.stage.value = components.moving(data, self.say("preview"))

        def on_image(picture: Any) -> None:
            self.start.value = components.still(picture, self.say("drawn"))

        try:
            remarks = "".join(map(components.problem, self.session.remarks(values)))
            self.result.value = remarks
            run, _ = self.session.make(values, on_step, on_preview, on_image, cancel, held)
            self._present(run)
            self.result.value = remarks + self.result.value
            self.history.show()
            self.progress.value = components.bar(1, self.say("progress"))
            path = html.escape((self.session.shelf.folder / run["file"]).as_posix())
            done = self.say("done", seed=run["call"]["seed"], path=path)
            last = components.status(f"{done}<br>{self._off(run)}", "good")
        except BaseException as error:
            self.progress.value, self.stage.value = "", components.empty(self.say("video_here"))
            stopped = isinstance(error, Cancelled)
            details = "" if stopped else components.details(self.say("details"), traceback.format_exc())
            last = components.status(html.escape(explain(error, self.language)), "" if stopped else "problem") + details
        finally:
            self.cancel_button.disabled = True
            self.run_button.icon = "play"
            self._changed()
            self._one.release()
        self.status.value = last  # not before another run can start: who reads "done" may press Run

    def _off(self, run: dict[str, Any]) -> str:
        took = duration(run["seconds"], self.language)
        if not run["estimated"]:
            return self.say("took_only", seconds=took)
        percent = f"{100 * (run['seconds'] / run['estimated'] - 1):+.0f}"
        return self.say("took", seconds=took, estimated=duration(run["estimated"], self.language), percent=percent)

    def _stop(self) -> None:
        if self._one.locked():
            self._cancel.set()
            self.cancel_button.disabled = True
            self.status.value = components.status(self.say("stopping"))

    def _present(self, run: dict[str, Any]) -> None:
        self.stage.value = history_view.video(self.session, run)
        self.result.value = history_view.about(self.session, run)

    def _restore(self, run: dict[str, Any]) -> None:
        if not self._one.locked():
            self._present(run)
        for name, entry in self._inputs.items():
            if name in run["texts"]:
                entry.value = str(run["texts"][name])
        if self.picture is not None and run.get("source"):
            self.picture.use(run["source"])
        if not self._one.locked():
            self.status.value = components.status(self.say("restored", number=run["number"]))
