"""How many walks of each length lead from one node to another, for many pairs at once."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.neighbours import simple_graph

__all__ = ["katz", "shortest_path", "walk_counts"]

_Ints: TypeAlias = npt.NDArray[np.int64]
_Floats: TypeAlias = npt.NDArray[np.float64]

_NUMBERS_AT_ONCE: Final = 1 << 23
"""Numbers in the table of all nodes for the heads of a block."""

_DENSE: Final = 1 / 8
"""Share of nodes reached from which products with the whole table are the faster ones."""


def walk_counts(graph: LinkGraph, pairs: Tensor, max_length: int) -> Tensor:
    """How many walks of each length lead from the head to the tail of each pair.

        out_l = (A^l)_{ij},   l = 1 ... max_length

    Counts are exact up to 2^53. The walks of all heads are followed in blocks, as a sparse matrix as long as
    few nodes are reached, and the last step is made at the tails alone.

    Args:
        graph: parallel edges count once, edges left out not at all.
        pairs: `(2, P)`.
        max_length: L, from 1.

    Returns:
        `(L, P)` of float64.

    Raises:
        UsageError: `max_length` below 1.

    >>> triangle = LinkGraph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 0]]), 3)
    >>> walk_counts(triangle, torch.tensor([[0, 0], [1, 0]]), 3).tolist()
    [[1.0, 0.0], [1.0, 2.0], [3.0, 2.0]]
    """
    if max_length < 1:
        raise UsageError(f"walk_counts: expected max_length from 1, got {max_length}; 3 is usual")
    into = _adjacency(simple_graph(graph))  # row v holds the u of edges u → v
    head, tail = (end.cpu().numpy() for end in pairs)
    if graph.undirected and len(np.unique(tail)) < len(np.unique(head)):
        head, tail = tail, head
    onward = into if graph.undirected else into.T.tocsr()
    counts = np.zeros((max_length, len(head)))
    width = max(_NUMBERS_AT_ONCE // max(graph.num_nodes, 1), 1)
    heads, column = np.unique(head, return_inverse=True)
    order = np.argsort(column, kind="stable")
    cuts = np.searchsorted(column[order], np.arange(width, len(heads), width))
    table = np.zeros(min(width, len(heads)) * graph.num_nodes)
    for part, low in zip(np.split(order, cuts), range(0, len(heads), width), strict=len(heads) > 0):
        # Where the numbers of a pair's head begin in the table.
        begin = (column[part] - low) * graph.num_nodes
        counts[:, part] = _follow(
            heads[low : low + width], begin, tail[part], onward, into[tail[part]], max_length, table
        )
    return torch.from_numpy(counts).to(pairs.device)


def katz(graph: LinkGraph, pairs: Tensor, *, beta: float = 0.005, max_length: int = 3) -> Tensor:
    """Walks from head to tail, longer ones with less weight: the series of Katz up to a length.

        s(i, j) = sum over l = 1 ... max_length of beta^l (A^l)_{ij}

    Args:
        graph: what walks run on.
        pairs: `(2, P)`.
        beta: weight of a step.
        max_length: of the longest walks that count.

    Returns:
        `(P,)` of float64.

    Raises:
        UsageError: a `beta` that is not positive, or `max_length` below 1.

    Paper: Katz, A new status index derived from sociometric analysis, Psychometrika 1953; as a score of links
    in Liben-Nowell and Kleinberg, JASIST 2007.
    """
    if not 0 < beta < float("inf"):
        raise UsageError(f"katz: expected a positive beta, got {beta}; 0.005 is usual")
    counts = walk_counts(graph, pairs, max_length)
    weight = float(beta) ** torch.arange(1, max_length + 1, dtype=counts.dtype, device=counts.device)
    return weight @ counts


def shortest_path(graph: LinkGraph, pairs: Tensor, *, cutoff: int = 4, inverse: bool = True) -> Tensor:
    """Nearness by the number d of steps on the shortest path from head to tail.

        s(i, j) = 1 / d(i, j), and 0 beyond the cutoff

    Args:
        graph: what paths run on.
        pairs: `(2, P)`.
        cutoff: the largest distance that is told from infinity.
        inverse: if not, s is -d, and -(cutoff + 1) beyond the cutoff.

    Returns:
        `(P,)` of float64; a node is at distance 0 from itself, so 1 / d is infinite there.

    Raises:
        UsageError: `cutoff` below 1.

    Paper: Liben-Nowell and Kleinberg, The link-prediction problem for social networks, JASIST 2007.
    """
    if cutoff < 1:
        raise UsageError(f"shortest_path: expected a cutoff from 1, got {cutoff}; 4 is usual")
    counts = walk_counts(graph, pairs, cutoff)
    distance = 1 + (counts.cumsum(0) == 0).sum(0)
    distance[pairs[0] == pairs[1]] = 0
    if not inverse:
        return -distance.double()
    return torch.where(distance <= cutoff, distance.double().reciprocal(), 0)


def _follow(
    heads: _Ints,
    begin: _Ints,
    tail: _Ints,
    onward: sp.csr_array,
    ends: sp.csr_array,
    max_length: int,
    table: _Floats,
) -> _Floats:
    """The counts of the pairs of a block, `(L, P)`; `table` is all zero before and after."""
    size = len(heads), onward.shape[0]
    counts = np.zeros((max_length, len(tail)))
    reached: sp.csr_array | _Floats = onward[heads]
    for length in range(max(max_length - 1, 1)):
        if length:
            reached = reached @ onward
        if sp.issparse(reached) and reached.nnz > _DENSE * size[0] * size[1]:
            reached = reached.toarray()
        filled = None
        if sp.issparse(reached):
            row = np.repeat(np.arange(size[0]), np.diff(reached.indptr))
            filled = row * size[1] + reached.indices
            table[filled] = reached.data
        numbers = table if filled is not None else np.asarray(reached).reshape(-1)
        counts[length] = numbers[begin + tail]
        if length == max_length - 2:
            pair = np.repeat(np.arange(len(tail)), np.diff(ends.indptr))
            counts[-1] = np.bincount(pair, numbers[begin[pair] + ends.indices], len(tail))
        if filled is not None:
            table[filled] = 0
    return counts


def _adjacency(graph: LinkGraph) -> sp.csr_array:
    source, target = graph.edge_index.cpu().numpy()
    return sp.coo_array((np.ones(len(source)), (target, source)), shape=(graph.num_nodes,) * 2).tocsr()
