"""The cells of NAS-Bench-201 against their table, and their graphs against enumerated paths."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pytest

from netgraph.errors import UsageError
from netgraph.search.nasbench201 import NODE_KINDS, OPERATORS, NASBench201
from netgraph.search.space import Point

SPACE = NASBench201()
EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
ALL = list(itertools.product(range(5), repeat=6))
SOME = [ALL[i] for i in np.random.default_rng(0).permutation(len(ALL))[:400]]
SPECIAL = [(0,) * 6, (3,) * 6, (1,) * 6, (3, 3, 3, 0, 0, 0), (0, 0, 3, 0, 3, 3), (2, 0, 3, 0, 0, 4)]


@pytest.fixture(scope="module")
def table(shared_data: Path) -> dict[str, npt.NDArray[Any]]:
    path = shared_data / "nasbench201" / "nb201.npz"
    if not path.is_file():
        pytest.skip("needs nasbench201/nb201.npz in the shared data, which is absent")
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in ("ops", "arch_str", "unique_str", "op_names")}


def paths(point: Point) -> list[list[int]]:
    """All paths from input to output, as positions of variables: by trying every sequence of nodes."""
    position = {edge: k for k, edge in enumerate(EDGES)}
    routes = [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)]
    found = [[position[edge] for edge in itertools.pairwise(route)] for route in routes]
    return [path for path in found if all(point[k] for k in path)]


def slow_graph(point: Point) -> tuple[list[str], set[tuple[int, int]]]:
    """Names of the nodes and the edges, from the paths."""
    live = sorted({k for path in paths(point) for k in path})
    node = {k: 2 + i for i, k in enumerate(live)}
    edges = set()
    for path in paths(point):
        edges |= set(itertools.pairwise([0, *(node[k] for k in path), 1]))
    return ["input", "output", *(OPERATORS[point[k]] for k in live)], edges


def test_numbers_are_those_of_the_benchmark(table: dict[str, npt.NDArray[Any]]) -> None:
    assert tuple(table["op_names"]) == OPERATORS
    points = [SPACE.from_index(i) for i in range(SPACE.size)]
    assert np.array_equal(points, table["ops"])
    assert [SPACE.index(point) for point in points] == list(range(SPACE.size))


def test_strings_are_those_of_the_benchmark(table: dict[str, npt.NDArray[Any]]) -> None:
    for row, text in zip(table["ops"].tolist(), table["arch_str"].tolist(), strict=True):
        assert SPACE.cell_string(tuple(row)) == text and SPACE.from_string(text) == tuple(row)


def test_isomorphic_cells_are_those_of_the_benchmark(table: dict[str, npt.NDArray[Any]]) -> None:
    mine = [SPACE.canonical(tuple(row)) for row in table["ops"].tolist()]
    theirs = table["unique_str"].tolist()
    assert len(set(mine)) == len(set(theirs)) == len(set(zip(mine, theirs, strict=True))) == 6466


def test_numbers_without_the_table() -> None:
    assert SPACE.cell_string(SPACE.from_index(0)) == (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    points = [SPACE.from_index(i) for i in range(SPACE.size)]
    assert sorted(points) == ALL
    assert zlib.crc32(np.array(points, dtype=np.int8).tobytes()) == 423222894  # that of the benchmark's table


def test_canonical_is_one_cell_for_each_class() -> None:
    found = {point: SPACE.canonical(point) for point in ALL}
    assert len(set(found.values())) == 6466
    assert all(found[point] == point for point in set(found.values()))
    assert all(mine <= point for point, mine in found.items())


def test_an_identity_is_no_operator_but_a_zero_is_a_term() -> None:
    chain, same, with_zero = (3, 0, 1, 0, 0, 1), (1, 0, 3, 0, 0, 1), (1, 0, 1, 0, 0, 3)
    assert SPACE.canonical(chain) == SPACE.canonical(same)
    assert SPACE.canonical(chain) != SPACE.canonical(with_zero)  # its zero comes before the convolution
    assert SPACE.canonical((3, 0, 0, 0, 1, 0)) != SPACE.canonical((2, 0, 0, 0, 1, 0))


def test_live_operators_are_those_on_paths() -> None:
    for point in ALL:
        assert SPACE.live_operators(point) == tuple(sorted({k for path in paths(point) for k in path}))


@pytest.mark.parametrize("points", [SPECIAL, SOME])
def test_graphs_are_those_of_the_paths(points: list[Point]) -> None:
    for point in points:
        data = SPACE.to_graph(point)
        edges = set(map(tuple, data.edge_index.T.tolist()))
        assert ([NODE_KINDS[kind] for kind in data.x], edges) == slow_graph(point)
        assert len(edges) == data.edge_index.shape[1] and data.edge_index.shape[0] == 2
        graph = nx.DiGraph(edges)
        assert nx.is_directed_acyclic_graph(graph) and data.validate()
        for node in range(2, data.num_nodes):
            assert nx.has_path(graph, 0, node) and nx.has_path(graph, node, 1)


def test_a_cell_without_a_path_has_no_edge() -> None:
    data = SPACE.to_graph((3, 3, 3, 0, 0, 0))
    assert data.x.tolist() == [0, 1] and tuple(data.edge_index.shape) == (2, 0)
    assert SPACE.live_operators((3, 3, 3, 0, 0, 0)) == ()


def test_dense_graphs_are_those_of_every_point() -> None:
    kinds, adjacency = SPACE.to_dense(ALL)
    assert kinds.shape == (15625, 8) and kinds.dtype == np.int64
    assert adjacency.shape == (15625, 8, 8) and adjacency.dtype == np.bool_
    for point, kind, flow in zip(ALL, kinds.tolist(), adjacency, strict=True):
        data = SPACE.to_graph(point)
        assert kind == data.x.tolist() + [-1] * (8 - len(data.x))
        expected = np.zeros((8, 8), dtype=np.bool_)
        expected[tuple(data.edge_index.numpy())] = True
        assert np.array_equal(flow, expected)


def test_dense_graphs_come_in_the_order_asked_for() -> None:
    kinds, adjacency = SPACE.to_dense([SOME[3], SOME[1], SOME[3]])
    whole = SPACE.to_dense(SOME)
    assert np.array_equal(kinds, whole[0][[3, 1, 3]]) and np.array_equal(adjacency, whole[1][[3, 1, 3]])
    kinds[:], adjacency[:] = 7, True  # what is given belongs to the caller
    assert np.array_equal(SPACE.to_dense(SOME)[0], whole[0])
    assert np.array_equal(SPACE.to_dense(SOME)[1], whole[1])
    assert [a.shape for a in SPACE.to_dense([])] == [(0, 8), (0, 8, 8)]


def test_variables_are_named_by_their_edges() -> None:
    assert list(SPACE.choices) == ["0-1", "0-2", "1-2", "0-3", "1-3", "2-3"]
    assert SPACE.size == 15625
    assert SPACE.point(**{**dict.fromkeys(SPACE.choices, "none"), "0-3": "nor_conv_3x3"}) == (
        0,
        0,
        0,
        3,
        0,
        0,
    )


REFUSED = [
    (lambda: SPACE.index((0, 0, 0)), r"expected 6 positions below \(5, 5, 5, 5, 5, 5\), got \(0, 0, 0\)"),
    (lambda: SPACE.canonical((5, 0, 0, 0, 0, 0)), "expected 6 positions"),
    (lambda: SPACE.to_graph((0, 0, 0, 0, 0, -1)), "expected 6 positions"),
    (lambda: SPACE.cell_string((0,) * 7), "expected 6 positions"),
    (lambda: SPACE.live_operators(()), "expected 6 positions"),
    (lambda: SPACE.to_dense([(0,) * 6, (0, 0, 0, 0, 0, 9)]), r"got \(0, 0, 0, 0, 0, 9\)"),
    (lambda: SPACE.to_dense([(0,) * 5]), "expected 6 positions"),
    (lambda: SPACE.to_dense([(0,) * 6, (0,) * 5]), "expected 6 positions"),
    (lambda: SPACE.from_index(15625), "expected 0 to 15,624, got 15625"),
    (lambda: SPACE.from_index(-1), "got -1"),
    (lambda: SPACE.from_string(""), "expected '|op~0|"),
    (lambda: SPACE.from_string("|none~0|+|none~0|none~1|"), "expected '|op~0|"),
    (lambda: SPACE.from_string("|none~0|+|none~0|none~1|+|conv~0|none~1|none~2|"), "got '|none~0|"),
    (lambda: SPACE.from_string("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|"), "see cell_string"),
    (lambda: SPACE.from_string("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|\n"), "see cell_string"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("|", r"\|")):
        call()
