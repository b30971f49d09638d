import pytest
import torch

from netgraph.errors import UsageError
from netgraph.pruning import RANKINGS, rank

SCORES = {"a": torch.tensor([3.0, 1.0, 2.0, 9.0]), "b": torch.tensor([100.0, 50.0])}


def test_global_leaves_scores() -> None:
    assert rank(SCORES, "global") is SCORES


def test_uniform_is_the_rank_over_the_size() -> None:
    out = rank(SCORES, "uniform")
    assert out["a"].tolist() == [0.75, 0.25, 0.5, 1.0]
    assert out["b"].tolist() == [1.0, 0.5]


def test_function_and_registry() -> None:
    assert rank(SCORES, lambda s: {n: -t for n, t in s.items()})["b"].tolist() == [-100.0, -50.0]
    assert set(RANKINGS) == {"global", "uniform"}


def test_refuses_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="expected one of global, uniform, got 'local'"):
        rank(SCORES, "local")
