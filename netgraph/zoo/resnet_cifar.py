"""The residual networks for CIFAR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.zoo.basic_block import BasicBlock, Shortcut

__all__ = ["CifarResNet", "resnet8", "resnet20", "resnet32", "resnet56"]


@final
class CifarResNet(nn.Module):
    """A residual network of three stages for small images: `6 * blocks + 2` layers with weights.

    Shapes: `(B, in_channels, h, w)` to logits `(B, classes)`.

    Args:
        blocks: basic blocks per stage.
        widths: channels of the three stages; the second and the third halve the picture.
        classes: number of logits.
        shortcut: `"pad"` (the paper's option A) or `"conv"` (option B).
        in_channels: channels of the picture.

    Parameter names are those of the public CIFAR-10 checkpoints (`conv1`, `bn1`,
    `layer{1,2,3}.{i}.conv{1,2}`, `layer{1,2,3}.{i}.bn{1,2}`, `linear`).

    Raises:
        UsageError: not three widths, or a size below one.

    Paper: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2.

    >>> import torch
    >>> net = CifarResNet(blocks=1, widths=(4, 8, 16)).eval()
    >>> net(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        blocks: int,
        widths: Sequence[int] = (16, 32, 64),
        classes: int = 10,
        shortcut: Shortcut = "pad",
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if len(widths) != 3 or min(*widths, blocks, classes, in_channels) < 1:
            raise UsageError(
                f"CifarResNet: expected three widths and sizes of at least 1, got widths={tuple(widths)}, "
                f"blocks={blocks}, classes={classes}, in_channels={in_channels}; use e.g. widths=(16, 32, 64)"
            )
        first, second, third = widths
        self.conv1 = nn.Conv2d(in_channels, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.layer1 = _stage(first, first, blocks, 1, shortcut)
        self.layer2 = _stage(first, second, blocks, 2, shortcut)
        self.layer3 = _stage(second, third, blocks, 2, shortcut)
        self.linear = nn.Linear(third, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def resnet8(shortcut: Shortcut = "pad") -> CifarResNet:
    """ResNet-8: one block per stage.

    >>> sum(p.numel() for p in resnet8().parameters())
    75290
    """
    return CifarResNet(1, shortcut=shortcut)


def resnet20(shortcut: Shortcut = "pad") -> CifarResNet:
    """ResNet-20: three blocks per stage.

    >>> sum(p.numel() for p in resnet20().parameters())
    269722
    """
    return CifarResNet(3, shortcut=shortcut)


def resnet32(shortcut: Shortcut = "pad") -> CifarResNet:
    """ResNet-32: five blocks per stage.

    >>> sum(p.numel() for p in resnet32().parameters())
    464154
    """
    return CifarResNet(5, shortcut=shortcut)


def resnet56(shortcut: Shortcut = "pad") -> CifarResNet:
    """ResNet-56: nine blocks per stage.

    >>> sum(p.numel() for p in resnet56().parameters())
    853018
    """
    return CifarResNet(9, shortcut=shortcut)


def _stage(in_planes: int, planes: int, blocks: int, stride: int, shortcut: Shortcut) -> nn.Sequential:
    first = BasicBlock(in_planes, planes, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(planes, planes, 1, shortcut) for _ in range(blocks - 1)))
