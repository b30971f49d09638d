"""First-order change of the loss when a node goes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph
from netgraph.pruning.criteria.node_sums import node_sums
from netgraph.pruning.criteria.registry import Loss, Scores, criterion

__all__ = ["taylor"]


@criterion("taylor")
def taylor(graph: NeuralGraph, loss: Loss) -> Scores:
    """First-order estimate of how much the loss changes if everything that touches a node becomes zero.

    `score_k = | sum over weights w touching k of w * dL/dw |`, in units of the loss and not normalised,
    so that scores of all groups compare.

    Args:
        graph: with a program (it is run).
        loss: `module -> scalar`, on a few batches; the module comes in eval mode.

    Raises:
        UsageError: the loss is no scalar, is not finite, or depends on no weight.
        GraphError: the graph has no program.

    Paper: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019.

    >>> import torch
    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2, bias=False), torch.nn.Linear(2, 1, bias=False))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0], [2.0]]))
    >>> _ = net[1].weight.data.copy_(torch.tensor([[3.0, -2.0]]))
    >>> taylor(to_graph(net, torch.zeros(1, 1)), loss=lambda m: m(torch.ones(1, 1)).sum())
    {'0': tensor([6., 8.])}
    """
    module = graph.to_module().eval()
    parameters = {n: p.requires_grad_() for n, p in module.named_parameters() if p.is_floating_point()}
    with torch.enable_grad():
        value: object = loss(module)
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.requires_grad:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise UsageError(
                f"taylor: expected the loss closure to return a scalar tensor that depends on the weights, "
                f"got {shape}; return for example cross_entropy(module(x), y)"
            )
        if not bool(value.isfinite()):
            raise UsageError(
                f"taylor: expected a finite loss, got {float(value.detach())}; check weights and data for NaN"
            )
        gradients: Sequence[Tensor | None] = torch.autograd.grad(
            value.reshape(()), list(parameters.values()), allow_unused=True
        )
    change = {
        name: (weight.detach() * gradient).float()
        for (name, weight), gradient in zip(parameters.items(), gradients, strict=True)
        if gradient is not None
    }
    return {name: s.abs() for name, s in node_sums(graph.structure, change, across="sum").items()}
