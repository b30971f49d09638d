"""Which links are true: an index for filtered ranking and for negatives that are none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self, final

import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.links import Links, LinkSplit, Stage

__all__ = ["End", "KnownTails", "known_tails"]

End = Literal["tail", "head"]


@final
@dataclass(frozen=True, eq=False)
class KnownTails:
    """The true tails of each head and relation, and the true heads of each tail and relation.

    Memory grows with the number of links, never with that of the pairs. Relation *r* + R asks for the heads
    of relation *r*, as it does in a graph with inverse relations; an undirected link has two heads.

    Attributes:
        query: the different combinations head · R' + relation, sorted, `(U,)`, where R' = 2 R, or R if the
            links are undirected.
        ptr: where the tails of each begin, `(U + 1,)`.
        tail: the tails, sorted for each query, `(T,)`.
        num_nodes: N.
        num_relations: R.
        undirected: whether a link holds in both directions.

    >>> known = KnownTails.from_links(Links(torch.tensor([[0, 0, 2], [2, 1, 1]])), num_nodes=3)
    >>> known.mask(torch.tensor([0, 1]))
    (tensor([0, 0]), tensor([1, 2]))
    >>> known.mask(torch.tensor([0, 1]), end="head")
    (tensor([1, 1]), tensor([0, 2]))
    >>> known.has(torch.tensor([[0, 1], [2, 0]])).tolist()
    [True, False]
    """

    query: Tensor
    ptr: Tensor
    tail: Tensor
    num_nodes: int
    num_relations: int = 1
    undirected: bool = False

    @classmethod
    def from_links(
        cls, *links: Links, num_nodes: int, num_relations: int = 1, undirected: bool = False
    ) -> Self:
        """Index true links; what stands several times counts once, and negatives do not matter.

        Raises:
            GraphError: nodes or relations beyond what there is, or links of which some have relations only.
        """
        parts = [part for part in links if len(part)] or list(links[:1])
        if not parts:
            pairs, kind = torch.empty(2, 0, dtype=torch.long), torch.empty(0, dtype=torch.long)
        else:
            if len({part.relation is None for part in parts}) > 1:
                raise GraphError(
                    "KnownTails.from_links: expected relations for all links or for none, got some of each; "
                    "pass zeros for a single relation"
                )
            pairs = torch.cat([part.pairs for part in parts], dim=1)
            kind = torch.cat([_relations(part) for part in parts])
        _check_range("nodes", pairs, num_nodes)
        _check_range("relations", kind, num_relations)
        width = num_relations * (1 if undirected else 2)
        back = kind if undirected else kind + num_relations
        head, tail = torch.cat((pairs, pairs.flip(0)), dim=1)
        query = head * width + torch.cat((kind, back))
        # By tail first and by query with a stable sort second: one key for both may need 65 bits.
        order = tail.argsort()
        query, again = query[order].sort(stable=True)
        tail = tail[order][again]
        fresh = torch.ones_like(query, dtype=torch.bool)
        fresh[1:] = (query[1:] != query[:-1]) | (tail[1:] != tail[:-1])
        query, count = query[fresh].unique_consecutive(return_counts=True)
        ptr = torch.zeros(len(query) + 1, dtype=torch.long, device=query.device)
        ptr[1:] = count.cumsum(0)
        return cls(query, ptr, tail[fresh], num_nodes, num_relations, undirected)

    @classmethod
    def from_graph(cls, graph: LinkGraph) -> Self:
        """Index the edges of a graph that count, from their source to their target."""
        return cls.from_links(
            Links(graph.edge_index, graph.edge_relation),
            num_nodes=graph.num_nodes,
            num_relations=graph.num_relations,
            undirected=graph.undirected,
        )

    @cached_property
    def keys(self) -> Tensor:
        """Place of the query · N + tail: sorted, so that a link is found by bisection, `(T,)`."""
        place = torch.arange(len(self.query), device=self.query.device)
        return torch.repeat_interleave(place, self.ptr.diff()) * self.num_nodes + self.tail

    def mask(
        self, nodes: Tensor, relation: Tensor | None = None, *, end: End = "tail"
    ) -> tuple[Tensor, Tensor]:
        """The true tails of heads, or the true heads of tails, as places in a `(B, N)` table.

        Args:
            nodes: the heads, or the tails, `(B,)`.
            relation: of each, `(B,)`; None for the first.
            end: which end is asked for.

        Returns:
            Rows and columns, `(M,)` both, sorted by row and then by column, each place once.
        """
        place, found = self._find(nodes, relation, end)
        count = torch.where(found, self.ptr[place + 1] - self.ptr[place], 0) if len(self.query) else found * 0
        rows = torch.repeat_interleave(torch.arange(len(nodes), device=nodes.device), count)
        if not len(rows):
            return rows, rows.clone()
        start = torch.repeat_interleave(self.ptr[place] - count.cumsum(0) + count, count)
        return rows, self.tail[start + torch.arange(len(rows), device=nodes.device)]

    def has(self, pairs: Tensor, relation: Tensor | None = None) -> Tensor:
        """Whether each of some pairs `(2, P)` with relations `(P,)` is a true link, `(P,)` of bool."""
        place, found = self._find(pairs[0], relation, "tail")
        if not len(self.query):
            return found
        key = place * self.num_nodes + pairs[1]
        return found & (self.keys[torch.searchsorted(self.keys, key).clamp(max=len(self.keys) - 1)] == key)

    def to(self, device: str | torch.device) -> Self:
        """The same index on another device."""
        return replace(self, query=self.query.to(device), ptr=self.ptr.to(device), tail=self.tail.to(device))

    def _find(self, nodes: Tensor, relation: Tensor | None, end: End) -> tuple[Tensor, Tensor]:
        width = self.num_relations * (1 if self.undirected else 2)
        kind = torch.zeros_like(nodes) if relation is None else relation
        _check_range("nodes", nodes, self.num_nodes)
        _check_range("relations", kind, width)
        if end == "head" and not self.undirected:
            kind = (kind + self.num_relations) % width
        key = nodes * width + kind
        place = torch.searchsorted(self.query, key).clamp(max=max(len(self.query) - 1, 0))
        found = self.query[place] == key if len(self.query) else torch.zeros_like(key, dtype=torch.bool)
        return place, found


def known_tails(split: LinkSplit, stage: Stage = "test") -> KnownTails:
    """The index of all true links over the nodes of a stage's graph.

    They are `split.known`, or the links of all stages where it is None. In an inductive split
    (`about["inductive"]`) that holds for the test only; the other stages know the links of training and
    validation.

    >>> from netgraph.linkpred.split import random_split
    >>> split = random_split(LinkGraph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), 4), 0.25, 0.25)
    >>> known_tails(split).mask(torch.tensor([0]))[1].tolist()
    [1, 3]
    """
    graph = split.graph_at(stage)
    if stage != "test" and split.about.get("inductive", False):
        links = [split.train, split.valid]
    elif split.known is not None:
        links = [split.known]
    elif split.about.get("inductive", False):
        inner = graph.num_relations // (1 if graph.undirected else 2)
        edges = Links(graph.edge_index, graph.edge_relation)
        base = slice(None) if edges.relation is None else edges.relation < inner
        links = [edges[base], split.test]
    else:
        links = [split.train, split.valid, split.test]
    typed = split.train.relation is not None
    relations = graph.num_relations // (2 if typed and not graph.undirected else 1)
    return KnownTails.from_links(
        *links, num_nodes=graph.num_nodes, num_relations=relations, undirected=graph.undirected
    )


def _relations(links: Links) -> Tensor:
    return torch.zeros_like(links.pairs[0]) if links.relation is None else links.relation


def _check_range(what: str, values: Tensor, count: int) -> None:
    if values.numel() and (int(values.min()) < 0 or int(values.max()) >= count):
        odd = int(values[(values < 0) | (values >= count)][0])
        raise GraphError(
            f"KnownTails: expected {what} from 0 to {count - 1}, got {odd}; "
            f"number them as the graph does, or pass a larger num_{what}"
        )
