"""Scales of the norms that follow a channel."""

from __future__ import annotations

import torch

from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph, Ref
from netgraph.pruning.criteria.node_sums import node_sums
from netgraph.pruning.criteria.registry import Scores, criterion

__all__ = ["bn_scale"]

_WEIGHT_POSITION = {
    "batch_norm": 1,
    "instance_norm": 1,
    "layer_norm": 2,
    "group_norm": 2,
    "rms_norm": 2,
    "native_batch_norm": 1,
    "native_layer_norm": 2,
    "native_group_norm": 1,
}


@criterion("bn_scale")
@torch.no_grad()
def bn_scale(graph: NeuralGraph) -> Scores:
    """Mean of `|weight|` over the norms that scale a node.

    `score_k = mean over norms n of node k of |gamma_nk|`. Groups that no norm scales are left out,
    that is kept whole: there is nothing to compare them by.

    Raises:
        UsageError: no hidden group has a norm with a weight.

    Paper: Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017.

    >>> import torch
    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.Conv2d(2, 1, 1))
    >>> _ = net[1].weight.data.copy_(torch.tensor([-3.0, 2.0]))
    >>> bn_scale(to_graph(net, torch.zeros(2, 1, 4, 4)))
    {'0': tensor([3., 2.])}
    """
    structure = graph.structure
    scales = {}
    for op in structure.operators:
        position = _WEIGHT_POSITION.get(op.kind)
        if position is None:
            continue
        given = op.args[position] if len(op.args) > position else dict(op.kwargs).get("weight")
        if (
            isinstance(given, Ref)
            and given.kind == "tensor"
            and "float" in structure.tensor[given.name].dtype
        ):
            scales[given.name] = graph.state[given.name].float().abs()
    touched = node_sums(structure, {n: torch.ones_like(t) for n, t in scales.items()}, inside="mean")
    sums = node_sums(structure, scales, inside="mean")
    scored = {name: score for name, score in sums.items() if bool(touched[name].all())}
    if not scored:
        raise UsageError(
            "bn_scale: expected at least one hidden group that a norm with a weight scales, got none; "
            "use another criterion, for example 'l2'"
        )
    return scored
