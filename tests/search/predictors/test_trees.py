from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netgraph.errors import UsageError
from netgraph.search.predictors import TreesPredictor
from netgraph.search.space import ChoiceSpace, FloatArray, Point


def test_equal_networks_are_predicted_alike(
    cells: ChoiceSpace, flat: ChoiceSpace, points: list[Point], values: FloatArray
) -> None:
    # (i, 2, 0) computes the same for all i: operators before a missing one have no effect.
    same = [(i, 2, 0) for i in range(4)]
    found = TreesPredictor(cells, trees=30, random_state=0).fit(points[::3], values[::3])
    assert np.ptp(found.predict(same)) == 0
    assert (
        np.ptp(TreesPredictor(flat, trees=30, random_state=0).fit(points[::3], values[::3]).predict(same)) > 0
    )


def test_paths_help(cells: ChoiceSpace, flat: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
    scores = np.array(
        [
            [
                TreesPredictor(space, trees=50, random_state=seed)
                .fit([points[i] for i in order[:20]], values[order[:20]])
                .score([points[i] for i in order[20:]], values[order[20:]])
                for space in (cells, flat)
            ]
            for seed in range(3)
            for order in [np.random.default_rng(seed).permutation(64)]
        ]
    ).mean(0)
    assert scores[0] > scores[1]


def test_columns(cells: ChoiceSpace, flat: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
    trees = TreesPredictor(cells, trees=5, max_length=3, random_state=0).fit(points, values)
    assert trees.columns_ == [(0,), (0, 2, 1), (0, 3, 1), (0, 4, 1), (1,), (2,), (3,), (4,)]
    assert TreesPredictor(flat, trees=5).fit(points, values).columns_ is None


def test_std_is_that_over_trees(flat: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
    trees = TreesPredictor(flat, trees=7, random_state=0).fit(points[::3], values[::3])
    each = np.array([tree.predict(flat.encode(points)) for tree in trees.model_.estimators_])
    np.testing.assert_allclose(trees.predict(points), each.mean(0))
    np.testing.assert_allclose(trees.predict_std(points), each.std(0))
    np.testing.assert_allclose(trees.predict_std(points[::3]), 0, atol=1e-9)  # what was seen is known


@pytest.mark.parametrize("options", [{"trees": 0}, {"trees": 2.5}, {"max_length": 0}])
def test_refused(options: dict[str, Any], cells: ChoiceSpace) -> None:
    with pytest.raises(UsageError, match=f"expected {next(iter(options))} as a whole number from 1"):
        TreesPredictor(cells, **options).fit([(0, 0, 0), (1, 1, 1)], [1, 2])
