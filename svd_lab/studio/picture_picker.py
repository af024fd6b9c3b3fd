"""The studio's part where a picture is chosen: the bundled ones, an upload, a path or an address; and what the model will see."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from svd_lab.bundled import PICTURES
from svd_lab.images import open_image
from svd_lab.studio import components
from svd_lab.studio.messages import LANGUAGES, NAMES, explain_picture, say
from svd_lab.studio.session import Session


class PictureView:
    """`.box` is the part; in `seen` stands what the model will see; changed() is called when there is another picture."""

    def __init__(self, session: Session, seen: widgets.HTML, changed: Callable[[], object]) -> None:
        self.session, self.language, self.changed = session, session.language, changed
        self._wanted = 0  # the latest picture that was asked for: a slow address must not replace a later choice
        self._guard = threading.Lock()
        self.seen, self.problem = seen, widgets.HTML()
        self._cards = {name: self._card(name) for name in PICTURES}
        self.upload = widgets.FileUpload(accept="image/*", multiple=False, description=say("upload", self.language))
        self.upload.layout.width = "auto"
        self.upload.observe(self._uploaded, "value")
        self.path = widgets.Text(
            description=say("path", self.language), placeholder=say("path_hint", self.language), continuous_update=False
        )
        self.path.add_class("svd-entry")
        self.path.observe(lambda change: change["new"].strip() and self.use(change["new"].strip()), "value")
        opener = components.button(
            say("open", self.language), lambda: self.path.value.strip() and self.use(self.path.value.strip())
        )
        own = components.row([self.upload, self.path, opener])
        own.add_class("svd-own")
        about = widgets.HTML(f"<div class=svd-help>{html.escape(say('upload_help', self.language))}</div>")
        self.box = widgets.VBox([components.row(list(self._cards.values())), own, about, self.problem])
        self.show()

    def use(self, source: str) -> None:
        """Open a picture in a thread of its own: a server may take its time."""
        with self._guard:
            self._wanted += 1
            mine = self._wanted
        self.problem.value = components.note(say("opening", self.language))

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
        """The picture as the model will see it, by the fields of now; the chosen card is marked."""
        for name, card in self._cards.items():
            (card.add_class if name == self.session.source else card.remove_class)("svd-chosen")
        try:
            seen = self.session.seen()
        except ValueError as error:  # too long and thin to crop
            self.seen.value, self.problem.value = "", components.problem(explain_picture(error, self.language))
            return
        if seen is not None:
            words = say("seen", self.language, width=seen.width, height=seen.height)
            self.seen.value, self.problem.value = components.still(seen, words), ""

    def _card(self, name: str) -> widgets.Widget:
        shown = NAMES.get(name, (name, name))[LANGUAGES.index(self.language)]
        small = open_image(PICTURES[name], size=(112, 64))
        picture = widgets.HTML(f'<img class=svd-thumb src="{components.jpeg(small)}" alt="{html.escape(shown)}">')
        choose = components.button(shown, lambda: self.use(name))
        choose.tooltip = say("use_picture", self.language, name=shown)
        card = widgets.VBox([picture, choose])
        card.add_class("svd-pick")
        return card

    def _uploaded(self, change: dict[str, Any]) -> None:
        if change["new"]:
            file = change["new"][0]
            path = self.session.shelf.keep_picture(file["name"], bytes(file["content"]))
            self.upload.value = ()  # the same file can be given again, and the kernel keeps no second copy
            self.use(path.as_posix())
