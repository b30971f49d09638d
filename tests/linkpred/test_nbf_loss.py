"""The ranking loss against loops over links."""

import math

import pytest
import torch

from netgraph.errors import UsageError
from netgraph.linkpred.nbf_loss import ranking_loss


def slow(positive: list[float], negative: list[list[float]], temperature: float) -> float:
    def logistic(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    total = 0.0
    for p, row in zip(positive, negative, strict=True):
        weights = [math.exp(n / temperature) if temperature else 1.0 for n in row]
        false = sum(w * math.log(1 - logistic(n)) for w, n in zip(weights, row, strict=True)) / sum(weights)
        total -= math.log(logistic(p)) + false
    return total / (2 * len(positive))


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 3.0])
def test_equals_the_formula(temperature: float) -> None:
    positive, negative = torch.randn(5, dtype=torch.double), torch.randn(5, 7, dtype=torch.double)
    found = ranking_loss(positive, negative, temperature)
    assert float(found) == pytest.approx(slow(positive.tolist(), negative.tolist(), temperature), rel=1e-12)


def test_the_weights_have_no_gradient_and_favour_what_is_hard() -> None:
    negative = torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.double, requires_grad=True)
    for temperature in (0.0, 0.5):
        (found,) = torch.autograd.grad(ranking_loss(torch.zeros(1).double(), negative, temperature), negative)
        weight = torch.full_like(negative, 1 / 3)
        if temperature:
            weight = (negative.detach() / temperature).softmax(1)
        assert torch.allclose(found, weight * negative.detach().sigmoid() / 2)


def test_large_logits_do_not_overflow() -> None:
    loss = ranking_loss(torch.tensor([-1e4]), torch.tensor([[1e4, -1e4]]), 1.0)
    assert float(loss) == pytest.approx(1e4)


@pytest.mark.parametrize(
    ("shapes", "temperature", "words"),
    [
        (((2,), (3, 4)), 0.0, r"shapes \(B,\) and \(B, K\), got \(2,\) and \(3, 4\)"),
        (((2, 1), (2, 4)), 0.0, "shapes"),
        (((2,), (2,)), 0.0, "shapes"),
        (((0,), (0, 4)), 0.0, "shapes"),
        (((2,), (2, 0)), 0.0, "shapes"),
        (((2,), (2, 4)), -1.0, "temperature from 0, got -1.0"),
        (((2,), (2, 4)), math.nan, "temperature"),
    ],
)
def test_refusals(shapes: tuple[tuple[int, ...], tuple[int, ...]], temperature: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ranking_loss(torch.zeros(shapes[0]), torch.zeros(shapes[1]), temperature)
