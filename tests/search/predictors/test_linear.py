from __future__ import annotations

import numpy as np
import pytest

from netgraph.errors import UsageError
from netgraph.search.predictors import FeaturePredictor, RidgePredictor, SVRPredictor
from netgraph.search.space import ChoiceSpace, FloatArray, Point


def test_ridge_is_the_posterior_in_closed_form(
    flat: ChoiceSpace, points: list[Point], values: FloatArray
) -> None:
    train = list(range(0, 64, 3))
    ridge = RidgePredictor(flat).fit([points[i] for i in train], values[train])
    noise, prior = 1 / ridge.model_.alpha_, ridge.model_.lambda_
    rows = flat.encode(points)
    centred = rows[train] - rows[train].mean(0)
    covariance = np.linalg.inv(prior * np.eye(rows.shape[1]) + centred.T @ centred / noise)
    weights = covariance @ centred.T @ (values[train] - values[train].mean()) / values[train].std() / noise
    away = rows - rows[train].mean(0)
    expected = values[train].mean() + values[train].std() * (away @ weights)
    np.testing.assert_allclose(ridge.predict(points), expected, rtol=1e-6)
    spread = np.sqrt(noise + ((away @ covariance) * away).sum(1)) * values[train].std()
    np.testing.assert_allclose(ridge.predict_std(points), spread, rtol=0.1)


def test_ridge_finds_an_additive_rule(flat: ChoiceSpace, points: list[Point]) -> None:
    additive = np.array([10.0 * i - 3.0 * j + k for i, j, k in points])
    ridge = RidgePredictor(flat).fit(points[::3], additive[::3])
    np.testing.assert_allclose(ridge.predict(points), additive, atol=0.05)


def test_svr_bends_where_ridge_cannot(flat: ChoiceSpace, points: list[Point]) -> None:
    both = np.array([float((i > 1) == (k > 1)) + 0.01 * j for i, j, k in points])
    order = np.random.default_rng(0).permutation(64)
    train, rest = order[:48], order[48:]
    chosen, asked = [points[i] for i in train], [points[i] for i in rest]
    svr = SVRPredictor(flat, random_state=0).fit(chosen, both[train])
    ridge = RidgePredictor(flat).fit(chosen, both[train])
    assert (
        np.abs(svr.predict(asked) - both[rest]).mean()
        < 0.7 * np.abs(ridge.predict(asked) - both[rest]).mean()
    )


def test_feature_is_least_squares(flat: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
    macs = np.array([float(sum(point) ** 2) for point in points])
    line = FeaturePredictor(flat, lambda point: sum(point) ** 2).fit(points, values)
    slope, intercept = np.polyfit(macs, values, 1)
    np.testing.assert_allclose(line.predict(points), intercept + slope * macs)
    falling = FeaturePredictor(flat, lambda point: -sum(point)).fit(points, values)
    assert falling.score(points, values) > 0  # the sign is learned


def test_feature_that_is_constant(flat: ChoiceSpace, points: list[Point], values: FloatArray) -> None:
    line = FeaturePredictor(flat, lambda point: 5).fit(points, values)
    np.testing.assert_allclose(line.predict(points), values.mean())
    assert line.score(points, values) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_feature_without_numbers(bad: float, flat: ChoiceSpace) -> None:
    with pytest.raises(UsageError, match=r"expected finite numbers from the feature, got another for \(1,"):
        FeaturePredictor(flat, lambda p: bad if p[0] else 0.0).fit([(0, 0, 0), (1, 0, 0)], [1, 2])
