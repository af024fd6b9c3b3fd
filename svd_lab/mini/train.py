"""Train the mini from scratch, in stretches of under ten minutes, on one GPU or several (docs/mini.md has the whole recipe).

    RUN="torchrun --nproc_per_node=2 -m svd_lab.mini.train"
    $RUN vae  --seconds 420 --state /tmp/vae --out OUT
    $RUN unet --seconds 520 --begin 0 --end .5 --vae OUT/vae.pt --state /tmp/unet --out OUT
    $RUN unet --seconds 520 --begin .5 --end 1 --vae OUT/vae.pt --state /tmp/unet --out OUT --resume /tmp/unet
    python -m svd_lab.mini.train export --vae OUT/vae.pt --weights OUT/unet.pt --folder svd_lab/mini/weights

Between them `clip` trains the image encoder alone (train_clip.py).

`--weights` and `--vae` take a checkpoint, or the exported folder: starting from svd_lab/mini/weights goes on with the shipped
model from its averaged weights (`--resume` goes on with everything, but its file is too large for a lent machine to bring back).

The text mini has its own stages (docs/text-mini.md): text-vae, text, judge, export-text.

`--steps 3 --batch 2` on a CPU is a dry run of everything.
"""

import argparse
from pathlib import Path

COMMON = dict(seconds=60.0, begin=0.0, end=1.0, steps=10**9, seed=0, out=".", state="/tmp/state", resume="", muon=0.01)
VAE = dict(weights="", equivariance=0.7, batch=128, pool=1024, crops=0.62, warp=0.2)
UNET = dict(
    vae="vae.pt", weights="", batch=48, bank=20000, prefill=4096, every=24, ema=0.9993, inside=3.0, mean=1.5, wide=0.35,
    warm=200, decay=0.9, profile=0, top=700.0, nothing=0.12, two=0.18, ask=0.05, workers=-1, blind=0.04, freeze=0,
    doubt=0.0, doubter="", guided=0.0, sampled=32, visited=24, places=4800, designs="", plain=0.0, scale=1,
)  # fmt: skip
LARGE_VAE = dict(
    vae="svd_lab/mini/weights", weights="", equivariance=0.7, align=1.0, batch=96, pool=768, crops=0.6, warp=0.2, fm=0.5, adv=0.2,
    critic=0.45, without=0.25, revive=0, latent=16, mixed=0, border=0.0, workers=-1,
)  # fmt: skip
CLIP = dict(
    weights="svd_lab/mini/weights", teacher="", designs="", patch=0, layers=0, each=8, reach=1.0, pool=98304, prefill=16384,
    render=512, every=8, batch=512, peak=0.3, facing=0.3, warm=100, ema=0.999, nothing=0.08, two=0.24,
    drawings="", drawn=0.15, soft=0.0, mixed=0.0,
)  # fmt: skip

TEXT_VAE = dict(vae="svd_lab/mini/weights", batch=48, pool=4096)
TEXT = dict(
    vae="text_vae.pt", weights="", batch=256, bank=60000, prefill=12288, part=256, every=24, ema=0.9995, inside=2.0, warm=300,
    decay=0.9, soften=0.0, ask=0.05, few=0,
)  # fmt: skip
JUDGE = dict(vae="none", batch=192, pool=16384)


def export(vae: str, weights: str, folder: str) -> Path:
    """Checkpoints of both stages -> the folder that from_pretrained reads. What `weights` lacks comes from `vae`."""
    from .bank import load_vae
    from .models import clip_of, save_folder, unet_of
    from .stretch import load_parts

    saved = load_parts(vae) | load_parts(weights)
    return save_folder(folder, load_vae(vae, "cpu"), unet_of(saved["unet"]), clip_of(saved["clip"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = parser.add_subparsers(dest="stage", required=True)
    for stage, settings in (
        ("vae", COMMON | VAE),
        ("unet", COMMON | UNET),
        ("large-vae", COMMON | LARGE_VAE),
        ("clip", COMMON | CLIP),
        ("export", dict(vae="", weights="", folder="")),
        ("text-vae", COMMON | TEXT_VAE),
        ("text", COMMON | TEXT),
        ("judge", COMMON | JUDGE),
        ("export-text", dict(vae="", weights="", folder="")),
    ):
        sub = stages.add_parser(stage)
        for name, default in settings.items():
            sub.add_argument(f"--{name}", type=type(default), default=default)
    args = parser.parse_args()
    if args.stage == "export":
        print(export(args.vae, args.weights, args.folder))
        return
    from . import judge, train_clip, train_large_vae, train_text, train_text_vae, train_unet, train_vae

    if args.stage == "export-text":
        print(train_text.export(args.vae, args.weights, args.folder))
        return
    run = {"vae": train_vae.train, "unet": train_unet.train, "clip": train_clip.train, "text-vae": train_text_vae.train,
           "text": train_text.train, "judge": judge.train, "large-vae": train_large_vae.train}  # fmt: skip
    run[args.stage](args)


if __name__ == "__main__":
    main()
