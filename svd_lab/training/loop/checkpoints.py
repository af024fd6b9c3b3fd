"""Checkpoints, in parts small enough to be carried, and the exported folders that can stand in for them."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

PART = 15 * 2**20  # bytes a part


def save_parts(value: Any, path: str | Path) -> None:
    """torch.save into PATH.0, PATH.1, … of at most 15 MiB each."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    data = buffer.getvalue()
    for i in range(0, len(data), PART):
        Path(f"{path}.{i // PART}").write_bytes(data[i : i + PART])


def load_parts(path: str | Path, device: str = "cpu") -> dict[str, Any]:
    """Read a checkpoint, or the exported folder of the video mini.

    Args:
        path: What `save_parts` (or torch.save, if PATH itself is a file) wrote, or the folder.
        device: Of the tensors.

    Returns:
        The checkpoint. A folder gives "vae", "unet" and "clip" (state dicts) and "scaling_factor", as the checkpoints of all
        stages do together.

    Raises:
        FileNotFoundError: Nothing was found there.
    """
    path = Path(path)
    if path.is_dir():
        return _load_folder(path, device)
    if path.exists():
        return torch.load(path, map_location=device)
    parts = sorted(path.parent.glob(path.name + ".*"), key=lambda p: int(p.suffix[1:]))
    if not parts:
        raise FileNotFoundError(f"no checkpoint {path} (nor {path}.0, {path}.1, …)")
    return torch.load(io.BytesIO(b"".join(p.read_bytes() for p in parts)), map_location=device)


def _load_folder(folder: Path, device: str) -> dict[str, Any]:
    files = dict(vae="vae/diffusion_pytorch_model", unet="unet/diffusion_pytorch_model", clip="image_encoder/model")
    return load_weights(folder, files, device) | dict(scaling_factor=scaling_factor(folder))


def load_weights(folder: Path, files: dict[str, str], device: str = "cpu") -> dict[str, dict[str, torch.Tensor]]:
    """Read state dicts of a folder by name; `files`: their paths without ".safetensors"."""
    from safetensors.torch import load_file

    return {part: load_file(folder / f"{name}.safetensors", device=device) for part, name in files.items()}


def scaling_factor(folder: Path) -> float:
    """Return the scaling factor of the VAE in a model folder."""
    return json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))["scaling_factor"]


def half(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the model's weights on the CPU in fp16."""
    return {k: v.detach().half().contiguous().cpu() for k, v in model.state_dict().items()}


def full(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights in float32."""
    return {k: v.float() for k, v in state.items()}
