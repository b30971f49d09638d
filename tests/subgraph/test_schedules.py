"""Learning rates over a fit."""

from itertools import pairwise

import pytest

from netgraph.subgraph import SCHEDULES


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_stay_between_zero_and_one_and_move_smoothly(name: str) -> None:
    factors = [SCHEDULES[name](i / 1000) for i in range(1001)]
    assert all(0 <= f <= 1 for f in factors) and max(factors) == pytest.approx(1, abs=1e-9)
    assert max(abs(a - b) for a, b in pairwise(factors)) < 0.012


def test_shapes() -> None:
    cycle = SCHEDULES["one_cycle"]
    assert cycle(0) == pytest.approx(0.04) and cycle(0.1) == 1 and cycle(1) == pytest.approx(0)
    assert SCHEDULES["cosine"](0.5) == pytest.approx(0.5)
    assert SCHEDULES["constant"](0.9) == 1
