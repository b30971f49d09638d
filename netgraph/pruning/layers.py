"""How much whole layers matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch

from netgraph.graph import Branch, NeuralGraph, branches
from netgraph.pruning.criteria import Scores

__all__ = ["LayerScores", "layer_scores"]

LayerScores: TypeAlias = Callable[[NeuralGraph], Mapping[str, float]]
"""Scores the branches of a graph by name; higher means more important. Branches left out are kept."""


@torch.no_grad()
def layer_scores(graph: NeuralGraph, scores: Scores) -> dict[str, float]:
    """A score per residual branch, on the scale of the scores of nodes.

    `score(b) = mean(scores of the nodes in b's own groups) * strength(b) / max over c of strength(c)`, where
    `strength(b)` is the mean over b's own parameters of `|w| / sqrt(target nodes)`: how large the weights
    into one node are. Criteria make the scores of a group relative to that group, so that nodes alone do not
    tell a weak branch from a strong one. A branch without groups of its own takes the mean over the nodes of
    all groups.

    Args:
        graph: any graph.
        scores: what a criterion says of its nodes.

    >>> from netgraph.convert import to_graph
    >>> from netgraph.pruning.criteria import l2
    >>> from netgraph.zoo import CifarResNet
    >>> net = CifarResNet(2, widths=(2, 4, 6))
    >>> for parameter in net.layer2[1].parameters():
    ...     _ = parameter.data.mul_(0.01)
    >>> graph = to_graph(net, torch.zeros(1, 3, 8, 8))
    >>> found = layer_scores(graph, l2(graph))
    >>> min(found, key=found.get)
    'layer2.1'
    """
    found = branches(graph.structure)
    strengths = {b.name: _strength(graph, b) for b in found}
    largest = max(strengths.values(), default=0.0) or 1.0
    everywhere = _mean(scores, list(scores))
    return {
        b.name: _mean(scores, [g for g in b.groups if g in scores], everywhere) * strengths[b.name] / largest
        for b in found
    }


def _strength(graph: NeuralGraph, branch: Branch) -> float:
    norms = []
    for name in branch.tensors:
        spec, tensor = graph.structure.tensor[name], graph.state[name]
        if spec.kind == "parameter" and tensor.is_floating_point() and tensor.numel():
            targets = 1 if spec.out_axis is None else spec.shape[spec.out_axis]
            norms.append(float(tensor.double().square().sum().div(targets).sqrt()))
    return sum(norms) / max(len(norms), 1)


def _mean(scores: Scores, names: list[str], otherwise: float = 1.0) -> float:
    nodes = [scores[n].detach().double().cpu() for n in names]
    return float(torch.cat(nodes).mean()) if nodes else otherwise
