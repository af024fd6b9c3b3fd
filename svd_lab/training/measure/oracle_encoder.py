"""What limits the mini: its image encoder, the background that a thing uncovers, or the rest?

    python -m svd_lab.training.measure.oracle_encoder --folder svd_lab/mini/weights --teacher TEACHER.pt --scenes 96 --json out.json

The scenes and noise of `evaluate`, measured four ways. "own": unchanged. "oracle": the right embedding in place of the image
encoder's (`TargetEmbeddings` of the weights of `--teacher`, which the encoder was trained to match). "… filled": pixels that the
thing uncovers by moving are taken from truth, because nobody can know what it covers. That is an upper bound: a thing that lags
behind, or moves the wrong way, is removed there as well.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from svd_lab.training.loop.checkpoints import load_parts
from svd_lab.training.measure.evaluate import GROUPS, load, make, plain, say, scenes
from svd_lab.training.networks.video import clip_of
from svd_lab.training.stages.encoder_targets import TargetEmbeddings
from svd_lab.world.clips import Clips
from svd_lab.world.measures import grow, measure, summary
from svd_lab.world.scenes import World

SCALE = 1.5  # of the target embeddings of the shipped encoder
EACH = 4  # pictures of every thing, over which the embedding of its kind is averaged
CELL = 8  # pixels of a latent: errors of an uncovered pixel reach that far


class OracleEncoder(nn.Module):
    """A CLIPVisionModelWithProjection that returns given embeddings [n,64] one after the other, whatever picture it gets."""

    def __init__(self, embeddings: torch.Tensor):
        super().__init__()
        self.embeddings, self.used = nn.Parameter(embeddings, requires_grad=False), 0
        self.device, self.dtype = embeddings.device, embeddings.dtype  # a pipeline asks for them

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> SimpleNamespace:
        first, self.used = self.used, self.used + len(pixel_values)
        return SimpleNamespace(image_embeds=self.embeddings[first : self.used])


def fill_uncovered(video: torch.Tensor, truth: Clips) -> torch.Tensor:
    """Take the pixels from truth where the true thing has been and no longer is, and CELL pixels around.

    Args:
        video: [n,T,3,H,W] in 0..1.
        truth: The true clips.

    Returns:
        [n,T,3,H,W].
    """
    there = truth.alpha > 0.01
    uncovered = grow(there.cummax(1).values, CELL) & ~grow(there, CELL)
    return torch.where(uncovered[:, :, None], truth.video, video)


def compare_encoders(
    folder: str | Path,
    teacher: str | Path,
    n: int,
    seed: int,
    groups: Sequence[str] = GROUPS,
    device: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure a model with its own image encoder and with an oracle.

    Args:
        folder: See `evaluate.load`.
        teacher: Checkpoint whose image encoder gives the right embeddings.
        n: Scenes of each group.
        seed: Of scenes and noise.
        groups: Some of GROUPS.
        device: "cuda" or "cpu"; by default cuda if there is one.

    Returns:
        {group: {"own": figures, "own filled": ..., "oracle": ..., "oracle filled": ...}}; figures as in `measures.summary`, with
        the rows of all clips.
    """
    pipe = load(folder, device)
    batch = 16 if pipe.device.type == "cuda" else 1
    teacher_encoder = clip_of(load_parts(teacher)["clip"]).to(pipe.device).eval()
    targets = TargetEmbeddings.measured(teacher_encoder, World(pipe.device.type, seed=6000), EACH, SCALE)
    own, result = pipe.image_encoder, {}
    for things in groups:
        truth, result[things] = scenes(things, n, seed), {}
        right = targets.kind[truth.kind[:, 0].to(pipe.device), truth.facing.to(pipe.device) + 1]
        for name, encoder in (("own", own), ("oracle", OracleEncoder(right))):
            pipe.register_modules(image_encoder=encoder)
            (video,) = make(pipe, truth.pictures(), seed, batch=batch)
            for how, shown in ((name, video), (f"{name} filled", fill_uncovered(video, truth))):
                clips = measure(truth, shown)
                figures = summary(clips)
                say(f"{things}, {how}:", figures)
                result[things][how] = figures | dict(clips=clips)
        pipe.register_modules(image_encoder=own)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", default="mini", help="model folder, or a name that load_video_pipeline knows (mini)"
    )
    parser.add_argument("--teacher", required=True, help="checkpoint whose encoder gives the right embeddings")
    parser.add_argument("--scenes", type=int, default=96, help="of each group (96)")
    parser.add_argument("--seed", type=int, default=1, help="of scenes and noise (1)")
    parser.add_argument("--of", nargs="+", choices=GROUPS, default=list(GROUPS), help="groups (both)")
    parser.add_argument("--device", help="cuda or cpu (cuda if there is one)")
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    if args.scenes < 1:
        parser.error(f"--scenes must be at least 1, not {args.scenes}")
    if args.json:  # before minutes of work, not after
        args.json.parent.mkdir(parents=True, exist_ok=True)
    result = compare_encoders(args.folder, args.teacher, args.scenes, args.seed, args.of, args.device)
    if args.json:
        args.json.write_text(json.dumps(plain(result), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
