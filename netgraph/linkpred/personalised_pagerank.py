"""Personalised PageRank between the nodes of many pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.adjacency import Adjacency
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.neighbours import simple_graph
from netgraph.linkpred.sparse import SparseRows, sparse_product

__all__ = ["pagerank"]

_NUMBERS_AT_ONCE: Final = 1 << 22
_HEADS_AT_ONCE: Final = 8
"""Numbers in a block of columns, and heads in a block at least."""


def pagerank(
    graph: LinkGraph,
    pairs: Tensor,
    *,
    restart: float = 0.15,
    tolerance: float = 1e-8,
    symmetric: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """How much time a walk with restarts at one node of a pair spends at the other.

        s(i, j) = pi_i(j) + pi_j(i),   pi_i = restart e_i + (1 - restart) P^T pi_i

    P steps to each of the nodes that the edges of a node lead to with the same probability, and from a node
    without such edges back to i. The values of all nodes are computed for some heads at a time: in an
    undirected graph, where d_i pi_i(j) = d_j pi_j(i) for the degrees d, by Chebyshev's iteration on the
    symmetric matrix, which takes about a third of the steps; otherwise by power iteration.

    Args:
        graph: what walks run on.
        pairs: `(2, P)`.
        restart: probability of a restart at each step.
        tolerance: bound of the error of pi by ending the iteration, besides rounding.
        symmetric: if not, s is pi_i(j) alone.
        dtype: of the numbers; float64 takes several times as long.

    Returns:
        `(P,)`.

    Raises:
        UsageError: a `restart` or a `tolerance` that is not between 0 and 1.

    Paper: Page et al., The PageRank citation ranking, 1999; as a score of links in Liben-Nowell and
    Kleinberg, JASIST 2007. The iteration: Golub and Varga, Numerische Mathematik 1961.

    >>> path = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
    >>> pagerank(path, torch.tensor([[0, 0], [1, 2]]), symmetric=False).round(decimals=4)
    tensor([0.4595, 0.1953])
    """
    for name, share in (("restart", restart), ("tolerance", tolerance)):
        if not 0 < share < 1:
            raise UsageError(f"pagerank: expected {name} between 0 and 1, got {share}; leave it out")
    if not pairs.size(1):
        return torch.zeros(0, dtype=dtype, device=pairs.device)
    places = Adjacency(simple_graph(graph)).places
    if not graph.undirected:
        out = torch.bincount(places.col, minlength=graph.num_nodes).to(dtype)
        value = out.reciprocal()[places.col]
        steps = math.ceil(math.log(tolerance / 2) / math.log1p(-restart))
        solve = partial(_power, places, value, restart, steps)
        scores = _between(pairs, graph.num_nodes, solve)
        return scores + _between(pairs.flip(0), graph.num_nodes, solve) if symmetric else scores
    degree = places.ptr.diff().clamp(min=1).to(dtype)
    value = (degree[places.row] * degree[places.col]).rsqrt()
    spread = 1 - restart
    rate = spread / (1 + math.sqrt(1 - spread**2))
    ratio = math.sqrt(float(degree.max()))
    steps = math.ceil(math.log(tolerance / 2 / ratio) / math.log(rate))
    head, tail = degree[pairs]
    if len(pairs[1].unique()) < len(pairs[0].unique()):
        pairs = pairs.flip(0)
    states = _between(pairs, graph.num_nodes, partial(_chebyshev, places, value, restart, steps))
    # The product knows nothing of the walk that stays at a node without edges.
    states = states.masked_fill((pairs[0] == pairs[1]) & (places.ptr.diff() == 0)[pairs[0]], 1.0)
    scores = states * (tail / head).sqrt()
    return scores + states * (head / tail).sqrt() if symmetric else scores


def _between(pairs: Tensor, nodes: int, solve: Callable[[Tensor], Tensor]) -> Tensor:
    """The state of the tail in the solution `(N, B)` for the head, `(P,)`."""
    heads, column = pairs[0].unique(return_inverse=True)
    column, order = column.sort()
    width = max(_NUMBERS_AT_ONCE // max(nodes, 1), _HEADS_AT_ONCE)
    ends = torch.searchsorted(column, torch.arange(0, len(heads), width, device=column.device) + width)
    tails = pairs[1][order]
    found, first = [], 0
    for block, last in zip(heads.split(width), ends.tolist(), strict=True):
        states = solve(block)
        found.append(states[tails[first:last], column[first:last] % width])
        first = last
    scores = torch.cat(found)
    return torch.empty_like(scores).index_copy_(0, order, scores)


def _power(places: SparseRows, value: Tensor, restart: float, steps: int, heads: Tensor) -> Tensor:
    """Solutions of pi = restart e + (1 - restart) P^T pi, `(N, B)`."""
    columns = torch.arange(len(heads), device=heads.device)
    state = value.new_zeros(places.columns, len(heads))
    state[heads, columns] = 1
    for _ in range(steps):
        state = sparse_product(places, state, value).mul_(1 - restart)
        # Restarts, and walks that cannot go on.
        state[heads, columns] += 1 - state.sum(0)
    return state


def _chebyshev(places: SparseRows, value: Tensor, restart: float, steps: int, heads: Tensor) -> Tensor:
    """Solutions of y = restart e + (1 - restart) S y for a symmetric S of norm 1, `(N, B)`."""
    columns = torch.arange(len(heads), device=heads.device)
    state = value.new_zeros(places.columns, len(heads))
    before, pace, spread = torch.zeros_like(state), 1.0, 1 - restart
    for turn in range(steps):
        if turn:
            pace = 1 / (1 - spread**2 * pace / (2 if turn == 1 else 4))
        before.mul_(1 - pace).add_(sparse_product(places, state, value), alpha=pace * spread)
        before[heads, columns] += pace * restart
        state, before = before, state
    return state
