"""A training on disk: it goes on as if nothing had been."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from netgraph.fitting import freeze, read_checkpoint, thaw, write_checkpoint

OPTIMISERS = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "plain": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
}


def step(network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    network(torch.ones(1, 3)).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("kept", [True, False], ids=["best kept", "last is best"])
def test_goes_on_where_it_stopped(name: str, kept: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=True)).eval()
    optimiser = OPTIMISERS[name](network.parameters())
    best = copy.deepcopy(network.state_dict())
    step(network, optimiser)
    path = tmp_path / "run"
    write_checkpoint(path, freeze("mark", {"n": 1}, optimiser, network.state_dict(), best if kept else None))

    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()
    again = OPTIMISERS[name](other.parameters())
    last, found = thaw(read_checkpoint(path, "mark"), other, again)
    for key, value in network.state_dict().items():
        assert torch.equal(last[key], value)
        assert torch.equal(found[key], best[key] if kept else value)
    step(network, optimiser)
    step(other, again)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
