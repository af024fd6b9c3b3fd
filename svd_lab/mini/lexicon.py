"""The words that the text miniature knows, read from the list that is written with its tokenizer. Imports no torch."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

WORDS = Path(__file__).parent / "text" / "words.json"
#: Korean particles and counters, which follow a noun without a space: 로켓이, 토끼와, 고양이 두 마리.
PARTICLES = "은 는 이 가 을 를 과 와 의 에 에서 에는 위 들 도 로 으로 하고 이랑 랑 마리 위에 위의 옆 옆에".split()


@cache
def _words() -> dict[str, Any]:
    return json.loads(WORDS.read_text(encoding="utf-8"))


@cache
def _known() -> frozenset[str]:
    return frozenset(_words()["known"])


@cache
def style_words() -> frozenset[str]:
    """Words of style and mood that training mixed into captions, so that they do not change the picture."""
    return frozenset(_words()["style"])


def split_words(text: str) -> list[str]:
    """Split a text into words in lower case, Hangul composed (NFC); every digit is a word."""
    return re.findall(r"[^\W\d_]+|\d", unicodedata.normalize("NFC", text).lower())


def unknown_words(prompt: str) -> list[str]:
    """Find the words of a prompt that the text miniature cannot draw.

    Args:
        prompt: English or Korean text, or both.

    Returns:
        The words in order of appearance, each once. Words of style count as unknown (see `style_words`).
    """
    known, unknown = _known(), []
    for word in split_words(prompt):
        korean = "가" <= word[0] <= "힣"
        stems = {word} | {word[: -len(p)] for p in PARTICLES if korean and word.endswith(p) and len(word) > len(p)}
        if not stems & known and word not in unknown:
            unknown.append(word)
    return unknown


def names(language: str) -> dict[str, list[str]]:
    """List what the text miniature can draw.

    Args:
        language: "en" or "ko".

    Returns:
        The names of "things", "colours" and "places", the first name of each.

    Raises:
        KeyError: There are no names in this language.
    """
    return {kind: list(listed) for kind, listed in _words()["names"][language].items()}
