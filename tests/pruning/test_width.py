import pytest

from netgraph.errors import UsageError
from netgraph.pruning import smallest_width


@pytest.mark.parametrize("size", [1, 3, 8, 17])
@pytest.mark.parametrize("min_keep", [1, 2, 5, 0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("round_to", [1, 2, 4, 8])
def test_smallest_allowed_by_trying_all(size: int, min_keep: float, round_to: int) -> None:
    enough = min_keep if isinstance(min_keep, int) else min_keep * size
    allowed = [k for k in range(1, size + 1) if (k >= enough - 1e-9 and k % round_to == 0) or k == size]
    assert smallest_width(size, min_keep, round_to) == min(allowed)


@pytest.mark.parametrize("min_keep", [0, -1, 1.5, -0.1, float("nan"), True, "3"], ids=str)
def test_refuses_min_keep(min_keep: float) -> None:
    with pytest.raises(UsageError, match="min_keep: expected"):
        smallest_width(4, min_keep)


@pytest.mark.parametrize("round_to", [0, -4, 2.0, True], ids=str)
def test_refuses_round_to(round_to: int) -> None:
    with pytest.raises(UsageError, match="round_to: expected"):
        smallest_width(4, 1, round_to)
