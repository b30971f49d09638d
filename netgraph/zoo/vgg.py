"""Networks in the manner of VGG: stages of convolutions between poolings, and a classifier of two layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError

__all__ = ["VGG"]


@final
class VGG(nn.Module):
    """Stages of 3x3 convolutions, each stage followed by a 2x2 maximum; flattened; two linear layers.

    Shapes: `(B, in_channels, image_size, image_size)` to logits `(B, classes)`.

    Args:
        width: channels of the first stage; each stage has twice as many as the one before, to `8 * width`.
        blocks: convolutions in each stage. A stage halves the picture.
        hidden: features between the two linear layers.
        classes: number of logits.
        in_channels: channels of the picture.
        image_size: height and width of the picture: at least `2 ** len(blocks)`.
        norm: a BatchNorm2d after every convolution.

    Raises:
        UsageError: a size below one, or more stages than the picture can be halved.

    Paper: Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015.

    >>> import torch
    >>> net = VGG(width=4, blocks=(1, 2), hidden=12)
    >>> net(torch.zeros(2, 1, 8, 8)).shape, net.fc1.in_features  # 8 channels, 2 x 2 pixels left
    (torch.Size([2, 10]), 32)
    """

    def __init__(
        self,
        width: int = 16,
        blocks: Sequence[int] = (1, 2),
        hidden: int = 64,
        classes: int = 10,
        in_channels: int = 1,
        image_size: int = 8,
        norm: bool = True,
    ) -> None:
        super().__init__()
        left = image_size >> len(blocks)
        if not blocks or min(width, hidden, classes, in_channels, left, *blocks) < 1:
            raise UsageError(
                f"VGG: expected sizes of at least 1 and a picture of at least 2 ** {len(blocks)} pixels a "
                f"side, got width={width}, blocks={tuple(blocks)}, hidden={hidden}, classes={classes}, "
                f"in_channels={in_channels}, image_size={image_size}; use e.g. width=16, blocks=(1, 2)"
            )
        layers: list[nn.Module] = []
        last = in_channels
        for stage, count in enumerate(blocks):
            planes = width * 2 ** min(stage, 3)
            for _ in range(count):
                layers.append(nn.Conv2d(last, planes, 3, padding=1, bias=not norm))
                layers += [nn.BatchNorm2d(planes)] if norm else []
                layers.append(nn.ReLU())
                last = planes
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.fc1 = nn.Linear(last * left * left, hidden)
        self.fc2 = nn.Linear(hidden, classes)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(self.features(x), 1)
        return self.fc2(F.relu(self.fc1(x)))
