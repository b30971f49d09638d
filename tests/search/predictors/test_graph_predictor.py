from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from netgraph.errors import UsageError
from netgraph.search.predictors import GraphPredictor
from netgraph.search.space import ChoiceSpace, FloatArray, Point

SMALL: dict[str, Any] = {"members": 3, "hidden_channels": 24, "epochs": 40, "random_state": 0}


def test_ranks_what_it_has_not_seen(cells: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
    order = np.random.default_rng(0).permutation(64)
    train, rest = order[:32], order[32:]
    gnn = GraphPredictor(cells, **SMALL).fit([points[i] for i in train], values[train])
    assert gnn.score([points[i] for i in rest], values[rest]) > 0.85


def test_equal_networks_are_predicted_alike(
    cells: ChoiceSpace, points: list[Point], values: FloatArray
) -> None:
    gnn = GraphPredictor(cells, **SMALL).fit(points[::3], values[::3])
    assert np.ptp(gnn.predict([(i, 2, 0) for i in range(4)])) == 0


def test_only_the_order_of_values_trains(cells: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
    plain = GraphPredictor(cells, **SMALL).fit(points[::2], values[::2])
    bent = GraphPredictor(cells, **SMALL).fit(points[::2], np.exp(values[::2] - 90))
    assert np.array_equal(plain.predict(points).argsort(), bent.predict(points).argsort())
    assert np.abs(np.log(bent.predict(points[::2])) - (values[::2] - 90)).mean() < 1.5


def test_std_is_that_over_members(cells: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
    gnn = GraphPredictor(cells, **SMALL).fit(points[::4], values[::4])
    each = gnn.scale_.to_values(gnn._member_scores(points))
    assert each.shape == (3, 64)
    np.testing.assert_allclose(gnn.predict_std(points), each.std(0))
    low, high = each.min(0), each.max(0)
    assert (low - 1e-9 <= gnn.predict(points)).all() and (gnn.predict(points) <= high + 1e-9).all()
    assert not GraphPredictor(cells, **{**SMALL, "members": 1}).fit(points, values).predict_std(points).any()


def test_unlike_graphs_in_one_batch() -> None:
    """Graphs of other sizes and with other kinds than those of the fit."""

    def chain(options: dict[str, Any]) -> Data:
        nodes = torch.arange(options["depth"])
        kinds = torch.full_like(nodes, options["kind"])
        return Data(x=kinds, edge_index=torch.stack((nodes[:-1], nodes[1:])))

    space = ChoiceSpace({"depth": [*range(1, 12)], "kind": [0, 1, 9]}, graph=chain)
    seen = [(i, j) for i in range(8) for j in range(2)]
    gnn = GraphPredictor(space, **SMALL).fit(seen, [3.0 * i + j for i, j in seen])
    found = gnn.predict([(10, 0), (2, 2), (0, 1)])
    assert np.isfinite(found).all() and found[0] > found[2]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((name, bad) for name in ("members", "hidden_channels", "epochs") for bad in (0, 1.5, True, None)),
        ("num_layers", -1),
        ("batch_size", 1),
        *(
            (name, bad)
            for name in ("lr", "weight_decay", "margin")
            for bad in (-1.0, math.nan, math.inf, "x")
        ),
        ("lr", 0.0),
        ("margin", 0),
    ],
)
def test_refused(option: str, value: Any, cells: ChoiceSpace) -> None:
    with pytest.raises(UsageError, match=f"GraphPredictor: expected {option} "):
        GraphPredictor(cells, **{option: value}).fit([(0, 0, 0), (1, 1, 1)], [1, 2])


def test_space_without_graphs(flat: ChoiceSpace) -> None:
    with pytest.raises(UsageError, match="expected a space whose points have graphs"):
        GraphPredictor(flat).fit([(0, 0, 0), (1, 1, 1)], [1, 2])
