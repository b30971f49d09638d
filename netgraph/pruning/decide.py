"""A metanetwork as a way to prune: it rewrites, ranks, and says how wide each layer should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from netgraph.graph import NeuralGraph
from netgraph.pruning.criteria import Scores, l2
from netgraph.pruning.meta_read import read_network

__all__ = ["MetaPruner"]


@final
class MetaPruner:
    """What `prune(criterion=...)` takes to do all that a metanetwork's heads say.

    - New weights: the network is rewritten and finetuned before it is ranked. Without them it is neither.
    - Keep scores: nodes are ranked by them, across groups, and by the group norm `l2` without them.
    - Budgets: groups keep nodes in proportion to their budgets, whatever the cost that must be met: the node
      of rank `r` (0 is the best) in a group of `n` has priority `-(r + 1/2) / (budget n)`.

    Scores and budgets are read from the network as it is when it is to be cut: after finetuning, and anew
    before each step.

    Args:
        metanetwork: a module that `read_network` can read.
        target: share of the MACs to keep, which the metanetwork is told; None to tell it nothing.

    >>> from netgraph.convert import to_graph
    >>> from netgraph.nn.factorised import FactorisedConfig, FactorisedMetanetwork
    >>> from netgraph.pruning import Budget, prune
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> meta = FactorisedMetanetwork(FactorisedConfig(hidden=4, layers=1, heads=("rewrite", "scores")))
    >>> pruner = MetaPruner(meta, target=0.5)
    >>> prune(net, torch.zeros(1, 4), budget=Budget(macs=0.5), criterion=pruner).report.widths_after
    {'0': 4}
    """

    def __init__(self, metanetwork: nn.Module, *, target: float | None = None) -> None:
        self.metanetwork = metanetwork
        self.target = target

    @torch.no_grad()
    def rewrite(self, graph: NeuralGraph) -> NeuralGraph:
        """The graph with new weights; the graph itself if the metanetwork gives none."""
        values = read_network(self.metanetwork, graph, self.target).values
        return graph if values is None else graph.replace({n: v.detach() for n, v in values.items()})

    @torch.no_grad()
    def scores(self, graph: NeuralGraph) -> Scores:
        """A priority per node of the hidden groups; it compares across groups."""
        reading = read_network(self.metanetwork, graph, self.target)
        scores = l2(graph) if reading.scores is None else reading.scores
        return scores if reading.budgets is None else _shared(scores, reading.budgets)


def _shared(scores: Mapping[str, Tensor], budgets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for name, score in scores.items():
        if name in budgets:
            place = torch.empty(len(score), dtype=torch.float64, device=score.device)
            order = torch.argsort(score, descending=True, stable=True)
            place[order] = torch.arange(len(score), dtype=torch.float64, device=score.device)
            found[name] = -(place + 0.5) / (budgets[name].double() * len(score))
    return found
