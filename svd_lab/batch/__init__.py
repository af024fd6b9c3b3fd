"""Many videos, one process per GPU, resumable: `generate_batch`."""

from svd_lab.batch.generate import generate_batch

__all__ = ["generate_batch"]
