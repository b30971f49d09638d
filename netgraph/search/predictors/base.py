"""What all predictors share: numbers of architectures learned from few of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau
from sklearn.base import BaseEstimator

from netgraph.errors import UsageError
from netgraph.search.space import FloatArray, Point, SearchSpace

__all__ = ["Predictor"]


class Predictor(BaseEstimator, ABC):  # type: ignore[misc]
    """Abstract base of predictors: one number of an architecture, with the conventions of scikit-learn.

    Options are stored as given and read when `fit` is called. A predictor of one's own defines `_fit` and
    `_predict`, and `_predict_std` if it can tell how sure it is.

    Args:
        space: of the architectures.

    Attributes:
        n_points_: the number of architectures that it was fitted on.

    >>> from netgraph.search.space import ChoiceSpace
    >>> class Middle(Predictor):
    ...     def _fit(self, points, values):
    ...         self.middle_ = float(np.median(values))
    ...
    ...     def _predict(self, points):
    ...         return np.full(len(points), self.middle_)
    >>> Middle(ChoiceSpace({"depth": [2, 3, 4]})).fit([(0,), (2,)], [1.0, 2.0]).predict([(1,)]).tolist()
    [1.5]
    """

    n_points_: int

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    @final
    def fit(self, points: Sequence[Point], values: npt.ArrayLike) -> Self:
        """Learn from architectures and their values.

        Args:
            points: architectures of the space, at least two.
            values: one finite number for each, `(n,)`, in any unit; not all the same.

        Returns:
            The predictor itself.

        Raises:
            UsageError: points, values or options that nothing can be learned from.
        """
        found = self._check_points("fit", points)
        target = np.array(values, dtype=np.float64)
        if not len(found):
            raise UsageError(f"{self._name}.fit: expected points, got none; measure some first")
        if target.shape != (len(found),):
            raise UsageError(
                f"{self._name}.fit: expected one value for each of {len(found)} points, "
                f"got shape {target.shape}; pass as many values as points"
            )
        if not np.isfinite(target).all():
            raise UsageError(
                f"{self._name}.fit: expected finite values, got "
                f"{target[~np.isfinite(target)][0]} at {int((~np.isfinite(target)).argmax())}; "
                "leave failed evaluations out"
            )
        if np.ptp(target) == 0:
            raise UsageError(
                f"{self._name}.fit: expected at least two distinct values, got {target[0]:g} "
                f"{len(target)} times; measure more points"
            )
        self._check_options()
        self._fit(found, target)
        self.n_points_ = len(found)
        return self

    @final
    def predict(self, points: Sequence[Point]) -> FloatArray:
        """The expected value of each architecture.

        Args:
            points: architectures of the space; there may be none.

        Returns:
            `(n,)`, in the unit of the values that were given to `fit`.

        Raises:
            UsageError: `fit` was not called, or a point is not of the space.
        """
        found = self._ready("predict", points)
        return self._predict(found) if found else np.zeros(0)

    @final
    def predict_std(self, points: Sequence[Point]) -> FloatArray:
        """How far off the prediction of each architecture may be, as a standard deviation.

        Args:
            points: architectures of the space; there may be none.

        Returns:
            `(n,)`, from 0, in the unit of the values that were given to `fit`.

        Raises:
            UsageError: `fit` was not called, a point is not of the space, or the predictor cannot tell.
        """
        found = self._ready("predict_std", points)
        return self._predict_std(found) if found else np.zeros(0)

    @final
    def score(self, points: Sequence[Point], values: npt.ArrayLike) -> float:
        """Kendall's tau between the predictions and the values of some architectures.

        Args:
            points: architectures of the space, at least two.
            values: one finite number for each, `(n,)`.

        Returns:
            From -1 to 1; 0 where the predictions or the values are all the same.

        Raises:
            UsageError: as `predict`, or points and values do not fit.
        """
        truth = np.asarray(values, dtype=np.float64)
        if len(points) < 2 or truth.shape != (len(points),) or not np.isfinite(truth).all():
            raise UsageError(
                f"{self._name}.score: expected finite values for at least two points, got {len(points)} "
                f"points and values of shape {truth.shape}; pass one finite value for each"
            )
        found = float(kendalltau(self.predict(points), truth).statistic)
        return 0.0 if np.isnan(found) else found

    @abstractmethod
    def _fit(self, points: list[Point], values: FloatArray) -> None:
        """Learn from points of the space and finite values `(n,)`, not all the same."""

    @abstractmethod
    def _predict(self, points: list[Point]) -> FloatArray:
        """Values `(n,)` of at least one point."""

    def _predict_std(self, points: list[Point]) -> FloatArray:
        raise UsageError(
            f"{self._name}.predict_std: expected a predictor that knows its uncertainty, this one does not; "
            "choose ridge, trees or gnn"
        )

    def _check_options(self) -> None:
        """Raise UsageError for options that make no sense."""

    @final
    def _ready(self, operation: str, points: Sequence[Point]) -> list[Point]:
        if not hasattr(self, "n_points_"):
            raise UsageError(
                f"{self._name}.{operation}: expected a fitted predictor, got one that has seen no points; "
                "call fit first"
            )
        return self._check_points(operation, points)

    @final
    def _check_points(self, operation: str, points: Sequence[Point]) -> list[Point]:
        if not len(points):
            return []
        sizes = self.space.sizes
        try:
            found = np.asarray(points)
            right = found.shape == (len(points), len(sizes)) and found.dtype.kind in "iu"
        except ValueError:  # rows of different lengths
            right = False
        if not right or (found < 0).any() or (found >= np.array(sizes)).any():
            raise UsageError(
                f"{self._name}.{operation}: expected points of {len(sizes)} positions below {sizes}, "
                f"got {next(iter(points))!r}, ...; see `choices` of the space"
            )
        return [tuple(row) for row in found.tolist()]

    @final
    @property
    def _name(self) -> str:
        return type(self).__name__

    def __sklearn_clone__(self) -> Self:
        # The space is shared: it never changes, may be large, and need not be copyable.
        options: dict[str, Any] = self.get_params(deep=False)
        return type(self)(**options)
