"""Put a pipeline on a GPU under a memory placement (`memory`), chosen from what is free there."""

from __future__ import annotations

import math
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from svd_lab.language import say
from svd_lab.performance import flops, speed
from svd_lab.performance.memory import CONSTANTS, GIB, PLACEMENTS, Load, Placement, check_name, choose, load, sentence
from svd_lab.pipe_facts import device_number, native_size, uncompiled

#: Defaults of a call, beside the frames and the size that the model was trained at.
DECODE_CHUNK_SIZE, STEPS = 2, 10
#: Of the images that the lessons' text-to-video call draws.
IMAGE_SIZE = 1024, 576

#: Bytes that each pipeline loaded on a GPU takes while it runs, beside its weights. Two that take turns need the larger of the two.
_WORKING: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()


def plan(folder: Path, dtype: Any, device: Any, memory: str, fused: bool) -> tuple[Placement, float]:
    """Choose the placement of a video model before it is loaded, and print why.

    It is chosen for a video of the frames and the size that the model was trained at, decoded 2 frames at a time.

    Args:
        folder: The model's folder; only its configs and the headers of its weights are read.
        dtype: The torch.dtype to load it in.
        device: The CUDA device.
        memory: "auto" or a placement's name.
        fused: Whether speed's fused blocks will be on.

    Returns:
        The placement, and the bytes to `remember` once the pipeline is loaded.
    """
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel

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
    free = free_bytes(device) - _of_others(need.working(PLACEMENTS["whole"]))
    chosen = choose(need, free, memory)
    print(
        sentence(
            need,
            chosen,
            free,
            say("{frames} frames of {width}x{height}", frames=frames, width=width, height=height),
            STEPS,
            asked=memory != "auto",
        )
    )
    return chosen, need.working(chosen)


def place_images(pipe: Any, device: Any, memory: str) -> None:
    """Put a loaded StableDiffusionPipeline on a CUDA device; print a line where it is not placed whole.

    "auto" places it whole where its weights fit beside what it, or another pipeline that takes turns with it, needs while it runs;
    else one network at a time ("offload"), which costs a second an image.
    """
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
            say("all at once needs {need:.1f} GiB, {free:.1f} are free", need=need / GIB, free=max(0.0, free) / GIB)
            if memory == "auto"
            else say("as asked")
        )
        print(
            say(
                "memory: offload (one network on the GPU at a time, the others in main memory) for images; {why}",
                why=why,
            )
        )
        _pack_tightly()
        pipe.enable_model_cpu_offload(device=device)
        pipe.svd_lab_memory = "offload"
        working += weights
    remember(pipe, working)


def remember(pipe: Any, working: float) -> None:
    """Record the bytes that a loaded pipeline takes while it runs, for pipelines that are loaded after it."""
    _WORKING[pipe] = working


def _of_others(own: float) -> float:
    """Bytes that another pipeline takes while it runs, beyond one's own: both never run at once, but each has to fit."""
    return max(0.0, max(_WORKING.values(), default=0.0) - own)


def free_bytes(device: Any) -> int:
    """Return what this process may still take of a CUDA device: free and reserved but unused memory, under torch's own cap."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    allocated = torch.cuda.memory_allocated(device)
    free += torch.cuda.memory_reserved(device) - allocated
    if hasattr(torch.cuda, "get_per_process_memory_fraction"):
        free = min(free, int(torch.cuda.get_per_process_memory_fraction(device_number(device)) * total) - allocated)
    return free


def place(pipe: Any, placement: Placement | str, device: Any) -> None:
    """Put a loaded StableVideoDiffusionPipeline on a device under a placement, in place of an earlier one.

    speed's rewrites stay. Call it while nothing runs the pipeline.

    Args:
        pipe: The pipeline.
        placement: A placement or its name.
        device: A CUDA device; on a CPU the same hooks run without transfers.

    Raises:
        ValueError: There is no such placement.
        MemoryError: It does not fit; the pipeline is back in main memory.
    """
    import torch

    if isinstance(placement, str):
        check_name(placement)
        placement = PLACEMENTS[placement]
    device = torch.device(device)
    try:
        pipe.remove_all_hooks()
        _remove_group_hooks(pipe)
        if device.type == "cuda" and placement is not PLACEMENTS["whole"]:
            _pack_tightly()
        if placement.blocks:
            _offload_blocks(pipe, device)
        else:
            pipe.to(device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        pipe.to("cpu", silence_dtype_warnings=True)
        frugal = next(iter(more_frugal(placement)), None)
        hint = (
            say("give memory={name!r} ({about})", name=frugal.name, about=say(frugal.about))
            if frugal
            else say("free some, or take another GPU")
        )
        raise MemoryError(
            say(
                "{device} has too little free memory for the placement {name!r}: {hint}",
                device=device,
                name=placement.name,
                hint=hint,
            )
        ) from error
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()
    set_pieces(pipe.unet, placement.pieces)
    pipe.svd_lab_memory = placement.name


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether torch reports with this error, on any device, that memory ran out."""
    text = str(error)
    return type(error).__name__ == "OutOfMemoryError" or any(
        sign in text
        for sign in ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
    )


def more_frugal(placement: Placement) -> list[Placement]:
    """Return the placements that need less memory than this one, the fastest first."""
    placements = list(PLACEMENTS.values())
    return placements[placements.index(placement) + 1 :]


def set_pieces(unet: Any, pieces: bool) -> None:
    """Run feed-forward layers frame by frame, or at once: diffusers' enable_forward_chunking, and its missing opposite."""
    unet.enable_forward_chunking()
    if not pieces:
        for part in unet.modules():
            if hasattr(part, "_chunk_size"):
                part._chunk_size = None


def of_pipeline(pipe: Any, arguments: dict[str, Any]) -> Load:
    """Return the Load of a loaded pipeline's call.

    Args:
        pipe: A StableVideoDiffusionPipeline.
        arguments: The call's, of which num_frames, decode_chunk_size, height and width are read.
    """
    settings = {name: arguments[name] for name in ("num_frames", "decode_chunk_size", "height", "width")}
    unet, vae = uncompiled(pipe.unet), uncompiled(pipe.vae)
    clip = sum(parameter.numel() for parameter in pipe.image_encoder.parameters()) * unet.dtype.itemsize
    return load(unet.config, vae.config, clip, unet.dtype, **settings, fused=speed.has_blocks(pipe))


def held_bytes(pipe: Any) -> int:
    """Return the bytes of the pipeline's weights that are on a GPU now."""
    parts = [part for part in pipe.components.values() if hasattr(part, "parameters")]
    return sum(p.numel() * p.element_size() for part in parts for p in part.parameters() if p.device.type == "cuda")


def _offload_blocks(pipe: Any, device: Any) -> None:
    """Prefetch the UNet's blocks one ahead on their own stream [diffusers, group offloading]. The VAE, which is small, stays; the
    image encoder's layers move as they run, once a video."""
    import torch
    from diffusers.hooks import apply_group_offloading

    pipe.to("cpu", silence_dtype_warnings=True)
    devices = {"onload_device": device, "offload_device": torch.device("cpu")}
    unet = uncompiled(pipe.unet)
    ahead = {"use_stream": True} if device.type == "cuda" else {}
    apply_group_offloading(unet, offload_type="block_level", num_blocks_per_group=1, **ahead, **devices)
    apply_group_offloading(pipe.image_encoder, offload_type="leaf_level", **devices)
    pipe.vae.to(device)


def _remove_group_hooks(pipe: Any) -> None:
    """Remove what `_offload_blocks` added to the networks; diffusers has no call for it."""
    from diffusers.hooks import group_offloading as hooks

    names = (hooks._LAYER_EXECUTION_TRACKER, hooks._LAZY_PREFETCH_GROUP_OFFLOADING, hooks._GROUP_OFFLOADING)
    for network in (pipe.unet, pipe.image_encoder):
        for part in network.modules():
            registry = getattr(part, "_diffusers_hook", None)
            for name in names:
                if registry is not None and registry.get_hook(name) is not None:
                    registry.remove_hook(name, recurse=False)


def _pack_tightly() -> None:
    """Ask torch's allocator for expandable segments, which leave no holes [docs.pytorch.org/docs/stable/notes/cuda.html]. Not every
    driver supports them; without them `packing` still holds."""
    import torch

    change = getattr(torch._C, "_accelerator_setAllocatorSettings", None)  # torch 2.9 and later
    try:
        (change or torch.cuda.memory._set_allocator_settings)("expandable_segments:True")
    except (AttributeError, RuntimeError, ValueError):
        pass


def _stored(folder: Path) -> int:
    """How many numbers the safetensors of one part hold; where two variants are there, those of one."""
    from safetensors import safe_open

    counts: dict[bool, int] = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            numbers = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())
        counts[".fp16" in path.name] = counts.get(".fp16" in path.name, 0) + numbers
    return max(counts.values(), default=0)
