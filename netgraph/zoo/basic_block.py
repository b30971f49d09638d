"""The basic block of residual networks, with both shortcuts of the paper."""

from __future__ import annotations

from typing import Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError

__all__ = ["BasicBlock", "PadShortcut", "Shortcut"]

Shortcut = Literal["pad", "conv"]


@final
class PadShortcut(nn.Module):
    """Option A: every `stride`-th pixel, zero channels put before and after.

    Shapes: `(B, C, h, w)` to `(B, before + C + after, ceil(h / stride), ceil(w / stride))`.

    The two widths are plain integer attributes, so that whoever cuts channels can set them anew.

    >>> import torch
    >>> PadShortcut(before=1, after=2)(torch.ones(1, 2, 4, 4)).shape
    torch.Size([1, 5, 2, 2])
    """

    def __init__(self, before: int, after: int, stride: int = 2) -> None:
        super().__init__()
        self.before = before
        self.after = after
        self.pixels = slice(None, None, stride)  # no integer, lest it be taken for a width

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, self.pixels, self.pixels]
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        return f"before={self.before}, after={self.after}, stride={self.pixels.step}"


@final
class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: `relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))`.

    Shapes: `(B, in_planes, h, w)` to `(B, planes, ceil(h / stride), ceil(w / stride))`.

    Args:
        in_planes: channels in.
        planes: channels out.
        stride: of the first convolution and of the shortcut.
        shortcut: what stands in where the shape changes: `"pad"` (option A, no parameters) or `"conv"`
            (option B, a 1x1 convolution with its norm).

    Raises:
        UsageError: an unknown shortcut, or a `"pad"` that would have to drop channels.

    Paper: He et al., Deep Residual Learning for Image Recognition, CVPR 2016.

    >>> import torch
    >>> BasicBlock(4, 8, stride=2)(torch.zeros(1, 4, 6, 6)).shape
    torch.Size([1, 8, 3, 3])
    """

    def __init__(self, in_planes: int, planes: int, stride: int = 1, shortcut: Shortcut = "pad") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = _shortcut(in_planes, planes, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


def _shortcut(in_planes: int, planes: int, stride: int, kind: str) -> nn.Module:
    if kind not in ("pad", "conv"):
        raise UsageError(
            f"BasicBlock: expected shortcut 'pad' or 'conv', got {kind!r}; choose one of the two"
        )
    if stride == 1 and in_planes == planes:
        return nn.Sequential()
    if kind == "conv":
        conv = nn.Conv2d(in_planes, planes, 1, stride, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(planes))
    if planes < in_planes:
        raise UsageError(
            f"BasicBlock: expected a 'pad' shortcut to widen the block, got {in_planes} channels in and "
            f"{planes} out; pass shortcut='conv'"
        )
    before = (planes - in_planes) // 2
    return PadShortcut(before, planes - in_planes - before, stride)
