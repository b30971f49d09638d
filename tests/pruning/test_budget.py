import math

import pytest

from netgraph.errors import BudgetError
from netgraph.graph import CostModel
from netgraph.pruning import Budget
from tests.pruning.nets import make_graph


def test_shares_and_absolute_values() -> None:
    cost = CostModel(make_graph("digits").structure)
    assert Budget(macs=0.5).target(cost) == 0.5 * cost.macs()
    assert Budget(macs=1).target(cost) == cost.macs()
    assert Budget(macs=12_345).target(cost) == 12_345
    assert Budget(params=0.3).target(cost) == pytest.approx(0.3 * cost.params())
    assert Budget(params=1.5).target(cost) == 1.5
    assert Budget(latency_ms=0.25).target(cost) == 0.25
    assert Budget(speedup=2.0).target(cost) == Budget(macs=0.5).target(cost)
    assert Budget(speedup=1).target(cost) == cost.macs()


@pytest.mark.parametrize(
    ("budget", "kind"),
    [
        (Budget(macs=0.5), "macs"),
        (Budget(speedup=3), "macs"),
        (Budget(params=9), "params"),
        (Budget(latency_ms=1), "latency_ms"),
    ],
    ids=str,
)
def test_kind(budget: Budget, kind: str) -> None:
    assert budget.kind == kind


BAD = [
    {},
    {"macs": 0.5, "params": 0.5},
    {"macs": 0.5, "speedup": 2.0},
    {"macs": 0},
    {"macs": -0.5},
    {"params": math.nan},
    {"latency_ms": math.inf},
    {"latency_ms": 0.0},
    {"speedup": 0.5},
    {"speedup": math.nan},
    {"macs": True},
    {"macs": "0.5"},
]


@pytest.mark.parametrize("kwargs", BAD, ids=str)
def test_refuses(kwargs: dict[str, float]) -> None:
    with pytest.raises(BudgetError, match="Budget: expected"):
        Budget(**kwargs)
