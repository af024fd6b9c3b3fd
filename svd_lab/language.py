"""Which language a reader reads, and every message in it: `say` looks one up in the catalogue in svd_lab/locale.

The English text of a message is its name there (gettext). `python docs/messages.py` writes the catalogue after a message changed.
"""

from __future__ import annotations

import gettext
import locale
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = ("ko", "en")
Pair = tuple[str, str]  #: a lesson's text in Korean and in English

#: A Korean particle in the two forms that the catalogue writes behind a value, such as 을(를), and the character that decides.
_PARTICLE = re.compile(
    r"""([^\s()\]'"])(['"\]]*(?:\([^()]*\))?['"]*)(은\(는\)|이\(가\)|을\(를\)|이에요\(예요\)|이나\(나\)|\(으\)로)"""
)
_FINAL = dict(zip("0136LMNlmn78", "xxxxlxxlxxll", strict=True))  # read aloud they end in a consonant; "l": in ㄹ

_SPOKEN: ContextVar[str | None] = ContextVar("svd_lab_language", default=None)


def say(message: str, language: str | None = None, /, **values: object) -> str:
    """Return a message in the reader's language.

    Args:
        message: In English, with {placeholders} as for str.format, and braces doubled.
        language: "ko" or "en"; None: `reader_language()`.
        **values: What the placeholders stand for.
    """
    language = language or reader_language()
    text = _catalogue(language).gettext(message).format(**values)
    return _PARTICLE.sub(_particle, text) if language == "ko" else text


def mark(message: str) -> str:
    """Return the message itself: it only goes into the catalogue here, and `say` is called where it is shown."""
    return message


def reader_language() -> str:
    """The language of messages: that of `speaking`, else of the notebook, else of the machine; "en" where it is another."""
    return _SPOKEN.get() or notebook_language() or _machine_language()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Give messages in `language` inside the block, in this thread."""
    token = _SPOKEN.set(check_language(language))
    try:
        yield
    finally:
        _SPOKEN.reset(token)


def check_language(language: str) -> str:
    """Return `language` if it is "ko" or "en"; ValueError otherwise."""
    if language not in LANGUAGES:
        known = ", ".join(map(repr, LANGUAGES))
        raise ValueError(say("language must be one of {known}, not {language!r}", known=known, language=language))
    return language


def notebook_language() -> str | None:
    """The language of the running notebook, None where nothing says it.

    A lesson's notebook sets SVD_LAB_LANGUAGE in its first cell; it may be set anywhere else, too. Other notebooks in a folder "ko"
    or "en" have that language: jupyter_server puts a notebook's path into JPY_SESSION_NAME.
    """
    chosen = os.environ.get("SVD_LAB_LANGUAGE", "").strip().lower()
    if chosen in LANGUAGES:
        return chosen
    folders = Path(os.environ.get("JPY_SESSION_NAME", "")).parent.parts
    return next((folder for folder in reversed(folders) if folder in LANGUAGES), None)


def pick(text: Pair, language: str) -> str:
    """One language of a lesson's text."""
    return text[LANGUAGES.index(language)]


def _machine_language() -> str:
    """The first of the variables that gettext reads decides; Windows has none of them, but knows a language itself."""
    names = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    chosen = next((value for name in names if (value := os.environ.get(name))), None)
    if chosen is None and os.name == "nt":
        chosen = (locale.getlocale()[0] or "").replace("Korean", "ko")
    return "ko" if (chosen or "").lower().startswith("ko") else "en"


def _particle(found: re.Match[str]) -> str:
    """The form of a particle that fits what it follows: 3을, mini를, 7로, 6으로; both forms where that cannot be known."""
    last, closing, both = found.groups()
    if "가" <= last <= "힣":
        final = {0: "", 8: "l"}.get((ord(last) - ord("가")) % 28, "x")
    elif last.isascii() and last.isalnum():
        final = _FINAL.get(last, "")
    else:
        return found[0]
    if both == "(으)로":
        return f"{last}{closing}{'으로' if final == 'x' else '로'}"
    consonant, vowel = both.rstrip(")").split("(")
    return f"{last}{closing}{consonant if final else vowel}"


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation("svd_lab", Path(__file__).parent / "locale", [language], fallback=True)
