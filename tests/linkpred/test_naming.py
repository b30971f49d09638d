"""Names in place of numbers."""

import networkx as nx
import numpy as np
import pytest
import torch

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred.naming import Names, read_names
from netgraph.linkpred.triples import Triples, with_inverses

GRAPH = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
FACTS = Triples.of([("ann", "likes", "bob"), ("bob", "fears", "cid")])
TYPED = with_inverses(FACTS)


def test_names_come_with_the_data_or_from_the_caller() -> None:
    assert read_names(FACTS).to_dict() == {
        "node_names": ["ann", "bob", "cid"],
        "relation_names": ["likes", "fears"],
    }
    assert read_names(FACTS, nodes=["x", "y", "z"]).node_names == ["x", "y", "z"]
    assert read_names(nx.path_graph(3)).node_names is None
    assert read_names(nx.Graph([("b", "a"), (7, "a")])).node_names == ["b", "a", 7]
    assert read_names(nx.Graph([((0, 1), (1, 1))])).node_names is None
    assert read_names(GRAPH).node_names is None


def test_numbers_names_and_arrays_mean_the_same() -> None:
    names = read_names(FACTS)
    expected = torch.tensor([[0, 2], [1, 0]])
    for given in (expected, expected.numpy(), expected.int(), [("ann", "bob"), ("cid", "ann")]):
        assert torch.equal(names.pairs("predict", given, TYPED), expected)
    assert torch.equal(Names().pairs("predict", [(0, 1), (np.int64(2), 0)], GRAPH), expected)
    for given in (torch.tensor([2, 0]), np.array([2, 0]), ["cid", "ann"]):
        assert names.nodes("topk", given, TYPED).tolist() == [2, 0]
    for given in (torch.tensor([1, 1]), ["fears", "fears"], "fears", torch.tensor([1])):
        assert names.relations("predict", given, TYPED, 2).tolist() == [1, 1]
    assert Names().relations("predict", 3, TYPED, 2).tolist() == [3, 3]
    assert Names().relations("predict", None, GRAPH, 2) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "expected pairs, got none"),
        (torch.empty(2, 0, dtype=torch.long), "expected pairs, got none"),
        (torch.tensor([[0], [3]]), "nodes from 0 to 2, got 3"),
        (torch.tensor([[-1], [0]]), "nodes from 0 to 2, got -1"),
        (torch.tensor([[0, 1, 2]]), r"whole numbers of shape \(2, P\), got torch.int64 of shape \(1, 3\)"),
        (torch.ones(2, 2), "whole numbers"),
        ([("ann", "eve")], "got the unknown node 'eve'; see node_names_"),
        ([0, 1], r"a sequence of \(head, tail\), got \[0, 1\]"),
        (["ab", "cd"], r"a sequence of \(head, tail\)"),
    ],
)
def test_pairs_that_are_none(given: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_names(FACTS).pairs("predict", given, TYPED)


def test_nodes_and_names_that_are_none() -> None:
    with pytest.raises(UsageError, match="expected nodes, got none"):
        Names().nodes("topk", [], GRAPH)
    with pytest.raises(UsageError, match="numbers of nodes, which have no names, got"):
        Names().pairs("predict", [("a", "b")], GRAPH)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "a relation for each pair of a graph of 4, got none"),
        ("hates", "unknown relation 'hates'; see relation_names_"),
        (torch.tensor([4]), "relations from 0 to 3, got 4"),
        (["likes", "fears", "likes"], "a relation for each of 2, or one for all, got 3"),
    ],
)
def test_relations_that_are_none(given: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_names(FACTS).relations("predict", given, TYPED, 2)


def test_relations_where_there_are_none() -> None:
    with pytest.raises(UsageError, match="no relation for each pair of a graph of 1, got some"):
        Names().relations("predict", 0, GRAPH, 2)


def test_names_must_be_those_of_the_graph() -> None:
    read_names(FACTS).check(TYPED)
    Names(None, ["a", "b", "c", "d"]).check(TYPED)
    for names in (Names(["a", "b"]), Names(["a", "a", "b"]), Names(None, ["a", "b", "c"])):
        with pytest.raises(UsageError, match="each once, got"):
            names.check(TYPED)
