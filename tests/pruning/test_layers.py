"""Whole layers in the same budget as single channels."""

import json
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.errors import BudgetError, UsageError
from netgraph.graph import CostModel, NeuralGraph, NodeMask, branches, macs, params, select
from netgraph.pruning import (
    Budget,
    fit_mask,
    ignored_branches,
    l2,
    layer_scores,
    prune,
    random_scores,
)
from netgraph.pruning.working_copy import composed
from netgraph.zoo import CifarResNet

BRANCHES = ["layer1.0", "layer1.1", "layer2.1", "layer3.1"]


def network(weak: str = "layer1.1") -> tuple[CifarResNet, Tensor]:
    """A residual network, one of whose blocks does nearly nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = CifarResNet(2, (4, 6, 8)).eval(), torch.randn(2, 3, 8, 8)
    for parameter in net.get_submodule(weak).parameters():
        parameter.data.mul_(1e-3)
    return net, x


def constant(value: float) -> object:
    def scores(graph: NeuralGraph) -> Mapping[str, float]:
        return {b.name: value for b in branches(graph.structure)}

    return scores


@pytest.mark.parametrize("criterion", ["l2", "fpgm", "random", "taylor"])
@pytest.mark.parametrize("weak", ["layer1.1", "layer3.1"])
def test_the_block_that_does_nothing_goes_first(weak: str, criterion: str) -> None:
    net, x = network(weak)
    result = prune(
        net,
        x,
        budget=Budget(macs=0.95),
        criterion=criterion,
        loss=lambda m: m(x).square().mean(),
        layers=True,
        rebuild=True,
    )
    assert result.report.skipped == (weak,) and result.mask.skip == {weak}
    assert macs(result.graph) == result.report.macs_after <= 0.95 * result.report.macs_before
    assert result.mask.keep.keys() <= {f"{weak}.conv1", *result.report.cut_groups}
    assert torch.allclose(result.module(x), net(x), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("rebuild", [False, True])
@pytest.mark.parametrize("ranking", ["global", "uniform"])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("budget", [Budget(macs=0.5), Budget(params=0.3), Budget(macs=0.1)])
def test_the_budget_is_met_and_the_mask_says_how(
    budget: Budget, steps: int, ranking: str, rebuild: bool
) -> None:
    net, x = network()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    result = prune(net, x, budget=budget, steps=steps, ranking=ranking, layers=True, rebuild=rebuild)
    assert (type(result.module) is type(net)) is not rebuild
    graph = to_graph(net, x)
    cost = macs if budget.kind == "macs" else params
    assert cost(result.graph) <= budget.target(CostModel(graph.structure))
    assert result.mask.skip
    by_mask = select(graph, result.mask)
    assert by_mask == result.graph
    assert torch.allclose(by_mask.to_module().eval()(x), result.module(x), atol=1e-6)
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert set(result.report.skipped) == result.mask.skip
    gone = {g for b in branches(graph.structure) if b.name in result.mask.skip for g in b.groups}
    assert {n for n, width in result.report.widths_after.items() if width == 0} == gone
    plain = result.report.to_dict()
    assert json.loads(json.dumps(plain)) == plain and plain["skipped"] == list(result.report.skipped)
    assert str(result.report).splitlines()[-1] == f"left out: {', '.join(result.report.skipped)}"


def test_own_scores_decide_and_unscored_branches_stay() -> None:
    net, x = network()
    budget = Budget(macs=0.6)
    kept = prune(net, x, budget=budget, layers=constant(9.0), rebuild=True)
    plain = prune(net, x, budget=budget, rebuild=True)
    assert kept.report.skipped == () and kept.graph == plain.graph and "left out" not in str(kept.report)
    first = prune(net, x, budget=budget, layers=lambda _: {"layer3.1": -1.0, "layer1.0": -2.0}, rebuild=True)
    assert first.report.skipped == ("layer1.0", "layer3.1")
    assert prune(net, x, budget=budget, layers=lambda _: {}, rebuild=True).graph == plain.graph


def test_ignored_branches_stay() -> None:
    net, x = network()
    graph = to_graph(net, x)
    assert ignored_branches(graph.structure, []) == frozenset()
    assert ignored_branches(graph.structure, ["layer1.1"]) == {"layer1.1"}
    assert ignored_branches(graph.structure, ["layer[23].*.bn2.weight"]) == {"layer2.1", "layer3.1"}
    assert ignored_branches(graph.structure, ["conv1", "linear"]) == frozenset()
    for ignore in (["layer1.1"], ["layer1.*.bn1"], ["layer1.1.conv1"]):
        result = prune(net, x, budget=Budget(macs=0.5), ignore=ignore, layers=True, rebuild=True)
        assert "layer1.1" not in result.mask.skip
        assert result.report.widths_after["layer1.1.conv1"] > 0


def test_finetuning_between_the_steps_trains_what_is_left() -> None:
    net, x = network()
    sizes = []

    def train(module: nn.Module) -> None:
        sizes.append(sum(p.numel() for p in module.parameters()))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(1.01)

    result = prune(net, x, budget=Budget(macs=0.4), steps=2, finetune=train, layers=True, rebuild=True)
    assert len(sizes) == 2 and sizes[0] > sizes[1] == params(result.graph)
    assert torch.allclose(result.graph.to_module().eval()(x), result.module(x), atol=1e-6)


def test_an_optimizer_follows_a_module_that_is_pruned_in_place() -> None:
    net, x = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(x).square().mean().backward()
    optimizer.step()
    momenta = {n: optimizer.state[p]["momentum_buffer"].clone() for n, p in net.named_parameters()}
    result = prune(net, x, budget=Budget(macs=0.5), layers=True, inplace=True, optimizer=optimizer)
    assert result.module is net and result.mask.skip
    held = optimizer.param_groups[0]["params"]
    assert list(map(id, held)) == list(map(id, net.parameters())) and set(optimizer.state) == set(held)
    kept = result.mask.keep["conv1"] if "conv1" in result.mask.keep else slice(None)
    assert torch.equal(optimizer.state[net.conv1.weight]["momentum_buffer"], momenta["conv1.weight"][kept])
    net(x).square().mean().backward()
    optimizer.step()
    with pytest.raises(UsageError, match="expected inplace=True with an optimizer"):
        prune(net, x, budget=Budget(macs=0.9), optimizer=optimizer)


class Parallel(nn.Module):
    """Two branches of one norm: the norm goes with the last of them, and so their names change on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.a, self.b, self.c = nn.LayerNorm(6), nn.Linear(6, 6), nn.Linear(6, 9), nn.Linear(9, 6)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        return x + self.a(h) + self.c(self.b(h).relu())


def test_branches_of_later_steps_are_named_as_at_first() -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(4, 6), Parallel(), Parallel(), nn.Linear(6, 2)), torch.randn(2, 4)
    graph = to_graph(net, x)
    assert [b.name for b in branches(graph.structure)] == ["1.a", "1.b", "2.a", "2.b"]
    result = prune(
        net,
        x,
        budget=Budget(params=0.3),
        steps=6,
        layers=lambda g: {b.name: i - 9.0 for i, b in enumerate(branches(g.structure))},
        rebuild=True,
    )
    assert {"1.a", "1.b"} <= result.mask.skip <= {"1.a", "1.b", "2.a", "2.b"}
    assert select(graph, result.mask) == result.graph
    assert "1.norm.weight" not in result.graph.state


def test_scores_of_layers_by_hand() -> None:
    net, x = network("layer2.1")
    graph = to_graph(net, x)
    nodes = l2(graph)
    found = layer_scores(graph, nodes)
    assert list(found) == BRANCHES

    def strength(name: str) -> float:
        block = net.get_submodule(name)
        return sum(
            float(p.detach().double().flatten(1).square().sum(1).mean().sqrt())
            if p.dim() > 1
            else float(p.detach().double().square().mean().sqrt())
            for p in block.parameters()
        ) / len(list(block.parameters()))

    largest = max(strength(n) for n in BRANCHES)
    for name in BRANCHES:
        assert found[name] == pytest.approx(
            float(nodes[f"{name}.conv1"].double().mean()) * strength(name) / largest, rel=1e-5
        )
    assert min(found, key=lambda n: found[n]) == "layer2.1"


def test_a_branch_without_nodes_of_its_own_takes_the_mean_of_all() -> None:
    torch.manual_seed(0)

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = nn.Linear(5, 5)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.f(x)

    graph = to_graph(nn.Sequential(nn.Linear(4, 5), Residual(), nn.Linear(5, 2)), torch.zeros(1, 4))
    (branch,) = branches(graph.structure)
    assert branch.groups == ()
    assert layer_scores(graph, {"0": torch.arange(5.0)}) == {"1.f": 2.0}
    assert layer_scores(graph, {}) == {"1.f": 1.0}


def test_fitting_merges_branches_and_nodes_into_one_order() -> None:
    net, x = network()
    structure = to_graph(net, x).structure
    scores = {"layer1.0.conv1": torch.tensor([0.1, 0.4, 0.2, 0.9])}
    cost = CostModel(structure)

    def fitted(target: float, **layers: float) -> NodeMask:
        return fit_mask(
            structure, scores, cost.macs, target, branches={k.replace("_", "."): v for k, v in layers.items()}
        )

    whole = cost.macs()
    assert fitted(whole, layer1_1=0.0) == NodeMask({})
    one = fitted(whole - 1, layer1_1=0.15)
    assert one.skip == frozenset() and one.keep["layer1.0.conv1"].tolist() == [False, True, True, True]
    two = fitted(cost.macs(one) - 1, layer1_1=0.15, layer2_1=0.3)
    assert two == one & NodeMask({}, frozenset({"layer1.1"}))
    three = fitted(cost.macs(two) - 1, layer1_1=0.15, layer2_1=0.3)
    assert three.skip == two.skip and three.keep["layer1.0.conv1"].tolist() == [False, True, False, True]
    with pytest.raises(BudgetError, match="to 1 of 4 nodes and leaving out 1 branches"):
        fitted(0, layer1_1=0.15)


@pytest.mark.parametrize("seed", range(4))
def test_cost_falls_with_every_branch(seed: int) -> None:
    net, x = network()
    graph = to_graph(net, x)
    cost = CostModel(graph.structure)
    scores = random_scores(seed)(graph) if seed else l2(graph)
    previous = None
    for share in (0.9, 0.6, 0.3):
        mask = fit_mask(
            graph.structure, scores, cost.macs, share * cost.macs(), branches=layer_scores(graph, scores)
        )
        assert cost.macs(mask) == macs(select(graph, mask)) <= share * cost.macs()
        assert previous is None or previous <= mask.skip
        previous = mask.skip


def test_composition_renames() -> None:
    both = composed(NodeMask({}, frozenset({"a"})), NodeMask({}, frozenset({"1", "c"})), {"1": "b"})
    assert both.skip == {"a", "b", "c"}


def test_errors() -> None:
    net, x = network()
    budget = Budget(macs=0.5)
    with pytest.raises(UsageError, match=r"got one for 'layer9'.*branches are layer1.0, layer1.1"):
        prune(net, x, budget=budget, layers=lambda _: {"layer9": 1.0}, rebuild=True)
    with pytest.raises(UsageError, match=r"got nan for branch 'layer1\.0'"):
        prune(net, x, budget=budget, layers=constant(float("nan")), rebuild=True)
    with pytest.raises(BudgetError, match="and leaving out 4 branches"):
        prune(net, x, budget=Budget(macs=1e-6), layers=True, rebuild=True)
    with pytest.raises(UsageError, match="matches nothing"):
        prune(net, x, budget=budget, ignore=["layer9"], layers=True, rebuild=True)
