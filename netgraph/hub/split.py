"""Images in three splits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Dataset", "Split"]


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their classes.

    Attributes:
        images: float in [0, 1], `(B, C, height, width)`.
        labels: int64, `(B,)`.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        """The same on a device."""
        return Split(self.images.to(device), self.labels.to(device))

    def batches(self, size: int, generator: torch.Generator | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through the split once, in batches of at most `size`; shuffled if a generator is given."""
        if generator is None:
            yield from zip(self.images.split(size), self.labels.split(size), strict=True)
            return
        for index in torch.randperm(len(self), generator=generator).split(size):
            chosen = index.to(self.labels.device)
            yield self.images[chosen], self.labels[chosen]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images in three splits: train on the first, choose on the second, report on the third.

    >>> split = Split(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]))
    >>> Dataset("two", 2, split, split, split).to("cpu").train.images.shape
    torch.Size([2, 1, 8, 8])
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split

    def to(self, device: torch.device | str) -> Dataset:
        """The same on a device."""
        parts = (split.to(device) for split in (self.train, self.validation, self.test))
        return Dataset(self.name, self.classes, *parts)
