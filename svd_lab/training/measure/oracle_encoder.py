"""What keeps the mini from its goals: the image encoder, what stood behind the thing, or the rest?

    python -m svd_lab.training.measure.oracle_encoder --folder svd_lab/mini/weights --teacher .designs/teacher.pt --scenes 96 --json out.json

The scenes and noise of `evaluate`, measured four ways. "own": as they come. "told": the right answer in place of the image
encoder's (train_clip.Centres, of the weights that `--teacher` has, the ones the encoder was taught). "… filled": what the thing
uncovers by moving on is taken from truth, because nobody can know what a thing hides. That is an upper bound: a thing that lags
behind, or goes the wrong way, is taken away there as well.
"""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from svd_lab.training.loop.stretch import load_parts
from svd_lab.training.measure.evaluate import GROUPS, load, make, plain, say, scenes
from svd_lab.training.networks.video import clip_of
from svd_lab.training.stages.image_encoder import Centres
from svd_lab.world.measures import grow, measure, summary
from svd_lab.world.scenes import Clips, World

REACH = 1.5  # of the answers that version 3's and 4's encoders were taught
EACH = 4  # pictures of every thing, for the mean that is its kind's answer
CELL = 8  # pixels a latent: a fault of the uncovered place reaches that far


class Told(nn.Module):
    """In place of a CLIPVisionModelWithProjection: says `answers` [n,64] one after the other, whatever it is shown."""

    def __init__(self, answers: torch.Tensor):
        super().__init__()
        self.answers, self.said = nn.Parameter(answers, requires_grad=False), 0
        self.device, self.dtype = answers.device, answers.dtype  # a pipeline asks

    def forward(self, pixel_values, **_):
        first, self.said = self.said, self.said + len(pixel_values)
        return SimpleNamespace(image_embeds=self.answers[first : self.said])


def filled(video: torch.Tensor, truth: Clips) -> torch.Tensor:
    """`video` [n,T,3,H,W] with truth's pixels where the true thing has been and is no longer, and a cell around."""
    there = truth.alpha > 0.01
    gone = grow(there.cummax(1).values, CELL) & ~grow(there, CELL)
    return torch.where(gone[:, :, None], truth.video, video)


def measure_both(folder, teacher, n: int, seed: int, of=GROUPS, device=None) -> dict:
    """{"known": {"own": summary, "own filled": ..., "told": ..., "told filled": ...}, "held_out": ...}, each of n scenes."""
    pipe = load(folder, device)
    batch = 16 if pipe.device.type == "cuda" else 1
    shown = clip_of(load_parts(teacher)["clip"]).to(pipe.device).eval()
    centres = Centres.of(shown, World(pipe.device.type, seed=6000), EACH, REACH)
    own, result = pipe.image_encoder, {}
    for things in of:
        truth, result[things] = scenes(things, n, seed), {}
        answers = centres.kind[truth.kind[:, 0].to(pipe.device), truth.facing.to(pipe.device) + 1]  # of one thing each
        for name, encoder in (("own", own), ("told", Told(answers))):
            pipe.register_modules(image_encoder=encoder)
            (video,) = make(pipe, truth.pictures(), seed, batch=batch)
            for how, shows in ((name, video), (f"{name} filled", filled(video, truth))):
                clips = measure(truth, shows)
                result[things][how] = summary(clips) | dict(clips=clips)
                say(f"{things}, {how}:", {k: v for k, v in result[things][how].items() if k != "clips"})
        pipe.register_modules(image_encoder=own)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", default="mini", help="a model folder, or a name that load_video_pipeline knows (mini)"
    )
    parser.add_argument("--teacher", required=True, help="the checkpoint whose encoder gave the right answers")
    parser.add_argument("--scenes", type=int, default=96, help="of each kind (96)")
    parser.add_argument("--seed", type=int, default=1, help="of scenes and noise (1)")
    parser.add_argument("--of", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--device", help="cuda or cpu (cuda where there is one)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.scenes < 1:
        parser.error(f"--scenes must be at least 1, not {args.scenes}")
    if args.json:  # before minutes of work, not after
        args.json.parent.mkdir(parents=True, exist_ok=True)
    result = measure_both(args.folder, args.teacher, args.scenes, args.seed, args.of, args.device)
    if args.json:
        args.json.write_text(json.dumps(plain(result), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
