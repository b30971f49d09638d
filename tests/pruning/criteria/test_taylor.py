import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netgraph.convert import to_graph
from netgraph.errors import GraphError, UsageError
from netgraph.graph import Group, NeuralGraph, Structure
from netgraph.pruning import taylor
from tests.pruning.criteria.oracle import touching
from tests.pruning.nets import NAMES, make


@pytest.mark.parametrize("name", NAMES)
def test_equals_loops_over_the_modules_own_gradients(name: str) -> None:
    net, x = make(name)
    y = torch.arange(len(x)) % 3
    graph = to_graph(net, x)
    F.cross_entropy(net(x), y).backward()
    products = {n: p.detach() * p.grad for n, p in net.named_parameters() if p.grad is not None}
    got = taylor(graph, lambda m: F.cross_entropy(m(x), y))
    worth = graph.replace(products)
    for group in graph.structure.groups:
        if group.role == "hidden":
            for node in range(group.size):
                parts = [float(s.sum()) for _, _, ss in touching(worth, group.name, node) for s in ss]
                assert float(got[group.name][node]) == pytest.approx(abs(sum(parts)), rel=2e-3, abs=1e-5)


def test_module_is_not_touched() -> None:
    net, x = make("mlp-norm")
    before = {n: t.clone() for n, t in net.state_dict().items()}
    taylor(to_graph(net, x), lambda m: m.train()(x).square().mean())
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_frozen_parameters_are_scored_too() -> None:
    net, x = make("mlp")
    graph = to_graph(net, x)
    free = taylor(graph, lambda m: m(x).square().mean())
    frozen = taylor(to_graph(net.requires_grad_(False), x), lambda m: m(x).square().mean())
    assert all(torch.allclose(free[n], frozen[n]) for n in free)


LOSSES = {
    "vector": lambda m: m(torch.zeros(2, 6)).sum(1),
    "number": lambda m: 1.0,
    "constant": lambda m: torch.ones(()),
    "not finite": lambda m: m(torch.zeros(2, 6)).sum() * float("nan"),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_refuses_losses(loss) -> None:  # type: ignore[no-untyped-def]
    net, x = make("mlp")
    with pytest.raises(UsageError, match="taylor: expected"):
        taylor(to_graph(net, x), loss)


def test_refuses_a_graph_without_a_program() -> None:
    with pytest.raises(GraphError, match="no program"):
        taylor(NeuralGraph(Structure((Group("a", 2),), (), ()), {}), lambda m: nn.Parameter(torch.ones(())))
