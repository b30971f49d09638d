"""One trained network in, a smaller one out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Protocol, runtime_checkable

from torch import nn
from torch.optim import Optimizer

from netgraph.convert import apply_mask, cuttable, droppable, to_graph
from netgraph.convert.propagate import Product
from netgraph.convert.trace import Inputs
from netgraph.errors import UsageError
from netgraph.graph import CostModel, NeuralGraph, NodeMask, branches, constraints, select
from netgraph.nn.factorised import FactorisedMetanetwork
from netgraph.pruning.budget import Budget
from netgraph.pruning.criteria import Criterion, Loss, Scores, resolve_criterion
from netgraph.pruning.decide import MetaPruner
from netgraph.pruning.fit import fit_mask
from netgraph.pruning.ignored import ignored_branches, ignored_groups
from netgraph.pruning.latency import compare_latency, measure_latency
from netgraph.pruning.layers import LayerScores, layer_scores
from netgraph.pruning.progress import Progress, silent
from netgraph.pruning.ranking import Ranking
from netgraph.pruning.report import PruneReport
from netgraph.pruning.result import PruneResult
from netgraph.pruning.schedule import geometric_schedule
from netgraph.pruning.width import smallest_width
from netgraph.pruning.working_copy import WorkingCopy, composed, read_state

__all__ = ["Rewriter", "ScoringRewriter", "prune"]


@runtime_checkable
class Rewriter(Protocol):
    """A metanetwork, as far as pruning is concerned: it gives a network new weights."""

    def rewrite(self, graph: NeuralGraph) -> NeuralGraph:
        """The same structure with other weights, or the graph itself to leave the network as it is."""
        ...


@runtime_checkable
class ScoringRewriter(Rewriter, Protocol):
    """A metanetwork that also says which nodes to keep (`MetaPruner`)."""

    def scores(self, graph: NeuralGraph) -> Scores:
        """A score per node and hidden group."""
        ...


def prune(
    module: nn.Module,
    example_inputs: Inputs,
    *,
    budget: Budget,
    criterion: str | Criterion | Rewriter = "l2",
    finetune: Callable[[nn.Module], object] | None = None,
    loss: Loss | None = None,
    ranking: str | Ranking = "global",
    ignore: Iterable[str] = (),
    min_keep: int | float = 1,
    round_to: int = 1,
    steps: int = 1,
    inplace: bool = False,
    optimizer: Optimizer | None = None,
    rebuild: bool = False,
    layers: bool | LayerScores = False,
    product: Product = "outer",
    metric: Callable[[nn.Module], float] | None = None,
    latency: bool = False,
    progress: Progress | None = None,
) -> PruneResult:
    """Cut the least important channels of a network until it fits a budget.

    Each step scores all nodes, drops the lowest until the step's share of the budget is met
    (`geometric_schedule`), and finetunes. A metanetwork first rewrites the weights, the result is finetuned,
    and is then ranked by the group norm `l2`, or by its own scores if it gives some (`MetaPruner`). The cost
    of the result is at most the budget.

    Args:
        module: a trained network. Left untouched, unless `inplace` and everything succeeded.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments; latency is measured
            on them.
        budget: what the result may cost.
        criterion: the name of a registered criterion, a function `graph -> {group: scores}`, or a
            metanetwork. One with several heads rewrites, ranks and divides the budget, whichever it has heads
            for (`MetaPruner`).
        finetune: trains the module that it is given, in place; called after a rewriting and after every
            step.
        loss: `module -> scalar` on some data, for criteria that need gradients (`"taylor"`).
        ranking: `"global"` compares nodes across groups, `"uniform"` takes the same share of every group.
        ignore: groups, modules or tensors whose output channels stay, by name or glob (`ignored_groups`).
        min_keep: nodes that every group keeps: a number (int) or a share of the original (float).
        round_to: kept widths are multiples of this, or the whole group.
        steps: number of cuts.
        inplace: shrink `module` itself at the end.
        optimizer: with `inplace`, an optimiser over the module's parameters, whose state is cut along
            (`netgraph.convert.apply_mask`).
        rebuild: return `select(graph, mask).to_module()`, which can also cut groups that the module's own
            code does not allow to cut (`netgraph.convert.cuttable`), and loses the module's class.
        layers: leave out whole residual branches (`netgraph.graph.branches`) as well, in one order with the
            nodes: True scores them by `layer_scores`, a function `graph -> {branch: score}` as it says.
            Without `rebuild`, those that the module's class can do without (`netgraph.convert.droppable`).
            Branches that `ignore` names stay.
        product: where channels form a table (attention heads x their dimensions, convolution groups x
            their channels), `"outer"` drops whole heads or groups, `"inner"` the same places of each.
        metric: measured before and after, for the report.
        latency: measure latency before and after, for the report (a budget in latency does so anyway).
        progress: told about every stage.

    Raises:
        BudgetError: the budget cannot be reached.
        UsageError: an option is wrong, or a weight is not finite.
        ConversionError: the module does not run on the example inputs.
        SurgeryError: the module's own code does not run with fewer channels.

    Paper: Liu et al., Meta Pruning via Graph Metanetworks, 2025, arXiv 2506.12041; Fang et al., DepGraph,
    CVPR 2023.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> result = prune(net, torch.zeros(1, 4), budget=Budget(macs=0.5))
    >>> result.module(torch.zeros(3, 4)).shape, result.report.speedup, net[0].out_features
    (torch.Size([3, 2]), 2.0, 8)
    """
    if inplace and rebuild:
        raise UsageError(
            "prune: expected inplace or rebuild, got both; a rebuilt network is a new module, so pass one"
        )
    if optimizer is not None and not inplace:
        raise UsageError(
            "prune: expected inplace=True with an optimizer, got a copy to be cut, whose parameters the "
            "optimizer does not know; prune in place, or make a new optimizer for the result"
        )
    given: object = budget
    if not isinstance(given, Budget):
        raise UsageError(f"prune: expected a Budget, got {given!r}; pass e.g. budget=Budget(macs=0.5)")
    graph = to_graph(module, example_inputs, product=product)
    _check_finite(graph, "the network")
    judge = _judge(criterion, budget, graph)
    score = _ranks_by(judge, loss)
    groups = _candidates(module, graph, ignore, rebuild)
    sizes = {g.name: g.size for g in graph.structure.groups}
    floors = {name: smallest_width(sizes[name], min_keep, round_to) for name in groups}
    offered = {} if layers is False else _branches(module, graph, ignore, rebuild)
    target = budget.target(CostModel(graph.structure))
    tell = progress if progress is not None else silent

    work = WorkingCopy(module, graph, rebuild)

    def cost(mask: NodeMask) -> float:
        return _cost(budget, work.graph, mask, example_inputs)

    def fit(bound: float) -> NodeMask:
        scores = score(work.graph)
        return fit_mask(
            work.graph.structure,
            scores,
            cost,
            bound,
            floors=floors,
            branches=_layer_scores(work.graph, scores, layers, offered),
            ranking=ranking,
            round_to=round_to,
            unit=_UNITS[budget.kind],
        )

    targets = geometric_schedule(cost(NodeMask({})), target, steps)
    metric_before = None if metric is None else float(metric(module))
    if isinstance(judge, Rewriter) or len(targets) > 1:
        fit(target)  # an unreachable budget is to be told before the long work, not after it
    if isinstance(judge, Rewriter):
        tell("rewrite", 0, 1)
        rewritten = judge.rewrite(work.graph)
        if rewritten is not work.graph:
            _check_finite(rewritten, "the rewritten network")
            work.load(rewritten)
            _finetune(finetune, work)
        tell("rewrite", 1, 1)
    mask = NodeMask({})
    for done, bound in enumerate(targets):
        tell("cut", done, len(targets))
        step = fit(bound)
        mask = composed(mask, step, _present(work.graph, offered))
        work.cut(step)
        _finetune(finetune, work)
    tell("cut", len(targets), len(targets))

    result = work.module
    metric_after = None if metric is None else float(metric(result))
    times: list[float] | list[None] = [None, None]
    if latency or budget.kind == "latency_ms":
        times = compare_latency([module, result], example_inputs)
    pruned = CostModel(work.graph.structure)
    before = CostModel(graph.structure)
    report = PruneReport(
        criterion=criterion if isinstance(criterion, str) else _name(criterion),
        budget=_in_words(budget),
        steps=len(targets),
        macs_before=before.macs(),
        macs_after=pruned.macs(),
        params_before=before.params(),
        params_after=pruned.params(),
        widths_before=_widths(graph),
        widths_after={**dict.fromkeys(_widths(graph), 0), **_widths(work.graph)},
        latency_before=times[0],
        latency_after=times[1],
        metric_before=metric_before,
        metric_after=metric_after,
        skipped=tuple(n for n in offered.values() if n in mask.skip),
        constraints={n: text for n, text in constraints(graph.structure).items() if n in groups},
    )
    if inplace:
        apply_mask(module, graph, mask, inplace=True, optimizer=optimizer)
        module.load_state_dict(result.state_dict())
        result = module
    return PruneResult(result, mask, report, read_state(result, work.graph))


_UNITS = {"macs": "MACs", "params": "parameters", "latency_ms": "ms"}


def _judge(
    criterion: str | Criterion | Rewriter, budget: Budget, graph: NeuralGraph
) -> str | Criterion | Rewriter:
    """The criterion as given; a metanetwork of several heads is told what is asked for, and obeyed in all."""
    if not isinstance(criterion, FactorisedMetanetwork):
        return criterion
    if budget.kind != "macs":
        return MetaPruner(criterion)
    cost = CostModel(graph.structure)
    return MetaPruner(criterion, target=min(budget.target(cost) / max(cost.macs(), 1), 1.0))


def _ranks_by(criterion: str | Criterion | Rewriter, loss: Loss | None) -> Criterion:
    if isinstance(criterion, ScoringRewriter):
        return criterion.scores
    return resolve_criterion("l2" if isinstance(criterion, Rewriter) else criterion, loss)


def _candidates(module: nn.Module, graph: NeuralGraph, ignore: Iterable[str], rebuild: bool) -> list[str]:
    ignored = ignored_groups(graph.structure, ignore)
    allowed = None if rebuild else cuttable(module, graph)
    return [
        g.name
        for g in graph.structure.groups
        if g.role == "hidden" and g.name not in ignored and (allowed is None or g.name in allowed)
    ]


def _branches(module: nn.Module, graph: NeuralGraph, ignore: Iterable[str], rebuild: bool) -> dict[str, str]:
    """Names of the branches that may go, by the sum that they end in."""
    ignored = ignored_branches(graph.structure, ignore)
    allowed = None if rebuild else droppable(module, graph)
    return {
        b.join: b.name
        for b in branches(graph.structure)
        if b.name not in ignored and (allowed is None or b.name in allowed)
    }


def _present(graph: NeuralGraph, offered: Mapping[str, str]) -> dict[str, str]:
    """The branches that are still there: what they are called now, and what they were called at first."""
    if not offered:
        return {}
    return {b.name: offered[b.join] for b in branches(graph.structure) if b.join in offered}


def _layer_scores(
    graph: NeuralGraph, scores: Scores, layers: bool | LayerScores, offered: Mapping[str, str]
) -> dict[str, float]:
    present = _present(graph, offered)
    if not present:
        return {}
    found = layers(graph) if callable(layers) else layer_scores(graph, scores)
    if unknown := set(found) - {b.name for b in branches(graph.structure)}:
        raise UsageError(
            f"layers: expected scores of branches, got one for {min(unknown)!r}, which the graph does not "
            f"have; its branches are {', '.join(list(present)[:5])} ..."
        )
    return {name: float(found[name]) for name in present if name in found}


def _cost(budget: Budget, graph: NeuralGraph, mask: NodeMask, example_inputs: Inputs) -> float:
    if budget.kind == "latency_ms":
        return measure_latency(select(graph, mask).to_module(), example_inputs)
    model = CostModel(graph.structure)
    return model.macs(mask) if budget.kind == "macs" else model.params(mask)


def _check_finite(graph: NeuralGraph, what: str) -> None:
    for spec in graph.structure.tensors:
        name, tensor = spec.name, graph.state[spec.name]
        if spec.kind == "parameter" and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise UsageError(
                f"prune: expected finite weights in {what}, got NaN or infinity in {name!r}; "
                "load weights that were trained without overflow"
            )


def _finetune(finetune: Callable[[nn.Module], object] | None, work: WorkingCopy) -> None:
    if finetune is not None:
        finetune(work.module)
        work.refresh()


def _widths(graph: NeuralGraph) -> Mapping[str, int]:
    return {g.name: g.size for g in graph.structure.groups if g.role == "hidden"}


def _name(criterion: object) -> str:
    return getattr(criterion, "__name__", type(criterion).__name__)


def _in_words(budget: Budget) -> str:
    given = {f.name: getattr(budget, f.name) for f in fields(budget)}
    return ", ".join(f"{n}={v:g}" for n, v in given.items() if v is not None)
