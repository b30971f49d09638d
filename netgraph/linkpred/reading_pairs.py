"""What neural common neighbours read of a graph for some pairs, before any state is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.neighbours import Neighbours, common_neighbours, exclusive_neighbours

__all__ = ["PairNeighbours", "Weighted", "capped", "pair_chunks", "read_pairs"]

_PAIRS_AT_ONCE = 1 << 12
"""Pairs that are scored together without gradients: their states should fit a cache."""

_NEIGHBOURS_AT_ONCE = 1 << 20
"""Neighbours of one end that are listed together."""

Weighted = tuple[Neighbours, Tensor | None]
"""Neighbours of pairs with a weight each, `(M,)`; None for 1."""


@final
@dataclass(frozen=True, eq=False)
class PairNeighbours:
    """The neighbours of P pairs, and what tells how probable those are that only one end has.

    Attributes:
        pairs: `(2, P)`.
        common: neighbours of both ends.
        single: neighbours of the head only and of the tail only; empty without completion.
        further: the pairs of each of these with the other end, in their order, some thousands at a time.
    """

    pairs: Tensor
    common: Weighted
    single: tuple[Weighted, ...] = ()
    further: tuple[PairNeighbours, ...] = ()

    def nodes(self) -> Tensor:
        """All nodes whose states are needed, some several times, `(M,)`."""
        lists = [found.node for found, _ in (self.common, *self.single)]
        return torch.cat([self.pairs.flatten(), *lists, *(part.nodes() for part in self.further)])

    def renumbered(self, number: Callable[[Tensor], Tensor]) -> PairNeighbours:
        """The same with other numbers for the nodes."""
        common, *single = [
            (replace(found, node=number(found.node)), weight) for found, weight in (self.common, *self.single)
        ]
        further = tuple(part.renumbered(number) for part in self.further)
        return PairNeighbours(number(self.pairs), common, tuple(single), further)


def read_pairs(
    graph: LinkGraph,
    pairs: Tensor,
    depth: int = 0,
    *,
    max_common: int | None = None,
    max_single: int | None = None,
    by_chance: bool = True,
) -> PairNeighbours:
    """The neighbours of pairs, and to some depth those of the pairs behind their completion.

    Args:
        graph: edges left out of it do not exist.
        pairs: `(2, P)`.
        depth: of the completion; 0 for common neighbours only.
        max_common, max_single: at most so many of each pair, with weights that make up for the others; None
            for all.
        by_chance: whether chance chooses them, or they are spread evenly over the sorted list.

    >>> path = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
    >>> read = read_pairs(path, torch.tensor([[0], [1]]), depth=1)
    >>> read.common[0].node.tolist(), read.single[1][0].node.tolist(), read.further[0].pairs.tolist()
    ([], [2], [[0], [2]])
    """
    common = capped(common_neighbours(graph, pairs), max_common, by_chance)
    if not depth:
        return PairNeighbours(pairs, common)
    single, wanted = [], []
    for ends in (pairs, pairs.flip(0)):
        found, weight = capped(exclusive_neighbours(graph, ends), max_single, by_chance)
        single.append((found, weight))
        wanted.append(torch.stack((ends[1][found.pair], found.node)))
    further = tuple(
        read_pairs(graph, part, depth - 1, max_common=max_common, max_single=max_single, by_chance=by_chance)
        for part in pair_chunks(graph, torch.cat(wanted, dim=1), depth - 1, max_single)
    )
    return PairNeighbours(pairs, common, tuple(single), further)


def pair_chunks(
    graph: LinkGraph, pairs: Tensor, depth: int = 0, max_single: int | None = None
) -> Iterator[Tensor]:
    """Pairs `(2, P)` in parts that are small, and have few neighbours to complete if `depth` is above 0."""
    parts = pairs.split(_PAIRS_AT_ONCE, dim=1)
    if not depth:
        yield from parts
        return
    for part in parts:
        if not part.size(1):
            yield part
            continue
        size = graph.indptr[part + 1] - graph.indptr[part]
        size = size if max_single is None else size.clamp(max=max_single)
        place = size.sum(0).cumsum(0).div(_NEIGHBOURS_AT_ONCE, rounding_mode="floor")
        yield from part.split(torch.unique_consecutive(place, return_counts=True)[1].tolist(), dim=1)


def capped(found: Neighbours, most: int | None, by_chance: bool = True) -> Weighted:
    """At most so many neighbours of each pair, and weights that keep the mean of their sum."""
    count = found.count
    if most is None or not len(count) or int(count.max()) <= most:
        return found, None
    pair = found.pair
    rank = torch.arange(len(pair), device=pair.device) - found.ptr[pair]
    if by_chance:
        order = torch.rand(len(pair), device=pair.device).argsort()
        order = order[pair[order].argsort(stable=True)]  # by pair, and within a pair by chance
        chosen = order[rank < most].sort().values
    else:
        size = count[pair]
        # Of the multiples of 1 / most, one lies in each step from an entry that is taken to the one before.
        step, before = ((r * most).div(size, rounding_mode="floor") for r in (rank, rank - 1))
        chosen = ((size <= most) | (step > before)).nonzero().squeeze(1)
    kept = count.clamp(max=most)
    weight = (count / kept.clamp(min=1))[pair[chosen]]
    return replace(found, ptr=torch.cat((found.ptr[:1], kept.cumsum(0))), node=found.node[chosen]), weight
