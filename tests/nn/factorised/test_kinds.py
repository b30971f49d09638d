"""Which operator uses a weight: the first that brings it and an activation together."""

import torch
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.nn.factorised import weight_uses
from tests.nn.networks import build


def kinds(name: str) -> dict[str, str]:
    return {n: use.kind for n, use in weight_uses(build(name).structure).items()}


def test_kinds_of_layers() -> None:
    assert kinds("attention")["attention.in_proj_weight"] == "linear"
    assert kinds("attention")["positions"] == "add"
    assert kinds("words") == {"table.weight": "embedding", "mix.weight": "linear", "mix.bias": "linear"}
    assert kinds("transposed")["2.weight"] == "conv_transpose2d"
    assert kinds("one_and_three_dimensions")["3.weight"] == "conv3d"


class Turned(nn.Module):
    """A weight that is transposed and cut before it is used, and one that no operator reads."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.idle = nn.Parameter(torch.randn(6, 3)), nn.Parameter(torch.randn(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight[:4].t()


def test_a_weight_is_followed_through_moves() -> None:
    uses = weight_uses(to_graph(Turned(), torch.zeros(1, 3)).structure)
    assert {n: u.kind for n, u in uses.items()} == {"weight": "matmul"}


def test_stride_dilation_and_groups() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 4, 3, stride=(1, 2), dilation=3, groups=2),
        nn.ConvTranspose1d(4, 4, 3, stride=2, groups=4, dilation=2),
    )
    for layer, shape in ((net[0], (1, 4, 9, 9)), (net[1], (1, 4, 9))):
        (use, *_) = weight_uses(to_graph(layer, torch.zeros(shape)).structure).values()
        assert (use.stride, use.dilation, use.groups) == (2, layer.dilation[0], layer.groups)
