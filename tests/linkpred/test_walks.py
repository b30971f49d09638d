"""Walks against powers of a dense matrix, and shortest paths against NetworkX."""

import itertools
import math

import networkx as nx
import pytest
import torch

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred import walks as module
from netgraph.linkpred.walks import katz, shortest_path, walk_counts

NODES = 15
EVERY_PAIR = torch.tensor(list(itertools.product(range(NODES), repeat=2))).T


def random_graph(seed: int, *, undirected: bool = True, relations: bool = False) -> LinkGraph:
    """The last node has no edges, and some edges are left out."""
    draw = torch.Generator().manual_seed(seed)
    edges = torch.randint(NODES - 1, (2, 22), generator=draw)
    relation = torch.randint(2, (22,), generator=draw) if relations else None
    return LinkGraph.from_edges(edges, NODES, relation=relation, undirected=undirected).without(edges[:, :3])


def dense(graph: LinkGraph) -> torch.Tensor:
    """Row u, column v: whether there is an edge from u to v."""
    matrix = torch.zeros(NODES, NODES, dtype=torch.float64)
    matrix[graph.edge_index[0], graph.edge_index[1]] = 1
    return matrix


@pytest.mark.parametrize("numbers", [1, 4 * NODES, 1 << 23])
@pytest.mark.parametrize("share", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("kind", [{}, {"undirected": False}, {"undirected": False, "relations": True}])
def test_counts_against_powers(
    monkeypatch: pytest.MonkeyPatch, kind: dict[str, bool], share: float, numbers: int
) -> None:
    monkeypatch.setattr(module, "_DENSE", share)
    monkeypatch.setattr(module, "_NUMBERS_AT_ONCE", numbers)
    for seed, length in ((0, 1), (1, 2), (2, 3), (3, 6)):
        graph = random_graph(seed, **kind)
        matrix, pairs = dense(graph), EVERY_PAIR[:, torch.randperm(NODES**2)[:90]]
        pairs[seed % 2] %= 4  # fewer heads than tails, or the other way round
        powers = [torch.linalg.matrix_power(matrix, n) for n in range(1, length + 1)]
        expected = torch.stack([power[pairs[0], pairs[1]] for power in powers])
        assert torch.equal(walk_counts(graph, pairs, length), expected)


def test_katz_against_the_whole_series() -> None:
    graph = random_graph(0)
    whole = torch.linalg.inv(torch.eye(NODES, dtype=torch.float64) - 0.05 * dense(graph)) - torch.eye(NODES)
    scores = katz(graph, EVERY_PAIR, beta=0.05, max_length=14)
    torch.testing.assert_close(scores, whole.reshape(-1), atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("undirected", [True, False])
def test_paths_against_networkx(undirected: bool) -> None:
    graph = random_graph(4, undirected=undirected)
    other = nx.DiGraph(graph.edge_index.T.tolist())
    other.add_nodes_from(range(NODES))
    lengths = dict(nx.all_pairs_shortest_path_length(other))
    distance = [lengths[i].get(j, math.inf) for i, j in EVERY_PAIR.T.tolist()]
    assert 4 in distance
    for inverse, far, near in ((True, 0, lambda d: 1 / d if d else math.inf), (False, -4, lambda d: -d)):
        expected = [near(d) if d <= 3 else far for d in distance]
        assert shortest_path(graph, EVERY_PAIR, cutoff=3, inverse=inverse).tolist() == expected


def test_nothing_to_count() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for nodes in (0, 3):
        assert walk_counts(LinkGraph.from_edges(none, nodes), none, 3).shape == (3, 0)
    bare = LinkGraph.from_edges(none, 3)
    assert katz(bare, torch.tensor([[0, 1], [1, 1]])).tolist() == [0, 0]


def test_refusals() -> None:
    graph = random_graph(0)
    with pytest.raises(UsageError, match="max_length from 1, got 0"):
        walk_counts(graph, EVERY_PAIR, 0)
    with pytest.raises(UsageError, match="max_length from 1, got 0"):
        katz(graph, EVERY_PAIR, max_length=0)
    with pytest.raises(UsageError, match="positive beta, got 0"):
        katz(graph, EVERY_PAIR, beta=0)
    with pytest.raises(UsageError, match="cutoff from 1, got 0"):
        shortest_path(graph, EVERY_PAIR, cutoff=0)
