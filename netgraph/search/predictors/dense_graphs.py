"""Operator graphs of many architectures as padded arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from netgraph.errors import UsageError
from netgraph.search.space import Point, SearchSpace

__all__ = ["DenseGraphs", "dense_graphs", "has_graphs"]

_Graph = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

_KEPT: Final = 100_000
"""Graphs of one space that are remembered at most."""

_remembered: WeakKeyDictionary[SearchSpace, dict[Point, _Graph]] = WeakKeyDictionary()


@runtime_checkable
class _Dense(Protocol):
    """A space that knows the arrays of many graphs faster than one by one."""

    def to_dense(self, points: Sequence[Point]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]: ...


@final
@dataclass(frozen=True)
class DenseGraphs:
    """Operator graphs, each once, padded to the size of the largest.

    Attributes:
        kinds: the category of each node, then -1 where there is none, `(G, N)`.
        adjacency: [g, i, j] says whether data flows from node i to node j, `(G, N, N)`.
        index: which graph each of the points is, `(B,)`.
    """

    kinds: npt.NDArray[np.int64]
    adjacency: npt.NDArray[np.bool_]
    index: npt.NDArray[np.int64]


def dense_graphs(space: SearchSpace, points: Sequence[Point]) -> DenseGraphs:
    """The operator graphs of architectures, those that are equal only once.

    Graphs are equal if their nodes are so in the order of the space; isomorphic ones may differ. If the space
    has a method `to_dense`, of points to kinds `(B, N)` and adjacency `(B, N, N)`, that is called; else
    `to_graph` is, once for each point.

    Args:
        space: of the points.
        points: B architectures, at least one.

    Returns:
        The graphs, and which of them each point has.

    Raises:
        UsageError: the space has no graphs, or makes some that cannot be read.

    >>> import torch
    >>> from torch_geometric.data import Data
    >>> from netgraph.search.space import ChoiceSpace
    >>> def chain(options):
    ...     nodes = torch.arange(options["depth"])
    ...     return Data(x=0 * nodes, edge_index=torch.stack((nodes[:-1], nodes[1:])))
    >>> graphs = dense_graphs(ChoiceSpace({"depth": [1, 3]}, graph=chain), [(1,), (0,), (1,)])
    >>> graphs.kinds.tolist(), graphs.index.tolist()
    ([[0, 0, 0], [0, -1, -1]], [0, 1, 0])
    >>> graphs.adjacency[0].astype(int).tolist()
    [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    """
    if isinstance(space, _Dense):
        kinds, adjacency = space.to_dense(points)
    else:
        kinds, adjacency = _pad([_graph(space, point) for point in points])
    kinds, adjacency = _close_gaps(np.asarray(kinds, dtype=np.int64), np.asarray(adjacency, dtype=np.bool_))
    size = kinds.shape[1]
    bits = np.packbits(adjacency.reshape(len(kinds), size * size), axis=1)
    rows = np.concatenate((np.ascontiguousarray(kinds).view(np.uint8), bits), axis=1)
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1]))).ravel()
    _, first, index = np.unique(whole, return_index=True, return_inverse=True)
    return DenseGraphs(kinds[first], adjacency[first], index.astype(np.int64))


def has_graphs(space: SearchSpace, point: Point) -> bool:
    """Whether the space has operator graphs, judged by one of its points.

    >>> from netgraph.search.space import ChoiceSpace
    >>> has_graphs(ChoiceSpace({"depth": [2, 3]}), (0,))
    False
    """
    if isinstance(space, _Dense):
        return True
    try:
        space.to_graph(point)
    except UsageError:
        return False
    return True


def _pad(graphs: list[_Graph]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    size = max(len(kinds) for kinds, _ in graphs)
    kinds = np.full((len(graphs), size), -1, dtype=np.int64)
    adjacency = np.zeros((len(graphs), size, size), dtype=np.bool_)
    for row, (found, edges) in enumerate(graphs):
        kinds[row, : len(found)] = found
        adjacency[row, edges[0], edges[1]] = True
    return kinds, adjacency


def _close_gaps(
    kinds: npt.NDArray[np.int64], adjacency: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The same graphs with their nodes first, in order, and no more padding than the largest needs."""
    order = np.argsort(kinds < 0, axis=1, kind="stable")[:, : int((kinds >= 0).sum(1).max())]
    rows = np.arange(len(kinds))[:, None]
    return kinds[rows, order], adjacency[rows[:, :, None], order[:, :, None], order[:, None, :]]


def _graph(space: SearchSpace, point: Point) -> _Graph:
    """The kinds `(N,)` and the edges `(2, E)` of a point, remembered as long as the space lives."""
    known = _memory(space)
    if point in known:
        return known[point]
    data = space.to_graph(point)
    kinds, edges = data.x.numpy().astype(np.int64), data.edge_index.numpy().astype(np.int64)
    if kinds.ndim != 1 or not len(kinds) or (kinds < 0).any() or edges.shape[:1] != (2,):
        raise UsageError(
            f"dense_graphs: expected categories from 0 as x (N,), edges as edge_index (2, E), got shapes "
            f"{kinds.shape} and {edges.shape} for {point}; change to_graph of the space"
        )
    if edges.size and not 0 <= edges.min() <= edges.max() < len(kinds):
        raise UsageError(
            f"dense_graphs: expected edges among {len(kinds)} nodes, got {edges.max()} for {point}; "
            "change to_graph of the space"
        )
    if len(known) < _KEPT:
        known[point] = (kinds, edges)
    return kinds, edges


def _memory(space: SearchSpace) -> dict[Point, _Graph]:
    try:
        return _remembered.setdefault(space, {})
    except TypeError:  # a space that cannot be hashed or weakly referenced
        return {}
