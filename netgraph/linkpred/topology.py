"""How much the surroundings of a node overlap with those of the nodes that it is linked to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.links import Links, LinkSplit, check_pairs

__all__ = [
    "ConcentrationShift",
    "approximate_concentration",
    "distribution_shift",
    "local_clustering",
    "subgraph_density",
    "topological_concentration",
]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_ENTRIES_AT_ONCE: Final = 1 << 22
_EDGES_AT_ONCE: Final = 1 << 18


def topological_concentration(
    graph: LinkGraph,
    links: Tensor | Links,
    *,
    hops: int = 1,
    beta: float | None = None,
    exclude_links: bool = False,
    overlap: Literal["members", "multiset"] = "members",
) -> Tensor:
    """Mean overlap of the walks that start at a node with those that start at the nodes it is linked to.

    ```
    TC_i = mean over links (i, j) of
           sum_{a,b} beta^(a+b-2) |H_i^a ∩ H_j^b| / sum_{a,b} beta^(a+b-2) |H_i^a|,   1 <= a, b <= hops
    ```

    H_i^a is the multiset of ends of the walks of length a from i, and |H ∩ G| counts the members of H, each
    as often as H has it, that G has at all. Each link counts for both of its ends. Edges that the graph
    leaves out are no steps.

    Args:
        graph: what the walks run on: the training graph.
        links: the target links, `(2, P)`.
        hops: length of the longest walks.
        beta: discount per step; None for one over the mean degree.
        exclude_links: the links are edges of the graph (training links), and no link shall speak for itself:
            the walks of i and j do not use the edges between them.
        overlap: `"multiset"` counts a shared member as often as both have it, no longer as often as H_i has.

    Returns:
        `(N,)` of float64 in [0, 1]: 0 for nodes without neighbours, NaN for nodes without links.

    Raises:
        UsageError: `hops` below one, a negative `beta`, or an unknown `overlap`.
        GraphError: links that are no pairs of nodes of the graph.

    Paper: Wang et al., A Topological Perspective on Demystifying GNN-Based Link Prediction Performance, ICLR
    2024. Intersections are counted as the authors' program does. It leaves an excluded link out of the
    denominator of a = b = 1 only, which is the same for one hop; with more, walks through the link itself
    would make training links look concentrated.

    >>> square = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), 5)
    >>> topological_concentration(square, torch.tensor([[0, 1], [2, 4]])).tolist()
    [1.0, 0.0, 1.0, nan, 0.0]
    """
    _check_hops("topological_concentration", hops)
    if overlap not in ("members", "multiset"):
        raise UsageError(
            f"topological_concentration: expected overlap 'members' or 'multiset', got {overlap!r}; "
            "choose one of the two"
        )
    if beta is not None and not 0 <= beta < float("inf"):
        raise UsageError(
            f"topological_concentration: expected a discount of at least 0, got {beta}; "
            "leave it out for the usual one"
        )
    own, other = _both_ways("topological_concentration", graph, links)
    adjacency = _adjacency(graph)
    if beta is None:
        beta = graph.num_nodes / max(graph.num_edges, 1)
    discount = np.power(float(beta), np.arange(hops)).astype(np.float64)
    walks = _walk_counts(adjacency, hops).sum(0)
    shared, possible = np.zeros(len(own)), np.zeros(len(own))
    for part in _chunks(own, other, np.minimum(walks, hops * graph.num_nodes)):
        mine, theirs = (
            _walk_ends(adjacency, i[part], j[part], hops, exclude_links)
            for i, j in ((own, other), (other, own))
        )
        shared[part] = _overlap(mine, theirs, discount, overlap)
        possible[part] = discount @ [rows.sum(1) for rows in mine] * discount.sum()
    share = np.divide(shared, possible, out=np.zeros_like(shared), where=possible > 0)
    return _mean_per_node(own, share, graph)


def approximate_concentration(
    graph: LinkGraph,
    links: Tensor | Links,
    *,
    hops: int = 1,
    dim: int = 64,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean cosine of random vectors of nodes with those of the nodes they are linked to, after some steps.

    ```
    ATC_i = mean over links (i, j) of cos(r_i, r_j),   r = mean over a = 1..hops of (D^-1 (A + I))^a R
    ```

    with R Gaussian, `(N, dim)`. Time grows with the edges, where that of the exact value grows with the
    walks. It is meant for links that the graph does not have: a link that it has brings its two ends together
    by itself, and then the value says little about the rest of their neighbours.

    Args:
        graph: what is propagated on: the training graph.
        links: the target links, `(2, P)`; `exclude_links` has no counterpart here.
        hops: number of steps.
        dim: numbers per node.
        generator: of the random vectors, on the device of the graph.

    Returns:
        `(N,)`, NaN for nodes without links.

    Raises:
        UsageError: `hops` or `dim` below one.
        GraphError: links that are no pairs of nodes of the graph.

    Paper: Wang et al., A Topological Perspective on Demystifying GNN-Based Link Prediction Performance, ICLR
    2024.

    >>> pairs = LinkGraph.from_edges(torch.tensor([[0, 2], [1, 3]]), 4)
    >>> linked = torch.tensor([[0, 2], [1, 3]])
    >>> approximate_concentration(pairs, linked, generator=torch.Generator().manual_seed(0)).round(decimals=4)
    tensor([1., 1., 1., 1.])
    """
    _check_hops("approximate_concentration", hops)
    if dim < 1:
        raise UsageError(f"approximate_concentration: expected dim of at least 1, got {dim}; 64 is usual")
    pairs = _pairs("approximate_concentration", graph, links)
    state = torch.randn(graph.num_nodes, dim, generator=generator, device=graph.device)
    source, target = graph.edge_index
    scale = (graph.degree + 1).to(state.dtype).reciprocal()[:, None]
    total = torch.zeros_like(state)
    for _ in range(hops):
        step = state.clone()
        for ends, starts in zip(target.split(_EDGES_AT_ONCE), source.split(_EDGES_AT_ONCE), strict=True):
            step.index_add_(0, ends, state[starts])
        state = step * scale
        total += state
    total = torch.nn.functional.normalize(total, dim=1)
    cosine = torch.cat([(total[i] * total[j]).sum(1) for i, j in pairs.split(_EDGES_AT_ONCE, dim=1)])
    mean = cosine.new_zeros(graph.num_nodes).index_add_(0, pairs.reshape(-1), cosine.repeat(2))
    return mean / torch.bincount(pairs.reshape(-1), minlength=graph.num_nodes)


def subgraph_density(graph: LinkGraph, *, hops: int = 1) -> Tensor:
    """Share of the pairs of nodes within some steps of a node, itself included, that are joined, `(N,)`.

    Directions are ignored, parallel edges count once. A node without neighbours gets 0.

    Raises:
        UsageError: `hops` below one.

    >>> paw = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 0], [1, 2, 0, 3]]), 4)
    >>> [round(d, 3) for d in subgraph_density(paw).tolist()]
    [0.667, 1.0, 1.0, 1.0]
    """
    _check_hops("subgraph_density", hops)
    joined = _simple(graph)
    near = (joined + sp.eye_array(graph.num_nodes, format="csr")).tocsr()
    walks = _walk_counts(near, hops)[-1]
    nodes, edges = np.zeros(graph.num_nodes), np.zeros(graph.num_nodes)
    every = np.arange(graph.num_nodes)
    for part in _chunks(every, every, np.minimum(walks, graph.num_nodes)):
        ball = near[part]
        for _ in range(hops - 1):
            ball = ball @ near
        ball.data[:] = 1.0
        nodes[part] = ball.sum(1)
        edges[part] = (ball @ joined).multiply(ball).sum(1)
    return _ratio(edges, nodes * (nodes - 1), graph)


def local_clustering(graph: LinkGraph) -> Tensor:
    """Share of the pairs of neighbours of a node that are joined, `(N,)`; 0 where there is no such pair.

    Directions are ignored, parallel edges count once.

    Paper: Watts and Strogatz, Collective dynamics of 'small-world' networks, Nature 1998.

    >>> paw = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 0], [1, 2, 0, 3]]), 4)
    >>> [round(c, 3) for c in local_clustering(paw).tolist()]
    [0.333, 1.0, 1.0, 0.0]
    """
    joined = _simple(graph)
    degree = np.asarray(joined.sum(1), np.float64)
    closed = np.zeros(graph.num_nodes)
    every = np.arange(graph.num_nodes)
    for part in _chunks(every, every, np.minimum(joined @ degree, graph.num_nodes)):
        closed[part] = (joined[part] @ joined).multiply(joined[part]).sum(1)
    return _ratio(closed, degree * (degree - 1), graph)


@final
@dataclass(frozen=True, eq=False)
class ConcentrationShift:
    """Topological concentration of each node over its training, validation and test links, `(N,)` each.

    A node that gains links far from its old neighbours has a lower value for those.
    """

    train: Tensor
    valid: Tensor
    test: Tensor

    @property
    def train_to_valid(self) -> Tensor:
        """What changes from training to validation links; NaN where a node lacks one of them."""
        return self.valid - self.train

    @property
    def train_to_test(self) -> Tensor:
        """What changes from training to test links."""
        return self.test - self.train

    @property
    def valid_to_test(self) -> Tensor:
        """What changes from validation to test links."""
        return self.test - self.valid


def distribution_shift(
    split: LinkSplit,
    *,
    hops: int = 1,
    beta: float | None = None,
    overlap: Literal["members", "multiset"] = "members",
) -> ConcentrationShift:
    """Topological concentration over the links of each stage, always with walks on the training graph.

    The training links are excluded from their own value (`exclude_links`), so that a node has one neighbour
    less to share there, and one with a single training link has 0.

    Raises:
        UsageError: an inductive split, whose test links join nodes of another graph.

    >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
    >>> graph = LinkGraph.from_edges(path, 4)
    >>> valid, test = torch.tensor([[0], [2]]), torch.tensor([[0], [3]])
    >>> split = LinkSplit(Links(path), Links(valid), Links(test), graph, graph, graph)
    >>> shift = distribution_shift(split)
    >>> shift.train.tolist(), shift.train_to_valid.tolist()
    ([0.0, 0.0, 0.0, 0.0], [1.0, nan, 0.5, nan])
    """
    for stage in ("valid", "test"):
        if (other := split.graph_at(stage).num_nodes) != split.graph.num_nodes:
            raise UsageError(
                f"distribution_shift: expected the same nodes at all stages, got {split.graph.num_nodes} for "
                f"training and {other} for {stage}; an inductive split has no shift per node"
            )
    train, valid, test = (
        topological_concentration(
            split.graph, links, hops=hops, beta=beta, overlap=overlap, exclude_links=edges
        )
        for links, edges in ((split.train, True), (split.valid, False), (split.test, False))
    )
    return ConcentrationShift(train, valid, test)


def _walk_ends(
    adjacency: sp.csr_array, start: _Ints, other: _Ints, hops: int, exclude: bool
) -> list[sp.csr_array]:
    """Ends of the walks from each start, by length, `(P, N)` each; without the edges between start and other
    where these are excluded."""
    if not exclude:
        nodes, place = np.unique(start, return_inverse=True)
        rows = [adjacency[nodes]]
        for _ in range(hops - 1):
            rows.append(rows[-1] @ adjacency)
        return [r[place] for r in rows]
    pair, shape = np.arange(len(start)), (len(start), adjacency.shape[0])
    out, back = (np.asarray(adjacency[i, j]).reshape(-1) for i, j in ((start, other), (other, start)))
    rows = [sp.csr_array((np.ones(len(start)), (pair, start)), shape=shape)]
    for _ in range(hops):
        # The product with the adjacency of each pair's own graph: two entries less than the common one.
        at_start, at_other = (np.asarray(rows[-1][pair, k]).reshape(-1) for k in (start, other))
        lost = (np.tile(pair, 2), np.concatenate((other, start)))
        through = np.concatenate((at_start * out, at_other * back))
        step = (rows[-1] @ adjacency - sp.csr_array((through, lost), shape=shape)).tocsr()
        step.eliminate_zeros()
        rows.append(step)
    return rows[1:]


def _overlap(
    mine: list[sp.csr_array], theirs: list[sp.csr_array], discount: _Floats, overlap: str
) -> _Floats:
    """`sum_{a,b} beta^(a+b-2) |H_i^a ∩ H_j^b|` of pairs, `(P,)`."""
    if overlap == "multiset":
        # The lesser of two counts is no product, so the double sum does not fall apart into two.
        total = np.zeros(mine[0].shape[0])
        for da, p in zip(discount, mine, strict=True):
            for db, q in zip(discount, theirs, strict=True):
                total += da * db * np.asarray(p.minimum(q).sum(1))
        return total
    ends, reached = sp.csr_array(mine[0].shape), sp.csr_array(mine[0].shape)
    for d, p, q in zip(discount, mine, theirs, strict=True):
        ends = ends + d * p
        reached = reached + d * q.sign()
    return np.asarray(ends.multiply(reached).sum(1), np.float64)


def _walk_counts(adjacency: sp.csr_array, hops: int) -> _Floats:
    """How many walks of each length start at each node, `(hops, N)`."""
    counts = np.ones((hops + 1, adjacency.shape[0]))
    for a in range(hops):
        counts[a + 1] = adjacency @ counts[a]
    return counts[1:]


def _chunks(own: _Ints, other: _Ints, entries: _Floats) -> Iterator[_Ints]:
    """Positions of pairs, few enough at a time that the rows of their nodes fit into memory."""
    order = np.argsort(own, kind="stable")
    filled = np.cumsum((entries[own] + entries[other])[order])
    chunk = (filled // _ENTRIES_AT_ONCE).astype(np.int64)
    yield from np.split(order, np.flatnonzero(np.diff(chunk)) + 1) if len(order) else ()


def _adjacency(graph: LinkGraph) -> sp.csr_array:
    """Row v, column u: how many edges u → v count."""
    source, target = graph.edge_index.cpu().numpy()
    return sp.coo_array((np.ones(len(source)), (target, source)), shape=(graph.num_nodes,) * 2).tocsr()


def _simple(graph: LinkGraph) -> sp.csr_array:
    both = _adjacency(graph)
    both = (both + both.T).tocsr()
    both.setdiag(0)
    both.eliminate_zeros()
    both.data[:] = 1.0
    return both


def _pairs(operation: str, graph: LinkGraph, links: Tensor | Links) -> Tensor:
    pairs = links.pairs if isinstance(links, Links) else links
    check_pairs(operation, pairs, graph.num_nodes)
    return pairs


def _both_ways(operation: str, graph: LinkGraph, links: Tensor | Links) -> tuple[_Ints, _Ints]:
    head, tail = _pairs(operation, graph, links).cpu().numpy()
    return np.concatenate((head, tail)), np.concatenate((tail, head))


def _mean_per_node(node: _Ints, value: _Floats, graph: LinkGraph) -> Tensor:
    total = np.bincount(node, value, graph.num_nodes)
    count = np.bincount(node, minlength=graph.num_nodes)
    mean = np.divide(total, count, out=np.full(graph.num_nodes, np.nan), where=count > 0)
    return torch.from_numpy(mean).to(graph.device)


def _ratio(part: _Floats, whole: _Floats, graph: LinkGraph) -> Tensor:
    share = np.divide(part, whole, out=np.zeros(graph.num_nodes), where=whole > 0)
    return torch.from_numpy(share).to(graph.device)


def _check_hops(operation: str, hops: int) -> None:
    if hops < 1:
        raise UsageError(f"{operation}: expected hops of at least 1, got {hops}; 1 and 2 are usual")
