"""Masks against a walk over every single weight."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netgraph.errors import GraphError
from netgraph.graph import EdgeMask, NeuralGraph, NodeMask, kept_positions, same_bytes
from tests.graph.networks import NETWORKS, by_hand, graph, network


def random_mask(converted: NeuralGraph, seed: int) -> NodeMask:
    """Drops at least one node of every hidden group that has two, and keeps at least one."""
    generator = torch.Generator().manual_seed(seed)
    keep = {}
    for group in converted.structure.groups:
        if group.role == "hidden" and group.size > 1:
            keep[group.name] = torch.rand(group.size, generator=generator) < 0.6
            first, last = torch.randperm(group.size, generator=generator)[:2].tolist()
            keep[group.name][first], keep[group.name][last] = True, False
    return NodeMask(keep)


def slow_apply(converted: NeuralGraph, mask: NodeMask) -> NeuralGraph:
    """Look up the nodes of every scalar, one by one."""
    structure = converted.structure
    state = {}
    for spec in structure.tensors:
        tensor = converted.state[spec.name].clone()
        if tensor.is_floating_point():
            for place in product(*map(range, spec.shape)):
                for dim, axis in enumerate(spec.axes):
                    if axis is None:
                        continue
                    group = structure.groups[structure.axes[axis].groups[place[dim]]].name
                    node = structure.axes[axis].indices[place[dim]]
                    if group in mask.keep and not mask.keep[group][node]:
                        tensor[place] = 0
        state[spec.name] = tensor
    return NeuralGraph(structure, state)


@pytest.mark.parametrize("name", NETWORKS)
def test_apply_against_a_walk(name: str) -> None:
    converted = graph(name)
    mask = random_mask(converted, seed=3)
    assert mask.dropped > 0
    assert mask.apply(converted) == slow_apply(converted, mask)


@given(seed=st.integers(0, 2**31))
def test_apply_against_a_walk_for_any_mask(seed: int) -> None:
    converted = graph("concat")
    mask = random_mask(converted, seed)
    assert mask.apply(converted) == slow_apply(converted, mask)


@pytest.mark.parametrize("name", NETWORKS)
def test_apply_leaves_the_graph_alone(name: str) -> None:
    converted = graph(name)
    before = converted.clone()
    random_mask(converted, 0).apply(converted)
    assert converted == before


def test_keeping_all_changes_nothing() -> None:
    converted = graph("concat")
    full = NodeMask({g.name: torch.ones(g.size, dtype=torch.bool) for g in converted.structure.groups})
    assert full.dropped == 0
    assert full.apply(converted) == converted
    assert kept_positions(converted.structure, full) == [None] * len(converted.structure.axes)


def test_and_keeps_what_both_keep() -> None:
    one = NodeMask({"a": torch.tensor([True, False]), "b": torch.tensor([True, False])})
    two = NodeMask({"b": torch.tensor([False, False]), "c": torch.tensor([True])})
    assert (one & two) == NodeMask(
        {"a": torch.tensor([True, False]), "b": torch.tensor([False, False]), "c": torch.tensor([True])}
    )
    assert one != two
    assert one != "mask"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


HIDDEN = torch.tensor([True, False, True])
REFUSED: dict[str, tuple[NodeMask, str]] = {
    "unknown group": (NodeMask({"nowhere": HIDDEN}), "no group 'nowhere'"),
    "wrong size": (NodeMask({"hidden": HIDDEN[:2]}), r"shape \(3,\)"),
    "wrong rank": (NodeMask({"hidden": HIDDEN[None]}), r"shape \(3,\)"),
    "not bool": (NodeMask({"hidden": HIDDEN.float()}), "needs a bool tensor"),
    "emptied": (NodeMask({"hidden": torch.zeros(3, dtype=torch.bool)}), "would be empty"),
    "input": (NodeMask({"in": torch.tensor([True, False])}), "cannot be cut"),
    "fixed": (NodeMask({"out": torch.tensor([False])}), "would be empty"),
}


@pytest.mark.parametrize(("mask", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(
    "use",
    [
        lambda m, g: m.validate(g.structure),
        lambda m, g: m.apply(g),
        lambda m, g: EdgeMask.from_nodes(g.structure, m),
    ],
    ids=["validate", "apply", "edges"],
)
def test_node_mask_refuses(
    mask: NodeMask, message: str, use: Callable[[NodeMask, NeuralGraph], object]
) -> None:
    with pytest.raises(GraphError, match=message):
        use(mask, by_hand())


def test_kept_positions_follow_repeats() -> None:
    converted = graph("grouped")
    mask = NodeMask({"up": torch.tensor([True, False])})
    for axis, kept in zip(converted.structure.axes, kept_positions(converted.structure, mask), strict=True):
        up = converted.structure.group_index["up"]
        expected = [
            i
            for i, (g, n) in enumerate(zip(axis.groups, axis.indices, strict=True))
            if g != up or mask.keep["up"][n]
        ]
        assert (list(range(axis.size)) if kept is None else kept.tolist()) == expected


@pytest.mark.parametrize("name", ["concat", "grouped", "language"])
def test_edge_mask_of_nodes_does_what_the_node_mask_does(name: str) -> None:
    converted = graph(name)
    mask = random_mask(converted, 1)
    by_edges = EdgeMask.from_nodes(converted.structure, mask).apply(converted)
    by_nodes = mask.apply(converted)
    for spec in converted.structure.tensors:
        if spec.kind == "parameter":
            assert torch.equal(by_edges.state[spec.name], by_nodes.state[spec.name])
        else:
            assert by_edges.state[spec.name] is converted.state[spec.name]


def test_edge_mask_of_ones_changes_nothing() -> None:
    for name in NETWORKS:
        converted = graph(name)
        ones = EdgeMask.ones(converted.structure)
        assert ones.sparsity() == 0.0
        assert ones.apply(converted) == converted


def test_edge_mask_multiplies_and_keeps_the_dtype() -> None:
    converted = graph("half")
    name = "0.weight"
    half = EdgeMask({name: torch.full((5, 3), 0.5)}).apply(converted)
    assert same_bytes(half.state[name], converted.state[name] * 0.5)
    assert EdgeMask({name: torch.tensor([[0.0, 1.0], [0.0, 0.0]])}).sparsity() == 0.75
    assert EdgeMask({}).sparsity() == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [({"c": torch.ones(3)}, "no tensor 'c'"), ({"a.bias": torch.ones(2)}, r"shape \[3\], got \[2\]")],
)
def test_edge_mask_refuses(values: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        EdgeMask(values).apply(by_hand())


def test_masked_network_ignores_dropped_channels() -> None:
    module, x, converted = network("mlp")
    keep = torch.tensor([True, False, True, True, False])
    masked = NodeMask({"0": keep}).apply(converted).to_module()
    first, second = module[0], module[2]
    hidden = first(x).relu()[:, keep]
    hidden = (hidden @ second.weight[:, keep].T + second.bias).relu()
    assert torch.allclose(masked(x), module[4](hidden), atol=1e-6)
