"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError

__all__ = ["MLP"]


@final
class MLP(nn.Module):
    """Linear layers with ReLU between them: `x_{l+1} = relu(norm_l(W_l x_l + b_l))`, the last one without.

    Shapes: `(B, ...)` flattened to `(B, sizes[0])`, to `(B, sizes[-1])`.

    Args:
        sizes: features in, of each hidden layer, and out.
        norm: put a BatchNorm1d after every hidden layer.

    Raises:
        UsageError: fewer than two sizes, or one below 1.

    >>> import torch
    >>> MLP((64, 32, 10))(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(self, sizes: Sequence[int], norm: bool = False) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise UsageError(
                f"MLP: expected at least two sizes of at least 1, got {tuple(sizes)}; use e.g. (64, 32, 10)"
            )
        pairs = list(pairwise(sizes))
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) if norm else nn.Identity() for _, b in pairs[:-1])

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(x, 1)
        for layer, norm in zip(self.layers, self.norms, strict=False):
            x = F.relu(norm(layer(x)))
        return self.layers[-1](x)
