"""What a pipeline's networks cost, counted and not timed: FLOP, and the bytes live at the peak.

The networks are rebuilt on "meta" tensors, which have shapes but no data, and called once there. Convolutions and linear layers
cost in proportion to frames x pixels, attention over space to frames x pixels**2, attention over time to frames**2 x pixels; the
three are counted separately, so that one call covers all sizes.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from svd_lab.performance import speed
from svd_lab.pipe_facts import native_size, uncompiled

_COUNTS: weakref.WeakKeyDictionary[Any, dict[bool, Counts]] = weakref.WeakKeyDictionary()
_COUNTING = threading.Lock()
Cost = tuple[float, float, float]


@dataclass(frozen=True)
class Counts:
    """What the networks of a pipeline cost.

    Attributes:
        step: GFLOP of one denoising step with guidance, as (a, b, c) of frames * pixels * (a + b * pixels + c * frames).
        decode: The same for decoding.
        encode: The same for encoding the picture, 0 where there is none.
        step_bytes: Bytes live at the peak of a step, for each pixel of each frame computed at once.
        decode_bytes: The same for decoding.
        encode_bytes: The same for encoding.
    """

    step: Cost
    decode: Cost
    encode: Cost
    step_bytes: float
    decode_bytes: float
    encode_bytes: float


def count(pipe: Any) -> Counts:
    """Return the Counts of a StableVideoDiffusionPipeline or a StableDiffusionPipeline.

    Takes a second at most, once for each pipeline, and again when speed's fused blocks, which hold less, are put on or taken off.
    """
    fused = speed.has_blocks(pipe)
    with _COUNTING:
        kept = _COUNTS.setdefault(pipe, {})
        if fused not in kept:
            kept[fused] = _count(pipe, fused)
        return kept[fused]


def gflop(cost: Cost, frames: int, pixels: float) -> float:
    """Return the GFLOP of `cost` for so many frames of so many pixels."""
    a, b, c = cost
    return frames * pixels * (a + b * pixels + c * frames)


def step(pipe: Any, frames: int, height: int, width: int, device: Any, dtype: Any) -> None:
    """Call the UNet once, as guidance does: with twice the batch."""
    import torch

    config, scale = pipe.unet.config, pipe.vae_scale_factor
    with torch.device(device):
        if hasattr(pipe, "text_encoder"):
            sample = torch.zeros(2, config.in_channels, height // scale, width // scale, dtype=dtype)
            pipe.unet(sample, torch.ones(()), torch.zeros(2, 77, config.cross_attention_dim, dtype=dtype))
        else:
            sample = torch.zeros(2, frames, config.in_channels, height // scale, width // scale, dtype=dtype)
            states = torch.zeros(2, 1, config.cross_attention_dim, dtype=dtype)
            pipe.unet(sample, torch.ones(()), states, added_time_ids=torch.zeros(2, 3, dtype=dtype))


def decode(pipe: Any, frames: int, height: int, width: int, device: Any, dtype: Any) -> None:
    """Call the VAE's decoder once."""
    import torch

    scale = pipe.vae_scale_factor
    shape = (frames, pipe.vae.config.latent_channels, height // scale, width // scale)
    latents = torch.zeros(shape, dtype=pipe.vae.dtype if dtype is None else dtype, device=device)
    pipe.vae.decode(latents, **({} if hasattr(pipe, "text_encoder") else {"num_frames": frames}))


def _encode(pipe: Any, frames: int, height: int, width: int, device: Any, dtype: Any) -> None:
    import torch

    pipe.vae.encode(torch.zeros(1, pipe.vae.config.in_channels, height, width, dtype=dtype, device=device))


def _count(pipe: Any, fused: bool) -> Counts:
    """Count FLOP of diffusers' own networks, whatever computes them, and bytes of the networks as they are."""
    import torch

    with torch.device("meta"):
        unet, vae = (
            type(part).from_config(part.config).eval().to("meta") for part in map(uncompiled, (pipe.unet, pipe.vae))
        )
    draws = hasattr(pipe, "text_encoder")  # text to image: one frame, nothing is encoded
    empty = _Shell(unet, vae, pipe.vae_scale_factor, draws)
    width, height = native_size(pipe)
    pixels, item = width * height, pipe.unet.dtype.itemsize

    def metered(call: Any) -> tuple[Cost, float]:
        frames = 1 if draws or call is _encode else 3
        with meter(frames) as counted:
            if not (draws and call is _encode):
                call(empty, frames, height, width, torch.device("meta"), torch.float32)
        cost = (counted.plain, counted.over_space / pixels, counted.over_time / frames)
        a, b, c = (flop / 1e9 / (frames * pixels) for flop in cost)
        return (a, b, c), counted.peak / (frames * pixels) * item / 4

    calls = step, decode, _encode
    costs, live = zip(*map(metered, calls), strict=True)
    if fused:
        speed.put_blocks(empty)
        live = tuple(metered(call)[1] for call in calls)
    return Counts(*costs, *live)


class _Shell:
    """The part of a pipeline that `step`, `decode` and `_encode` need, around networks on "meta"."""

    def __init__(self, unet: Any, vae: Any, scale: int, image: bool) -> None:
        self.unet, self.vae, self.vae_scale_factor = unet, vae, scale
        if image:
            self.text_encoder = None


@contextmanager
def meter(frames: int = 0) -> Iterator[Any]:
    """Count what the block computes on meta tensors.

    A storage counts once, whatever views it has; attention never builds its matrix of all pairs, as torch's own does not.

    Args:
        frames: The length of attention over time, to distinguish it from attention over space.

    Yields:
        An object with the FLOP (a multiplication and an addition are two) of attention, .over_space and .over_time, and of all
        else, .plain; and .peak, the largest number of live bytes beyond those live before.
    """
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    aten = torch.ops.aten
    first = {aten.mm.default: 0, aten.bmm.default: 0, aten.addmm.default: 1, aten.baddbmm.default: 1}
    known: set[int] = set()

    class Meter(TorchDispatchMode):
        plain = over_space = over_time = live = peak = 0

        def __torch_dispatch__(self, call: Any, types: Any, args: tuple = (), keywords: dict | None = None) -> Any:
            known.update(a.untyped_storage()._cdata for a in args if isinstance(a, torch.Tensor))  # weights, too
            result = call(*args, **(keywords or {}))
            if call is aten.convolution.default:
                self.plain += 2 * result.numel() * args[1][0].numel()
            elif call in first:
                self.plain += 2 * result.numel() * args[first[call]].shape[-1]
            for tensor in result if isinstance(result, tuple | list) else (result,):
                if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in known:
                    known.add(storage._cdata)
                    self.live += storage.nbytes()
                    self.peak = max(self.peak, self.live)
                    weakref.finalize(storage, self.release, storage._cdata, storage.nbytes())
            return result

        def release(self, key: int, size: int) -> None:
            self.live -= size
            known.discard(key)

    class Attention(TorchFunctionMode):
        def __torch_function__(self, call: Any, types: Any, args: tuple = (), keywords: dict | None = None) -> Any:
            if call is not torch.nn.functional.scaled_dot_product_attention:
                return call(*args, **(keywords or {}))
            query, key = args[:2]
            flop = 4 * query.numel() * key.shape[-2]
            if key.shape[-2] != query.shape[-2]:  # cross-attention: a picture's one token, a text's 77
                counted.plain += flop
            elif key.shape[-2] == frames:
                counted.over_time += flop
            else:
                counted.over_space += flop
            return torch.empty_like(query)

    counted = Meter()
    with torch.no_grad(), counted, Attention():
        yield counted
