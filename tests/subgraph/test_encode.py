"""The encoder of features."""

import pytest
import torch

from netgraph.errors import UsageError
from netgraph.subgraph.encode import FeatureEncoder


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_categories_are_one_hot_vectors(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    encode = FeatureEncoder("x", 4, 6)
    kinds = torch.tensor([3, 0, 1, 1, 2])
    assert torch.equal(encode(kinds.to(dtype).reshape(shape)), encode(torch.eye(4)[kinds]))


def test_features_take_the_precision_of_the_weights() -> None:
    encode = FeatureEncoder("x", 2, 3).double()
    assert encode(torch.randn(4, 2)).dtype == torch.float64


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(3, 3),
        torch.randn(3),
        torch.tensor([0, 2]),
        torch.tensor([-1, 0]),
        torch.zeros(3, 2, dtype=torch.long),
    ],
)
def test_other_features_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(UsageError, match="PPGN: expected x with"):
        FeatureEncoder("x", 2, 3).check("PPGN", x)
