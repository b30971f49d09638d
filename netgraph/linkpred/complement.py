"""Uniform draws from what is not in a sorted list, without listing it and without rejection."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["draw_distinct", "draw_outside", "nth_outside"]


def nth_outside(ptr: Tensor, taken: Tensor, row: Tensor, index: Tensor, span: int) -> Tensor:
    """The numbers from 0 to `span - 1` that rows of taken numbers leave free, by their place among those.

    With e_0 < e_1 < ... taken, number *n* of the free ones (from 0) is n + #{j : e_j − j ≤ n}.

    Args:
        ptr: where each row begins in `taken`, `(R + 1,)`.
        taken: sorted within each row and without repetition, `(M,)`.
        row: which row is asked, `(Q,)`.
        index: for which of its free numbers, `(Q,)`.
        span: R · (span + 1) must be below 2**63.

    Returns:
        `(Q,)`.

    >>> ptr, taken = torch.tensor([0, 3, 3]), torch.tensor([0, 1, 3])
    >>> nth_outside(ptr, taken, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 5).tolist()
    [2, 4, 1]
    """
    size = ptr.diff()
    start = torch.repeat_interleave(ptr[:-1], size, output_size=len(taken))
    begin = torch.arange(len(size), device=ptr.device) * (span + 1)
    place = torch.arange(len(taken), device=ptr.device) - start
    shifted = torch.repeat_interleave(begin, size, output_size=len(taken)) + taken - place
    below = torch.searchsorted(shifted, begin[row] + index, right=True) - ptr[row]
    return index + below


def draw_outside(
    ptr: Tensor, taken: Tensor, span: int, count: int, generator: torch.Generator | None = None
) -> Tensor:
    """For each row of taken numbers, `count` of the others below `span`, uniform and with repetition.

    A row that leaves none gives −1. Random numbers come from the generator's own device, or the CPU, so that
    a seed means the same wherever the rows are.

    Returns:
        `(R, count)`.

    >>> draw_outside(torch.tensor([0, 2, 4]), torch.tensor([0, 2, 0, 1]), 3, 2).tolist()
    [[1, 1], [2, 2]]
    """
    free = span - ptr.diff()
    device = torch.device("cpu") if generator is None else generator.device
    share = torch.rand(len(free), count, dtype=torch.float64, generator=generator, device=device)
    index = (share.to(ptr.device) * free[:, None]).long().minimum(free[:, None] - 1)
    row = torch.arange(len(free), device=ptr.device).repeat_interleave(count)
    drawn = nth_outside(ptr, taken, row, index.reshape(-1), span).reshape(len(free), count)
    return torch.where(free[:, None] > 0, drawn, -1)


def draw_distinct(total: int, count: int, generator: torch.Generator | None = None) -> Tensor:
    """`count` different numbers below `total`, uniform, in random order, `(count,)`.

    The numbers are on the generator's device, or the CPU. Memory grows with `count`, not with `total`.

    >>> sorted(draw_distinct(4, 4).tolist())
    [0, 1, 2, 3]
    """
    device = torch.device("cpu") if generator is None else generator.device
    if total <= 4 * count:
        return torch.randperm(total, generator=generator, device=device)[:count]
    drawn = torch.empty(0, dtype=torch.long, device=device)
    while len(drawn) < count:
        # The first of equal numbers stays where it was drawn: cutting what is sorted would favour the small.
        more = torch.randint(total, (count - len(drawn) + 16,), generator=generator, device=device)
        drawn = torch.cat((drawn, more))
        value, order = drawn.sort(stable=True)
        first = torch.ones_like(value, dtype=torch.bool)
        first[1:] = value[1:] != value[:-1]
        drawn = drawn[order[first].sort().values]
    return drawn[:count]
