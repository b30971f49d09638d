"""Which rows of statistics belong to one slot, in the order in which they are joined."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from netgraph.graph.axis import IntArray

__all__ = ["Joining", "join_rows"]


class Joining(NamedTuple):
    """An order of rows in which those of one slot stand together.

    First come the slots of one row, then those of several, by their number of rows rounded up to a power of
    two; short lists are filled up with row `R`, which every join must leave unchanged. The last place holds
    row `R + 1`, all zeros: what a slot gets that has no rows.

    Attributes:
        rows: the row at each place of the order.
        places: the place of each of the `R + 2` rows; without meaning for row `R`.
        sizes: places of the slots of one row, of each bucket, and of the zeros.
        buckets: `(slots, rows per slot)` of the slots of several rows, in order.
        slots: where each slot's result stands among all results.
        results: the slot of each result; without meaning for the zeros.
    """

    rows: Tensor
    places: Tensor
    sizes: tuple[int, ...]
    buckets: tuple[tuple[int, int], ...]
    slots: Tensor
    results: Tensor


def join_rows(row_slot: Tensor, num_slots: int) -> Joining:
    """Order the rows by the slot of each, `(R,)`.

    >>> joining = join_rows(torch.tensor([0, 2, 0, 1, 0]), num_slots=4)
    >>> joining.sizes, joining.buckets, joining.rows.tolist()
    ((2, 4, 1), ((1, 4),), [3, 1, 0, 2, 4, 5, 6])
    >>> joining.slots.tolist()
    [2, 0, 1, 3]
    """
    given = row_slot.cpu().numpy()
    number = len(given)
    by_slot = np.argsort(given, kind="stable")
    counts = np.bincount(given, minlength=num_slots)
    begin = np.cumsum(counts) - counts
    widths = 2 ** np.ceil(np.log2(np.maximum(counts, 1))).astype(np.int64)
    order: list[IntArray] = []
    owners: list[IntArray] = []
    buckets: list[tuple[int, int]] = []
    for width in sorted({1, *widths[counts > 0].tolist()}):
        found = np.flatnonzero((widths == width) & (counts > 0))
        within = np.arange(width)[None, :]
        filled = within < counts[found][:, None]
        index = np.where(filled, begin[found][:, None] + within, number)
        order.append(np.append(by_slot, number)[index].ravel())
        owners.append(found)
        buckets.append((len(found), width))
    rows = np.concatenate([*order, [number + 1]])
    places = np.zeros(number + 2, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    results = np.concatenate([*owners, [0]])
    slots = np.full(num_slots, len(results) - 1)
    slots[results[:-1]] = np.arange(len(results) - 1)
    device = row_slot.device
    return Joining(
        rows=torch.from_numpy(rows).to(device),
        places=torch.from_numpy(places).to(device),
        sizes=(*(len(o) for o in order), 1),
        buckets=tuple(buckets[1:]),
        slots=torch.from_numpy(slots).to(device),
        results=torch.from_numpy(results).to(device),
    )
