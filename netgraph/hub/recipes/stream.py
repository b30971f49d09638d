"""The stream of batches that a metanetwork learns from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.hub.recipes.classifier import mirrored, shifted
from netgraph.hub.split import Split
from netgraph.pruning import Batches, shuffled_batches

__all__ = ["Feed", "feed"]


@dataclass(frozen=True)
class Feed:
    """How images become batches.

    Attributes:
        batch_size: of a batch.
        repeat: passes over the images that make one epoch.
        shift, flip: as for `TrainingSettings`.
        seed: of the order, the shifts and the flips.

    Raises:
        UsageError: a value makes no sense.
    """

    batch_size: int = 128
    repeat: int = 1
    shift: int = 0
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("repeat", 1), ("shift", 0)):
            value: object = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UsageError(
                    f"meta-train: expected {name} to be a whole number of at least {least}, got {value!r}; "
                    "correct the recipe's table [meta_training]"
                )


def feed(split: Split, settings: Feed) -> Batches:
    """Batches of a split, the same at every call for an epoch.

    >>> images = Split(torch.zeros(5, 1, 8, 8), torch.arange(5))
    >>> [len(labels) for _, labels in feed(images, Feed(batch_size=2, repeat=2))(0)]
    [2, 2, 2, 2]
    """
    plain = shuffled_batches(split.images, split.labels, settings.batch_size, seed=settings.seed)

    def epoch(number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for single in range(number * settings.repeat, (number + 1) * settings.repeat):
            generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + single)
            for images, labels in plain(single):
                moved = shifted(images, settings.shift, generator)
                yield (mirrored(moved, generator) if settings.flip else moved), labels

    return epoch
