"""Panels in a notebook for what `generate_video` and `generate_text2video` can do.

    from svd_lab.studio.studio import video_studio
    studio = video_studio(pipe)
    studio  # the panel, as the last line of a cell; afterwards studio.clip is the video that was made last

The panel is a skin: what it makes, the call makes, and "as code" shows that call. Where no one can press a button (papermill,
nbval, a terminal, a script) the settings are printed as a table, and with run_headless=True made into one video.
"""

from __future__ import annotations

import os
import sys
import threading
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svd_lab.studio.messages import LANGUAGES, say

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline

    from svd_lab.clip import Clip


def video_studio(
    pipe: StableVideoDiffusionPipeline | None = None,
    *,
    language: str | None = None,
    image: Any = "rocket",
    out_dir: str | os.PathLike[str] = "studio",
    run_headless: bool = False,
    **settings: Any,
) -> Studio:
    """A panel that makes videos from pictures.

    pipe: from load_video_pipeline(); None loads load_video_pipeline("auto") once and keeps it.
    language: "ko" or "en"; None: that of the folder "ko" or "en" in which the notebook lies, else "ko". Without a front end None
        prints the settings' own names and no sentence.
    image: the picture to begin with: a bundled one's name ("rocket", "rabbit", …) or whatever `open_image` takes.
    out_dir: the folder for videos, contact sheets, uploaded pictures and runs.jsonl; runs that lie there are the history.
    run_headless: without a front end, make one video with these settings, in this thread.
    settings: what else the fields begin with, by the names of generate_video.

    Raises as generate_video does for a wrong pipe, picture or folder, TypeError for an unknown setting, and, headless, ValueError
    for a setting that is refused.
    """
    from svd_lab.generation import check_video_pipe
    from svd_lab.studio.session import VIDEO

    return _open(VIDEO, check_video_pipe(pipe), None, language, out_dir, settings, image, run_headless)


def text_studio(
    pipe: StableVideoDiffusionPipeline | None = None,
    image_pipe: StableDiffusionPipeline | None = None,
    *,
    language: str | None = None,
    prompt: str = "a photograph of an astronaut riding a horse",
    out_dir: str | os.PathLike[str] = "studio",
    run_headless: bool = False,
    **settings: Any,
) -> Studio:
    """A panel that makes videos from texts. image_pipe: from load_image_pipeline(), None likewise; all else as video_studio."""
    from svd_lab.generation import check_video_pipe
    from svd_lab.studio.session import TEXT
    from svd_lab.text2video import check_image_pipe

    pipe, image_pipe = check_video_pipe(pipe), check_image_pipe(image_pipe)
    return _open(TEXT, pipe, image_pipe, language, out_dir, {"prompt": prompt, **settings}, None, run_headless)


class Studio:
    """An open panel; as the last line of a cell it shows itself.

    clips: the videos made in it since it was opened, in order. clip: the latest, or None.
    """

    def __init__(self, session: Any, plain: bool = False) -> None:
        self._session, self._page, self._plain = session, None, plain
        self._guard = threading.Lock()

    @property
    def clips(self) -> list[Clip]:
        return list(self._session.clips)

    @property
    def clip(self) -> Clip | None:
        return self._session.clips[-1] if self._session.clips else None

    def wait(self, timeout: float | None = None) -> Clip | None:
        """Until the run that goes on has ended, at most `timeout` seconds; the latest clip."""
        thread = self._page.thread if self._page is not None else None
        if thread is not None:
            thread.join(timeout)
        return self.clip

    def run(self) -> Clip:
        """Make one video with the panel's settings, in this thread. ValueError names what is wrong with them."""
        values, problems = self._session.read()
        if problems:
            raise ValueError("; ".join(problems.values()))
        return self._session.make(values)[1]

    @property
    def panel(self) -> Any:
        """The ipywidgets panel itself, to lay out among other widgets."""
        return self._open_page().box

    def __repr__(self) -> str:
        return f"Studio({len(self._session.shelf.runs)} videos in {_from_here(self._session.shelf.folder)})"

    def table(self) -> str:
        """The settings as text, one a line, in columns."""
        session, here = self._session, LANGUAGES.index(self._session.language)
        if self._plain:
            rows = [("picture", _from_here(session.source))] if session.source else []
            return _lay_out(rows + [(field.name, session.texts[field.name] or "None") for field in session.fields])
        rows = [(say("picture", session.language), _from_here(session.source), "")] if session.source else []
        for field in session.fields:
            blank = f"({field.blank[here]})" if field.blank else ""
            rows.append(
                (field.label[here], session.texts[field.name] or blank, f"{field.name} {field.unit[here]}".strip())
            )
        return _lay_out(rows)

    def _open_page(self) -> Any:
        from svd_lab.studio.panel import Page

        with self._guard:
            if self._page is None:
                self._page = Page(self._session)
        self._page.prepare()
        return self._page

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        if not has_front_end():
            return {"text/plain": repr(self)}
        bundle = self._open_page().box._repr_mimebundle_()
        return {**bundle, "text/plain": self.table()}  # for pages that show no widgets


def _from_here(path: Any) -> str:
    """A path below the working folder without the way there, which a notebook that is handed on need not tell."""
    path = str(path)
    return os.path.relpath(path) if os.path.isabs(path) and Path(path).is_relative_to(Path.cwd()) else path


def has_front_end() -> bool:
    """Whether someone can press a button: the cell that runs was sent by a page, not by a program.

    A page lets a cell ask for input, papermill and nbval do not [Jupyter messaging, execute_request allow_stdin]. Voilà runs the
    notebook as a program does, for a page that it shows afterwards.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return False
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        return True
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def _open(
    call: str,
    pipe: Any,
    image_pipe: Any,
    language: str | None,
    out_dir: Any,
    settings: dict[str, Any],
    image: Any,
    run_headless: bool,
) -> Studio:
    from svd_lab.images import open_image
    from svd_lab.studio.session import VIDEO, Session

    plain = language is None and not has_front_end()
    language = _check_language(language)
    session = Session(call, pipe, image_pipe, language, out_dir, settings)
    if call == VIDEO:
        text = os.fspath(image) if isinstance(image, str | os.PathLike) else None
        session.use(text if text is not None else session.shelf.keep_image(open_image(image)).as_posix())
    studio = Studio(session, plain)
    if not has_front_end():
        print(studio.table() if plain else f"{say('table', language)}\n{studio.table()}")
        if run_headless:
            _show(studio.run())
    return studio


def _show(clip: Clip) -> None:
    """Display the clip where IPython keeps outputs, and say where it lies."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if hasattr(shell, "kernel"):
        from IPython.display import display

        display(clip)
    else:
        print(clip)


def _check_language(language: str | None) -> str:
    """The language to speak; None: that of the notebook's path, which jupyter_server tells in JPY_SESSION_NAME."""
    if language is None:
        folders = Path(os.environ.get("JPY_SESSION_NAME", "")).parent.parts
        return next((folder for folder in reversed(folders) if folder in LANGUAGES), LANGUAGES[0])
    if language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(map(repr, LANGUAGES))}, not {language!r}")
    return language


def _lay_out(rows: list[tuple[str, ...]]) -> str:
    """The cells in columns, as text."""
    wide = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell + " " * (w - _columns(cell)) for cell, w in zip(row, wide, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: Hangul takes two a syllable."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
