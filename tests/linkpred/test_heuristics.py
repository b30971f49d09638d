"""Heuristics against NetworkX, and against Python sets where it refuses a graph."""

import itertools
import math
from collections.abc import Callable

import networkx as nx
import pytest
import torch
from torch import Tensor

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred import heuristics as module
from netgraph.linkpred.heuristics import HEURISTICS, register_heuristic, score_pairs

NODES = 13
EVERY_PAIR = torch.tensor(list(itertools.product(range(NODES), repeat=2))).T
OTHERS = EVERY_PAIR[:, EVERY_PAIR[0] != EVERY_PAIR[1]]


def random_graph(seed: int, *, undirected: bool = True, relations: bool = False) -> LinkGraph:
    """The last node has no edges, and some edges are left out."""
    draw = torch.Generator().manual_seed(seed)
    edges = torch.randint(NODES - 1, (2, 30), generator=draw)
    relation = torch.randint(2, (30,), generator=draw) if relations else None
    return LinkGraph.from_edges(edges, NODES, relation=relation, undirected=undirected).without(edges[:, :3])


def as_networkx(graph: LinkGraph) -> "nx.Graph[int]":
    other: nx.Graph[int] = nx.Graph(graph.edge_index.T.tolist())
    other.add_nodes_from(range(NODES))
    return other


def neighbour_sets(graph: LinkGraph) -> list[set[int]]:
    sets: list[set[int]] = [set() for _ in range(graph.num_nodes)]
    for u, v in graph.edge_index.T.tolist():
        sets[v].add(u)
    return sets


SETS: dict[str, Callable[[list[set[int]], int, int], float]] = {
    "common_neighbours": lambda near, i, j: len(near[i] & near[j]),
    "adamic_adar": lambda near, i, j: sum(1 / math.log(max(len(near[u]), 2)) for u in near[i] & near[j]),
    "resource_allocation": lambda near, i, j: sum(1 / max(len(near[u]), 1) for u in near[i] & near[j]),
    "jaccard": lambda near, i, j: len(near[i] & near[j]) / max(len(near[i] | near[j]), 1),
    "preferential_attachment": lambda near, i, j: len(near[i]) * len(near[j]),
}

NETWORKX = {
    "adamic_adar": nx.adamic_adar_index,
    "resource_allocation": nx.resource_allocation_index,
    "jaccard": nx.jaccard_coefficient,
    "preferential_attachment": nx.preferential_attachment,
}


@pytest.mark.parametrize("name", NETWORKX)
@pytest.mark.parametrize("seed", range(3))
def test_against_networkx(name: str, seed: int) -> None:
    graph = random_graph(seed)
    expected = [score for _, _, score in NETWORKX[name](as_networkx(graph), OTHERS.T.tolist())]
    assert max(expected) > 0
    found = score_pairs(name, graph, OTHERS)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("at_once", [7, 1 << 18])
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", [{}, {"undirected": False}, {"undirected": False, "relations": True}])
def test_against_sets(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: dict[str, bool], at_once: int
) -> None:
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", at_once)
    graph = random_graph(5, **kind)
    near = neighbour_sets(graph)
    expected = [SETS[name](near, i, j) for i, j in EVERY_PAIR.T.tolist()]
    found = score_pairs(name, graph, EVERY_PAIR)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_options_reach_the_heuristic() -> None:
    graph = random_graph(0)
    for name, options in (
        ("katz", {"beta": 0.3, "max_length": 2}),
        ("pagerank", {"restart": 0.5, "symmetric": False}),
        ("shortest_path", {"cutoff": 2}),
    ):
        expected = HEURISTICS[name](graph, OTHERS, **options)
        assert torch.equal(score_pairs(name, graph, OTHERS, **options), expected)
        assert not torch.equal(score_pairs(name, graph, OTHERS), expected)


@pytest.mark.parametrize("name", HEURISTICS)
def test_every_heuristic_takes_what_is_empty(name: str) -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    assert score_pairs(name, LinkGraph.from_edges(none, 0), none).shape == (0,)
    bare = LinkGraph.from_edges(none, 3)
    assert score_pairs(name, bare, torch.tensor([[0, 1], [1, 2]])).tolist() == [0, 0]


@pytest.mark.parametrize("name", HEURISTICS)
def test_every_heuristic_is_symmetric_on_undirected_graphs(name: str) -> None:
    graph = random_graph(1)
    torch.testing.assert_close(
        score_pairs(name, graph, OTHERS[:, :50]), score_pairs(name, graph, OTHERS[:, :50].flip(0))
    )


def test_registering() -> None:
    @register_heuristic("random")
    def random(graph: LinkGraph, pairs: Tensor, *, seed: int = 0) -> Tensor:
        return torch.rand(pairs.size(1), generator=torch.Generator().manual_seed(seed))

    try:
        graph = random_graph(0, undirected=False, relations=True)
        assert score_pairs("random", graph, OTHERS, seed=3).shape == (OTHERS.size(1),)
        with pytest.raises(UsageError, match="expected seed for random, got 'sed'"):
            score_pairs("random", graph, OTHERS, sed=3)
        with pytest.raises(UsageError, match="'random', which is taken"):
            register_heuristic("random")
    finally:
        del HEURISTICS["random"]


def test_refusals() -> None:
    graph = random_graph(0)
    with pytest.raises(UsageError, match=r"expected one of adamic_adar, .*got 'luck'"):
        score_pairs("luck", graph, OTHERS)
    with pytest.raises(UsageError, match="expected no options for jaccard, got 'beta'"):
        score_pairs("jaccard", graph, OTHERS, beta=1)
    with pytest.raises(GraphError, match=f"nodes from 0 to {NODES - 1}, got {NODES}"):
        score_pairs("jaccard", graph, OTHERS + 1)
