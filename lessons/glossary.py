"""The glossary: lessons/glossary.toml → docs/glossary.md and its Korean twin, and links from each term's first use in a lesson.

`build.py` calls this; nothing here is run by hand.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
PAGES = {"en": "docs/glossary.md", "ko": "docs/glossary.ko.md"}
_INTRO = {
    "en": "# Glossary\n\n[한국어](glossary.ko.md)\n\nThe terms of the lessons, as the field uses them.\n\n"
    "| term | Korean | meaning | lesson |\n|---|---|---|---|\n",
    "ko": "# 용어집\n\n[English](glossary.md)\n\n강의에 나오는 용어예요. 이 분야에서 널리 쓰는 말이에요.\n\n"
    "| 용어 | 영어 | 뜻 | 강의 |\n|---|---|---|---|\n",
}
#: What must not get a link: code, formulas, pictures and links, addresses, HTML, headings.
_CLOSED = re.compile(
    r"(?s)```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|!?\[[^\]]*\]\([^)]*\)|<[^>]*>|^#+ [^\n]*|^\|[ \-|]*\|$", re.M
)


@cache
def terms() -> list[dict[str, object]]:
    """The terms in the file's order: id, lesson, ko and en (spellings; the first is the entry), meaning_ko, meaning_en."""
    found = tomllib.loads((HERE / "glossary.toml").read_text("utf-8"))["term"]
    if len({term["id"] for term in found}) != len(found):
        raise ValueError("lessons/glossary.toml: two terms have the same id")
    return found


def page(language: str) -> str:
    """The glossary's page, in alphabetical order, with an anchor for each term."""
    other = {"en": "ko", "ko": "en"}[language]
    rows = [
        f'| <a id="{term["id"]}"></a>{term[language][0]} | {term[other][0]} | {term[f"meaning_{language}"]} | {term["lesson"]} |\n'
        for term in sorted(terms(), key=lambda term: term[language][0].lower())
    ]
    return _INTRO[language] + "".join(rows)


def _pattern(term: dict[str, object], language: str) -> re.Pattern[str]:
    # Korean words take endings, and neither language's may begin inside another word. Capitals count where the entry has them only
    # (CLIP is not a clip).
    spellings = (
        re.escape(spelling) if spelling.isupper() else f"(?i:{re.escape(spelling)})"
        for spelling in _longest(term[language])
    )
    joined = "|".join(spellings)
    return re.compile(rf"(?<![가-힣])(?:{joined})" if language == "ko" else rf"\b(?:{joined})\b")


def _longest(spellings: list[str]) -> list[str]:
    return sorted(spellings, key=len, reverse=True)


def link_first_uses(cells: list[NotebookNode], language: str) -> None:
    """Make each term's first use in the Markdown of a notebook a link to the glossary, in place."""
    target = f"../../{PAGES[language]}"
    waiting = {term["id"]: _pattern(term, language) for term in terms()}
    for cell in (cell for cell in cells if cell.cell_type == "markdown"):
        for name, pattern in list(waiting.items()):
            closed = [match.span() for match in _CLOSED.finditer(cell.source)]
            for match in pattern.finditer(cell.source):
                if not any(start < match.end() and match.start() < end for start, end in closed):
                    link = f"[{match[0]}]({target}#{name})"
                    cell.source = cell.source[: match.start()] + link + cell.source[match.end() :]
                    del waiting[name]
                    break


def without_links(text: str) -> str:
    """Markdown without its links to the glossary: what the languages share, and what claims.toml quotes."""
    return re.sub(r"\[([^\]]*)\]\([./]*docs/glossary(?:\.ko)?\.md#[^)]*\)", r"\1", text)
