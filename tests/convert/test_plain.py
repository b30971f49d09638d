"""Plain graphs: the three libraries agree, edges come out complete and in order, and the rest is refused."""

import os
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData

from netgraph.convert import as_data
from netgraph.errors import InterchangeError

EDGES = [(2, 0), (0, 1), (3, 1), (1, 2)]
X = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0]])
WEIGHTS = {(0, 2): 0.5, (0, 1): 1.5, (1, 3): 2.5, (1, 2): 3.5}


def network() -> "nx.Graph[Any]":
    net: nx.Graph[Any] = nx.Graph(y=3)
    net.add_nodes_from((i, {"x": row}) for i, row in enumerate(X.tolist()))
    net.add_edges_from((u, v, {"attr": [WEIGHTS[min(u, v), max(u, v)]]}) for u, v in EDGES)
    return net


def both_ways() -> tuple[torch.Tensor, torch.Tensor]:
    pairs = EDGES + [(v, u) for u, v in EDGES]
    return torch.tensor(pairs).T, torch.tensor([[WEIGHTS[min(p), max(p)]] for p in pairs])


def pyg() -> Data:
    edges, weights = both_ways()
    return Data(x=X, edge_index=edges, edge_attr=weights, y=torch.tensor(3))


def test_edges_are_complete_sorted_and_carry_their_attributes() -> None:
    data = as_data(network())
    pairs = data.edge_index.T.tolist()
    assert pairs == sorted([u, v] for u in range(5) for v in range(5) if (min(u, v), max(u, v)) in WEIGHTS)
    assert data.edge_attr.tolist() == [[WEIGHTS[min(p), max(p)]] for p in pairs]
    assert torch.equal(data.x, X) and data.num_nodes == 5 and int(data.y) == 3


def same(a: Data, b: Data) -> bool:
    return a.num_nodes == b.num_nodes and all(
        torch.equal(a[name], b[name]) for name in ("edge_index", "x", "edge_attr")
    )


def test_networkx_and_pyg_agree() -> None:
    assert same(as_data(network()), as_data(pyg()))
    assert same(as_data(network().to_directed()), as_data(pyg()))
    assert same(as_data(nx.MultiGraph(network())), as_data(pyg()))


@pytest.mark.parametrize("formats", ["coo", "csr", "csc"])
def test_dgl_agrees(formats: str) -> None:
    os.environ.setdefault("DGLBACKEND", "pytorch")
    dgl = pytest.importorskip("dgl", reason="needs the extra netgraph-metanet[dgl]")
    edges, weights = both_ways()
    graph = dgl.graph((edges[0], edges[1]), num_nodes=5)
    graph.ndata["x"], graph.edata["edge_attr"] = X, weights
    assert same(as_data(graph.formats([formats])), as_data(pyg()))
    assert same(as_data(graph.int()), as_data(pyg()))


def test_dgl_graphs_that_are_not_one_plain_graph_are_refused() -> None:
    os.environ.setdefault("DGLBACKEND", "pytorch")
    dgl = pytest.importorskip("dgl", reason="needs the extra netgraph-metanet[dgl]")
    edge = dgl.graph(([0, 1], [1, 0]))
    typed = dgl.heterograph({("a", "r", "b"): ([0], [0])})
    for graph in (dgl.batch([edge, edge]), typed):
        with pytest.raises(InterchangeError, match="one homogeneous"):
            as_data(graph)
    with pytest.raises(InterchangeError, match="undirected"):
        as_data(dgl.graph(([0], [1])))


def test_the_input_is_left_alone_and_the_answer_stands() -> None:
    given = pyg()
    before = given.clone()
    once = as_data(given)
    assert torch.equal(given.edge_index, before.edge_index) and torch.equal(given.edge_attr, before.edge_attr)
    assert same(as_data(once), once)
    assert once.x is given.x


def test_other_attributes_are_kept() -> None:
    given = pyg()
    given.name, given.bond_type, given.part = "odd", torch.arange(8), np.arange(8)
    order = (given.edge_index[0] * 5 + given.edge_index[1]).argsort()
    data = as_data(given)
    assert data.name == "odd"
    assert torch.equal(data.bond_type, order)
    assert data.part.tolist() == order.tolist()


def test_attributes_whose_last_axis_runs_over_edges() -> None:
    given = pyg()
    given.edge_label_index = given.edge_index.clone()
    data = as_data(given)
    assert torch.equal(data.edge_label_index, data.edge_index)


def test_lists_of_nodes_stay_with_the_nodes_where_there_are_as_many_edges() -> None:
    net: nx.Graph[Any] = nx.Graph()
    net.add_nodes_from((i, {"label": name}) for i, name in enumerate("abcd"))
    net.add_edges_from([(0, 3), (1, 2)], label="s")
    data = as_data(net)
    assert data.label == ["a", "b", "c", "d"]
    assert data.edge_label == ["s"] * 4


def test_attributes_become_tensors_where_they_are_numbers() -> None:
    net: nx.Graph[Any] = nx.path_graph(3)
    nx.set_node_attributes(net, 2, "level")
    nx.set_node_attributes(net, {i: np.full(2, i) for i in net}, "array")
    nx.set_node_attributes(net, {i: torch.full((2,), i) for i in net}, "tensor")
    nx.set_node_attributes(net, {i: "xyz"[i] for i in net}, "letter")
    nx.set_edge_attributes(net, 0.5, "weight")
    data = as_data(net)
    assert data.level.tolist() == [2, 2, 2]
    assert data.array.tolist() == data.tensor.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert data.letter == ["x", "y", "z"]
    assert data.edge_weight.tolist() == [0.5] * 4


@pytest.mark.parametrize("nodes", [0, 1, 4])
def test_graphs_without_edges(nodes: int) -> None:
    empty = torch.empty(2, 0, dtype=torch.long)
    for data in (as_data(nx.empty_graph(nodes)), as_data(Data(edge_index=empty, num_nodes=nodes))):
        assert data.num_nodes == nodes
        assert data.edge_index.shape == (2, 0) and data.edge_index.dtype == torch.long


def test_components_and_names_of_nodes_do_not_matter() -> None:
    net = nx.disjoint_union(nx.cycle_graph(3), nx.empty_graph(2))
    renamed = nx.relabel_nodes(net, dict(zip(net, ["e", ("d", 1), "c", 2.5, "a"], strict=True)))
    assert torch.equal(as_data(net).edge_index, as_data(renamed).edge_index)
    assert as_data(renamed).num_nodes == 5


def _pyg(edges: list[tuple[int, int]], **rest: Any) -> Data:
    return Data(edge_index=torch.tensor(edges, dtype=torch.long).reshape(-1, 2).T, **{"num_nodes": 3, **rest})


def _some_nodes() -> "nx.Graph[Any]":
    net: nx.Graph[Any] = nx.path_graph(2)
    net.nodes[0]["x"] = 1.0
    return net


def _ragged() -> "nx.Graph[Any]":
    net: nx.Graph[Any] = nx.path_graph(2)
    nx.set_node_attributes(net, {0: [1.0], 1: [1.0, 2.0]}, "x")
    return net


def _unequal_digraph() -> "nx.Graph[Any]":
    return nx.DiGraph([(0, 1, {"label": "a"}), (1, 0, {"label": "b"})])


EDGE = [(0, 1), (1, 0)]
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a list": (lambda: [(0, 1)], "got list"),
    "nothing": (lambda: None, "got NoneType"),
    "several types": (HeteroData, "got HeteroData"),
    "batch": (lambda: Batch.from_data_list([_pyg(EDGE), _pyg(EDGE)]), "to_data_list"),
    "directed": (lambda: _pyg([(0, 1)]), r"edge \(0, 1\) without \(1, 0\)"),
    "digraph": (lambda: nx.DiGraph([(0, 1)]), "undirected"),
    "reverse elsewhere": (lambda: _pyg([(0, 1), (2, 0)]), "undirected"),
    "other features back": (
        lambda: _pyg(EDGE, edge_attr=torch.tensor([1.0, 2.0])),
        "reverse has another edge_attr",
    ),
    "other labels back": (_unequal_digraph, "reverse has another edge_label"),
    "self-loop": (lambda: _pyg([(0, 1), (1, 0), (2, 2)]), "self-loops, got one at node 2"),
    "self-loop in networkx": (lambda: nx.Graph([(0, 1), (1, 1)]), "self-loops, got one at node 1"),
    "repeated edge": (lambda: _pyg(EDGE + EDGE), r"got \(0, 1\) several times"),
    "multigraph": (lambda: nx.MultiGraph([(0, 1), (0, 1)]), "several times"),
    "node too high": (lambda: _pyg([(0, 3), (3, 0)]), "from 0 to 2 in edge_index, got 3"),
    "negative node": (lambda: _pyg([(0, -1), (-1, 0)]), "got -1"),
    "no edge_index": (lambda: Data(x=torch.ones(3, 1)), r"shape \[2, E\], got NoneType"),
    "list of pairs": (lambda: Data(edge_index=torch.tensor([[0, 1, 0]]), num_nodes=2), r"got \[1, 3\]"),
    "edges in floats": (lambda: Data(edge_index=torch.zeros(2, 0), num_nodes=2), "whole numbers"),
    "NaN in x": (lambda: _pyg(EDGE, x=torch.full((3, 1), torch.nan)), "finite numbers in x"),
    "infinity in edge_attr": (lambda: _pyg(EDGE, edge_attr=torch.full((2,), torch.inf)), "in edge_attr"),
    "rows of x": (lambda: _pyg(EDGE, x=torch.ones(2, 1)), r"x to have 3 rows, got shape \[2, 1\]"),
    "rows of edge_attr": (lambda: _pyg(EDGE, edge_attr=torch.ones(1, 1)), "edge_attr to have 2 rows"),
    "x without rows": (lambda: _pyg(EDGE, x=torch.tensor(1.0)), "x to have 3 rows"),
    "sparse x": (lambda: _pyg(EDGE, x=torch.ones(3, 1).to_sparse()), "dense tensor"),
    "x in numpy": (lambda: _pyg(EDGE, x=np.ones((3, 1))), "got ndarray"),
    "x on some nodes": (_some_nodes, r"\['x'\] on some only"),
    "x of other lengths": (_ragged, "x to be a dense tensor"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InterchangeError, match=message) as caught:
        as_data(make())
    assert str(caught.value).startswith("as_data: expected ")
