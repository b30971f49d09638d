"""What prune does with each head of a metanetwork."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from netgraph.graph import CostModel
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.nn.factorised import FactorisedConfig, FactorisedMetanetwork
from netgraph.pruning import Budget, MetaPruner, Validation, fit_mask, l2, prune, validate
from tests.pruning.heads import Heads
from tests.pruning.nets import make, make_graph


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, module: nn.Module) -> None:
        self.calls += 1


@pytest.mark.parametrize(
    ("heads", "rewrites"),
    [(("scores",), 0), (("rewrite", "scores"), 1), (("rewrite",), 1), (("budgets",), 0)],
)
def test_only_what_is_rewritten_is_finetuned_before_the_cut(heads: tuple[str, ...], rewrites: int) -> None:
    net, x = make("digits")
    finetune = Counter()
    prune(net, x, budget=Budget(macs=0.5), criterion=MetaPruner(Heads(*heads)), finetune=finetune)
    assert finetune.calls == rewrites + 1


def test_scores_choose_what_goes() -> None:
    net, x = make("digits")
    meta = Heads("scores")
    result = prune(net, x, budget=Budget(macs=0.5), criterion=MetaPruner(meta))
    graph = make_graph("digits")
    said = meta.read(graph).scores
    assert said is not None
    cost = CostModel(graph.structure)
    expected = fit_mask(
        graph.structure, {n: s.detach() for n, s in said.items()}, cost.macs, 0.5 * cost.macs()
    )
    assert result.mask == expected
    assert result.mask != prune(net, x, budget=Budget(macs=0.5)).mask


def test_without_scores_the_rewritten_norm_chooses() -> None:
    net, x = make("digits")
    meta = Metanetwork(MetanetworkConfig(hidden=4, layers=1, rho=0.2))
    wrapped = prune(net, x, budget=Budget(macs=0.5), criterion=MetaPruner(meta))
    plain = prune(net, x, budget=Budget(macs=0.5), criterion=meta)
    assert wrapped.mask == plain.mask
    ours, theirs = wrapped.module.state_dict(), plain.module.state_dict()
    assert all(torch.equal(t, theirs[n]) for n, t in ours.items())


def shares(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, float]:
    return {n: after[n] / before[n] for n in before}


@pytest.mark.parametrize("macs", [0.7, 0.4, 0.2])
def test_budgets_stay_in_proportion_at_every_cost(macs: float) -> None:
    graph = make_graph("mlp")
    meta = Heads("budgets")
    scores = MetaPruner(meta, target=macs).scores(graph)
    cost = CostModel(graph.structure)
    mask = fit_mask(graph.structure, scores, cost.macs, macs * cost.macs())
    said = meta.read(graph, target=macs).budgets
    assert said is not None
    widths = {n: int(mask.keep[n].sum()) if n in mask.keep else len(s) for n, s in scores.items()}
    wanted = {n: float(said[n].detach()) * len(s) for n, s in scores.items()}
    times = [widths[n] / wanted[n] for n in widths if widths[n] < len(scores[n])]
    slack = max(1 / wanted[n] for n in widths)
    assert max(times) - min(times) <= slack  # as equal as whole nodes can be
    for n, kept in mask.keep.items():
        best = l2(graph)[n].topk(int(kept.sum())).indices
        assert set(best.tolist()) == set(kept.nonzero().flatten().tolist())


def test_budgets_and_scores_work_together() -> None:
    graph = make_graph("mlp")
    meta = Heads("budgets", "scores")
    with torch.no_grad():
        meta.norm.fill_(-1.0)  # now the smallest norms are the best
    scores = MetaPruner(meta).scores(graph)
    for n, s in scores.items():
        assert torch.equal(s.argsort(), l2(graph)[n].argsort(descending=True))


@pytest.mark.parametrize("name", ["mlp-norm", "concat", "attention"])
@pytest.mark.parametrize(
    "heads", [("rewrite", "scores"), ("budgets",), ("rewrite", "scores", "budgets")], ids=str
)
def test_a_factorised_metanetwork_prunes_every_kind_of_network(name: str, heads: tuple[str, ...]) -> None:
    net, x = make(name)
    torch.manual_seed(0)
    meta = FactorisedMetanetwork(FactorisedConfig(hidden=4, layers=1, heads=heads))
    result = prune(net, x, budget=Budget(macs=0.85), criterion=MetaPruner(meta, target=0.85))
    assert type(result.module) is type(net)
    assert result.report.macs_after <= 0.85 * result.report.macs_before
    assert result.report.criterion == "MetaPruner"


def test_validation_does_what_prune_does() -> None:
    net, x = make("digits")
    meta = Heads("rewrite", "scores")
    result = prune(net, x, budget=Budget(macs=0.5), criterion=MetaPruner(meta, target=0.5))

    def score(module: nn.Module) -> float:
        return float(module.eval()(x).sum().detach())

    value = validate(Validation([make_graph("digits")], score, Budget(macs=0.5)), meta)
    assert value == pytest.approx(score(result.module), rel=1e-4)


def test_several_validations_count_network_by_network() -> None:
    held = [
        Validation([make_graph("mlp")], lambda m: 1.0, Budget(macs=0.5)),
        Validation([make_graph("mlp"), make_graph("mlp-norm")], lambda m: 4.0, Budget(params=0.5)),
    ]
    assert validate(held) == validate(held, Heads("scores")) == 3.0


def test_the_metanetwork_is_told_the_target() -> None:
    told: list[float | None] = []

    class Spy(Heads):
        def read(self, graph, *, target=None):  # type: ignore[no-untyped-def]
            told.append(target)
            return super().read(graph, target=target)

    graph = make_graph("mlp")
    MetaPruner(Spy("scores"), target=0.3).scores(graph)
    MetaPruner(Spy("scores")).rewrite(graph)
    validate(Validation([graph], lambda m: 0.0, Budget(speedup=4.0)), Spy("scores"))
    assert told == [0.3, None, 0.25, 0.25]


def test_gradients_are_left_out() -> None:
    scores = MetaPruner(Heads("scores", "budgets")).scores(make_graph("mlp"))
    assert not any(isinstance(s, Tensor) and s.requires_grad for s in scores.values())


@pytest.mark.parametrize(("budget", "share"), [(Budget(macs=0.5), 0.5), (Budget(params=0.5), None)])
def test_a_metanetwork_of_several_heads_is_obeyed_in_all(budget: Budget, share: float | None) -> None:
    net, x = make("digits")
    torch.manual_seed(0)
    meta = FactorisedMetanetwork(FactorisedConfig(hidden=4, layers=1, rho=0.3, heads=("rewrite", "scores")))
    direct = prune(net, x, budget=budget, criterion=meta)
    wrapped = prune(net, x, budget=budget, criterion=MetaPruner(meta, target=share))
    assert direct.mask == wrapped.mask
    ours, theirs = direct.module.state_dict(), wrapped.module.state_dict()
    assert all(torch.equal(t, theirs[n]) for n, t in ours.items())
    assert direct.mask != prune(net, x, budget=budget).mask
