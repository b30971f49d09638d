"""Batches that come in the same order whenever they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from netgraph.errors import UsageError

__all__ = ["Batches", "shuffled_batches"]

Batches: TypeAlias = Callable[[int], Iterator[tuple[Tensor, Tensor]]]
"""Inputs and targets of one epoch, by its number: the same number always gives the same batches."""


def shuffled_batches(inputs: Tensor, targets: Tensor, batch_size: int, *, seed: int = 0) -> Batches:
    """Batches of data in memory, in an order that depends on the seed and the epoch alone.

    An incomplete batch at the end is left out.

    Args:
        inputs: `(B, ...)`.
        targets: `(B, ...)`.
        batch_size: samples of a batch.
        seed: of the order.

    Raises:
        UsageError: unequal lengths, or no complete batch.

    >>> batches = shuffled_batches(torch.arange(5), torch.arange(5), batch_size=2)
    >>> [len(x) for x, _ in batches(0)], torch.equal(next(batches(3))[0], next(batches(3))[0])
    ([2, 2], True)
    """
    if len(inputs) != len(targets) or not 1 <= batch_size <= len(inputs):
        raise UsageError(
            f"batches: expected as many targets as inputs and a batch size between 1 and their number, got "
            f"{len(inputs)} inputs, {len(targets)} targets and batch_size={batch_size}"
        )

    def epoch(number: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        order = torch.randperm(len(inputs), generator=generator)
        for start in range(0, len(inputs) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size].to(inputs.device)
            yield inputs[chosen], targets[chosen]

    return epoch
