"""A small residual network for the 8x8 digits of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.zoo.basic_block import BasicBlock, Shortcut

__all__ = ["DigitsResNet"]


@final
class DigitsResNet(nn.Module):
    """A residual network of two stages for `(B, 1, 8, 8)` pictures: stem, basic blocks, mean, linear.

    Shapes: `(B, 1, h, w)` to logits `(B, classes)`.

    Args:
        width: channels of the first stage; the second has twice as many and halves the picture.
        blocks: basic blocks in each of the two stages.
        classes: number of logits.
        shortcut: `"conv"` (option B of the paper) or `"pad"` (option A).

    Raises:
        UsageError: a size below one.

    Paper: the blocks are those of He et al., Deep Residual Learning for Image Recognition, CVPR 2016.

    >>> import torch
    >>> net = DigitsResNet().eval()
    >>> net(torch.zeros(2, 1, 8, 8)).shape, sum(p.numel() for p in net.parameters())
    (torch.Size([2, 10]), 42938)
    """

    def __init__(
        self,
        width: int = 16,
        blocks: Sequence[int] = (2, 2),
        classes: int = 10,
        shortcut: Shortcut = "conv",
    ) -> None:
        super().__init__()
        if len(blocks) != 2 or min(width, classes, *blocks) < 1:
            raise UsageError(
                f"DigitsResNet: expected sizes of at least 1 and two numbers of blocks, got width={width}, "
                f"blocks={tuple(blocks)}, classes={classes}; use e.g. width=16, blocks=(2, 2)"
            )
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks[0], 1, shortcut)
        self.layer2 = _stage(width, 2 * width, blocks[1], 2, shortcut)
        self.linear = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def _stage(in_planes: int, planes: int, blocks: int, stride: int, shortcut: Shortcut) -> nn.Sequential:
    first = BasicBlock(in_planes, planes, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(planes, planes, 1, shortcut) for _ in range(blocks - 1)))
