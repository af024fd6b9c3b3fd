"""Load a video model: which one, onto which device, in which precision, from where.

The table of models and the search on this machine are in `checkpoints`. Nothing here is svd_lab's own model code: the result
is diffusers' StableVideoDiffusionPipeline, as its from_pretrained makes it.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from svd_lab.checkpoints import MODELS, Location, check_folder, locate, model_roots
from svd_lab.threads import keep_to_quota

if TYPE_CHECKING:
    import torch
    from diffusers import StableVideoDiffusionPipeline

_DEFAULT_LOCK = threading.Lock()


def load_video_pipeline(
    model: str | Path = "auto",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> StableVideoDiffusionPipeline:
    """Load a StableVideoDiffusionPipeline and print in one line which model, where from, which device, and why.

    model: "auto" (svd on a CUDA device, else mini), "mini", "svd", "svd-xt", a folder in diffusers' layout, or a Hub id.
        It is looked for in that folder, in the folders of SVD_LAB_MODELS, in the Hub cache, and then on the Hub. "auto"
        never takes mini because svd cannot be had: it raises.
    device: "cuda", "cuda:1", "mps", "cpu" or a torch.device; None: CUDA where there is one, else the CPU.
    dtype: torch.float16, torch.bfloat16 or torch.float32; None: float16 (the fp16 variant) on CUDA, else float32.

    On a CPU torch's threads are lowered to what a container may use, where that is fewer (see `threads`).
    Only safetensors are read, never a pickle. Raises ValueError or TypeError for a wrong argument, and OSError for a model
    that cannot be had: FileNotFoundError (missing, incomplete), PermissionError (gated), ConnectionError (no Hub).
    """
    place, reason = choose_device(device)
    dtype = _check_dtype(dtype, place)
    if isinstance(model, str) and model.strip() == "auto":
        if place.type != "cuda":
            return _load(locate("mini"), place, dtype, f'{reason}, so "auto" takes mini')
        try:
            return _load(locate("svd"), place, dtype, f'{reason}, so "auto" takes svd')
        except OSError as error:
            raise type(error)(f"{error}\n{_three_ways()}") from error
    return _load(locate(model), place, dtype, reason)


def default_video_pipeline() -> StableVideoDiffusionPipeline:
    """load_video_pipeline("auto"), loaded once in this process however many threads ask."""
    with _DEFAULT_LOCK:
        return _default_video_pipeline()


@cache
def _default_video_pipeline() -> StableVideoDiffusionPipeline:
    return load_video_pipeline("auto")


def _load(found: Location, device: torch.device, dtype: torch.dtype, why: str) -> StableVideoDiffusionPipeline:
    import torch

    half = dtype == torch.float16
    with quiet_libraries():
        from diffusers import StableVideoDiffusionPipeline
    folder, variant = _whole_folder(found, half)
    with quiet_libraries():
        try:
            pipe = StableVideoDiffusionPipeline.from_pretrained(
                folder, dtype=dtype, variant=variant, use_safetensors=True, local_files_only=True
            )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise OSError(
                f"the model folder {folder} cannot be loaded: its files do not fit together ({error})"
            ) from error
        pipe.to(device)
    if device.type == "cpu":
        keep_to_quota()
    pipe.svd_lab_name = found.name
    width, height = native_size(pipe)
    print(
        f"{found.name} ({found.source}): {pipe.unet.config.num_frames} frames of {width}x{height}, "
        f"on {device} in {str(dtype).removeprefix('torch.')}; {why}"
    )
    return pipe


def _whole_folder(found: Location, half: bool) -> tuple[Path, str | None]:
    """The checked folder of a model and its variant, downloaded when it is not on this machine or half in the Hub cache."""
    on_hub = found.source in ("the Hub", "the Hub cache")
    if found.folder is not None:
        try:
            return found.folder, check_folder(found.folder, half)
        except OSError:
            if not on_hub:
                raise
    folder = _download(found.hub_id, half)
    return folder, check_folder(folder, half)


def _download(hub_id: str, half: bool) -> Path:
    """Download (or complete) the safetensors and configs of `hub_id`; a chain of Hub exceptions becomes one clear OSError."""
    from diffusers import StableVideoDiffusionPipeline

    print(f"downloading {hub_id} from the Hub (once; it stays in the Hub cache) …", file=sys.stderr)
    for variant in ("fp16", None) if half else (None, "fp16"):
        try:
            return Path(StableVideoDiffusionPipeline.download(hub_id, variant=variant, use_safetensors=True))
        except Exception as error:
            # diffusers' words for a variant that is not there, and for one that is there as a pickle only
            if "no such modeling files" not in str(error) and "necessary `safetensors`" not in str(error):
                raise hub_error(hub_id, error) from error
    raise FileNotFoundError(
        f"{hub_id} on the Hub has no complete safetensors weights, and pickles, which can run code, are never read. "
        f"Choose another model, or convert it: https://huggingface.co/{hub_id}"
    )


def hub_error(hub_id: str, error: BaseException) -> OSError:
    """Translate what huggingface_hub or diffusers raised, causes and contexts included, into one OSError that says what to do."""
    import errno

    from huggingface_hub import errors

    chain = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    said = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"

    def any_of(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    page = f"https://huggingface.co/{hub_id}"
    if any(isinstance(link, OSError) and link.errno == errno.ENOSPC for link in chain):
        return OSError(
            errno.ENOSPC,
            f"the disk is full while downloading {hub_id}. Free space, or set HF_HOME to another disk",
        )
    if any_of(errors.GatedRepoError):  # before RepositoryNotFoundError, which it subclasses
        return PermissionError(
            f"{hub_id} is gated: accept its licence on {page}, then log in here with `hf auth login`. ({said})"
        )
    if any_of(errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        return FileNotFoundError(
            f"the Hub has no public model {hub_id!r}: check the spelling on {page}; for a private one log in with "
            f"`hf auth login`. ({said})"
        )
    if any_of(errors.OfflineModeIsEnabled):
        return ConnectionError(
            f"{hub_id} is not on this machine, and the Hub is switched off by HF_HUB_OFFLINE: unset it, or give a folder. ({said})"
        )
    if any_of(errors.RemoteEntryNotFoundError):
        return FileNotFoundError(
            f"{hub_id} on the Hub is not a diffusers pipeline (no model_index.json). See {page}. ({said})"
        )
    status = next(
        (link.response.status_code for link in chain if isinstance(link, errors.HfHubHTTPError) and link.response),
        None,
    )
    if status is not None:
        return ConnectionError(f"the Hub answered {status} for {hub_id}: try again later, or give a folder. ({said})")
    return ConnectionError(
        f"{hub_id} is not whole on this machine, and the Hub cannot be reached: check the network and the proxy, or give a "
        f"folder. ({said})"
    )


def _three_ways() -> str:
    roots = ", ".join(str(root) for root in model_roots()) or "not set"
    return (
        "There are three ways to a model:\n"
        f"  1. let the Hub give it: a network, and load_video_pipeline({'svd'!r}) downloads {MODELS['svd'].hub_id};\n"
        "  2. give a folder that holds it: load_video_pipeline('/path/to/stable-video-diffusion-img2vid'), or the folder above "
        f"it in the environment variable SVD_LAB_MODELS (now {roots});\n"
        "  3. take the miniature that comes with this package: load_video_pipeline('mini')."
    )


def choose_device(device: str | torch.device | None = None) -> tuple[torch.device, str]:
    """The torch.device for `device`, and the reason in words. Raises ValueError for one that is not here."""
    import torch

    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda"), f"{torch.cuda.get_device_name()} is here"
        return torch.device("cpu"), "no CUDA GPU here"
    if not isinstance(device, str | torch.device):
        raise TypeError(
            f"device must be 'cuda', 'mps', 'cpu' or a torch.device, not {device!r}; leave it out to choose by itself"
        )
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = torch.device("meta")
    if chosen.type not in ("cuda", "mps", "cpu"):
        raise ValueError(
            f"device {device!r} is not known: give 'cuda', 'mps' or 'cpu', or leave it out to choose by itself"
        )
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}[chosen.type]
    if (chosen.index or 0) >= count:
        build = "" if torch.version.cuda or chosen.type != "cuda" else " (this torch is built without CUDA)"
        raise ValueError(
            f"device {device!r} is not here: {count} of kind {chosen.type!r}{build}. Leave device out, or give 'cpu'"
        )
    return chosen, "as asked"


def _check_dtype(dtype: torch.dtype | None, device: torch.device) -> torch.dtype:
    import torch

    if dtype is None:
        return torch.float16 if device.type == "cuda" else torch.float32
    if not isinstance(dtype, torch.dtype):
        raise TypeError(
            f"dtype must be a torch.dtype like torch.float16, not {dtype!r} ({type(dtype).__name__}): "
            "diffusers would silently load float32 for a string"
        )
    if dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise ValueError(f"dtype must be torch.float16, torch.bfloat16 or torch.float32, not {dtype}")
    return dtype


def native_size(pipe: StableVideoDiffusionPipeline) -> tuple[int, int]:
    """(width, height) in pixels that the model was trained at, read from its configs.

    Stability's checkpoints carry one number for both (768: the side of a square of as many pixels as 1024x576). In
    svd_lab's own the VAE's sample_size is the height and the UNet's (in latent cells) the width.
    """
    width = pipe.unet.config.sample_size * pipe.vae_scale_factor
    height = getattr(pipe.vae.config, "sample_size", None) or width
    if width != height:
        return width, height
    step = size_step(pipe)
    return tuple(max(step, round(side / step) * step) for side in (width * 4 / 3, height * 3 / 4))


def size_step(pipe: StableVideoDiffusionPipeline) -> int:
    """Width and height must be multiples of this: 8 for diffusers, and what the VAE and the UNet halve together (SVD: 64)."""
    halvings = len(pipe.unet.config.down_block_types) - 1
    return math.lcm(8, pipe.vae_scale_factor * 2**halvings)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Without the loading bars of diffusers and transformers and their note about torchvision; all put back afterwards."""
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
        if not hub_bars:  # transformers' switch has turned the Hub's bars on with its own
            disable_progress_bars()
