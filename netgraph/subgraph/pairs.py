"""The pairs of a batch, as the layers see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

import torch
from torch import Tensor

__all__ = ["Blocks", "Pairs", "Side", "Triples"]

Side: TypeAlias = Literal["u", "v"]
"""Which node of a pair (u, v) a sum leaves alone."""


@final
@dataclass(frozen=True, eq=False)
class Blocks:
    """Neighbours as padded matrices, one `(n, n)` block per graph with n the size of the largest.

    Attributes:
        adjacency: `(B, n, n)`, true where two nodes are adjacent.
        slot_u, slot_v: `(P,)`, the place of each pair among the `B n n` places of blocks whose rows are the
            nodes v, so that a product from the left leaves u alone, or the nodes u.
        whole: all graphs have n nodes and all their pairs, so that pairs are such blocks already.
    """

    adjacency: Tensor
    slot_u: Tensor
    slot_v: Tensor
    whole: bool


@final
@dataclass(frozen=True, eq=False)
class Triples:
    """Neighbours as lists: for each pair (u, v) the pairs (u, w) with w next to v, or the (w, v).

    Attributes:
        ends: `(P + 1,)`, where the list of each pair begins, and the length T of all lists together.
        row: `(T,)`, the pair that each entry is for.
        pair: `(T,)`, its neighbour.
        edge: `(T,)`, the column of `edge_index` between the two nodes that differ.
    """

    ends: Tensor
    row: Tensor
    pair: Tensor
    edge: Tensor


@final
@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs (u, v) of a batch of B graphs with N nodes in all, and which of them are neighbours.

    States of pairs are tensors `(P, F)` whatever the sizes of the graphs, so linear layers and norms see real
    pairs only. The backends differ in how neighbours are summed: by a batched matrix product over padded
    blocks (dense) or along lists (sparse). A pair that is not there counts as zero in every sum.

    Attributes:
        num_graphs, num_nodes: B and N.
        graph: `(N,)`, the graph of each node.
        u, v: `(P,)`, the nodes of each pair; sorted by u, then v.
        start: `(P,)`, start colours.
        transposed: `(P,)`, the position of (v, u).
        diagonal: `(N,)`, the position of (u, u); None if there are no such pairs.
        edge_index: `(2, E)`, both directions of each edge, sorted.
        edge_pair: `(E,)`, the position of the pair of each edge.
        pairs_of, edges_of: `(N + 1,)`, where the pairs `(u, .)` and the edges of each node begin.
        complete: all pairs of nodes of the same graph are there.
        x, edge_attr: features of the nodes and edges, or None.
        blocks: for the dense backend.
        triples_u, triples_v: for the sparse backend, and for messages with features of edges.
    """

    num_graphs: int
    num_nodes: int
    graph: Tensor
    u: Tensor
    v: Tensor
    start: Tensor
    transposed: Tensor
    diagonal: Tensor | None
    edge_index: Tensor
    edge_pair: Tensor
    pairs_of: Tensor
    edges_of: Tensor
    complete: bool
    x: Tensor | None
    edge_attr: Tensor | None
    blocks: Blocks | None
    triples_u: Triples | None
    triples_v: Triples | None
    _buffers: dict[tuple[int, int, torch.dtype], Tensor] = field(default_factory=dict, repr=False)

    def node(self, keep: Side) -> Tensor:
        """`(P,)`: the node u, or v, of each pair."""
        return self.u if keep == "u" else self.v

    def triples(self, keep: Side) -> Triples:
        """The lists of the neighbours with the same u, or with the same v."""
        found = self.triples_u if keep == "u" else self.triples_v
        assert found is not None, f"pairs_of was not told of local_{keep}"
        return found

    def buffer(self, number: int, like: Tensor) -> Tensor:
        """Memory in the shape of a state that all layers share, for what is gone before the next one begins.

        Fresh memory for each intermediate state costs more time than the arithmetic on it.
        """
        key = (number, like.shape[1], like.dtype)
        if key not in self._buffers:
            self._buffers[key] = torch.empty_like(like)
        return self._buffers[key]
