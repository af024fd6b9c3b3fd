"""`svd-lab generate`: one video from a picture or from a prompt."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import svd_lab
from svd_lab.bundled import BUNDLED
from svd_lab.commands.options import IMAGE_MODELS, MODELS, add_settings, load_image, load_video, manual
from svd_lab.commands.terminal import plain_warnings, progress
from svd_lab.language import say
from svd_lab.settings_table import SETTINGS, default_of, settings_of

SEED = default_of("seed", "generate_video")  #: with a prompt, too: a command that is given again makes the same video


def add_generate(commands: Any, *parents: argparse.ArgumentParser, prompted: bool) -> None:
    """Add the command to argparse's `commands`. prompted: whether it takes a prompt instead of PICTURE."""
    call = "generate_text2video" if prompted else "generate_video"
    parser = commands.add_parser(
        "generate",
        parents=list(parents),
        help="make one video from a picture, or from a prompt",
        **manual(
            "Make one video from a picture, or from a prompt, from which an image model first draws the picture. The same command "
            f"makes the same video again, because the seed is {SEED} unless you give one; --seed -1 draws one. From a picture 10 "
            "frames are made, from a prompt 12: these are the numbers of the two scripts that the lessons explain. The models "
            "were trained on 14 (svd-xt: 25), which --num-frames 14 gives.",
            "svd-lab generate rocket rocket.mp4",
            "svd-lab generate photo.jpg photo.mp4 --seed 7 --motion-bucket-id 200",
            'svd-lab generate --prompt "a red boat on the sea" boat.mp4 --seed -1',
        ),
        usage="svd-lab generate (PICTURE | --prompt TEXT) OUT.mp4 [options]",
    )
    if prompted:
        parser.add_argument("--image-model", default="auto", help=f"{IMAGE_MODELS} (auto)")
    else:
        parser.add_argument("picture", metavar="PICTURE", help=f"a file, an http(s) address, or {', '.join(BUNDLED)}")
    parser.add_argument("video", metavar="OUT.mp4", help="the file to write; missing folders are created")
    hint = "" if prompted else "; generate --prompt TEXT --help shows its settings"
    parser.add_argument("--prompt", metavar="TEXT", help=f"{say(SETTINGS['prompt'].help)}{hint}")
    parser.add_argument("--model", default="auto", help=f"{MODELS} (auto)")
    names = [name for name in settings_of(call) if name not in ("prompt", "seed")]
    add_settings(parser, ["seed"], "generate_video")
    add_settings(parser, names, call)
    parser.set_defaults(run=run_prompt if prompted else run_picture, names=names)


def run_picture(options: argparse.Namespace) -> None:
    """Make a video of a picture."""
    from svd_lab.clip import check_video_path
    from svd_lab.images import open_image
    from svd_lab.settings import check_settings

    keywords = {name: getattr(options, name) for name in options.names}
    # generate_video checks again; here a mistake is found before the seconds that importing torch takes.
    check_settings("generate_video", keywords | {"seed": options.seed})
    check_video_path(options.video)
    if "://" not in options.picture:  # not worth downloading twice
        open_image(options.picture)
    pipe = load_video(options)
    with progress(Path(options.video).name) as on_step:
        clip = svd_lab.generate_video(
            options.picture, options.video, options.seed, pipe=pipe, on_step=on_step, **keywords
        )
    _report(options, clip)


def run_prompt(options: argparse.Namespace) -> None:
    """Draw a picture for a prompt, and make a video of it."""
    from svd_lab.clip import check_video_path
    from svd_lab.settings import check_settings

    keywords = {name: getattr(options, name) for name in options.names}
    check_settings("generate_text2video", keywords | {"prompt": options.prompt, "seed": options.seed})
    check_video_path(options.video)
    image_pipe, pipe = load_image(options), load_video(options)
    with progress(Path(options.video).name) as on_step, plain_warnings():
        clip = svd_lab.generate_text2video(
            options.prompt, options.video, options.seed, image_pipe=image_pipe, pipe=pipe, on_step=on_step, **keywords
        )
    _report(options, clip)


def _report(options: argparse.Namespace, clip: Any) -> None:
    width, height = clip.frames[0].size
    default = (
        " (the default: the same command makes the same video; --seed -1 draws another)" if clip.seed == SEED else ""
    )
    print(f"{options.video}: {len(clip)} frames of {width}x{height}, seed {clip.seed}{default}")
