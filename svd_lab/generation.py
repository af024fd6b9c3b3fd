"""Make a video from a picture: check the settings, run the pipeline, report progress, stop when asked.

`generate_video` is the helper function of the class that the lessons follow, a hands-on course on SVD taught in Korean. With the
same weights, seed, settings and a picture of the right size its frames equal those of the bare diffusers recipe exactly:

    generator = torch.manual_seed(seed)
    pipe(image, decode_chunk_size=2, generator=generator, num_frames=10, num_inference_steps=10).frames[0]
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from svd_lab.clip import Clip, check_video_path
from svd_lab.images import open_image
from svd_lab.language import mark, say
from svd_lab.recipe import make_recipe
from svd_lab.runner import refuse_cancelled, run
from svd_lab.settings import check_call, complete
from svd_lab.settings_table import SETTINGS

if TYPE_CHECKING:
    import torch
    from diffusers import StableVideoDiffusionPipeline
    from PIL import Image

# Decoding a frame takes about as long as 4 of its denoising steps: by FLOP 3.5 for SVD and 4.6 for the mini.
DECODE_WORTH = 4.0

#: The settings that the video pipeline itself receives.
_CALL = tuple(name for name, row in SETTINGS.items() if row.model)


def generate_video(
    image: Any,
    video_file: str | os.PathLike[str],
    seed: int = 42,
    *,
    pipe: StableVideoDiffusionPipeline | None = None,
    num_frames: int = 10,
    num_inference_steps: int = 10,
    decode_chunk_size: int = 2,
    fps: int = 7,
    motion_bucket_id: int = 127,
    noise_aug_strength: float = 0.02,
    min_guidance_scale: float = 1.0,
    max_guidance_scale: float = 3.0,
    height: int | None = None,
    width: int | None = None,
    fit: str = "crop",
    playback_fps: float | None = None,
    on_step: Callable[[int, int, float], object] | None = None,
    cancel: threading.Event | None = None,
) -> Clip:
    """Make a video that starts from a picture, write it to `video_file`, and return it as a Clip.

    With the same weights, seed, settings and a picture of the right size, the frames equal those of the bare diffusers recipe
    exactly (see the module). Names and defaults are diffusers'.

    Args:
        image: Whatever `open_image` takes: a path, a URL, bytes, a PIL image, an array, a tensor.
        video_file: The .mp4 to write; missing folders are created.
        seed: 0 to 2**32 - 1; -1 draws one and prints it. The same seed and settings give the same video.
        pipe: From `load_video_pipeline`; None loads `load_video_pipeline("auto")` once and keeps it for later calls.
        num_frames: At least 2. The models were trained on 14 (mini, svd) or 25 (svd-xt).
        num_inference_steps: Denoising steps; the time grows in proportion.
        decode_chunk_size: Frames decoded at a time; num_frames decodes all at once. More take more memory (SVD: about 1.1 GiB a
            frame), and the pixels depend on it a little.
        fps: Frames a second that the model is conditioned on [arXiv 2311.15127, micro-conditioning].
        motion_bucket_id: How much moves, 0 to 255.
        noise_aug_strength: Standard deviation of the noise added to the picture, whose values range from -1 to 1.
        min_guidance_scale: Classifier-free guidance of the first frame.
        max_guidance_scale: The same of the last frame; it rises linearly between them.
        height, width: Pixels; None takes the size that the model was trained at.
        fit: How the picture gets that size: "crop", "pad" or "stretch".
        playback_fps: Frames a second of the file; None takes `fps`.
        on_step: Called as on_step(step, total, seconds_left) after each denoising step, in this thread, with step from 1 to total;
            seconds_left includes the decoding. It replaces diffusers' progress bar. What it raises ends the run.
        cancel: An Event; once it is set, the run ends within a step or a decoded chunk.

    Returns:
        The clip; its `recipe` holds everything needed to make it again.

    Raises:
        TypeError, ValueError: A wrong setting, before any model works; also what `open_image` raises.
        OSError: A picture that cannot be read, a file that cannot be written, a model that is unavailable.
        Cancelled: `cancel` was set.
        FloatingPointError: The model's numbers overflowed.
        MemoryError: Memory ran out; the message says what to try next.

    Whatever is raised, no file is left and the pipeline is as it was. Threads that share a pipeline take turns. The caller's random
    state is neither used nor changed.
    """
    settings = check_call(
        "generate_video", locals()
    )  # must come first: now locals() holds the arguments and nothing else
    path = check_video_path(video_file)
    picture = open_image(image)
    refuse_cancelled(cancel)
    pipe = check_video_pipe(pipe)
    settings = complete(settings, pipe)
    picture = open_image(picture, size=(settings["width"], settings["height"]), fit=fit)

    # A CPU generator gives the same numbers on every device, and a separate one leaves torch's global state alone.
    import torch

    generator = torch.Generator().manual_seed(settings["seed"])
    frames = run_video(pipe, picture, settings, generator, on_step, cancel)
    clip = Clip(frames, settings["seed"], make_recipe(pipe, image, picture, settings, frames), image=picture)
    clip.save(path, fps=settings["playback_fps"])
    return clip


def run_video(
    pipe: StableVideoDiffusionPipeline,
    picture: Image.Image,
    settings: dict[str, Any],
    generator: torch.Generator,
    on_step: Callable[[int, int, float], object] | None,
    cancel: threading.Event | None,
) -> list[Image.Image]:
    """Run the video pipeline with checked settings; returns the frames (PIL) and raises as `runner.run`."""
    arguments = {"image": picture, "generator": generator} | {name: settings[name] for name in _CALL}
    remedy = say("max_guidance_scale or noise_aug_strength")
    return run(pipe, arguments, mark("video"), DECODE_WORTH, remedy, on_step, cancel).frames[0]


def check_video_pipe(pipe: Any) -> StableVideoDiffusionPipeline:
    """Return `pipe`, or the default pipeline for None; TypeError for anything that is not a video pipeline."""
    from svd_lab.pipelines import default_video_pipeline

    if pipe is None:
        return default_video_pipeline()
    from diffusers import StableVideoDiffusionPipeline

    if not isinstance(pipe, StableVideoDiffusionPipeline):
        hint = (
            say("; write pipe=load_video_pipeline({pipe!r})", pipe=str(pipe))
            if isinstance(pipe, str | os.PathLike)
            else ""
        )
        raise TypeError(
            say(
                "pipe must be a StableVideoDiffusionPipeline from load_video_pipeline(), not a {kind}{hint}",
                kind=type(pipe).__name__,
                hint=hint,
            )
        )
    return pipe
