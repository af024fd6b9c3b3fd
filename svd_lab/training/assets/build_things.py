"""Build the catalogue of things (things.webp, flat.webp, things.json) from three npm packages; run once, the results are committed.

    npm pack @lobehub/fluent-emoji-3d @lobehub/fluent-emoji-flat emojibase-data   # all MIT; unpack each with tar xzf
    pip install resvg-py                                                          # draws the flat ones, which are SVG
    python -m svd_lab.training.assets.build_things FLUENT/package/assets FLAT/package/assets EMOJIBASE/package

`--scale 2` draws the same things at twice the size, for `World(scale=2)`; those atlases are not committed.

The pictures are Microsoft's Fluent Emoji (MIT), in 3D and, for training only, in its flat style; the Korean and English names are
Unicode CLDR's, through emojibase (MIT).
"""

import argparse
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

from svd_lab.mini.catalogue import ATLAS_3D, ATLAS_FLAT, CELL, COLUMNS, LARGE_THINGS, THINGS
from svd_lab.world.atlas import fit

# {kind of motion: things}. All things with a direction face left in this set (rocket and airplanes: up and right).
KINDS = {
    "slant": "1f680 2708-fe0f 1f6e9-fe0f",
    "comet": "2604-fe0f",
    "drive": "1f697 1f695 1f693 1f691 1f692 1f699 1f69a 1f69b 1f69c 1f68c 1f68e 1f690 1f6fb 1f682 1f683 1f684 1f685"
    " 1f68b 1f3cd-fe0f"
    " 1f3ce-fe0f 1f6f5 1f6f4 1f6b2 1f6fa 1f6fc 1f6b4 1f6b4-200d-2642-fe0f 1f6b4-200d-2640-fe0f 1f9bc 1f9bd 1f6d2"
    " 1f9d1-200d-1f9bc 1f9d1-200d-1f9bd 1f468-200d-1f9bc 1f469-200d-1f9bd",
    "run": "1f40e 1f404 1f402 1f403 1f405 1f406 1f408 1f408-200d-2b1b 1f415 1f415-200d-1f9ba 1f416 1f418 1f40f 1f410"
    " 1f411 1f400 1f401"
    " 1f42a 1f42b 1f98c 1f98f 1f993 1f995 1f996 1f999 1f99b 1f9a3 1f9ac 1f429 1f9ae 1f9a1 1f9a8 1f994 1f413 1f9a4 1f3c7 1f3c3"
    " 1f3c3-200d-2640-fe0f 1f3c3-200d-2642-fe0f 1f6b6 1f6b6-200d-2640-fe0f 1f6b6-200d-2642-fe0f 1f9ab 1f9a9 1f41c"
    " 1f9d1-200d-1f9af 1f468-200d-1f9af 1f469-200d-1f9af 1f422 1f40c 1f992",
    "hop": "1f407 1f998 1f997 1f43f-fe0f",
    "swim": "1f41f 1f420 1f421 1f42c 1f433 1f40b 1f988 1f990 1f9ad",
    "fly": "1f426 1f426-200d-2b1b 1f985 1f41d 1f99c 1f54a-fe0f 1f681 1f99f",
    "up": "1f388",
    "boat": "26f5 1f6a4 1f6a2 1f6e5-fe0f 26f4-fe0f 1f6f3-fe0f 1f6f6 1f6a3 1f6a3-200d-2640-fe0f 1f6a3-200d-2642-fe0f"
    " 1f9a2 1f986 1fabf"
    " 1f3c4 1f3c4-200d-2640-fe0f 1f3c4-200d-2642-fe0f",
    "ball": "26bd 1f3c0 1f3d0 26be 1f94e 1f3b1 1f534 1f535 1f7e0 1f7e1 1f7e2 1f7e3 1f7e4 26ab 26aa 1faa9",
    "spin": "2b50 1f31f 1f6de 2699-fe0f 1f4bf 1f4c0 1f369 1f36a 1fa83 1f300 1f340 1fa99 1f6df 1f539 1f538 1f537 1f536"
    " 1f96f 1f968 1f9ed",
    "pulse": "2764-fe0f 1f49b 1f49a 1f499 1f49c 1f9e1 1fa77 1fa75 1f90e 1f5a4 1fa76 1f90d 2665-fe0f 1f496 1f497 1f493"
    " 1f495 1f49e 1f494"
    " 1f49d 1f498 1f338 1f33a 1f33c 1f3f5-fe0f 1f4a1 1f48e 2728",
    "fall": "1f342 1f341 1f343 2744-fe0f 1fab6 1f4a7 1fa82 1fa78 1f4a6",
    "sway": "1f332 1f333 1f334 1f335 1f337 1f339 1f33b 1f33e 1f384 1f331 1f33f 1fab4 1f38b 1f6a9 1f3f3-fe0f 1f3f4 1fabb 1f344 1f490"
    " 1f940 1f966 2618-fe0f",
    "hang": "1f390 1f3ee 1f514 1f3c5 1f947 1f948 1f949 1f397-fe0f 1fa73 1f455 1f457 1f458",
    "flicker": "1f525 1f56f-fe0f 1fa94 1f4a5 2764-fe0f-200d-1f525",
    "planet": "1fa90 1f30d 1f30e 1f30f 1f310 1f311 1f315 2600-fe0f 1f313 1f317 1f319 1f312 1f318",
    "cloud": "26c5 2601-fe0f 1f324-fe0f 1f325-fe0f 1f326-fe0f 1f327-fe0f 1f328-fe0f 1f329-fe0f 26c8-fe0f 1f4ad 1f4ac",
    "hover": "1f6f8 1f47b 1fa81 1f6f0-fe0f 1f98b 1f419 1f991 1fabc 1f9da 1f9da-200d-2640-fe0f 1f9da-200d-2642-fe0f 1f9dc"
    " 1f9dc-200d-2640-fe0f 1f9dc-200d-2642-fe0f 1fab0 1f9de 1f9de-200d-2640-fe0f 1f9de-200d-2642-fe0f 1f409 1f47c 1f4b8 1f987",
    "rock": "1f9f8 1f916 26c4 2603-fe0f 1f427 1f47d 1f47e 1f480 1f383 1f438 1f989 1f414 1f423 1f424 1f425 1f9a6 1f98d 1f9a7 1f432"
    " 1f984 1fa86 1f5ff 1f4a9 1f921 1f3a0",
}
# {kind of motion: whole CLDR subgroups}, except for the things in KINDS.
SUBGROUPS = {
    "ball": "face-smiling face-affection face-tongue face-neutral-skeptical face-sleepy face-unwell face-glasses face-concerned"
    " face-negative face-hat",
    "rock": "cat-face monkey-face animal-mammal person person-role person-fantasy person-gesture",
    "still": "food-fruit food-vegetable food-prepared food-asian food-sweet drink place-building place-religious clothing"
    " musical-instrument computer light-video household phone tool science sport book-paper mail office",
}
# Square icons, several things at once, or things that do not clearly face one way.
LEFT_OUT = set(
    "1f636-200d-1f32b-fe0f 1fae5 1f43e 1f43d 1f412 1f9a5 2620-fe0f 1f47f 1f5d1-fe0f 1f3bd 1f6f7 1f5c2-fe0f 1f4c8 1f4c9 1f4ca"
    " 1f5b2-fe0f".split()
)
# Never held out: the lessons' pictures show these.
ALWAYS_KNOWN = set("1f680 1f407 1f40e 1f697 26f5 26bd 1f388 1f9d1-200d-1f680".split())


def family(code: str) -> str:
    """The code without variants of a person (woman, man, person running), so that none of them is known if another is held out."""
    return re.sub(r"^1f46[89]|^1f9d1", "person", re.sub(r"-200d-264[02]-fe0f$", "", code))


def hold_out(rows: list[dict[str, Any]]) -> None:
    """Mark one family in nine of every kind with at least eight things as held out: the first in the order of their hashes."""
    for kind in {r["kind"] for r in rows}:
        members = [r for r in rows if r["kind"] == kind]
        known = {family(code) for code in ALWAYS_KNOWN}
        families = sorted(
            {family(r["code"]) for r in members} - known, key=lambda f: hashlib.sha256(f.encode()).hexdigest()
        )
        chosen = set(families[: max(1, len(families) // 9)]) if len(members) >= 8 else set()
        for r in members:
            r["held_out"] = family(r["code"]) in chosen


def drawn(svg: str, side: int = 256) -> Image.Image:
    """Draw an SVG, side x side pixels."""
    import resvg_py  # only the builders need it

    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side))))


def save_atlas(cells: list[Image.Image | None], file: Path, quality: int, scale: int = 1) -> None:
    """Write cells of CELL pixels times `scale` as an atlas in WebP, COLUMNS in a row; None leaves a cell empty."""
    side = CELL * scale
    atlas = Image.new("RGBA", (COLUMNS * side, -(-len(cells) // COLUMNS) * side))
    for i, cell in enumerate(cells):
        if cell is not None:
            atlas.paste(cell, (i % COLUMNS * side, i // COLUMNS * side))
    atlas.save(file, quality=quality, method=6)


def solid(code: str, assets: Path) -> Image.Image:
    """The picture of a thing in 3D."""
    return Image.open(assets / f"{code}.webp")


def flat(code: str, assets: Path, fallback: Path, side: int = 256) -> Image.Image:
    """The flat picture of a thing, side x side pixels, or the one in 3D if there is none."""
    file = assets / f"{code}.svg"
    return drawn(file.read_text(encoding="utf-8"), side) if file.exists() else solid(code, fallback)


def choose(assets: Path, emojibase: Path) -> list[dict[str, Any]]:
    """The rows of things.json: all things that have a kind of motion, a picture and names. Ends the program if one lacks them."""
    names = json.loads((emojibase / "meta/groups.json").read_text())["subgroups"]
    english, korean = (
        {d["hexcode"].lower(): d for d in json.loads((emojibase / language / "data.json").read_text())}
        for language in ("en", "ko")
    )
    kind_of = {code: kind for kind, codes in KINDS.items() for code in codes.split()}
    by_subgroup = {s: kind for kind, groups in SUBGROUPS.items() for s in groups.split()}
    rows = []
    for key, d in english.items():
        plain = key.replace("-fe0f", "")
        code = next((c for c in (key, key + "-fe0f", plain) if (assets / f"{c}.webp").exists()), None)
        kind = kind_of.get(code) or by_subgroup.get(names.get(str(d.get("subgroup")), ""))
        if code and kind and code not in LEFT_OUT:
            rows.append(dict(code=code, kind=kind, en=d["label"], ko=korean[key]["label"]))
    missing = set(kind_of) - {r["code"] for r in rows}
    if missing:
        raise SystemExit(f"no picture or name for {sorted(missing)}")
    hold_out(rows)
    return sorted(rows, key=lambda r: (r["kind"], r["code"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="the assets folder of @lobehub/fluent-emoji-3d")
    parser.add_argument("flat", type=Path, help="the assets folder of @lobehub/fluent-emoji-flat")
    parser.add_argument("emojibase", type=Path, help="the folder of emojibase-data")
    parser.add_argument("--out", type=Path, help=f"folder to write into ({THINGS}; with --scale 2 {LARGE_THINGS})")
    parser.add_argument(
        "--scale", type=int, choices=(1, 2), default=1, help="2: cells of twice the size, for World(scale=2) (1)"
    )
    args = parser.parse_args()
    scale, out = args.scale, args.out or (THINGS if args.scale == 1 else LARGE_THINGS)
    rows = choose(args.assets, args.emojibase)
    out.mkdir(parents=True, exist_ok=True)
    save_atlas([fit(solid(r["code"], args.assets), scale) for r in rows], out / ATLAS_3D, 88, scale)
    flats = [fit(flat(r["code"], args.flat, args.assets, 256 * scale), scale) for r in rows]
    save_atlas(flats, out / ATLAS_FLAT, 88, scale)
    lines = ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
    (out / "things.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    counts = {k: sum(r["kind"] == k for r in rows) for k in (*KINDS, "still")}
    print(len(rows), "things,", sum(r["held_out"] for r in rows), "held out;", counts)


if __name__ == "__main__":
    main()
