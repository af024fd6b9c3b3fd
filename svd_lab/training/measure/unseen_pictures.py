"""Twenty pictures unlike those of the training world, to look at what the mini does with them. They are not committed.

    pip install scikit-image && apt-get install fonts-noto-color-emoji
    python -m svd_lab.training.measure.unseen_pictures DIR

Photographs of scikit-image's wheel, all in the public domain or CC0 (rocket: SpaceX; astronaut, moon, Hubble's deep field: NASA;
coffee: Rachel Michetti; chelsea, the cat: Stefan van der Walt), and emoji of another designer (Noto Color Emoji, OFL 1.1) on the
world's backgrounds.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from svd_lab.world.backgrounds import Draw, backgrounds

PHOTOGRAPHS = ("rocket.jpg", "astronaut.png", "coffee.png", "chelsea.png", "moon.png", "hubble_deep_field.jpg")
NOTO = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
STRIKE = 109  # pixels, the only size in that font
# name, emoji, height in the picture, centre (x, y) in shares of the picture
EMOJI = (
    ("rocket", "🚀", 60, 0.4, 0.66), ("rabbit", "🐇", 62, 0.62, 0.62), ("car", "🚗", 70, 0.6, 0.66),
    ("sailboat", "⛵", 80, 0.6, 0.55), ("football", "⚽", 56, 0.5, 0.7), ("balloon", "🎈", 66, 0.5, 0.6),
    ("horse", "🐎", 84, 0.6, 0.55), ("fish", "🐟", 70, 0.6, 0.5), ("heart", "❤", 80, 0.5, 0.5),
    ("snail", "🐌", 64, 0.6, 0.66),
    ("duck", "🦆", 70, 0.6, 0.6), ("airplane", "✈", 66, 0.45, 0.6), ("tree", "🌳", 90, 0.5, 0.5), ("butterfly", "🦋", 70, 0.5, 0.5),
)  # fmt: skip


def draw_emoji(emoji: str, height: int, font: Path = NOTO) -> Image.Image:
    """Draw an emoji as RGBA, cropped to what is visible.

    Args:
        emoji: One character.
        height: Of the result in pixels.
        font: A colour emoji font with glyphs of STRIKE pixels.

    Raises:
        FileNotFoundError: There is no such font.
        ValueError: The font lacks the emoji.
    """
    if not font.is_file():
        raise FileNotFoundError(f"there is no font {font}: apt-get install fonts-noto-color-emoji, or give --font FILE")
    canvas = Image.new("RGBA", (2 * STRIKE, 2 * STRIKE))
    face = ImageFont.truetype(str(font), size=STRIKE)
    ImageDraw.Draw(canvas).text((STRIKE // 2, STRIKE // 2), emoji, font=face, embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    if box is None:
        raise ValueError(f"{font} lacks {emoji!r}: give a colour emoji font with --font FILE")
    picture = canvas.crop(box).convert("RGBa")
    size = (max(1, round(picture.width * height / picture.height)), height)
    return picture.resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def make_folder(folder: Path, font: Path = NOTO, seed: int = 2_000_000) -> list[Path]:
    """Write the pictures.

    Args:
        folder: Where to; created if it is missing.
        font: See `draw_emoji`.
        seed: Of the backgrounds.

    Returns:
        The files.

    Raises:
        ModuleNotFoundError: scikit-image is not installed.
        FileNotFoundError: There is no such font.
    """
    try:
        import skimage
    except ImportError as error:
        raise ModuleNotFoundError("the photographs are part of scikit-image: pip install scikit-image") from error

    emoji = [draw_emoji(sign, height, font) for _, sign, height, _, _ in EMOJI]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in PHOTOGRAPHS:
        paths.append(folder / f"photo-{Path(name).stem}.png")
        with Image.open(Path(skimage.__file__).parent / "data" / name) as photograph:
            photograph.convert("RGB").save(paths[-1])
    draw = Draw("cpu", seed)
    pictures = torch.cat(
        [backgrounds(draw, n)[0] for n in (10, len(EMOJI) - 10)]
    )  # so that the first ten stay the same
    for (name, *_, x, y), thing, ground in zip(EMOJI, emoji, pictures, strict=True):
        page = Image.fromarray((ground.permute(1, 2, 0) * 255).round().byte().numpy())
        page.paste(thing, (round(x * page.width - thing.width / 2), round(y * page.height - thing.height / 2)), thing)
        paths.append(folder / f"noto-{name}.png")
        page.save(paths[-1])
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--font", type=Path, default=NOTO, help=f"a colour emoji font ({NOTO})")
    args = parser.parse_args()
    try:
        print("\n".join(map(str, make_folder(args.folder, args.font))))
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
