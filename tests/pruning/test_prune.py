import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netgraph.convert import to_graph
from netgraph.errors import BudgetError, ConversionError, NetgraphError, UsageError
from netgraph.graph import CostModel, NeuralGraph, NodeMask, select
from netgraph.pruning import CRITERIA, Budget, l2, prune
from netgraph.zoo import MLP
from tests.pruning.nets import NAMES, make


def snapshot(net: nn.Module) -> dict[str, Tensor]:
    return {n: t.clone() for n, t in net.state_dict().items()}


def unchanged(net: nn.Module, before: dict[str, Tensor]) -> bool:
    now = net.state_dict()
    return list(now) == list(before) and all(torch.equal(t, before[n]) for n, t in now.items())


class Hardcoded(nn.Module):
    """Its forward holds a width that no attribute holds: `a` can only be cut by rebuilding."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a(x)).reshape(-1, 8)
        return self.c(F.relu(self.b(x)))


class Doubler:
    """A metanetwork that doubles every weight."""

    def rewrite(self, graph: NeuralGraph) -> NeuralGraph:
        weights = [t.name for t in graph.structure.tensors if t.kind == "parameter"]
        return graph.replace({n: graph.state[n] * 2 for n in weights})


@pytest.mark.parametrize(
    ("name", "criterion"),
    [*((name, "l2") for name in NAMES), *(("concat", c) for c in sorted(set(CRITERIA) - {"l2"}))],
)
def test_budget_is_met_class_is_kept_and_the_original_is_untouched(name: str, criterion: str) -> None:
    net, x = make(name)
    before = snapshot(net)
    budget = Budget(macs=0.6)
    rebuild = name == "attention"  # the width of its class must divide by its heads
    result = prune(
        net,
        x,
        budget=budget,
        criterion=criterion,
        loss=lambda m: m(x).square().mean(),
        rebuild=rebuild,
    )
    graph = to_graph(net, x)
    target = budget.target(CostModel(graph.structure))
    assert result.report.macs_after == CostModel(graph.structure).macs(result.mask) <= target
    assert (type(result.module) is type(net)) is not rebuild and not result.module.training
    assert unchanged(net, before)
    small = select(graph, result.mask)
    assert torch.allclose(result.module(x), small.to_module().eval()(x), atol=1e-6)
    assert result.graph == small
    assert result.report.widths_after == {
        g.name: g.size for g in small.structure.groups if g.role == "hidden"
    }


@pytest.mark.parametrize("name", ["mlp-norm", "digits", "pad", "concat"])
def test_pruned_output_is_the_originals_with_the_dropped_channels_at_zero(name: str) -> None:
    net, x = make(name)
    result = prune(net, x, budget=Budget(params=0.5))
    masked = result.mask.apply(to_graph(net, x)).to_module().eval()
    assert result.report.params_after <= 0.5 * result.report.params_before
    assert torch.allclose(result.module(x), masked(x), atol=1e-5)


@pytest.mark.parametrize("rebuild", [False, True])
def test_steps_score_anew_and_compose_to_one_mask(rebuild: bool) -> None:
    net, x = make("digits")
    seen: list[int] = []

    def score(graph: NeuralGraph) -> dict[str, Tensor]:
        seen.append(graph.num_nodes)
        return dict(l2(graph))

    trained: list[nn.Module] = []
    result = prune(
        net,
        x,
        budget=Budget(macs=0.3),
        criterion=score,
        steps=3,
        finetune=trained.append,
        rebuild=rebuild,
    )
    assert seen[0] == seen[1] > seen[2] > seen[3] > result.graph.num_nodes  # the first only looks ahead
    assert len(trained) == 3 and trained[-1] is result.module
    assert result.graph.state.keys() == to_graph(net, x).state.keys()
    small = select(to_graph(net, x), result.mask)
    assert all(torch.equal(t, result.graph.state[n]) for n, t in small.state.items())
    assert isinstance(result.module, torch.fx.GraphModule) is rebuild


def test_what_finetuning_changes_is_what_the_next_step_scores() -> None:
    net, x = make("mlp")
    scores: list[dict[str, Tensor]] = []

    def score(graph: NeuralGraph) -> dict[str, Tensor]:
        scores.append(dict(l2(graph)))
        return scores[-1]

    def finetune(module: nn.Module) -> None:
        for parameter in module.parameters():
            parameter.data = torch.arange(parameter.numel()).reshape(parameter.shape).float()

    result = prune(net, x, budget=Budget(macs=0.5), criterion=score, steps=2, finetune=finetune)
    width = len(scores[-1]["layers.0"])
    assert torch.equal(scores[-1]["layers.0"].argsort(), torch.arange(width))
    assert result.graph.state["layers.0.bias"].tolist() == list(range(result.module.layers[0].out_features))


@pytest.mark.parametrize("rebuild", [False, True])
def test_metanetwork_rewrites_finetunes_ranks_by_l2_cuts_finetunes(rebuild: bool) -> None:
    net, x = make("digits")
    before = snapshot(net)
    stages: list[tuple[str, int]] = []

    def finetune(module: nn.Module) -> None:
        stages.append(("finetune", sum(p.numel() for p in module.parameters())))
        if len(stages) == 2:  # "rewrite" is told first
            doubled = dict(module.named_parameters())["conv1.weight"]
            assert torch.equal(doubled, 2 * before["conv1.weight"])
            with torch.no_grad():
                doubled[1:] = 1e-3  # only node 0 of the stem stays large

    result = prune(
        net,
        x,
        budget=Budget(macs=0.6),
        criterion=Doubler(),
        finetune=finetune,
        rebuild=rebuild,
        progress=lambda stage, done, total: stages.append((stage, done)) if done == 0 else None,
    )
    assert [s for s, _ in stages] == ["rewrite", "finetune", "cut", "finetune"]
    assert stages[1][1] > stages[3][1]
    assert unchanged(net, before)
    assert result.report.criterion == "Doubler"
    expected = l2(to_graph(net, x).replace({"layer1.0.conv1.weight": 2 * before["layer1.0.conv1.weight"]}))
    assert expected.keys() == l2(result.graph).keys()
    rewritten = result.graph.state["linear.weight"]
    assert torch.equal(rewritten, 2 * select(to_graph(net, x), result.mask).state["linear.weight"])


def test_inplace_cuts_the_users_own_module() -> None:
    net, x = make("digits")
    first = net.conv1.weight
    result = prune(
        net, x, budget=Budget(macs=0.5), inplace=True, finetune=lambda m: m.linear.bias.data.fill_(7)
    )
    assert result.module is net and net.conv1.weight is first
    assert net.linear.bias.tolist() == [7.0] * 10
    assert net.conv1.out_channels == result.report.widths_after["conv1"] < 4
    assert torch.allclose(net(x), result.graph.to_module().eval()(x), atol=1e-6)
    assert result.graph.state["conv1.weight"].data_ptr() == first.data_ptr()


@pytest.mark.parametrize("inplace", [False, True])
def test_a_finetune_that_fails_leaves_the_module_whole(inplace: bool) -> None:
    net, x = make("digits")
    before = snapshot(net)

    def fail(module: nn.Module) -> None:
        module.linear.weight.data.zero_()
        raise RuntimeError("out of patience")

    with pytest.raises(RuntimeError, match="out of patience"):
        prune(net, x, budget=Budget(macs=0.5), inplace=inplace, finetune=fail)
    assert unchanged(net, before)


def test_training_mode_is_kept() -> None:
    for training in (False, True):
        for rebuild in (False, True):
            net, x = make("mlp-norm")
            result = prune(net.train(training), x, budget=Budget(macs=0.5), rebuild=rebuild)
            assert result.module.training is training is net.training


def test_groups_that_surgery_cannot_cut_stay_unless_rebuilt() -> None:
    net, x = Hardcoded().eval(), torch.randn(3, 4)
    kept = prune(net, x, budget=Budget(macs=0.9))
    assert kept.report.cut_groups == ["b"] and isinstance(kept.module, Hardcoded)
    built = prune(net, x, budget=Budget(macs=0.2), rebuild=True)
    assert built.report.cut_groups == ["a", "b"]
    assert torch.allclose(built.module(x), select(to_graph(net, x), built.mask).to_module()(x))
    with pytest.raises(BudgetError, match="cutting 1 groups"):
        prune(net, x, budget=Budget(macs=0.2))


def test_options_reach_the_ranking() -> None:
    net, x = make("mlp")
    result = prune(net, x, budget=Budget(params=0.7), ignore=["layers.0"], round_to=2)
    assert result.report.cut_groups == ["layers.1"] and result.report.widths_after["layers.1"] % 2 == 0
    uniform = prune(MLP((6, 64, 32, 3)), x, budget=Budget(macs=0.25), ranking="uniform").report.widths_after
    assert uniform["layers.0"] == pytest.approx(2 * uniform["layers.1"], abs=2)
    with pytest.raises(BudgetError):
        prune(net, x, budget=Budget(macs=0.2), min_keep=0.6)


@pytest.mark.parametrize("steps", [1, 3])
def test_min_keep_is_a_share_of_the_original_at_every_step(steps: int) -> None:
    net, x = MLP((6, 20, 10, 3)).eval(), torch.randn(2, 6)
    graph = to_graph(net, x)
    floor = {"layers.0": 10, "layers.1": 5}
    smallest = CostModel(graph.structure).macs(
        NodeMask({n: torch.arange(2 * k) < k for n, k in floor.items()})
    )
    result = prune(net, x, budget=Budget(macs=smallest), min_keep=0.5, steps=steps)
    assert result.report.widths_after == floor


def test_unreachable_budget_is_told_before_any_training() -> None:
    net, x = make("digits")
    calls: list[nn.Module] = []
    for criterion in ("l2", Doubler()):
        with pytest.raises(BudgetError, match="as the smallest that can be reached"):
            prune(net, x, budget=Budget(macs=1e-6), criterion=criterion, steps=4, finetune=calls.append)
    with pytest.raises(BudgetError):  # the first of the four steps could be made
        prune(net, x, budget=Budget(macs=0.3), min_keep=0.7, steps=4, finetune=calls.append)
    assert not calls


def test_a_budget_that_is_met_already_changes_nothing() -> None:
    net, x = make("digits")
    result = prune(net, x, budget=Budget(macs=1.0))
    assert result.mask.keep == {} and result.report.speedup == 1.0
    assert torch.equal(result.module(x), net(x)) and result.module is not net


def test_metric_latency_and_budget_stand_in_the_report() -> None:
    net, x = make("mlp")
    result = prune(
        net,
        x,
        budget=Budget(speedup=2),
        latency=True,
        metric=lambda m: sum(p.numel() for p in m.parameters()),
    )
    report = result.report
    assert report.metric_before == report.params_before and report.metric_after == report.params_after
    assert report.latency_before is not None and report.latency_before > 0
    assert report.budget == "speedup=2" and report.criterion == "l2"


def test_latency_budget_is_searched_by_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = make("mlp")
    measured: list[float] = []

    def fake(module: nn.Module, inputs: object) -> float:
        assert inputs is x and isinstance(module, torch.fx.GraphModule)
        measured.append(sum(p.numel() for p in module.parameters()) / 10)
        return measured[-1]

    monkeypatch.setattr(sys.modules["netgraph.pruning.prune"], "measure_latency", fake)
    result = prune(net, x, budget=Budget(latency_ms=8.0))
    assert result.report.params_after <= 80 and len(measured) < 12
    assert result.report.latency_before is not None
    with pytest.raises(BudgetError, match="as the smallest that can be reached"):
        prune(net, x, budget=Budget(latency_ms=0.1))


def test_latency_budget_for_real() -> None:
    net, x = MLP((64, 512, 512, 10)).eval(), torch.randn(256, 64)
    result = prune(net, x, budget=Budget(latency_ms=1e4))
    assert result.mask.keep == {} and result.report.latency_after is not None


def test_keyword_inputs() -> None:
    net, x = make("mlp")
    assert prune(net, {"x": x}, budget=Budget(macs=0.5), latency=True).report.speedup >= 2


def nan_weight() -> nn.Module:
    net, _ = make("mlp")
    net.layers[1].weight.data[0, 0] = float("nan")
    return net


class Breaker:
    def rewrite(self, graph: NeuralGraph) -> NeuralGraph:
        return graph.replace({n: t * float("nan") for n, t in graph.state.items() if t.is_floating_point()})


X = torch.randn(4, 6)
BAD = {
    "NaN in the weights": (lambda: prune(nan_weight(), X, budget=Budget(macs=0.5)), "'layers.1.weight'"),
    "metanetwork makes NaN": (
        lambda: prune(make("mlp")[0], X, budget=Budget(macs=0.5), criterion=Breaker()),
        "the rewritten network",
    ),
    "inplace and rebuild": (
        lambda: prune(make("mlp")[0], X, budget=Budget(macs=0.5), inplace=True, rebuild=True),
        "pass one",
    ),
    "criterion": (
        lambda: prune(make("mlp")[0], X, budget=Budget(macs=0.5), criterion="l7"),
        "expected one of",
    ),
    "ranking": (lambda: prune(make("mlp")[0], X, budget=Budget(macs=0.5), ranking="x"), "expected one of"),
    "steps": (lambda: prune(make("mlp")[0], X, budget=Budget(macs=0.5), steps=0), "at least 1 step"),
    "min_keep": (lambda: prune(make("mlp")[0], X, budget=Budget(macs=0.5), min_keep=0), "min_keep: expected"),
    "round_to": (lambda: prune(make("mlp")[0], X, budget=Budget(macs=0.5), round_to=0), "round_to: expected"),
    "ignore": (lambda: prune(make("mlp")[0], X, budget=Budget(macs=0.5), ignore=["x"]), "matches nothing"),
    "no loss": (
        lambda: prune(make("mlp")[0], X, budget=Budget(macs=0.5), criterion="taylor"),
        "expected a loss closure",
    ),
    "budget": (lambda: prune(make("mlp")[0], X, budget=0.5), "expected a Budget"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_refuses(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message):
        call()


def test_wrong_input_shape_is_a_conversion_error() -> None:
    with pytest.raises(ConversionError) as caught:
        prune(make("mlp")[0], torch.zeros(1, 5), budget=Budget(macs=0.5))
    assert isinstance(caught.value, NetgraphError)
