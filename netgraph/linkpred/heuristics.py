"""Scores of pairs of nodes that nothing has to be learned for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.links import check_pairs
from netgraph.linkpred.neighbours import Neighbours, common_neighbours, gather_sum, simple_graph
from netgraph.linkpred.personalised_pagerank import pagerank
from netgraph.linkpred.walks import katz, shortest_path

__all__ = [
    "HEURISTICS",
    "Heuristic",
    "adamic_adar",
    "common_neighbour_count",
    "jaccard",
    "preferential_attachment",
    "register_heuristic",
    "resource_allocation",
    "score_pairs",
]

Heuristic: TypeAlias = Callable[..., Tensor]
"""Of a graph whose edges stand once and of pairs `(2, P)`: scores `(P,)`; options by name."""

_H = TypeVar("_H", bound=Heuristic)

_PAIRS_AT_ONCE: Final = 1 << 18
"""Pairs whose common neighbours are listed together."""


def score_pairs(name: str, graph: LinkGraph, pairs: Tensor, **options: Any) -> Tensor:
    """Scores of pairs by one of `HEURISTICS`: the higher, the likelier a link.

    N(v) is row v of the graph. Edges that are left out do not count, and parallel edges of several relations
    count once. A pair that is itself an edge is not treated apart: leave the edges to be scored out of the
    graph.

    Args:
        name: of the heuristic.
        graph: what may be known.
        pairs: heads above tails, `(2, P)`.
        options: of the heuristic.

    Returns:
        `(P,)`, floating point, where the graph is.

    Raises:
        UsageError: an unknown name or option, or a value that makes no sense.
        GraphError: pairs that are no pairs of nodes of the graph.

    >>> square = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), 4)
    >>> score_pairs("common_neighbours", square, torch.tensor([[0, 0], [2, 1]])).tolist()
    [2.0, 0.0]
    >>> score_pairs("shortest_path", square, torch.tensor([[0, 0], [2, 1]]), inverse=False).tolist()
    [-2.0, -1.0]
    """
    if name not in HEURISTICS:
        known = ", ".join(sorted(HEURISTICS))
        raise UsageError(
            f"score_pairs: expected one of {known}, got {name!r}; register_heuristic adds others"
        )
    score = HEURISTICS[name]
    known_options = [p.name for p in inspect.signature(score).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if odd := sorted(options.keys() - set(known_options)):
        listed = ", ".join(known_options) or "no options"
        raise UsageError(f"score_pairs: expected {listed} for {name}, got {odd[0]!r}; leave it out")
    check_pairs("score_pairs", pairs, graph.num_nodes)
    return score(simple_graph(graph), pairs, **options)


def register_heuristic(name: str) -> Callable[[_H], _H]:
    """Add a function of a graph and pairs `(2, P)` to `HEURISTICS`; its options are keyword-only.

    Raises:
        UsageError: the name is taken.

    >>> @register_heuristic("degree of the tail")
    ... def tail_degree(graph, pairs):
    ...     return graph.degree[pairs[1]].float()
    >>> star = LinkGraph.from_edges(torch.tensor([[0, 0], [1, 2]]), 3)
    >>> score_pairs("degree of the tail", star, torch.tensor([[1, 1], [0, 2]])).tolist()
    [2.0, 1.0]
    >>> del HEURISTICS["degree of the tail"]
    """
    if name in HEURISTICS:
        raise UsageError(
            f"register_heuristic: expected a new name, got {name!r}, which is taken; choose another"
        )

    def add(score: _H) -> _H:
        HEURISTICS[name] = score
        return score

    return add


def common_neighbour_count(graph: LinkGraph, pairs: Tensor) -> Tensor:
    """s(i, j) = |N(i) ∩ N(j)|, `(P,)` of float64 (Newman, Physical Review E 2001)."""
    return _over_pairs(graph, pairs, lambda found: found.count.double())


def adamic_adar(graph: LinkGraph, pairs: Tensor) -> Tensor:
    """s(i, j) = sum over u in N(i) ∩ N(j) of 1 / log |N(u)|, `(P,)` of float64.

    A u of one neighbour counts as if it had two: the two ends of the pair are then one node, or the graph is
    directed.

    Paper: Adamic and Adar, Friends and neighbors on the Web, Social Networks 2003.
    """
    return _weighted(graph, pairs, graph.degree.clamp(min=2).double().log().reciprocal())


def resource_allocation(graph: LinkGraph, pairs: Tensor) -> Tensor:
    """s(i, j) = sum over u in N(i) ∩ N(j) of 1 / |N(u)|, `(P,)` of float64.

    Paper: Zhou, Lü and Zhang, Predicting missing links via local information, Eur. Phys. J. B 2009.
    """
    return _weighted(graph, pairs, graph.degree.clamp(min=1).double().reciprocal())


def jaccard(graph: LinkGraph, pairs: Tensor) -> Tensor:
    """s(i, j) = |N(i) ∩ N(j)| / |N(i) ∪ N(j)|, 0 for two nodes without neighbours, `(P,)` of float64.

    Paper: Jaccard, Bulletin de la Société Vaudoise des Sciences Naturelles 1901; as a score of links in
    Liben-Nowell and Kleinberg, JASIST 2007.
    """
    common = common_neighbour_count(graph, pairs)
    union = graph.degree[pairs].sum(0) - common
    return common / union.clamp(min=1)


def preferential_attachment(graph: LinkGraph, pairs: Tensor) -> Tensor:
    """s(i, j) = |N(i)| |N(j)|, `(P,)` of float64 (Barabási and Albert, Science 1999)."""
    return graph.degree[pairs].double().prod(0)


HEURISTICS: dict[str, Heuristic] = {
    "common_neighbours": common_neighbour_count,
    "adamic_adar": adamic_adar,
    "resource_allocation": resource_allocation,
    "jaccard": jaccard,
    "preferential_attachment": preferential_attachment,
    "katz": katz,
    "pagerank": pagerank,
    "shortest_path": shortest_path,
}
"""Heuristics by name; `register_heuristic` adds to them."""


def _weighted(graph: LinkGraph, pairs: Tensor, weight: Tensor) -> Tensor:
    return _over_pairs(graph, pairs, lambda found: gather_sum(weight[:, None], found).squeeze(1))


def _over_pairs(graph: LinkGraph, pairs: Tensor, score: Callable[[Neighbours], Tensor]) -> Tensor:
    parts = pairs.split(_PAIRS_AT_ONCE, dim=1)
    return torch.cat([score(common_neighbours(graph, part)) for part in parts])
