"""One gradient of the meta-objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from netgraph.graph import CostModel, NeuralGraph
from netgraph.pruning.criteria import l2
from netgraph.pruning.gates import budget_gates, gate, score_gates
from netgraph.pruning.meta_config import MetaTrainConfig
from netgraph.pruning.meta_read import Reading, read_network
from netgraph.pruning.ranking import uniform_ranking
from netgraph.pruning.soft_cost import soft_macs
from netgraph.pruning.sparsity import sparsity_penalty

__all__ = ["MetaLoss", "decided_gates", "meta_gradient"]


class MetaLoss(NamedTuple):
    """The parts of the meta-objective, weighted as they are summed up.

    Attributes:
        task: mean loss of the rewritten network; zero if nothing is rewritten.
        penalty: sparsity of the rewritten weights.
        decision: mean loss of the network that is cut as decided; None if nothing is decided.
        overrun: penalty on what that network costs above the target; likewise.
    """

    task: float
    penalty: float
    decision: float | None = None
    overrun: float | None = None


def meta_gradient(
    metanetwork: nn.Module,
    graph: NeuralGraph,
    module: nn.Module,
    batches: Sequence[tuple[Tensor, Tensor]],
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    config: MetaTrainConfig,
    target: float,
) -> MetaLoss:
    """Add the gradient of the meta-objective to the metanetwork's parameters.

    With `w'` the rewritten weights, `g` the gates of the decision (`decided_gates`) and `f` run in train mode
    (batch statistics), means being taken over batches,

        L = mean loss(f(x; w'), y) + sparsity * sparsity_penalty(w')
          + decision * mean loss(f(x; gate(w', g)), y) + overrun * max(0, soft_macs(g) / target - 1).

    What the metanetwork does not give is left out: the first line without new weights, which are then the
    old ones in the second, and the second without scores and budgets. The gradients with respect to `w'` and
    `g` are summed up first, then one backward pass goes through the metanetwork, so memory does not grow with
    the number of batches.

    Args:
        metanetwork: read by `read_network`, differentiable.
        graph: a trained network.
        module: `graph.to_module()` in train mode, made once; neither its weights nor its statistics change.
        batches: inputs and targets.
        loss: `(outputs, targets) -> scalar`.
        config: weights of the parts, `alpha`, `relative`, and how gates are made.
        target: share of the MACs that a decision is asked for.

    Returns:
        The parts of the loss.
    """
    structure = graph.structure
    reading = read_network(metanetwork, graph, target)
    macs = target * CostModel(structure).macs()
    gates = decided_gates(graph, reading, macs, config)
    made = {f"value {n}": t for n, t in (reading.values or {}).items()}
    made |= {f"gate {n}": t for n, t in (gates or {}).items()}
    cut = {n: t.detach().requires_grad_(t.requires_grad) for n, t in made.items()}
    values = {n: cut[f"value {n}"] for n in reading.values or {}}
    leaves = {n: cut[f"gate {n}"] for n in gates or {}}
    base = {t.name: graph.state[t.name] for t in structure.tensors if t.kind == "parameter"} | values
    buffers = [t.name for t in structure.tensors if t.kind == "buffer"]

    def run(state: Mapping[str, Tensor], inputs: Tensor, targets: Tensor, weight: float) -> float:
        fresh = {n: graph.state[n].clone() for n in buffers}
        value = weight * loss(functional_call(module, {**state, **fresh}, (inputs,)), targets) / len(batches)
        value.backward()
        return float(value.detach())

    task = decision = 0.0
    for inputs, targets in batches:
        if values:
            task += run(values, inputs, targets, 1.0)
        if gates and config.decision:
            gated = base | gate(structure, base, leaves)
            decision += run(gated, inputs, targets, config.decision)
    penalty = overrun = torch.zeros(())
    if values:
        penalty = config.sparsity * sparsity_penalty(
            structure, values, config.alpha, relative=config.relative
        )
    if gates:
        overrun = config.overrun * (soft_macs(structure, leaves) / max(macs, 1e-30) - 1).clamp(min=0)
    for part in (penalty, overrun):
        if part.requires_grad:
            part.backward()
    moved = [n for n, leaf in cut.items() if leaf.grad is not None]
    torch.autograd.backward([made[n] for n in moved], [cut[n].grad for n in moved])
    if not gates:
        return MetaLoss(task, float(penalty.detach()))
    return MetaLoss(task, float(penalty.detach()), decision, float(overrun.detach()))


def decided_gates(
    graph: NeuralGraph, reading: Reading, macs: float, config: MetaTrainConfig
) -> dict[str, Tensor] | None:
    """Gates that carry out what a metanetwork decides; None if it decides nothing.

    Scores alone are cut at one threshold for the whole network, so that the target is met (`score_gates`).
    Budgets say how many nodes of a group are kept, and scores which (`budget_gates`); without scores it is
    those of the highest group norm `l2`.
    """
    if reading.budgets is None:
        if reading.scores is None:
            return None
        return score_gates(
            graph.structure, reading.scores, macs, temperature=config.temperature, hard=config.hard
        )
    scores = reading.scores if reading.scores is not None else _by_norm(graph)
    return budget_gates(reading.budgets, scores, temperature=config.temperature, hard=config.hard)


@torch.no_grad()
def _by_norm(graph: NeuralGraph) -> dict[str, Tensor]:
    """Logits of the rank inside the group by the group norm: spread alike in every group."""
    ranks = uniform_ranking(l2(graph))
    device = next((t.device for t in graph.state.values()), torch.device("cpu"))
    return {n: torch.logit(rank - 0.5 / len(rank)).float().to(device) for n, rank in ranks.items()}
