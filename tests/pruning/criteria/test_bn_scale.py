import pytest
import torch

from netgraph.errors import UsageError
from netgraph.graph import Group, NeuralGraph, Structure
from netgraph.pruning import bn_scale
from tests.pruning.nets import make_graph


def test_one_norm_per_group() -> None:
    graph = make_graph("mlp-norm")
    for group, tensor in {"layers.0": "norms.0.weight", "layers.1": "norms.1.weight"}.items():
        assert torch.equal(bn_scale(graph)[group], graph.state[tensor].abs())


def test_mean_over_the_norms_of_a_residual_stream() -> None:
    graph = make_graph("digits")
    stream = [graph.state[f"{n}.weight"].abs() for n in ("bn1", "layer1.0.bn2")]
    assert torch.allclose(bn_scale(graph)["conv1"], torch.stack(stream).mean(0))


def test_a_norm_over_a_concatenation_scores_both_parts() -> None:
    graph = make_graph("concat")
    scores = bn_scale(graph)
    assert torch.equal(torch.cat([scores["a"], scores["b"]]), graph.state["norm.weight"].abs())


def test_groups_without_a_norm_are_left_out() -> None:
    assert set(bn_scale(make_graph("concat"))) == {"a", "b"}  # `point` has none


def test_layer_norm_counts() -> None:
    scores = bn_scale(make_graph("attention"))
    graph = make_graph("attention")
    norms = [graph.state[f"layer.norm{i}.weight"].abs() for i in (1, 2)]
    assert torch.allclose(scores["embed"], torch.stack(norms).mean(0))


@pytest.mark.parametrize("graph", [make_graph("mlp"), NeuralGraph(Structure((Group("a", 2),), (), ()), {})])
def test_refuses_a_network_without_norms(graph: NeuralGraph) -> None:
    with pytest.raises(UsageError, match="bn_scale: expected at least one hidden group"):
        bn_scale(graph)
