"""The svd-lab command: a thin skin over the package; `svd-lab --help` is the manual.

Exit status: 0 done, 1 the run failed (one readable line; the traceback with --debug), 2 wrong usage, 130 stopped by Ctrl-C,
138 the kernel of a lesson died (papermill's number for it).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import svd_lab
from svd_lab.commands.batch import add_batch
from svd_lab.commands.bench import add_bench
from svd_lab.commands.classroom import add_class
from svd_lab.commands.demo import list_models, make_demo, plain_warnings, progress, show_recipe

PICTURES = Path(__file__).with_name("mini") / "pictures"

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
    if list(words[:1]) == ["check"]:  # before the parser: that imports what `check` is there to find broken
        from svd_lab.commands.check import main as check

        return check(words[1:])
    # argparse cannot make a positional argument depend on an option.
    options = build_parser(prompted=any(word.split("=")[0] == "--prompt" for word in words)).parse_args(words)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        print("\nsvd-lab: stopped; no unfinished file was left", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            raise
        print(f"svd-lab: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1


def build_parser(prompted: bool = False) -> argparse.ArgumentParser:
    """The command line: generate, demo, models, check, recipe, lesson, class, batch, bench.

    prompted: generate takes a prompt and no PICTURE.
    """
    parser = argparse.ArgumentParser(
        prog="svd-lab", description="Make short videos from pictures with Stable Video Diffusion."
    )
    parser.add_argument("--version", action="version", version=f"svd-lab {svd_lab.__version__}")
    debug = argparse.ArgumentParser(add_help=False)
    debug.add_argument("--debug", action="store_true", help="show the traceback when a run fails")
    loading = argparse.ArgumentParser(add_help=False)
    loading.add_argument("--device", help="cuda, cuda:1, mps or cpu (CUDA where there is one)")
    loading.add_argument("--dtype", choices=["float16", "bfloat16", "float32"], help="(float16 on CUDA, else float32)")
    laying = argparse.ArgumentParser(add_help=False)
    laying.add_argument(
        "--speed", choices=["auto", "off", "exact", "fused"], default="auto", help="(auto: the fastest)"
    )
    laying.add_argument(
        "--memory", default="auto", metavar="RECIPE", help="on a GPU: whole, pieces, … (auto: what fits)"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    generate = commands.add_parser(
        "generate",
        parents=[debug, loading, laying],
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
    generate.add_argument(
        "--model", default="auto", help="auto, mini, mini-turbo, svd, svd-xt, a folder, or a Hub id (auto)"
    )
    seed = -1 if prompted else 42
    generate.add_argument("--seed", type=int, default=seed, help=f"0 to 4294967295; -1 draws one ({seed})")
    for name, (kind, text) in keywords.items():
        default = call.__kwdefaults__[name]
        text += f" ({default})" if default is not None else ""
        generate.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=text, metavar="X")
    generate.set_defaults(run=run_text if prompted else run_generate)

    demo = commands.add_parser("demo", parents=[debug, loading, laying], help="make videos from the bundled pictures")
    demo.add_argument("--out", type=Path, default=Path("svd-lab-demo"), help="folder for the results (svd-lab-demo)")
    demo.add_argument("--pictures", type=Path, default=PICTURES, help="a folder of pictures of your own")
    demo.add_argument("--model", default="mini", help="as in generate (mini)")
    demo.add_argument("--seed", type=int, default=42, help="as in generate (42)")
    demo.set_defaults(run=lambda given: make_demo(given.pictures, given.out, given.seed, lambda: _load(given)))

    models = commands.add_parser(
        "models", parents=[debug], help="say which models are here, where, how large, what is missing"
    )
    models.set_defaults(run=lambda _: list_models())

    commands.add_parser(
        "check", help="say what works on this machine, in lines to paste to an instructor", add_help=False
    )

    recipe = commands.add_parser("recipe", parents=[debug], help="print the recipe that a video carries, as JSON")
    recipe.add_argument("video", metavar="FILE.mp4", help="a video that svd-lab wrote")
    recipe.add_argument("--replay", metavar="OUT.mp4", help="make the clip again, and say whether it is the same")
    recipe.set_defaults(run=lambda given: show_recipe(given.video, given.replay))

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
    add_class(commands, debug)
    add_batch(commands, debug, loading, laying, keywords=_KEYWORDS | _IMAGE_KEYWORDS)
    add_bench(commands, debug, loading)
    return parser


def run_generate(options: argparse.Namespace) -> None:
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


def run_text(options: argparse.Namespace) -> None:
    """svd-lab generate --prompt: one text, one image, one video."""
    from svd_lab.clip import check_video_path
    from svd_lab.text2video import check_call

    names = [name for name in (*_IMAGE_KEYWORDS, *_KEYWORDS) if name != "fit"]
    keywords = {name: getattr(options, name) for name in names}
    check_call(prompt=options.prompt, seed=options.seed, **keywords)  # as in run_generate
    check_video_path(options.video)
    image_pipe = _load(options, svd_lab.load_image_pipeline, options.image_model)
    pipe = _load(options)
    with progress(Path(options.video).name) as on_step, plain_warnings():
        clip = svd_lab.generate_text2video(
            options.prompt, options.video, options.seed, image_pipe=image_pipe, pipe=pipe, on_step=on_step, **keywords
        )
    _report(options, clip)


def _report(options: argparse.Namespace, clip: Any) -> None:
    width, height = clip.frames[0].size
    print(f"{options.video}: {len(clip)} frames of {width}x{height}, seed {clip.seed}")


def run_lesson(options: argparse.Namespace) -> int:
    """svd-lab lesson: one notebook, one folder with all that came of it."""
    from svd_lab.lesson.run import load_papermill, run_lesson

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
    more = {"speed": options.speed, "memory": options.memory} if loader is None else {}
    loader, model = loader or svd_lab.load_video_pipeline, model or options.model
    if options.dtype is None:
        return loader(model, device=options.device, **more)
    import torch

    return loader(model, device=options.device, dtype=getattr(torch, options.dtype), **more)


if __name__ == "__main__":
    sys.exit(main())
