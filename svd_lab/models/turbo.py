"""Turbo: a small file that distils the video miniature to 4 steps without guidance, instead of 10 with it.

    from svd_lab import generate_video, load_video_pipeline
    from svd_lab.models import turbo
    generate_video(picture, file, pipe=load_video_pipeline("mini-turbo"), **turbo.SETTINGS)

    from diffusers import StableVideoDiffusionPipeline                           # the same without svd_lab's calls
    pipe = StableVideoDiffusionPipeline.from_pretrained(folder, **turbo.parts(folder, file))
    pipe(picture, num_inference_steps=4, min_guidance_scale=1, max_guidance_scale=1, ...)

The file holds a delta for the UNet: for every matrix (a convolution's weight counts as out x (in * kernel)) a low-rank one, B^T A
[LoRA, arXiv 2106.09685], for every vector a full one; all as int8 with one scale a row. `parts` adds it to the UNet's weights;
beyond that only the scheduler's last noise level changes. svd_lab.training.stages.turbo trains it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svd_lab.bundled import TURBO
from svd_lab.language import say

if TYPE_CHECKING:
    import torch

STEPS = 4
#: The arguments that generate_video needs with it; as with diffusers' turbo models, no default changes by itself.
SETTINGS = dict(num_inference_steps=STEPS, min_guidance_scale=1.0, max_guidance_scale=1.0)
FILE = TURBO  #: for the miniature in this package
FORMAT = "svd-lab turbo 1"


@dataclass(frozen=True)
class Slot:
    """The layout of one parameter's delta in the flat vector: A [rank, inner] then B [rank, out], or (rank 0) the delta itself."""

    name: str
    shape: tuple[int, ...]
    rank: int

    @property
    def rows(self) -> list[int]:
        """Lengths of its rows, each of which has its own scale."""
        if not self.rank:
            return [math.prod(self.shape)]
        return [math.prod(self.shape[1:])] * self.rank + [self.shape[0]] * self.rank


def slots(unet: Any, rank: int) -> list[Slot]:
    """Return a Slot for each parameter of a UNetSpatioTemporalConditionModel that has an effect, in the order of its parameters.

    Cross-attention sees one image token: softmax over one key is 1, so its queries, keys and their norm have no effect.
    """
    if rank < 1:
        raise ValueError(say("rank must be at least 1, not {rank}", rank=rank))
    idle = ("attn2.to_q", "attn2.to_k", "transformer_blocks.0.norm2")
    out = []
    for name, p in unet.named_parameters():
        if not any(word in name for word in idle):
            inner = math.prod(p.shape[1:])
            out.append(Slot(name, tuple(p.shape), min(rank, p.shape[0], inner) if p.ndim > 1 else 0))
    return out


def deltas(flat: torch.Tensor, where: Iterable[Slot]) -> dict[str, torch.Tensor]:
    """Return the delta of each parameter, by name, in its shape. Differentiable."""
    out, at = {}, 0
    for slot in where:
        part = flat[at : at + sum(slot.rows)]
        at += len(part)
        if slot.rank:
            a, b = part.split([len(part) - slot.rank * slot.shape[0], slot.rank * slot.shape[0]])
            part = b.view(slot.rank, -1).T @ a.view(slot.rank, -1)
        out[slot.name] = part.view(slot.shape)
    return out


def dequantised(numbers: torch.Tensor, scales: torch.Tensor, where: Iterable[Slot]) -> torch.Tensor:
    """Return the flat vector in float64 of int8 numbers and their scales."""
    import torch

    rows = torch.tensor([n for slot in where for n in slot.rows])
    return numbers.double() * scales.double().repeat_interleave(rows)


def fingerprint(unet: Any) -> str:
    """Return the SHA-256 of a UNet's weights as stored, in float16: it identifies the weights that a delta belongs to."""
    import torch

    digest = hashlib.sha256()
    for name, p in sorted(unet.state_dict().items()):
        digest.update(name.encode())
        digest.update(p.detach().to("cpu", torch.float16).contiguous().numpy().data)
    return digest.hexdigest()


def read(unet: Any, path: str | Path) -> tuple[dict[str, str], torch.Tensor]:
    """Read a turbo file.

    Args:
        unet: The UNet that the file was trained for, in float32 or float16, which represent the stored weights exactly.
        path: The file.

    Returns:
        The file's metadata, and its flat vector in float64 (for `slots(unet, rank)`).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a turbo file, or was trained for other weights.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            say("there is no turbo file {path}: python -m svd_lab.training.train turbo makes one", path=path)
        )
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            numbers, scales = (file.get_tensor(k) if k in file.keys() else None for k in ("numbers", "scales"))
    except SafetensorError as error:
        raise ValueError(say("{path} is not a turbo file, or a broken one: {error}", path=path, error=error)) from error
    if about.get("format") != FORMAT or numbers is None or scales is None:
        raise ValueError(
            say(
                "{path} is not a turbo file: its format is {given!r}, not {format!r}",
                path=path,
                given=about.get("format"),
                format=FORMAT,
            )
        )
    if about["unet"] != fingerprint(unet):
        raise ValueError(
            say(
                "{path} was trained for a UNet with other weights; load that UNet (in float32 or float16), "
                "or train turbo for this one: python -m svd_lab.training.train turbo",
                path=path,
            )
        )
    where = slots(unet, int(about["rank"]))
    if len(numbers) != sum(sum(slot.rows) for slot in where) or len(scales) != sum(len(slot.rows) for slot in where):
        raise ValueError(
            say(
                "{path} is broken: it holds {count} numbers and {count2} scales, too many or too few",
                path=path,
                count=len(numbers),
                count2=len(scales),
            )
        )
    return about, dequantised(numbers, scales, where)


def merge(unet: Any, path: str | Path) -> dict[str, str]:
    """Add the delta in a file to a UNet's weights in place, and return the file's metadata.

    The sum is taken in float64 and rounded once, to the UNet's precision. Raises as `read` does, before the UNet changes.
    """
    import torch

    about, flat = read(unet, path)
    parameters = dict(unet.named_parameters())
    with torch.no_grad():
        for name, delta in deltas(flat, slots(unet, int(about["rank"]))).items():
            p = parameters[name]
            p.copy_(p.detach().cpu().double().add_(delta))
    return about


def parts(folder: str | Path, path: str | Path, dtype: torch.dtype | None = None) -> dict[str, Any]:
    """Return the {"unet", "scheduler"} that `StableVideoDiffusionPipeline.from_pretrained(folder, ...)` needs for turbo.

    Args:
        folder: The folder of the mini.
        path: The turbo file. Raises as `merge` does.
        dtype: Of the UNet, rounded once, after merging; None: float32.
    """
    import torch
    from diffusers import EulerDiscreteScheduler, UNetSpatioTemporalConditionModel

    unet = UNetSpatioTemporalConditionModel.from_pretrained(
        folder, subfolder="unet", dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    about = merge(unet, path)
    scheduler = EulerDiscreteScheduler.from_pretrained(
        folder, subfolder="scheduler", sigma_min=float(about["sigma_min"]), local_files_only=True
    )
    if dtype not in (None, unet.dtype):
        unet = unet.to(dtype)
    return dict(unet=unet, scheduler=scheduler)
