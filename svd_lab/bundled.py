"""What ships inside the package: the weights of the miniatures, and example pictures by name."""

from __future__ import annotations

from pathlib import Path

MINI = Path(__file__).with_name("mini")
PICTURE_FOLDER = MINI / "pictures"
#: Pictures of one thing each, which `svd-lab demo` sets in motion: {name: file}.
PICTURES = {path.stem: path for path in sorted(PICTURE_FOLDER.glob("*.jpg"))}
#: More pictures for lessons and the studio: a photograph, and what the text miniature draws for the lessons' prompts.
EXAMPLES = {path.stem: path for path in sorted((PICTURE_FOLDER / "examples").glob("*.jpg"))}
#: All pictures that are opened by name.
BUNDLED = {**PICTURES, **EXAMPLES}
#: The low-rank delta that makes mini-turbo of the video miniature.
TURBO = MINI / "turbo.safetensors"


def mini_folder() -> Path:
    """The folder of the video miniature, in diffusers' layout."""
    return MINI / "weights"


def text_mini_folder() -> Path:
    """The folder of the text miniature, in diffusers' layout."""
    return MINI / "text"
