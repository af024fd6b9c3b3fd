"""Draw pictures with the text mini, for training the image encoder: in lesson 4 the video mini gets such pictures.

    python -m svd_lab.training.assets.build_drawings OUT.pt --pictures 4096 --seed 1 [--sheet SHEET.png]

They show one thing in some place, one in eight a place alone; the video mini knows all of the text mini's things. Which way a thing
faces is not known.
"""

import argparse
import io
import random
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from svd_lab.bundled import text_mini_folder
from svd_lab.training.measure.evaluate_text import load, make
from svd_lab.training.stages.encoder_targets import NOTHING
from svd_lab.training.text.captions import caption
from svd_lab.training.text.scene_grammar import draw_scene, things
from svd_lab.training.world.stills import sheet

EMPTY = 1 / 8  # share of places alone
STEPS = 20  # of denoising; the lessons' 50 would take 2.5 times as long


def draw(n: int, seed: int, device: str, batch: int = 8, folder: str | Path | None = None) -> dict[str, Any]:
    """Draw pictures; a picture takes 0.7 s on one core of a CPU.

    Args:
        n: How many.
        seed: Of scenes and noise.
        device: "cuda" or "cpu".
        batch: How many are drawn together.
        folder: A text mini; the shipped one by default.

    Returns:
        pictures: uint8 [n,3,128,224]. things: [n], index into `catalogue()`, or NOTHING. texts: the n prompts.

    Raises:
        OSError: The folder holds no pipeline.
    """
    folder = folder or text_mini_folder()
    pipe, rng = load(folder, device), random.Random(seed)
    scenes = [draw_scene(rng, "nothing" if rng.random() < EMPTY else "alone") for _ in range(n)]
    texts = [caption(scene, rng, rng.choice(("en", "ko")), plain=True) for scene in scenes]
    pictures = make(pipe, texts, seed, steps=STEPS, batch=batch)
    shown = [things()[scene.items[0].thing].index if scene.items else NOTHING for scene in scenes]
    return dict(pictures=(pictures * 255).round().to(torch.uint8), things=torch.tensor(shown), texts=texts)


def save(made: dict[str, Any], path: str | Path) -> None:
    """Write what `draw` returns, each picture as a WebP of about 4 KB, so that thousands of them are quickly copied."""
    files = []
    for picture in made["pictures"]:
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(file := io.BytesIO(), "webp", quality=85)
        files.append(file.getvalue())
    torch.save(made | dict(pictures=files), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--pictures", type=int, default=4096, help="how many (4096)")
    parser.add_argument("--seed", type=int, default=1, help="of scenes and noise (1)")
    parser.add_argument("--sheet", type=Path, help="also write the first forty as one picture")
    args = parser.parse_args()
    if args.pictures < 1:
        parser.error(f"--pictures must be at least 1, not {args.pictures}")
    args.out.parent.mkdir(parents=True, exist_ok=True)  # before minutes of work
    device = "cuda" if torch.cuda.is_available() else "cpu"
    made = draw(args.pictures, args.seed, device, 256 if device == "cuda" else 8)
    save(made, args.out)
    print(f"{args.out}: {args.pictures} pictures")
    if args.sheet:
        sheet(made["pictures"][:40] / 255, made["texts"][:40], args.sheet)


if __name__ == "__main__":
    main()
