"""Perceptrons that read products and sums of states."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from netgraph.linkpred.encoders import step

__all__ = ["Head"]


@final
class Head(nn.Module):
    """A perceptron whose steps are: linear layer, layer norm, dropout, activation.

    Args:
        widths: channels in, between and out.
        tail: whether the last step is whole; otherwise it is the linear layer alone.
        norm: whether whole steps have a layer norm.
        norm_from: the first step that has it.
        dropout: probability.
        residual: add the input of the perceptron to the output of each linear layer of the same width.
        activation: a name of `ACTIVATIONS`.

    >>> import torch
    >>> Head((4, 8, 1), dropout=0.5)(torch.ones(3, 4)).shape
    torch.Size([3, 1])
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        tail: bool = False,
        norm: bool = False,
        norm_from: int = 0,
        dropout: float = 0.0,
        residual: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        steps = len(widths) - 1
        self.whole = steps if tail else steps - 1
        self.lins = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(
            nn.LayerNorm(widths[i + 1]) if norm and i >= norm_from else nn.Identity()
            for i in range(self.whole)
        )
        self.dropout, self.residual, self.activation = dropout, residual, activation

    def forward(self, x: Tensor, noisy: bool | None = None) -> Tensor:
        """`(P, widths[0])` to `(P, widths[-1])`; `noisy` tells whether there is dropout, as in training."""
        noisy, first = self.training if noisy is None else noisy, x
        for i, lin in enumerate(self.lins):
            x = lin(x)
            if i < self.whole:
                if self.residual and x.shape == first.shape:
                    x = x + first
                x = step(self.norms[i](x), self.dropout, noisy, self.activation)
        return x
