import pytest
import torch
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph, select
from netgraph.pruning import Budget, Validation, prune, validate
from tests.pruning.nets import make, make_graph


class Tenth(nn.Module):
    """A metanetwork that shrinks the first two hidden nodes of an MLP."""

    def forward(self, graph: NeuralGraph) -> dict[str, Tensor]:
        bias, weight = graph.state["layers.0.bias"].clone(), graph.state["layers.0.weight"].clone()
        bias[:2], weight[:2] = 0, 0
        return {"layers.0.bias": bias, "layers.0.weight": weight}


def test_agrees_with_prune() -> None:
    net, x = make("digits")
    result = prune(net, x, budget=Budget(macs=0.5))
    seen: list[nn.Module] = []

    def score(module: nn.Module) -> float:
        seen.append(module)
        return float(module.eval()(x).sum().detach())

    value = validate(Validation([make_graph("digits")], score, Budget(macs=0.5)))
    assert value == pytest.approx(float(result.module(x).sum().detach()), rel=1e-4)
    small = select(make_graph("digits"), result.mask)
    assert all(torch.equal(t, small.state[n]) for n, t in seen[0].state_dict().items())


def test_mean_over_models_with_finetuning_before_the_score() -> None:
    order: list[str] = []

    def finetune(module: nn.Module) -> None:
        order.append("finetune")
        module.get_parameter("layers.2.bias").data.fill_(len(order))

    def score(module: nn.Module) -> float:
        order.append("score")
        return float(module.get_parameter("layers.2.bias").detach().mean())

    graphs = [make_graph("mlp"), make_graph("mlp")]
    assert validate(Validation(graphs, score, Budget(params=0.8), finetune)) == (1 + 3) / 2
    assert order == ["finetune", "score"] * 2


def test_metanetwork_rewrites_before_the_cut() -> None:
    graph = make_graph("mlp")
    kept: list[Tensor] = []

    def score(module: nn.Module) -> float:
        kept.append(module.get_parameter("layers.0.bias").detach())
        return 0.0

    validate(Validation([graph], score, Budget(macs=0.8)), Tenth())
    assert not bool((kept[0] == 0).any())  # the two shrunk nodes went first
    assert set(kept[0].tolist()) <= set(graph.state["layers.0.bias"][2:].tolist())


def test_refuses() -> None:
    with pytest.raises(UsageError, match="validation: expected"):
        Validation([], lambda m: 0.0, Budget(macs=0.5))
    with pytest.raises(UsageError, match="validation: expected"):
        Validation([make_graph("mlp")], lambda m: 0.0, Budget(latency_ms=1.0))
