"""How good a metanetwork is: what is left of held-out networks after it prepared them for a cut."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from torch import nn

from netgraph.errors import UsageError
from netgraph.graph import CostModel, NeuralGraph, select
from netgraph.pruning.budget import Budget
from netgraph.pruning.criteria import l2
from netgraph.pruning.decide import MetaPruner
from netgraph.pruning.fit import fit_mask

__all__ = ["Validation", "validate"]


@final
@dataclass(frozen=True, eq=False)
class Validation:
    """The held-out networks of a meta-training, and the measure.

    Attributes:
        models: networks that meta-training does not see.
        score: of a network on validation data, higher is better; it chooses between eval and train mode.
        budget: what each network is cut to, in MACs or parameters.
        finetune: trains the cut network in place before it is scored, or at least refreshes its running
            statistics (`refresh_statistics`); None for nothing.

    Raises:
        UsageError: no model, or a budget in latency.
    """

    models: Sequence[NeuralGraph]
    score: Callable[[nn.Module], float]
    budget: Budget
    finetune: Callable[[nn.Module], object] | None = None

    def __post_init__(self) -> None:
        if not self.models or self.budget.kind == "latency_ms":
            raise UsageError(
                f"validation: expected at least one network and a budget in MACs or parameters, got "
                f"{len(self.models)} and one in {self.budget.kind}; e.g. Budget(macs=0.5)"
            )


def validate(validation: Validation | Sequence[Validation], metanetwork: nn.Module | None = None) -> float:
    """Mean score of the validation networks after what the metanetwork does to them, a cut, and finetuning.

    A metanetwork that gives new weights rewrites; one that gives scores or budgets says what is cut, at the
    budget's share of the MACs, and without them it is the group norm `l2` (`MetaPruner`). `metanetwork=None`
    leaves all that out: the baseline that a metanetwork must beat. Of several validations, all networks count
    alike.

    >>> import torch
    >>> from netgraph.convert import to_graph
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> graph = to_graph(net, torch.zeros(1, 4))
    >>> validate(Validation([graph], lambda module: module.get_parameter("0.bias").numel(), Budget(macs=0.5)))
    4.0
    """
    held_out = [validation] if isinstance(validation, Validation) else validation
    return statistics.fmean(_score(held, graph, metanetwork) for held in held_out for graph in held.models)


def _score(validation: Validation, graph: NeuralGraph, metanetwork: nn.Module | None) -> float:
    cost = CostModel(graph.structure)
    scores = l2
    if metanetwork is not None:
        share = validation.budget.target(cost) / cost.macs() if validation.budget.kind == "macs" else None
        pruner = MetaPruner(metanetwork, target=share)
        graph, scores = pruner.rewrite(graph), pruner.scores
    mask = fit_mask(
        graph.structure,
        scores(graph),
        cost.macs if validation.budget.kind == "macs" else cost.params,
        validation.budget.target(cost),
    )
    module = select(graph, mask).to_module()
    if validation.finetune is not None:
        validation.finetune(module)
    return float(validation.score(module))
