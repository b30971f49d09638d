"""Products are named: heads, groups of convolutions and norms."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netgraph import to_graph
from netgraph.graph import constraints


class Attention(nn.Module):
    """Grouped queries: `heads` of them for `keys` key-value heads of 4 channels each."""

    def __init__(self, heads: int, keys: int) -> None:
        super().__init__()
        self.heads, self.keys = heads, keys
        self.stem = nn.Linear(3, 16)
        self.q, self.k, self.v = nn.Linear(16, 4 * heads), nn.Linear(16, 4 * keys), nn.Linear(16, 4 * keys)
        self.out = nn.Linear(4 * heads, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        q, k, v = (f(x).unflatten(-1, (-1, 4)).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, enable_gqa=self.heads != self.keys)
        return self.out(y.transpose(1, 2).flatten(-2))


def found(module: nn.Module, x: Tensor, product: str = "outer") -> dict[str, str]:
    return constraints(to_graph(module, x, product=product).structure)  # type: ignore[arg-type]


def test_heads() -> None:
    assert found(Attention(4, 4), torch.randn(2, 5, 3)) == {
        "q": "attention heads: a node is 4 channels of q.weight"
    }


def test_grouped_queries() -> None:
    assert found(Attention(6, 2), torch.randn(2, 5, 3)) == {
        "q": "key-value heads with all their queries: a node is 12 channels of q.weight"
    }


def test_dimensions_across_heads() -> None:
    names = found(Attention(4, 4), torch.randn(2, 5, 3), "inner")
    assert names["q"] == "attention heads: a node is 4 channels of q.weight"


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2d(8, 8, 3, groups=4), "convolution groups: a node is 2 channels of 0.weight"),
        (nn.GroupNorm(2, 8), "norm groups: a node is 4 channels of 0.weight"),
    ],
    ids=["convolution", "norm"],
)
def test_groups(layer: nn.Module, text: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 1), layer, nn.Conv2d(8, 2, 1))
    assert found(net, torch.randn(1, 3, 5, 5))["0"] == text


def test_plain_channels_are_not_named() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1))
    assert found(net, torch.randn(1, 3, 5, 5)) == {}
