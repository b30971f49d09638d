"""Group norms of the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph
from netgraph.pruning.criteria.node_sums import Reduce, node_sums
from netgraph.pruning.criteria.normalize import Normalize, normalize_scores
from netgraph.pruning.criteria.registry import Scores, criterion

__all__ = ["l1", "l2", "magnitude"]


def magnitude(
    p: float = 2,
    reduce: Reduce = "mean",
    normalize: Normalize | None = "max",
    inside: Literal["sum", "mean"] = "sum",
) -> Callable[[NeuralGraph], Scores]:
    """A criterion: the `p`-norm, to the power `p`, of everything that touches a node.

    `score_k = reduce over tensors t touching k of ( inside over weights w of t's slice at k of |w|^p )`,
    then divided by the maximum or the mean of its group. Weights, biases and norm scales count, buffers
    do not.

    Args:
        p: order of the norm.
        reduce: over the tensors of a node.
        normalize: what makes scores of different groups comparable; None leaves them.
        inside: over the slice of one tensor.

    Raises:
        UsageError: `p` is not positive.

    Paper: Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017 (one layer); Fang et al., DepGraph:
    Towards Any Structural Pruning, CVPR 2023 (groups).

    >>> import torch
    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2, bias=False), torch.nn.Linear(2, 1, bias=False))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [2.0]]))
    >>> _ = net[1].weight.data.copy_(torch.tensor([[3.0, 2.0]]))
    >>> magnitude(p=2, normalize=None)(to_graph(net, torch.zeros(1, 1)))
    {'0': tensor([5., 4.])}
    """
    if not p > 0:
        raise UsageError(f"magnitude: expected an order p above 0, got {p!r}; use p=1 or p=2")

    @torch.no_grad()
    def scores(graph: NeuralGraph) -> Scores:
        powers = {
            t.name: graph.state[t.name].float().abs().pow(p)
            for t in graph.structure.tensors
            if t.kind == "parameter" and "float" in t.dtype
        }
        sums = node_sums(graph.structure, powers, inside=inside, across=reduce)
        return {name: normalize_scores(score, normalize) for name, score in sums.items()}

    return scores


@criterion("l1")
def l1(graph: NeuralGraph) -> Scores:
    """Sum of absolute weights per node: `magnitude(p=1)`."""
    return magnitude(p=1)(graph)


@criterion("l2")
def l2(graph: NeuralGraph) -> Scores:
    """Sum of squared weights per node: `magnitude(p=2)`."""
    return magnitude(p=2)(graph)
