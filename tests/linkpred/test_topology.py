"""Concentration against walks that are listed one by one, densities against NetworkX."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import networkx as nx
import pytest
import torch

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred import LinkGraph, Links, LinkSplit
from netgraph.linkpred import topology as module
from netgraph.linkpred.node_performance import correlations
from netgraph.linkpred.topology import (
    approximate_concentration,
    distribution_shift,
    local_clustering,
    subgraph_density,
    topological_concentration,
)

NODES = 11


def random_graph(seed: int, *, relations: int = 0, edges: int = 14) -> LinkGraph:
    draw = torch.Generator().manual_seed(seed)
    pairs = torch.randint(NODES - 1, (2, edges), generator=draw)  # the last node stays alone
    kind = torch.randint(relations, (edges,), generator=draw) if relations else None
    return LinkGraph.from_edges(pairs, NODES, relation=kind, undirected=not relations)


def random_links(seed: int, count: int = 9) -> torch.Tensor:
    return torch.randint(NODES, (2, count), generator=torch.Generator().manual_seed(seed + 1000))


def walk_ends(rows: Sequence[Sequence[int]], start: int, length: int) -> "Counter[int]":
    """Ends of all walks of a length, found by walking each."""
    if not length:
        return Counter([start])
    found: Counter[int] = Counter()
    for step in rows[start]:
        found += walk_ends(rows, step, length - 1)
    return found


def listed_rows(graph: LinkGraph) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(graph.num_nodes)]
    for u, v in graph.edge_index.T.tolist():
        rows[v].append(u)
    return rows


def slow_concentration(
    graph: LinkGraph, links: torch.Tensor, hops: int, beta: float | None, exclude: bool, overlap: str
) -> list[float]:
    beta = graph.num_nodes / graph.num_edges if beta is None else beta
    found: list[list[float]] = [[] for _ in range(graph.num_nodes)]
    for i, j in links.T.tolist() + links.flip(0).T.tolist():
        rows = listed_rows(graph.without(torch.tensor([[i], [j]])) if exclude else graph)
        shared = possible = 0.0
        for a, b in itertools.product(range(1, hops + 1), repeat=2):
            mine, theirs = walk_ends(rows, i, a), walk_ends(rows, j, b)
            common = (
                (mine & theirs).total()
                if overlap == "multiset"
                else sum(n for node, n in mine.items() if node in theirs)
            )
            shared += beta ** (a + b - 2) * common
            possible += beta ** (a + b - 2) * mine.total()
        found[i].append(shared / possible if rows[i] else 0.0)
    return [sum(f) / len(f) if f else math.nan for f in found]


@pytest.mark.parametrize("overlap", ["members", "multiset"])
@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize(("hops", "beta"), [(1, None), (2, None), (3, 0.7), (2, 0.0)])
@pytest.mark.parametrize("relations", [0, 3])
def test_concentration_is_that_of_listed_walks(
    hops: int, beta: float | None, exclude: bool, overlap: str, relations: int
) -> None:
    for seed in range(4):
        graph = random_graph(seed, relations=relations).without(torch.tensor([[1, 3], [2, 4]]))
        edges = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
        links = torch.cat((random_links(seed), edges), 1)
        found = topological_concentration(
            graph, links, hops=hops, beta=beta, exclude_links=exclude, overlap=overlap
        )
        expected = torch.tensor(slow_concentration(graph, links, hops, beta, exclude, overlap))
        torch.testing.assert_close(found.float(), expected, equal_nan=True)


@pytest.mark.parametrize("overlap", ["members", "multiset"])
def test_few_rows_at_a_time_give_the_same(overlap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, links = random_graph(5, edges=30), random_links(5, 40)
    whole = topological_concentration(graph, links, hops=3, overlap=overlap)
    near, closed = subgraph_density(graph, hops=2), local_clustering(graph)
    steps = approximate_concentration(graph, links, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(module, "_ENTRIES_AT_ONCE", 40)
    monkeypatch.setattr(module, "_EDGES_AT_ONCE", 3)
    torch.testing.assert_close(
        topological_concentration(graph, links, hops=3, overlap=overlap), whole, equal_nan=True
    )
    assert torch.equal(subgraph_density(graph, hops=2), near)
    assert torch.equal(local_clustering(graph), closed)
    again = approximate_concentration(graph, links, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(again, steps, equal_nan=True)


def test_values_by_hand() -> None:
    """Two triangles that share the edge 0-1, and a node that hangs on 2."""
    graph = LinkGraph.from_edges(torch.tensor([[0, 0, 1, 0, 1, 2], [1, 2, 2, 3, 3, 4]]), 5)
    link = torch.tensor([[0], [1]])
    plain = topological_concentration(graph, link)
    assert plain[:2].tolist() == pytest.approx([2 / 3, 2 / 3]) and plain[2:].isnan().all()
    assert topological_concentration(graph, link, exclude_links=True)[:2].tolist() == [1, 1]
    hanging = torch.tensor([[2], [4]])
    assert topological_concentration(graph, hanging, exclude_links=True)[[2, 4]].tolist() == [0, 0]


def test_of_links_and_of_pairs_are_one() -> None:
    graph, links = random_graph(2), random_links(2)
    for f in (topological_concentration, lambda g, p: approximate_concentration(g, p, generator=fresh())):
        torch.testing.assert_close(f(graph, links), f(graph, Links(links)), equal_nan=True)


def fresh() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("hops", [1, 3])
@pytest.mark.parametrize("relations", [0, 2])
def test_approximation_is_that_of_dense_matrices(hops: int, relations: int) -> None:
    graph = random_graph(3, relations=relations).without(torch.tensor([[1], [2]]))
    links = random_links(3)
    adjacency = torch.eye(NODES)
    for u, v in graph.edge_index.T.tolist():
        adjacency[v, u] += 1
    step = adjacency / adjacency.sum(1, keepdim=True)
    vectors = torch.randn(NODES, 16, generator=fresh())
    mixed = sum(torch.linalg.matrix_power(step, a) @ vectors for a in range(1, hops + 1))
    expected: list[list[float]] = [[] for _ in range(NODES)]
    for i, j in links.T.tolist():
        cosine = float(torch.cosine_similarity(mixed[i], mixed[j], dim=0))
        expected[i].append(cosine)
        expected[j].append(cosine)
    found = approximate_concentration(graph, links, hops=hops, dim=16, generator=fresh())
    means = torch.tensor([sum(e) / len(e) if e else math.nan for e in expected])
    torch.testing.assert_close(found, means, equal_nan=True, atol=1e-5, rtol=1e-5)


def test_approximation_orders_nodes_as_the_exact_value_does() -> None:
    edges = torch.tensor(list(nx.relaxed_caveman_graph(40, 8, 0.3, seed=0).edges)).T
    edges = edges[:, torch.randperm(edges.size(1), generator=fresh())]
    graph, links = LinkGraph.from_edges(edges[:, 300:], 320), edges[:, :300]
    for hops in (1, 2):
        exact = topological_concentration(graph, links, hops=hops)
        rough = approximate_concentration(graph, links, hops=hops, generator=fresh())
        assert correlations({"rough": rough}, exact)["rough"].spearman > 0.7


@pytest.mark.parametrize("hops", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_densities_are_those_of_networkx(hops: int, seed: int) -> None:
    graph = random_graph(seed, relations=2 * (seed % 2), edges=18)
    net = nx.Graph()
    net.add_nodes_from(range(NODES))
    net.add_edges_from(e for e in graph.edge_index.T.tolist() if e[0] != e[1])
    near = [nx.density(nx.ego_graph(net, n, radius=hops)) for n in range(NODES)]
    assert subgraph_density(graph, hops=hops).tolist() == pytest.approx(near)
    clustering = nx.clustering(net)
    assert local_clustering(graph).tolist() == pytest.approx([clustering[n] for n in range(NODES)])


def test_shift_reads_the_training_graph_only() -> None:
    graph = random_graph(4)
    train = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
    valid, test = random_links(4), random_links(5)
    later = LinkGraph.from_edges(torch.cat((train, valid), 1), NODES)
    split = LinkSplit(Links(train), Links(valid), Links(test), graph, graph, later)
    shift = distribution_shift(split, hops=2)
    for found, links, exclude in (
        (shift.train, train, True),
        (shift.valid, valid, False),
        (shift.test, test, False),
    ):
        expected = torch.tensor(slow_concentration(graph, links, 2, None, exclude, "members"))
        torch.testing.assert_close(found.float(), expected, equal_nan=True)
    torch.testing.assert_close(shift.train_to_test, shift.test - shift.train, equal_nan=True)
    torch.testing.assert_close(shift.train_to_valid, shift.valid - shift.train, equal_nan=True)
    torch.testing.assert_close(shift.valid_to_test, shift.test - shift.valid, equal_nan=True)
    assert shift.train_to_test.isfinite().any()


def test_no_links_no_edges_no_nodes() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for nodes in (0, 3):
        graph = LinkGraph.from_edges(none, nodes)
        for found in (
            topological_concentration(graph, none, hops=2),
            approximate_concentration(graph, none),
        ):
            assert found.shape == (nodes,) and found.isnan().all()
        assert subgraph_density(graph, hops=2).tolist() == local_clustering(graph).tolist() == [0.0] * nodes
    lonely = topological_concentration(LinkGraph.from_edges(none, 3), torch.tensor([[0], [1]]))
    assert lonely[:2].tolist() == [0, 0]


GRAPH = random_graph(0)
LINK = torch.tensor([[0], [1]])
REFUSED = {
    "no steps": (lambda: topological_concentration(GRAPH, LINK, hops=0), UsageError, "hops of at least 1"),
    "no steps, roughly": (lambda: approximate_concentration(GRAPH, LINK, hops=0), UsageError, "hops"),
    "no steps around": (lambda: subgraph_density(GRAPH, hops=-1), UsageError, "got -1"),
    "no numbers": (lambda: approximate_concentration(GRAPH, LINK, dim=0), UsageError, "dim of at least 1"),
    "negative discount": (
        lambda: topological_concentration(GRAPH, LINK, beta=-1),
        UsageError,
        "discount of at least 0, got -1",
    ),
    "no overlap": (
        lambda: topological_concentration(GRAPH, LINK, overlap="all"),  # type: ignore[arg-type]
        UsageError,
        "'members' or 'multiset', got 'all'",
    ),
    "no such node": (lambda: topological_concentration(GRAPH, LINK + 10), GraphError, "0 to 10, got 11"),
    "negative node": (lambda: approximate_concentration(GRAPH, LINK - 1), GraphError, "0 to 10, got -1"),
    "no pairs": (lambda: topological_concentration(GRAPH, LINK.T), GraphError, r"shape \(1, 2\)"),
    "other nodes": (
        lambda: distribution_shift(
            LinkSplit(Links(LINK), Links(LINK), Links(LINK), GRAPH, GRAPH, LinkGraph.from_edges(LINK, 2))
        ),
        UsageError,
        "got 11 for training and 2 for test",
    ),
}


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals(call: "object", kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call()  # type: ignore[operator]
