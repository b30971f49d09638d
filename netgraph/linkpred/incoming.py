"""The edges that count, row by row, as message passing walks along them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from netgraph.linkpred.graph import LinkGraph

__all__ = ["IncomingEdges", "incoming_edges"]


@final
@dataclass(frozen=True, eq=False)
class IncomingEdges:
    """Edges by target, those that were left out being gone.

    Attributes:
        begin: where each target's edges begin, `(N + 1,)`.
        source: `(E,)`.
        target: `(E,)`, never decreasing.
        relation: `(E,)`, or None where there is only one.
        position: of each edge among all entries of the graph, `(E,)`; None where none is left out.
    """

    begin: Tensor
    source: Tensor
    target: Tensor
    relation: Tensor | None
    position: Tensor | None

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def count(self) -> Tensor:
        """How many messages a node gets, its own boundary being one, `(N,)`."""
        return self.begin.diff() + 1

    @cached_property
    def short_source(self) -> Tensor:
        """`source` in 32 bits."""
        return self.source.int()

    @cached_property
    def short_relation(self) -> Tensor | None:
        """`relation` in 32 bits."""
        return None if self.relation is None else self.relation.int()


_FOUND: Final[WeakKeyDictionary[LinkGraph, IncomingEdges]] = WeakKeyDictionary()


def incoming_edges(graph: LinkGraph) -> IncomingEdges:
    """The edges of a graph that count, found once per graph: each layer of a network asks for them.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3).without(torch.tensor([[0], [1]]))
    >>> incoming_edges(graph).source.tolist(), incoming_edges(graph).position.tolist()
    ([2, 1], [2, 3])
    """
    found = _FOUND.get(graph)
    if found is None:
        found = _FOUND[graph] = _incoming(graph)
    return found


def _incoming(graph: LinkGraph) -> IncomingEdges:
    relation = graph.relation if graph.num_relations > 1 else None
    if graph.kept is None:
        return IncomingEdges(graph.indptr, graph.indices, graph.rows, relation, None)
    position = graph.kept.nonzero().squeeze(1)
    begin = torch.zeros_like(graph.indptr)
    begin[1:] = graph.degree.cumsum(0)
    kind = None if relation is None else relation[position]
    return IncomingEdges(begin, graph.indices[position], graph.rows[position], kind, position)
