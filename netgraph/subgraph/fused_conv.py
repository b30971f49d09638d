"""The training step of a layer in one piece: little memory, and each state in it touched few times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from netgraph.subgraph.aggregate import AGGREGATIONS, adjoint
from netgraph.subgraph.kernels import can_run, kernel_conv
from netgraph.subgraph.pairs import Pairs

__all__ = ["fused_conv"]


def fused_conv(
    h: Tensor,
    pairs: Pairs,
    names: Sequence[str],
    first: Sequence[Tensor],
    second: Sequence[Tensor],
    scales: Sequence[Tensor],
    norms: Sequence[nn.BatchNorm1d],
) -> Tensor:
    """`SubgraphConv` while training with a batch norm and without features of edges; the same numbers.

    Only `W_a h` per aggregation and the sum over all are kept for the backward pass. Everything else is
    computed again there, in buffers that all layers share. On a CPU with a compiler, most aggregations have
    kernels (`netgraph.subgraph.kernels`).

    Args:
        h: `(P, F)`.
        pairs: of the batch.
        names: of the aggregations.
        first, second: the weights `W_a` and `V_a` `(F', F)`, `(F', F')`.
        scales: `1 + eps_a`, scalars.
        norms: that of each MLP, and the one after the sum; their running statistics move on.
    """
    for norm in norms:
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
    if can_run(names, pairs, h):
        return kernel_conv(h, pairs, names, first, second, scales, norms)
    flat = [*first, *second, *scales, *(norm.weight for norm in norms), *(norm.bias for norm in norms)]
    return _FusedConv.apply(h, pairs, tuple(names), tuple(norms), *flat)  # type: ignore[no-untyped-call]


class _FusedConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        h: Tensor,
        pairs: Pairs,
        names: tuple[str, ...],
        norms: tuple[nn.BatchNorm1d, ...],
        *flat: Tensor,
    ) -> Tensor:
        k = len(names)
        first, second, scales = flat[:k], flat[k : 2 * k], flat[2 * k : 3 * k]
        total = h.new_empty(len(h), first[0].shape[0])
        states, moments = [], []
        r = pairs.buffer(0, total)
        for a, name in enumerate(names):
            y = h @ first[a].T  # (P, F')
            z = _mixed(name, y, scales[a], pairs)
            moments.append(_normalised(z, norms[a], out=r))
            _add_product(total, r.relu_(), second[a].T, fresh=a == 0)
            states.append(y)
        out = torch.empty_like(total)
        moments.append(_normalised(total, norms[k], out=out))
        out.relu_()
        ctx.pairs, ctx.names = pairs, names
        ctx.save_for_backward(h, out, total, *states, *flat, *(m for pair in moments for m in pair))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        pairs, names = ctx.pairs, ctx.names
        k = len(names)
        h, out, total, *saved = ctx.saved_tensors
        states, flat, moments = saved[:k], saved[k : 6 * k + 2], saved[6 * k + 2 :]
        first, second, scales = flat[:k], flat[k : 2 * k], flat[2 * k : 3 * k]
        weight, bias = flat[3 * k : 4 * k + 1], flat[4 * k + 1 :]
        grads: list[Tensor | None] = [None] * len(flat)
        # Buffer 0 holds r and then spare products, 1 holds z, 2 and 3 hold gradients.
        outer = _threshold(grad, out, pairs.buffer(3, total))
        outer, grads[4 * k], grads[5 * k + 1] = _norm_backward(
            outer, total, weight[k], moments[2 * k], moments[2 * k + 1], pairs.buffer(0, total)
        )
        grad_h = torch.empty_like(h)
        for a, name in enumerate(names):
            y, mean, scale = states[a], moments[2 * a], moments[2 * a + 1]
            z = _mixed(name, y, scales[a], pairs)
            gain = weight[a] * scale
            r = torch.addcmul(bias[a] - mean * gain, z, gain, out=pairs.buffer(0, y)).relu_()
            grads[k + a] = outer.T @ r
            inner = torch.mm(outer, second[a], out=pairs.buffer(2, y))
            inner = _threshold(inner, r, inner)
            inner, grads[3 * k + a], grads[4 * k + 1 + a] = _norm_backward(
                inner, z, weight[a], mean, scale, r
            )
            if name == "point_uv":
                before = inner
            else:
                grads[2 * k + a] = torch.dot(inner.view(-1), y.view(-1))
                before = adjoint(name, inner, pairs, out=pairs.buffer(1, y)).addcmul_(inner, scales[a])
            grads[a] = before.T @ h
            _add_product(grad_h, before, first[a], fresh=a == 0)
        return grad_h, None, None, None, *grads


def _mixed(name: str, y: Tensor, scale: Tensor, pairs: Pairs) -> Tensor:
    """a(y) + (1 + eps) y, in buffer 1 where that is of use."""
    if name == "point_uv":
        return y
    return AGGREGATIONS[name](y, pairs, out=pairs.buffer(1, y)).addcmul_(y, scale)


def _normalised(z: Tensor, norm: nn.BatchNorm1d, out: Tensor) -> tuple[Tensor, Tensor]:
    """Write the normalised state; the mean and the inverse deviation of each feature."""
    momentum, seen = norm.momentum, norm.num_batches_tracked
    if momentum is None:  # the plain average over all batches
        momentum = 0.0 if seen is None else 1 / int(seen)
    mean, scale = torch.empty_like(norm.weight), torch.empty_like(norm.weight)
    torch.native_batch_norm(
        z, norm.weight, norm.bias, norm.running_mean, norm.running_var, True, momentum, norm.eps,
        out=(out, mean, scale),
    )  # fmt: skip
    return mean, scale


def _add_product(total: Tensor, left: Tensor, right: Tensor, *, fresh: bool) -> None:
    if fresh:
        torch.mm(left, right, out=total)
    else:
        total.addmm_(left, right)


def _threshold(grad: Tensor, out: Tensor, into: Tensor) -> Tensor:
    """The gradient before a ReLU with this output."""
    return torch.ops.aten.threshold_backward.grad_input(grad, out, 0, grad_input=into)


def _norm_backward(
    grad: Tensor, z: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, spare: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient before a batch norm of z, written over `grad`, and those of its weight and bias."""
    count = len(z)
    grad_bias = grad.sum(0)
    grad_weight = (torch.mul(grad, z, out=spare).sum(0) - mean * grad_bias) * scale
    slope = -weight * scale * scale * grad_weight / count
    shift = -weight * scale * grad_bias / count - slope * mean
    grad.mul_(weight * scale).addcmul_(z, slope).add_(shift)
    return grad, grad_weight, grad_bias
