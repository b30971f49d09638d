import pytest
import torch

from netgraph.errors import UsageError
from netgraph.graph import permute
from netgraph.pruning import magnitude, shrinkage, sparsity_penalty
from tests.pruning.criteria.oracle import touching
from tests.pruning.nets import NAMES, make_graph


@pytest.mark.parametrize(("name", "alpha"), [*((name, 16.0) for name in NAMES), ("mlp", 1.0)])
def test_equals_loops_over_nodes(name: str, alpha: float) -> None:
    graph = make_graph(name)
    importance = {n: s.sqrt() for n, s in magnitude(p=2, normalize="max")(graph).items()}
    total = 0.0
    for group, score in importance.items():
        high, low = float(score.max()), float(score.min())
        for node in range(len(score)):
            gamma = alpha ** ((high - float(score[node])) / (high - low)) if high > low else 1.0
            squares = sum(float(s.square().sum()) for _, _, ss in touching(graph, group, node) for s in ss)
            total += gamma * squares
            assert float(shrinkage(graph.structure, graph.state, alpha)[group][node]) == pytest.approx(
                gamma, rel=1e-3
            )
    assert float(sparsity_penalty(graph.structure, graph.state, alpha)) == pytest.approx(total / 2, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_relative_is_the_mean_pull_on_the_mass_of_a_group(name: str) -> None:
    graph = make_graph(name)
    norms, gammas = magnitude(p=2, normalize=None)(graph), shrinkage(graph.structure, graph.state)
    pulls = [
        sum(float(g) * float(n) for g, n in zip(gammas[k], norms[k], strict=True)) / float(norms[k].sum())
        for k in norms
    ]
    got = float(sparsity_penalty(graph.structure, graph.state, relative=True))
    assert got == pytest.approx(sum(pulls) / len(pulls), rel=1e-4)
    assert 1 <= got <= 16


def test_relative_does_not_mind_scale_but_wants_few_nodes() -> None:
    graph = make_graph("mlp")
    scaled = {n: 3 * t for n, t in graph.state.items()}
    few = {n: t.clone() for n, t in graph.state.items()}
    few["layers.0.weight"][1:] *= 0.01
    few["layers.0.bias"][1:] *= 0.01
    few["layers.1.weight"][:, 1:] *= 0.01
    base, big, sparse = (
        float(sparsity_penalty(graph.structure, s, relative=True)) for s in (graph.state, scaled, few)
    )
    assert big == pytest.approx(base, rel=1e-5)
    assert sparse < base


def test_gradient_is_gamma_times_the_weight() -> None:
    graph = make_graph("mlp")
    state = {n: t.clone().requires_grad_() for n, t in graph.state.items()}
    sparsity_penalty(graph.structure, state).backward()
    gamma = shrinkage(graph.structure, graph.state)
    bias, weight = state["layers.0.bias"], state["layers.1.weight"]
    assert torch.allclose(bias.grad, gamma["layers.0"] * bias.detach())
    both = gamma["layers.1"][:, None] + gamma["layers.0"][None, :]
    assert torch.allclose(weight.grad, both * weight.detach())


def test_groups_of_equal_nodes_are_pushed_evenly() -> None:
    graph = make_graph("mlp")
    flat = graph.replace({n: torch.ones_like(t) for n, t in graph.state.items()})
    assert all(torch.equal(g, torch.ones_like(g)) for g in shrinkage(flat.structure, flat.state).values())
    zero = graph.replace({n: torch.zeros_like(t) for n, t in graph.state.items()})
    assert all(bool(g.isfinite().all()) for g in shrinkage(zero.structure, zero.state).values())


@pytest.mark.parametrize("name", NAMES)
def test_does_not_depend_on_the_order_of_nodes(name: str) -> None:
    graph = make_graph(name)
    orders = {g.name: torch.randperm(g.size) for g in graph.structure.groups if g.role == "hidden"}
    turned = permute(graph, orders)
    a, b = (sparsity_penalty(g.structure, g.state) for g in (graph, turned))
    assert float(a) == pytest.approx(float(b), rel=1e-4)


@pytest.mark.parametrize("alpha", [0.5, 0.0, float("nan")])
def test_refuses_alpha(alpha: float) -> None:
    graph = make_graph("mlp")
    with pytest.raises(UsageError, match="sparsity: expected alpha"):
        sparsity_penalty(graph.structure, graph.state, alpha)
