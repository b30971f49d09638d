"""Tabular benchmarks: architectures whose measurements are known, to try searches and predictors on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import numpy as np

from netgraph.errors import UsageError
from netgraph.search.space import FloatArray, Point, SearchSpace

__all__ = ["TabularBenchmark"]


@final
@dataclass(frozen=True, eq=False)
class TabularBenchmark:
    """A space, some or all of its architectures, and what was measured of each.

    Attributes:
        space: of the architectures.
        points: the B architectures that were measured, each once, in the order of the table.
        metrics: by name a column `(B,)` of floats, kept as read-only copies; NaN where nothing was measured.

    Raises:
        UsageError: no architectures, one that is not of the space or comes twice, no metrics, or a column of
            another length.

    >>> from netgraph.search.space import ChoiceSpace
    >>> space = ChoiceSpace({"depth": [2, 3], "width": [16, 32]})
    >>> accuracy, macs = np.array([71.5, 74.0]), np.array([1e6, 4e6])
    >>> table = TabularBenchmark(space, ((0, 0), (1, 1)), {"accuracy": accuracy, "macs": macs})
    >>> table.evaluate((1, 1), ["accuracy", "macs"]).tolist()
    [74.0, 4000000.0]
    >>> table.column("accuracy")
    array([71.5, 74. ])
    """

    space: SearchSpace
    points: tuple[Point, ...]
    metrics: Mapping[str, FloatArray] = field(repr=False)
    _rows: Mapping[Point, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        points = tuple(self.space.check(point) for point in self.points)
        if not points or not self.metrics:
            raise UsageError(
                f"TabularBenchmark: expected architectures and metrics, got {len(points):,} and "
                f"{len(self.metrics)}; give at least one of each"
            )
        rows: dict[Point, int] = {}
        for row, point in enumerate(points):
            if rows.setdefault(point, row) != row:
                raise UsageError(
                    f"TabularBenchmark: expected each architecture once, got {point} in rows "
                    f"{rows[point]} and {row}; take the mean of their measurements"
                )
        metrics = {}
        for name, values in self.metrics.items():
            column = np.array(values, dtype=np.float64)
            if column.shape != (len(points),):
                raise UsageError(
                    f"TabularBenchmark: expected {len(points):,} values of {name!r}, one for each "
                    f"architecture, got shape {column.shape}; use NaN where there is none"
                )
            column.flags.writeable = False
            metrics[str(name)] = column
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "metrics", MappingProxyType(metrics))
        object.__setattr__(self, "_rows", MappingProxyType(rows))

    def __repr__(self) -> str:
        return (
            f"TabularBenchmark({type(self.space).__name__}, {len(self.points):,} architectures, "
            f"{len(self.metrics)} metrics)"
        )

    def column(self, name: str) -> FloatArray:
        """What was measured of all architectures, `(B,)`, read-only, in the order of `points`.

        Raises:
            UsageError: an unknown metric.
        """
        if name not in self.metrics:
            close = difflib.get_close_matches(str(name), self.metrics, n=1, cutoff=0.5)
            meant = f"did you mean {close[0]!r}?" if close else "choose one of these"
            raise UsageError(
                f"TabularBenchmark: expected a metric among {', '.join(self.metrics)}, got {name!r}; {meant}"
            )
        return self.metrics[name]

    def index(self, point: Point) -> int:
        """The row of an architecture.

        Raises:
            UsageError: a point that is not of the space, or of which nothing was measured.
        """
        row = self._rows.get(self.space.check(point))
        if row is None:
            raise UsageError(
                f"TabularBenchmark: expected one of the {len(self.points):,} architectures that were "
                f"measured, got {tuple(point)}; see `points`"
            )
        return row

    def evaluate(self, point: Point, names: Sequence[str]) -> FloatArray:
        """What was measured of one architecture.

        Args:
            point: the architecture.
            names: of the metrics.

        Returns:
            The values `(len(names),)` in the order of the names; NaN where nothing was measured.

        Raises:
            UsageError: an architecture of which nothing was measured, an unknown metric, or none.
        """
        if isinstance(names, str) or not len(names):
            raise UsageError(
                f"TabularBenchmark.evaluate: expected a list of metrics, got {names!r}; name at least one"
            )
        row = self.index(point)
        return np.array([self.column(name)[row] for name in names])
