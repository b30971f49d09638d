"""The backward pass over a stack against autograd on the formulas."""

import pytest
import torch
from torch import Tensor

from netgraph.nn import edge_pass as forward
from netgraph.nn.edge_gradient import edge_gradient
from netgraph.nn.edge_pass import edge_pass
from tests.nn.edges import SHAPES, Case, formula


def by_autograd(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of the state, and of the factors of both sides (in a loop, all of it on the target)."""
    state, target, source = (t.clone().requires_grad_() for t in (case.state, case.target, case.source))
    into, onto, after = formula(state, target, target if case.loop else source, case.loop)
    total = (into * case.grad_into).sum() + (onto * case.grad_onto).sum() + (after * case.grad_state).sum()
    leaves = (state, target) if case.loop else (state, target, source)
    found = torch.autograd.grad(total, leaves)
    return found[0], found[1], torch.zeros_like(source) if case.loop else found[2]


def by_hand(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    before, grad = case.state.clone(), case.grad_state.clone()
    factors = case.factors
    into, onto = edge_pass(case.stack, case.state.clone(), factors, fuse=False)

    def rebuild(part: slice, out: Tensor, work: Tensor) -> None:
        out.copy_(before[part])

    target, source = edge_gradient(
        case.stack, rebuild, grad, factors, (into[:1], onto[:1]), (case.grad_into, case.grad_onto), fuse=False
    )
    return grad, target, source


@pytest.mark.parametrize("cut", [1, 100, 1 << 20])
@pytest.mark.parametrize("name", SHAPES)
def test_equals_autograd_however_it_is_cut(name: str, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "CACHE_ELEMENTS", cut)
    case = Case(name)
    for found, expected in zip(by_hand(case), by_autograd(case), strict=True):
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", SHAPES)
def test_equal_messages_share_the_gradient_of_an_extreme(name: str) -> None:
    case = Case(name)
    case.state = torch.ones_like(case.state)
    case.target, case.source = torch.ones_like(case.target), torch.ones_like(case.source)
    case.state[..., : (case.stack.sources + 1) // 2] = 2.0
    for found, expected in zip(by_hand(case), by_autograd(case), strict=True):
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10)
