"""Put a video pipeline on a GPU under a memory recipe (`memory`), and say what to do when its memory is too little all the same."""

from __future__ import annotations

import math
import traceback
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from svd_lab.performance.memory import CONSTANTS, GIB, RECIPES, Load, Recipe, choose, load, sentence
from svd_lab.pipe_facts import device_number, uncompiled

#: What a call asks for that says nothing, beside the frames and the size that the model was trained at.
DECODE_CHUNK_SIZE, STEPS = 2, 10
#: Of the class's images.
IMAGE_SIZE = 1024, 576


#: What each pipeline loaded on a GPU takes while it runs, beside its weights. Two that take turns need the larger of the two.
_WORKING: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()


def plan(folder: Path, dtype: Any, device: Any, memory: str, fused: bool) -> tuple[Recipe, float]:
    """Choose the recipe for the model in `folder` from what is free on the CUDA device, and print why, before anything is loaded;
    returns it and the bytes to `remember`.

    It is chosen for a video of the frames and the size that the model was trained at, decoded 2 frames at a time.
    """
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel

    from svd_lab.pipe_facts import native_size

    unet = UNetSpatioTemporalConditionModel.load_config(folder / "unet")
    vae = AutoencoderKLTemporalDecoder.load_config(folder / "vae")
    configs = {
        name: SimpleNamespace(config=SimpleNamespace(**config)) for name, config in (("unet", unet), ("vae", vae))
    }
    scale = 2 ** (len(vae["block_out_channels"]) - 1)
    width, height = native_size(SimpleNamespace(**configs, vae_scale_factor=scale))
    frames = unet["num_frames"]
    settings = {"num_frames": frames, "decode_chunk_size": DECODE_CHUNK_SIZE, "height": height, "width": width}
    need = load(unet, vae, _stored(folder / "image_encoder") * dtype.itemsize, dtype, **settings, fused=fused)
    free = free_bytes(device) - _of_others(need.working(RECIPES["whole"]))
    recipe = choose(need, free, memory)
    print(sentence(need, recipe, free, f"{frames} frames of {width}x{height}", STEPS, asked=memory != "auto"))
    return recipe, need.working(recipe)


def place_images(pipe: Any, device: Any, memory: str) -> None:
    """Put a loaded StableDiffusionPipeline on a CUDA device: whole where its weights, and what it or another pipeline that takes
    turns with it works with, fit; else one network at a time ("offload", a second an image). Says so where it is not whole."""
    from svd_lab.performance import flops

    width, height = IMAGE_SIZE
    counts = flops.count(pipe)
    working = max(counts.step_bytes, counts.decode_bytes) * width * height
    parts = [part for part in pipe.components.values() if hasattr(part, "parameters")]
    weights = sum(p.numel() * p.element_size() for part in parts for p in part.parameters())
    need = (weights + working + CONSTANTS.workspace) * CONSTANTS.packing + CONSTANTS.context
    free = free_bytes(device) - _of_others(working)
    if memory == "whole" or (memory == "auto" and need <= free):
        pipe.to(device)
        pipe.svd_lab_memory = "whole"
    else:
        why = (
            f"all at once needs {need / GIB:.1f} GiB, {max(0.0, free) / GIB:.1f} are free"
            if memory == "auto"
            else "as asked"
        )
        print(f"memory: offload (one network on the GPU at a time, the others in main memory) for images; {why}")
        _pack_tightly()
        pipe.enable_model_cpu_offload(device=device)
        pipe.svd_lab_memory = "offload"
        working += weights
    remember(pipe, working)


def remember(pipe: Any, working: float) -> None:
    """Bytes that a loaded pipeline takes while it runs, for those that are loaded after it."""
    _WORKING[pipe] = working


def _of_others(own: float) -> float:
    """Bytes that another pipeline takes while it runs, beyond one's own: both cannot run at once, but each alone has to fit."""
    return max(0.0, max(_WORKING.values(), default=0.0) - own)


def free_bytes(device: Any) -> int:
    """What this process may still take of a CUDA device: what is free there and what torch holds unused, under torch's own cap."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    allocated = torch.cuda.memory_allocated(device)
    free += torch.cuda.memory_reserved(device) - allocated
    if hasattr(torch.cuda, "get_per_process_memory_fraction"):
        free = min(free, int(torch.cuda.get_per_process_memory_fraction(device_number(device)) * total) - allocated)
    return free


def place(pipe: Any, recipe: Recipe | str, device: Any) -> None:
    """Put a loaded StableVideoDiffusionPipeline under a recipe on a CUDA device, also in place of another recipe; speed's rewrites
    stay. Call it while nothing runs. ValueError for an unknown recipe, MemoryError where it does not fit."""
    import torch

    from svd_lab.performance.memory import check_name

    if isinstance(recipe, str):
        check_name(recipe)
        recipe = RECIPES[recipe]
    device = torch.device(device)
    try:
        pipe.remove_all_hooks()
        _remove_group_hooks(pipe)
        if device.type == "cuda" and recipe is not RECIPES["whole"]:
            _pack_tightly()
        if recipe.blocks:
            _bring_blocks(pipe, device)
        else:
            pipe.to(device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        pipe.to("cpu", silence_dtype_warnings=True)
        frugal = _after(recipe)
        hint = f"give memory={frugal.name!r} ({frugal.about})" if frugal else "free it, or take another GPU"
        raise MemoryError(f"{device} has too little memory free for the recipe {recipe.name!r}: {hint}") from error
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()
    set_pieces(pipe.unet, recipe.pieces)
    pipe.svd_lab_memory = recipe.name


def _bring_blocks(pipe: Any, device: Any) -> None:
    """The UNet's blocks come one ahead of the work, over a stream of their own [diffusers, group offloading]; the VAE, which is
    small, stays; the image encoder's layers come as they work, once a video."""
    import torch
    from diffusers.hooks import apply_group_offloading

    pipe.to("cpu", silence_dtype_warnings=True)
    places = {"onload_device": device, "offload_device": torch.device("cpu")}
    unet = uncompiled(pipe.unet)
    ahead = {"use_stream": True} if device.type == "cuda" else {}
    apply_group_offloading(unet, offload_type="block_level", num_blocks_per_group=1, **ahead, **places)
    apply_group_offloading(pipe.image_encoder, offload_type="leaf_level", **places)
    pipe.vae.to(device)


def _remove_group_hooks(pipe: Any) -> None:
    """What `_bring_blocks` hung into the networks; diffusers takes nothing of it off by itself."""
    from diffusers.hooks import group_offloading as hooks

    names = (hooks._LAYER_EXECUTION_TRACKER, hooks._LAZY_PREFETCH_GROUP_OFFLOADING, hooks._GROUP_OFFLOADING)
    for network in (pipe.unet, pipe.image_encoder):
        for part in network.modules():
            registry = getattr(part, "_diffusers_hook", None)
            for name in names:
                if registry is not None and registry.get_hook(name) is not None:
                    registry.remove_hook(name, recurse=False)


def _pack_tightly() -> None:
    """Ask torch's allocator for segments that grow, which leave no holes [docs.pytorch.org/docs/stable/notes/cuda.html]. Not every
    driver has them, and without them `packing` still holds."""
    import torch

    change = getattr(torch._C, "_accelerator_setAllocatorSettings", None)  # torch 2.9 and later
    try:
        (change or torch.cuda.memory._set_allocator_settings)("expandable_segments:True")
    except (AttributeError, RuntimeError, ValueError):
        pass


def set_pieces(unet: Any, pieces: bool) -> None:
    """Feed-forward layers frame by frame, or at once: diffusers' enable_forward_chunking, and its missing opposite."""
    unet.enable_forward_chunking()
    if not pieces:
        for part in unet.modules():
            if hasattr(part, "_chunk_size"):
                part._chunk_size = None


@contextmanager
def explained(pipe: Any, arguments: dict[str, Any], noun: str) -> Iterator[None]:
    """Inside, running out of memory becomes a MemoryError that says what to try next; what the run held is freed before."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        import torch

        traceback.clear_frames(error.__traceback__)  # they hold the tensors of the run, and the error holds them
        if pipe._execution_device.type == "cuda":
            torch.cuda.empty_cache()
        raise MemoryError(advice(pipe, arguments, noun)) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, on whatever device, says with it that memory ran out."""
    text = str(error)
    return type(error).__name__ == "OutOfMemoryError" or any(
        sign in text
        for sign in ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
    )


def advice(pipe: Any, arguments: dict[str, Any], noun: str) -> str:
    """What to say after a run that found too little memory; arguments: those of the pipeline's call."""
    size = f"{arguments['width']}x{arguments['height']}"
    if hasattr(pipe, "text_encoder"):
        return (
            f"there is too little memory for a {noun} of {size}. Nothing was written, and the pipeline can be used again. Close "
            "what else uses the memory, give a smaller height and width, or load with memory='offload'"
        )
    frames, chunk = arguments["num_frames"], min(arguments["decode_chunk_size"], arguments["num_frames"])
    what = f"{frames} frames of {size}, decoded {chunk} at a time"
    start = f"there is too little memory for {what}. Nothing was written, and the pipeline can be used again. "
    if pipe._execution_device.type != "cuda":
        smaller = "a smaller decode_chunk_size, " if chunk > 1 else ""
        return f"{start}Close other programs, or give {smaller}fewer frames, or a smaller height and width"
    need, recipe = of_pipeline(pipe, arguments), RECIPES[getattr(pipe, "svd_lab_memory", "whole")]
    free = free_bytes(pipe._execution_device) + held_bytes(pipe)
    steps = []
    fewer = _fitting_chunk(need, recipe, chunk, free)
    if fewer:
        steps.append(f"decode_chunk_size={fewer} in the call (the pixels depend on it a little)")
    frugal = next((other for other in _later(recipe) if need.card(other) <= free), _after(recipe))
    if frugal and need.card(frugal) < need.card(recipe):
        cost = need.seconds(frugal, arguments["num_inference_steps"])
        steps.append(
            f"the memory recipe {frugal.name!r} ({frugal.about}; about {need.card(frugal) / GIB:.1f} GiB, {cost:.0f} s more): "
            f"svd_lab.performance.placement.place(pipe, {frugal.name!r}, {str(pipe._execution_device)!r}), or memory={frugal.name!r} when loading"
        )
    steps.append("fewer frames, or a smaller height and width")
    listed = "; ".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return (
        f"{start}With the memory recipe {recipe.name!r} it needs about {need.card(recipe) / GIB:.1f} GiB, and this process "
        f"could have {free / GIB:.1f}. Next, whichever you like best: {listed}"
    )


def of_pipeline(pipe: Any, arguments: dict[str, Any]) -> Load:
    """The Load of a loaded pipeline's call; arguments: num_frames, decode_chunk_size, height and width of it."""
    from svd_lab.performance import speed

    settings = {name: arguments[name] for name in ("num_frames", "decode_chunk_size", "height", "width")}
    unet, vae = uncompiled(pipe.unet), uncompiled(pipe.vae)
    clip = sum(parameter.numel() for parameter in pipe.image_encoder.parameters()) * unet.dtype.itemsize
    return load(unet.config, vae.config, clip, unet.dtype, **settings, fused=speed.has_blocks(pipe))


def held_bytes(pipe: Any) -> int:
    """Bytes of the pipeline's weights that lie on a GPU now."""
    parts = [part for part in pipe.components.values() if hasattr(part, "parameters")]
    return sum(p.numel() * p.element_size() for part in parts for p in part.parameters() if p.device.type == "cuda")


def _fitting_chunk(need: Load, recipe: Recipe, chunk: int, free: float) -> int | None:
    """The largest smaller decode_chunk_size that fits, by the decoder's memory for each frame; None where none helps. Half, where
    all should have fitted: something else was in the way, or the count is off."""
    if need.card(recipe) <= free:
        return chunk // 2 or None
    for fewer in range(chunk - 1, 0, -1):
        if replace(need, decode=int(need.decode * fewer / chunk)).card(recipe) <= free:
            return fewer
    return None


def _later(recipe: Recipe) -> list[Recipe]:
    recipes = list(RECIPES.values())
    return recipes[recipes.index(recipe) + 1 :]


def _after(recipe: Recipe) -> Recipe | None:
    return next(iter(_later(recipe)), None)


def _stored(folder: Path) -> int:
    """How many numbers the safetensors of one part hold; where there are two variants, those of one."""
    from safetensors import safe_open

    counts: dict[bool, int] = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            numbers = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())
        counts[".fp16" in path.name] = counts.get(".fp16" in path.name, 0) + numbers
    return max(counts.values(), default=0)
