"""Products with a weight and its squares: equal to plain expressions, in pieces, forward and backward."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from netgraph.nn.factorised import low_rank_change, products, weight_products, weight_squares

SHAPES = [(1, 1, 1), (5, 3, 1), (150, 4, 2), (3, 70, 9)]
"""The third has several pieces of rows; pieces are made small below."""


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "PIECE", 64)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def layouts(shape: tuple[int, int, int]) -> list[Tensor]:
    """The same numbers in memory as they are, and with rows or taps standing elsewhere."""
    plain = torch.randn(shape, dtype=torch.float64)
    return [
        plain,
        plain.transpose(0, 1).contiguous().transpose(0, 1),
        plain.movedim(2, 0).contiguous().movedim(0, 2),
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_products_equal_the_plain_sums(shape: tuple[int, int, int]) -> None:
    rows, cols, taps = shape
    y, z, p, q = draw(cols, taps, 4), draw(rows, 4), draw(cols, 2), draw(rows, 2)
    for weight in layouts(shape):
        weight = weight.requires_grad_()
        found = weight_products(weight, y, z, p, q)
        squares = weight.square().sum(2)
        expected = (
            torch.einsum("rct,ctf->rf", weight, y),
            torch.einsum("rct,rf->ctf", weight, z),
            squares @ p,
            squares.T @ q,
        )
        loss = [torch.randn_like(e) for e in expected]
        gradients = [
            torch.autograd.grad(
                sum((o * w).sum() for o, w in zip(out, loss, strict=True)), (weight, y, z, p, q)
            )
            for out in (found, expected)
        ]
        for one, other in zip((*found, *gradients[0]), (*expected, *gradients[1]), strict=True):
            assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)


def test_gradients_by_finite_differences() -> None:
    weight = draw(4, 3, 2)
    assert gradcheck(weight_products, (weight, draw(3, 2, 2), draw(4, 2), draw(3, 1), draw(4, 1)))
    assert gradcheck(lambda w: weight_squares(w, torch.zeros((), dtype=torch.float64)), (weight,))
    change = (weight, draw(4, 2), draw(3, 2), draw(4, 2), draw(3, 2, 2))
    assert gradcheck(lambda *given: low_rank_change(*given, 0.7), change)


@pytest.mark.parametrize("shape", SHAPES)
def test_squares_and_changes_equal_the_plain_expressions(shape: tuple[int, int, int]) -> None:
    rows, cols, taps = shape
    a, b, c, d = draw(rows, 3), draw(cols, 3), draw(rows, 3), draw(cols, taps, 3)
    for weight in layouts(shape):
        found = weight_squares(weight, a)
        assert torch.allclose(found.rows, weight.square().sum((1, 2)))
        assert torch.allclose(found.cols, weight.square().sum((0, 2)))
        changed = low_rank_change(weight, a, b, c, d, 0.3)
        shift = torch.einsum("rk,ctk->rct", c, d)
        assert torch.allclose(changed, weight + 0.3 * (weight * (a @ b.T).unsqueeze(2) + shift))
        assert changed.stride() == weight.stride()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_summed_in_the_precision_of_the_states(dtype: torch.dtype) -> None:
    weight = torch.randn(100, 40, 1).to(dtype)
    y, z, one = torch.randn(40, 1, 4), torch.randn(100, 4), torch.ones(40, 1)
    found = weight_products(weight, y, z, one, torch.ones(100, 1))
    assert torch.allclose(found.onto_rows, weight[..., 0].float() @ y[:, 0], atol=1e-5)
    assert torch.allclose(found.onto_cols[:, 0], weight[..., 0].float().T @ z, atol=1e-4)
    assert low_rank_change(weight, z, one.expand(40, 4), z, y, 0.1).dtype == dtype


def test_nothing_of_the_weights_size_is_kept_for_the_gradient() -> None:
    """Saved beside the weight itself are the states alone."""
    weight, kept = torch.randn(300, 200, 9), []
    states = (draw(200, 9, 4).float(), draw(300, 4).float(), draw(200, 2).float(), draw(300, 2).float())

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        weight_products(weight, *states)
    assert sum(t.numel() for t in kept if t.data_ptr() != weight.data_ptr()) < weight.numel() / 10
