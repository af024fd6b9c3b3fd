"""What a pipeline's networks cost, counted and not timed: FLOP, and the bytes that live at the peak.

The networks are built anew on "meta" tensors, which have shapes and no numbers, and called once there. Convolutions and linear
layers cost in proportion to frames x pixels, attention over space to frames x pixels**2, attention over time to frames**2 x
pixels; the three are counted apart, so that one call tells of all sizes.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from svd_lab.pipe_facts import uncompiled

_COUNTS: weakref.WeakKeyDictionary[Any, dict[bool, Counts]] = weakref.WeakKeyDictionary()
_COUNTING = threading.Lock()
Cost = tuple[float, float, float]


@dataclass(frozen=True)
class Counts:
    """What the networks of a pipeline cost. step, decode, encode: GFLOP as (a, b, c) of frames * pixels * (a + b * pixels + c *
    frames), of one denoising step with guidance, of decoding, and of encoding the picture (0 where none is given);
    step_bytes, decode_bytes, encode_bytes: live at the peak, for each pixel of each frame that is worked on at once."""

    step: Cost
    decode: Cost
    encode: Cost
    step_bytes: float
    decode_bytes: float
    encode_bytes: float


def count(pipe: Any) -> Counts:
    """The Counts of a StableVideoDiffusionPipeline or a StableDiffusionPipeline; a second at most, once for each pipeline and
    again where speed's fused blocks, which hold less, are put in or taken out."""
    from svd_lab.performance import speed

    fused = speed.has_blocks(pipe)
    with _COUNTING:
        kept = _COUNTS.setdefault(pipe, {})
        if fused not in kept:
            kept[fused] = _count(pipe, fused)
        return kept[fused]


def gflop(cost: Cost, frames: int, pixels: float) -> float:
    """What `cost` comes to for so many frames of so many pixels."""
    a, b, c = cost
    return frames * pixels * (a + b * pixels + c * frames)


def step(pipe: Any, frames: int, height: int, width: int, device: Any, dtype: Any) -> None:
    """One call of the UNet, as guidance makes it: twice the batch."""
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
    """One call of the VAE's decoder."""
    import torch

    scale = pipe.vae_scale_factor
    shape = (frames, pipe.vae.config.latent_channels, height // scale, width // scale)
    latents = torch.zeros(shape, dtype=pipe.vae.dtype if dtype is None else dtype, device=device)
    pipe.vae.decode(latents, **({} if hasattr(pipe, "text_encoder") else {"num_frames": frames}))


def _encode(pipe: Any, frames: int, height: int, width: int, device: Any, dtype: Any) -> None:
    import torch

    pipe.vae.encode(torch.zeros(1, pipe.vae.config.in_channels, height, width, dtype=dtype, device=device))


def _count(pipe: Any, fused: bool) -> Counts:
    """FLOP are those of diffusers' own networks, whatever computes them; bytes are of what is there."""
    import torch

    from svd_lab.performance import speed
    from svd_lab.pipe_facts import native_size

    with torch.device("meta"):
        unet, vae = (
            type(part).from_config(part.config).eval().to("meta") for part in map(uncompiled, (pipe.unet, pipe.vae))
        )
    draws = hasattr(pipe, "text_encoder")  # a picture from a text: one frame, nothing is encoded
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
    """What `step`, `decode` and `_encode` ask of a pipeline, around networks of shapes only."""

    def __init__(self, unet: Any, vae: Any, scale: int, image: bool) -> None:
        self.unet, self.vae, self.vae_scale_factor = unet, vae, scale
        if image:
            self.text_encoder = None


@contextmanager
def meter(frames: int = 0) -> Iterator[Any]:
    """Counts what runs inside on meta tensors: FLOP (a multiplication and an addition are two), .plain, and .over_space and
    .over_time of attention; and the .peak of bytes that live, without those alive before.

    frames: how long attention over time is, to tell it from that over space. A storage counts once, whatever views it has;
    attention never makes its matrix of all pairs, as torch's own does not.
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
            if key.shape[-2] != query.shape[-2]:  # the picture's one token, or a text's 77
                counted.plain += flop
            elif key.shape[-2] == frames:
                counted.over_time += flop
            else:
                counted.over_space += flop
            return torch.empty_like(query)

    counted = Meter()
    with torch.no_grad(), counted, Attention():
        yield counted
