"""Neural graphs: equality by bytes, replacing, cloning, and the weights of a block."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.graph import Block, NeuralGraph, same_bytes
from tests.graph.networks import NETWORKS, by_hand, graph, network


def test_equality_is_by_bytes() -> None:
    one, two = by_hand(), by_hand()
    assert one == two
    assert hash(one) == hash(two)
    assert one != "graph"
    two.state["a.bias"][0] += 1
    assert one != two
    assert replace(one, structure=replace(one.structure, in_spec="x")) != one


BYTES = {
    "nan equals itself": ([float("nan")], [float("nan")], True),
    "zero has a sign": ([0.0], [-0.0], False),
    "values": ([1.0], [2.0], False),
    "shapes": ([1.0], [[1.0]], False),
    "empty": ([], [], True),
}


@pytest.mark.parametrize(("a", "b", "same"), BYTES.values(), ids=BYTES)
def test_same_bytes(a: list[float], b: list[float], same: bool) -> None:
    assert same_bytes(torch.tensor(a), torch.tensor(b)) is same


def test_same_bytes_of_other_dtypes() -> None:
    assert not same_bytes(torch.zeros(2), torch.zeros(2, dtype=torch.float64))
    payload = torch.tensor([0x7FC00001, 0x7FC00002], dtype=torch.int32).view(torch.float32)
    assert not same_bytes(payload[:1], payload[1:])
    assert same_bytes(torch.randn(3, 4).t(), torch.randn(3, 4).t()) is False
    tensor = torch.randn(3, 4)
    assert same_bytes(tensor.t(), tensor.t().contiguous())
    assert same_bytes(torch.tensor(True), torch.tensor(True))


def test_replace_keeps_the_rest() -> None:
    graph = by_hand()
    bias = torch.zeros(3)
    changed = graph.replace({"a.bias": bias})
    assert changed.state["a.bias"] is bias
    assert changed.state["a.weight"] is graph.state["a.weight"]
    assert graph.state["a.bias"] is not bias


@pytest.mark.parametrize(
    ("state", "message"),
    [({"c": torch.zeros(3)}, "no tensor 'c'"), ({"a.bias": torch.zeros(4)}, r"shape \[3\], got \[4\]")],
)
def test_replace_refuses(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        by_hand().replace(state)


def test_clone_shares_nothing() -> None:
    graph = by_hand()
    copy = graph.clone()
    assert copy == graph
    copy.state["a.bias"].zero_()
    assert copy != graph
    weight = torch.nn.Parameter(torch.randn(3))
    assert not graph.replace({"a.bias": weight}).clone().state["a.bias"].requires_grad


BAD_STATES: dict[str, tuple[Callable[[NeuralGraph], dict[str, Tensor]], str]] = {
    "missing": (lambda g: {"a.bias": g.state["a.bias"]}, "lacks"),
    "too many": (lambda g: {**g.state, "c": torch.zeros(1)}, "too many"),
    "shape": (
        lambda g: {**g.state, "a.bias": torch.zeros(1, 3)},
        r"should be float32\[3\], got float32\[1, 3\]",
    ),
    "dtype": (lambda g: {**g.state, "a.bias": torch.zeros(3).half()}, "got float16"),
}


@pytest.mark.parametrize(("make", "message"), BAD_STATES.values(), ids=BAD_STATES)
def test_validate_refuses(make: Callable[[NeuralGraph], dict[str, Tensor]], message: str) -> None:
    graph = by_hand()
    with pytest.raises(GraphError, match=message):
        NeuralGraph(graph.structure, make(graph)).validate()


@pytest.mark.parametrize("name", NETWORKS)
def test_state_dict_comes_back(name: str) -> None:
    module, _, converted = network(name)
    expected = module.state_dict()
    returned = converted.to_state_dict()
    assert list(returned) == list(expected)
    assert all(same_bytes(returned[k], expected[k]) for k in expected)


def slow_block_weights(graph: NeuralGraph, block: Block) -> Tensor:
    """Collect the weights of every pair of nodes by walking over all positions."""
    spec = graph.structure.tensor[block.tensor]
    assert spec.out_axis is not None and spec.in_axis is not None
    tensor = graph.state[block.tensor]
    found: dict[tuple[int, int], list[Tensor]] = {}
    for d in range(block.dst.size):
        row = tensor.movedim(spec.out_axis, 0)[block.dst_offset + d]
        node = d // block.dst.repeat
        if block.loop:
            found.setdefault((node, 0), []).append(row.reshape(-1))
            continue
        for s in range(block.src.size):
            index: list[slice | int] = [slice(None)] * tensor.dim()
            index[spec.out_axis], index[spec.in_axis] = block.dst_offset + d, block.src_offset + s
            found.setdefault((node, s // block.src.repeat), []).append(tensor[tuple(index)].reshape(-1))
    rows, columns = block.dst.length, 1 if block.loop else block.src.length
    return torch.stack([torch.stack([torch.stack(found[d, s]) for s in range(columns)]) for d in range(rows)])


@pytest.mark.parametrize("name", NETWORKS)
def test_block_weights_against_a_walk(name: str) -> None:
    converted = graph(name)
    assert converted.structure.blocks
    for block in converted.structure.blocks:
        weights = converted.block_weights(block)
        assert weights.shape[:3].numel() == block.edges
        assert same_bytes(weights, slow_block_weights(converted, block))


def test_block_weights_are_views_where_they_can_be() -> None:
    converted = graph("mlp")
    weights = converted.block_weights(converted.structure.blocks[0])
    assert weights.data_ptr() == converted.state["0.weight"].data_ptr()


def test_block_weights_without_taps() -> None:
    hand = by_hand()
    spec = replace(hand.structure.tensors[0], shape=(3, 2, 0), axes=(1, 0, None))
    structure = replace(hand.structure, tensors=(spec, *hand.structure.tensors[1:]))
    empty = NeuralGraph(structure, {**hand.state, "a.weight": torch.zeros(3, 2, 0)})
    assert empty.block_weights(structure.blocks[0]).shape == (3, 2, 1, 0)


def test_summary_names_every_group() -> None:
    converted = graph("concat")
    text = converted.summary()
    assert all(g.name in text for g in converted.structure.groups)
    assert f"{converted.num_nodes} nodes" in text
    assert repr(converted).startswith("NeuralGraph(groups=4")


def test_counts() -> None:
    hand = by_hand()
    assert (hand.num_nodes, hand.num_edges, hand.num_parameters) == (6, 9, 12)
