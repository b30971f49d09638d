"""The constants of a program follow the cut: smaller networks compute what masked ones do."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.errors import GraphError
from netgraph.graph import REWRITERS, Operator, rewriter, select
from netgraph.graph.rewrite import surviving_groups
from tests.graph.test_masks import random_mask


class Between(nn.Module):
    """Something that moves channels between two linear layers."""

    def __init__(self, move: Callable[[Tensor], Tensor], width: int) -> None:
        super().__init__()
        self.first, self.move, self.last = nn.Linear(3, 6), move, nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.move(self.first(x)))


def product(parts: tuple[Tensor, ...]) -> Tensor:
    return parts[0] * parts[1]


MOVES: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "chunk": (lambda h: product(h.chunk(2, 1)), 3),
    "split": (lambda h: torch.cat(h.split([2, 4], 1)[::-1], 1), 6),
    "slice": (lambda h: h[:, 1:5], 4),
    "open slice": (lambda h: h[:, 2:], 4),
    "narrow": (lambda h: h.narrow(1, 1, 3), 3),
    "pad": (lambda h: F.pad(h, (0, 2)), 8),
    "flatten": (lambda h: h.unsqueeze(2).expand(-1, -1, 3).flatten(1), 18),
    "unflatten": (lambda h: h.unflatten(1, (6, 1)).transpose(1, 2).flatten(1), 6),
    "view": (lambda h: h.view(h.shape[0], 6, 1).squeeze(2), 6),
    "reshape": (lambda h: h.reshape(-1, 6), 6),
    "flip": (lambda h: h.flip(1), 6),
    "roll": (lambda h: h.roll(2, 1), 6),
    "stack": (lambda h: torch.stack([h, h], 2).sum(2), 6),
    "repeat": (lambda h: h.repeat(1, 2), 12),
    "index": (lambda h: h[:, [0, 2, 4]], 3),
    "residual": (lambda h: h + h.relu(), 6),
}


@pytest.mark.parametrize(("move", "width"), MOVES.values(), ids=MOVES)
def test_cut_network_equals_the_masked_one(move: Callable[[Tensor], Tensor], width: int) -> None:
    x = torch.randn(4, 3)
    converted = to_graph(Between(move, width), x)
    for seed in range(3):
        mask = random_mask(converted, seed)
        small = select(converted, mask)
        small.validate()
        masked = mask.apply(converted).to_module()(x)
        assert torch.allclose(small.to_module()(x), masked, atol=1e-5)


OP = Operator("conv", "aten.conv2d.default", (), (), ())
KEPT: dict[str, tuple[list[int], int, int]] = {
    "all of one": ([1, 1, 0, 1], 1, 1),
    "whole groups": ([1, 1, 0, 0, 1, 1], 3, 2),
    "the same of each": ([1, 0, 1, 0, 1, 0], 3, 3),
    "the same of some": ([1, 0, 0, 0, 1, 0], 3, 2),
}


@pytest.mark.parametrize(("kept", "groups", "left"), KEPT.values(), ids=KEPT)
def test_surviving_groups(kept: list[int], groups: int, left: int) -> None:
    assert surviving_groups(OP, np.array(kept, dtype=bool), groups) == left


@pytest.mark.parametrize("kept", [[1, 0, 0, 1], [1, 1, 1, 0]])
def test_uneven_groups_are_refused(kept: list[int]) -> None:
    with pytest.raises(GraphError, match="keep whole groups or the same channels of each"):
        surviving_groups(OP, np.array(kept, dtype=bool), 2)


def test_rules_are_registered_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netgraph.graph.rewrite.REWRITERS", fresh := dict(REWRITERS))

    @rewriter("mine", "mine_too")
    def rule(op: Operator, cut: object) -> Operator:
        return op

    assert fresh["mine"] is fresh["mine_too"] is rule
    with pytest.raises(GraphError, match="'view' exists already"):
        rewriter("view")(rule)
