"""Weights to windows and back: exact, each scalar once, kernels in the centre."""

from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netgraph.errors import GraphError, NetgraphError, UsageError
from netgraph.graph import TensorSpec
from netgraph.nn import from_windows, to_windows, windows_of
from tests.nn import oracle


def weight(shape: tuple[int, ...], out: int = 0, into: int = 1, extra: tuple[int, ...] = ()) -> TensorSpec:
    axes = tuple(d if d in (out, into, *extra) else None for d in range(len(shape)))
    return TensorSpec("w", shape, "float32", "parameter", axes, out, into)


def numbered(spec: TensorSpec) -> torch.Tensor:
    return torch.arange(1.0, prod(spec.shape) + 1).view(spec.shape)


@st.composite
def specs(draw: st.DrawFn) -> TensorSpec:
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=2, max_size=5)))
    out = draw(st.integers(0, len(shape) - 1))
    into = draw(st.integers(0, len(shape) - 1))
    extra = draw(st.lists(st.integers(0, len(shape) - 1), max_size=1))
    return weight(shape, out, into, tuple(extra))


@given(specs(), st.sampled_from([1, 9, 25]))
def test_there_and_back_is_exact_and_holds_each_scalar_once(spec: TensorSpec, taps: int) -> None:
    windows, values = windows_of(spec, taps), numbered(spec)
    edges = to_windows(values, windows)
    assert edges.shape == (*windows.edges, len(windows.columns))
    assert sorted(edges[edges != 0].tolist()) == values.flatten().tolist()
    assert torch.equal(from_windows(edges, windows), values)


@given(specs())
def test_what_lands_on_padding_is_dropped(spec: TensorSpec) -> None:
    windows, values = windows_of(spec, 9), numbered(spec)
    edges = to_windows(values, windows)
    assert torch.equal(from_windows(torch.where(edges == 0, torch.nan, edges), windows), values)


@given(specs())
def test_windows_are_those_of_the_slow_way(spec: TensorSpec) -> None:
    """Same edges between the same positions, in any order of parallel ones, padded to the whole window."""
    windows = windows_of(spec, 9)
    table = torch.zeros(*windows.edges, 9)
    table[..., list(windows.columns)] = to_windows(numbered(spec), windows)
    found = table.view(windows.shape[0], windows.shape[1], windows.parallel, 9)
    moved = np.asarray(numbered(spec)).transpose(windows.order).reshape(windows.shape).astype(np.int64) - 1
    expected = np.stack(
        [
            w
            for index in np.ndindex(*windows.shape[2:-2])
            for w in oracle.windows(moved[(slice(None),) * 2 + index], 3)
        ],
        axis=2,
    )
    assert np.array_equal(np.asarray(found.long()) - 1, expected.reshape(found.shape))


@pytest.mark.parametrize(
    ("shape", "columns", "parallel"),
    [
        ((4, 3), (4,), 1),
        ((4, 3, 1, 1), (4,), 1),
        ((4, 3, 3, 3), tuple(range(9)), 1),
        ((4, 3, 3), (3, 4, 5), 1),
        ((4, 3, 3, 1), (1, 4, 7), 1),
        ((4, 3, 2, 2), (0, 1, 3, 4), 1),
        ((4, 3, 7, 7), tuple(range(9)), 9),
        ((4, 3, 5, 5), tuple(range(9)), 4),
        ((4, 3, 5), (3, 4, 5), 2),
        ((4, 3, 2, 3, 3), tuple(range(9)), 2),
        ((4, 3, 16, 16), tuple(range(9)), 36),
    ],
)
def test_place_of_a_kernel(shape: tuple[int, ...], columns: tuple[int, ...], parallel: int) -> None:
    windows = windows_of(weight(shape), 9)
    assert windows.columns == columns
    assert windows.parallel == parallel


def test_loop_and_inner_channels() -> None:
    windows = windows_of(weight((6, 2, 3, 3), 0, 0), 9)
    assert windows.loop and windows.edges == (6, 2)


def test_further_node_dimensions_are_parallel_edges() -> None:
    assert windows_of(weight((2, 3, 4, 5), extra=(3,)), 9).parallel == 5 * 2  # and four taps take two tiles


def test_gradients_flow_both_ways() -> None:
    windows = windows_of(weight((3, 2, 5, 4)), 9)
    values = torch.randn(3, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: from_windows(to_windows(v, windows).square(), windows), values)


@pytest.mark.parametrize("taps", [-9, 0, 2, 4, 8, 16])
def test_windows_must_have_a_centre(taps: int) -> None:
    with pytest.raises(UsageError, match=r"windows: expected taps .* got -?\d+; use"):
        windows_of(weight((2, 2)), taps)


def test_a_vector_has_no_windows() -> None:
    with pytest.raises(GraphError, match="'b' carries no edges") as caught:
        windows_of(TensorSpec("b", (3,), "float32", "parameter", (0,), 0), 9)
    assert isinstance(caught.value, NetgraphError)
