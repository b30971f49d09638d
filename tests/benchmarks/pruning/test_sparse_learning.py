"""The network that Torch-Pruning is given: equal to ours, and a choice of channels after the cut."""

import copy

import pytest
import torch
from torch import nn

from benchmarks.pruning.costs import multiplications
from benchmarks.pruning.data import Data
from benchmarks.pruning.sparse_learning import (
    Placed,
    _with_fixed_convolutions,
    _with_placed_channels,
    sparse_learning,
)
from benchmarks.pruning.training import Schedule, Trainer


def test_fixed_convolutions_and_chosen_channels_compute_what_padding_does(network: nn.Module) -> None:
    images = torch.randn(2, 3, 8, 8)
    expected, macs = network(images), multiplications(network, images)
    fixed = _with_fixed_convolutions(network)
    assert len(fixed) == 2 and torch.equal(network(images), expected)
    assert multiplications(network, images, fixed) == macs < multiplications(network, images)
    network = _with_placed_channels(network, fixed)
    assert sum(isinstance(m, Placed) for m in network.modules()) == 2
    assert torch.equal(network(images), expected) and multiplications(network, images) == macs


def test_placed_channels_equal_a_loop() -> None:
    images = torch.randn(2, 3, 5, 4)
    found = Placed(torch.tensor([2, 3, 0]), 2)(images)
    for i, source in enumerate((2, None, 0)):
        wanted = images[:, source, ::2, ::2] if source is not None else torch.zeros(2, 3, 2)
        assert torch.equal(found[:, i], wanted)


def test_the_library_trains_cuts_and_leaves_no_fixed_convolution(data: Data, network: nn.Module) -> None:
    pytest.importorskip("torch_pruning", reason="`make bench` installs it")
    example = data.ready(data.train.images[:2])
    before = multiplications(network, example)
    norms = []
    for scaled in (False, True):
        trainer = Trainer(data, Schedule(steps=8, batch=64, lr=0.05, every=4), 0)
        smaller = sparse_learning(copy.deepcopy(network), example, trainer, 2.0, scaled=scaled)
        assert trainer.spent == 4 and multiplications(smaller, example) <= before / 2
        assert sum(isinstance(m, Placed) for m in smaller.modules()) == 2
        assert not [m for m in smaller.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
        norms.append(sum(float(p.detach().square().sum()) for p in smaller.parameters()))
    assert norms[1] < norms[0]  # the scaled regulariser shrinks more
