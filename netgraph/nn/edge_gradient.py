"""One layer's work on the edges, backward: what `edge_pass` did, differentiated by hand."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from netgraph.nn.edge_pass import StackFactors, chunks, extreme, grow
from netgraph.nn.fused import fused_gradient
from netgraph.nn.stack import Stack

__all__ = ["edge_gradient"]

Pair = tuple[Tensor, Tensor]


def edge_gradient(
    stack: Stack,
    rebuild: Callable[[slice, Tensor, Tensor], None],
    grad: Tensor,
    factors: StackFactors,
    means: Pair,
    grad_stats: Pair,
    fuse: bool,
) -> Pair:
    """Turn the gradient of a stack's next edge state into that of its present one, in place.

    With `u = a e` and row mean `mu`, the squared deviations contribute `2 (u - mu)` to `u` (their dependence
    on `mu` cancels), the mean `1 / edges`, a maximum or minimum one over the number of edges that attain it.

    Args:
        stack: which edges.
        rebuild: computes the state of some sheets as `edge_pass` read it, into its second argument; the third
            is scratch memory.
        grad: gradient of the state that `edge_pass` left, `(B, D, S)`; changed.
        factors: of the layer.
        means: of the messages in the target rows `(1, B, D)` and in the source rows `(1, B, S)`.
        grad_stats: gradient of what `edge_pass` returned, `(4, B, D)` and `(4, B, S)`.
        fuse: run the compiled kernel.

    Returns:
        Gradient of `A1, A3, A4` of the targets `(3, B, D)` and of the sources `(3, B, S)`.
    """
    into, onto = grad_stats
    target, source = into.new_zeros(3, *factors.target.shape), into.new_zeros(3, *factors.source.shape)
    if stack.loop:
        into = into + onto  # one reduction served both ways
    buffer = None
    for part in chunks(stack, len(grad) // len(stack.tensors), grad.device, buffers=5):
        g, own = grad[part].to(into), factors.sheets(part)
        if buffer is None:
            buffer = g.new_empty(4, *g.shape)  # the first run is the longest
        e, *work = buffer[:, : len(g)]
        rebuild(part, e, work[0])
        mean, back = (means[0][0, part], means[1][0, part]), (into[:, part], onto[:, part])
        if fuse and not stack.loop:
            target[:, part], source[:, part] = fused_gradient(e, g, *own, mean, back)
        else:
            _sheets(stack.loop, e, g, own, (target[:, part], source[:, part]), mean, back, work)
        if g.dtype != grad.dtype:
            grad[part] = g
    return target, source


def _sheets(
    loop: bool,
    e: Tensor,
    grad: Tensor,
    factors: StackFactors,
    found: Pair,
    means: Pair,
    grad_stats: Pair,
    work: list[Tensor],
) -> None:
    """Some sheets of a stack, step by step."""
    target, source = found
    _growth(loop, e, grad, factors, target, source, work[0])
    by_source = factors.source.unsqueeze(-1 if loop else -2)
    _statistics(e, grad, by_source, -1, means[0], grad_stats[0], work)
    if loop:
        torch.sum(work[0], -1, out=target[0])
        return
    torch.sum(work[0], -2, out=source[0])
    _statistics(e, grad, factors.target.unsqueeze(-1), -2, means[1], grad_stats[1], work)
    torch.sum(work[0], -1, out=target[0])


def _growth(
    loop: bool, e: Tensor, grad: Tensor, factors: StackFactors, target: Tensor, source: Tensor, work: Tensor
) -> None:
    """Through `e' = e (1 + A3_j A4_i + A4_j A3_i)`, onto A3 and A4 in `target` and `source`."""
    left, right = factors.left, factors.right
    torch.mul(e, grad, out=work)
    if loop:
        total = 2 * work.sum(-1)  # the growth of a loop is 2 A3 A4 of its one node
        target[1], target[2] = total * right[:, 1], total * right[:, 0]
    else:
        onto_target = torch.bmm(work, right.mT)  # (B, D, 2): with A3_j, A4_j
        onto_source = torch.bmm(left.mT, work)  # (B, 2, S): with A4_i, A3_i
        target[1], target[2] = onto_target[..., 1], onto_target[..., 0]
        source[1], source[2] = onto_source[:, 0], onto_source[:, 1]
    grow(grad, left, right, loop, work)


def _statistics(
    e: Tensor,
    grad_e: Tensor,
    factor: Tensor,
    dim: int,
    mean: Tensor,
    grad_stats: Tensor,
    work: list[Tensor],
) -> None:
    """Through the four reductions of one direction; leaves `grad_u * e` in `work[0]`."""
    grad_mean, grad_squares, *grad_extremes = grad_stats.unsqueeze(dim)
    grad_u, deviation, mark = work
    torch.mul(e, factor, out=deviation)
    deviation.sub_(mean.unsqueeze(dim))
    torch.addcmul(grad_mean / e.shape[dim], deviation, 2 * grad_squares, out=grad_u)
    # The extremes are taken again: only the same numbers, from the same instructions, compare equal.
    found = torch.empty_like(mean)
    for reduce, pairwise, grad in (
        (torch.amax, torch.maximum, grad_extremes[0]),
        (torch.amin, torch.minimum, grad_extremes[1]),
    ):
        torch.eq(deviation, extreme(deviation, dim, reduce, pairwise, found).unsqueeze(dim), out=mark)
        grad_u.addcmul_(mark, grad / mark.sum(dim, keepdim=True))
    grad_e.addcmul_(grad_u, factor)
    grad_u.mul_(e)
