"""Tables of measured architectures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from netgraph.errors import UsageError
from netgraph.search.space import ChoiceSpace
from netgraph.search.tabular import TabularBenchmark

SPACE = ChoiceSpace({"depth": [2, 3, 4], "width": [16, 32]})
POINTS = ((2, 1), (0, 0), (1, 0))
METRICS: dict[str, Any] = {"accuracy": np.array([74.0, 71.5, np.nan]), "macs": [4, 1, 2]}


@pytest.fixture
def table() -> TabularBenchmark:
    return TabularBenchmark(SPACE, POINTS, METRICS)


def test_rows_and_columns_agree(table: TabularBenchmark) -> None:
    assert table.points == POINTS and list(table.metrics) == ["accuracy", "macs"]
    for row, point in enumerate(POINTS):
        assert table.index(point) == row
        found = table.evaluate(point, ["macs", "accuracy"])
        np.testing.assert_array_equal(found, [table.column(name)[row] for name in ("macs", "accuracy")])
        assert found.dtype == np.float64 and found.shape == (2,)


def test_points_may_be_other_sequences() -> None:
    table = TabularBenchmark(SPACE, np.array(POINTS), METRICS)  # type: ignore[arg-type]
    assert table.points == POINTS
    assert table.evaluate([2, 1], ["macs"]).tolist() == [4.0]  # type: ignore[arg-type]


def test_what_was_not_measured_is_nan(table: TabularBenchmark) -> None:
    assert np.isnan(table.evaluate((1, 0), ["accuracy"])).all()


def test_nothing_in_it_can_change(table: TabularBenchmark) -> None:
    given = np.array([1.0, 2.0, 3.0])
    made = TabularBenchmark(SPACE, POINTS, {"accuracy": given})
    given[0] = 9.0
    assert made.column("accuracy")[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        made.column("accuracy")[0] = 9.0
    with pytest.raises(TypeError):
        made.metrics["more"] = given  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.points = ()  # type: ignore[misc]
    assert table.column("accuracy")[0] == 74.0
    table.evaluate((2, 1), ["accuracy"])[0] = 0.0
    assert table.column("accuracy")[0] == 74.0


def test_what_it_says_of_itself(table: TabularBenchmark) -> None:
    assert repr(table) == "TabularBenchmark(ChoiceSpace, 3 architectures, 2 metrics)"


REFUSED = [
    (
        lambda t: TabularBenchmark(SPACE, (), {"macs": np.zeros(0)}),
        "expected architectures and metrics, got 0 and 1",
    ),
    (lambda t: TabularBenchmark(SPACE, POINTS, {}), "got 3 and 0"),
    (lambda t: TabularBenchmark(SPACE, ((0, 0), (3, 0)), {"macs": np.zeros(2)}), "expected 2 positions"),
    (
        lambda t: TabularBenchmark(SPACE, ((0, 0), (1, 0), (0, 0)), {"macs": np.zeros(3)}),
        r"\(0, 0\) in rows 0 and 2",
    ),
    (
        lambda t: TabularBenchmark(SPACE, POINTS, {"macs": np.zeros(2)}),
        r"3 values of 'macs'.*got shape \(2,\)",
    ),
    (lambda t: TabularBenchmark(SPACE, POINTS, {"macs": np.zeros((3, 1))}), r"got shape \(3, 1\)"),
    (lambda t: t.column("acuracy"), "among accuracy, macs, got 'acuracy'; did you mean 'accuracy'"),
    (lambda t: t.column("latency"), "choose one of these"),
    (lambda t: t.index((2, 0)), r"one of the 3 architectures that were measured, got \(2, 0\)"),
    (lambda t: t.evaluate((9, 0), ["macs"]), "expected 2 positions"),
    (lambda t: t.evaluate((0, 0), ["macs", "params"]), "got 'params'"),
    (lambda t: t.evaluate((0, 0), []), "expected a list of metrics"),
    (lambda t: t.evaluate((0, 0), "macs"), "expected a list of metrics, got 'macs'"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_refused(table: TabularBenchmark, call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(table)
