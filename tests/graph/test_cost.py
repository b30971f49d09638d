"""Costs against counts by hand, and of a mask against those of the network that it leaves."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from netgraph.convert import to_graph
from netgraph.graph import CostModel, NodeMask, macs, params, select
from tests.graph.networks import NETWORKS, graph, network
from tests.graph.test_masks import random_mask


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 6, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (m(x).unflatten(-1, (2, 3)).transpose(1, 2) for m in (self.q, self.k, self.v))
        return scaled_dot_product_attention(q, k, v)


class Products(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(6, 5)), nn.Parameter(torch.randn(5, 7))
        self.bias = nn.Parameter(torch.randn(7))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x @ self.a, self.b)


class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("btc,dc->btd", x, self.w)


def conv(out: int, given: int, **options: int) -> nn.Module:
    return nn.Conv2d(given, out, 3, **options)


COUNTS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int]] = {
    # module, input, multiply-accumulates of one sample, parameters
    "linear": (lambda: nn.Linear(3, 5), (2, 3), 3 * 5, 20),
    "linear over tokens": (lambda: nn.Linear(3, 5, bias=False), (2, 7, 3), 7 * 3 * 5, 15),
    "conv": (lambda: conv(4, 3), (2, 3, 8, 8), 6 * 6 * 4 * 3 * 9, 112),
    "strided conv": (lambda: conv(4, 3, stride=2, padding=1), (2, 3, 8, 8), 4 * 4 * 4 * 3 * 9, 112),
    "dilated conv": (lambda: conv(4, 3, dilation=2), (2, 3, 8, 8), 4 * 4 * 4 * 3 * 9, 112),
    "grouped conv": (lambda: conv(4, 6, groups=2), (2, 6, 8, 8), 6 * 6 * 4 * 3 * 9, 112),
    "depthwise conv": (lambda: conv(6, 6, groups=6), (2, 6, 8, 8), 6 * 6 * 6 * 9, 60),
    "conv of a line": (lambda: nn.Conv1d(2, 3, 4), (2, 2, 9), 6 * 3 * 2 * 4, 27),
    "conv of a volume": (lambda: nn.Conv3d(2, 3, 2), (2, 2, 4, 4, 4), 27 * 3 * 2 * 8, 51),
    "transposed conv": (lambda: nn.ConvTranspose2d(3, 5, 2, stride=2), (2, 3, 4, 4), 16 * 3 * 5 * 4, 65),
    "grouped transposed conv": (
        lambda: nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False),
        (2, 4, 4, 4),
        16 * 4 * 3 * 4,
        48,
    ),
    "attention": (Attention, (2, 5, 8), 3 * 5 * 8 * 6 + 2 * 5 * 5 * (3 + 3), 144),
    "products": (Products, (2, 6), 6 * 5 + 5 * 7, 72),
    "einsum": (Einsum, (2, 5, 3), 5 * 3 * 4, 12),
    "norm": (lambda: nn.BatchNorm2d(3), (2, 3, 4, 4), 0, 6),
}


@pytest.mark.parametrize(("make", "shape", "expected", "weights"), COUNTS.values(), ids=COUNTS)
def test_against_counts_by_hand(
    make: Callable[[], nn.Module], shape: tuple[int, ...], expected: int, weights: int
) -> None:
    converted = to_graph(make().eval(), torch.randn(shape))
    assert macs(converted) == expected
    assert params(converted) == weights == converted.num_parameters


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", range(3))
def test_a_mask_costs_what_its_network_costs(name: str, seed: int) -> None:
    converted = graph(name)
    mask = random_mask(converted, seed)
    small = select(converted, mask)
    model = CostModel(converted.structure)
    assert model.macs(mask) == macs(small) == macs(converted, mask)
    assert model.params(mask) == params(small) == small.num_parameters
    assert model.macs(mask) < model.macs()


def test_tied_weights_count_once() -> None:
    module, _, converted = network("language")
    assert params(converted) == sum(p.numel() for p in module.parameters())


def test_costs_are_of_one_sample() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3 * 36, 4))
    for batch in (1, 2, 5):
        assert macs(to_graph(module, torch.randn(batch, 2, 8, 8))) == 36 * 3 * 2 * 9 + 108 * 4


def test_a_full_mask_costs_everything() -> None:
    converted = graph("mlp")
    keep = NodeMask({"0": torch.ones(5, dtype=torch.bool)})
    assert macs(converted, keep) == macs(converted) == 3 * 5 + 5 * 4 + 4 * 2
