"""Draw the known things in other designs, for training the image encoder; the results are not committed.

    npm pack @iconify-json/twemoji @iconify-json/emojione @iconify-json/fxemoji @iconify-json/streamline-emojis
    pip install resvg-py                                 # draws SVG; unpack each archive with tar xzf
    python -m svd_lab.training.assets.build_designs .designs {twemoji,emojione,fxemoji,streamline-emojis}/package

Twemoji, Emoji One 2 and Streamline Emojis are under CC BY 4.0, FxEmojis under Apache 2.0. Each design becomes an atlas like
things.webp; a cell is empty where the design lacks the thing. Held-out things are left out of all of them, and Noto is left out
as a whole, because `unseen_pictures` measures with it.
"""

import argparse
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from svd_lab.mini.catalogue import catalogue
from svd_lab.training.assets.build_things import drawn, save_atlas
from svd_lab.world.atlas import fit

Thing = dict[str, Any]  # see `catalogue`

# Things with a direction that a design draws facing right instead of left.
MIRRORED = {
    "twemoji": ("shopping cart",),
    "emojione": ("eagle",),
    "fxemoji": ("dove", "rat"),
    "streamline-emojis": ("snail",),
}
BOATS = (
    "person surfing", "woman surfing", "man surfing", "person rowing boat", "woman rowing boat", "man rowing boat", "ship",
    "speedboat", "motor boat", "passenger ship", "canoe", "railway car", "tram car",
)  # fmt: skip
CARS = ("police car", "taxi", "automobile", "sport utility vehicle", "sailboat", "bicycle", "bus")
# Things with a direction that a design does not draw from the side, or so that it is not clear which way they face.
UNLIKE = {
    "twemoji": (*BOATS, "roller skate", "honeybee", "mosquito", "deer", "hedgehog"),
    "emojione": (
        *BOATS, *CARS, "racing car", "high-speed train", "articulated lorry", "tractor", "honeybee", "rabbit", "cricket", "rat",
        "mouse", "ox", "water buffalo", "cow", "leopard", "cat", "ram", "ewe", "dog", "pig", "camel", "deer", "small airplane",
        "blowfish", "dolphin", "shark", "shrimp",
    ),
    "fxemoji": (*BOATS, *CARS, "motorcycle", "person biking", "honeybee", "bird", "mouse", "cat", "dog", "pig", "ant", "airplane"),
    "streamline-emojis": (*BOATS, *CARS),
}  # fmt: skip


def squashed(name: str) -> str:
    """A name in lower case, its letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def names_of(thing: Thing) -> list[str]:
    """The squashed names under which a design may have a thing: CLDR's, and Unicode's if it is one character."""
    code = [int(c, 16) for c in thing["code"].split("-") if c != "fe0f"]
    return [squashed(thing["en"]), *([squashed(unicodedata.name(chr(code[0]), ""))] if len(code) == 1 else [])]


class Design:
    """An icon set in iconify's format: an icon for each thing.

    Args:
        folder: An unpacked npm package @iconify-json/….
    """

    def __init__(self, folder: Path):
        icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
        self.name, self.icons = icons["prefix"], icons["icons"]
        self.size = icons.get("width", 16), icons.get("height", 16)
        self.by_name = {squashed(n): n for n in self.icons}
        self.by_name |= {
            squashed(n): a["parent"] for n, a in icons.get("aliases", {}).items() if a["parent"] in self.icons
        }
        chars = folder / "chars.json"
        self.by_code = json.loads(chars.read_text(encoding="utf-8")) if chars.exists() else {}

    def find(self, thing: Thing) -> str | None:
        """The name of its icon, by code if the set gives codes, otherwise by name."""
        if self.by_code:
            return self.by_name.get(squashed(self.by_code.get(thing["code"].replace("-fe0f", ""), "")))
        return next((icon for name in names_of(thing) if (icon := self.by_name.get(name))), None)

    def draw(self, thing: Thing) -> Image.Image | None:
        """Draw a thing as a cell, facing left; None if the set lacks it or it is in UNLIKE."""
        name = self.find(thing)
        if name is None or thing["en"] in UNLIKE.get(self.name, ()):
            return None
        icon = self.icons[name]
        width, height = icon.get("width", self.size[0]), icon.get("height", self.size[1])
        view = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" width="256" height="256">{icon["body"]}</svg>'
        picture = fit(drawn(svg))
        return ImageOps.mirror(picture) if thing["en"] in MIRRORED.get(self.name, ()) else picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the atlases")
    parser.add_argument("packages", type=Path, nargs="+", help="unpacked iconify packages")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for package in args.packages:
        design = Design(package)
        cells = [None if thing["held_out"] else design.draw(thing) for thing in catalogue()]
        save_atlas(cells, args.out / f"{design.name}.webp", quality=75)
        print(design.name, sum(cell is not None for cell in cells), "of", len(cells), "things")


if __name__ == "__main__":
    main()
