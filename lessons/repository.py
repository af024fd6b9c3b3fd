"""Say where this repository is published, everywhere at once.

    python lessons/repository.py https://github.com/NAME/svd-lab     # links, badges, the notebooks' first cell, the metadata
    python lessons/repository.py --none                              # no address: none of them is shown

The address is in one place, `[project.urls]` of pyproject.toml; the READMEs' tables and their line that clones, the notebooks and
CITATION.cff are written from it. Without one, no link to Binder, Colab or Kaggle is shown, and a notebook that does not find
svd-lab says how to install it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "pyproject.toml"
CITATION = ROOT / "CITATION.cff"
MARKS = ("# The repository's address is written by lessons/repository.py\n", "# end of the address\n")
_ADDRESS = re.compile(r"https://github\.com/[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")


def address() -> str | None:
    """The repository's address, or None if it is not published yet."""
    return tomllib.loads(PROJECT.read_text("utf-8"))["project"].get("urls", {}).get("Repository")


def with_address(text: str, repository: str | None) -> str:
    """pyproject.toml's `text` with an address, or without one.

    Raises:
        ValueError: Not the address of a GitHub repository, which Binder, Colab and Kaggle open notebooks from.
    """
    if repository is None:
        return _between_marks(text, "")
    repository = repository.removesuffix("/").removesuffix(".git")
    if not _ADDRESS.fullmatch(repository):
        raise ValueError(
            f"not the address of a GitHub repository: {repository!r}; give one as https://github.com/NAME/svd-lab"
        )
    urls = {
        "Repository": repository,
        "Documentation": f"{repository}/tree/HEAD/docs",
        "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    lines = "".join(f'{name} = "{url}"\n' for name, url in urls.items())
    return _between_marks(text, f"[project.urls]\n{lines}")


def cited(text: str, repository: str | None) -> str:
    """CITATION.cff's `text` with an address that `with_address` has taken, or without one."""
    return _between_marks(text, f"repository-code: {repository}\n" if repository else "")


def _between_marks(text: str, lines: str) -> str:
    before, rest = text.split(MARKS[0])
    return f"{before}{MARKS[0]}{lines}{MARKS[1]}{rest.split(MARKS[1])[1]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("address", nargs="?", help="https://github.com/NAME/REPOSITORY")
    group.add_argument("--none", action="store_true", help="the repository is not published")
    options = parser.parse_args()
    try:
        text = with_address(PROJECT.read_text("utf-8"), None if options.none else options.address)
    except ValueError as error:
        parser.error(str(error))
    PROJECT.write_text(text, "utf-8")
    CITATION.write_text(cited(CITATION.read_text("utf-8"), address()), "utf-8")
    for command in (["lessons/build.py"], ["docs/lesson_table.py", "--table"]):
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
