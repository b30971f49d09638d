"""Tensors on nodes as flat scalars and back."""

import pytest
import torch

from netgraph.graph import TensorSpec
from netgraph.nn.entries import from_entries, to_entries


@pytest.mark.parametrize(
    ("shape", "dim"), [((5,), 0), ((1, 4, 1, 1), 1), ((3, 4), 1), ((2, 3, 4), 1), ((4, 1), 0)]
)
def test_there_and_back(shape: tuple[int, ...], dim: int) -> None:
    spec = TensorSpec(
        "v", shape, "float32", "parameter", tuple(0 if d == dim else None for d in range(len(shape))), dim
    )
    tensor = torch.randn(shape)
    flat = to_entries(tensor, spec)
    others = tensor.numel() // shape[dim]
    assert torch.equal(flat[:others], tensor.select(dim, 0).flatten())
    assert torch.equal(from_entries(flat, spec), tensor)
