import pytest
import torch

from netgraph.pruning.criteria import node_slices, node_sums
from tests.pruning.nets import NAMES, make_graph


@pytest.mark.parametrize("name", NAMES)
def test_only_hidden_groups_and_parameters(name: str) -> None:
    structure = make_graph(name).structure
    slices = node_slices(structure)
    assert set(slices) == {g.name for g in structure.groups if g.role == "hidden"}
    assert all(structure.tensor[i.tensor].kind == "parameter" for items in slices.values() for i in items)
    assert node_slices(structure) is slices


def test_gradients_flow_to_every_weight_once_per_node_it_touches() -> None:
    graph = make_graph("mlp")
    weights = {n: t.clone().requires_grad_() for n, t in graph.state.items()}
    sums = node_sums(graph.structure, weights, across="sum")
    torch.stack([s.sum() for s in sums.values()]).sum().backward()
    touched = {"layers.0.weight": 1, "layers.1.weight": 2, "layers.2.weight": 1, "layers.0.bias": 1}
    for name, times in touched.items():
        assert torch.equal(weights[name].grad, torch.full_like(weights[name], times))
    assert weights["layers.2.bias"].grad is None


def test_values_left_out_count_as_absent() -> None:
    graph = make_graph("mlp")
    only = {"layers.0.bias": torch.arange(8.0)}
    sums = node_sums(graph.structure, only, across="mean")
    assert sums["layers.0"].tolist() == list(range(8))
    assert sums["layers.1"].tolist() == [0.0] * 7
