from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from netgraph.errors import UsageError
from netgraph.search.predictors import Predictor, make_predictor
from netgraph.search.space import ChoiceSpace, FloatArray, Point, SearchSpace

OPTIONS: dict[str, dict[str, Any]] = {
    "ridge": {},
    "svr": {},
    "trees": {"trees": 20},
    "macs": {"feature": sum},
    "gnn": {"members": 2, "hidden_channels": 16, "epochs": 30},
}
UNSURE = ("svr", "macs")


def make(name: str, space: SearchSpace) -> Predictor:
    return make_predictor(name, space, random_state=0, **OPTIONS[name])


@pytest.mark.parametrize("name", OPTIONS)
class TestContract:
    def test_learns(self, name: str, cells: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
        predictor = make(name, cells)
        assert predictor.fit(points[::2], values[::2]) is predictor
        assert predictor.n_points_ == 32
        assert predictor.score(points[1::2], values[1::2]) > 0.4
        found = predictor.predict(points)
        assert found.shape == (64,) and found.dtype == np.float64
        # On the scale of the values, not merely in their order.
        assert np.abs(found - values).mean() < 0.8 * values.std()

    def test_order_of_questions_does_not_matter(
        self, name: str, cells: ChoiceSpace, points: list[Point], values: FloatArray
    ) -> None:
        predictor = make(name, cells).fit(points[::2], values[::2])
        together = predictor.predict(points)
        alone = np.concatenate([predictor.predict([point]) for point in points[:9]])
        np.testing.assert_allclose(together[:9], alone, atol=1e-4)
        np.testing.assert_allclose(together[::-1], predictor.predict(points[::-1]), atol=1e-4)

    def test_repeatable(self, name: str, cells: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
        first = make(name, cells).fit(points[::3], values[::3])
        state = np.random.get_state()[1].copy()  # type: ignore[union-attr]
        again = clone(first).fit(np.array(points[::3]), values[::3].tolist())
        assert np.array_equal(np.random.get_state()[1], state)
        np.testing.assert_array_equal(first.predict(points), again.predict(points))
        # A second fit starts anew.
        np.testing.assert_array_equal(
            first.fit(points[::3], values[::3]).predict(points), again.predict(points)
        )

    def test_unit_of_values(
        self, name: str, cells: ChoiceSpace, points: list[Point], values: FloatArray
    ) -> None:
        plain = make(name, cells).fit(points[::3], values[::3])
        scaled = make(name, cells).fit(points[::3], 1024 * values[::3])
        np.testing.assert_allclose(scaled.predict(points), 1024 * plain.predict(points), rtol=1e-3)

    def test_std(self, name: str, cells: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
        predictor = make(name, cells).fit(points[::3], values[::3])
        if name in UNSURE:
            with pytest.raises(UsageError, match=r"predict_std: expected a predictor that knows"):
                predictor.predict_std(points)
            return
        found = predictor.predict_std(points)
        assert found.shape == (64,) and (found >= 0).all() and found.max() > 0
        scaled = make(name, cells).fit(points[::3], 8 * values[::3])
        np.testing.assert_allclose(scaled.predict_std(points), 8 * found, rtol=1e-2, atol=1e-3)

    def test_clone_and_options(self, name: str, cells: ChoiceSpace) -> None:
        predictor = make(name, cells)
        options = predictor.get_params()
        assert options["space"] is cells
        assert OPTIONS[name].items() <= options.items()
        copy = clone(predictor)
        assert copy is not predictor and copy.get_params() == options
        assert not [key for key in vars(predictor) if key.endswith("_")]

    def test_no_questions(
        self, name: str, cells: ChoiceSpace, points: list[Point], values: FloatArray
    ) -> None:
        assert make(name, cells).fit(points[:9], values[:9]).predict([]).shape == (0,)

    def test_two_points(self, name: str, cells: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
        found = make(name, cells).fit([(1, 1, 1), (3, 3, 3)], [1.0, 2.0]).predict(points)
        assert np.isfinite(found).all()

    @pytest.mark.parametrize(
        ("given", "target", "message"),
        [
            ([], [], "expected points, got none"),
            ([(0, 0, 0), (1, 1, 1)], [1.0], "expected one value for each of 2 points"),
            ([(0, 0, 0), (1, 1, 1)], [[1.0], [2.0]], "expected one value for each of 2 points"),
            ([(0, 0, 0), (1, 1, 1)], [1.0, np.nan], "expected finite values, got nan at 1"),
            ([(0, 0, 0), (1, 1, 1)], [np.inf, 1.0], "expected finite values, got inf at 0"),
            ([(0, 0, 0), (1, 1, 1)], [2.0, 2.0], "expected at least two distinct values"),
            ([(0, 0, 0)], [2.0], "expected at least two distinct values"),
            ([(0, 0), (1, 1)], [1.0, 2.0], "expected points of 3 positions"),
            ([(0, 0, 0), (1, 1)], [1.0, 2.0], "expected points of 3 positions"),
            ([(0, 0, 0), (4, 1, 1)], [1.0, 2.0], "expected points of 3 positions"),
            ([(0, 0, 0), (-1, 1, 1)], [1.0, 2.0], "expected points of 3 positions"),
            ([(0, 0, 0.5), (1, 1, 1)], [1.0, 2.0], "expected points of 3 positions"),
        ],
    )
    def test_refused(self, name: str, given: Any, target: Any, message: str, cells: ChoiceSpace) -> None:
        predictor = make(name, cells)
        with pytest.raises(UsageError, match=message):
            predictor.fit(given, target)
        with pytest.raises(UsageError, match="expected a fitted predictor"):
            predictor.predict([(0, 0, 0)])
        with pytest.raises(UsageError, match="expected a fitted predictor"):
            predictor.predict_std([(0, 0, 0)])

    def test_refused_questions(
        self, name: str, cells: ChoiceSpace, points: list[Point], values: FloatArray
    ) -> None:
        predictor = make(name, cells).fit(points[:9], values[:9])
        with pytest.raises(UsageError, match=r"predict: expected points of 3 positions"):
            predictor.predict([(9, 0, 0)])
        for given, target in (([], []), ([(0, 0, 0)], [1.0]), (points[:3], [1.0, 2.0, np.nan])):
            with pytest.raises(UsageError, match=r"score: expected finite values for at least two"):
                predictor.score(given, target)


def test_score_is_kendalls_tau(cells: ChoiceSpace) -> None:
    predictor = make_predictor("macs", cells, feature=lambda point: point[0])
    predictor.fit([(0, 0, 0), (1, 0, 0)], [0.0, 1.0])
    points, truth = [(0, 1, 0), (3, 0, 0), (1, 1, 1), (2, 2, 2)], [3.0, 2.0, 4.0, 7.0]
    signs = [
        np.sign((points[i][0] - points[j][0]) * (truth[i] - truth[j]))
        for i, j in itertools.combinations(range(4), 2)
    ]
    assert predictor.score(points, truth) == pytest.approx(np.mean(signs))
    assert predictor.score([(1, 0, 0), (1, 1, 0)], [1.0, 2.0]) == 0.0
