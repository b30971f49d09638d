"""The graph that link predictors read: sorted rows of neighbours, and edges that can be left out cheaply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, final

import torch
from torch import Tensor

from netgraph.errors import GraphError

__all__ = ["LinkGraph"]


@final
@dataclass(frozen=True, eq=False)
class LinkGraph:
    """Nodes with sorted rows of neighbours, maybe of several relations, and maybe with edges left out.

    Row *v* lists the nodes *u* that have an edge *u → v*, sorted by *u* and then by relation; no edge stands
    twice and, without relations, none joins a node with itself. `from_edges` and `as_link_graph` build one.

    Attributes:
        indptr: where each row begins in `indices`, `(N + 1,)`.
        indices: the sources of the edges, row by row, `(E,)`.
        relation: of each edge, `(E,)`; None in a graph of one relation.
        num_relations: how many relations there are, those of reversed edges included.
        x: features of the nodes, `(N, F)`, or None.
        undirected: whether every edge stands in both directions.
        kept: which edges count, `(E,)` of bool; None for all. `without` makes it.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 0], [1, 2, 0, 3]]), 4)
    >>> graph.num_nodes, graph.num_edges, graph.degree.tolist()
    (4, 8, [3, 2, 2, 1])
    >>> graph.without(torch.tensor([[1], [0]])).degree.tolist()
    [2, 1, 2, 1]
    """

    indptr: Tensor
    indices: Tensor
    relation: Tensor | None = None
    num_relations: int = 1
    x: Tensor | None = None
    undirected: bool = True
    kept: Tensor | None = None

    @classmethod
    def from_edges(
        cls,
        edge_index: Tensor,
        num_nodes: int,
        *,
        relation: Tensor | None = None,
        num_relations: int | None = None,
        x: Tensor | None = None,
        undirected: bool = True,
    ) -> Self:
        """Sort edges `(2, E)`, each from its source to its target, and drop what stands twice.

        Args:
            edge_index: the edges.
            num_nodes: how many nodes there are.
            relation: of each edge, `(E,)`.
            num_relations: how many relations there are; None for one more than the largest.
            x: features of the nodes.
            undirected: add to each edge its reverse, of the same relation, and drop loops.

        Raises:
            GraphError: shapes, types or numbers that are no edges of such a graph.
        """
        _check(edge_index, num_nodes, relation, num_relations, x)
        source, target = edge_index.long()
        kind = torch.zeros_like(source) if relation is None else relation.long()
        count = int(num_relations or (int(kind.max()) + 1 if relation is not None and len(kind) else 1))
        if undirected:
            source, target, kind = torch.cat((source, target)), torch.cat((target, source)), kind.repeat(2)
        if undirected or relation is None:
            proper = source != target
            source, target, kind = source[proper], target[proper], kind[proper]
        key = target * num_nodes + source
        # By relation first and by pair with a stable sort second: one key for all three may need 65 bits.
        order = kind.argsort(stable=True) if relation is not None else slice(None)
        key, again = key[order].sort(stable=True)
        kind = kind[order][again]
        fresh = torch.ones_like(key, dtype=torch.bool)
        fresh[1:] = (key[1:] != key[:-1]) | (kind[1:] != kind[:-1])
        key, kind = key[fresh], kind[fresh]
        rows = key.div(max(num_nodes, 1), rounding_mode="floor")
        indptr = torch.zeros(num_nodes + 1, dtype=torch.long, device=key.device)
        indptr[1:] = torch.bincount(rows, minlength=num_nodes).cumsum(0)
        return cls(
            indptr, key - rows * num_nodes, None if relation is None else kind, count, x, undirected, None
        )

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        """Edges that count; an undirected one counts twice."""
        return len(self.indices) if self.kept is None else int(self.kept.sum())

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.indices.device

    @cached_property
    def rows(self) -> Tensor:
        """The target of each entry of `indices`, `(E,)`."""
        return torch.repeat_interleave(
            torch.arange(self.num_nodes, device=self.device),
            self.indptr.diff(),
            output_size=len(self.indices),
        )

    @cached_property
    def keys(self) -> Tensor:
        """`rows * N + indices`: sorted, so that an edge is found by bisection, `(E,)`."""
        return self.rows * self.num_nodes + self.indices

    @cached_property
    def degree(self) -> Tensor:
        """How many edges that count come to each node, `(N,)`."""
        if self.kept is None:
            return self.indptr.diff()
        return torch.bincount(self.rows[self.kept], minlength=self.num_nodes)

    @property
    def edge_index(self) -> Tensor:
        """The edges that count, from source to target, `(2, E)`."""
        edges = torch.stack((self.indices, self.rows))
        return edges if self.kept is None else edges[:, self.kept]

    @property
    def edge_relation(self) -> Tensor | None:
        """The relations of the edges that count, `(E,)`."""
        return self.relation if self.relation is None or self.kept is None else self.relation[self.kept]

    def has(self, pairs: Tensor) -> Tensor:
        """Whether an edge that counts goes from `pairs[0]` to `pairs[1]`, of any relation, `(P,)` of bool."""
        found, position = self._locate(pairs)
        hit = torch.zeros(pairs.size(1), dtype=torch.bool, device=self.device)
        hit[found[self._counts(position)]] = True
        return hit

    def without(self, pairs: Tensor, relation: Tensor | None = None) -> Self:
        """The same graph without the edges between these pairs `(2, P)`: both directions, all relations.

        With relations `(P,)`, only the edges of these from the first node of each pair to the second. What is
        no edge does not matter. Nothing is sorted or copied but one bool per edge.

        Raises:
            GraphError: relations for a graph that has none.
        """
        if relation is not None and self.relation is None:
            raise GraphError("LinkGraph.without: expected no relations, got some; the graph has only one")
        kept = (
            torch.ones(len(self.indices), dtype=torch.bool, device=self.device)
            if self.kept is None
            else self.kept.clone()
        )
        if relation is not None and self.relation is not None:
            found, position = self._locate(pairs)
            kept[position[self.relation[position] == relation[found]]] = False
        else:
            for way in (pairs, pairs.flip(0)):
                kept[self._locate(way)[1]] = False
        view = replace(self, kept=kept)
        view.__dict__.update(
            {name: self.__dict__[name] for name in ("rows", "keys") if name in self.__dict__}
        )
        return view

    def to(self, device: str | torch.device) -> Self:
        """The same graph on another device."""
        move: dict[str, Any] = {
            name: value.to(device)
            for name in ("indptr", "indices", "relation", "x", "kept")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **move)

    def _locate(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Entries that join the pairs: which pair each belongs to, and where it stands, `(M,)` both."""
        key = pairs[1] * self.num_nodes + pairs[0]
        first = torch.searchsorted(self.keys, key)
        if self.relation is None:
            hit = torch.zeros_like(key, dtype=torch.bool)
            if len(self.keys):
                hit = self.keys[first.clamp(max=len(self.keys) - 1)] == key
            found = hit.nonzero().squeeze(1)
            return found, first[found]
        count = torch.searchsorted(self.keys, key, right=True) - first
        found = torch.repeat_interleave(torch.arange(len(key), device=self.device), count)
        start = torch.repeat_interleave(first - count.cumsum(0) + count, count)
        return found, start + torch.arange(len(found), device=self.device)

    def _counts(self, position: Tensor) -> Tensor:
        if self.kept is None:
            return torch.ones_like(position, dtype=torch.bool)
        return self.kept[position]


def _check(
    edges: Tensor, nodes: int, relation: Tensor | None, relations: int | None, x: Tensor | None
) -> None:
    def fail(expected: str, came: object, remedy: str) -> None:
        raise GraphError(f"LinkGraph.from_edges: expected {expected}, got {came}; {remedy}")

    if edges.dim() != 2 or edges.size(0) != 2 or edges.is_floating_point() or edges.dtype == torch.bool:
        fail(
            "whole numbers of shape (2, E)", f"{edges.dtype} of shape {tuple(edges.shape)}", "pass edge_index"
        )
    if nodes < 0 or nodes > 2**31:
        fail("a number of nodes from 0 to 2**31", nodes, "count them again")
    if edges.numel() and (int(edges.min()) < 0 or int(edges.max()) >= nodes):
        odd = edges[(edges < 0) | (edges >= nodes)][0]
        fail(f"nodes from 0 to {nodes - 1}", int(odd), "number the nodes from 0, or pass a larger num_nodes")
    if relation is not None:
        if relation.shape != edges.shape[1:] or relation.is_floating_point():
            fail(f"one relation per edge, ({edges.size(1)},)", tuple(relation.shape), "pass whole numbers")
        least, most = (int(relation.min()), int(relation.max())) if len(relation) else (0, 0)
        if least < 0 or (relations is not None and most >= relations):
            fail(f"relations from 0 to {(relations or 1) - 1}", f"{least} to {most}", "number them from 0")
    if x is not None:
        if x.dim() != 2 or len(x) != nodes:
            fail(f"features of shape ({nodes}, F)", tuple(x.shape), "pass one row per node")
        if not bool(torch.isfinite(x).all()):
            fail("finite features", "NaN or infinity", "clean them first")
