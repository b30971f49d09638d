"""Products of a sparse matrix with dense rows, whose backward pass is another such product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["SparseRows", "sparse_product"]

_CHUNK = 1 << 20
"""Numbers in a chunk where the gradient of the values is computed: what fits a cache."""


@final
@dataclass(frozen=True, eq=False)
class SparseRows:
    """Where the entries of a sparse matrix `(R, C)` stand, row by row.

    Attributes:
        ptr: where each row begins in `col`, `(R + 1,)`.
        col: the column of each entry, `(M,)`.
        columns: C.
        symmetric: whether the places of the entries are those of the transposed matrix.

    >>> rows = SparseRows(torch.tensor([0, 1, 3]), torch.tensor([2, 0, 1]), 3)
    >>> sparse_product(rows, torch.tensor([[1.0], [10.0], [100.0]]))
    tensor([[100.],
            [ 11.]])
    """

    ptr: Tensor
    col: Tensor
    columns: int
    symmetric: bool = False

    @cached_property
    def row(self) -> Tensor:
        """The row of each entry, `(M,)`."""
        rows = torch.arange(len(self.ptr) - 1, device=self.ptr.device)
        return torch.repeat_interleave(rows, self.ptr.diff(), output_size=len(self.col))

    @cached_property
    def order(self) -> Tensor:
        """The entries column by column, `(M,)`."""
        return self.col.argsort(stable=True)

    @cached_property
    def transposed(self) -> SparseRows:
        """The transposed places; entry *k* there is entry `order[k]` here."""
        ptr = self.ptr.new_zeros(self.columns + 1)
        ptr[1:] = torch.bincount(self.col, minlength=self.columns).cumsum(0)
        return SparseRows(ptr, self.row[self.order], len(self.ptr) - 1)


def sparse_product(rows: SparseRows, x: Tensor, value: Tensor | None = None) -> Tensor:
    """The product of a sparse matrix with `x`, row by row.

        out_r = sum over the entries k of row r of value_k x_{col(k)}

    Neither pass holds a message per entry. Gradients flow to `x` and to `value`, once.

    Args:
        rows: where the entries stand, R rows of C columns.
        x: `(C, F)`.
        value: of each entry, `(M,)`; None for 1.

    Returns:
        `(R, F)`.
    """
    return _SparseProduct.apply(x, value, rows)  # type: ignore[no-untyped-call]


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor | None, rows: SparseRows) -> Tensor:
        ctx.rows = rows
        ctx.save_for_backward(*([] if value is None else [value]), *([x] if ctx.needs_input_grad[1] else []))
        ctx.weighted = value is not None
        return _product(rows, x, value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows: SparseRows = ctx.rows
        value: Tensor | None = ctx.saved_tensors[0] if ctx.weighted else None
        grad_x = grad_value = None
        if ctx.needs_input_grad[0]:
            if value is None and rows.symmetric:
                grad_x = _product(rows, grad, None)
            else:
                grad_x = _product(rows.transposed, grad, None if value is None else value[rows.order])
        if ctx.needs_input_grad[1]:
            x: Tensor = ctx.saved_tensors[1]
            size = max(_CHUNK // max(grad.size(1), 1), 1)
            parts = zip(rows.row.split(size), rows.col.split(size), strict=True)
            dots = [torch.linalg.vecdot(grad[row], x[col]) for row, col in parts]
            grad_value = torch.cat([grad.new_empty(0), *dots])
        return grad_x, grad_value, None


def _product(rows: SparseRows, x: Tensor, value: Tensor | None) -> Tensor:
    if not len(rows.col) or not x.size(1):
        return x.new_zeros(len(rows.ptr) - 1, x.size(1))
    return F.embedding_bag(
        rows.col, x.contiguous(), rows.ptr, mode="sum", include_last_offset=True, per_sample_weights=value
    )
