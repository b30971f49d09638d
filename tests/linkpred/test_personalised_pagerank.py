"""PageRank against NetworkX and against the inverse of a dense matrix."""

import itertools

import networkx as nx
import pytest
import torch

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred import personalised_pagerank as module
from netgraph.linkpred.personalised_pagerank import pagerank

NODES = 12
EVERY_PAIR = torch.tensor(list(itertools.product(range(NODES), repeat=2))).T


def random_graph(seed: int, *, undirected: bool = True, relations: bool = False) -> LinkGraph:
    """The last node has no edges, the one before none that leave it, and some edges are left out."""
    draw = torch.Generator().manual_seed(seed)
    edges = torch.randint(NODES - 2, (2, 18), generator=draw)
    edges = torch.cat((edges, torch.tensor([[0, 1], [NODES - 2, NODES - 2]])), dim=1)
    relation = torch.randint(2, (20,), generator=draw) if relations else None
    return LinkGraph.from_edges(edges, NODES, relation=relation, undirected=undirected).without(edges[:, :2])


def by_networkx(graph: LinkGraph, restart: float) -> torch.Tensor:
    """Row i: the values of all nodes for i."""
    other = nx.DiGraph(graph.edge_index.T.tolist())
    other.add_nodes_from(range(NODES))
    rows = []
    for node in range(NODES):
        found = nx.pagerank(other, alpha=1 - restart, personalization={node: 1}, tol=1e-12, max_iter=1000)
        rows.append([found[i] for i in range(NODES)])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("columns", [1, 1 << 22])
@pytest.mark.parametrize("restart", [0.15, 0.6])
@pytest.mark.parametrize("kind", [{}, {"undirected": False}, {"undirected": False, "relations": True}])
def test_against_networkx(
    monkeypatch: pytest.MonkeyPatch, kind: dict[str, bool], restart: float, columns: int
) -> None:
    monkeypatch.setattr(module, "_NUMBERS_AT_ONCE", columns)
    monkeypatch.setattr(module, "_HEADS_AT_ONCE", 1)
    for seed in range(2):
        graph = random_graph(seed, **kind)
        expected = by_networkx(graph, restart)
        pairs = EVERY_PAIR[:, torch.randperm(NODES**2)[:60]]
        pairs[seed] %= 4
        options = {"restart": restart, "tolerance": 1e-11, "dtype": torch.float64}
        one, other = expected[pairs[0], pairs[1]], expected[pairs[1], pairs[0]]
        close = {"atol": 1e-9, "rtol": 0.0}
        torch.testing.assert_close(pagerank(graph, pairs, symmetric=False, **options), one, **close)
        torch.testing.assert_close(pagerank(graph, pairs, **options), one + other, **close)


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-6])
def test_the_error_is_within_the_tolerance(tolerance: float, undirected: bool) -> None:
    graph = random_graph(3, undirected=undirected)
    expected = by_networkx(graph, 0.1).reshape(-1)
    for dtype, rounding in ((torch.float64, 1e-9), (torch.float32, 1e-6)):
        scores = pagerank(graph, EVERY_PAIR, restart=0.1, symmetric=False, tolerance=tolerance, dtype=dtype)
        assert scores.dtype == dtype
        assert (scores - expected).abs().max() <= tolerance + rounding


def test_a_looser_tolerance_takes_fewer_products(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    product = module.sparse_product
    monkeypatch.setattr(module, "sparse_product", lambda *a: made.append(1) or product(*a))
    counts = []
    for undirected, tolerance in ((True, 1e-8), (True, 1e-3), (False, 1e-8)):
        made.clear()
        pagerank(random_graph(0, undirected=undirected), EVERY_PAIR, tolerance=tolerance, symmetric=False)
        counts.append(len(made))
    assert counts[1] < counts[0] / 2 < counts[2] / 4


def test_no_pairs() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for graph in (LinkGraph.from_edges(none, 0), LinkGraph.from_edges(none, 2), random_graph(0)):
        assert pagerank(graph, none).shape == (0,)


@pytest.mark.parametrize("name", ["restart", "tolerance"])
@pytest.mark.parametrize("value", [0, 1, -0.1, float("nan")])
def test_refusals(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} between 0 and 1, got {value}"):
        pagerank(random_graph(0), EVERY_PAIR, **{name: value})
