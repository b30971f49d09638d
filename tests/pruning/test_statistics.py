import pytest
import torch
from torch import nn

from netgraph.convert import to_graph
from netgraph.errors import UsageError
from netgraph.pruning import refresh_statistics
from tests.pruning.nets import make


class Dropped(nn.Sequential):
    """Dropout before a norm, in train mode also while its statistics are measured."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 50), nn.Dropout(0.5), nn.BatchNorm1d(50, momentum=0.03))


# a cumulative average (None) is traced with the count that it had, so it is not tried on a rebuilt module
@pytest.mark.parametrize(
    ("rebuild", "momentum"), [(False, 0.1), (False, 0.9), (False, None), (True, 0.1), (True, 0.9)]
)
def test_average_over_the_batches_and_nothing_else_changes(rebuild: bool, momentum: float | None) -> None:
    net, x = make("mlp-norm")
    for norm in net.norms:
        norm.momentum = momentum
    module = to_graph(net, x).to_module().eval() if rebuild else net
    before = {n: t.clone() for n, t in module.state_dict().items()}
    batches = [torch.randn(32, 6) + i for i in range(3)]
    refresh_statistics(module, batches)
    state = module.state_dict()
    hidden = [net.layers[0](b).detach() for b in batches]
    assert torch.allclose(
        state["norms.0.running_mean"], torch.stack([h.mean(0) for h in hidden]).mean(0), atol=1e-4
    )
    assert torch.allclose(
        state["norms.0.running_var"], torch.stack([h.var(0) for h in hidden]).mean(0), rtol=1e-3
    )
    for name, tensor in state.items():
        if "running" not in name:
            assert torch.equal(tensor, before[name])


def test_second_pass_changes_nothing() -> None:
    net, _ = make("digits")
    batches = [torch.randn(8, 1, 8, 8) for _ in range(2)]
    refresh_statistics(net, batches)
    first = {n: t.clone() for n, t in net.state_dict().items()}
    refresh_statistics(net, batches)
    assert all(torch.allclose(t, first[n], rtol=1e-4, atol=1e-6) for n, t in net.state_dict().items())


def test_dropout_before_a_norm() -> None:
    net, x = Dropped(), torch.randn(4000, 6)
    refresh_statistics(net, [x])
    assert torch.allclose(net[2].running_mean, net[0](x).mean(0), atol=0.1)


def test_large_and_small_statistics_are_exact() -> None:
    norm, x = nn.BatchNorm1d(2), torch.randn(64, 2) * torch.tensor([1e4, 1e-4]) + torch.tensor([1e5, 1e-3])
    refresh_statistics(norm, [x])
    assert torch.allclose(norm.running_mean, x.mean(0), rtol=1e-4)
    assert torch.allclose(norm.running_var, x.var(0), rtol=1e-4)


def test_modes_come_back() -> None:
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5)).train()
    net[1].eval()
    refresh_statistics(net, [torch.randn(4, 2)])
    assert net.training and net[0].training and not net[1].training
    assert all(p.grad is None for p in net.parameters())


def test_networks_without_norms_are_left_alone() -> None:
    net, x = make("mlp")
    before = {n: t.clone() for n, t in net.state_dict().items()}
    refresh_statistics(net, [x])
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())


def test_refuses_no_batches() -> None:
    with pytest.raises(UsageError, match="expected at least one batch"):
        refresh_statistics(nn.BatchNorm1d(2), [])
