"""The svd-lab command: a thin skin over the package; `svd-lab --help` is the manual.

Exit status: 0 done, 1 the run failed (one readable line; the traceback with --debug), 2 wrong usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import svd_lab

PICTURES = Path(__file__).with_name("mini") / "pictures"
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

# generate_video's keywords: type, and what --help says. The defaults stand in generate_video alone.
_KEYWORDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "num_frames": (int, "frames to make"),
    "num_inference_steps": (int, "denoising steps: more are better and slower"),
    "decode_chunk_size": (int, "frames decoded at a time: more flicker less and take more memory"),
    "fps": (int, "the rate the model imagines, a condition of the motion"),
    "motion_bucket_id": (int, "how much should move, 0 to 255"),
    "noise_aug_strength": (float, "noise added to the picture: more leaves more freedom"),
    "min_guidance_scale": (float, "guidance of the first frame"),
    "max_guidance_scale": (float, "guidance of the last frame"),
    "height": (int, "pixels; default: what the model was trained at"),
    "width": (int, "pixels; default: what the model was trained at"),
    "fit": (str, "how the picture gets that size: crop, pad or stretch"),
    "playback_fps": (float, "frames a second in the file; default: the same as --fps"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (None: sys.argv) and return its exit status."""
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("\nsvd-lab: stopped; no unfinished file was left", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        print(f"svd-lab: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """The command line: generate, demo, models."""
    parser = argparse.ArgumentParser(
        prog="svd-lab", description="Make short videos from pictures with Stable Video Diffusion."
    )
    parser.add_argument("--version", action="version", version=f"svd-lab {svd_lab.__version__}")
    debug = argparse.ArgumentParser(add_help=False)
    debug.add_argument("--debug", action="store_true", help="show the traceback when a run fails")
    loading = argparse.ArgumentParser(add_help=False)
    loading.add_argument("--device", help="cuda, cuda:1, mps or cpu (CUDA where there is one)")
    loading.add_argument("--dtype", choices=["float16", "bfloat16", "float32"], help="(float16 on CUDA, else float32)")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    generate = commands.add_parser("generate", parents=[debug, loading], help="make one video from a picture")
    generate.add_argument("picture", metavar="PICTURE", help="a file or an http(s) address")
    generate.add_argument("video", metavar="OUT.mp4", help="the file to write; missing folders are made")
    generate.add_argument("--model", default="auto", help="auto, mini, svd, svd-xt, a folder, or a Hub id (auto)")
    generate.add_argument("--seed", type=int, default=42, help="0 to 4294967295; -1 draws one (42)")
    for name, (kind, text) in _KEYWORDS.items():
        default = svd_lab.generate_video.__kwdefaults__[name]
        text += f" ({default})" if default is not None else ""
        generate.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=text, metavar="X")
    generate.set_defaults(run=run_generate)

    demo = commands.add_parser("demo", parents=[debug, loading], help="make videos from the bundled pictures")
    demo.add_argument("--out", type=Path, default=Path("svd-lab-demo"), help="folder for the results (svd-lab-demo)")
    demo.add_argument("--pictures", type=Path, default=PICTURES, help="a folder of pictures of your own")
    demo.add_argument("--model", default="mini", help="as in generate (mini)")
    demo.add_argument("--seed", type=int, default=42, help="as in generate (42)")
    demo.set_defaults(run=run_demo)

    models = commands.add_parser(
        "models", parents=[debug], help="say which models are here, where, how large, what is missing"
    )
    models.set_defaults(run=run_models)
    return parser


def run_generate(options: argparse.Namespace) -> int:
    """svd-lab generate: one picture, one video."""
    from svd_lab.clip import check_video_path
    from svd_lab.images import open_image
    from svd_lab.settings import check_settings

    keywords = {name: getattr(options, name) for name in _KEYWORDS}
    # Refuse a slip before the seconds that importing torch takes. generate_video checks again: it is the one that decides.
    check_settings(seed=options.seed, **keywords)
    check_video_path(options.video)
    if "://" not in options.picture:  # a download is not worth doing twice
        open_image(options.picture)
    pipe = _load(options)
    with progress(Path(options.video).name) as on_step:
        clip = svd_lab.generate_video(
            options.picture, options.video, options.seed, pipe=pipe, on_step=on_step, **keywords
        )
    width, height = clip.frames[0].size
    print(f"{options.video}: {len(clip)} frames of {width}x{height}, seed {clip.seed}")
    return 0


def run_demo(options: argparse.Namespace) -> int:
    """svd-lab demo: every bundled picture becomes a video; contact-sheet.png shows them all."""
    from PIL import Image

    folder = options.pictures
    pictures = [path for path in folder.glob("*") if path.suffix.lower() in _PICTURE_SUFFIXES]
    pictures.sort(key=lambda path: (path.stem != "rocket", path.name))  # the class's first picture comes first
    if not pictures:
        raise FileNotFoundError(
            f"there is no picture ({', '.join(_PICTURE_SUFFIXES)}) in {folder}. Give a folder: --pictures DIR"
        )
    pipe = _load(options)
    sheets = []
    for number, picture in enumerate(pictures, 1):
        video = options.out / f"{picture.stem}.mp4"
        with progress(f"{number}/{len(pictures)} {video.name}") as on_step:
            clip = svd_lab.generate_video(picture, video, options.seed, pipe=pipe, on_step=on_step)
        print(f"{number}/{len(pictures)} {video}", flush=True)
        sheets.append(clip.contact_sheet(columns=5))
    gap = 16
    height = sum(sheet.height + gap for sheet in sheets) - gap
    whole = Image.new("RGB", (max(sheet.width for sheet in sheets), height), "white")
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height + gap
    sheet_file = options.out / "contact-sheet.png"
    whole.save(sheet_file)
    print(f"All frames on one sheet: {sheet_file}\nLook into {options.out.resolve()}")
    return 0


def run_models(options: argparse.Namespace) -> int:
    """svd-lab models: the table, and for each model whether it is whole on this machine."""
    from svd_lab.checkpoints import MODELS, check_folder, locate, model_roots

    for key, model in MODELS.items():
        found = locate(key)
        print(f"{key:8}{model.about}")
        if found.folder is None:
            print(f"{'':8}not here; the Hub has it as {model.hub_id}")
            continue
        size = sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
        print(f"{'':8}{found.source}, {size / 1e6:,.0f} MB: {found.folder}")
        try:
            check_folder(found.folder, half=False)
        except (OSError, ValueError) as error:
            print(f"{'':8}cannot be used: {error}")
    for root in model_roots():
        if not root.is_dir():
            print(f"SVD_LAB_MODELS names {root}, which is not a folder")
    if not model_roots():
        print("SVD_LAB_MODELS is not set: it can name folders in which models are looked for")
    return 0


def _load(options: argparse.Namespace) -> Any:
    if options.dtype is None:
        return svd_lab.load_video_pipeline(options.model, device=options.device)
    import torch

    return svd_lab.load_video_pipeline(options.model, device=options.device, dtype=getattr(torch, options.dtype))


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int, float], None]]:
    """An on_step function: a tqdm bar on a terminal, a plain line a step elsewhere (a log, a pipe)."""
    if not sys.stderr.isatty():
        yield lambda step, total, left: print(
            f"{label}: step {step}/{total}, about {left:.0f} s left", file=sys.stderr, flush=True
        )
        return
    from tqdm import tqdm

    # tqdm's own count is 0, and its bar empty, on a terminal that tells no size (docker, ssh -t, a pseudo terminal).
    columns, rows = shutil.get_terminal_size()
    layout = "{desc} {bar} {n_fmt}/{total_fmt}{postfix}"
    bar = tqdm(desc=label, leave=False, ncols=columns, nrows=rows, bar_format=layout, mininterval=0)  # shows every step
    with bar:

        def on_step(step: int, total: int, left: float) -> None:
            bar.total = total
            bar.set_postfix_str(f"about {left:.0f} s left", refresh=False)
            bar.update(step - bar.n)

        yield on_step


if __name__ == "__main__":
    sys.exit(main())
