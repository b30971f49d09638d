"""A weight of any rank as a matrix of edges, each with the taps of one small window."""

from __future__ import annotations

from math import isqrt, prod
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from netgraph.errors import GraphError, UsageError
from netgraph.graph import TensorSpec

__all__ = ["Windows", "from_windows", "to_windows", "windows_of"]


class Windows(NamedTuple):
    """How one weight is cut into windows; see `windows_of`.

    Attributes:
        order: the weight's dimensions as target, source, parallel ones, kernel rows and columns.
        shape: the weight's shape in that order; kernel rows and columns always present.
        rows, cols: height and width of one window.
        tiles: windows that cover the kernel, down and across.
        columns: which taps of the metanetwork's window the edges use.
        loop: whether every node has edges to itself only.
    """

    order: tuple[int, ...]
    shape: tuple[int, ...]
    rows: int
    cols: int
    tiles: tuple[int, int]
    columns: tuple[int, ...]
    loop: bool

    @property
    def parallel(self) -> int:
        """Parallel edges between a target and a source position."""
        return prod(self.shape[2:-2]) * self.tiles[0] * self.tiles[1]

    @property
    def edges(self) -> tuple[int, int]:
        """Target positions, and edges that each of them has: the first two sizes of the matrix."""
        return self.shape[0], self.shape[1] * self.parallel


def windows_of(spec: TensorSpec, taps: int) -> Windows:
    """Plan the cut of a weight into square windows of `taps` taps.

    The last two dimensions beyond the channels that run over no nodes are the kernel. A kernel that fits into
    the window lies in its centre (1x1 on the middle tap, a 1-D kernel in the middle row), and the window's
    other taps are left out. A larger one is padded with zeros on both sides to the next multiple and tiled.
    Tiles and all other dimensions (a third spatial one, the inner channels of a grouped convolution, experts)
    are parallel edges.

    Raises:
        GraphError: the tensor carries no edges.
        UsageError: `taps` is not the square of an odd number.

    >>> from netgraph.graph import TensorSpec
    >>> weight = TensorSpec("w", (8, 3, 7, 7), "float32", "parameter", (0, 1, None, None), 0, 1)
    >>> windows_of(weight, taps=9).edges, windows_of(weight, taps=9).tiles
    ((8, 27), (3, 3))
    """
    side = isqrt(max(taps, 0))
    if side * side != taps or side % 2 == 0:
        raise UsageError(
            f"windows: expected taps to be the square of an odd number, got {taps}; use 1, 9 or 25"
        )
    if spec.out_axis is None or spec.in_axis is None:
        raise GraphError(f"windows: tensor {spec.name!r} carries no edges; expected one of placement 'block'")
    loop = spec.out_axis == spec.in_axis
    channels = (spec.out_axis,) if loop else (spec.out_axis, spec.in_axis)
    rest = [d for d in range(len(spec.shape)) if d not in channels]
    kernel = [d for d in rest if d >= 2 and spec.axes[d] is None][-2:]
    parallel = [d for d in rest if d not in kernel]
    *_, height, width = 1, 1, *(spec.shape[d] for d in kernel)
    tiles = (-(-height // side), -(-width // side))
    rows = height if tiles[0] == 1 else side
    cols = width if tiles[1] == 1 else side
    top, left = (side - rows) // 2, (side - cols) // 2
    return Windows(
        order=(*channels, *parallel, *kernel),
        shape=(
            spec.shape[spec.out_axis],
            1 if loop else spec.shape[spec.in_axis],
            *(spec.shape[d] for d in parallel),
            height,
            width,
        ),
        rows=rows,
        cols=cols,
        tiles=tiles,
        columns=tuple((top + r) * side + left + c for r in range(rows) for c in range(cols)),
        loop=loop,
    )


def to_windows(tensor: Tensor, windows: Windows) -> Tensor:
    """The edges of a weight, `(D, S * P, K)`: target position, source position with parallel edges, tap.

    A view where strides allow. `from_windows` is the exact way back.

    >>> import torch
    >>> spec = TensorSpec("w", (8, 3, 5), "float32", "parameter", (0, 1, None), 0, 1)
    >>> to_windows(torch.zeros(8, 3, 5), windows_of(spec, taps=9)).shape
    torch.Size([8, 6, 3])
    """
    w, (down, across) = windows, windows.tiles
    tensor = tensor.permute(w.order).reshape(w.shape)
    above, left = (down * w.rows - w.shape[-2]) // 2, (across * w.cols - w.shape[-1]) // 2
    below, right = down * w.rows - w.shape[-2] - above, across * w.cols - w.shape[-1] - left
    if above or left or below or right:
        tensor = F.pad(tensor, (left, right, above, below))
    if down * across == 1:
        return tensor.reshape(*w.edges, w.rows * w.cols)
    tensor = tensor.unflatten(-1, (across, w.cols)).unflatten(-3, (down, w.rows)).transpose(-3, -2)
    return tensor.reshape(*w.edges, w.rows * w.cols)


def from_windows(edges: Tensor, windows: Windows) -> Tensor:
    """The weight whose edges these are, in its own shape; what the padding received is cropped.

    >>> import torch
    >>> spec = TensorSpec("w", (2, 3, 7, 7), "float32", "parameter", (0, 1, None, None), 0, 1)
    >>> weight, windows = torch.randn(2, 3, 7, 7), windows_of(spec, taps=9)
    >>> torch.equal(from_windows(to_windows(weight, windows), windows), weight)
    True
    """
    w, (down, across) = windows, windows.tiles
    if down * across > 1:
        edges = edges.reshape(*w.shape[:-2], down, across, w.rows, w.cols).transpose(-3, -2)
        edges = edges.flatten(-4, -3).flatten(-2, -1)
        above, left = (edges.shape[-2] - w.shape[-2]) // 2, (edges.shape[-1] - w.shape[-1]) // 2
        edges = edges.narrow(-2, above, w.shape[-2]).narrow(-1, left, w.shape[-1])
    present = len(w.order)
    channels = 1 if w.loop else 2
    kernel = present - channels - (len(w.shape) - 4)
    shape = (w.shape[0],) if w.loop else w.shape[:2]
    ordered = edges.reshape(*shape, *w.shape[2:-2], *w.shape[len(w.shape) - kernel :])
    inverse = sorted(range(present), key=w.order.__getitem__)
    return ordered.permute(inverse)
