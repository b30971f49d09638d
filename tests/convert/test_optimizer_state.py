"""Training goes on after a cut: what the optimiser remembers is cut with the parameters."""

from typing import Any

import pytest
import torch
from torch import nn

from netgraph import NodeMask, apply_mask, to_graph
from netgraph.errors import UsageError


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def step(module: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor) -> None:
    optimizer.zero_grad()
    module(x).square().sum().backward()
    optimizer.step()


MASK = NodeMask({"0": torch.tensor([True, False, True, True, False, True])})


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (torch.optim.SGD, {"lr": 0.01, "momentum": 0.9}),
        (torch.optim.AdamW, {"lr": 0.01}),
        (torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.5}),
    ],
    ids=["SGD", "AdamW", "RMSprop"],
)
def test_a_cut_in_the_middle_of_training_equals_training_with_masked_weights(make: Any, options: Any) -> None:
    """Dropped weights at zero have no gradient on what is kept, so both runs walk the same path."""
    x = torch.randn(5, 4)
    cut, whole = network(), network()
    optimizers = [make(m.parameters(), **options) for m in (cut, whole)]
    for module, optimizer in zip((cut, whole), optimizers, strict=True):
        for _ in range(3):
            step(module, optimizer, x)
    masked = MASK.apply(to_graph(whole, x)).to_state_dict()
    whole.load_state_dict(masked)
    apply_mask(cut, to_graph(cut, x), MASK, inplace=True, optimizer=optimizers[0])
    gone = ~MASK.keep["0"]
    for _ in range(3):
        step(cut, optimizers[0], x)
        step(whole, optimizers[1], x)
        with torch.no_grad():
            whole[0].weight[gone], whole[0].bias[gone], whole[2].weight[:, gone] = 0, 0, 0
    torch.testing.assert_close(cut[0].weight, whole[0].weight[~gone])
    torch.testing.assert_close(cut[2].weight, whole[2].weight[:, ~gone])
    torch.testing.assert_close(cut(x), whole(x))


def test_without_the_state_training_takes_another_path() -> None:
    """The test above could fail: a fresh optimiser does not walk the same path."""
    x = torch.randn(5, 4)
    modules = [network(), network()]
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9) for m in modules]
    for module, optimizer in zip(modules, optimizers, strict=True):
        for _ in range(3):
            step(module, optimizer, x)
    for module, optimizer in zip(modules, [optimizers[0], None], strict=True):
        apply_mask(module, to_graph(module, x), MASK, inplace=True, optimizer=optimizer)
    step(modules[0], optimizers[0], x)
    step(modules[1], torch.optim.SGD(modules[1].parameters(), lr=0.01, momentum=0.9), x)
    assert not torch.allclose(modules[0][0].weight, modules[1][0].weight)


def test_an_optimizer_needs_a_cut_in_place() -> None:
    module, x = network(), torch.randn(5, 4)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    with pytest.raises(UsageError, match="inplace=True"):
        apply_mask(module, to_graph(module, x), MASK, optimizer=optimizer)
