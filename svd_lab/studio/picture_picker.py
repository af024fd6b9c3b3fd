"""The studio's picture picker: a bundled picture, an upload, a path or an address; and what the model will get of it."""

from __future__ import annotations

import html
import sys
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from svd_lab.bundled import PICTURES
from svd_lab.images import open_image
from svd_lab.language import mark, say
from svd_lab.studio import components
from svd_lab.studio.crop import CENTRE, window
from svd_lab.studio.messages import explain_picture
from svd_lab.studio.session import Session

_NAMES = (mark("ball"), mark("balloon"), mark("boat"), mark("car"), mark("rabbit"), mark("rocket"))

#: The share of a picture below which nobody sees that it is cut off.
NOTHING = 0.03


class PicturePicker:
    """The widgets to choose a picture with, in `.box`.

    Args:
        session: Gets the picture.
        shown: Where the picture is shown as the model will get it; `.slider`, which moves the crop, belongs below it.
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
        self.upload.add_class(f"svd-upload-{self.language}")
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
        about = widgets.HTML(f"<div class=svd-help>{html.escape(_limit(self.language))}</div>")
        self.slider = widgets.FloatSlider(
            min=0, max=1, step=0.01, value=CENTRE, readout=False, description=say("Move the crop", self.language)
        )
        self.slider.add_class("svd-entry")
        self.slider.observe(self._moved, "value")
        self.box = widgets.VBox([components.row(list(self._cards.values())), own, about, self.problem])
        self.show()

    def use(self, source: str, crop: float = CENTRE) -> None:
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
                self.session.source, self.session.picture, self.session.crop = source, picture, crop
            self.slider.value = crop
            self.show()
            self.changed()

        threading.Thread(target=work, name="svd-lab studio: picture", daemon=True).start()

    def show(self) -> None:
        """Show the picture as the model will get it with the current fields, and mark the chosen card."""
        for name, card in self._cards.items():
            (card.add_class if name == self.session.source else card.remove_class)("svd-chosen")
        self._show_slider()
        try:
            found = self.session.model_input()
        except ValueError as error:  # too long and thin to crop
            self.shown.value, self.problem.value = "", components.problem(explain_picture(error, self.language))
            return
        if found is not None:
            name = say("What the model gets ({width}×{height})", self.language, width=found.width, height=found.height)
            self.shown.value, self.problem.value = components.picture(found, name), ""

    def _show_slider(self) -> None:
        """Show the slider where the picture's shape differs from the video's and the rest is cut off."""
        size, picture = self.session.size(), self.session.picture
        cut = window(picture.size, size) if size and picture and self.session.texts["fit"] == "crop" else None
        lost = 1 - (cut[2] - cut[0]) * (cut[3] - cut[1]) / (picture.width * picture.height) if cut else 0
        self.slider.layout.display = "" if lost > NOTHING else "none"
        if cut:
            sideways = cut[2] - cut[0] < picture.width
            way = mark("left to right") if sideways else mark("top to bottom")
            self.slider.tooltip = say(way, self.language)

    def _moved(self, change: dict[str, Any]) -> None:
        if change["new"] != self.session.crop:
            self.session.crop = change["new"]
            self.show()

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


def _limit(language: str) -> str:
    """How large an upload may be: Jupyter's server takes messages of 10 MiB, Colab loses larger uploads without a word
    [jupyter-widgets/ipywidgets issue 3452]."""
    if "google.colab" in sys.modules:
        return say(
            "On Colab the button takes pictures up to 1 MB. Put a larger one into the Files panel on the left, and enter "
            "its path, such as /content/cat.jpg",
            language,
        )
    return say("JPEG, PNG, WebP and others, up to 8 MB. For a larger one, enter its path", language)
