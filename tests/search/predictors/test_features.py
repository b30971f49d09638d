from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np
import pytest

from netgraph.errors import UsageError
from netgraph.search.predictors import DenseGraphs, Path, path_counts, path_table


def slow_counts(kinds: list[int], graph: nx.DiGraph, max_length: int) -> Counter[Path]:
    found: Counter[Path] = Counter((kinds[node],) for node in graph)
    ends = [node for node in graph if not graph.out_degree(node)]
    for source in [node for node in graph if not graph.in_degree(node) and graph.out_degree(node)]:
        for path in nx.all_simple_paths(graph, source, ends):
            if len(path) <= max_length:
                found[tuple(kinds[node] for node in path)] += 1
    return found


@pytest.mark.parametrize("max_length", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("seed", range(6))
def test_paths_one_by_one(seed: int, max_length: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(8)
    adjacency = np.zeros((8, 8), bool)
    adjacency[np.ix_(order, order)] = np.triu(rng.random((8, 8)) < 0.4, 1)
    kinds = rng.integers(3, size=8)
    gone = order[-1]
    kinds[gone], adjacency[gone], adjacency[:, gone] = -1, False, False
    graph = nx.from_numpy_array(adjacency.astype(int), create_using=nx.DiGraph)
    graph.remove_node(int(gone))
    assert path_counts(kinds, adjacency, max_length) == slow_counts(kinds.tolist(), graph, max_length)


def test_ladder_of_many_paths() -> None:
    rungs = 20  # 2^20 paths, which nobody should walk one by one
    adjacency = np.zeros((3 * rungs + 1, 3 * rungs + 1), bool)
    for k in range(0, 3 * rungs, 3):
        adjacency[k, [k + 1, k + 2]] = adjacency[[k + 1, k + 2], k + 3] = True
    counts = path_counts(np.zeros(3 * rungs + 1, np.int64), adjacency, 2 * rungs + 1)
    assert counts[(0,) * (2 * rungs + 1)] == 2**rungs


def test_table_with_given_columns() -> None:
    graphs = DenseGraphs(
        np.array([[0, 1], [0, 0]]),
        np.array([[[False, True], [False, False]], [[False, True], [False, False]]]),
        np.array([0, 1]),
    )
    table, columns = path_table(graphs, 3)
    assert columns == [(0,), (0, 0), (0, 1), (1,)]
    assert table.tolist() == [[1, 0, 1, 1], [2, 1, 0, 0]]
    again, same = path_table(graphs, 3, [(0, 1), (7,)])
    assert same == [(0, 1), (7,)] and again.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize("edges", [[(0, 0)], [(0, 1), (1, 0)], [(0, 1), (1, 2), (2, 1)]])
def test_cycles_are_refused(edges: list[tuple[int, int]]) -> None:
    adjacency = np.zeros((3, 3), bool)
    for edge in edges:
        adjacency[edge] = True
    with pytest.raises(UsageError, match="expected a graph without cycles"):
        path_counts(np.zeros(3, np.int64), adjacency, 4)
