"""Substructures: formulas against all injective maps of each pattern, on all small graphs and others."""

from itertools import permutations
from math import comb, perm
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from networkx.algorithms.isomorphism import GraphMatcher

from netgraph.errors import InterchangeError, UsageError
from netgraph.subgraph import SUBSTRUCTURES, count_substructures, count_substructures_batch

PATTERNS = {
    "triangle": nx.cycle_graph(3),
    "tailed_triangle": nx.Graph([(0, 1), (1, 2), (2, 0), (0, 3)]),
    "star": nx.star_graph(3),
    "cycle4": nx.cycle_graph(4),
    "cycle5": nx.cycle_graph(5),
    "cycle6": nx.cycle_graph(6),
}


def brute_force(graph: nx.Graph) -> dict[str, int]:
    """Injective maps of each pattern into the graph that keep its edges, by the pattern's symmetries."""
    counts = {}
    for name, pattern in PATTERNS.items():
        edges = list(pattern.edges)
        maps = sum(
            all(graph.has_edge(image[u], image[v]) for u, v in edges)
            for image in permutations(graph, len(pattern))
        )
        counts[name] = maps // sum(1 for _ in GraphMatcher(pattern, pattern).isomorphisms_iter())
    return counts


def monomorphisms(graph: nx.Graph) -> dict[str, int]:
    """The same by NetworkX's matcher, which is quicker on graphs that are large and sparse."""
    return {
        name: sum(1 for _ in GraphMatcher(graph, pattern).subgraph_monomorphisms_iter())
        // sum(1 for _ in GraphMatcher(pattern, pattern).isomorphisms_iter())
        for name, pattern in PATTERNS.items()
    }


SMALL = [g for g in nx.graph_atlas_g() if 0 < len(g) <= 6]


def test_all_graphs_up_to_six_nodes() -> None:
    padded = np.stack([np.pad(nx.to_numpy_array(g, dtype=int), (0, 6 - len(g))) for g in SMALL])
    found = count_substructures_batch(padded, chunk=100)
    expected = [list(brute_force(g).values()) for g in SMALL]
    np.testing.assert_array_equal(found, expected)
    assert (found > 0).any(0).all()


@pytest.mark.parametrize("seed", range(4))
def test_random_graphs_with_more_nodes_than_any_pattern(seed: int) -> None:
    graph = nx.gnp_random_graph(10 + 2 * seed, 0.5 - 0.06 * seed, seed=seed)
    assert count_substructures(graph) == monomorphisms(graph)


def test_one_graph_equals_a_batch(shared_data: Path) -> None:
    data = np.load(shared_data / "expressivity" / "substructure_counting" / "graphs.npz")
    adjacency = data["adjacency"][:20]
    rows = count_substructures_batch(adjacency)
    for matrix, row in zip(adjacency, rows.tolist(), strict=True):
        assert list(count_substructures(nx.from_numpy_array(matrix)).values()) == row
    columns = count_substructures_batch(adjacency, ["cycle6", "star"])
    np.testing.assert_array_equal(columns, rows[:, [5, 2]])


def test_a_large_complete_graph_stays_exact() -> None:
    n = 800  # tr A^6 is beyond both 2^53 and 2^57
    counts = count_substructures(nx.complete_graph(n))
    assert counts == {
        "triangle": comb(n, 3),
        "tailed_triangle": 3 * comb(n, 3) * (n - 3),
        "star": n * comb(n - 1, 3),
        "cycle4": perm(n, 4) // 8,
        "cycle5": perm(n, 5) // 10,
        "cycle6": perm(n, 6) // 12,
    }


@pytest.mark.parametrize("graph", [nx.empty_graph(0), nx.empty_graph(1), nx.empty_graph(5), nx.path_graph(2)])
def test_graphs_with_nothing_in_them(graph: nx.Graph) -> None:
    assert count_substructures(graph) == dict.fromkeys(SUBSTRUCTURES, 0)


def test_disjoint_parts_add_up() -> None:
    a, b = nx.gnp_random_graph(9, 0.5, seed=1), nx.gnp_random_graph(8, 0.6, seed=2)
    both = count_substructures(nx.disjoint_union(a, b))
    assert both == {n: c + count_substructures(b)[n] for n, c in count_substructures(a).items()}


REFUSED_ADJACENCY = {
    "one matrix": np.zeros((3, 3)),
    "not square": np.zeros((1, 3, 4)),
    "directed": np.triu(np.ones((1, 3, 3)), 1),
    "a loop": np.eye(3)[None],
    "a weight": 2 * (1 - np.eye(3))[None],
    "NaN": np.full((1, 2, 2), np.nan),
}


@pytest.mark.parametrize("adjacency", REFUSED_ADJACENCY.values(), ids=REFUSED_ADJACENCY)
def test_matrices_that_are_refused(adjacency: np.ndarray) -> None:
    with pytest.raises(UsageError, match="count_substructures_batch: expected"):
        count_substructures_batch(adjacency)


def test_the_index_of_a_wrong_matrix_is_told() -> None:
    adjacency = np.zeros((5, 3, 3))
    adjacency[3, 0, 1] = 1
    with pytest.raises(UsageError, match="index 3"):
        count_substructures_batch(adjacency, chunk=2)


@pytest.mark.parametrize("names", ["square", ["triangle", "square"], [3]])
def test_unknown_names(names: object) -> None:
    with pytest.raises(UsageError, match=r"expected names among triangle, .*cycle6"):
        count_substructures(nx.path_graph(3), names)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "graph", [nx.DiGraph([(0, 1)]), nx.Graph([(0, 0)]), nx.MultiGraph([(0, 1), (0, 1)]), "graph"]
)
def test_graphs_that_are_refused(graph: object) -> None:
    with pytest.raises(InterchangeError):
        count_substructures(graph)


def test_degrees_that_would_overflow() -> None:
    with pytest.raises(UsageError, match="6,208 neighbours"):
        count_substructures(nx.star_graph(6209))
