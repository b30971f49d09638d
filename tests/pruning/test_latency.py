import time

import pytest
import torch
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.pruning import compare_latency, measure_latency


class Sleeper(nn.Module):
    """Takes a known time, and notes how it was called."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.calls = seconds, []

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        self.calls.append((tuple(x.shape), self.training, torch.is_inference_mode_enabled(), scale is None))
        time.sleep(self.seconds)
        return x


def test_median_in_milliseconds() -> None:
    fast, slow = compare_latency([Sleeper(0.001), Sleeper(0.004)], torch.zeros(1), repeats=5, warmup=1)
    assert 1 <= fast < slow and slow >= 4


def test_calls_and_modes() -> None:
    net = Sleeper(0.0).train()
    measure_latency(net, {"x": torch.zeros(3, 2), "scale": torch.ones(())}, repeats=4, warmup=2, batch=5)
    assert net.calls == [((5, 2), False, True, False)] * 6
    assert net.training


def test_mode_comes_back_after_a_failure() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    net[1].eval()
    with pytest.raises(RuntimeError):
        measure_latency(net, torch.zeros(1, 3))
    assert net.training and net[0].training and not net[1].training


@pytest.mark.parametrize("kwargs", [{"repeats": 0}, {"warmup": -1}, {"batch": 0}], ids=str)
def test_refuses(kwargs: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="latency: expected"):
        measure_latency(nn.ReLU(), torch.zeros(1), **kwargs)


def test_refuses_an_empty_batch_to_repeat() -> None:
    with pytest.raises(UsageError, match="at least one sample"):
        measure_latency(nn.ReLU(), torch.zeros(0, 2), batch=4)
