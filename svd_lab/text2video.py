"""Make a video from a prompt: an image model draws the picture, the video model animates it.

`generate_text2video` is the second helper function of the class that the lessons follow, a hands-on course on SVD taught in Korean.
With the same weights, seed and settings its image and its frames equal those of the bare diffusers recipe exactly, one generator
for both models:

    generator = torch.manual_seed(seed)
    image = image_pipe(prompt, guidance_scale=7.5, width=1024, height=576, generator=generator).images[0]
    pipe(image, decode_chunk_size=2, generator=generator, num_frames=12, num_inference_steps=10).frames[0]
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from svd_lab.clip import Clip, check_video_path
from svd_lab.generation import DECODE_WORTH, check_video_pipe, run_video
from svd_lab.language import mark, say
from svd_lab.prompts import PromptWarning, quiet_about_length, warn_about_prompt
from svd_lab.recipe import make_text_recipe
from svd_lab.runner import pace, refuse_cancelled, run, turn
from svd_lab.settings import check_call, complete

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline
    from PIL import Image

_IMAGE_DECODE_WORTH = 1.5  # as DECODE_WORTH, for one image: 5.6 TFLOP against 4 a step for SD 2.1 at 1024x576
# Until the video model has run: how many times as long as a step of the image one of its steps takes, for each pixel of each frame.
# By FLOP, for SVD (64.1 TFLOP a step of 10 frames) and SD 2.1.
_VIDEO_STEP_WORTH = 1.6


def generate_text2video(
    prompt: str,
    video_file: str | os.PathLike[str],
    seed: int = -1,
    *,
    image_pipe: StableDiffusionPipeline | None = None,
    pipe: StableVideoDiffusionPipeline | None = None,
    guidance_scale: float = 7.5,
    negative_prompt: str | None = None,
    image_num_inference_steps: int = 50,
    num_frames: int = 12,
    num_inference_steps: int = 10,
    decode_chunk_size: int = 2,
    fps: int = 7,
    motion_bucket_id: int = 127,
    noise_aug_strength: float = 0.02,
    min_guidance_scale: float = 1.0,
    max_guidance_scale: float = 3.0,
    height: int | None = None,
    width: int | None = None,
    playback_fps: float | None = None,
    on_image: Callable[[Image.Image], object] | None = None,
    on_step: Callable[[int, int, float], object] | None = None,
    cancel: threading.Event | None = None,
) -> Clip:
    """Draw what `prompt` says, make a video that starts from it, write it to `video_file`, and return it as a Clip.

    Args:
        prompt: One text. A PromptWarning quotes what the model does not read of it: text beyond the tokenizer's limit (77 tokens
            for Stable Diffusion, about 50 English words), words that the miniature cannot draw, and, once, a script that CLIP
            does not know: Stable Diffusion was trained on English.
        video_file: The .mp4 to write; missing folders are created.
        seed: 0 to 2**32 - 1; -1 draws one and prints it. One generator draws the noise of the image and then, continuing where the
            image left it, that of the video: the same seed and settings give the same image and the same video.
        image_pipe: From `load_image_pipeline`; None loads `load_image_pipeline("auto")` once and keeps it for later calls.
        pipe: From `load_video_pipeline`, likewise.
        guidance_scale: How closely the image follows the prompt, 0 to 100; up to 1 means no guidance, and no negative prompt.
        negative_prompt: What the image should not show.
        image_num_inference_steps: Denoising steps of the image; 50 is diffusers' default.
        height, width: Pixels of the image and of the video; None takes the size that the video model was trained at.
        on_image: Called with the finished image (PIL), in this thread, before the video begins; what it raises ends the run. None
            shows the image if this is a notebook. `clip.image` holds it afterwards.
        on_step: Called as on_step(step, total, seconds_left) after each denoising step of either model; total is the sum of both.
            Until the video model has run once, seconds_left is a rough estimate.
        cancel: An Event; once it is set, the run ends within a step of either model.

    The other settings are those of the video, as in `generate_video`, and so are the checks, the errors and the guarantees.

    Raises:
        RuntimeError: The image model's safety checker blackened the image (SD 2.1 has none).
    """
    # Must come first: now locals() holds the arguments and nothing else.
    settings = check_call("generate_text2video", locals())
    path = check_video_path(video_file)
    refuse_cancelled(cancel)
    image_pipe, pipe = check_image_pipe(image_pipe), check_video_pipe(pipe)
    settings = complete(settings, pipe, image_pipe)
    with turn(image_pipe, cancel):  # a tokenizer keeps padding and truncation as state: another run may be using it
        _warn(settings, image_pipe.tokenizer)

    import torch

    generator = torch.Generator().manual_seed(settings["seed"])
    image_steps = settings["image_num_inference_steps"]
    both = image_steps + settings["num_inference_steps"]
    during_image = during_video = None
    if on_step is not None:

        def during_image(step: int, _total: int, left: float) -> None:
            on_step(step, both, left + _video_seconds(image_pipe, pipe, settings))

        def during_video(step: int, _total: int, left: float) -> None:
            on_step(image_steps + step, both, left)

    image = run_image(image_pipe, settings, generator, during_image, cancel)
    (on_image or _show_in_notebook)(image)
    frames = run_video(pipe, image, settings, generator, during_video, cancel)
    clip = Clip(frames, settings["seed"], make_text_recipe(image_pipe, pipe, image, settings, frames), image=image)
    clip.save(path, fps=settings["playback_fps"])
    return clip


def run_image(
    image_pipe: StableDiffusionPipeline,
    settings: dict[str, Any],
    generator: torch.Generator,
    on_step: Callable[[int, int, float], object] | None,
    cancel: threading.Event | None,
) -> Image.Image:
    """Run the image pipeline with checked settings; returns the image (PIL) and raises as `runner.run`."""
    names = ("prompt", "negative_prompt", "guidance_scale", "height", "width")
    arguments = {name: settings[name] for name in names}
    arguments |= {"num_inference_steps": settings["image_num_inference_steps"], "generator": generator}
    with quiet_about_length():
        output = run(image_pipe, arguments, mark("image"), _IMAGE_DECODE_WORTH, "guidance_scale", on_step, cancel)
    if any(output.nsfw_content_detected or []):
        raise RuntimeError(
            say(
                "the image model's safety checker blackened the image as not safe for work, so no video was "
                "made. Try another seed or another prompt"
            )
        )
    return output.images[0]


def check_image_pipe(image_pipe: Any) -> StableDiffusionPipeline:
    """Return `image_pipe`, or the default pipeline for None; TypeError for anything that is not an image pipeline."""
    from svd_lab.pipelines import default_image_pipeline

    if image_pipe is None:
        return default_image_pipeline()
    from diffusers import StableDiffusionPipeline

    if not isinstance(image_pipe, StableDiffusionPipeline):
        given = isinstance(image_pipe, str | os.PathLike)
        hint = (
            say("; write image_pipe=load_image_pipeline({image_pipe!r})", image_pipe=str(image_pipe)) if given else ""
        )
        raise TypeError(
            say(
                "image_pipe must be a StableDiffusionPipeline from load_image_pipeline(), not a {kind}{hint}",
                kind=type(image_pipe).__name__,
                hint=hint,
            )
        )
    return image_pipe


def _warn(settings: dict[str, Any], tokenizer: Any) -> None:
    warn_about_prompt(settings["prompt"], tokenizer, stacklevel=4)
    if settings["negative_prompt"] is not None:
        warn_about_prompt(settings["negative_prompt"], tokenizer, "negative_prompt", stacklevel=4)
        if settings["guidance_scale"] <= 1:
            text = say("negative_prompt has no effect without guidance: set guidance_scale above 1, 7.5 is usual")
            warnings.warn(text, PromptWarning, stacklevel=3)


def _video_seconds(image_pipe: Any, pipe: Any, settings: dict[str, Any]) -> float:
    """Estimate the seconds of the video from its own pace, or else from the image's, which has made a step by now."""
    measured = pace(pipe)
    step = measured.step if measured else pace(image_pipe).step * _VIDEO_STEP_WORTH
    pixels = settings["num_frames"] * settings["height"] * settings["width"]
    return step * pixels * (settings["num_inference_steps"] + (measured.decode if measured else DECODE_WORTH))


def _show_in_notebook(image: Image.Image) -> None:
    """Display the image in a notebook; a script and a terminal show nothing."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if hasattr(shell, "kernel"):
        from IPython.display import display

        display(image)
