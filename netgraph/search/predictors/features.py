"""Counts of paths through operator graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from netgraph.errors import UsageError
from netgraph.search.predictors.dense_graphs import DenseGraphs
from netgraph.search.space import FloatArray

__all__ = ["Path", "path_counts", "path_table"]

Path: TypeAlias = tuple[int, ...]
"""The kinds of the nodes that data meets one after the other."""


def path_counts(
    kinds: npt.NDArray[np.int64], adjacency: npt.NDArray[np.bool_], max_length: int
) -> Counter[Path]:
    """How often each sequence of kinds is met on the way through a graph.

    Counted are all paths from a node without predecessors to one without successors that have at most
    `max_length` nodes, and each node as a path of its own: so graphs that are deeper still differ.

    Args:
        kinds: the category of each node, -1 where there is none, `(N,)`.
        adjacency: whether data flows from node i to node j, `(N, N)`, without cycles.
        max_length: of a path, in nodes.

    Returns:
        The number of paths by their sequence of kinds.

    Raises:
        UsageError: the graph has a cycle.

    >>> diamond = np.zeros((4, 4), bool)
    >>> diamond[[0, 0, 1, 2], [1, 2, 3, 3]] = True
    >>> path_counts(np.array([0, 5, 6, 1]), diamond, 5)[0, 5, 1]
    1
    """
    nodes = np.flatnonzero(kinds >= 0).tolist()
    names = kinds.tolist()
    after = {node: np.flatnonzero(adjacency[node]).tolist() for node in nodes}
    fed = {successor for successors in after.values() for successor in successors}
    _check_acyclic(after)

    @cache
    def onward(node: int, length: int) -> Counter[Path]:
        """Paths of at most `length` nodes from this node to an end."""
        if not after[node]:
            return Counter({(names[node],): 1})
        found: Counter[Path] = Counter()
        if length > 1:
            for successor in after[node]:
                for path, count in onward(successor, length - 1).items():
                    found[(names[node], *path)] += count
        return found

    counts: Counter[Path] = Counter((names[node],) for node in nodes)
    for node in nodes:
        if node not in fed and after[node]:
            counts.update(onward(node, max_length))
    return counts


def path_table(
    graphs: DenseGraphs, max_length: int, columns: Sequence[Path] | None = None
) -> tuple[FloatArray, list[Path]]:
    """The path counts of many graphs, as a table with one column per sequence of kinds.

    Args:
        graphs: G different graphs.
        max_length: of a path, in nodes.
        columns: the sequences to count; None for all that occur, in order.

    Returns:
        The counts `(G, len(columns))`, and the columns. Other sequences are left out.

    Raises:
        UsageError: a graph has a cycle.

    >>> pair = DenseGraphs(np.array([[0, 1]]), np.array([[[False, True], [False, False]]]), np.array([0]))
    >>> path_table(pair, 2)
    (array([[1., 1., 1.]]), [(0,), (0, 1), (1,)])
    """
    counts = [
        path_counts(kinds, adjacency, max_length)
        for kinds, adjacency in zip(graphs.kinds, graphs.adjacency, strict=True)
    ]
    chosen = sorted({path for found in counts for path in found}) if columns is None else list(columns)
    place = {path: column for column, path in enumerate(chosen)}
    table = np.zeros((len(counts), len(chosen)))
    for row, found in enumerate(counts):
        for path, count in found.items():
            if path in place:
                table[row, place[path]] = count
    return table, chosen


def _check_acyclic(after: dict[int, list[int]]) -> None:
    waiting = Counter(successor for successors in after.values() for successor in successors)
    ready = [node for node in after if not waiting[node]]
    done = 0
    while ready:
        done += 1
        for successor in after[ready.pop()]:
            waiting[successor] -= 1
            if not waiting[successor]:
                ready.append(successor)
    if done < len(after):
        raise UsageError(
            "path_counts: expected a graph without cycles, got one with a cycle; "
            "let edge_index follow the data, or choose a predictor that counts no paths"
        )
