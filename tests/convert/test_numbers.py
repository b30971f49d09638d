"""Numbers in attributes follow a cut, however the forward reads them; those in the forward itself cannot."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netgraph import NodeMask, apply_mask, to_graph
from netgraph.convert.numbers import changed_constants
from netgraph.errors import SurgeryError
from netgraph.graph import select


class Halves(nn.Module):
    """Eight channels, split in two; subclasses hold the sizes in different ways."""

    def __init__(self) -> None:
        super().__init__()
        self.make, self.out = nn.Linear(3, 8), nn.Linear(4, 2)
        self.hold()

    def hold(self) -> None: ...

    def sizes(self) -> Any:
        return 4

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.make(x).split(self.sizes(), 1)
        return self.out(torch.relu(a) * b)


class Exact(Halves):
    def hold(self) -> None:
        self.half = 4

    def sizes(self) -> int:
        return self.half


class Multiple(Halves):
    def hold(self) -> None:
        self.total = 8

    def sizes(self) -> int:
        return self.total // 2


class Listed(Halves):
    def hold(self) -> None:
        self.parts = [4, 4]

    def sizes(self) -> list[int]:
        return self.parts


class Crowded(Halves):
    """Other attributes hold the same number and must stay: trying finds out which."""

    def hold(self) -> None:
        self.kernel, self.half, self.depth = 4, 4, 4

    def sizes(self) -> int:
        assert self.kernel == 4 and self.depth == 4
        return self.half


class Heads(nn.Module):
    """Three heads beside a literal three: only one of them changes."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 3
        self.qkv, self.out = nn.Linear(6, 36), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).view(len(x), -1, 3, self.heads, 4).permute(2, 0, 3, 1, 4)
        y = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return self.out(y.transpose(1, 2).flatten(2))


def cut(module: nn.Module, x: Tensor) -> nn.Module:
    graph = to_graph(module, x)
    (group,) = (g for g in graph.structure.groups if g.role == "hidden")
    mask = NodeMask({group.name: torch.arange(group.size) != 1})
    small = apply_mask(module, graph, mask)
    expected = select(graph, mask).to_module().eval()
    torch.testing.assert_close(small.eval()(x), expected(x))
    return small


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Exact, {"half": 3}),
        (Multiple, {"total": 6}),
        (Listed, {"parts": [3, 3]}),
        (Crowded, {"kernel": 4, "half": 3, "depth": 4}),
    ],
)
def test_attributes_follow(make: Any, expected: dict[str, Any]) -> None:
    small = cut(make().eval(), torch.randn(5, 3))
    assert {n: getattr(small, n) for n in expected} == expected


def test_a_literal_beside_an_attribute_of_the_same_value() -> None:
    assert cut(Heads().eval(), torch.randn(2, 5, 6)).heads == 2


def test_a_number_in_the_forward_is_refused_and_nothing_touched() -> None:
    module, x = Halves().eval(), torch.randn(5, 3)
    before = module(x)
    with pytest.raises(SurgeryError, match="nothing was changed"):
        cut(module, x)
    assert torch.equal(module(x), before) and module.make.out_features == 8


def test_changed_constants_name_the_module_and_the_numbers_that_stay() -> None:
    module, x = Heads().eval(), torch.randn(2, 5, 6)
    graph = to_graph(module, x)
    (group,) = (g for g in graph.structure.groups if g.role == "hidden")
    small = select(graph, NodeMask({group.name: torch.arange(3) != 1}))
    found = changed_constants(graph.structure, small.structure)[""]
    assert (3, 3) in found and (3, 2) in found and (4, 4) in found
