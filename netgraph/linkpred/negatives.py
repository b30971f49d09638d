"""False links, drawn so that none of them is true."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, final

import torch
from torch import Tensor

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred.complement import draw_distinct, draw_outside
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.known import KnownTails
from netgraph.linkpred.links import Links

__all__ = ["NonEdges", "corrupt", "uniform_negatives"]

_LINKS_AT_ONCE = 1 << 13


@final
@dataclass(frozen=True, eq=False)
class NonEdges:
    """All pairs of different nodes that are no edge, numbered from 0 without being listed.

    Reading a graph takes one pass over its edges; each draw then a bisection. An undirected pair stands
    once, the smaller node first.

    Attributes:
        taken: the numbers of the pairs that are left out, among all pairs, sorted, `(M,)`.
        num_nodes: N.
        undirected: whether (u, v) and (v, u) are one.

    >>> none = NonEdges.of(LinkGraph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4))
    >>> none.total, none.pairs(torch.arange(3)).tolist()
    (3, [[0, 0, 1], [2, 3, 3]])
    """

    taken: Tensor
    num_nodes: int
    undirected: bool = True

    @classmethod
    def of(
        cls, nodes: LinkGraph | int, *, avoid: Tensor | None = None, undirected: bool | None = None
    ) -> Self:
        """What is an edge neither of a graph nor among the pairs `avoid`.

        Args:
            nodes: the graph, or how many nodes there are.
            avoid: more pairs, `(2, A)`, in any order; repetitions and loops do not matter.
            undirected: None for that of the graph, or True.

        Raises:
            GraphError: pairs beyond the nodes.
        """
        count = nodes if isinstance(nodes, int) else nodes.num_nodes
        if undirected is None:
            undirected = isinstance(nodes, int) or nodes.undirected
        parts = []
        if isinstance(nodes, LinkGraph):
            edges = nodes.edge_index
            # One direction of each edge, which is in the order of its code: sorting would be the main cost.
            parts.append(edges[:, edges[0] < edges[1]] if undirected and nodes.undirected else edges)
        if avoid is not None:
            if avoid.numel() and (int(avoid.min()) < 0 or int(avoid.max()) >= count):
                odd = int(avoid[(avoid < 0) | (avoid >= count)][0])
                raise GraphError(f"NonEdges: expected nodes from 0 to {count - 1}, got {odd}; see to `avoid`")
            parts.append(avoid)
        codes = [_encode(part, count, undirected) for part in parts]
        taken = torch.cat(codes) if codes else torch.empty(0, dtype=torch.long)
        sorted_already = bool((taken.diff() >= 0).all())
        return cls(taken.unique_consecutive() if sorted_already else taken.unique(), count, undirected)

    @property
    def total(self) -> int:
        """How many pairs there are."""
        return _all_pairs(self.num_nodes, self.undirected) - len(self.taken)

    def pairs(self, index: Tensor) -> Tensor:
        """The pairs of some numbers below `total`, `(2, Q)`."""
        return _decode(
            index + torch.searchsorted(self._shifted, index, right=True), self.num_nodes, self.undirected
        )

    @cached_property
    def _shifted(self) -> Tensor:
        """How many pairs that are no edges come before each edge: `nth_outside` for one row, kept."""
        return self.taken - torch.arange(len(self.taken), device=self.taken.device)

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """`count` different pairs, uniform, in random order, `(2, count)`.

        Raises:
            UsageError: a negative `count`.
            GraphError: there are not as many.
        """
        if count < 0:
            raise UsageError(f"NonEdges.draw: expected a count from 0, got {count}; pass how many to draw")
        if count > self.total:
            raise GraphError(
                f"NonEdges.draw: expected {count} pairs that are no edges, got a graph with {self.total}; "
                "ask for fewer negatives"
            )
        return self.pairs(draw_distinct(self.total, count, generator).to(self.taken.device))


def uniform_negatives(
    nodes: LinkGraph | int,
    count: int,
    *,
    avoid: Tensor | None = None,
    generator: torch.Generator | None = None,
    undirected: bool | None = None,
) -> Tensor:
    """Different pairs that are no edges, uniform among all such pairs, no loops among them.

    Every set of `count` such pairs is equally likely. Keep a `NonEdges` where you draw many times from one
    graph.

    Args:
        nodes: a graph, whose edges are avoided, or how many nodes there are.
        count: Q.
        avoid: more pairs that must not come, `(2, A)`, such as the links of all parts of a split.
        generator: for the draws; the same seed gives the same pairs on every device.
        undirected: pairs stand once, the smaller node first; None for that of the graph, or True.

    Returns:
        `(2, Q)`.

    Raises:
        GraphError: there are not as many, or `avoid` goes beyond the nodes.
        UsageError: a negative `count`.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4)
    >>> uniform_negatives(graph, 1, avoid=torch.tensor([[0, 3], [2, 0]])).tolist()
    [[1], [3]]
    """
    return NonEdges.of(nodes, avoid=avoid, undirected=undirected).draw(count, generator)


def corrupt(
    links: Links,
    known: LinkGraph | KnownTails,
    count: int,
    *,
    which: Literal["tail", "head", "both"] = "both",
    generator: torch.Generator | None = None,
) -> Tensor:
    """For each link, false ones that share an end and the relation with it.

    Uniform over the nodes that are no true answer and not the other end itself, with repetition. No known
    link is among the negatives (*strict* sampling).

    Args:
        links: P links; their own negatives do not matter.
        known: all true links, or a graph whose edges they are. They and `links` are avoided.
        count: K, negatives per link.
        which: the end that is replaced; `"both"` replaces the tail in the first half, rounded up, and
            the head in the others.
        generator: for the draws; the same seed gives the same pairs on every device.

    Returns:
        `(2, P, K)`.

    Raises:
        UsageError: another word for the end, a negative `count`.
        GraphError: a link of which every corruption is true; links beyond the nodes.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 0], [1, 2]]), 4)
    >>> corrupt(Links(torch.tensor([[0], [1]])), graph, 2, which="tail").tolist()
    [[[0, 0]], [[3, 3]]]
    """
    if which not in ("tail", "head", "both") or count < 0:
        raise UsageError(
            "corrupt: expected a count from 0 and an end of tail, head, both, got "
            f"{count} and {which!r}; choose one"
        )
    if isinstance(known, LinkGraph):
        known = KnownTails.from_graph(known)
    tails = {"tail": count, "head": 0, "both": count - count // 2}[which]
    parts = []
    for start in range(0, len(links), _LINKS_AT_ONCE):
        some = links[start : start + _LINKS_AT_ONCE]
        new = [
            torch.stack((some.pairs[0][:, None].expand(-1, tails), _others(some, known, tails, generator))),
            torch.stack(
                (
                    _others(_turned(some, known), known, count - tails, generator),
                    some.pairs[1][:, None].expand(-1, count - tails),
                )
            ),
        ]
        parts.append(torch.cat(new, dim=2))
    return torch.cat(parts, dim=1) if parts else links.pairs.new_empty(2, 0, count)


def _turned(links: Links, known: KnownTails) -> Links:
    """The links as seen from their tails: heads are the answers of the inverse relation."""
    kind = torch.zeros_like(links.pairs[0]) if links.relation is None else links.relation
    if not known.undirected:
        kind = (kind + known.num_relations) % (2 * known.num_relations)
    return Links(links.pairs.flip(0), kind)


def _others(links: Links, known: KnownTails, count: int, generator: torch.Generator | None) -> Tensor:
    """For each link, `count` nodes that are no true tail, nor the head, nor the tail itself, `(P, count)`."""
    if not count:
        return links.pairs.new_empty(len(links), 0)
    nodes = known.num_nodes
    rows, tails = known.mask(links.pairs[0], links.relation)
    own = torch.arange(len(links), device=rows.device)
    key = torch.cat((rows * nodes + tails, own * nodes + links.pairs[0], own * nodes + links.pairs[1]))
    key = key.unique()
    ptr = torch.zeros(len(links) + 1, dtype=torch.long, device=key.device)
    ptr[1:] = torch.bincount(key.div(nodes, rounding_mode="floor"), minlength=len(links)).cumsum(0)
    drawn = draw_outside(ptr, key % nodes, nodes, count, generator)
    if bool((drawn < 0).any()):
        node = int(links.pairs[0][(drawn < 0).any(1)][0])
        raise GraphError(
            f"corrupt: expected a node that is not linked to node {node}, got none; replace the other end, "
            "or leave the link out"
        )
    return drawn


def _all_pairs(nodes: int, undirected: bool) -> int:
    return nodes * (nodes - 1) // (2 if undirected else 1)


def _encode(pairs: Tensor, nodes: int, undirected: bool) -> Tensor:
    """Numbers of pairs, from 0 to `_all_pairs - 1`, growing with the tail first; loops left out."""
    source, target = pairs[:, pairs[0] != pairs[1]]
    if undirected:
        low, high = torch.minimum(source, target), torch.maximum(source, target)
        return high * (high - 1) // 2 + low
    return target * (nodes - 1) + source - (source > target).long()


def _decode(code: Tensor, nodes: int, undirected: bool) -> Tensor:
    if not undirected:
        target = code.div(max(nodes - 1, 1), rounding_mode="floor")
        source = code - target * (nodes - 1)
        return torch.stack((source + (source >= target).long(), target))
    # The root is right but for its last bit, whose error the two corrections undo.
    high = ((1 + (1 + 8 * code.double()).sqrt()) / 2).long()
    high = high - (high * (high - 1) // 2 > code).long()
    high = high + (high * (high + 1) // 2 <= code).long()
    return torch.stack((code - high * (high - 1) // 2, high))
