"""A pipeline's networks as they were before torch.compile, which wraps them."""

from __future__ import annotations

from typing import Any


def uncompiled(network: Any) -> Any:
    """The network itself, where torch.compile has wrapped it; else what was given."""
    return getattr(network, "_orig_mod", network)
