"""Branches that are left out of the user's own class: stand-ins take the place of their modules."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netgraph import NodeMask, apply_mask, select, to_graph
from netgraph.convert import Skipped, droppable
from netgraph.errors import SurgeryError
from netgraph.graph import branches
from netgraph.zoo import CifarResNet
from tests.convert.cases import scramble


class Attention(nn.Module):
    """Returns what it attended to as well, as attention does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.kind = "full"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weights = (self.query(x) @ x.transpose(1, 2)).softmax(-1)
        return weights @ self.value(x), weights


class Block(nn.Module):
    """Two branches; the second is scaled in the block's own forward if asked for."""

    def __init__(self, width: int, scaled: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.scale = nn.Parameter(torch.rand(width)) if scaled else None
        self.kind = "block"

    def forward(self, x: Tensor) -> Tensor:
        assert self.attention.kind == "full"
        x = x + self.attention(self.norm1(x))[0]
        out = self.mlp(self.norm2(x))
        return x + (out if self.scale is None else self.scale * out)


class Transformer(nn.Module):
    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 6)
        self.blocks = nn.ModuleList(Block(6, scaled) for _ in range(3))
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            assert block.kind == "block"
            x = block(x)
        return self.head(x)


class TwiceTheSame(nn.Module):
    """One activation serves two branches, so it lives on when one of them goes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.act = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.b(self.act(self.a(x)))
        return x + self.act(self.c(x))


NETWORKS: dict[str, tuple[Any, Any]] = {
    "transformer": (Transformer, lambda: torch.randn(2, 5, 3)),
    "residual": (lambda: CifarResNet(2, widths=(2, 4, 6)), lambda: torch.randn(2, 3, 8, 8)),
    "shared activation": (TwiceTheSame, lambda: torch.randn(3, 4)),
}


def network(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    make, inputs = NETWORKS[name]
    return scramble(make()).eval(), inputs()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_class_computes_what_the_rebuilt_graph_does(name: str) -> None:
    net, x = network(name)
    graph = to_graph(net, x)
    names = [b.name for b in branches(graph.structure)]
    halves = {
        g.name: torch.arange(g.size) % 2 == 0
        for g in graph.structure.groups
        if g.role == "hidden" and g.size > 1
    }
    before = copy.deepcopy(net.state_dict())
    for skip in ([names[0]], names[1:], names[::2], names[-1:]):
        for keep in ({}, halves):
            mask = NodeMask(keep, frozenset(skip))
            cut, small = apply_mask(net, graph, mask), select(graph, mask)
            assert type(cut) is type(net)
            assert torch.allclose(cut(x), small.to_module().eval()(x), atol=1e-5)
            assert sorted(cut.state_dict()) == sorted(small.structure.order)
            assert any(isinstance(m, Skipped) for m in cut.modules())
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())


def test_a_cut_class_is_converted_and_cut_again() -> None:
    net, x = network("transformer")
    graph = to_graph(net, x)
    names = [b.name for b in branches(graph.structure)]
    once = apply_mask(net, graph, NodeMask({}, frozenset(names[:3])))
    again = to_graph(once, x)
    rest = [b.name for b in branches(again.structure)]
    assert len(rest) == 3
    twice = apply_mask(once, again, NodeMask({}, frozenset(rest[1:])))
    both = select(graph, NodeMask({}, frozenset(names[:3] + names[4:])))
    assert torch.allclose(twice(x), both.to_module().eval()(x), atol=1e-5)


def test_whole_blocks_become_one_stand_in() -> None:
    net, x = network("transformer")
    graph = to_graph(net, x)
    names = [b.name for b in branches(graph.structure)]
    cut = apply_mask(net, graph, NodeMask({}, frozenset(names[:2])))
    assert isinstance(cut.blocks[0], Skipped) and cut.blocks[0].kind == "block"
    assert not list(cut.blocks[0].parameters())
    assert type(cut.blocks[1]) is Block


def test_in_place_the_rest_stays_the_same_objects_and_trains_on() -> None:
    net, x = network("transformer")
    graph = to_graph(net, x)
    name = branches(graph.structure)[0].name
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    net(x).square().mean().backward()
    optimizer.step()
    kept = net.blocks[1].attention.query.weight
    assert apply_mask(net, graph, NodeMask({}, frozenset({name})), inplace=True, optimizer=optimizer) is net
    assert net.blocks[1].attention.query.weight is kept and kept in optimizer.state
    assert len(optimizer.state) == len(list(net.parameters())) == len(optimizer.param_groups[0]["params"])
    before = net(x).square().mean()
    before.backward()
    optimizer.step()
    assert net(x).square().mean() != before


def test_a_weight_of_a_module_that_stays_is_told_before_anything_is_touched() -> None:
    torch.manual_seed(0)
    net, x = Transformer(scaled=True).eval(), torch.randn(2, 5, 3)
    graph = to_graph(net, x)
    first, second, *_ = (b.name for b in branches(graph.structure))
    allowed = droppable(net, graph)
    assert first in allowed and second not in allowed
    before = list(net.state_dict())
    with pytest.raises(SurgeryError, match=r"'blocks.0.scale' belongs to a module that stays.*rebuild=True"):
        apply_mask(net, graph, NodeMask({}, frozenset({second})), inplace=True)
    assert list(net.state_dict()) == before and type(net.blocks[0]) is Block
    # with both branches the whole block goes, and its scale with it
    assert isinstance(apply_mask(net, graph, NodeMask({}, frozenset({first, second}))).blocks[0], Skipped)


def test_stand_in() -> None:
    x = torch.ones(2)
    assert torch.equal(Skipped("input")(x, 3), x) and torch.equal(Skipped("zeros")(None, value=x), 0 * x)
    out, *rest = Skipped("zeros", extras=2)(x)
    assert torch.equal(out, 0 * x) and rest == [None, None]
    assert repr(Skipped("zeros")) == "Skipped(zeros)"
