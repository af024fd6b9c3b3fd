"""Which language a reader reads: Korean or English."""

from __future__ import annotations

import os
from pathlib import Path

LANGUAGES = ("ko", "en")
Pair = tuple[str, str]  #: a text in Korean and in English


def check_language(language: str) -> str:
    """Return `language` if it is "ko" or "en"; ValueError otherwise."""
    if language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(map(repr, LANGUAGES))}, not {language!r}")
    return language


def notebook_language() -> str | None:
    """The language of the running notebook, None where nothing says it.

    A lesson's notebook sets SVD_LAB_LANGUAGE in its first cell. Other notebooks in a folder "ko" or "en" have that language:
    jupyter_server puts a notebook's path into JPY_SESSION_NAME.
    """
    chosen = os.environ.get("SVD_LAB_LANGUAGE", "")
    if chosen in LANGUAGES:
        return chosen
    folders = Path(os.environ.get("JPY_SESSION_NAME", "")).parent.parts
    return next((folder for folder in reversed(folders) if folder in LANGUAGES), None)


def pick(text: Pair, language: str) -> str:
    """One language of a text."""
    return text[LANGUAGES.index(language)]
