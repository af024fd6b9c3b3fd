"""The studio's choice of a model and a speed."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from svd_lab.language import say
from svd_lab.models.table import VIDEO
from svd_lab.models.turbo import SETTINGS as TURBO_SETTINGS
from svd_lab.performance.speed import level
from svd_lab.studio import components
from svd_lab.studio.fields import to_text
from svd_lab.studio.messages import explain
from svd_lab.studio.model_choice import SPEEDS, models_here, name_of, speeds_of
from svd_lab.studio.session import Session


class ModelView:
    """The widgets to choose a model and a speed with, in `.box`. `.loading` is set while a model is loaded.

    Args:
        session: Gets the model.
        enter: Called with a field's name and text: mini-turbo was trained for settings of its own.
        changed: Called after another model or speed is ready.
    """

    def __init__(self, session: Session, enter: Callable[[str, str], object], changed: Callable[[], object]) -> None:
        self.session, self.language, self.enter, self.changed = session, session.language, enter, changed
        self.loading = threading.Event()
        self.thread: threading.Thread | None = None
        self._replaced: dict[str, str] = {}  # what the fields said before mini-turbo's settings were entered
        names = models_here(session.pipe)
        self.model = widgets.Dropdown(
            description=say("Model", self.language),
            options=[(Path(name).name if Path(name).is_dir() else name, name) for name in names],
        )
        self.speed = widgets.Dropdown(description=say("Speed", self.language))
        self.about = widgets.HTML()
        for entry in (self.model, self.speed):
            entry.add_class("svd-entry")
        self._setting = False  # the dropdowns are set by this class, not by a reader
        self._show()
        for entry in (self.model, self.speed):
            entry.observe(self._chosen, "value")
        choices = components.row([self.model, self.speed])
        choices.add_class("svd-own")
        self.box = widgets.VBox([choices, self.about])

    def choose(self, name: str, speed: str, settings: bool = True) -> None:
        """Load a model and set its speed, in a thread of its own. settings: enter those that the model was trained for."""
        if self.loading.is_set() or (name, speed) == (name_of(self.session.pipe), level(self.session.pipe)):
            self._show()
            return
        self.loading.set()
        self.about.value = components.note(html.escape(say("Loading the model…", self.language)))

        def work() -> None:
            try:
                self.session.choose(name, speed)
                problem = ""
            except Exception as error:
                problem = components.problem(explain(error, self.language))
            finally:
                self.loading.clear()
            self._show()
            self.about.value += problem
            if settings and not problem:
                self._enter_settings(name in VIDEO.models and VIDEO.models[name].turbo)
            self.changed()

        self.thread = threading.Thread(target=work, name="svd-lab studio: model", daemon=True)
        self.thread.start()

    def _chosen(self, change: dict[str, Any]) -> None:
        if not self._setting and change["new"] is not None:
            self.choose(self.model.value, self.speed.value)

    def _show(self) -> None:
        """Let the dropdowns say what the session has."""
        name = name_of(self.session.pipe)
        self._setting = True
        try:
            self.model.value = name
            self.speed.options = [(say(SPEEDS[speed], self.language), speed) for speed in speeds_of(self.session.pipe)]
            self.speed.value = level(self.session.pipe)
        finally:
            self._setting = False
        about = say(VIDEO.models[name].about, self.language) if name in VIDEO.models else ""
        self.about.value = f"<div class=svd-help>{html.escape(about)}</div>"

    def _enter_settings(self, turbo: bool) -> None:
        wanted = {name: to_text(value) for name, value in TURBO_SETTINGS.items()}
        texts = self.session.texts
        if turbo and not self._replaced:
            self._replaced = {name: texts[name] for name in wanted}
            changes = wanted
        elif not turbo:
            changes = {name: text for name, text in self._replaced.items() if texts[name] == wanted[name]}
            self._replaced = {}
        else:
            changes = {}
        for name, text in changes.items():
            self.enter(name, text)
