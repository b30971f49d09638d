"""The forward pass over a stack: the formulas, in any cut, and where naive sums would fail."""

import pytest
import torch

from netgraph.nn import edge_pass as module
from netgraph.nn.edge_pass import chunks, edge_pass, extreme
from netgraph.nn.stack import Stack
from tests.nn.edges import HIDDEN, SHAPES, Case, formula

CUTS = [1, 2, 40, 1 << 20]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", SHAPES)
def test_equals_the_formula_however_it_is_cut(name: str, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_ELEMENTS", cut)
    case = Case(name)
    expected = formula(case.state, case.target, case.source, case.loop)
    found = edge_pass(case.stack, case.state, case.factors, fuse=False)
    for one, other in zip((*found, case.state), expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("limit", [1, 5, 12, 24, 30, 72, 1000])
def test_chunks_cover_every_sheet_once_and_keep_features_whole_or_inside(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHE_ELEMENTS", limit)
    number, targets, sources = 4, 2, 3
    stack = Stack(("a", "b", "c", "d"), (), targets, sources, False, (4,), 0, 8)
    parts = list(chunks(stack, HIDDEN, torch.device("cpu"), buffers=1))
    assert [b for p in parts for b in range(p.start, p.stop)] == list(range(HIDDEN * number))
    for part in parts:
        length = part.stop - part.start
        assert length * targets * sources <= max(limit, targets * sources)
        whole = part.start % number == 0 and length % number == 0
        assert whole or part.start // number == (part.stop - 1) // number
    assert parts[0].stop == max(p.stop - p.start for p in parts)


def test_a_large_mean_does_not_drown_the_deviation() -> None:
    case = Case("long_rows")
    noise = torch.randn(case.state.shape, dtype=torch.float64) * 1e-2
    state = (1000 + noise).float()
    ones = torch.ones_like
    factors = module.StackFactors.of(ones(case.target).float(), ones(case.source).float(), False)
    expected = (state.double() - state.double().mean(-1, keepdim=True)).square().sum(-1)
    into, _ = edge_pass(case.stack, state, factors, fuse=False)
    assert torch.allclose(into[1].double(), expected, rtol=1e-2)
    naive = state.square().sum(-1) - state.sum(-1).square() / 40
    assert not torch.allclose(naive.double(), expected, rtol=1e-2)


@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 31, 32, 33])
def test_extremes_of_short_and_long_rows(size: int, dim: int) -> None:
    values = torch.randn(3, 7, size)
    before, out = values.clone(), torch.empty(values.select(dim, 0).shape)
    assert torch.equal(extreme(values, dim, torch.amax, torch.maximum, out), values.amax(dim))
    assert torch.equal(extreme(values, dim, torch.amin, torch.minimum, out), values.amin(dim))
    assert torch.equal(values, before)


def test_the_edge_state_is_changed_in_place() -> None:
    case = Case("square")
    pointer = case.state.data_ptr()
    before = case.state.clone()
    edge_pass(case.stack, case.state, case.factors, fuse=False)
    assert case.state.data_ptr() == pointer and not torch.equal(case.state, before)
