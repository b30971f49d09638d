"""Dropout against its definition: shares, scale, gradients, repeatable draws."""

import pytest
import torch

from netgraph.linkpred.dropout import dropout


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("p", [1e-6, 0.05, 0.5, 0.999])
def test_share_scale_and_gradient(p: float, relu: bool) -> None:
    x = torch.randn(401, 503, dtype=torch.float64, requires_grad=True)
    y = dropout(x, p, relu=relu)
    dropped = max(round(p * 65536), 1) / 65536
    plain = x.relu() if relu else x
    kept = y != 0
    share = kept.double().mean() / (plain != 0).double().mean()
    assert float(share) == pytest.approx(1 - dropped, abs=0.004)
    torch.testing.assert_close(y, plain * kept / (1 - dropped))
    weight = torch.randn_like(x)
    (grad,) = torch.autograd.grad(y, x, weight)
    torch.testing.assert_close(grad, weight * kept / (1 - dropped))


def test_draws_are_even_in_every_place_and_follow_the_seed() -> None:
    torch.manual_seed(3)
    kept = torch.stack([dropout(torch.ones(2, 9), 0.25) != 0 for _ in range(4000)]).double()
    torch.testing.assert_close(kept.mean(0), torch.full((2, 9), 0.75).double(), rtol=0, atol=0.03)
    apart = torch.corrcoef(kept.flatten(1).T) - torch.eye(18)
    assert apart.abs().max() < 0.08
    torch.manual_seed(3)
    first = dropout(torch.ones(2, 9), 0.25)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(torch.ones(2, 9), 0.25))


def test_nothing_to_do() -> None:
    x = torch.randn(4, 4)
    assert dropout(x, 0.0) is x and dropout(x, 0.5, training=False) is x
    assert torch.equal(dropout(x, 0.0, relu=True), x.relu())
    assert dropout(torch.ones(0, 3), 0.5).shape == (0, 3)
    assert dropout(torch.ones(2, 3, dtype=torch.bfloat16), 0.5).dtype == torch.bfloat16
