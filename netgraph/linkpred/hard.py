"""False links that heuristics take for likely ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.known import End, KnownTails
from netgraph.linkpred.links import Links

__all__ = ["hard_negatives"]

_Table: TypeAlias = npt.NDArray[Any]

_SCORES_AT_ONCE: Final = 1 << 19  # they stay in the cache while they are ranked
_RESTART: Final = 0.15
_STEPS: Final = 24  # of the Chebyshev iteration: the error shrinks by 0.557 in each


def hard_negatives(
    graph: LinkGraph,
    links: Links,
    count: int,
    *,
    known: KnownTails | None = None,
    heuristics: Sequence[str] | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """For each link, the false ones at either end that look most like true ones.

    In the manner of HeaRT (Li et al., NeurIPS 2023): for each end of a link, all nodes that are no true
    answer are ranked by several heuristics; those with the best mean rank replace the other end. Half of
    the negatives, rounded up, keep the head, the others the tail. Nodes of equal mean rank come in random
    order. Other than in HeaRT, no link that is known from any part of a split is a negative.

    Ranks are computed once for each node that ends a link, in time that grows with the number of such nodes
    times N, on the CPU. Heuristics see edges without direction.

    Args:
        graph: what the heuristics read; links that are scored must not be edges of it.
        links: P links of one relation.
        count: K, negatives per link.
        known: all true links, `links` included; None for the edges of `graph` and `links`.
        heuristics: `"common_neighbours"`, `"adamic_adar"`, `"resource_allocation"`, `"pagerank"` (restart
            0.15), `"features"` (cosine) or other names of `HEURISTICS`; None for the third, the fourth
            and, if the nodes have features, the fifth, as the paper has it for citation graphs.
        generator: for ties.

    Returns:
        `(2, P, K)`, harder ones first within each half.

    Raises:
        UsageError: links with relations, an unknown heuristic, a negative count, features asked for that
            are not there, `known` without some of the links.
        GraphError: an end with fewer false answers than are asked for.

    >>> path = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]), 5)
    >>> hard_negatives(path, Links(torch.tensor([[0], [4]])), 2).tolist()
    [[[0, 2]], [[2, 4]]]
    """
    names = _names(graph, heuristics)
    if links.relation is not None or count < 0:
        raise UsageError(
            f"hard_negatives: expected links of one relation and a count from 0, got {count} "
            f"and relations {'given' if links.relation is not None else 'None'}; "
            "rank typed links among all nodes instead"
        )
    if known is None:
        true = [Links(graph.edge_index), links]
        known = KnownTails.from_links(*true, num_nodes=graph.num_nodes, undirected=graph.undirected)
    elif not bool(known.has(links.pairs).all()):
        raise UsageError(
            "hard_negatives: expected all links among the known ones, got some that are not; "
            "index the links of all parts"
        )
    sizes = {"tail": count - count // 2, "head": count // 2}
    rank = _ranker(graph, names, known, generator)
    if known.undirected:
        nodes, place = links.pairs.unique(return_inverse=True)
        best = rank(nodes, sizes["tail"], "tail")
        tails, heads = best[place[0]], best[place[1], : sizes["head"]]
    else:
        found = []
        for row, end in enumerate(("tail", "head")):
            nodes, place = links.pairs[row].unique(return_inverse=True)
            found.append(rank(nodes, sizes[end], "tail" if end == "tail" else "head")[place])
        tails, heads = found
    kept_head = torch.stack((links.pairs[0][:, None].expand_as(tails), tails))
    kept_tail = torch.stack((heads, links.pairs[1][:, None].expand_as(heads)))
    return torch.cat((kept_head, kept_tail), dim=2)


def _ranker(
    graph: LinkGraph, names: Sequence[str], known: KnownTails, generator: torch.Generator | None
) -> Callable[[Tensor, int, End], Tensor]:
    """A function that gives the best false answers of some nodes, `(B, size)`."""
    edges = graph.edge_index.cpu().numpy()
    total = graph.num_nodes
    ones = np.ones(edges.shape[1])
    adjacency = sp.csr_array((ones, (edges[1], edges[0])), shape=(total, total))
    adjacency = ((adjacency + adjacency.T) > 0).astype(np.float64).tocsr()
    adjacency.setdiag(0)
    adjacency.eliminate_zeros()
    scorers = [_scorer(name, graph, adjacency) for name in names]
    block = max(_SCORES_AT_ONCE // max(total, 1), 1)

    def best(nodes: Tensor, size: int, end: End) -> Tensor:
        found = [torch.empty(0, size, dtype=torch.long)]
        for some in nodes.split(block):
            rows, columns = (t.cpu().numpy() for t in known.mask(some, end=end))
            mine = some.cpu().numpy()
            barred = np.zeros((len(mine), total), dtype=bool)
            barred[rows, columns] = True
            barred[np.arange(len(mine)), mine] = True
            free = total - barred.sum(1)
            if size and (free < size).any():
                odd = int((free < size).argmax())
                raise GraphError(
                    f"hard_negatives: expected {size} nodes that are not linked to node {mine[odd]}, got "
                    f"{free[odd]}; ask for fewer negatives"
                )
            # Ranks are multiples of 1 / len(names) and so stay in order under noise below half of that.
            shape, source = (len(mine), total), generator.device if generator else "cpu"
            noise = torch.rand(shape, dtype=torch.float64, generator=generator, device=source)
            mean = noise.cpu().numpy() / (2 * len(names))
            for scorer in scorers:
                mean += _ranked(np.where(barred, -np.inf, scorer(mine))) / len(names)
            mean[barred] = np.inf
            front = np.argpartition(mean, min(size, total - 1), axis=1)[:, :size]
            order = np.take_along_axis(mean, front, axis=1).argsort(axis=1)
            found.append(torch.from_numpy(np.take_along_axis(front, order, axis=1)))
        return torch.cat(found).to(nodes.device)

    return best


def _ranked(scores: _Table) -> _Table:
    """One plus how many of the same row are larger, to the precision of float32."""
    bits = scores.astype(np.float32).view(np.int32)
    bits = ~(bits ^ ((bits >> 31) & 0x7FFFFFFF))  # whole numbers in the opposite order
    # Sorting numbers that carry their place is several times as fast as argsort.
    packed = np.sort((bits.astype(np.int64) << 32) | np.arange(scores.shape[1]), axis=1)
    order, value = packed & 0xFFFFFFFF, packed >> 32
    place = np.zeros_like(order)
    place[:, 1:] = np.where(value[:, 1:] != value[:, :-1], np.arange(1, scores.shape[1]), 0)
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, order, np.maximum.accumulate(place, axis=1) + 1.0, axis=1)
    return ranks


def _scorer(name: str, graph: LinkGraph, adjacency: sp.csr_array) -> Callable[[_Table], _Table]:
    """A function that gives the scores of some nodes with all nodes, `(B, N)`."""
    degree = adjacency.sum(axis=0)
    if name in _WEIGHTS:
        weighted = (sp.diags_array(_WEIGHTS[name](degree)) @ adjacency).tocsr()
        return lambda nodes: (adjacency[nodes] @ weighted).toarray()
    if name == "pagerank":
        root = np.sqrt(np.maximum(degree, 1))
        scaled = (adjacency / root[:, None] / root[None, :]).tocsr()
        return lambda nodes: _pagerank(scaled, root, nodes)
    if name == "features" and graph.x is not None:
        x = graph.x.detach().cpu().float().numpy()
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return lambda nodes: x[nodes] @ x.T
    from netgraph.linkpred.heuristics import score_pairs

    every = torch.arange(graph.num_nodes, device=graph.device)

    def scores(nodes: _Table) -> _Table:
        heads = torch.from_numpy(nodes).to(graph.device).repeat_interleave(len(every))
        found = score_pairs(name, graph, torch.stack((heads, every.repeat(len(nodes)))))
        return found.double().cpu().numpy().reshape(len(nodes), len(every))

    return scores


_WEIGHTS: Final[dict[str, Callable[[_Table], _Table]]] = {
    "common_neighbours": np.ones_like,
    "resource_allocation": lambda degree: 1 / np.maximum(degree, 1),
    "adamic_adar": lambda degree: 1 / np.log(np.maximum(degree, 2)),
}
"""What a common neighbour counts for, by its degree; one of degree 1 is common to no two nodes."""


def _pagerank(scaled: sp.csr_array, root: _Table, nodes: _Table) -> _Table:
    """Personalised PageRank of all nodes for each of some, `(B, N)`.

    A system that is symmetric after scaling by the roots of the degrees, (I − (1 − a) S) y = a e, whose
    eigenvalues are within (1 − a) of one: so Chebyshev's iteration takes few steps and no inner product.
    """
    residual = np.zeros((len(root), len(nodes)))
    residual[nodes, np.arange(len(nodes))] = _RESTART
    solution, direction, step, spread = np.zeros_like(residual), residual.copy(), 1.0, 1 - _RESTART
    for turn in range(_STEPS):
        if turn:
            carry = (spread * step) ** 2 / (2 if turn == 1 else 4)
            step = 1 / (1 - carry / step)
            direction = residual + carry * direction
        solution += step * direction
        residual -= step * (direction - spread * (scaled @ direction))
    return (solution * root[:, None] / root[nodes]).T


def _names(graph: LinkGraph, heuristics: Sequence[str] | None) -> Sequence[str]:
    if heuristics is None:
        return ("resource_allocation", "pagerank") + (() if graph.x is None else ("features",))
    own = (*_WEIGHTS, "pagerank", "features")
    for name in heuristics:
        if name == "features" and graph.x is None:
            raise UsageError("hard_negatives: expected a graph with features x, got none; leave features out")
        if name not in own:
            from netgraph.linkpred.heuristics import HEURISTICS

            if name not in HEURISTICS:
                listed = ", ".join(dict.fromkeys((*own, *HEURISTICS)))
                raise UsageError(f"hard_negatives: expected heuristics of {listed}, got {name!r}; choose one")
    if not heuristics:
        raise UsageError("hard_negatives: expected at least one heuristic, got none; None chooses")
    return heuristics
