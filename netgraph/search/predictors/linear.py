"""Predictors that read choices, or one number, and learn in closed form or nearly so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import numpy as np
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.svm import SVR

from netgraph.errors import UsageError
from netgraph.search.predictors.base import Predictor
from netgraph.search.predictors.registry import register_predictor
from netgraph.search.space import FloatArray, Point, SearchSpace

__all__ = ["FeaturePredictor", "RidgePredictor", "SVRPredictor"]

_GRID: Final = {"C": [0.3, 3.0, 30.0], "gamma": [0.03, 0.1, 0.3]}
_FOLDS: Final = 3
_FEWEST_TO_VALIDATE: Final = 12
"""Points below which a choice by validation is no better than chance."""


@final
@register_predictor("ridge")
class RidgePredictor(Predictor):
    """Bayesian ridge regression on one-hot choices.

    y = w^T x + b + noise, with x the row of `SearchSpace.encode`; the variances of w and of the noise are
    those of the largest evidence. `predict_std` is that of the predictive distribution, noise included.

    Args:
        space: of the architectures.

    Paper: MacKay, Bayesian interpolation, Neural Computation 1992.

    >>> from netgraph.search.space import ChoiceSpace
    >>> space = ChoiceSpace({"depth": [2, 3, 4], "width": [16, 32]})
    >>> ridge = RidgePredictor(space).fit([(0, 0), (1, 0), (2, 0), (0, 1)], [70.0, 72.0, 74.0, 71.0])
    >>> ridge.predict([(2, 1)]).round(1).tolist()
    [75.0]
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space)

    def _fit(self, points: list[Point], values: FloatArray) -> None:
        self.mean_, self.deviation_ = float(values.mean()), float(values.std())
        self.model_ = BayesianRidge().fit(self.space.encode(points), (values - self.mean_) / self.deviation_)

    def _predict(self, points: list[Point]) -> FloatArray:
        return self.mean_ + self.deviation_ * self.model_.predict(self.space.encode(points))

    def _predict_std(self, points: list[Point]) -> FloatArray:
        _, found = self.model_.predict(self.space.encode(points), return_std=True)
        return self.deviation_ * np.asarray(found)


@final
@register_predictor("svr")
class SVRPredictor(Predictor):
    """Support vector regression on one-hot choices, with the kernel exp(-gamma |x - x'|^2).

    C and gamma are those of the least squared error in a cross-validation of the points that `fit` is given;
    with fewer than twelve points they are 3 and 0.1.

    Args:
        space: of the architectures.
        random_state: a number makes the folds of the validation repeatable.

    Paper: Drucker et al., Support vector regression machines, NeurIPS 1996.

    >>> from netgraph.search.space import ChoiceSpace
    >>> space = ChoiceSpace({"depth": [2, 3, 4], "width": [16, 32]})
    >>> svr = SVRPredictor(space).fit([(0, 0), (1, 0), (2, 0), (0, 1)], [70.0, 72.0, 74.0, 71.0])
    >>> svr.predict([(2, 1)]).shape
    (1,)
    """

    def __init__(self, space: SearchSpace, *, random_state: int | None = None) -> None:
        super().__init__(space)
        self.random_state = random_state

    def _fit(self, points: list[Point], values: FloatArray) -> None:
        self.mean_, self.deviation_ = float(values.mean()), float(values.std())
        rows, target = self.space.encode(points), (values - self.mean_) / self.deviation_
        if len(points) < _FEWEST_TO_VALIDATE:
            self.model_: Any = SVR(C=_GRID["C"][1], gamma=_GRID["gamma"][1]).fit(rows, target)
        else:
            folds = KFold(_FOLDS, shuffle=True, random_state=self.random_state)
            chosen = GridSearchCV(SVR(), _GRID, scoring="neg_mean_squared_error", cv=folds)
            self.model_ = chosen.fit(rows, target).best_estimator_

    def _predict(self, points: list[Point]) -> FloatArray:
        return self.mean_ + self.deviation_ * self.model_.predict(self.space.encode(points))


@final
@register_predictor("macs")
class FeaturePredictor(Predictor):
    """A straight line through one known number of each architecture, such as its MACs.

    y = a f(point) + b by least squares: what any predictor should do better than.

    Args:
        space: of the architectures.
        feature: f, a finite number of a point.

    >>> from netgraph.search.space import ChoiceSpace
    >>> space = ChoiceSpace({"depth": [2, 3, 4], "width": [16, 32]})
    >>> def macs(point):
    ...     return (2 + point[0]) * 16 * (1 + point[1])
    >>> FeaturePredictor(space, macs).fit([(0, 0), (2, 0)], [70.0, 72.0]).predict([(0, 1)]).round(1).tolist()
    [72.0]
    """

    def __init__(self, space: SearchSpace, feature: Callable[[Point], float]) -> None:
        super().__init__(space)
        self.feature = feature

    def _fit(self, points: list[Point], values: FloatArray) -> None:
        column = self._column(points)
        spread = float(column.var())
        centred = column - column.mean()
        self.slope_ = float(centred @ (values - values.mean())) / len(values) / spread if spread else 0.0
        self.intercept_ = float(values.mean() - self.slope_ * column.mean())

    def _predict(self, points: list[Point]) -> FloatArray:
        return self.intercept_ + self.slope_ * self._column(points)

    def _column(self, points: list[Point]) -> FloatArray:
        column = np.array([float(self.feature(point)) for point in points])
        if not np.isfinite(column).all():
            odd = points[int((~np.isfinite(column)).argmax())]
            raise UsageError(
                f"{type(self).__name__}: expected finite numbers from the feature, got another for {odd}; "
                "change the function"
            )
        return column
