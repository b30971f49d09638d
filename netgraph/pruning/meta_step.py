"""One gradient of the meta-objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from netgraph.graph import NeuralGraph
from netgraph.pruning.sparsity import sparsity_penalty

__all__ = ["meta_gradient"]


def meta_gradient(
    metanetwork: nn.Module,
    graph: NeuralGraph,
    module: nn.Module,
    batches: Sequence[tuple[Tensor, Tensor]],
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    sparsity: float,
    alpha: float,
    relative: bool,
) -> tuple[float, float]:
    """Add the gradient of the meta-objective to the metanetwork's parameters.

    `L = mean over batches of loss(f(x; w'), y) + sparsity * sparsity_penalty(w')`, with `w'` the rewritten
    weights and `f` run in train mode (batch statistics). The gradient with respect to `w'` is summed up
    first, then one backward pass goes through the metanetwork, so memory does not grow with the number of
    batches.

    Args:
        metanetwork: `graph -> {parameter: new value}`, differentiable.
        graph: a trained network.
        module: `graph.to_module()` in train mode, made once; neither its weights nor its statistics change.
        batches: inputs and targets.
        loss: `(outputs, targets) -> scalar`.
        sparsity: lambda.
        alpha, relative: see `sparsity_penalty`.

    Returns:
        The mean loss, and lambda times the penalty.
    """
    rewritten = metanetwork(graph)
    leaves = {n: t.detach().requires_grad_(t.requires_grad) for n, t in rewritten.items()}
    buffers = [t.name for t in graph.structure.tensors if t.kind == "buffer"]
    task = 0.0
    for inputs, targets in batches:
        state = leaves | {n: graph.state[n].clone() for n in buffers}
        value = loss(functional_call(module, state, (inputs,)), targets) / len(batches)
        value.backward()
        task += float(value.detach())
    penalty = sparsity * sparsity_penalty(graph.structure, leaves, alpha, relative=relative)
    if penalty.requires_grad:
        penalty.backward()
    moved = [n for n, leaf in leaves.items() if leaf.grad is not None]
    torch.autograd.backward([rewritten[n] for n in moved], [leaves[n].grad for n in moved])
    return task, float(penalty.detach())
