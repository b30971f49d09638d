"""The edge list holds every scalar once, and gives the same bytes back."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.convert.flat import FlatGraph, flatten, unflatten
from netgraph.convert.layout import Layout, node_columns
from netgraph.errors import InterchangeError
from netgraph.graph import NeuralGraph, same_bytes
from netgraph.zoo import resnet56
from tests.graph.networks import NETWORKS, by_hand, graph
from tests.graph.test_neural_graph import slow_block_weights


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(name: str) -> None:
    converted = graph(name)
    again = unflatten(flatten(converted), converted.structure)
    again.validate()
    assert again == converted
    assert list(again.state) == list(converted.state)


@pytest.mark.parametrize("name", NETWORKS)
def test_edges_hold_the_blocks(name: str) -> None:
    converted = graph(name)
    flat = flatten(converted)
    covered = 0
    for number, block in enumerate(converted.structure.blocks):
        edges = flat.edge_attr[flat.edge_block == number]
        if len(edges) == 0:
            assert block.tensor in flat.verbatim
            continue
        taps = converted.structure.tensor[block.tensor].taps
        assert same_bytes(edges[:, :taps], slow_block_weights(converted, block).reshape(-1, taps))
        assert edges[:, taps:].eq(0).all()
        covered += block.edges
    assert covered == len(flat.edge_attr)


@pytest.mark.parametrize("name", NETWORKS)
def test_nodes_hold_the_node_tensors(name: str) -> None:
    converted = graph(name)
    structure, flat = converted.structure, flatten(converted)
    columns = node_columns(structure)
    for tensor, places in columns.items():
        spec = structure.tensor[tensor]
        assert spec.out_axis is not None
        axis = structure.axis_of(spec, spec.out_axis)
        rows = converted.state[tensor].movedim(spec.out_axis, 0)
        for i, (number, node) in enumerate(zip(axis.groups, axis.indices, strict=True)):
            group = structure.groups[number]
            row = flat.x[structure.offsets[number] + node, places[group.name]]
            assert all(value in row for value in rows[i].reshape(-1).nan_to_num(0)) or rows[i].isnan().any()


def test_every_scalar_once() -> None:
    """Number all scalars through; the numbers come out once each, the rest is padding."""
    converted = graph("grouped")
    count, state = 1, {}
    for name, tensor in converted.state.items():
        fresh = torch.arange(count, count + tensor.numel(), dtype=torch.float32).reshape(tensor.shape)
        state[name] = fresh if tensor.is_floating_point() else tensor
        count += tensor.numel()
    flat = flatten(NeuralGraph(converted.structure, state))
    found = torch.cat([flat.edge_attr.reshape(-1), flat.x.reshape(-1), flat.graph_attr])
    expected = torch.cat([t.reshape(-1) for t in state.values() if t.is_floating_point()])
    assert torch.equal(found[found != 0].sort().values, expected.sort().values)


def test_directions_and_self_loops() -> None:
    flat = flatten(by_hand())
    assert flat.edge_index[:, :6].tolist() == [[0, 1, 0, 1, 0, 1], [2, 2, 3, 3, 4, 4]]
    assert flat.edge_attr[:6, 0].tolist() == by_hand().state["a.weight"].reshape(-1).tolist()
    assert flat.node_group.tolist() == [0, 0, 1, 1, 1, 2]
    grouped = graph("grouped")
    flat = flatten(grouped)
    for number, block in enumerate(grouped.structure.blocks):
        source, target = flat.edge_index[:, flat.edge_block == number]
        assert bool((source == target).all()) is block.loop


NUMBERS = st.floats(width=32) | st.sampled_from([float("nan"), -0.0, float("inf")])


@given(
    st.lists(NUMBERS, min_size=12, max_size=12), st.lists(st.integers(0, 2**32 - 1), min_size=12, max_size=12)
)
def test_any_bits_survive(numbers: list[float], patterns: list[int]) -> None:
    hand = by_hand()
    raw = torch.tensor(patterns, dtype=torch.int64).to(torch.int32).view(torch.float32)
    for values in (torch.tensor(numbers), raw):
        state = {
            "a.weight": values[:6].reshape(3, 2),
            "a.bias": values[6:9],
            "b.weight": values[9:].reshape(1, 3),
        }
        converted = NeuralGraph(hand.structure, state)
        assert unflatten(flatten(converted), hand.structure) == converted


DTYPES: list[dict[str, torch.dtype]] = [
    {"a.weight": torch.float16, "a.bias": torch.float32, "b.weight": torch.bfloat16},
    {"a.weight": torch.float64, "a.bias": torch.float16, "b.weight": torch.float32},
    {"a.weight": torch.int8, "a.bias": torch.bool, "b.weight": torch.float16},
    {"a.weight": torch.complex64, "a.bias": torch.float64, "b.weight": torch.float32},
    {"a.weight": torch.int64, "a.bias": torch.int32, "b.weight": torch.bool},
]


@pytest.mark.parametrize("dtypes", DTYPES, ids=lambda d: "-".join(str(v)[6:] for v in d.values()))
def test_mixed_dtypes(dtypes: dict[str, torch.dtype]) -> None:
    hand = by_hand()
    state = {n: (t * 10).to(dtypes[n]) for n, t in hand.state.items()}
    tensors = tuple(replace(t, dtype=str(dtypes[t.name])[6:]) for t in hand.structure.tensors)
    converted = NeuralGraph(replace(hand.structure, tensors=tensors), state)
    converted.validate()
    assert unflatten(flatten(converted), converted.structure) == converted


def test_edits_come_back() -> None:
    hand = by_hand()
    flat = flatten(hand)
    flat.edge_attr[7] = 5.0
    flat.x[3, 0] = -7.0
    again = unflatten(flat, hand.structure)
    assert again.state["b.weight"][0, 1] == 5
    assert again.state["a.bias"][1] == -7
    assert torch.equal(again.state["a.weight"], hand.state["a.weight"])


def test_padding_is_ignored() -> None:
    converted = graph("concat")
    flat = flatten(converted)
    taps = {i: converted.structure.tensor[b.tensor].taps for i, b in enumerate(converted.structure.blocks)}
    for edge, number in enumerate(flat.edge_block.tolist()):
        flat.edge_attr[edge, taps[number] :] = float("nan")
    assert unflatten(flat, converted.structure) == converted


def test_copies_without_history() -> None:
    net = nn.Linear(3, 2)
    converted = to_graph(net, torch.zeros(1, 3)).replace(dict(net.named_parameters()))
    flat = flatten(converted)
    assert not flat.edge_attr.requires_grad and not flat.x.requires_grad
    flat.edge_attr.zero_()
    assert converted.state["weight"].ne(0).all()


def test_differentiable_on_the_way_back() -> None:
    converted = graph("concat")
    flat = flatten(converted)
    edge_attr, x = flat.edge_attr.requires_grad_(), flat.x.requires_grad_()
    again = unflatten(replace(flat, edge_attr=edge_attr, x=x), converted.structure)
    sum((t**2).sum() / 2 for t in again.state.values() if t.is_floating_point()).backward()
    assert torch.equal(edge_attr.grad, edge_attr.detach())  # padding is zero, and so is its gradient
    assert torch.equal(x.grad, x.detach())


def test_another_float_dtype_is_rounded_back() -> None:
    converted = graph("half")
    flat = flatten(converted)
    wide = replace(flat, edge_attr=flat.edge_attr.double(), x=flat.x.double())
    assert unflatten(wide, converted.structure) == converted


Edit = Callable[[FlatGraph], dict[str, object]]

REFUSED: dict[str, tuple[Edit, str]] = {
    "edge removed": (
        lambda f: {"edge_index": f.edge_index[:, 1:], "edge_attr": f.edge_attr[1:]},
        r"edge_index of shape \[2, 26\], got \[2, 25\]",
    ),
    "attributes of an edge removed": (lambda f: {"edge_attr": f.edge_attr[1:]}, "edge_attr of shape"),
    "taps cut off": (lambda f: {"edge_attr": f.edge_attr[:, :1]}, "edge_attr of shape"),
    "node removed": (lambda f: {"x": f.x[1:]}, "x of shape"),
    "columns cut off": (lambda f: {"x": f.x[:, :0]}, "x of shape"),
    "scalar removed": (lambda f: {"graph_attr": f.graph_attr[:0]}, "graph_attr of shape"),
    "edges turned around": (lambda f: {"edge_index": f.edge_index.flip(0)}, "edge_index as it was made"),
    "edges reordered": (lambda f: {"edge_index": f.edge_index.flip(1)}, "edge_index as it was made"),
    "blocks exchanged": (lambda f: {"edge_block": f.edge_block.flip(0)}, "edge_block as it was made"),
    "groups exchanged": (lambda f: {"node_group": f.node_group.flip(0)}, "node_group as it was made"),
    "integers for floats": (lambda f: {"edge_attr": f.edge_attr.long()}, "edge_attr to hold floats"),
    "complex for floats": (lambda f: {"x": f.x.cfloat()}, "x to hold floats"),
    "floats for integers": (lambda f: {"edge_index": f.edge_index.float()}, "edge_index to hold integers"),
    "no tensor": (lambda f: {"x": f.x.tolist()}, "x to be a tensor, got list"),
    "nothing": (lambda f: {"edge_attr": None}, "edge_attr to be a tensor, got NoneType"),
    "verbatim lost": (lambda f: {"verbatim": {}}, "the verbatim tensors"),
    "verbatim too many": (
        lambda f: {"verbatim": {**f.verbatim, "more": torch.zeros(1)}},
        "the verbatim tensors",
    ),
    "verbatim of another shape": (
        lambda f: {"verbatim": {**f.verbatim, "flags": torch.ones(2, dtype=torch.bool)}},
        "verbatim tensor 'flags'",
    ),
    "verbatim of another dtype": (
        lambda f: {"verbatim": {**f.verbatim, "flags": torch.ones(3)}},
        "verbatim tensor 'flags'",
    ),
    "verbatim is no tensor": (
        lambda f: {"verbatim": {**f.verbatim, "flags": [True]}},
        "verbatim tensor 'flags' to be a tensor",
    ),
}


@pytest.mark.parametrize(("edit", "message"), REFUSED.values(), ids=REFUSED)
def test_unflatten_refuses(edit: Edit, message: str) -> None:
    converted = graph("odds")
    with pytest.raises(InterchangeError, match=message) as caught:
        flat = flatten(converted)
        unflatten(replace(flat, **edit(flat)), converted.structure)
    assert str(caught.value).startswith("unflatten: expected ")
    assert str(caught.value).endswith("not its nodes and edges")


def test_unflatten_refuses_the_structure_of_another_graph() -> None:
    with pytest.raises(InterchangeError, match="edge_index of shape"):
        unflatten(flatten(graph("mlp")), graph("concat").structure)


def test_empty_graph() -> None:
    from netgraph.graph import Structure

    empty = NeuralGraph(Structure((), (), ()), {})
    flat = flatten(empty)
    assert (flat.edge_index.shape, flat.edge_attr.shape, flat.x.shape) == ((2, 0), (0, 1), (0, 0))
    assert unflatten(flat, empty.structure) == empty


def test_resnet56_takes_no_loop_over_edges() -> None:
    converted = to_graph(resnet56(), torch.randn(2, 3, 32, 32))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        flat = flatten(converted)
        again = unflatten(flat, converted.structure)
        seconds.append(time.perf_counter() - start)
    assert again == converted
    assert len(flat.edge_attr) == converted.num_edges > 90_000
    assert min(seconds) < 0.5


def slow_edges(converted: NeuralGraph) -> list[tuple[int, int, list[float]]]:
    """Every weight as (source, target, taps), by a walk over the tensors' positions."""
    structure = converted.structure
    found = []
    for spec, _ in {s.name: (s, b) for s, b in Layout(structure).blocks}.values():
        assert spec.out_axis is not None and spec.in_axis is not None
        tensor = converted.state[spec.name]

        def nodes(dim: int, spec=spec) -> list[int]:  # type: ignore[no-untyped-def]
            axis = structure.axis_of(spec, dim)
            return [structure.offsets[g] + int(i) for g, i in zip(axis.groups, axis.indices, strict=True)]

        for d, target in enumerate(nodes(spec.out_axis)):
            row: Tensor = tensor.movedim(spec.out_axis, 0)[d]
            if spec.in_axis == spec.out_axis:
                found.append((target, target, row.reshape(-1).tolist()))
                continue
            rest = tensor.movedim((spec.out_axis, spec.in_axis), (0, 1))[d]
            for s, source in enumerate(nodes(spec.in_axis)):
                found.append((source, target, rest[s].reshape(-1).tolist()))
    return found


@pytest.mark.parametrize("name", ["mlp", "concat", "grouped", "language"])
def test_edges_against_a_walk(name: str) -> None:
    converted = graph(name)
    flat = flatten(converted)
    taps = [converted.structure.tensor[b.tensor].taps for b in converted.structure.blocks]
    rows = flat.edge_attr.tolist()
    listed = [
        (s, t, rows[e][: taps[b]])
        for e, (s, t, b) in enumerate(zip(*flat.edge_index.tolist(), flat.edge_block.tolist(), strict=True))
    ]
    assert sorted(listed) == sorted(slow_edges(converted))
