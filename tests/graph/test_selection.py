"""Selection: the smaller network computes what the masked one does."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from netgraph.convert import to_graph
from netgraph.errors import GraphError
from netgraph.graph import NeuralGraph, NodeMask, select, select_structure
from tests.graph.networks import NETWORKS, by_hand, graph, network
from tests.graph.test_masks import random_mask


@pytest.mark.parametrize("name", NETWORKS)
def test_selected_graphs_are_valid(name: str) -> None:
    converted = graph(name)
    mask = random_mask(converted, 7)
    small = select(converted, mask)
    small.validate()
    assert small.structure == select_structure(converted.structure, mask)
    assert small.num_nodes == converted.num_nodes - mask.dropped
    assert list(small.to_state_dict()) == list(converted.to_state_dict())


def test_by_hand() -> None:
    hand = by_hand()
    small = select(hand, NodeMask({"hidden": torch.tensor([True, False, True])}))
    assert [g.size for g in small.structure.groups] == [2, 2, 1]
    assert torch.equal(small.state["a.weight"], hand.state["a.weight"][[0, 2]])
    assert torch.equal(small.state["a.bias"], hand.state["a.bias"][[0, 2]])
    assert torch.equal(small.state["b.weight"], hand.state["b.weight"][:, [0, 2]])
    x = torch.randn(5, 2)
    hidden = (x @ hand.state["a.weight"][[0, 2]].T + hand.state["a.bias"][[0, 2]]).relu()
    assert torch.allclose(small.to_module()(x), hidden @ hand.state["b.weight"][:, [0, 2]].T)


@pytest.mark.parametrize("name", ["mlp", "concat", "odds"])
@pytest.mark.parametrize("seed", range(4))
def test_output_equals_that_of_the_masked_network(name: str, seed: int) -> None:
    _, x, converted = network(name)
    mask = random_mask(converted, seed)
    masked = mask.apply(converted).to_module().eval()(x)
    assert torch.allclose(select(converted, mask).to_module().eval()(x), masked, atol=1e-5)


@given(name=st.sampled_from(["mlp", "concat", "odds", "half"]), seed=st.integers(0, 2**31))
def test_two_selections_are_one(name: str, seed: int) -> None:
    converted = graph(name)
    first = random_mask(converted, seed)
    once = select(converted, first)
    second = random_mask(once, seed + 1)
    both = {}
    for group, keep in first.keep.items():
        both[group] = keep.clone()
        if group in second.keep:
            both[group][keep] = second.keep[group]
    assert select(once, second) == select(converted, NodeMask(both))


def test_keeping_all_shares_everything() -> None:
    converted = graph("grouped")
    same = select(converted, NodeMask({}))
    assert same == converted
    assert all(same.state[n] is t for n, t in converted.state.items())


def test_tied_tensors_stay_tied() -> None:
    converted = graph("language")
    mask = NodeMask({"embed": torch.arange(8) % 2 == 0})
    state = select(converted, mask).to_state_dict()
    assert state["head.weight"] is state["embed.weight"]
    assert state["head.weight"].shape == (7, 4)


def test_whole_heads_leave_together() -> None:
    _, tokens, converted = network("language")
    heads = converted.structure.group_index["layer.self_attn"]
    assert converted.structure.groups[heads].size == 2
    small = select(converted, NodeMask({"layer.self_attn": torch.tensor([False, True])}))
    assert small.state["layer.self_attn.in_proj_weight"].shape == (12, 8)
    assert small.to_module().eval()(tokens).shape == (2, 5, 7)


def test_channel_groups_leave_whole() -> None:
    _, x, converted = network("grouped")
    small = select(converted, NodeMask({"up": torch.tensor([False, True])}))
    assert small.state["grouped.weight"].shape == (4, 3, 1, 1)
    conv = next(o for o in small.structure.operators if "grouped.weight" in o.refs("tensor"))
    norm = next(o for o in small.structure.operators if o.kind == "group_norm")
    assert conv.args[6] == 1
    assert norm.args[1] == 1
    assert small.to_module().eval()(x).shape == (2, 3)


def test_a_smaller_network_is_the_network_of_that_size() -> None:
    small = select(graph("mlp"), NodeMask({"0": torch.arange(5) < 2, "2": torch.arange(4) < 3}))
    rebuilt = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    assert to_graph(rebuilt, torch.randn(4, 3)).structure == small.structure


def test_refuses_what_the_mask_refuses() -> None:
    converted: NeuralGraph = graph("mlp")
    with pytest.raises(GraphError, match="cannot be cut"):
        select(converted, NodeMask({"input": torch.tensor([True, True, False])}))
