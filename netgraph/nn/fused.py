"""The work on the edges as single expressions, which `torch.compile` turns into a few loops.

The two functions compute what `edge_pass` and `edge_gradient` do step by step. Nothing is compiled before the
first call, and without a C++ compiler nothing ever is. On a CPU in single precision `netgraph.nn.kernels` is
faster and takes their place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from netgraph.nn.kernels.build import find_compiler

__all__ = ["can_fuse", "fused_gradient", "fused_pass"]


def can_fuse() -> bool:
    """Whether there is a C++ compiler for `torch.compile`: one that builds the kernels, or that of Windows.

    >>> isinstance(can_fuse(), bool)
    True
    """
    return find_compiler() is not None or shutil.which("cl") is not None


def fused_pass(
    e: Tensor, target: Tensor, source: Tensor, left: Tensor, right: Tensor
) -> tuple[Tensor, Tensor]:
    """`edge_pass` on some sheets that are no loops: the statistics of both sides; `e` is changed."""
    into, onto = _compiled(_pass)(e, target, source, left, right)
    return into, onto


def fused_gradient(
    e: Tensor,
    grad: Tensor,
    target: Tensor,
    source: Tensor,
    left: Tensor,
    right: Tensor,
    means: tuple[Tensor, Tensor],
    grad_stats: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """`edge_gradient` on some sheets that are no loops: the gradients of both sides; `grad` is changed."""
    onto_target, onto_source = _compiled(_gradient)(e, grad, target, source, left, right, *means, *grad_stats)
    return onto_target, onto_source


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=True)


def _pass(e: Tensor, target: Tensor, source: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    found = []
    for factor, dim in ((source.unsqueeze(-2), -1), (target.unsqueeze(-1), -2)):
        u = e * factor
        mean = u.mean(dim, keepdim=True)
        squares = (u - mean).square().sum(dim)
        found.append(torch.stack([mean.squeeze(dim), squares, u.amax(dim), u.amin(dim)]))
    e.addcmul_(e, _growth(left, right))
    return found[0], found[1]


def _growth(left: Tensor, right: Tensor) -> Tensor:
    return left[..., :1] * right[..., :1, :] + left[..., 1:] * right[..., 1:, :]


def _gradient(
    e: Tensor,
    grad: Tensor,
    target: Tensor,
    source: Tensor,
    left: Tensor,
    right: Tensor,
    mean_into: Tensor,
    mean_onto: Tensor,
    grad_into: Tensor,
    grad_onto: Tensor,
) -> tuple[Tensor, Tensor]:
    by_source, by_target = source.unsqueeze(-2), target.unsqueeze(-1)
    into = _message_gradient(e, by_source, -1, mean_into, grad_into)
    onto = _message_gradient(e, by_target, -2, mean_onto, grad_onto)
    scaled = e * grad
    grad_target = [
        (onto * e).sum(-1),
        (scaled * right[..., 1:, :]).sum(-1),
        (scaled * right[..., :1, :]).sum(-1),
    ]
    grad_source = [(into * e).sum(-2), (scaled * left[..., :1]).sum(-2), (scaled * left[..., 1:]).sum(-2)]
    grad.copy_(grad + grad * _growth(left, right) + into * by_source + onto * by_target)
    return torch.stack(grad_target), torch.stack(grad_source)


def _message_gradient(e: Tensor, factor: Tensor, dim: int, mean: Tensor, grad_stats: Tensor) -> Tensor:
    u = e * factor  # one rounding, so that it equals its own maximum wherever it is computed again
    grad_mean, grad_squares, grad_highest, grad_lowest = grad_stats.unsqueeze(dim).unbind(0)
    grad = grad_mean / e.shape[dim] + (u - mean.unsqueeze(dim)) * (2 * grad_squares)
    for extreme, back in (
        (u.amax(dim, keepdim=True), grad_highest),
        (u.amin(dim, keepdim=True), grad_lowest),
    ):
        mark = (u == extreme).to(e.dtype)
        grad = grad + mark * (back / mark.sum(dim, keepdim=True))
    return grad
