"""Products of a weight and of its squares with node states, in pieces, nothing kept of the weight's size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Products", "Squares", "low_rank_change", "weight_products", "weight_squares"]

PIECE = 1 << 18
"""Scalars of a weight that are in another precision, or squared, at one time on a processor."""

LEAST_ROWS = 64
"""A product with fewer rows at one time would read the other factor too often."""


class Products(NamedTuple):
    """What `weight_products` gives, each sum with as many features as its factor has.

    Attributes:
        onto_rows: `sum_ct w_rct y_ct`, `(R, F)`.
        onto_cols: `sum_r w_rct z_r`, `(C, T, F)`.
        squares_onto_rows: `sum_c |w_rc|^2 p_c`, `(R, Q)`, where `|w_rc|^2` sums over taps.
        squares_onto_cols: `sum_r |w_rc|^2 q_r`, `(C, Q)`.
    """

    onto_rows: Tensor
    onto_cols: Tensor
    squares_onto_rows: Tensor
    squares_onto_cols: Tensor


class Squares(NamedTuple):
    """Sums of squares of a weight, over rows `(R,)` and over columns `(C,)`."""

    rows: Tensor
    cols: Tensor


def weight_products(weight: Tensor, y: Tensor, z: Tensor, p: Tensor, q: Tensor) -> Products:
    """The four products of a weight with node states, in the precision of the states.

    Gradients of first order flow to all arguments.

    Args:
        weight: `(R, C, T)`, of any floating type.
        y: `(C, T, F)`.
        z: `(R, F)`.
        p: `(C, Q)`.
        q: `(R, Q)`.

    >>> w, z = torch.randn(5, 3, 2), torch.randn(5, 4)
    >>> found = weight_products(w, torch.randn(3, 2, 4), z, torch.randn(3, 1), torch.randn(5, 1))
    >>> torch.allclose(found.onto_cols, torch.einsum("rct,rf->ctf", w, z), atol=1e-5)
    True
    """
    found = _WeightProducts.apply(weight, y, z, p, q)  # type: ignore[no-untyped-call]
    return Products(*found)


def weight_squares(weight: Tensor, like: Tensor) -> Squares:
    """Sums of squares of a weight `(R, C, T)` over its rows and columns, in the precision of `like`.

    >>> weight_squares(torch.ones(2, 3, 4), torch.zeros(()))
    Squares(rows=tensor([12., 12.]), cols=tensor([8., 8., 8.]))
    """
    return Squares(*_WeightSquares.apply(weight, like))  # type: ignore[no-untyped-call]


def low_rank_change(weight: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, rho: float) -> Tensor:
    """`w_rct + rho (w_rct sum_k a_rk b_ck + sum_k c_rk d_ctk)`, in the weight's own type and layout.

    Gradients of first order flow to all tensors.

    Args:
        weight: `(R, C, T)`, of any floating type.
        a: `(R, rank)`.
        b: `(C, rank)`.
        c: `(R, rank)`.
        d: `(C, T, rank)`.
        rho: how far to go.

    >>> w, zero = torch.randn(5, 3, 2), torch.zeros(3, 2, 1)
    >>> double = low_rank_change(w, torch.ones(5, 1), torch.ones(3, 1), torch.ones(5, 1), zero, 1.0)
    >>> torch.equal(double, 2 * w)
    True
    """
    return _LowRankChange.apply(weight, a, b, c, d, rho)  # type: ignore[no-untyped-call]


def _pieces(weight: Tensor) -> Iterator[slice]:
    rows, columns = weight.shape[0], weight[0].numel() if len(weight) else 0
    size = PIECE if weight.device.type == "cpu" else 256 * PIECE
    step = max(LEAST_ROWS, size // max(columns, 1))
    return (slice(i, min(i + step, rows)) for i in range(0, rows, step))


def _piece(weight: Tensor, rows: slice, dtype: torch.dtype) -> Tensor:
    """Some rows as `(r, C * T)`."""
    return weight[rows].to(dtype).reshape(rows.stop - rows.start, -1)


def _squared(piece: Tensor, cols: int) -> Tensor:
    """Squares of some rows, summed over taps: `(r, C)`."""
    squares = piece.square()
    return squares if piece.shape[1] == cols else squares.view(len(piece), cols, -1).sum(-1)


class _WeightProducts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, y: Tensor, z: Tensor, p: Tensor, q: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rows, cols, _ = weight.shape
        ctx.save_for_backward(weight, y, z, p, q)
        flat = y.reshape(-1, y.shape[-1])
        onto_rows, squares_rows = y.new_empty(rows, y.shape[-1]), p.new_empty(rows, p.shape[-1])
        onto_cols, squares_cols = z.new_zeros(z.shape[-1], len(flat)), q.new_zeros(q.shape[-1], cols)
        for r in _pieces(weight):
            piece = _piece(weight, r, y.dtype)
            torch.mm(piece, flat, out=onto_rows[r])
            onto_cols.addmm_(z[r].t(), piece)
            squares = _squared(piece, cols)
            torch.mm(squares, p, out=squares_rows[r])
            squares_cols.addmm_(q[r].t(), squares)
        onto_cols = onto_cols.t().reshape(*y.shape[:2], -1)
        return onto_rows, onto_cols, squares_rows, squares_cols.t().contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, y, z, p, q = ctx.saved_tensors
        _, cols, taps = weight.shape
        to_rows, to_cols, to_squares_rows, to_squares_cols = grads
        flat, to_flat = y.reshape(-1, y.shape[-1]), to_cols.reshape(-1, to_cols.shape[-1])
        grad_y, grad_p = (t.new_zeros(t.shape[::-1]) for t in (flat, p))
        grad_z, grad_q = torch.empty_like(z), torch.empty_like(q)
        grad = torch.empty_like(weight) if ctx.needs_input_grad[0] else None
        for r in _pieces(weight):
            piece = _piece(weight, r, y.dtype)
            squares = _squared(piece, cols)
            grad_y.addmm_(to_rows[r].t(), piece)
            torch.mm(piece, to_flat, out=grad_z[r])
            grad_p.addmm_(to_squares_rows[r].t(), squares)
            torch.mm(squares, to_squares_cols, out=grad_q[r])
            if grad is not None:
                onto_squares = to_squares_rows[r] @ p.t()
                onto_squares.addmm_(q[r], to_squares_cols.t())
                found = piece.view(-1, cols, taps) * (2 * onto_squares).unsqueeze(-1)
                found = found.view_as(piece).addmm_(to_rows[r], flat.t()).addmm_(z[r], to_flat.t())
                grad[r] = found.view(-1, cols, taps)
        return grad, grad_y.t().reshape(y.shape), grad_z, grad_p.t(), grad_q


class _WeightSquares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(weight)
        onto_rows, onto_cols = like.new_empty(len(weight)), like.new_zeros(weight.shape[1])
        for r in _pieces(weight):
            squares = _squared(_piece(weight, r, like.dtype), weight.shape[1])
            torch.sum(squares, 1, out=onto_rows[r])
            onto_cols += squares.sum(0)
        return onto_rows, onto_cols

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_rows: Tensor, to_cols: Tensor) -> tuple[Tensor | None, None]:
        if not ctx.needs_input_grad[0]:
            return None, None
        (weight,) = ctx.saved_tensors
        grad = torch.empty_like(weight)
        for r in _pieces(weight):
            scale = 2 * (to_rows[r].unsqueeze(1) + to_cols)  # (r, C)
            grad[r] = weight[r].to(scale) * scale.unsqueeze(-1)
        return grad, None


class _LowRankChange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, rho: float) -> Tensor:
        ctx.save_for_backward(weight, a, b, c, d)
        ctx.rho = rho
        _, cols, taps = weight.shape
        new = torch.empty_like(weight)
        flat = d.reshape(-1, d.shape[-1])
        for r in _pieces(weight):
            factor = torch.addmm(a.new_ones(()), a[r], b.t(), alpha=rho).unsqueeze(-1)
            shift = (c[r] @ flat.t()).mul_(rho).view(-1, cols, taps)
            if new.dtype == a.dtype:
                torch.addcmul(shift, weight[r], factor, out=new[r])
            else:
                new[r] = shift.addcmul_(weight[r].to(a.dtype), factor)
        return new

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, a, b, c, d = ctx.saved_tensors
        rho, cols = ctx.rho, weight.shape[1]
        flat = d.reshape(-1, d.shape[-1])
        grad_a, grad_b, grad_c, grad_d = (torch.zeros_like(t) for t in (a, b, c, flat))
        grad_weight = torch.empty_like(weight) if ctx.needs_input_grad[0] else None
        for r in _pieces(weight):
            given = _piece(grad, r, a.dtype)
            product = given * _piece(weight, r, a.dtype)
            if product.shape[1] != cols:
                product = product.view(len(product), cols, -1).sum(-1)
            torch.mm(product, b, out=grad_a[r])
            grad_b.addmm_(product.t(), a[r])
            torch.mm(given, flat, out=grad_c[r])
            grad_d.addmm_(given.t(), c[r])
            if grad_weight is not None:
                factor = torch.addmm(a.new_ones(()), a[r], b.t(), alpha=rho)
                grad_weight[r] = given.view(-1, cols, weight.shape[2]) * factor.unsqueeze(-1)
        for found in (grad_a, grad_b, grad_c, grad_d):
            found *= rho
        return grad_weight, grad_a, grad_b, grad_c, grad_d.view_as(d), None
