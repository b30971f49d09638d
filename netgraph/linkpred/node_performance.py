"""How well the links of each node are predicted, and what goes with it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.links import Links, check_pairs

__all__ = ["Correlation", "NodePerformance", "correlations", "node_performance"]


@final
@dataclass(frozen=True, eq=False)
class NodePerformance:
    """How well the links of each node are ranked; NaN for nodes without links.

    Attributes:
        hits: share of a node's links that are ranked among the best k, `(N,)`.
        reciprocal_rank: mean of one over the rank, `(N,)`.
        count: number of a node's links, `(N,)`.
    """

    hits: Tensor
    reciprocal_rank: Tensor
    count: Tensor


def node_performance(links: Tensor | Links, ranks: Tensor, num_nodes: int, *, k: int = 10) -> NodePerformance:
    """Hits and reciprocal ranks of links, averaged over the links of each node.

    Args:
        links: the links, `(2, P)`.
        ranks: from 1, ties as real numbers: `(P,)`, of which each counts for both ends; or `(2, P)`, the
            rank of the tail among the candidates of the head, and of the head among those of the tail.
        num_nodes: N.
        k: ranks up to this one are hits.

    Raises:
        UsageError: `k` below one, or ranks that are no ranks of these links.
        GraphError: links beyond the nodes.

    >>> found = node_performance(torch.tensor([[0, 0], [1, 2]]), torch.tensor([1.0, 4.0]), 4, k=3)
    >>> found.hits.tolist(), found.reciprocal_rank.tolist()
    ([0.5, 1.0, 0.0, nan], [0.625, 1.0, 0.25, nan])
    """
    pairs = links.pairs if isinstance(links, Links) else links
    check_pairs("node_performance", pairs, num_nodes)
    if k < 1:
        raise UsageError(f"node_performance: expected k of at least 1, got {k}; 10 and 100 are usual")
    if ranks.shape not in (pairs.shape, pairs.shape[1:]) or (len(ranks) and not bool((ranks >= 1).all())):
        raise UsageError(
            f"node_performance: expected ranks from 1 of shape ({pairs.size(1)},) or (2, {pairs.size(1)}), "
            f"got shape {tuple(ranks.shape)}{f' from {float(ranks.min()):g}' if ranks.numel() else ''}; "
            "rank the links first"
        )
    place = ranks.to(torch.get_default_dtype()).expand(2, -1).reshape(-1)
    ends = pairs.reshape(-1)
    count = torch.bincount(ends, minlength=num_nodes)
    hits, reciprocal = (
        place.new_zeros(num_nodes).index_add_(0, ends, v) / count
        for v in ((place <= k).to(place.dtype), place.reciprocal())
    )
    return NodePerformance(hits, reciprocal, count)


@final
@dataclass(frozen=True)
class Correlation:
    """How one number of the nodes goes with another, and how likely as much is by chance.

    Attributes:
        pearson, pearson_p: linear correlation and its p-value.
        spearman, spearman_p: rank correlation and its p-value.
        nodes: how many nodes have both numbers. All is NaN where there are fewer than three, or where one of
            the numbers is the same for all.
    """

    pearson: float
    pearson_p: float
    spearman: float
    spearman_p: float
    nodes: int


def correlations(values: Mapping[str, Tensor], performance: Tensor) -> dict[str, Correlation]:
    """Pearson and Spearman correlation of each of several numbers of the nodes with their performance.

    Args:
        values: by name, `(N,)` each: degree, density, concentration.
        performance: `(N,)`, as `node_performance` gives it. Nodes where one of the two is not finite are left
            out.

    Raises:
        UsageError: lengths that differ.

    >>> table = correlations({"degree": torch.tensor([1, 2, 3, 9])}, torch.tensor([0.1, 0.2, 0.4, torch.nan]))
    >>> round(table["degree"].pearson, 3), table["degree"].spearman, table["degree"].nodes
    (0.982, 1.0, 3)
    """
    against = _numbers(performance)
    table = {}
    for name, tensor in values.items():
        if tensor.shape != performance.shape or performance.dim() != 1:
            raise UsageError(
                f"correlations: expected {name!r} and performance of one shape (N,), got "
                f"{tuple(tensor.shape)} and {tuple(performance.shape)}; pass one number per node"
            )
        value = _numbers(tensor)
        both = np.isfinite(value) & np.isfinite(against)
        x, y = value[both], against[both]
        found = [np.nan] * 4
        if len(x) >= 3 and np.ptp(x) > 0 and np.ptp(y) > 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # nearly constant numbers: the p-value says it already
                results: list[Any] = [stats.pearsonr(x, y), stats.spearmanr(x, y)]
            found = [float(n) for result in results for n in (result.statistic, result.pvalue)]
        table[name] = Correlation(found[0], found[1], found[2], found[3], len(x))
    return table


def _numbers(tensor: Tensor) -> npt.NDArray[np.float64]:
    return tensor.detach().cpu().double().numpy()
