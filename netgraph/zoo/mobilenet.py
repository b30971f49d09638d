"""Networks in the manner of MobileNetV2: inverted residuals over depthwise convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError

__all__ = ["InvertedResidual", "MobileNet"]


@final
class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow: `y = bn3(project(relu6(bn2(depthwise(relu6(bn1(expand(x)))))))`.

    The input is added to `y` where the shapes agree.

    Shapes: `(B, in_planes, h, w)` to `(B, planes, ceil(h / stride), ceil(w / stride))`.

    Args:
        in_planes: channels in.
        planes: channels out.
        stride: of the depthwise convolution.
        expansion: how many times wider the block is inside.

    Paper: Sandler et al., MobileNetV2, CVPR 2018.

    >>> import torch
    >>> InvertedResidual(4, 8, stride=2)(torch.zeros(1, 4, 6, 6)).shape
    torch.Size([1, 8, 3, 3])
    """

    def __init__(self, in_planes: int, planes: int, stride: int = 1, expansion: int = 4) -> None:
        super().__init__()
        inside = in_planes * expansion
        self.expand = nn.Conv2d(in_planes, inside, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.depthwise = nn.Conv2d(inside, inside, 3, stride, padding=1, groups=inside, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.project = nn.Conv2d(inside, planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes)
        self.residual = stride == 1 and in_planes == planes

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu6(self.bn1(self.expand(x)))
        out = F.relu6(self.bn2(self.depthwise(out)))
        out = self.bn3(self.project(out))
        return x + out if self.residual else out


@final
class MobileNet(nn.Module):
    """Stem, stages of inverted residuals, a 1x1 convolution, mean, linear.

    Shapes: `(B, in_channels, h, w)` to logits `(B, classes)`, for any size of picture.

    Args:
        width: channels of the stem and of the first stage; every further stage has 1.5 times as many
            (rounded down) and halves the picture.
        blocks: inverted residuals in each stage.
        expansion: how many times wider a block is inside.
        classes: number of logits.
        in_channels: channels of the picture.

    Raises:
        UsageError: a size below one.

    Paper: Sandler et al., MobileNetV2, CVPR 2018.

    >>> import torch
    >>> net = MobileNet(width=8, blocks=(1, 2)).eval()
    >>> net(torch.zeros(2, 1, 8, 8)).shape, net.blocks[1].depthwise.groups
    (torch.Size([2, 10]), 32)
    """

    def __init__(
        self,
        width: int = 12,
        blocks: Sequence[int] = (1, 2),
        expansion: int = 4,
        classes: int = 10,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        if not blocks or min(width, expansion, classes, in_channels, *blocks) < 1:
            raise UsageError(
                f"MobileNet: expected sizes of at least 1, got width={width}, blocks={tuple(blocks)}, "
                f"expansion={expansion}, classes={classes}, in_channels={in_channels}; "
                "use e.g. width=12, blocks=(1, 2)"
            )
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        made: list[nn.Module] = []
        last = width
        for stage, count in enumerate(blocks):
            planes = int(width * 1.5**stage)
            for i in range(count):
                made.append(InvertedResidual(last, planes, 2 if stage and not i else 1, expansion))
                last = planes
        self.blocks = nn.Sequential(*made)
        self.conv = nn.Conv2d(last, 2 * last, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * last)
        self.linear = nn.Linear(2 * last, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn1(self.stem(x)))
        x = F.relu6(self.bn2(self.conv(self.blocks(x))))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
