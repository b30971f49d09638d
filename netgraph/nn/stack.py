"""Weights of one shape side by side, and where their positions stand in a row table."""

from __future__ import annotations

from itertools import groupby
from math import prod
from typing import NamedTuple

import numpy as np

from netgraph.graph import Structure, TensorSpec
from netgraph.graph.axis import IntArray
from netgraph.nn.windows import Windows, windows_of

__all__ = ["Rows", "Stack", "is_floating", "position_nodes", "stack_weights"]


class Stack(NamedTuple):
    """Weights of one shape, laid side by side and processed in one call.

    Their edge state is `(F, n, D, S)`: feature, weight, target position, source position with parallel edges.
    A *row* is a position of a weight on one side: rows from `dst` on are the `n * D` target positions, rows
    from `src` on the `n * S` source positions. In a loop stack, where every edge's source is its target, the
    rows from `src` on repeat the targets.
    """

    tensors: tuple[str, ...]
    windows: tuple[Windows, ...]
    targets: int
    sources: int
    loop: bool
    columns: tuple[int, ...]
    dst: int
    src: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(n, D, S)`."""
        return len(self.tensors), self.targets, self.sources

    @property
    def edges(self) -> int:
        """Number of edges."""
        return prod(self.shape)

    @property
    def sides(self) -> tuple[int, int]:
        """Rows of one weight on the target side and on the source side."""
        return self.targets, self.targets if self.loop else self.sources

    @property
    def spans(self) -> tuple[slice, slice]:
        """Where the stack's target rows and source rows stand among all rows."""
        number, (target, source) = len(self.tensors), self.sides
        return slice(self.dst, self.dst + number * target), slice(self.src, self.src + number * source)


class Rows(NamedTuple):
    """Consecutive rows: their nodes, their side (0 target, 1 source), and the edges that meet in each."""

    nodes: IntArray
    side: int
    edges: int


def stack_weights(structure: Structure, taps: int) -> tuple[tuple[Stack, ...], list[Rows]]:
    """Stack all weights of a structure by the shape of their edges; also all rows, in order."""
    weights = [
        (t, windows_of(t, taps))
        for t in structure.tensors
        if t.placement == "block" and t.kind == "parameter" and is_floating(t) and t.numel
    ]

    def shape(item: tuple[TensorSpec, Windows]) -> tuple[int, int, bool, tuple[int, ...]]:
        return *item[1].edges, item[1].loop, item[1].columns

    stacks: list[Stack] = []
    rows: list[Rows] = []
    total = 0
    for (targets, sources, loop, columns), members in groupby(sorted(weights, key=shape), shape):
        found = list(members)
        dst = [position_nodes(structure, t, t.out_axis) for t, _ in found]
        src = [
            np.repeat(position_nodes(structure, t, t.in_axis), 1 if loop else w.parallel) for t, w in found
        ]
        begin = total + sum(len(n) for n in dst)
        names, windows = (tuple(part) for part in zip(*((t.name, w) for t, w in found), strict=True))
        stacks.append(Stack(names, windows, targets, sources, loop, columns, total, begin))
        rows += [Rows(n, 0, sources) for n in dst]
        rows += [Rows(n, 1, sources if loop else targets) for n in src]
        total = begin + sum(len(n) for n in src)
    return tuple(stacks), rows


def is_floating(spec: TensorSpec) -> bool:
    """Whether a tensor holds floating-point numbers, which alone a metanetwork reads and writes."""
    return "float" in spec.dtype


def position_nodes(structure: Structure, spec: TensorSpec, dim: int | None) -> IntArray:
    """Node of every position along a channel dimension of a tensor."""
    assert dim is not None
    axis = structure.axis_of(spec, dim)
    return np.asarray(structure.offsets, dtype=np.int64)[axis.groups] + axis.indices
