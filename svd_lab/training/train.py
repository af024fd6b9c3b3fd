"""Train the miniatures from scratch, in runs of any length, on one GPU or several (docs/mini.md: how the shipped ones were made).

    RUN="torchrun --nproc_per_node=2 -m svd_lab.training.train"
    $RUN vae  --seconds 420 --state vae.state --out OUT
    $RUN unet --seconds 520 --begin 0 --end .5 --vae OUT/vae.pt --state unet.state --out OUT
    $RUN unet --seconds 520 --begin .5 --end 1 --vae OUT/vae.pt --state unet.state --out OUT --resume unet.state
    python -m svd_lab.training.train export --vae OUT/vae.pt --weights OUT/unet.pt --folder svd_lab/mini/weights

Between them `clip` trains the image encoder alone; `decoder` goes on with the VAE's decoder alone; `turbo` comes last.
`large-vae` trains a VAE for pictures of twice the size. The text mini has its own stages: text-vae, text, judge, export-text
(docs/text-mini.md).

`--weights` and `--vae` take a checkpoint, or an exported folder: starting from svd_lab/mini/weights goes on with the shipped model
from its averaged weights; `--resume` goes on with everything, the optimiser too.

`--steps 3 --batch 2` and small pools on a CPU are a dry run of everything.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svd_lab.training.loop.checkpoints import load_parts
from svd_lab.training.loop.latent_bank import load_vae
from svd_lab.training.loop.options import add_options, read_options, required
from svd_lab.training.networks.video import clip_of, save_folder, unet_of
from svd_lab.training.stages import decoder, image_encoder, judge, large_vae, text, text_vae, turbo, unet, vae


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of both exports."""

    vae: str = required("checkpoint with the VAE")
    weights: str = required("checkpoint with everything else")
    folder: str = required("folder to write")


def export(vae: str, weights: str, folder: str) -> Path:
    """Make of checkpoints the folder that StableVideoDiffusionPipeline.from_pretrained reads.

    Args:
        vae: Checkpoint with the VAE, and with whatever `weights` lacks.
        weights: Checkpoint with UNet and image encoder.
        folder: To write.
    """
    saved = load_parts(vae) | load_parts(weights)
    return save_folder(folder, load_vae(vae, "cpu"), unet_of(saved["unet"]), clip_of(saved["clip"]))


def run_export(options: ExportOptions) -> None:
    """Write the folder of the video mini."""
    print(export(options.vae, options.weights, options.folder))


def run_text_export(options: ExportOptions) -> None:
    """Write the folder of the text mini."""
    print(text.export(options.vae, options.weights, options.folder))


STAGES: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "vae": (vae.VaeOptions, vae.train),
    "unet": (unet.UNetOptions, unet.train),
    "clip": (image_encoder.ImageEncoderOptions, image_encoder.train),
    "decoder": (decoder.DecoderOptions, decoder.train),
    "large-vae": (large_vae.LargeVaeOptions, large_vae.train),
    "turbo": (turbo.TurboOptions, turbo.train),
    "export": (ExportOptions, run_export),
    "text-vae": (text_vae.TextVaeOptions, text_vae.train),
    "text": (text.TextOptions, text.train),
    "judge": (judge.JudgeOptions, judge.train),
    "export-text": (ExportOptions, run_text_export),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stage that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="stage", required=True)
    parsers = {}
    for name, (kind, work) in STAGES.items():
        parsers[name] = commands.add_parser(name, help=work.__doc__.partition(";")[0], description=work.__doc__)
        add_options(parsers[name], kind)
    args = parser.parse_args(arguments)
    kind, work = STAGES[args.stage]
    work(read_options(parsers[args.stage], kind, args))


if __name__ == "__main__":
    main()
