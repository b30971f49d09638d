"""One layer's work on the edges, forward: reduce the edge state both ways, then update it in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from netgraph.nn.fused import fused_pass
from netgraph.nn.stack import Stack

__all__ = ["StackFactors", "chunk_elements", "chunks", "edge_pass", "extreme", "grow"]

CACHE_ELEMENTS = 1 << 21
"""Elements worked on at once on a CPU, all buffers together: 8 MiB stay in its caches between the steps."""

DEVICE_ELEMENTS = 1 << 27
"""The same on an accelerator, where only memory limits it."""


SHORT_ROW = 32
"""Below this many sources, extremes are found by folding."""


class StackFactors(NamedTuple):
    """What the two ends of a stack's edges contribute in one layer.

    A *sheet* is one feature of one weight, a matrix `(D, S)`. A stack has `B = F * n` of them, and nothing
    that is reduced over edges ever leaves its sheet.

    Attributes:
        target, source: `A1` of the targets `(B, D)` and of the sources `(B, S)`.
        left, right: `[A4_i, A3_i]` as `(B, D, 2)` and `[A3_j, A4_j]` as `(B, 2, S)`: their product is what
            an edge grows by, relative to its state. In a loop stack, whose sources are its targets, `left` is
            that growth, `(B, D, 1)`.
    """

    target: Tensor
    source: Tensor
    left: Tensor
    right: Tensor

    @classmethod
    def of(cls, target: Tensor, source: Tensor, loop: bool) -> StackFactors:
        """From `A1, A3, A4` of the targets `(3, B, D)` and of the sources `(3, B, S)`; none is kept alive."""
        if loop:
            left = (2 * target[1] * target[2]).unsqueeze(-1)
        else:
            left = torch.stack([target[2], target[1]], -1)
        return cls(target[0].clone(), source[0].clone(), left, torch.stack([source[1], source[2]], -2))

    def sheets(self, part: slice) -> StackFactors:
        """The factors of some sheets."""
        return StackFactors(*(t[part] for t in self))


def chunk_elements(device: torch.device, buffers: int) -> int:
    """Edge-state elements to process at once, where each takes part in so many buffers."""
    return (CACHE_ELEMENTS if device.type == "cpu" else DEVICE_ELEMENTS) // buffers


def chunks(stack: Stack, hidden: int, device: torch.device, buffers: int) -> Iterator[slice]:
    """Cut the sheets of a stack into runs that fit into the cache: whole features, or a part of one."""
    limit = chunk_elements(device, buffers)
    number, targets, sources = stack.shape
    if stack.edges <= limit:
        step = number * max(1, limit // stack.edges)
        yield from (slice(b, min(b + step, hidden * number)) for b in range(0, hidden * number, step))
        return
    step = max(1, limit // (targets * sources))
    for first in range(0, hidden * number, number):
        yield from (slice(first + n, first + min(n + step, number)) for n in range(0, number, step))


def edge_pass(stack: Stack, state: Tensor, factors: StackFactors, fuse: bool) -> tuple[Tensor, Tensor]:
    """Reduce a stack's messages both ways and carry its edge state to the next layer, in place.

    With `a = A1` of one end, the messages before their target's own factor are `u = a_j e_ij` along the edges
    and `u = a_i e_ij` against them. Per row: mean, sum of squared deviations from it (two passes, as the
    difference of two large sums would cancel), maximum and minimum.

    Args:
        stack: which edges.
        state: their state, `(B, D, S)`; changed.
        factors: of the layer, in the precision to work in.
        fuse: run the compiled kernel.

    Returns:
        The four statistics of the target rows, `(4, B, D)`, and of the source rows, `(4, B, S)`. In a loop
        stack, where both ways reduce the same messages, twice the same tensor.
    """
    into = factors.target.new_empty(4, *factors.target.shape)
    onto = into if stack.loop else factors.source.new_empty(4, *factors.source.shape)
    buffer = None
    for part in chunks(stack, len(state) // len(stack.tensors), state.device, buffers=2):
        e, own = state[part].to(into), factors.sheets(part)
        if fuse and not stack.loop:
            into[:, part], onto[:, part] = fused_pass(e, *own)
        else:
            if buffer is None:
                buffer = torch.empty_like(e)  # the first run is the longest
            work = buffer[: len(e)]
            _reduce(e, own.source.unsqueeze(-1 if stack.loop else -2), -1, into[:, part], work)
            if not stack.loop:
                _reduce(e, own.target.unsqueeze(-1), -2, onto[:, part], work)
            grow(e, own.left, own.right, stack.loop, work)
        if e.dtype != state.dtype:
            state[part] = e
    return into, onto


def _reduce(e: Tensor, factor: Tensor, dim: int, into: Tensor, work: Tensor) -> None:
    mean, squares, highest, lowest = into
    torch.mul(e, factor, out=work)
    torch.mean(work, dim, out=mean)
    extreme(work, dim, torch.amax, torch.maximum, highest)
    extreme(work, dim, torch.amin, torch.minimum, lowest)
    work.sub_(mean.unsqueeze(dim))
    work.mul_(work)
    torch.sum(work, dim, out=squares)


def extreme(
    values: Tensor, dim: int, reduce: Callable[..., Tensor], pairwise: Callable[..., Tensor], out: Tensor
) -> Tensor:
    """Maximum or minimum of sheets along a dimension, into `out`.

    Torch reduces short rows one number at a time. There, folding a dimension upon itself until one is left is
    several times faster; the halves of an odd size overlap, which no maximum minds.
    """
    if values.shape[-1] >= SHORT_ROW:
        return reduce(values, dim, out=out)
    while (size := values.shape[dim]) > 2:
        half = (size + 1) // 2
        values = pairwise(values.narrow(dim, 0, half), values.narrow(dim, size - half, half))
    return pairwise(values.select(dim, 0), values.select(dim, -1), out=out)


def grow(e: Tensor, left: Tensor, right: Tensor, loop: bool, work: Tensor) -> None:
    """Multiply sheets `(B, D, S)` by `1 + A3_j A4_i + A4_j A3_i`, in place.

    The growth is a product of two thin matrices, which a matrix multiplication does in one pass.
    """
    if loop:
        e.addcmul_(e, left)
    else:
        torch.bmm(left, right, out=work)
        e.addcmul_(e, work)
