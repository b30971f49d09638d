"""Gates beside the masked network, and how scores and budgets become gates."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from netgraph.convert import to_graph
from netgraph.errors import UsageError
from netgraph.graph import CostModel, NeuralGraph, NodeMask
from netgraph.pruning import budget_gates, gate, score_gates, soft_macs
from netgraph.zoo import VGG, MobileNet, PlainCNN
from tests.convert.masked import MaskedRun
from tests.pruning.nets import make, make_graph


class Contraction(nn.Module):
    """Queries and keys that only meet each other, beside values that a linear layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(5, 6), nn.Linear(5, 6), nn.Linear(5, 4)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1) @ self.v(x)).mean(1)


def lively(graph: NeuralGraph) -> NeuralGraph:
    """With running means near zero, so that no rectifier is closed for good."""
    return graph.replace({n: 0.1 * t for n, t in graph.state.items() if n.endswith("running_mean")})


def graphs() -> dict[str, tuple[NeuralGraph, Tensor]]:
    names = ("mlp", "mlp-norm", "digits", "pad", "concat")
    found = {n: (lively(make_graph(n)), make(n)[1]) for n in names}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pictures = torch.randn(3, 1, 8, 8)
        others: dict[str, tuple[nn.Module, Tensor]] = {
            "plain": (PlainCNN(width=4, norm=False), pictures),
            "vgg": (VGG(width=4, hidden=9), pictures),
            "mobile": (MobileNet(width=6, blocks=(2, 1)), pictures),
            "contraction": (Contraction(), torch.randn(2, 4, 5)),
        }
        return found | {n: (to_graph(net.eval(), x).clone(), x) for n, (net, x) in others.items()}


GRAPHS = graphs()


def hidden(graph: NeuralGraph) -> dict[str, int]:
    return {g.name: g.size for g in graph.structure.groups if g.role == "hidden"}


@pytest.mark.parametrize("name", GRAPHS)
def test_gates_of_zero_and_one_compute_what_the_masked_network_computes(name: str) -> None:
    graph, x = GRAPHS[name]
    generator = torch.Generator().manual_seed(0)
    keep = {n: torch.rand(size, generator=generator) < 0.6 for n, size in hidden(graph).items()}
    for flags in keep.values():
        flags[0] = True
    gates = {n: flags.float() for n, flags in keep.items()}
    state = dict(graph.state) | gate(graph.structure, graph.state, gates)
    (expected,) = MaskedRun(graph, NodeMask(keep))(x)
    found = functional_call(graph.to_module().eval(), state, (x,))
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(graph.to_module().eval()(x), expected, atol=1e-2)


@pytest.mark.parametrize("name", ["digits", "concat", "contraction"])
def test_gradients_reach_every_gate(name: str) -> None:
    graph, x = GRAPHS[name]
    graph = graph.replace({n: t.double() for n, t in graph.state.items() if t.is_floating_point()})
    gates = {n: torch.full((s,), 0.7, dtype=torch.float64) for n, s in hidden(graph).items()}
    module = graph.to_module().eval()

    def loss(given: dict[str, Tensor]) -> Tensor:
        state = dict(graph.state) | gate(graph.structure, graph.state, given)
        return functional_call(module, state, (x.double(),)).square().sum()

    leaves = {n: g.clone().requires_grad_() for n, g in gates.items()}
    loss(leaves).backward()
    step = 1e-6
    for n, leaf in leaves.items():
        for k in range(len(leaf)):
            moved = [
                {**gates, n: gates[n].index_add(0, torch.tensor([k]), torch.tensor([d]).double())}
                for d in (step, -step)
            ]
            with torch.no_grad():
                slow = float(loss(moved[0]) - loss(moved[1])) / (2 * step)
            assert leaf.grad is not None
            assert float(leaf.grad[k]) == pytest.approx(slow, rel=1e-4, abs=1e-6)


def random_scores(graph: NeuralGraph, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(s, generator=generator) for n, s in hidden(graph).items()}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("share", [0.9, 0.5, 0.25])
def test_soft_gates_meet_the_target(name: str, share: float) -> None:
    structure = GRAPHS[name][0].structure
    target = share * CostModel(structure).macs()
    gates = score_gates(structure, random_scores(GRAPHS[name][0]), target, temperature=0.3, hard=False)
    assert float(soft_macs(structure, gates)) == pytest.approx(target, rel=1e-3)


@pytest.mark.parametrize("name", GRAPHS)
def test_hard_gates_keep_as_many_of_the_highest_scores_as_the_target_allows(name: str) -> None:
    graph = GRAPHS[name][0]
    structure, scores = graph.structure, random_scores(graph)
    target = 0.5 * CostModel(structure).macs()
    gates = score_gates(structure, scores, target)
    assert {float(x) for g in gates.values() for x in g} == {0.0, 1.0}
    cost = CostModel(structure)

    def kept(threshold: float) -> NodeMask:
        return NodeMask({n: (s > threshold) | (s == s.max()) for n, s in scores.items()})

    thresholds = torch.cat(list(scores.values())).sort().values.tolist()
    slowly = next(kept(t) for t in thresholds if cost.macs(kept(t)) <= target)
    assert all(torch.equal(gates[n].bool(), k) for n, k in slowly.keep.items())


def test_what_costs_little_enough_is_kept_whole() -> None:
    graph = GRAPHS["mlp"][0]
    gates = score_gates(graph.structure, random_scores(graph), CostModel(graph.structure).macs())
    assert all(bool((g == 1).all()) for g in gates.values())
    least = score_gates(graph.structure, random_scores(graph), target=0.0)
    assert [float(g.sum()) for g in least.values()] == [1.0, 1.0]


@pytest.mark.parametrize("name", ["mlp", "digits", "concat"])
def test_soft_gates_have_the_gradient_of_the_threshold_that_follows(name: str) -> None:
    graph = GRAPHS[name][0]
    structure, scores = graph.structure, {n: s.double() for n, s in random_scores(graph).items()}
    target = 0.5 * CostModel(structure).macs()
    weights = {n: s.double() for n, s in random_scores(graph, 1).items()}

    def value(given: dict[str, Tensor]) -> Tensor:
        gates = score_gates(structure, given, target, temperature=0.7, hard=False)
        return torch.stack([(gates[n] * weights[n]).sum() for n in gates]).sum()

    leaves = {n: s.clone().requires_grad_() for n, s in scores.items()}
    value(leaves).backward()
    for n, leaf in leaves.items():
        for k in range(min(len(leaf), 3)):
            bump = torch.zeros(len(leaf), dtype=torch.float64)
            bump[k] = 1e-5
            up, down = ({**scores, n: scores[n] + sign * bump} for sign in (1, -1))
            assert leaf.grad is not None
            slow = float(value(up) - value(down)) / 2e-5
            assert float(leaf.grad[k]) == pytest.approx(slow, rel=1e-3, abs=1e-6)


def test_hard_gates_have_a_gradient_that_leaves_the_cost_alone() -> None:
    graph = GRAPHS["digits"][0]
    leaves = {n: s.double().requires_grad_() for n, s in random_scores(graph).items()}
    gates = score_gates(graph.structure, leaves, 0.5 * CostModel(graph.structure).macs())
    sum((g.sum() for g in gates.values()), start=torch.zeros(())).backward()
    assert any(bool((s.grad != 0).any()) for s in leaves.values() if s.grad is not None)
    alike = sum(float(s.grad.sum()) for s in leaves.values() if s.grad is not None)
    assert alike == pytest.approx(0, abs=1e-6)  # raising all scores by the same changes nothing


def test_budgets_keep_shares_by_rank() -> None:
    shares = {"a": torch.tensor(0.5), "b": torch.tensor(1.0), "c": torch.tensor(1e-6)}
    scores = {n: torch.randn(8, generator=torch.Generator().manual_seed(i)) for i, n in enumerate(shares)}
    gates = budget_gates(shares, scores)
    assert {n: float(g.sum()) for n, g in gates.items()} == {"a": 4.0, "b": 8.0, "c": 1.0}
    for n, g in gates.items():
        assert float(scores[n][g == 1].min()) >= float(
            scores[n][g == 0].max() if bool((g == 0).any()) else -9
        )
    soft = budget_gates({"a": shares["a"]}, scores, temperature=0.5, hard=False)["a"]
    assert float(soft.sum()) == pytest.approx(4.0, rel=1e-4)


def test_budgets_have_the_gradient_of_the_threshold_that_follows() -> None:
    scores = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    share = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    weights = torch.arange(7, dtype=torch.float64)

    def value(share: Tensor, scores: Tensor) -> Tensor:
        return (budget_gates({"a": share}, {"a": scores}, hard=False)["a"] * weights).sum()

    assert torch.autograd.gradcheck(value, (share, scores), eps=1e-5, atol=1e-4)
    hard = budget_gates({"a": share}, {"a": scores})["a"]
    hard.sum().backward()
    assert float(share.grad) == pytest.approx(7.0)  # type: ignore[arg-type]


def test_refuses() -> None:
    graph = GRAPHS["mlp"][0]
    for bad in ({"absent": torch.ones(3)}, {"input": torch.ones(6)}, {"layers.0": torch.ones(3)}):
        with pytest.raises(UsageError, match="gate: expected one value per node of a hidden group"):
            gate(graph.structure, graph.state, bad)
    scores = random_scores(graph)
    with pytest.raises(UsageError, match="a temperature above 0"):
        score_gates(graph.structure, scores, 10.0, temperature=0.0)
    with pytest.raises(UsageError, match="expected at least one group"):
        score_gates(graph.structure, {}, 10.0)
    with pytest.raises(UsageError, match="expected scores for every share"):
        budget_gates({"a": torch.tensor(0.5)}, {})
