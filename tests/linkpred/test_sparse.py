"""Sparse products against dense ones, with the gradients that autograd finds there."""

import pytest
import torch

from netgraph.linkpred.sparse import SparseRows, sparse_product


def random_rows(seed: int, shape: tuple[int, int] = (7, 5), share: float = 0.4) -> SparseRows:
    there = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share
    ptr = torch.cat((torch.zeros(1, dtype=torch.long), there.sum(1).cumsum(0)))
    return SparseRows(ptr, there.nonzero()[:, 1], shape[1])


def as_dense(rows: SparseRows, value: torch.Tensor) -> torch.Tensor:
    zero = torch.zeros(len(rows.ptr) - 1, rows.columns, dtype=value.dtype)
    return zero.index_put((rows.row, rows.col), value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("weighted", [True, False])
def test_product_and_gradients(share: float, weighted: bool) -> None:
    rows = random_rows(3, share=share)
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    value = torch.randn(len(rows.col), dtype=torch.float64, requires_grad=True) if weighted else None
    filled = torch.ones(len(rows.col), dtype=torch.float64) if value is None else value
    mine, dense = sparse_product(rows, x, value), as_dense(rows, filled) @ x
    torch.testing.assert_close(mine, dense, rtol=0, atol=1e-12)
    into = [x] if value is None else [x, value]
    weight = torch.randn(7, 4, dtype=torch.float64)
    for a, b in zip(
        torch.autograd.grad(mine, into, weight), torch.autograd.grad(dense, into, weight), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_gradient_of_symmetric_rows_needs_no_transposition() -> None:
    half = torch.rand(6, 6) < 0.4
    there = half | half.T
    ptr = torch.cat((torch.zeros(1, dtype=torch.long), there.sum(1).cumsum(0)))
    rows = SparseRows(ptr, there.nonzero()[:, 1], 6, symmetric=True)
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 3, dtype=torch.float64)
    (grad,) = torch.autograd.grad(sparse_product(rows, x), x, weight)
    torch.testing.assert_close(grad, there.double() @ weight, rtol=0, atol=1e-12)
    assert "transposed" not in rows.__dict__


def test_transposed_twice_is_the_same() -> None:
    rows = random_rows(5)
    again = rows.transposed.transposed
    assert torch.equal(again.ptr, rows.ptr) and torch.equal(again.col, rows.col)
    value = torch.randn(len(rows.col))
    assert torch.equal(as_dense(rows.transposed, value[rows.order]), as_dense(rows, value).T)


def test_no_rows_and_no_features() -> None:
    none = SparseRows(torch.zeros(1, dtype=torch.long), torch.empty(0, dtype=torch.long), 3)
    assert sparse_product(none, torch.ones(3, 2)).shape == (0, 2)
    assert sparse_product(random_rows(0), torch.ones(5, 0)).shape == (7, 0)
