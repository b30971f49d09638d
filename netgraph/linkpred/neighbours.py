"""Neighbours that two nodes share, or that only one of them has, for many pairs, and sums over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, final

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.links import check_pairs
from netgraph.linkpred.sparse import SparseRows, sparse_product

__all__ = ["Neighbours", "common_neighbours", "exclusive_neighbours", "gather_sum", "simple_graph"]

_NODES_AT_ONCE: Final = {"cpu": 1 << 18}
_MORE_NODES_AT_ONCE: Final = 1 << 24
"""Neighbours in a chunk, besides one row: what a near cache holds, or what keeps an accelerator busy."""

_SLOTS: Final = 16
"""Slots of a table per entry, at least: more slots are fewer false hits, and more misses of the cache."""

_tables: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
_asked: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


@final
@dataclass(frozen=True, eq=False)
class Neighbours:
    """Some neighbours of each of P pairs, pair by pair and sorted within a pair.

    Attributes:
        ptr: where each pair begins in `node`, `(P + 1,)`.
        node: the neighbours, `(M,)`.
    """

    ptr: Tensor
    node: Tensor

    @cached_property
    def pair(self) -> Tensor:
        """The pair that each neighbour belongs to, `(M,)`."""
        pairs = torch.arange(len(self.ptr) - 1, device=self.ptr.device)
        return torch.repeat_interleave(pairs, self.count, output_size=len(self.node))

    @property
    def count(self) -> Tensor:
        """How many neighbours each pair has, `(P,)`."""
        return self.ptr.diff()


def common_neighbours(graph: LinkGraph, pairs: Tensor) -> Neighbours:
    """The nodes of N(i) ∩ N(j) for pairs (i, j), where N(v) is row v of the graph.

    Edges that are left out do not count, and a node counts once, whatever the number of its relations. Time
    grows with the smaller degree of each pair. Memory beside what is found is bounded, but for a table of 20
    to 36 bytes per entry of `indices` that is made once many were asked for, and kept as long as the graph.

    Args:
        graph: whose rows are the neighbours.
        pairs: `(2, P)`.

    Raises:
        GraphError: pairs that are no pairs of nodes of the graph.

    >>> square = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), 4)
    >>> found = common_neighbours(square, torch.tensor([[0, 0, 2], [2, 1, 0]]))
    >>> found.node.tolist(), found.ptr.tolist()
    ([1, 3, 1, 3], [0, 2, 2, 4])
    """
    check_pairs("common_neighbours", pairs, graph.num_nodes)
    graph = simple_graph(graph)
    head, tail = _size(graph, pairs[0]), _size(graph, pairs[1])
    listed, against = torch.where(head > tail, pairs.flip(0), pairs)
    return _select(graph, listed, against, torch.minimum(head, tail), common=True)


def exclusive_neighbours(graph: LinkGraph, pairs: Tensor) -> Neighbours:
    """The nodes of N(i) \\ (N(j) ∪ {i, j}) for pairs (i, j), where N(v) is row v of the graph.

    Edges that are left out do not count, and a node counts once, whatever the number of its relations. Time
    grows with the degree of i.

    Args:
        graph: whose rows are the neighbours.
        pairs: `(2, P)`; `pairs.flip(0)` asks for the other end.

    Raises:
        GraphError: pairs that are no pairs of nodes of the graph.

    >>> paw = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 0], [1, 2, 0, 3]]), 4)
    >>> found = exclusive_neighbours(paw, torch.tensor([[0, 1], [1, 0]]))
    >>> found.node.tolist(), found.count.tolist()
    ([3], [1, 0])
    """
    check_pairs("exclusive_neighbours", pairs, graph.num_nodes)
    graph = simple_graph(graph)
    return _select(graph, pairs[0], pairs[1], _size(graph, pairs[0]), common=False)


def gather_sum(x: Tensor, found: Neighbours, weight: Tensor | None = None) -> Tensor:
    """The sum over the neighbours that were found, pair by pair.

        out_p = sum over the entries m of pair p of weight_m x_{node(m)}

    It is the product of a sparse matrix with `x`: nothing of shape `(M, F)` is held, neither here nor in the
    backward pass. Gradients flow to `x` and to `weight`, once.

    Args:
        x: `(N, F)`.
        found: of P pairs.
        weight: `(M,)`; None for 1.

    Returns:
        `(P, F)`, zeros for pairs without neighbours.

    >>> found = Neighbours(torch.tensor([0, 2, 2]), torch.tensor([0, 2]))
    >>> gather_sum(torch.tensor([[1.0], [10.0], [100.0]]), found, torch.tensor([1.0, 2.0])).tolist()
    [[201.0], [0.0]]
    """
    return sparse_product(SparseRows(found.ptr, found.node, len(x)), x, weight)


def simple_graph(graph: LinkGraph) -> LinkGraph:
    """The graph of one relation in which an edge stands once, whatever the number of its relations.

    A graph without relations is given back as it is. Edges that are left out stay so.

    >>> twice = torch.tensor([[0, 0], [1, 1]])
    >>> graph = LinkGraph.from_edges(twice, 2, relation=torch.tensor([0, 1]), undirected=False)
    >>> simple_graph(graph).edge_index.tolist()
    [[0], [1]]
    """
    if graph.relation is None:
        return graph
    keys = (graph.keys if graph.kept is None else graph.keys[graph.kept]).unique_consecutive()
    nodes = graph.num_nodes
    indptr = torch.searchsorted(keys, torch.arange(nodes + 1, device=graph.device) * nodes)
    return LinkGraph(indptr, keys % max(nodes, 1), undirected=graph.undirected)


def _select(graph: LinkGraph, listed: Tensor, against: Tensor, size: Tensor, *, common: bool) -> Neighbours:
    """The entries of the rows `listed`, of `size`, that are or are not in the rows `against`; all `(P,)`."""
    total, order = int(size.sum()), None
    step = _NODES_AT_ONCE.get(size.device.type, _MORE_NODES_AT_ONCE)
    if total > step:
        # What is looked up next then lies close to what was looked up before.
        against, order = against.sort()
        listed, size = listed.index_select(0, order), size.index_select(0, order)
    begin = size.cumsum(0) - size
    start = graph.indptr.index_select(0, listed) - begin
    table = _table(graph, total)
    # Half the bytes where half are enough: all of this is bound by memory.
    short = torch.int32 if len(graph.indices) < 1 << 31 else torch.int64
    nodes, places = [listed[:0]], [listed[:0]]
    for part, first, last in _chunks(begin, total, step):
        row = torch.repeat_interleave(size[part], output_size=last - first)
        entry = (start[part] + first).to(short).index_select(0, row)
        entry += torch.arange(last - first, dtype=short, device=graph.device)
        chosen = _present(graph, table, against[part], row, entry)
        if common and graph.kept is not None:
            chosen = chosen[graph.kept.index_select(0, entry.index_select(0, chosen))]
        elif not common:
            node = graph.indices.index_select(0, entry)
            rest = node != against[part].index_select(0, row)
            rest &= node != listed[part].index_select(0, row)
            if graph.kept is not None:
                rest &= graph.kept.index_select(0, entry)
            chosen = rest.index_fill_(0, chosen, False).nonzero().squeeze(1)
        nodes.append(graph.indices.index_select(0, entry.index_select(0, chosen)))
        places.append(row.index_select(0, chosen) + part.start)
    return _in_order(torch.cat(nodes), torch.cat(places), len(size), order)


def _present(graph: LinkGraph, table: _Table | None, against: Tensor, row: Tensor, entry: Tensor) -> Tensor:
    """Positions, in order, of the entries `(C,)` whose nodes also stand in the rows `against[row]`."""
    likely = None
    if table is not None:
        slot = table.node.index_select(0, entry)
        slot &= table.mask.index_select(0, against).index_select(0, row)
        slot += table.begin.index_select(0, against).index_select(0, row)
        likely = table.taken.index_select(0, slot).nonzero().squeeze(1)
        row, entry = row.index_select(0, likely), entry.index_select(0, likely)
    key = (against * graph.num_nodes).index_select(0, row)
    key += graph.indices.index_select(0, entry)
    at = torch.searchsorted(graph.keys, key).clamp_(max=len(graph.keys) - 1)
    hit = graph.keys.index_select(0, at) == key
    if graph.kept is not None:
        hit &= graph.kept.index_select(0, at)
    sure = hit.nonzero().squeeze(1)
    return sure if likely is None else likely.index_select(0, sure)


class _Table(NamedTuple):
    """Slots for the entries of each row, a power of two: those of its own entries are taken, others seldom.

    Attributes:
        taken: `(S,)` of bool.
        begin: the first slot of each row, `(N,)`.
        mask: the number of slots of each row less one, `(N,)`.
        node: the entries, `(E,)`.
    """

    taken: Tensor
    begin: Tensor
    mask: Tensor
    node: Tensor


def _table(graph: LinkGraph, listed: int) -> _Table | None:
    """The table of a graph, made once as many entries were listed as it has: then it has paid for itself.

    It knows nothing of edges left out, and so serves all views of a graph.
    """
    table: _Table | None = _tables.get(graph.indices)
    if table is None:
        asked = _asked.get(graph.indices, 0) + listed
        if asked <= len(graph.indices):
            _asked[graph.indices] = asked
        else:
            _tables[graph.indices] = table = _make_table(graph)
    return table


def _make_table(graph: LinkGraph) -> _Table:
    wanted = (graph.indptr.diff() * _SLOTS).clamp_(min=1)
    slots = torch.ones_like(wanted) << wanted.log2().ceil_().long()
    begin, mask, total = slots.cumsum(0) - slots, slots - 1, int(slots.sum())
    short = torch.int32 if total < 1 << 31 else torch.int64
    begin, mask, node = begin.to(short), mask.to(short), graph.indices.to(short)
    slot = mask.index_select(0, graph.rows)
    slot &= node
    slot += begin.index_select(0, graph.rows)
    taken = torch.zeros(total, dtype=torch.bool, device=graph.device)
    return _Table(taken.index_fill_(0, slot.long(), True), begin, mask, node)


def _chunks(begin: Tensor, total: int, step: int) -> Iterator[tuple[slice, int, int]]:
    """Pairs that fit into a chunk together, and the numbers of their first and after their last entry."""
    if total <= step:
        yield from [(slice(0, len(begin)), 0, total)] if total else []
        return
    marks = torch.arange(0, total, step, device=begin.device)
    # Of pairs that begin at the same entry the last one has it: no chunk is empty.
    cuts = (torch.searchsorted(begin, marks, right=True) - 1).unique_consecutive()
    pairs = [0, *cuts.tolist()[1:], len(begin)]
    entries = [*begin.index_select(0, cuts).tolist(), total]
    for i, low in enumerate(pairs[:-1]):
        yield slice(low, pairs[i + 1]), entries[i], entries[i + 1]


def _in_order(node: Tensor, place: Tensor, pairs: int, order: Tensor | None) -> Neighbours:
    """What was found, `place` rising, for pairs that were taken in some order."""
    found = torch.bincount(place, minlength=pairs)
    ptr = torch.zeros(pairs + 1, dtype=torch.long, device=node.device)
    if order is None:
        torch.cumsum(found, 0, out=ptr[1:])
        return Neighbours(ptr, node)
    torch.cumsum(torch.empty_like(found).index_copy_(0, order, found), 0, out=ptr[1:])
    shift = ptr.index_select(0, order) - (found.cumsum(0) - found)
    target = shift.index_select(0, place) + torch.arange(len(node), device=node.device)
    return Neighbours(ptr, torch.empty_like(node).index_copy_(0, target, node))


def _size(graph: LinkGraph, nodes: Tensor) -> Tensor:
    """Entries in the rows of some nodes, those left out among them, `(P,)`."""
    return graph.indptr.index_select(0, nodes + 1) - graph.indptr.index_select(0, nodes)
