"""A plain convolutional network: no shortcuts."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError

__all__ = ["PlainCNN"]


@final
class PlainCNN(nn.Module):
    """3x3 convolutions in a row, mean, linear: `x_{l+1} = relu(norm_l(conv_l(x_l)))`.

    Shapes: `(B, in_channels, h, w)` to logits `(B, classes)`, for any size of picture.

    Args:
        width: channels of the first half of the layers; the second half has twice as many.
        depth: number of convolutions. The first of the second half halves the picture.
        classes: number of logits.
        in_channels: channels of the picture.
        norm: a BatchNorm2d after every convolution; without it, convolutions have biases.

    Raises:
        UsageError: a size below one.

    >>> import torch
    >>> net = PlainCNN(width=4, depth=3, norm=False)
    >>> net(torch.zeros(2, 1, 8, 8)).shape, [c.out_channels for c in net.convs]
    (torch.Size([2, 10]), [4, 8, 8])
    """

    def __init__(
        self, width: int = 16, depth: int = 4, classes: int = 10, in_channels: int = 1, norm: bool = True
    ) -> None:
        super().__init__()
        if min(width, depth, classes, in_channels) < 1:
            raise UsageError(
                f"PlainCNN: expected sizes of at least 1, got width={width}, depth={depth}, "
                f"classes={classes}, in_channels={in_channels}; use e.g. width=16, depth=4"
            )
        turn = depth // 2
        widths = [in_channels, *(width if i < turn else 2 * width for i in range(depth))]
        self.convs = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 3, 2 if i == turn else 1, padding=1, bias=not norm)
            for i in range(depth)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) if norm else nn.Identity() for n in widths[1:])
        self.linear = nn.Linear(widths[-1], classes)
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
