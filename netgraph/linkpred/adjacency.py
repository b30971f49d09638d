"""The adjacency of a graph as an operator on states of nodes, and edges that are left out by chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.sparse import SparseRows, sparse_product

__all__ = ["Adjacency", "drop_edges"]


@final
@dataclass(frozen=True, eq=False)
class Adjacency:
    """The adjacency *A* of a graph without the edges left out, times states of nodes.

    Attributes:
        graph: whose rows are the neighbours.
        weight: of each entry of `graph.indices`, `(E,)`, maybe with a gradient; None for 1.
        scale: of all weights.
        degrees: of all nodes, `(N,)`, where they are those of a larger graph; None to sum the weights.
        targets: how many of the first nodes get a new state, T; None for all N. `first` makes such a part.

    >>> path = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
    >>> Adjacency(path).sum(torch.tensor([[1.0], [2.0], [4.0]])).T
    tensor([[2., 5., 2.]])
    """

    graph: LinkGraph
    weight: Tensor | None = None
    scale: float = 1.0
    degrees: Tensor | None = None
    targets: int | None = None

    @cached_property
    def places(self) -> SparseRows:
        """The entries that count."""
        graph = self.graph
        if graph.kept is None:
            ptr, col = graph.indptr, graph.indices
        else:
            ptr = torch.zeros(len(graph.kept) + 1, dtype=torch.long, device=graph.device)
            torch.cumsum(graph.kept, 0, out=ptr[1:])
            ptr, col = ptr[graph.indptr], graph.indices[graph.kept]
        if self.targets is None:
            return SparseRows(ptr, col, graph.num_nodes, graph.undirected)
        return SparseRows(ptr[: self.targets + 1], col, graph.num_nodes)

    @cached_property
    def value(self) -> Tensor | None:
        """The weights of the entries that count, not yet scaled."""
        if self.weight is None or self.graph.kept is None:
            return self.weight
        return self.weight[self.graph.kept]

    @cached_property
    def edge_index(self) -> Tensor:
        """The edges that count, from source to target, `(2, E)`."""
        return torch.stack((self.places.col, self.places.row))

    @cached_property
    def degree(self) -> Tensor:
        """Sum of the weights of the edges to each node, `(N,)`."""
        if self.degrees is not None:
            return self.degrees
        if self.value is None:
            return self.places.ptr.diff() * self.scale
        zero = self.value.new_zeros(self.graph.num_nodes)
        return zero.index_add(0, self.places.row, self.value) * self.scale

    def first(self, targets: int, sources: int) -> Adjacency:
        """The rows of the first nodes, whose neighbours are among the first `sources`, all that there are."""
        graph = self.graph
        count = int(graph.indptr[targets])
        some = [None if t is None else t[:count] for t in (graph.relation, graph.kept, self.weight)]
        x = None if graph.x is None else graph.x[:sources]
        indptr = graph.indptr[: sources + 1].clamp(max=count)
        part = LinkGraph(
            indptr, graph.indices[:count], some[0], graph.num_relations, x, undirected=False, kept=some[1]
        )
        return Adjacency(part, some[2], self.scale, self.degree[:sources], targets)

    def dropout(self, p: float) -> Adjacency:
        """Without some of the edges, drawn by chance, and with the others weighing 1 / (1 - p)."""
        return replace(self, graph=drop_edges(self.graph, p), scale=self.scale / (1 - p))

    def own(self, x: Tensor) -> Tensor:
        """The rows of the nodes that get a new state, `(T, F)`."""
        return x if self.targets is None else x[: self.targets]

    def sum(self, x: Tensor) -> Tensor:
        """*A x*, `(T, F)`."""
        total = sparse_product(self.places, x, None if self.value is None else self.value.to(x.dtype))
        return total if self.scale == 1 else total * self.scale

    def mean(self, x: Tensor) -> Tensor:
        """*D⁻¹ A x*, and 0 at nodes without edges, `(T, F)`."""
        degree = self.own(self.degree).to(x.dtype)
        return self.sum(x) / torch.where(degree == 0, 1, degree).unsqueeze(1)

    def normalised(self, x: Tensor) -> Tensor:
        """*D^(-1/2) (A + I) D^(-1/2) x* with *D* the degrees plus 1, as in `GCN`, `(T, F)`."""
        norm = (1 + self.degree.to(x.dtype)).rsqrt().unsqueeze(1)
        if self.value is None and self.scale == 1 and self.targets is None:
            return _Normalised.apply(x, norm, self.places)  # type: ignore[no-untyped-call]
        x = norm * x
        return self.own(norm) * (self.sum(x) + self.own(x))


class _Normalised(torch.autograd.Function):
    """The plain case in place: rows of states outgrow caches, and each pass over them counts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: Tensor, places: SparseRows) -> Tensor:
        ctx.norm, ctx.places = norm, places
        x = norm * x
        return sparse_product(places, x).add_(x).mul_(norm)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        places: SparseRows = ctx.places if ctx.places.symmetric else ctx.places.transposed
        grad = ctx.norm * grad
        return sparse_product(places, grad).add_(grad).mul_(ctx.norm), None, None


def drop_edges(graph: LinkGraph, p: float) -> LinkGraph:
    """The same graph, each of whose entries is left out with probability `p`.

    Both directions of an edge are drawn separately, so what comes back counts as directed.

    >>> drop_edges(LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3), 0.0).num_edges
    4
    """
    chance = torch.rand(len(graph.indices), device=graph.device)
    kept = chance >= p if graph.kept is None else (chance >= p) & graph.kept
    view = replace(graph, kept=kept, undirected=False)
    # What belongs to all entries stays as it is: see LinkGraph.without.
    view.__dict__.update({name: graph.__dict__[name] for name in ("rows", "keys") if name in graph.__dict__})
    return view
