"""When memory still runs out: turn torch's error into a MemoryError that names what to try next."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from svd_lab.language import say
from svd_lab.performance.memory import GIB, PLACEMENTS, Load, Placement
from svd_lab.performance.placement import free_bytes, held_bytes, is_out_of_memory, more_frugal, of_pipeline


@contextmanager
def explained(pipe: Any, arguments: dict[str, Any], noun: str) -> Iterator[None]:
    """Free what the run held when memory runs out inside the block, and raise `advice` as a MemoryError.

    Args:
        pipe: The pipeline that runs.
        arguments: Of its call.
        noun: What is being made, "video" or "image".
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        import torch

        traceback.clear_frames(error.__traceback__)  # they hold the run's tensors, and the error holds them
        if pipe._execution_device.type == "cuda":
            torch.cuda.empty_cache()
        raise MemoryError(advice(pipe, arguments, noun)) from error


def advice(pipe: Any, arguments: dict[str, Any], noun: str) -> str:
    """Return what to tell the user after a run that found too little memory; the arguments are those of `explained`."""
    size = f"{arguments['width']}x{arguments['height']}"
    if hasattr(pipe, "text_encoder"):
        return say(
            "there is too little memory for a {noun} of {size}. Nothing was written, and the pipeline "
            "can be used again. Close other programs that use the memory, give a smaller height and "
            "width, or load with memory='offload'",
            noun=say(noun),
            size=size,
        )
    frames, chunk = arguments["num_frames"], min(arguments["decode_chunk_size"], arguments["num_frames"])
    what = say("{frames} frames of {size}, decoded {chunk} at a time", frames=frames, size=size, chunk=chunk)
    start = say(
        "there is too little memory for {what}. Nothing was written, and the pipeline can be used again. ", what=what
    )
    device = pipe._execution_device
    if device.type != "cuda":
        smaller = say("a smaller decode_chunk_size, ") if chunk > 1 else ""
        return say(
            "{start}Close other programs, or give {smaller}fewer frames, or a smaller height and width",
            start=start,
            smaller=smaller,
        )
    need, placement = of_pipeline(pipe, arguments), PLACEMENTS[getattr(pipe, "svd_lab_memory", "whole")]
    free = free_bytes(device) + held_bytes(pipe)
    steps = []
    fewer = _fitting_chunk(need, placement, chunk, free)
    if fewer:
        steps.append(say("decode_chunk_size={fewer} in the call (the pixels depend on it a little)", fewer=fewer))
    others = more_frugal(placement)
    frugal = next((other for other in others if need.card(other) <= free), others[0] if others else None)
    if frugal and need.card(frugal) < need.card(placement):
        cost = need.seconds(frugal, arguments["num_inference_steps"])
        steps.append(
            say(
                "the memory placement {name!r} ({about}; about {card:.1f} GiB, {cost:.0f} s more): "
                "svd_lab.performance.placement.place(pipe, {name!r}, {device!r}), or memory={name!r} when "
                "loading",
                name=frugal.name,
                about=say(frugal.about),
                card=need.card(frugal) / GIB,
                cost=cost,
                device=str(device),
            )
        )
    steps.append(say("fewer frames, or a smaller height and width"))
    listed = "; ".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return say(
        "{start}With the memory placement {name!r} it needs about {card:.1f} GiB, and {free:.1f} are "
        "available to this process. Try one of these: {listed}",
        start=start,
        name=placement.name,
        card=need.card(placement) / GIB,
        free=free / GIB,
        listed=listed,
    )


def _fitting_chunk(need: Load, placement: Placement, chunk: int, free: float) -> int | None:
    """The largest smaller decode_chunk_size that fits, by the decoder's memory for each frame; None where none helps. Half, where
    everything should have fitted: something else took memory, or the count is off."""
    if need.card(placement) <= free:
        return chunk // 2 or None
    for fewer in range(chunk - 1, 0, -1):
        if replace(need, decode=int(need.decode * fewer / chunk)).card(placement) <= free:
            return fewer
    return None
