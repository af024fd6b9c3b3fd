"""Open a studio: a panel in a notebook over `generate_video` or `generate_text2video`.

    from svd_lab.studio import video_studio
    studio = video_studio(pipe)
    studio  # the panel, as the last line of a cell; afterwards studio.clip is the latest video

The panel only makes the call, and "as code" shows it. Where no one can press a button (papermill, nbval, a terminal, a script) the
settings are printed as a table; with run_headless=True one video is made with them.
"""

from __future__ import annotations

import os
import sys
import threading
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svd_lab.language import check_language, reader_language, say

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
    """Open a panel that makes videos from pictures.

    Args:
        pipe: From load_video_pipeline(); None loads load_video_pipeline("auto") once and keeps it.
        language: "ko" or "en". None: the reader's (see `svd_lab.language.reader_language`); without a front end the table then has
            only the settings' names.
        image: The initial picture: a bundled one's name ("rocket", "rabbit", …) or whatever `open_image` takes.
        out_dir: The folder for videos, contact sheets, uploaded pictures and runs.jsonl; its earlier runs are the history.
        run_headless: Without a front end, make one video with these settings, in this thread.
        **settings: Initial values of fields, by the names of generate_video.

    Raises:
        TypeError: An unknown setting; a pipe or picture of the wrong type.
        ValueError, OSError: As `generate_video`, for a picture or folder that cannot be used; ValueError also for an invalid
            setting with run_headless=True.
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
    """Open a panel that makes videos from prompts.

    Args:
        image_pipe: From load_image_pipeline(); None loads load_image_pipeline("auto") once and keeps it.
        prompt: The initial prompt.

    The other arguments and the errors are those of `video_studio`, with the names of generate_text2video.
    """
    from svd_lab.generation import check_video_pipe
    from svd_lab.studio.session import TEXT
    from svd_lab.text2video import check_image_pipe

    pipe, image_pipe = check_video_pipe(pipe), check_image_pipe(image_pipe)
    return _open(TEXT, pipe, image_pipe, language, out_dir, {"prompt": prompt, **settings}, None, run_headless)


class Studio:
    """An open panel; as the last line of a cell it shows itself."""

    def __init__(self, session: Any, plain: bool = False) -> None:
        self._session, self._panel, self._plain = session, None, plain
        self._guard = threading.Lock()

    @property
    def clips(self) -> list[Clip]:
        """The videos made since it was opened, in order."""
        return list(self._session.clips)

    @property
    def clip(self) -> Clip | None:
        """The latest video, or None."""
        return self._session.clips[-1] if self._session.clips else None

    def wait(self, timeout: float | None = None) -> Clip | None:
        """Wait until the current run has ended, at most `timeout` seconds; return the latest clip."""
        thread = self._panel.thread if self._panel is not None else None
        if thread is not None:
            thread.join(timeout)
        return self.clip

    def run(self) -> Clip:
        """Make one video with the panel's settings, in this thread; raises ValueError, with the messages, for invalid ones."""
        values, problems = self._session.read()
        if problems:
            raise ValueError("; ".join(problems.values()))
        return self._session.make(values)[1]

    @property
    def panel(self) -> Any:
        """The panel as an ipywidgets box, to combine with other widgets."""
        return self._open_panel().box

    def __repr__(self) -> str:
        return f"Studio({len(self._session.history.runs)} videos in {_from_here(self._session.history.folder)})"

    def table(self) -> str:
        """Format the settings as text, one a line, in columns."""
        session = self._session
        if self._plain:
            rows = [("picture", _from_here(session.source))] if session.source else []
            return _lay_out(rows + [(field.name, session.texts[field.name] or "None") for field in session.fields])
        rows = [(say("Picture", session.language), _from_here(session.source), "")] if session.source else []
        for field in session.fields:
            blank = f"({say(field.blank, session.language)})" if field.blank else ""
            rows.append(
                (
                    say(field.label, session.language),
                    session.texts[field.name] or blank,
                    f"{field.name} {say(field.unit, session.language) if field.unit else ''}".strip(),
                )
            )
        return _lay_out(rows)

    def _open_panel(self) -> Any:
        from svd_lab.studio.panel import Panel

        with self._guard:
            if self._panel is None:
                self._panel = Panel(self._session)
        self._panel.prepare()
        return self._panel

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        if not has_front_end():
            return {"text/plain": repr(self)}
        bundle = self._open_panel().box._repr_mimebundle_()
        return {**bundle, "text/plain": self.table()}  # for pages without widgets


def _from_here(path: Any) -> str:
    """A path in the working folder as a relative one: a notebook that is passed on need not reveal the folders above."""
    path = str(path)
    return os.path.relpath(path) if os.path.isabs(path) and Path(path).is_relative_to(Path.cwd()) else path


def has_front_end() -> bool:
    """Whether someone can press a button: the running cell was sent by a page, not by a program.

    A page allows a cell to ask for input; papermill and nbval do not [Jupyter messaging, execute_request allow_stdin]. Voilà
    executes the notebook like a program, but shows a page afterwards.
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
    language = check_language(language) if language is not None else reader_language()
    session = Session(call, pipe, image_pipe, language, out_dir, settings)
    if call == VIDEO:
        text = os.fspath(image) if isinstance(image, str | os.PathLike) else None
        session.use(text if text is not None else session.history.keep_image(open_image(image)).as_posix())
    studio = Studio(session, plain)
    if not has_front_end():
        if not plain:
            print(say("The studio's settings (as a table: there is no front end here)", language))
        print(studio.table())
        if run_headless:
            _show(studio.run())
    return studio


def _show(clip: Clip) -> None:
    """Display the clip in a notebook, or print it elsewhere."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if hasattr(shell, "kernel"):
        from IPython.display import display

        display(clip)
    else:
        print(clip)


def _lay_out(rows: list[tuple[str, ...]]) -> str:
    """Format rows of cells as columns of text."""
    wide = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell + " " * (w - _columns(cell)) for cell, w in zip(row, wide, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _columns(text: str) -> int:
    """The width of a text in a terminal, where a Hangul syllable takes two columns."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
