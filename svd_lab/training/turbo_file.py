"""Write a turbo file: a low-rank delta, quantised to 8 bits. (svd_lab.models.turbo reads it.)"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from svd_lab.models.turbo import FORMAT, Slot, fingerprint, slots

if TYPE_CHECKING:
    import torch
    from torch import nn

BUDGET = 900_000  #: bytes that a file may have: all bundled models together stay below 60 MB


def zero_delta(where: Iterable[Slot], seed: int = 0) -> torch.Tensor:
    """Return the flat vector that changes nothing: A random with rows of length about 1, B and all else zero."""
    import torch

    generator, parts = torch.Generator().manual_seed(seed), []
    for slot in where:
        parts += [torch.randn(n, generator=generator) / math.sqrt(n) for n in slot.rows[: slot.rank]]
        parts += [torch.zeros(n) for n in slot.rows[slot.rank :]]
    return torch.cat(parts)


def quantised(flat: torch.Tensor, where: Iterable[Slot]) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a flat vector to int8 numbers [n] with scales float32 [rows]: a row's largest number becomes 127."""
    import torch

    rows = [n for slot in where for n in slot.rows]
    scales = torch.stack([row.abs().amax() for row in flat.float().split(rows)]) / 127
    wide = scales.repeat_interleave(torch.tensor(rows))
    return (flat.float() / wide.clamp(min=1e-30)).round().clamp(-127, 127).to(torch.int8), scales


def save(path: str | Path, flat: torch.Tensor, unet: nn.Module, rank: int, sigma_min: float) -> int:
    """Write a low-rank delta as safetensors.

    Args:
        path: The file.
        flat: The delta, as a flat vector of `slots(unet, rank)`.
        unet: The UNet that it is for, unchanged.
        rank: Of its matrices.
        sigma_min: The noise level that the last of the 4 steps starts from.

    Returns:
        The file's bytes.

    Raises:
        ValueError: A number is not finite, or the file would exceed BUDGET; nothing is written then.
    """
    from safetensors.torch import save as to_bytes

    if not flat.isfinite().all():
        raise ValueError("the low-rank delta has numbers that are not finite: the training has failed")
    numbers, scales = quantised(flat.detach().cpu(), slots(unet, rank))
    about = dict(format=FORMAT, rank=str(rank), sigma_min=repr(float(sigma_min)), unet=fingerprint(unet))
    data = to_bytes(dict(numbers=numbers, scales=scales), metadata=about)
    if len(data) > BUDGET:
        raise ValueError(f"at rank {rank} the file would have {len(data)} bytes, over {BUDGET}: take a lower rank")
    Path(path).write_bytes(data)
    return len(data)
