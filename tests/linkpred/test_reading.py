"""Graphs of the three libraries, and parts of graphs, against NetworkX."""

import os
from typing import Any

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData

from netgraph.errors import GraphError, InterchangeError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred.reading import as_link_graph, induced_subgraph, largest_component

EDGES = [(0, 1), (1, 2), (2, 0), (0, 1), (3, 3), (1, 0)]
X = torch.arange(10.0).reshape(5, 2)


def edges_of(graph: LinkGraph) -> set[tuple[int, ...]]:
    columns = graph.edge_index.tolist()
    if graph.edge_relation is not None:
        columns.append(graph.edge_relation.tolist())
    return set(zip(*columns, strict=True))


def network(kind: type = nx.Graph, **edge: Any) -> Any:
    net = kind()
    net.add_nodes_from((i, {"x": row}) for i, row in enumerate(X.tolist()))
    net.add_edges_from(EDGES, **edge)
    return net


def same(a: LinkGraph, b: LinkGraph) -> bool:
    return (
        a.undirected == b.undirected
        and torch.equal(a.indptr, b.indptr)
        and torch.equal(a.edge_index, b.edge_index)
        and (a.x is None) == (b.x is None)
        and (a.x is None or torch.equal(a.x, b.x))
    )


def test_the_libraries_agree() -> None:
    expected = LinkGraph.from_edges(torch.tensor(EDGES).T, 5, x=X)
    assert edges_of(expected) == {(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2)}
    data = Data(edge_index=torch.tensor(EDGES).T, x=X)
    both = Data(edge_index=torch.cat((data.edge_index, data.edge_index.flip(0)), dim=1), x=X)
    for graph in (network(), network(nx.MultiGraph), both):
        assert same(as_link_graph(graph), expected)
    assert same(as_link_graph(data, undirected=True), expected)
    assert same(as_link_graph(network(nx.DiGraph), undirected=True), expected)
    directed = LinkGraph.from_edges(data.edge_index, 5, x=X, undirected=False)
    assert edges_of(directed) == {(0, 1), (1, 0), (1, 2), (2, 0)}
    for graph in (data, network(nx.DiGraph), network(nx.MultiDiGraph)):
        assert same(as_link_graph(graph), directed)
    assert as_link_graph(both, undirected=False).undirected is False
    assert as_link_graph(expected) is expected


@pytest.mark.parametrize("formats", ["coo", "csc"])
def test_dgl_agrees(formats: str) -> None:
    os.environ.setdefault("DGLBACKEND", "pytorch")
    dgl = pytest.importorskip("dgl", reason="needs the extra netgraph-metanet[dgl]")
    edges = torch.tensor(EDGES).T
    graph = dgl.graph((edges[0], edges[1]), num_nodes=5)
    graph.ndata["x"] = X
    expected = LinkGraph.from_edges(edges, 5, x=X, undirected=False)
    assert same(as_link_graph(graph.formats([formats])), expected)
    graph.edata["edge_type"] = torch.arange(6)
    assert edges_of(as_link_graph(graph)) == {(*e, r) for r, e in enumerate(EDGES)}


def test_relations() -> None:
    kinds = torch.tensor([0, 1, 2, 2, 0, 0])
    graph = as_link_graph(Data(edge_index=torch.tensor(EDGES).T, edge_type=kinds, num_nodes=5))
    assert not graph.undirected and graph.num_relations == 3
    assert edges_of(graph) == {(*e, int(r)) for e, r in zip(EDGES, kinds, strict=True)}
    named = network(nx.MultiDiGraph)
    for (*edge, key), kind in zip(named.edges(keys=True), kinds.tolist(), strict=True):
        named.edges[*edge, key]["relation"] = kind
    assert not as_link_graph(named).undirected and as_link_graph(named).num_relations == 3
    # Reverses of another relation make no undirected graph.
    ways = torch.tensor([[0, 1], [1, 0]])
    assert not as_link_graph(Data(edge_index=ways, edge_type=torch.tensor([0, 1]), num_nodes=2)).undirected
    assert as_link_graph(Data(edge_index=ways, edge_type=torch.tensor([1, 1]), num_nodes=2)).undirected


def test_attributes_of_no_concern_are_not_read() -> None:
    net = network()
    net.nodes[0]["colour"] = object()
    net.edges[0, 1]["weight"] = float("nan")
    assert same(as_link_graph(net), as_link_graph(network()))


def test_features_get_two_axes_of_floats() -> None:
    data = Data(edge_index=torch.tensor([[0], [1]]), x=torch.tensor([1, 2]))
    x = as_link_graph(data).x
    assert x is not None and x.dtype == torch.float32 and x.tolist() == [[1.0], [2.0]]
    double = as_link_graph(Data(edge_index=torch.tensor([[0], [1]]), x=torch.ones(2, 3).double())).x
    assert double is not None and double.dtype == torch.float64


def test_few_nodes_and_no_edges() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for graph in (nx.empty_graph(3), Data(edge_index=none, num_nodes=3)):
        read = as_link_graph(graph)
        assert read.num_nodes == 3 and read.num_edges == 0 and read.undirected
    assert as_link_graph(nx.Graph()).num_nodes == 0


def broken(**changes: Any) -> Data:
    return Data(**({"edge_index": torch.tensor([[0, 1], [1, 2]]), "num_nodes": 3} | changes))


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (42, "as_link_graph: expected a networkx.Graph"),
        (HeteroData(), "got HeteroData"),
        (Batch.from_data_list([broken(), broken()]), "batch of 2"),
        (broken(edge_index=torch.tensor([[0], [5]])), "node numbers from 0 to 2 in edge_index, got 5"),
        (broken(edge_index=torch.rand(2, 3)), "whole numbers"),
        (broken(x=torch.tensor([[1.0], [torch.nan], [0.0]])), "finite numbers in x"),
        (broken(x=torch.ones(2, 1)), "x to have 3 rows"),
        (broken(x=torch.ones(3, 1, 2)), r"x of shape \(N, F\)"),
        (broken(edge_type=torch.rand(2)), "edge_type of whole numbers, got torch.float32"),
        (broken(edge_type=torch.tensor([0])), r"edge_type of shape \(2,\)"),
        (broken(edge_type=torch.tensor([0, -1])), "edge_type from 0, got -1"),
        (network(relation="cites"), "edge_relation of whole numbers, got list"),
    ],
)
def test_refusals(graph: Any, words: str) -> None:
    with pytest.raises(InterchangeError, match=words):
        as_link_graph(graph)


def test_a_link_graph_is_not_turned_into_another() -> None:
    graph = LinkGraph.from_edges(torch.tensor([[0], [1]]), 2)
    assert as_link_graph(graph, undirected=True) is graph
    with pytest.raises(GraphError, match="undirected=True for this LinkGraph"):
        as_link_graph(graph, undirected=False)


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_largest_component_against_networkx(seed: int, undirected: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(20, (2, 14), generator=generator)
    kind = torch.randint(2, (14,), generator=generator)
    graph = LinkGraph.from_edges(
        edges, 20, relation=kind, x=torch.rand(20, 2, generator=generator), undirected=undirected
    )
    graph = graph.without(edges[:, :3])
    net = nx.Graph(graph.edge_index.T.tolist())
    net.add_nodes_from(range(20))
    part, nodes = largest_component(graph)
    found = set(nodes.tolist())
    best = max(map(len, nx.connected_components(net)))
    first = min(min(c) for c in nx.connected_components(net) if len(c) == best)
    assert found == nx.node_connected_component(net, first)
    assert nodes.tolist() == sorted(found)
    expected = {(u, v, r) for u, v, r in edges_of(graph) if u in found}
    back = nodes.tolist()
    assert {(back[u], back[v], r) for u, v, r in edges_of(part)} == expected
    assert part.undirected == undirected and part.num_relations == graph.num_relations
    assert torch.equal(part.x, graph.x[nodes])


def test_parts_of_a_graph() -> None:
    graph = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), 4)
    assert edges_of(induced_subgraph(graph, torch.tensor([2, 0, 1]))) == {(1, 2), (2, 1), (2, 0), (0, 2)}
    none, nodes = largest_component(LinkGraph.from_edges(torch.empty(2, 0, dtype=torch.long), 0))
    assert none.num_nodes == 0 and len(nodes) == 0
    with pytest.raises(GraphError, match="nodes from 0 to 3, got 4"):
        induced_subgraph(graph, torch.tensor([4]))
    with pytest.raises(GraphError, match="each node once"):
        induced_subgraph(graph, torch.tensor([1, 1]))
