import pytest

from netgraph.errors import UsageError
from netgraph.pruning import geometric_schedule


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_equal_factors_down_to_the_target_itself(steps: int) -> None:
    costs = geometric_schedule(1000.0, 70.0, steps)
    assert len(costs) == steps and costs[-1] == 70.0
    before = [1000.0, *costs[:-1]]
    factors = [b / a for a, b in zip(before, costs, strict=True)]
    assert factors == pytest.approx([0.07 ** (1 / steps)] * steps)


def test_nothing_to_do_is_one_step() -> None:
    assert geometric_schedule(10.0, 10.0, 4) == [10.0]
    assert geometric_schedule(10.0, 11.0, 4) == [11.0]


@pytest.mark.parametrize("steps", [0, -1, True])
def test_refuses(steps: int) -> None:
    with pytest.raises(UsageError, match="expected at least 1 step"):
        geometric_schedule(10.0, 5.0, steps)
