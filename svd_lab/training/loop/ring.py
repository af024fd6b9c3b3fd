"""A pool of training data: the newest rows of some tensors."""

import torch


class Ring:
    """The newest `size` rows of some tensors (`parts`), from which training draws; `batch` rows are added at a time.

    The parts are made by the first `add`, on the device and of the dtype of its values.

    Args:
        size: Rows to keep; rounded down to whole batches, but never below one.
        batch: Rows of each `add`.

    Attributes:
        parts: The tensors.
        n: Rows so far.
    """

    def __init__(self, size: int, batch: int):
        self.size, self.batch = max(1, size // batch) * batch, batch
        self.parts: list[torch.Tensor] = []
        self.n = self.at = 0

    @torch.no_grad()
    def add(self, *values: torch.Tensor) -> None:
        """Keep `batch` rows of each; in a full ring they replace the oldest."""
        if not self.parts:
            self.parts = [v.new_zeros(self.size, *v.shape[1:]) for v in values]
        for part, value in zip(self.parts, values, strict=True):
            part[self.at : self.at + self.batch] = value
        self.at = (self.at + self.batch) % self.size
        self.n = max(self.n, self.at or self.size)

    def sample(self, n: int) -> list[torch.Tensor]:
        """Return n random rows, with replacement."""
        i = torch.randint(self.n, (n,), device=self.parts[0].device)
        return [part[i] for part in self.parts]

    def newest(self, n: int) -> list[torch.Tensor]:
        """Return up to n rows of the last `add`, the last one first: right after it no step has seen them."""
        i = (self.at - 1 - torch.arange(min(n, self.batch), device=self.parts[0].device)) % self.size
        return [part[i] for part in self.parts]
