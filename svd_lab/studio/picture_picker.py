"""The studio's picture picker: a bundled picture, an upload, a path or an address; and what the model will get of it."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from svd_lab.bundled import PICTURES
from svd_lab.images import open_image
from svd_lab.language import mark, say
from svd_lab.studio import components
from svd_lab.studio.messages import explain_picture
from svd_lab.studio.session import Session

_NAMES = (mark("ball"), mark("balloon"), mark("boat"), mark("car"), mark("rabbit"), mark("rocket"))


class PicturePicker:
    """The widgets to choose a picture with, in `.box`.

    Args:
        session: Gets the picture.
        shown: Where the picture is shown as the model will get it.
        changed: Called after another picture was opened.
    """

    def __init__(self, session: Session, shown: widgets.HTML, changed: Callable[[], object]) -> None:
        self.session, self.language, self.changed = session, session.language, changed
        self._wanted = 0  # the number of the latest choice: a slow download must not replace a later one
        self._guard = threading.Lock()
        self.shown, self.problem = shown, widgets.HTML()
        self._cards = {name: self._card(name) for name in PICTURES}
        self.upload = widgets.FileUpload(
            accept="image/*", multiple=False, description=say("Upload a picture", self.language)
        )
        self.upload.layout.width = "auto"
        self.upload.observe(self._uploaded, "value")
        self.path = widgets.Text(
            description=say("Path or web address", self.language),
            placeholder=say("photos/cat.jpg, https://…", self.language),
            continuous_update=False,
        )
        self.path.add_class("svd-entry")
        self.path.observe(lambda change: change["new"].strip() and self.use(change["new"].strip()), "value")
        opener = components.button(
            say("Open", self.language), lambda: self.path.value.strip() and self.use(self.path.value.strip())
        )
        own = components.row([self.upload, self.path, opener])
        own.add_class("svd-own")
        limit = say("JPEG, PNG, WebP and others, up to 8 MB. For a larger one, enter its path", self.language)
        about = widgets.HTML(f"<div class=svd-help>{html.escape(limit)}</div>")
        self.box = widgets.VBox([components.row(list(self._cards.values())), own, about, self.problem])
        self.show()

    def use(self, source: str) -> None:
        """Open a bundled name, path or address, in a thread of its own because a server may be slow."""
        with self._guard:
            self._wanted += 1
            mine = self._wanted
        self.problem.value = components.note(say("Opening the picture…", self.language))

        def work() -> None:
            try:
                picture = self.session.open(source)
            except Exception as error:
                with self._guard:
                    if mine == self._wanted:
                        self.problem.value = components.problem(explain_picture(error, self.language))
                return
            with self._guard:
                if mine != self._wanted:
                    return
                self.session.source, self.session.picture = source, picture
            self.show()
            self.changed()

        threading.Thread(target=work, name="svd-lab studio: picture", daemon=True).start()

    def show(self) -> None:
        """Show the picture as the model will get it with the current fields, and mark the chosen card."""
        for name, card in self._cards.items():
            (card.add_class if name == self.session.source else card.remove_class)("svd-chosen")
        try:
            found = self.session.model_input()
        except ValueError as error:  # too long and thin to crop
            self.shown.value, self.problem.value = "", components.problem(explain_picture(error, self.language))
            return
        if found is not None:
            name = say("What the model gets ({width}×{height})", self.language, width=found.width, height=found.height)
            self.shown.value, self.problem.value = components.picture(found, name), ""

    def _card(self, name: str) -> widgets.Widget:
        shown = say(name, self.language)
        small = open_image(PICTURES[name], size=(112, 64))
        picture = widgets.HTML(f'<img class=svd-thumb src="{components.jpeg_url(small)}" alt="{html.escape(shown)}">')
        choose = components.button(shown, lambda: self.use(name))
        choose.tooltip = say("Use this picture: {name}", self.language, name=shown)
        card = widgets.VBox([picture, choose])
        card.add_class("svd-pick")
        return card

    def _uploaded(self, change: dict[str, Any]) -> None:
        if change["new"]:
            file = change["new"][0]
            path = self.session.history.keep_picture(file["name"], bytes(file["content"]))
            self.upload.value = ()  # lets the same file be chosen again, and frees the kernel's copy
            self.use(path.as_posix())
