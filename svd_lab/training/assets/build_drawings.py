"""Pictures that the text mini draws, for the image encoder's stage (train_clip.py): in lesson 4 the video mini gets nothing else.

    python -m svd_lab.training.assets.build_drawings OUT.pt --pictures 4096 --seed 1 [--sheet SHEET.png]

Of one thing alone in some place, one in eight of a place alone; all of the text mini's things are known to the video mini. What is
meant is known, which way it faces is not: the text mini draws it as it likes. Version 3's encoder, at 98% of the world's pictures
nearest to the right one of 29 answers, was at 91% of these.
"""

import argparse
import io
import random
from pathlib import Path

import torch
from PIL import Image

from svd_lab.mini.catalogue import THINGS
from svd_lab.training.stages.encoder_targets import NOTHING
from svd_lab.training.text.captions import caption
from svd_lab.training.text.scene_grammar import draw_scene, things

EMPTY = 1 / 8  # share of places alone
STEPS = 20  # of denoising; the class's 50 would take 2.5 times as long
TEXT_MINI = THINGS.parent / "text"


def draw(n: int, seed: int, device: str, batch: int = 8, folder: str | Path = TEXT_MINI) -> dict:
    """n pictures: `pictures` uint8 [n,3,128,224], `things` [n], catalogue indices or NOTHING, and `texts`, a list. On a CPU's core
    0.7 s each.

    Raises what StableDiffusionPipeline.from_pretrained raises for a `folder` that holds none (an OSError).
    """
    from svd_lab.training.measure.evaluate_text import load, make

    pipe, rng = load(folder, device), random.Random(seed)
    scenes = [draw_scene(rng, "nothing" if rng.random() < EMPTY else "alone") for _ in range(n)]
    texts = [caption(scene, rng, rng.choice(("en", "ko")), plain=True) for scene in scenes]
    pictures = make(pipe, texts, seed, steps=STEPS, batch=batch)
    shown = [things()[scene.items[0].thing].index if scene.items else NOTHING for scene in scenes]
    return dict(pictures=(pictures * 255).round().to(torch.uint8), things=torch.tensor(shown), texts=texts)


def save(made: dict, path: str | Path) -> None:
    """What `draw` gives, each picture as a WebP of some 4 KB: a lent machine is sent no more than 64 MiB."""
    files = []
    for picture in made["pictures"]:
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(file := io.BytesIO(), "webp", quality=85)
        files.append(file.getvalue())
    torch.save(made | dict(pictures=files), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--pictures", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=1)
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
        from svd_lab.training.world.stills import sheet

        sheet(made["pictures"][:40] / 255, made["texts"][:40], args.sheet)


if __name__ == "__main__":
    main()
