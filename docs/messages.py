"""Bring the catalogue of messages up to date with the code, and compile it: svd_lab/locale/ko/LC_MESSAGES/svd_lab.po and .mo.

    python docs/messages.py           # after a message was changed: new ones come without Korean, and are listed
    python docs/messages.py --check   # change nothing; fail if something would change

A message is the first argument of `say` or `mark` (see svd_lab/language.py). Write its Korean into the .po, then run this again.
Needs babel, which the project's test extra brings; only the .mo is read at run time, by Python's gettext.
"""

from __future__ import annotations

import argparse
import gettext
import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
PO = ROOT / "svd_lab" / "locale" / "ko" / "LC_MESSAGES" / "svd_lab.po"
MO = PO.with_suffix(".mo")
HEADER = 'msgid ""\nmsgstr ""\n"Language: ko\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
NEVER = datetime(2026, 1, 1, tzinfo=UTC)  # babel would write the hour of the compilation
OWN_TEXTS = ("training", "questions")  # the workshop is not in the wheel; questions have both languages in place


def messages() -> dict[str, str]:
    """The messages of the code with the first file that has each, in its order."""
    found: dict[str, str] = {}
    keep = extract_from_dir(
        ROOT / "svd_lab",
        keywords={"say": None, "mark": None},
        comment_tags=(),
        directory_filter=lambda folder: Path(folder).name not in OWN_TEXTS,
    )
    for file, _, message, _, _ in sorted(keep, key=lambda row: (row[0], row[1])):
        found.setdefault(message, file)
    return found


def catalogue() -> Catalog:
    """The catalogue as it is on disk."""
    with PO.open("rb") as file:
        return read_po(file, locale="ko", abort_invalid=True)


def updated() -> Catalog:
    """The catalogue with exactly the messages of the code, and the Korean that it has for them."""
    old, new = catalogue(), Catalog(locale="ko", fuzzy=False)
    for message, file in messages().items():
        known = old.get(message)
        new.add(message, known.string if known else "", locations=[(f"svd_lab/{file}", None)])
    return new


def written(new: Catalog) -> tuple[bytes, bytes]:
    """The .po and the .mo of a catalogue. Both change with the messages alone, the .mo with the version of babel, too."""
    po, mo = io.BytesIO(), io.BytesIO()
    write_po(po, new, width=0, omit_header=True)
    text = HEADER.encode() + po.getvalue()
    compiled = read_po(io.BytesIO(text), locale="ko")
    compiled.creation_date = compiled.revision_date = NEVER
    write_mo(mo, compiled)
    return text, mo.getvalue()


def read_mo(data: bytes) -> dict[str, str]:
    """The messages of a .mo, as gettext reads them."""
    return {text: form for text, form in gettext.GNUTranslations(io.BytesIO(data))._catalog.items() if text}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something would change")
    options = parser.parse_args()
    new = updated()
    po, mo = written(new)
    files = {PO: po, MO: mo}
    stale = [PO] if PO.read_bytes() != po else []
    stale += [MO] if not MO.is_file() or read_mo(MO.read_bytes()) != read_mo(mo) else []
    missing = [message.id for message in new if message.id and not message.string]
    for message in missing:
        print(f"no Korean yet: {message!r}")
    for path in stale:
        if options.check:
            print(f"{path.relative_to(ROOT)} is not up to date: python docs/messages.py", file=sys.stderr)
        else:
            path.write_bytes(files[path])
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if missing or (options.check and stale) else 0


if __name__ == "__main__":
    sys.exit(main())
