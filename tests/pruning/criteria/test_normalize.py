import pytest
import torch

from netgraph.errors import UsageError
from netgraph.pruning import normalize_scores


def test_ways() -> None:
    score = torch.tensor([1.0, 3.0])
    assert normalize_scores(score, "max").tolist() == pytest.approx([1 / 3, 1])
    assert normalize_scores(score, "mean").tolist() == [0.5, 1.5]
    assert normalize_scores(score, None) is score


@pytest.mark.parametrize("how", ["max", "mean", None])
def test_zeros_and_nothing_stay(how) -> None:  # type: ignore[no-untyped-def]
    assert normalize_scores(torch.zeros(3), how).tolist() == [0, 0, 0]
    assert normalize_scores(torch.zeros(0), how).tolist() == []


def test_refuses() -> None:
    with pytest.raises(UsageError, match="expected 'max', 'mean' or None, got 'sum'"):
        normalize_scores(torch.ones(2), "sum")  # type: ignore[arg-type]
