"""A forward that decides by its data is traced along the way that the example takes."""

import logging
import warnings

import pytest
import torch
from torch import Tensor, nn

from netgraph import select, to_graph
from netgraph.errors import ConversionWarning
from netgraph.graph import NodeMask, same_bytes


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)


class Sign(Base):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        h = torch.relu(h) if x.sum() > 0 else torch.tanh(h)
        out: Tensor = self.b(h)
        return out


class Number(Base):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        out: Tensor = self.b(h if float(h.sum()) > 0 else -h)
        return out


class Steps(Base):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        for _ in range(int(x.abs().sum()) % 3 + 1):
            h = torch.tanh(h)
        out: Tensor = self.b(h)
        return out


class Search(Base):
    """Stops early; the number of rounds is decided by a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        for _ in range(4):
            if bool((h.abs() < 0.5).all()):
                break
            h = h / 2
        out: Tensor = self.b(h)
        return out


@pytest.mark.parametrize("kind", [Sign, Number, Steps, Search])
def test_the_way_of_the_example_is_followed(
    kind: type[Base], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    module, x = kind().eval(), torch.randn(3, 4)
    with pytest.warns(ConversionWarning, match="follows the way that the example inputs took") as caught:
        graph = to_graph(module, x)
    assert [str(w.message) for w in caught if w.category is not ConversionWarning] == []
    assert all(same_bytes(graph.to_state_dict()[n], t) for n, t in module.state_dict().items())
    assert torch.equal(graph.to_module().eval()(x), module(x))
    assert [(g.name, g.size) for g in graph.structure.groups if g.role == "hidden"] == [("a", 6)]
    mask = NodeMask({"a": torch.arange(6) < 3})
    torch.testing.assert_close(
        select(graph, mask).to_module().eval()(x), mask.apply(graph).to_module().eval()(x)
    )
    shown = capsys.readouterr()
    assert not shown.out and not shown.err
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_loggers_are_left_as_they_were() -> None:
    before = {n: logging.getLogger(n).level for n in ("torch.export", "torch.fx", "torch")}
    with pytest.warns(ConversionWarning):
        to_graph(Sign().eval(), torch.randn(3, 4))
    assert {n: logging.getLogger(n).level for n in before} == before


def test_an_ordinary_module_is_traced_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = to_graph(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), torch.randn(2, 4))
    assert [g.size for g in graph.structure.groups] == [4, 3, 2]
