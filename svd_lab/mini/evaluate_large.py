"""Version 4 and version 4 with a large VAE (train_large_vae.py) on the same scenes, scene by scene.

    python -m svd_lab.mini.evaluate_large --vae OUT/large_vae.pt --scenes 24 --out OUT

The large one is given 448 x 256 pixels. Measured at half of that as evaluate does, so that both stand beside the same truth;
`sharp` at both sizes (version 4's video enlarged, bicubic). Same noise: latents are of the same shape.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

from .backgrounds import Draw
from .bank import load_vae
from .evaluate import GROUPS, load, make, plain
from .measures import grow, measure, summary, thing_pixels
from .scenes import Clips, World
from .spread import differences, shown
from .turbo_compare import detail

SCALE = 2
SHOWN = (
    "vae_all vae_thing vae_sharp first iou_share moving_gain length cosine area kept "
    "background_std detail sharp sharp_large"
).split()


def scenes(things: str, n: int, seed: int) -> Clips:
    """evaluate.scenes, at twice the size."""
    world = World("cpu", things, scale=SCALE)
    world.draw = Draw("cpu", 1_000_000 + 2 * seed + GROUPS.index(things), SCALE)
    parts: list[Clips] = []
    while sum(map(len, parts)) < n:
        clips = world.clips(8, bucket=127, fps=7, two=0, nothing=0)
        parts.append(clips[~clips.camera])
    return Clips.join(parts)[slice(n)]


def halved(video: torch.Tensor) -> torch.Tensor:
    """[n,T,3,H,W] -> [n,T,3,H/2,W/2]."""
    return F.avg_pool2d(video.flatten(0, 1), SCALE).unflatten(0, video.shape[:2])


def smaller(truth: Clips) -> Clips:
    alpha = F.avg_pool2d(truth.alpha, SCALE)
    return replace(truth, video=halved(truth.video), alpha=alpha, background=F.avg_pool2d(truth.background, SCALE))


def sharp(video: torch.Tensor, true: torch.Tensor, mask: torch.Tensor) -> list[float]:
    """By clip, last four frames: mean |Laplacian| of `video` in `mask` [n,T,H,W] against that of the true one."""

    def lap(v):
        four = v[..., :-2, 1:-1] + v[..., 2:, 1:-1] + v[..., 1:-1, :-2] + v[..., 1:-1, 2:]
        return (4 * v[..., 1:-1, 1:-1] - four).abs().mean(2)

    m = mask[:, -4:, 1:-1, 1:-1].float()
    a, b = ((lap(v[:, -4:]) * m).sum((1, 2, 3)) for v in (video, true))
    return (a / b.clamp(min=1e-6)).tolist()


@torch.no_grad()
def through(vae, video: torch.Tensor, device) -> torch.Tensor:
    """Truth through the VAE alone."""
    out = []
    for one in video:
        z = vae.encode((one * 2 - 1).to(device)).latent_dist.mode()
        out.append((vae.decode(z, num_frames=len(z)).sample / 2 + 0.5).clamp(0, 1).cpu())
    return torch.stack(out)


def rows_of(truth: Clips, half: Clips, video: torch.Tensor, again: torch.Tensor) -> list[dict]:
    """measure's rows and more; `video` and `again` (truth through the VAE) of either size."""
    large = video if video.shape[-1] == truth.video.shape[-1] else enlarged(video)
    small = video if video.shape[-1] == half.video.shape[-1] else halved(video)
    again_half = again if again.shape[-1] == half.video.shape[-1] else halved(again)
    own = truth if again.shape[-1] == truth.video.shape[-1] else half  # the VAE's PSNR is at its own size
    error, weight = (again - own.video).square(), own.alpha[:, :, None]
    db = lambda e: (-10 * e.clamp(min=1e-10).log10()).tolist()  # noqa: E731
    near = grow(thing_pixels(small, half), 1) | grow(thing_pixels(half.video, half), 1)
    near_large = F.interpolate(near.float(), scale_factor=SCALE, mode="nearest") > 0
    more = zip(
        db(error.mean((1, 2, 3, 4))), db((error * weight).sum((1, 2, 3, 4)) / (3 * weight.sum((1, 2, 3, 4)))),
        sharp(again_half, half.video, near), detail(small, half).tolist(), sharp(small, half.video, near),
        sharp(large, truth.video, near_large), strict=True,
    )  # fmt: skip
    names = "vae_all vae_thing vae_sharp detail sharp sharp_large".split()
    return [r | dict(zip(names, m, strict=True)) for r, m in zip(measure(half, small), more, strict=True)]


def enlarged(video: torch.Tensor) -> torch.Tensor:
    large = F.interpolate(video.flatten(0, 1), scale_factor=SCALE, mode="bicubic", align_corners=False).clamp(0, 1)
    return large.unflatten(0, video.shape[:2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="svd_lab/mini/weights")
    parser.add_argument("--vae", required=True)
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("."))
    args = parser.parse_args()
    begun, pipe = time.time(), load(args.folder)
    device, small_vae = pipe.device, pipe.vae
    batch = 12 if device.type == "cuda" else 1
    large_vae, result = load_vae(args.vae, str(device)), {}
    for things in GROUPS:
        truth = scenes(things, args.scenes, args.seed)
        half = smaller(truth)
        print(things, "scenes", round(time.time() - begun), "s", flush=True)
        pipe.register_modules(vae=small_vae)
        pipe.vae_scale_factor = 8
        (video,) = make(pipe, half.pictures(), args.seed, batch=batch)
        pipe.register_modules(vae=large_vae)
        pipe.vae_scale_factor = 16
        (large,) = make(pipe, truth.pictures(), args.seed, batch=batch)
        rows = [
            rows_of(truth, half, v, through(vae, t, device))
            for v, vae, t in ((video, small_vae, half.video), (large, large_vae, truth.video))
        ]
        a, b, d = summary(rows[0]), summary(rows[1]), differences(*rows)
        result[things] = dict(version4=a, large=b, clips=rows)
        for k in SHOWN:
            print(f"{things} {k:15s} {a[k]:8.3f} {b[k]:8.3f}  {shown(*d[k])}", flush=True)
        at = [0, 4, 9, 13]
        page = [
            torch.cat([torch.cat([v[i, t] for t in at], 2) for v in (truth.video, enlarged(video), large)], 1)
            for i in range(args.show)
        ]
        page = (torch.cat(page, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(page).save(args.out / f"large-{things}.jpg", quality=90)
        print(things, round(time.time() - begun), "s", flush=True)
    (args.out / "evaluate_large.json").write_text(json.dumps(plain(result)))


if __name__ == "__main__":
    main()
