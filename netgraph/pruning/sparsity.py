"""The sparsity that meta-training asks of a rewritten network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.graph import Structure
from netgraph.pruning.criteria import node_sums

__all__ = ["shrinkage", "sparsity_penalty"]


def sparsity_penalty(
    structure: Structure, state: Mapping[str, Tensor], alpha: float = 16.0, *, relative: bool = False
) -> Tensor:
    """Push the unimportant nodes of every group towards zero, and the important ones much less.

    Absolute: `1/2 sum over nodes k of gamma_k ||w_k||^2`, with `gamma` from `shrinkage`, held constant,
    and `w_k` all parameters that touch `k` (each weight counts once for every node that it touches).

    Relative: `mean over groups of (sum_k gamma_k n_k / sum_k n_k)` with `n` the group norm `l2`, not
    normalised. Between 1 and `alpha`, and unchanged if a group is scaled as a whole: where norms follow the
    weights, the absolute penalty is soon spent on shrinking everything alike, which prunes nothing.

    Args:
        structure: whose hidden groups are meant.
        state: parameters by name; gradients flow into them.
        alpha: how much harder the least important node of a group is pushed than the most important.
        relative: which of the two.

    Returns:
        A scalar.

    Raises:
        UsageError: `alpha` is below 1.

    Paper: Fang et al., DepGraph, CVPR 2023, eq. 4; Liu et al., Meta Pruning via Graph Metanetworks, 2025,
    arXiv 2506.12041 (both absolute).

    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2, bias=False), torch.nn.Linear(2, 1, bias=False))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [2.0]]))
    >>> _ = net[1].weight.data.copy_(torch.tensor([[1.0, 2.0]]))
    >>> graph = to_graph(net, torch.zeros(1, 1))
    >>> float(sparsity_penalty(graph.structure, graph.state))  # 1/2 (16 * (1 + 1) + 1 * (4 + 4))
    20.0
    >>> float(sparsity_penalty(graph.structure, graph.state, relative=True))  # (16 * 1 + 1 * 4) / (1 + 4)
    4.0
    """
    squares = _squares(structure, state)
    gammas = _gammas(structure, {n: s.detach() for n, s in squares.items()}, alpha)
    norms = node_sums(structure, squares, across="mean" if relative else "sum")
    parts = [(gammas[name].to(norm) * norm).sum() for name, norm in norms.items()]
    if not parts:
        return torch.zeros(())
    if not relative:
        return torch.stack(parts).sum() / 2
    whole = [norm.sum().clamp(min=1e-30) for norm in norms.values()]
    return (torch.stack(parts) / torch.stack(whole)).mean()


@torch.no_grad()
def shrinkage(structure: Structure, state: Mapping[str, Tensor], alpha: float = 16.0) -> dict[str, Tensor]:
    """How hard each node is pushed: `gamma_k = alpha^((I_max - I_k) / (I_max - I_min))`, from 1 to `alpha`.

    `I` is the root of the group norm `l2` (the mean over the tensors of a node of the sum of squares over
    its slice, divided by the group's maximum); maximum and minimum are taken over the group. A group of
    equal nodes has `gamma = 1`.

    Raises:
        UsageError: `alpha` is below 1.

    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 3, bias=False), torch.nn.Linear(3, 1, bias=False))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [2.0], [3.0]]))
    >>> _ = net[1].weight.data.copy_(torch.tensor([[1.0, 2.0, 3.0]]))
    >>> graph = to_graph(net, torch.zeros(1, 1))
    >>> shrinkage(graph.structure, graph.state)["0"]
    tensor([16.,  4.,  1.])
    """
    return _gammas(structure, _squares(structure, state), alpha)


def _squares(structure: Structure, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        t.name: state[t.name].float().square()
        for t in structure.tensors
        if t.kind == "parameter" and "float" in t.dtype and t.name in state
    }


def _gammas(structure: Structure, squares: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    if not alpha >= 1:
        raise UsageError(f"sparsity: expected alpha of at least 1, got {alpha!r}; the paper takes 16")
    out = {}
    for name, norm in node_sums(structure, squares, across="mean").items():
        importance = norm.sqrt()
        high, low = importance.amax(), importance.amin()
        spread = high - low
        equal = spread <= 1e-6 * high
        place = torch.where(equal, torch.zeros_like(norm), (high - importance) / spread.clamp(min=1e-30))
        out[name] = alpha**place
    return out
