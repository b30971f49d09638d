"""Graphs with their features, as an estimator reads them."""

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

from netgraph.errors import InterchangeError, UsageError
from netgraph.subgraph import SubgraphData, SubgraphTransform
from netgraph.subgraph.prepare import Features, check_features, learn_features, list_pairs, read_graphs

EDGES = torch.tensor([[0, 1], [1, 0]])


def pair(**attributes: object) -> Data:
    return Data(edge_index=EDGES, num_nodes=2, **attributes)


FEATURES = {
    "none": (pair(), Features()),
    "floats": (pair(x=torch.rand(2, 3)), Features(3)),
    "one float": (pair(x=torch.rand(2)), Features(1)),
    "flags": (pair(x=torch.tensor([True, False])), Features(1)),
    "counts in columns": (pair(x=torch.tensor([[1, 2], [3, 4]])), Features(2)),
    "categories": (pair(x=torch.tensor([0, 4])), Features(5, categories=True)),
    "categories in a column": (pair(x=torch.tensor([[2], [0]])), Features(3, categories=True)),
}


@pytest.mark.parametrize(("graph", "features"), FEATURES.values(), ids=FEATURES)
def test_features_are_recognised(graph: Data, features: Features) -> None:
    (read,) = read_graphs("fit", [graph])
    assert learn_features([read]) == (features, Features())
    check_features("fit", [read], (features, Features()))


def test_categories_are_counted_over_all_graphs() -> None:
    graphs = read_graphs("fit", [pair(edge_attr=torch.tensor([k, k])) for k in (1, 6, 0)])
    assert learn_features(graphs)[1] == Features(7, categories=True)


def test_other_attributes_are_left_out_and_nothing_is_changed() -> None:
    graph = pair(y=torch.tensor(3), name="a", pos=torch.zeros(2, 2))
    (read,) = read_graphs("fit", [graph])
    assert sorted(read.keys()) == ["edge_index", "num_nodes"]
    assert sorted(graph.keys()) == ["edge_index", "name", "num_nodes", "pos", "y"]


def test_pairs_that_are_there_are_kept() -> None:
    mine, other = SubgraphTransform("marking"), SubgraphTransform("distance")
    graphs = read_graphs("fit", [mine(nx.path_graph(3)), nx.path_graph(3), other(nx.path_graph(3))])
    listed = list_pairs(graphs, mine)
    assert listed[0] is graphs[0]
    assert all(isinstance(g, SubgraphData) for g in listed)
    assert all(torch.equal(g.pair_start, listed[0].pair_start) for g in listed)


def test_a_graph_without_edges_gets_empty_features() -> None:
    whole = read_graphs("fit", [pair(edge_attr=torch.ones(2, 3)), nx.empty_graph(2)])
    check_features("fit", whole, learn_features(whole))
    assert whole[1].edge_attr.shape == (0, 3)


REFUSED = {
    "one graph": (nx.path_graph(3), UsageError, "got one Graph; put it into a list"),
    "one Data": (pair(), UsageError, "got one Data"),
    "a number": (3, UsageError, "got one int"),
    "none": ([], UsageError, "at least one graph"),
    "no nodes": ([nx.path_graph(2), nx.empty_graph(0)], UsageError, "got none in graph 1"),
    "no graph": (["a"], InterchangeError, "got str"),
    "directed": ([nx.DiGraph([(0, 1)])], InterchangeError, "undirected"),
}


@pytest.mark.parametrize(("graphs", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_graphs_that_are_refused(graphs: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_graphs("fit", graphs)


OTHERS = {
    "none": (pair(), "expected 3 features for each node, got none in graph 1"),
    "fewer": (pair(x=torch.rand(2, 2)), "got 2 features"),
    "categories": (pair(x=torch.tensor([0, 1])), "got categories from 0 to 1"),
    "of edges": (pair(x=torch.rand(2, 3), edge_attr=torch.ones(2)), "expected no features for each edge"),
}


@pytest.mark.parametrize(("graph", "message"), OTHERS.values(), ids=OTHERS)
def test_other_features_are_refused(graph: Data, message: str) -> None:
    first, other = read_graphs("predict", [pair(x=torch.rand(2, 3)), graph])
    with pytest.raises(UsageError, match=message):
        check_features("predict", [first, other], (Features(3), Features()))


def test_categories_that_were_not_there_in_fit() -> None:
    graphs = read_graphs("predict", [pair(x=torch.tensor([0, 5]))])
    with pytest.raises(UsageError, match="a category from 0 to 4 for each node, got categories from 0 to 5"):
        check_features("predict", graphs, (Features(5, categories=True), Features()))
