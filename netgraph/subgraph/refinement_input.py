"""Graphs as colour refinement reads them: stacked by size, labels numbered jointly."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netgraph.convert import as_data

if TYPE_CHECKING:
    from torch_geometric.data import Data

Ints: TypeAlias = NDArray[np.int64]

_NODE_LABELS = ("x", "label")
_EDGE_LABELS = ("edge_attr", "edge_label")


@final
@dataclass(frozen=True, eq=False)
class GraphStack:
    """Graphs with the same number of nodes, B of them with N nodes each.

    Attributes:
        places: where each of the graphs stood among those given, `(B,)`.
        node_labels: `(B, N)`.
        edge_labels: `(B, N, N)`; 0 where there is no edge, above 0 where there is one.
    """

    places: Ints
    node_labels: Ints
    edge_labels: Ints

    @property
    def shape(self) -> tuple[int, int]:
        """Number of graphs and number of nodes."""
        return self.node_labels.shape[0], self.node_labels.shape[1]

    @cached_property
    def edges(self) -> tuple[Ints, Ints, Ints]:
        """Graph, node and neighbour of every edge in either direction, sorted."""
        graph, node, neighbour = np.nonzero(self.edge_labels)
        return graph, node, neighbour

    @cached_property
    def closed_edges(self) -> tuple[Ints, Ints, Ints]:
        """The same with every node a neighbour of itself."""
        graph, node, near = np.nonzero(self.edge_labels + np.eye(self.shape[1], dtype=np.int64))
        return graph, node, near

    @cached_property
    def neighbours(self) -> Ints:
        """The neighbours of each node, `(B, N, most neighbours)`; N where there are no more."""
        graphs, nodes = self.shape
        graph, node, neighbour = self.edges
        row = graph * nodes + node
        degree = np.bincount(row, minlength=graphs * nodes)
        column = np.arange(len(row)) - np.repeat(np.cumsum(degree) - degree, degree)
        out = np.full((graphs, nodes, int(degree.max(initial=0))), nodes)
        out[graph, node, column] = neighbour
        return out


def stack_graphs(graphs: Sequence[Any]) -> list[GraphStack]:
    """Read graphs and stack those of equal size; equal labels get equal numbers in all of them.

    A node's label is its row of `x` and of `label`, an edge's that of `edge_attr` and of `edge_label`, as far
    as the graph has them.

    Raises:
        InterchangeError: something is no simple undirected graph, see `netgraph.convert.as_data`.

    >>> import networkx as nx
    >>> [stack.shape for stack in stack_graphs([nx.path_graph(3), nx.path_graph(2), nx.star_graph(2)])]
    [(2, 3), (1, 2)]
    """
    read = [as_data(graph) for graph in graphs]
    node_numbers: dict[Hashable, int] = {}
    edge_numbers: dict[Hashable, int] = {}
    by_size: dict[int, list[int]] = {}
    for place, data in enumerate(read):
        by_size.setdefault(int(data.num_nodes or 0), []).append(place)
    stacks = []
    for nodes, places in by_size.items():
        node_labels = np.zeros((len(places), nodes), dtype=np.int64)
        edge_labels = np.zeros((len(places), nodes, nodes), dtype=np.int64)
        for i, place in enumerate(places):
            data = read[place]
            source, target = data.edge_index.cpu().numpy()
            node_labels[i] = _labels(data, _NODE_LABELS, nodes, node_numbers)
            edge_labels[i, source, target] = _labels(data, _EDGE_LABELS, len(source), edge_numbers) + 1
        stacks.append(GraphStack(np.array(places), node_labels, edge_labels))
    return stacks


def _labels(data: Data, names: Sequence[str], rows: int, numbers: dict[Hashable, int]) -> Ints:
    labels = zip(*(_column(data.get(name), rows) for name in names), strict=True)
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)


def _column(values: Any, rows: int) -> list[Hashable]:
    """One hashable per row, all alike where the attribute is absent or belongs to something else."""
    if isinstance(values, Tensor) and values.dim() and len(values) == rows:
        return [tuple(row) for row in values.reshape(rows, *values.shape[1:], 1).flatten(1).tolist()]
    if isinstance(values, list) and len(values) == rows:
        return [value if isinstance(value, Hashable) else repr(value) for value in values]
    return [None] * rows
