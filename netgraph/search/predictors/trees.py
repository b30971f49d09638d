"""A predictor on counts of paths."""

from __future__ import annotations

from typing import final

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from netgraph.errors import UsageError
from netgraph.search.predictors.base import Predictor
from netgraph.search.predictors.dense_graphs import dense_graphs, has_graphs
from netgraph.search.predictors.features import Path, path_table
from netgraph.search.predictors.registry import register_predictor
from netgraph.search.space import FloatArray, Point, SearchSpace

__all__ = ["TreesPredictor"]


@final
@register_predictor("trees")
class TreesPredictor(Predictor):
    """Extremely randomised trees on counts of the paths through the operator graph.

    Columns are the sequences of kinds that the points of `fit` have between input and output, and their kinds
    alone (see `path_counts`); in a space without graphs, the one-hot choices. `predict_std` is the deviation
    over trees.

    Args:
        space: of the architectures.
        trees: their number.
        max_length: of a path, in nodes; longer ones are not counted.
        random_state: a number makes fits repeatable.

    Attributes:
        columns_: the sequences of kinds, None in a space without graphs.

    Paper: Geurts et al., Extremely randomized trees, Machine Learning 2006; paths after White et al.,
    BANANAS, https://arxiv.org/abs/1910.11858.

    >>> from netgraph.search.space import ChoiceSpace
    >>> space = ChoiceSpace({"depth": [2, 3, 4], "width": [16, 32]})
    >>> trees = TreesPredictor(space, random_state=0).fit([(0, 0), (1, 0), (2, 0)], [70.0, 72.0, 74.0])
    >>> trees.predict([(2, 0)]).round(1).tolist()
    [74.0]
    """

    columns_: list[Path] | None

    def __init__(
        self, space: SearchSpace, *, trees: int = 200, max_length: int = 12, random_state: int | None = None
    ) -> None:
        super().__init__(space)
        self.trees = trees
        self.max_length = max_length
        self.random_state = random_state

    def _check_options(self) -> None:
        for name in ("trees", "max_length"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UsageError(
                    f"TreesPredictor: expected {name} as a whole number from 1, got {value!r}; change it"
                )

    def _fit(self, points: list[Point], values: FloatArray) -> None:
        if has_graphs(self.space, points[0]):
            graphs = dense_graphs(self.space, points)
            table, self.columns_ = path_table(graphs, self.max_length)
            rows = table[graphs.index]
        else:
            rows, self.columns_ = self.space.encode(points), None
        self.model_ = ExtraTreesRegressor(self.trees, random_state=self.random_state).fit(rows, values)

    def _predict(self, points: list[Point]) -> FloatArray:
        return np.asarray(self.model_.predict(self._rows(points)))

    def _predict_std(self, points: list[Point]) -> FloatArray:
        rows = self._rows(points)
        return np.stack([tree.predict(rows) for tree in self.model_.estimators_]).std(0)

    def _rows(self, points: list[Point]) -> FloatArray:
        if self.columns_ is None:
            return self.space.encode(points)
        graphs = dense_graphs(self.space, points)
        table, _ = path_table(graphs, self.max_length, self.columns_)
        return table[graphs.index]
