"""Batches of training links, each with false pairs drawn anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, final, get_args

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.evaluate import inverse_offset
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.known import KnownTails
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.negatives import NonEdges, corrupt

__all__ = ["Removal", "Sampling", "TrainingPairs", "without_targets"]

Sampling = Literal["uniform", "strict", "corrupt"]
_SAMPLINGS: Final = get_args(Sampling)
Removal = Literal["pairs", "links", "none"]
REMOVALS: Final = get_args(Removal)


def without_targets(graph: LinkGraph, links: Links, removal: Removal = "pairs") -> LinkGraph:
    """The graph that may be read while links are scored that are edges of it.

    Args:
        graph: with the links.
        links: `(2, P)`, relations `(P,)`.
        removal: `"pairs"` leaves out all edges between the two nodes of each link. `"links"` leaves out the
            links and their inverses and lets other relations between the same nodes stand: where most nodes
            are joined, little would be left otherwise. `"none"` leaves out nothing.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 0], [1, 1]]), 2, relation=torch.tensor([0, 1]))
    >>> link = Links(torch.tensor([[0], [1]]), torch.tensor([1]))
    >>> [without_targets(graph, link, removal).num_edges for removal in REMOVALS]
    [0, 2, 4]
    """
    if removal == "none":
        return graph
    if removal == "pairs" or links.relation is None or graph.relation is None:
        return graph.without(links.pairs)
    half, back = graph.num_relations // 2, links.relation
    if not graph.undirected and graph.num_relations % 2 == 0:
        back = (links.relation + half) % graph.num_relations
    both = torch.cat((links.pairs, links.pairs.flip(0)), dim=1)
    return graph.without(both, torch.cat((links.relation, back)))


@final
class TrainingPairs:
    """The training links of a split in batches, each link with K false pairs.

    Args:
        split: whose training links these are.
        negatives: K.
        sampling: `"uniform"`: any two nodes; some pairs may be links, few where links are few. `"strict"`:
            different pairs that are no edges of the graph. `"corrupt"`: the link with another tail, or,
            turned around, with another head, that makes no training link of it; links of which every end is
            true are left out. One relation only is needed for the first two.

    Raises:
        UsageError: another word, a count below 1, or relations with pairs that have none.

    >>> from netgraph.linkpred.graph import LinkGraph
    >>> from netgraph.linkpred.split import random_split
    >>> split = random_split(LinkGraph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), 6), 0.25, 0.25)
    >>> [batch.pairs.shape for batch in TrainingPairs(split, 3, "strict").batches(8)]
    [torch.Size([2, 2, 4])]
    """

    def __init__(self, split: LinkSplit, negatives: int = 1, sampling: Sampling = "uniform") -> None:
        if sampling not in _SAMPLINGS or negatives < 1:
            raise UsageError(
                f"fit: expected sampling as one of {', '.join(_SAMPLINGS)} and negatives from 1, got "
                f"{sampling!r} and {negatives}; change them"
            )
        self.links, self.graph = split.train, split.graph
        if self.links.relation is not None and sampling != "corrupt":
            raise UsageError(
                f"fit: expected sampling='corrupt' for links with relations, got {sampling!r}; "
                "a pair without a relation is neither true nor false"
            )
        self.negatives, self.sampling = negatives, sampling
        self._back = inverse_offset(self.graph, self.links)
        self._known = self._free = None
        if sampling == "corrupt":
            relations = self.graph.num_relations
            self._known = KnownTails.from_links(
                self.links,
                num_nodes=self.graph.num_nodes,
                num_relations=relations if not self._back else self._back,
                undirected=self.graph.undirected,
            )
            self._choose_ends()
        elif sampling == "strict":
            self._free = NonEdges.of(self.graph)

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[Links]:
        """All links once, as pairs `(2, P, 1 + K)`: the link first. Relations are `(P, 1 + K)`.

        Args:
            size: links in a batch.
            order: of the links, `(P,)`; None for one drawn by chance, as all else is from torch's default
                generator of the CPU.
        """
        device = self.links.pairs.device
        order = torch.randperm(len(self.links)) if order is None else order
        for chosen in order.to(device).split(size):
            some = Links(
                self.links.pairs[:, chosen],
                None if self.links.relation is None else self.links.relation[chosen],
            )
            yield self._with_pairs(some) if self._known is None else self._corrupted(some, chosen)

    def _with_pairs(self, links: Links) -> Links:
        count, device = len(links) * self.negatives, links.pairs.device
        if self._free is None:
            false = torch.randint(self.graph.num_nodes, (2, count)).to(device)
        else:
            # A small graph may have fewer pairs that are no links than a batch asks for.
            false = torch.cat(
                [self._free.draw(min(count, self._free.total)) for _ in range(self._rounds(count))], dim=1
            )[:, :count]
        return Links(torch.cat((links.pairs[:, :, None], false.view(2, len(links), self.negatives)), dim=2))

    def _rounds(self, count: int) -> int:
        assert self._free is not None
        if not self._free.total:
            raise UsageError("fit: expected pairs that are no links, got none; use sampling='uniform'")
        return -(-count // self._free.total)

    def _choose_ends(self) -> None:
        """Find which ends have a false answer; links that have none at either end teach nothing."""
        every = torch.ones(len(self.links), dtype=torch.bool, device=self.links.pairs.device)
        tail = self._has_false_tail(self.links)
        head = ~every if self._back is None else self._has_false_tail(self._turned(self.links, every))
        some = tail | head
        self.links, self._tail, self._head = self.links[some], tail[some], head[some]
        if not len(self.links):
            raise UsageError(
                "fit: expected links with another node that is no true answer, got none; every pair is linked"
            )

    def _has_false_tail(self, links: Links) -> Tensor:
        assert self._known is not None
        nodes = self.graph.num_nodes
        rows, tails = self._known.mask(links.pairs[0], links.relation)
        own = torch.arange(len(links), device=rows.device)
        taken = torch.cat((rows * nodes + tails, own * nodes + links.pairs[0])).unique()
        return torch.bincount(taken.div(nodes, rounding_mode="floor"), minlength=len(links)) < nodes

    def _corrupted(self, links: Links, chosen: Tensor) -> Links:
        assert self._known is not None
        if self._back is not None:
            by_chance = torch.rand(len(links)).to(links.pairs.device) < 0.5
            tail, head = self._tail[chosen], self._head[chosen]
            links = self._turned(links, head & (by_chance | ~tail))
        false = corrupt(links, self._known, self.negatives, which="tail")
        pairs = torch.cat((links.pairs[:, :, None], false), dim=2)
        kind = None if links.relation is None else links.relation[:, None].expand(pairs.shape[1:])
        return Links(pairs, kind)

    def _turned(self, links: Links, some: Tensor) -> Links:
        """Some of the links asked for by their tails."""
        pairs = torch.where(some, links.pairs.flip(0), links.pairs)
        if links.relation is None or self._back is None:
            return Links(pairs)
        return Links(pairs, torch.where(some, links.relation + self._back, links.relation))
