"""A plan of messages as the kernels read it: tiles, pieces, rows and slots."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from netgraph.graph.axis import IntArray
from netgraph.nn.plan import MessagePlan

__all__ = ["SIDE", "Tables", "kernel_tables"]

SIDE = 64
"""A tile has at most the square of this many edges: with eight features of each, an eighth of a MiB."""

PIECE = 960
"""Edges decoded in one go."""


class CPlan(ctypes.Structure):
    """`Plan` of `plan.h`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("nodes", "edges", "num_tiles", "num_pieces", "rows", "stacks")),
        *((name, ctypes.c_int64) for name in ("most_targets", "most_sources")),
        *((name, ctypes.c_void_p) for name in ("tiles", "pieces", "row_node", "row_edges")),
        *((name, ctypes.c_void_p) for name in ("slot_begin", "slot_rows", "taps")),
    ]


@dataclass(frozen=True, eq=False)
class Tables:
    """How the kernels cut a structure.

    A *tile* is a rectangle of one weight's edges. Each has statistics for its own rows and columns, which are
    joined by node like those of several weights. A *piece* is a run of edges of one tile.

    Attributes:
        plan: pointers to all that follows.
        tiles: one line per tile, as `Tile` of `plan.h`.
        pieces: tile, first and last edge of each piece.
        row_node: node of every row of every tile.
        row_edges: edges that meet there.
        slot_begin, slot_rows: the rows of each slot, one slot after the other.
        taps: of every stack.
    """

    plan: CPlan
    tiles: Tensor
    pieces: Tensor
    row_node: Tensor
    row_edges: Tensor
    slot_begin: Tensor
    slot_rows: Tensor
    taps: tuple[int, ...]
    held: tuple[Tensor, ...]


_CACHE: WeakKeyDictionary[MessagePlan, dict[int, Tables]] = WeakKeyDictionary()


def kernel_tables(plan: MessagePlan, side: int | None = None) -> Tables:
    """The tables of a plan, made once.

    >>> from netgraph.graph import Axis, Group, Segment, Structure, TensorSpec
    >>> from netgraph.nn import message_plan
    >>> axes = Axis((Segment(0, 0, 2),)), Axis((Segment(1, 0, 3),))
    >>> spec = TensorSpec("w", (3, 2), "float32", "parameter", (1, 0), out_axis=0, in_axis=1)
    >>> plan = message_plan(Structure((Group("in", 2), Group("out", 3)), axes, (spec,)), taps=9)
    >>> kernel_tables(plan).row_edges.tolist()
    [2.0, 2.0, 2.0, 3.0, 3.0]
    """
    side = side or SIDE
    found = _CACHE.setdefault(plan, {})
    if side not in found:
        found[side] = _tables(plan, side)
    return found[side]


def _tables(plan: MessagePlan, side: int) -> Tables:
    given = plan.row_node.numpy()
    tiles: list[tuple[int, ...]] = []
    nodes: list[IntArray] = []
    slots: list[IntArray] = []
    edges: list[IntArray] = []
    rows = total = 0
    for s, stack in enumerate(plan.stacks):
        number, targets, sources = stack.shape
        for n in range(number):
            for top, bottom in _cuts(targets, _limit(sources, side)):
                for left, right in _cuts(sources, _limit(targets, side)):
                    height, width = bottom - top, right - left
                    target = given[stack.dst + n * targets :][top:bottom]
                    source = target if stack.loop else given[stack.src + n * sources :][left:right]
                    place = (n * targets + top) * sources + left
                    ends = rows, rows + height
                    tiles.append((s, total, height, width, place, sources, *ends, int(stack.loop)))
                    nodes += [target, source]
                    slots += [target, source + plan.num_nodes]
                    edges += [np.full(height, width), np.full(len(source), width if stack.loop else height)]
                    rows += height + len(source)
                    total += height * width
    return _assembled(plan, tiles, nodes, slots, edges)


def _limit(other: int, side: int) -> int:
    """How long a side of a tile may be beside another of so many edges."""
    return max(side, side * side // other)


def _cuts(size: int, limit: int) -> list[tuple[int, int]]:
    """A range in the fewest parts of at most `limit`, all about equally long."""
    parts = -(-size // limit)
    return list(pairwise(size * i // parts for i in range(parts + 1)))


def _assembled(
    plan: MessagePlan,
    tiles: list[tuple[int, ...]],
    nodes: list[IntArray],
    slots: list[IntArray],
    edges: list[IntArray],
) -> Tables:
    empty = np.zeros(0, dtype=np.int64)
    slot = np.concatenate([empty, *slots])
    counts = np.bincount(slot, minlength=2 * plan.num_nodes)
    pieces = [
        (t, first, min(first + PIECE, tile[2] * tile[3]))
        for t, tile in enumerate(tiles)
        for first in range(0, tile[2] * tile[3], PIECE)
    ]
    taps = tuple(len(stack.columns) for stack in plan.stacks)
    table = torch.tensor(tiles, dtype=torch.int64).reshape(-1, 9)
    held = (
        table,
        torch.tensor(pieces, dtype=torch.int64).reshape(-1, 3),
        torch.from_numpy(np.concatenate([empty, *nodes])),
        torch.from_numpy(np.concatenate([empty, *edges])).float(),
        torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
        torch.from_numpy(np.argsort(slot, kind="stable")),
        torch.tensor(taps, dtype=torch.int64),
    )
    most = table.amax(0).tolist() if tiles else [0] * 9
    numbers = plan.num_nodes, plan.num_edges, len(tiles), len(pieces), len(slot), len(taps), most[2], most[3]
    return Tables(CPlan(*numbers, *(t.data_ptr() for t in held)), *held[:6], taps, held)
