"""Kernels of any size: coefficients follow from where a tap lies, and from nothing else."""

import pytest
import torch

from netgraph.nn.factorised import Kernel, TapEncoder, tap_positions


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 1, 3), (1, 5, 3), (1, 7, 1), (2, 3, 4)])
def test_positions_are_told_apart_and_symmetric(size: tuple[int, int, int]) -> None:
    found = tap_positions(Kernel(1, size))
    assert len(found) == size[0] * size[1] * size[2]
    assert len(found.unique(dim=0)) == len(found)
    assert torch.allclose(found[:, :6].flip(0), -found[:, :6])


def test_row_by_row() -> None:
    index = tap_positions(Kernel(1, (1, 2, 3)))[:, 1:3]
    assert torch.allclose(index[:, 0], torch.tensor([-0.5] * 3 + [0.5] * 3, dtype=torch.float64))
    assert torch.allclose(index[:, 1], torch.tensor([-2 / 3, 0, 2 / 3] * 2, dtype=torch.float64))


def test_parallel_kernels_have_the_same_coefficients() -> None:
    encoder = TapEncoder(3)
    one, several = encoder(Kernel(1, (1, 3, 3))), encoder(Kernel(4, (1, 3, 3)))
    assert torch.allclose(several.view(4, 9, 3), one.expand(4, 9, 3))


def test_neighbours_at_one_distance_stay_near_in_kernels_of_all_sizes() -> None:
    """The distance in taps is read, not only the share of the kernel's width."""
    small, large = tap_positions(Kernel(1, (1, 1, 3))), tap_positions(Kernel(1, (1, 1, 7)))
    assert torch.equal(small[:, 5], large[2:5, 5])
