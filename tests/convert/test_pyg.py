"""PyG's `Data`: lossless both ways, through clones, batches and models."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader
from torch_geometric.nn import NNConv

from netgraph.convert import to_graph
from netgraph.convert.flat import flatten
from netgraph.convert.origin import Origin
from netgraph.convert.pyg import from_pyg, to_pyg
from netgraph.errors import InterchangeError
from netgraph.graph import NeuralGraph
from tests.graph.networks import NETWORKS, graph


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(name: str) -> None:
    converted = graph(name)
    data = to_pyg(converted)
    assert data.validate()
    assert data.num_nodes == converted.num_nodes
    assert from_pyg(data) == converted


def test_layout_is_that_of_the_edge_list() -> None:
    converted = graph("concat")
    data, flat = to_pyg(converted), flatten(converted)
    for name in ("edge_index", "edge_attr", "edge_block", "x", "node_group"):
        assert torch.equal(data[name], getattr(flat, name))
    assert data.graph_attr.shape == (1, 0)
    assert to_pyg(graph("odds")).graph_attr.shape == (1, 1)


COPIES: dict[str, Callable[[Data], Data]] = {
    "clone": lambda d: d.clone(),
    "shallow": copy.copy,
    "deep": copy.deepcopy,
    "to": lambda d: d.to("cpu"),
    "contiguous": lambda d: d.contiguous(),
    "detach": lambda d: d.detach(),
    "from dict": lambda d: Data.from_dict(d.to_dict()),
}


@pytest.mark.parametrize("take", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("name", ["odds", "grouped"])
def test_copies_come_back(name: str, take: Callable[[Data], Data]) -> None:
    assert from_pyg(take(to_pyg(graph(name)))) == graph(name)


def test_clones_share_nothing() -> None:
    data = to_pyg(graph("odds"))
    other = data.clone()
    other.edge_attr.zero_()
    other.origin.verbatim["flags"].zero_()
    assert from_pyg(data) == graph("odds")


def test_the_model_is_not_touched() -> None:
    net = nn.Linear(3, 2)
    converted = to_graph(net, torch.zeros(1, 3))
    to_pyg(converted).edge_attr.zero_()
    assert net.weight.ne(0).all()


def variant(name: str, scale: float) -> NeuralGraph:
    converted = graph(name)
    return NeuralGraph(
        converted.structure,
        {
            n: t * scale if t.is_floating_point() else t + (t.dtype != torch.bool)
            for n, t in converted.state.items()
        }
        if scale != 1
        else dict(converted.state),
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_batches_of_equal_structures(name: str) -> None:
    graphs = [variant(name, s) for s in (1, 2, -1)]
    if name == "odds":  # true + 0 is 1
        graphs = [variant(name, 1)] * 3
    batch = Batch.from_data_list([to_pyg(g) for g in graphs])
    assert batch.num_nodes == 3 * graphs[0].num_nodes
    assert [from_pyg(d) for d in batch.to_data_list()] == graphs
    assert [from_pyg(batch[i]) for i in range(3)] == graphs
    assert [from_pyg(batch.clone().get_example(i)) for i in range(3)] == graphs


def test_batches_of_different_structures() -> None:
    graphs = [graph("mlp"), graph("half")]
    loaded = next(iter(DataLoader([to_pyg(g) for g in [graphs[0], graphs[0]]], batch_size=2)))
    assert [from_pyg(d) for d in loaded.to_data_list()] == [graphs[0]] * 2


def test_edits_of_a_batch_come_back() -> None:
    batch = Batch.from_data_list([to_pyg(graph("mlp"))] * 2)
    batch.edge_attr[batch.batch[batch.edge_index[0]] == 1] = 0
    first, second = (from_pyg(d) for d in batch.to_data_list())
    assert first == graph("mlp")
    assert all(second.state[f"{i}.weight"].eq(0).all() for i in (0, 2, 4))


def test_a_graph_network_can_write_weights() -> None:
    converted = graph("mlp")
    data = to_pyg(converted)
    conv = NNConv(1, 4, nn.Linear(1, 4))
    hidden = conv(data.x, data.edge_index, data.edge_attr)
    delta = (hidden[data.edge_index[0]] * hidden[data.edge_index[1]]).sum(1, keepdim=True)
    changed = data.clone()
    changed.edge_attr = data.edge_attr + delta
    output = from_pyg(changed)
    output.validate()
    output.state["2.weight"].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in conv.parameters())


def without(name: str) -> Callable[[Data], object]:
    def take(data: Data) -> Data:
        del data[name]
        return data

    return take


def replaced(**changes: object) -> Callable[[Data], object]:
    def take(data: Data) -> Data:
        for name, value in changes.items():
            data[name] = value(data) if callable(value) else value
        return data

    return take


REFUSED: dict[str, tuple[Callable[[Data], object], str]] = {
    "nothing": (lambda d: None, "got NoneType"),
    "a dict": (lambda d: d.to_dict(), "got dict"),
    "heterogeneous": (lambda d: HeteroData(), "got HeteroData"),
    "foreign": (lambda d: Data(x=torch.zeros(2, 1), edge_index=torch.zeros(2, 1).long()), "are missing"),
    "empty": (lambda d: Data(), "are missing"),
    **{
        f"without {n}": (without(n), rf"\['{n}'\] are missing")
        for n in ("edge_index", "edge_attr", "edge_block", "x", "node_group", "graph_attr", "origin")
    },
    "other origin": (replaced(origin=lambda d: d.origin.structure), "got Structure"),
    "a batch": (
        lambda d: Batch.from_data_list([d, d.clone()]),
        r"got list; take one graph of a batch with batch\[i\]",
    ),
    "origin of another": (
        replaced(origin=lambda d: to_pyg(graph("mlp")).origin),
        "expected edge_index of shape",
    ),
    "origin emptied": (
        replaced(origin=lambda d: Origin(d.origin.structure, {})),
        "expected the verbatim tensors",
    ),
    "edge removed": (
        replaced(edge_index=lambda d: d.edge_index[:, 1:], edge_attr=lambda d: d.edge_attr[1:]),
        "expected edge_index of shape",
    ),
    "edges as a set": (
        replaced(edge_index=lambda d: d.edge_index.flip(1)),
        "expected edge_index as it was made",
    ),
    "node removed": (lambda d: d.subgraph(torch.arange(1, d.num_nodes)), "expected edge_index of shape"),
    "features replaced": (replaced(x=lambda d: torch.randn(d.num_nodes, 64)), "expected x of shape"),
    "classes for features": (replaced(x=lambda d: d.x.long()), "expected x to hold floats"),
    "two rows of graph features": (
        replaced(graph_attr=lambda d: d.graph_attr.repeat(2, 1)),
        "expected graph_attr of shape",
    ),
}


@pytest.mark.parametrize(("take", "message"), REFUSED.values(), ids=REFUSED)
def test_from_pyg_refuses(take: Callable[[Data], object], message: str) -> None:
    with pytest.raises(InterchangeError, match=message) as caught:
        from_pyg(take(to_pyg(graph("odds"))))
    assert str(caught.value).startswith("from_pyg: ")
    assert ";" in str(caught.value)
