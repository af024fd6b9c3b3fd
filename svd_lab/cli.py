"""The svd-lab command: a thin skin over the package; `svd-lab --help` is the manual.

Exit status: 0 done, 1 the run failed (one readable line; the traceback with --debug), 2 wrong usage, 130 stopped by Ctrl-C,
138 the kernel of a lesson died (papermill's number for it).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import warnings
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
# The same for what generate_text2video has instead of a picture and its fit.
_IMAGE_KEYWORDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "negative_prompt": (str, "what the image should not show"),
    "guidance_scale": (float, "how closely the image keeps to the prompt"),
    "image_num_inference_steps": (int, "denoising steps of the image"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (None: sys.argv) and return its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    # argparse cannot make a positional argument depend on an option.
    options = build_parser(prompted=any(word.split("=")[0] == "--prompt" for word in words)).parse_args(words)
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


def build_parser(prompted: bool = False) -> argparse.ArgumentParser:
    """The command line: generate, demo, models, lesson. prompted: generate takes a prompt and no PICTURE."""
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

    generate = commands.add_parser(
        "generate",
        parents=[debug, loading],
        help="make one video from a picture, or from a text",
        usage="svd-lab generate (PICTURE | --prompt TEXT) OUT.mp4 [options]",
    )
    call = svd_lab.generate_text2video if prompted else svd_lab.generate_video
    keywords = (_IMAGE_KEYWORDS if prompted else {}) | _KEYWORDS
    if prompted:
        del keywords["fit"]
        generate.add_argument("--image-model", default="auto", help="auto, mini, sd21, a folder, or a Hub id (auto)")
    else:
        generate.add_argument("picture", metavar="PICTURE", help="a file or an http(s) address")
    generate.add_argument("video", metavar="OUT.mp4", help="the file to write; missing folders are made")
    more = "" if prompted else "; generate --prompt TEXT --help shows its settings"
    generate.add_argument("--prompt", metavar="TEXT", help=f"an image model draws the picture{more}")
    generate.add_argument("--model", default="auto", help="auto, mini, svd, svd-xt, a folder, or a Hub id (auto)")
    seed = -1 if prompted else 42
    generate.add_argument("--seed", type=int, default=seed, help=f"0 to 4294967295; -1 draws one ({seed})")
    for name, (kind, text) in keywords.items():
        default = call.__kwdefaults__[name]
        text += f" ({default})" if default is not None else ""
        generate.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=text, metavar="X")
    generate.set_defaults(run=run_text if prompted else run_generate)

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

    lesson = commands.add_parser(
        "lesson", parents=[debug], help="run a lesson's notebook with parameters, as a class does"
    )
    lesson.add_argument("name", metavar="NAME", help="how the lesson's name starts, as 02, or a path to an .ipynb")
    lesson.add_argument("--language", choices=["ko", "en"], default="ko", help="(ko)")
    lesson.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("PARAMETER", "VALUE"),
        help="set one of the notebook's parameters; can be given again",
    )  # fmt: skip
    lesson.add_argument(
        "--out", metavar="DIR", help="folder for the executed notebook, videos and result.json (out/NAME)"
    )
    lesson.add_argument("--cell-timeout", type=int, metavar="SECONDS", help="how long one cell may take (no limit)")
    lesson.set_defaults(run=run_lesson)
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
    _report(options, clip)
    return 0


def run_text(options: argparse.Namespace) -> int:
    """svd-lab generate --prompt: one text, one image, one video."""
    from svd_lab.clip import check_video_path
    from svd_lab.text import check_call

    names = [name for name in (*_IMAGE_KEYWORDS, *_KEYWORDS) if name != "fit"]
    keywords = {name: getattr(options, name) for name in names}
    check_call(prompt=options.prompt, seed=options.seed, **keywords)  # as in run_generate
    check_video_path(options.video)
    image_pipe = _load(options, svd_lab.load_image_pipeline, options.image_model)
    pipe = _load(options)
    with progress(Path(options.video).name) as on_step, _plain_warnings():
        clip = svd_lab.generate_text2video(
            options.prompt, options.video, options.seed, image_pipe=image_pipe, pipe=pipe, on_step=on_step, **keywords
        )
    _report(options, clip)
    return 0


def _report(options: argparse.Namespace, clip: Any) -> None:
    width, height = clip.frames[0].size
    print(f"{options.video}: {len(clip)} frames of {width}x{height}, seed {clip.seed}")


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """What there is to say about a prompt as one line, without Python's file and line number."""
    from svd_lab.prompts import PromptWarning

    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
            if issubclass(category, PromptWarning):
                print(f"svd-lab: {message}", file=sys.stderr)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


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
    from svd_lab.checkpoints import check_folder, locate, model_roots
    from svd_lab.families import FAMILIES

    for family in FAMILIES:
        print(f"with {family.loader}, {family.makes}:")
        for key, model in family.models.items():
            found = locate(key, family)
            print(f"{key:8}{model.about}")
            if found.folder is None:
                print(f"{'':8}not here; the Hub has it as {model.hub_id}")
                continue
            size = sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
            print(f"{'':8}{found.source}, {size / 1e6:,.0f} MB: {found.folder}")
            try:
                check_folder(found.folder, half=False, family=family)
            except (OSError, ValueError) as error:
                print(f"{'':8}cannot be used: {error}")
    for root in model_roots():
        if not root.is_dir():
            print(f"SVD_LAB_MODELS names {root}, which is not a folder")
    if not model_roots():
        print("SVD_LAB_MODELS is not set: it can name folders in which models are looked for")
    return 0


def run_lesson(options: argparse.Namespace) -> int:
    """svd-lab lesson: one notebook, one folder with all that came of it."""
    from svd_lab.run_lesson import load_papermill, run_lesson

    load_papermill()
    from nbclient.exceptions import DeadKernelError

    try:
        executed = run_lesson(
            options.name,
            dict(options.parameters),
            language=options.language,
            out=options.out,
            cell_timeout=options.cell_timeout,
            progress_bar=sys.stderr.isatty(),
        )
    except DeadKernelError as error:
        if options.debug:
            raise
        print(f"svd-lab: {error}", file=sys.stderr)
        return 138
    print(f"{executed}: done; what it made lies beside it")
    return 0


def _load(options: argparse.Namespace, loader: Callable[..., Any] | None = None, model: str | None = None) -> Any:
    loader, model = loader or svd_lab.load_video_pipeline, model or options.model
    if options.dtype is None:
        return loader(model, device=options.device)
    import torch

    return loader(model, device=options.device, dtype=getattr(torch, options.dtype))


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
