"""Write a turbo file: a low-rank delta, quantised to 8 bits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svd_lab.models.turbo import FORMAT, Slot, fingerprint, slots

if TYPE_CHECKING:
    import torch


BUDGET = 900_000  #: bytes that a file may have: all bundled models together stay below 60 MB


def nothing(where: Iterable[Slot], seed: int = 0) -> torch.Tensor:
    """The flat vector of no difference: A random with rows of length about 1, B and all else zero."""
    import torch

    generator, parts = torch.Generator().manual_seed(seed), []
    for slot in where:
        parts += [torch.randn(n, generator=generator) / math.sqrt(n) for n in slot.rows[: slot.rank]]
        parts += [torch.zeros(n) for n in slot.rows[slot.rank :]]
    return torch.cat(parts)


def quantised(flat: torch.Tensor, where: Iterable[Slot]) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat vector -> int8 numbers [n] and scales float32 [rows]: a row's largest number becomes 127."""
    import torch

    rows = [n for slot in where for n in slot.rows]
    scales = torch.stack([row.abs().amax() for row in flat.float().split(rows)]) / 127
    wide = scales.repeat_interleave(torch.tensor(rows))
    return (flat.float() / wide.clamp(min=1e-30)).round().clamp(-127, 127).to(torch.int8), scales


def save(path: str | Path, flat: torch.Tensor, unet: Any, rank: int, sigma_min: float) -> int:
    """Write the difference `flat` for the untouched `unet` as safetensors; returns the file's bytes.

    sigma_min: the noise level that the last of the 4 steps starts from. Raises ValueError if a number is not finite or the file
    would exceed BUDGET; nothing is written then.
    """
    from safetensors.torch import save as to_bytes

    if not flat.isfinite().all():
        raise ValueError("the difference has numbers that are not finite: the training has failed")
    numbers, scales = quantised(flat.detach().cpu(), slots(unet, rank))
    about = dict(format=FORMAT, rank=str(rank), sigma_min=repr(float(sigma_min)), unet=fingerprint(unet))
    data = to_bytes(dict(numbers=numbers, scales=scales), metadata=about)
    if len(data) > BUDGET:
        raise ValueError(f"at rank {rank} the file would have {len(data)} bytes, over {BUDGET}: take a lower rank")
    Path(path).write_bytes(data)
    return len(data)
