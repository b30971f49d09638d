"""Stacks of graphs of one structure."""

from dataclasses import replace

import pytest
import torch

from netgraph.errors import GraphError
from netgraph.graph import NeuralGraph, stack, unstack
from tests.graph.networks import NETWORKS, by_hand, graph


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(name: str) -> None:
    one = graph(name)
    two = NeuralGraph(one.structure, {n: torch.zeros_like(t) for n, t in one.state.items()})
    batch = stack([one, two, one])
    assert len(batch) == 3
    assert all(t.shape[0] == 3 for t in batch.state.values())
    assert unstack(batch) == [one, two, one]


def test_items_are_views() -> None:
    batch = stack([by_hand(), by_hand()])
    batch[1].state["a.bias"].zero_()
    assert batch.state["a.bias"][1].eq(0).all()
    assert batch[0] == by_hand()
    assert batch[-1] == batch[1]


@pytest.mark.parametrize("index", [2, -3])
def test_index_out_of_range(index: int) -> None:
    with pytest.raises(IndexError, match="of a batch of 2"):
        stack([by_hand(), by_hand()])[index]


def test_iteration_ends() -> None:
    assert list(stack([by_hand()])) == [by_hand()]


def test_gradients_flow_through_a_stack() -> None:
    hand = by_hand()
    weight = hand.state["a.weight"].clone().requires_grad_()
    batch = stack([hand.replace({"a.weight": weight}), hand])
    batch.state["a.weight"].sum().backward()
    assert weight.grad is not None and weight.grad.eq(1).all()


def test_refuses() -> None:
    hand = by_hand()
    with pytest.raises(GraphError, match="at least one graph"):
        stack([])
    with pytest.raises(GraphError, match="graph 1 has another structure"):
        stack([hand, NeuralGraph(replace(hand.structure, in_spec="x"), hand.state)])
