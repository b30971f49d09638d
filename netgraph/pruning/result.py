"""What a pruning returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import nn

from netgraph.graph import NeuralGraph, NodeMask
from netgraph.pruning.report import PruneReport

__all__ = ["PruneResult"]


@final
@dataclass(frozen=True, eq=False)
class PruneResult:
    """A pruned network and how it came about.

    Attributes:
        module: the smaller network: of the user's own class, or a `torch.fx.GraphModule` if it was rebuilt.
        mask: which nodes of the *original* graph are kept, with an entry for every group that lost some.
        report: costs before and after.
        graph: the smaller network as a graph; its state is the module's own storage.

    >>> import torch
    >>> from netgraph.pruning import Budget, prune
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> result = prune(net, torch.zeros(1, 4), budget=Budget(macs=0.5))
    >>> result.module[0].out_features, int(result.mask.keep["0"].sum()), result.graph.num_nodes
    (4, 4, 10)
    """

    module: nn.Module
    mask: NodeMask
    report: PruneReport
    graph: NeuralGraph
