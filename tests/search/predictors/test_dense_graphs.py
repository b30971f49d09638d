from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from netgraph.errors import UsageError
from netgraph.search.predictors import dense_graphs, has_graphs
from netgraph.search.space import ChoiceSpace, Point, SearchSpace


class Fast(SearchSpace):
    """A space that gives many graphs at once, and refuses single ones."""

    @property
    def choices(self) -> dict[str, tuple[int, ...]]:
        return {"first": (0, 1, 2), "second": (0, 1)}

    def to_graph(self, point: Point) -> Data:
        raise AssertionError("to_dense is there")

    def to_dense(self, points: Sequence[Point]) -> tuple[Any, Any]:
        kinds = np.array(
            [[-1, first, -1, second] if second else [0, first, -1, -1] for first, second in points]
        )
        adjacency = np.zeros((len(points), 4, 4), bool)
        for row, (_, second) in enumerate(points):
            adjacency[row, 1 if second else 0, 3 if second else 1] = True
        return kinds, adjacency


def test_equals_single_graphs(cells: ChoiceSpace, points: list[Point]) -> None:
    graphs = dense_graphs(cells, points)
    assert graphs.kinds.shape == (len(graphs.kinds), 5) and graphs.index.shape == (64,)
    assert len(np.unique(graphs.index)) == len(graphs.kinds) == 40  # 4 (3 * 3 + 1) live cells
    for point, row in zip(points, graphs.index, strict=True):
        data = cells.to_graph(point)
        count = len(data.x)
        assert graphs.kinds[row, :count].tolist() == data.x.tolist()
        assert (graphs.kinds[row, count:] == -1).all()
        expected = np.zeros((5, 5), bool)
        for source, target in data.edge_index.T.tolist():
            expected[source, target] = True
        np.testing.assert_array_equal(graphs.adjacency[row], expected)


def test_converts_each_point_once() -> None:
    seen: list[int] = []

    def graph(options: dict[str, Any]) -> Data:
        seen.append(options["depth"])
        return Data(x=torch.zeros(options["depth"], dtype=torch.int64), edge_index=torch.zeros(2, 0).long())

    space = ChoiceSpace({"depth": [1, 2]}, graph=graph)
    dense_graphs(space, [(0,), (1,), (0,)])
    dense_graphs(space, [(1,), (0,)])
    assert seen == [1, 2]
    dense_graphs(ChoiceSpace({"depth": [1, 2]}, graph=graph), [(1,)])  # another space remembers nothing
    assert seen == [1, 2, 2]


class Equal(SearchSpace):
    """A space that compares by value, and so has no hash."""

    @property
    def choices(self) -> dict[str, tuple[int, ...]]:
        return {"kind": (0, 1, 2)}

    def to_graph(self, point: Point) -> Data:
        return Data(x=torch.tensor(point), edge_index=torch.zeros(2, 0, dtype=torch.int64))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)


def test_space_without_a_hash() -> None:
    assert dense_graphs(Equal(), [(2,), (1,)]).kinds.ravel().tolist() == [1, 2]


def test_many_at_once_with_gaps() -> None:
    graphs = dense_graphs(Fast(), [(1, 0), (0, 0), (1, 1), (0, 1)])
    assert graphs.kinds[graphs.index].tolist() == [[0, 1], [0, 0], [1, 1], [0, 1]]
    assert graphs.index[0] == graphs.index[3] and len(graphs.kinds) == 3
    assert graphs.adjacency.tolist() == [[[False, True], [False, False]]] * 3
    assert has_graphs(Fast(), (0, 0))


def test_has_graphs(cells: ChoiceSpace, flat: ChoiceSpace) -> None:
    assert has_graphs(cells, (0, 0, 0)) and not has_graphs(flat, (0, 0, 0))


@pytest.mark.parametrize(
    ("kinds", "edges", "message"),
    [
        ([[0.0], [1.0]], [[0], [1]], r"expected categories from 0 as x \(N,\)"),
        ([], [[], []], "expected categories from 0"),
        ([0, -1], [[0], [1]], "expected categories from 0"),
        ([0, 1], [[0, 1]], "expected categories from 0"),
        ([0, 1], [[0], [2]], "expected edges among 2 nodes, got 2"),
        ([0, 1], [[-1], [0]], "expected edges among 2 nodes"),
    ],
)
def test_refused(kinds: Any, edges: Any, message: str) -> None:
    data = Data(x=torch.tensor(kinds), edge_index=torch.tensor(edges, dtype=torch.int64))
    space = ChoiceSpace({"depth": [1, 2]}, graph=lambda options: data)
    with pytest.raises(UsageError, match=message):
        dense_graphs(space, [(0,)])


def test_no_graphs(flat: ChoiceSpace) -> None:
    with pytest.raises(UsageError, match="expected a space whose points have graphs"):
        dense_graphs(flat, [(0, 0, 0)])
