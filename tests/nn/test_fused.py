"""The compiled kernels: their formulas without compilation, and where there is a compiler the real thing."""

import logging

import pytest
import torch
from torch import Tensor

from netgraph.nn import Metanetwork, MetanetworkConfig, edge_gradient, edge_pass, fused
from netgraph.nn.fused import can_fuse
from tests.nn.edges import SHAPES, Case
from tests.nn.networks import build
from tests.nn.test_edge_gradient import by_hand

NAMES = [name for name, shape in SHAPES.items() if not shape[3]]


@pytest.mark.parametrize("name", NAMES)
def test_formula_of_the_pass(name: str) -> None:
    case = Case(name)
    state = case.state.clone()
    expected = edge_pass.edge_pass(case.stack, case.state, case.factors, fuse=False)
    found = fused._pass(state, *case.factors)
    for one, other in zip((*found, state), (*expected, case.state), strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_formula_of_the_gradient(name: str) -> None:
    case = Case(name)
    into, onto = edge_pass.edge_pass(case.stack, case.state.clone(), case.factors, fuse=False)
    grad = case.grad_state.clone()
    found = fused._gradient(case.state, grad, *case.factors, into[0], onto[0], case.grad_into, case.grad_onto)
    for one, other in zip((grad, *found), by_hand(case), strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)


def test_a_compiler_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused.shutil, "which", lambda name: None)
    assert not can_fuse()
    with pytest.warns(RuntimeWarning, match=r"Metanetwork: compile=True wants a C\+\+ compiler, found none"):
        assert not Metanetwork(MetanetworkConfig(4, 1), compile=True).fuse
    monkeypatch.setattr(fused.shutil, "which", lambda name: name if name == "my-compiler" else None)
    monkeypatch.setenv("CXX", "my-compiler")
    assert can_fuse()


def test_nothing_is_compiled_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        raise AssertionError("compiled")

    for module, name in ((edge_pass, "fused_pass"), (edge_gradient, "fused_gradient")):
        monkeypatch.setattr(module, name, never)
    outputs = Metanetwork(MetanetworkConfig(4, 1))(build("concat"))
    sum(v.sum() for v in outputs.values()).backward()


@pytest.mark.slow
@pytest.mark.skipif(not can_fuse(), reason="needs a C++ compiler")
@pytest.mark.parametrize("name", ["depthwise"])
def test_compiled_equals_eager(name: str) -> None:
    """In double precision, which the kernels of our own leave to `torch.compile`."""
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    graph = build(name, torch.double)
    eager = Metanetwork(MetanetworkConfig(hidden=6, layers=2, rho=1.0)).double()
    compiled = Metanetwork(eager.config, compile=True).double()
    compiled.load_state_dict(eager.state_dict())
    results: list[list[Tensor]] = []
    for meta in (eager, compiled):
        outputs = meta(graph)
        gradients = torch.autograd.grad(sum(v.square().sum() for v in outputs.values()), meta.parameters())
        results.append([*outputs.values(), *gradients])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)
