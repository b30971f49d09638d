"""The encoder of features of nodes and edges."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError

__all__ = ["FeatureEncoder"]


@final
class FeatureEncoder(nn.Module):
    """A linear map of feature vectors, or of the one-hot vectors of categories: an embedding.

    Shapes: floats `(N, in_channels)`, or integers `(N,)` or `(N, 1)` from 0 to `in_channels - 1`, to
    `(N, out_channels)`. Categories give the same as their one-hot vectors.

    Args:
        what: the name of the features, for messages.
        in_channels: how many features or categories.
        out_channels: F of the states.

    >>> import torch
    >>> encode = FeatureEncoder("x", 3, 8)
    >>> kinds = torch.tensor([2, 0])
    >>> torch.equal(encode(kinds), encode(torch.eye(3)[kinds]))
    True
    """

    def __init__(self, what: str, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.what = what
        self.linear = nn.Linear(in_channels, out_channels, bias=False)

    def check(self, operation: str, x: Tensor) -> None:
        """Refuse what does not fit; apart from `forward`, which a compiler may trace.

        Raises:
            UsageError: another number of features, or categories out of range.
        """
        channels = self.linear.in_features
        if x.is_floating_point():
            if x.dim() == 2 and x.shape[1] == channels:
                return
            problem = f"{channels} numbers per row, got shape {list(x.shape)}"
        elif x.dim() > 2 or (x.dim() == 2 and x.shape[1] != 1):
            problem = f"numbers, or one category per row, got {x.dtype} of shape {list(x.shape)}"
        elif x.numel() and not 0 <= int(x.min()) <= int(x.max()) < channels:
            problem = f"categories from 0 to {channels - 1}, got {int(x.min())} to {int(x.max())}"
        else:
            return
        raise UsageError(
            f"{operation}: expected {self.what} with {problem}; build the network for these features, or "
            "convert them"
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.is_floating_point():
            return self.linear(x.to(self.linear.weight.dtype))
        return F.embedding(x.reshape(-1).long(), self.linear.weight.T)
