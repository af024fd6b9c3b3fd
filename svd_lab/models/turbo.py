"""Turbo: a small file that turns the video miniature into one that needs 4 steps without guidance instead of 10 with it.

    from svd_lab import generate_video, load_video_pipeline
    from svd_lab.models import turbo
    generate_video(picture, file, pipe=load_video_pipeline("mini-turbo"), **turbo.SETTINGS)

    from diffusers import StableVideoDiffusionPipeline                           # the same without svd_lab's calls
    pipe = StableVideoDiffusionPipeline.from_pretrained(folder, **turbo.parts(folder, file))
    pipe(picture, num_inference_steps=4, min_guidance_scale=1, max_guidance_scale=1, ...)

The file holds a difference for the UNet: of every matrix (a convolution's weight counts as out x (in * kernel)) one of low rank,
B^T A [LoRA, arXiv 2106.09685], of every vector a full one; all as int8 with one scale a row. `parts` adds it to the UNet's
weights; beside that only the scheduler's last noise level changes. svd_lab.training.stages.turbo trains it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svd_lab.bundled import TURBO

if TYPE_CHECKING:
    import torch

STEPS = 4
#: What generate_video is to be told with it; as with diffusers' other turbo models no default changes by itself.
SETTINGS = dict(num_inference_steps=STEPS, min_guidance_scale=1.0, max_guidance_scale=1.0)
FILE = TURBO  #: of the miniature in this package
FORMAT = "svd-lab turbo 1"


@dataclass(frozen=True)
class Slot:
    """Where the difference of one parameter lies in the flat vector: B [rank, out] after A [rank, inner], or (rank 0) itself."""

    name: str
    shape: tuple[int, ...]
    rank: int

    @property
    def rows(self) -> list[int]:
        """Lengths of its rows, each of which gets a scale of its own."""
        if not self.rank:
            return [math.prod(self.shape)]
        return [math.prod(self.shape[1:])] * self.rank + [self.shape[0]] * self.rank


def slots(unet: Any, rank: int) -> list[Slot]:
    """One for each parameter of a UNetSpatioTemporalConditionModel that can matter, in the order of its parameters.

    Cross-attention looks at one image token: softmax over one key is 1, so its queries, keys and their norm do nothing.
    """
    if rank < 1:
        raise ValueError(f"rank must be at least 1, not {rank}")
    idle = ("attn2.to_q", "attn2.to_k", "transformer_blocks.0.norm2")
    out = []
    for name, p in unet.named_parameters():
        if not any(word in name for word in idle):
            inner = math.prod(p.shape[1:])
            out.append(Slot(name, tuple(p.shape), min(rank, p.shape[0], inner) if p.ndim > 1 else 0))
    return out


def differences(flat: torch.Tensor, where: Iterable[Slot]) -> dict[str, torch.Tensor]:
    """Flat vector -> what is to be added to each parameter, by name, in its shape. Differentiable."""
    out, at = {}, 0
    for slot in where:
        part = flat[at : at + sum(slot.rows)]
        at += len(part)
        if slot.rank:
            a, b = part.split([len(part) - slot.rank * slot.shape[0], slot.rank * slot.shape[0]])
            part = b.view(slot.rank, -1).T @ a.view(slot.rank, -1)
        out[slot.name] = part.view(slot.shape)
    return out


def restored(numbers: torch.Tensor, scales: torch.Tensor, where: Iterable[Slot]) -> torch.Tensor:
    """The flat vector in float64 of what `quantised` gave."""
    import torch

    rows = torch.tensor([n for slot in where for n in slot.rows])
    return numbers.double() * scales.double().repeat_interleave(rows)


def fingerprint(unet: Any) -> str:
    """SHA-256 of a UNet's weights as float16, in which they are stored: which weights a difference belongs to."""
    import torch

    digest = hashlib.sha256()
    for name, p in sorted(unet.state_dict().items()):
        digest.update(name.encode())
        digest.update(p.detach().to("cpu", torch.float16).contiguous().numpy().data)
    return digest.hexdigest()


def read(unet: Any, path: str | Path) -> tuple[dict[str, str], torch.Tensor]:
    """What the turbo file `path` says of itself, and its flat vector in float64 (of `slots(unet, rank)`).

    `unet` holds the weights that the file was trained for, in float32 or float16, which hold the stored ones exactly. Raises
    FileNotFoundError, or ValueError for a file that is no turbo file or was trained for other weights.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no turbo file {path}: python -m svd_lab.training.stages.turbo makes one (docs/mini.md)"
        )
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            numbers, scales = (file.get_tensor(k) if k in file.keys() else None for k in ("numbers", "scales"))
    except SafetensorError as error:
        raise ValueError(f"{path} is no turbo file, or a broken one: {error}") from error
    if about.get("format") != FORMAT or numbers is None or scales is None:
        raise ValueError(f"{path} is no turbo file: its format is {about.get('format')!r}, not {FORMAT!r}")
    if about["unet"] != fingerprint(unet):
        raise ValueError(
            f"{path} was trained for a UNet with other weights than this one; load that one (in float32 or float16), "
            "or train turbo for this one: python -m svd_lab.training.stages.turbo"
        )
    where = slots(unet, int(about["rank"]))
    if len(numbers) != sum(sum(slot.rows) for slot in where) or len(scales) != sum(len(slot.rows) for slot in where):
        raise ValueError(
            f"{path} is broken: it holds {len(numbers)} numbers and {len(scales)} scales, too many or too few"
        )
    return about, restored(numbers, scales, where)


def merge(unet: Any, path: str | Path) -> dict[str, str]:
    """Add the difference in the file `path` to `unet`'s weights in place; returns what the file says of itself.

    The sum is made in float64 and rounded once, to the UNet's own precision. Raises as `read`; the UNet is untouched then.
    """
    import torch

    about, flat = read(unet, path)
    parameters = dict(unet.named_parameters())
    with torch.no_grad():
        for name, difference in differences(flat, slots(unet, int(about["rank"]))).items():
            p = parameters[name]
            p.copy_(p.detach().cpu().double().add_(difference))
    return about


def parts(folder: str | Path, path: str | Path, dtype: torch.dtype | None = None) -> dict[str, Any]:
    """{"unet", "scheduler"} for `StableVideoDiffusionPipeline.from_pretrained(folder, ...)`: those of the mini in `folder` with the
    turbo file `path`. dtype: of the UNet (None: float32), rounded once, after merging. Raises as `merge`."""
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
