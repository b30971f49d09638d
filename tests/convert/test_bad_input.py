"""Modules that cannot be converted or cut as they are: one clear error, and the module is as it was."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netgraph import Budget, prune, to_graph
from netgraph.errors import ConversionError, SurgeryError


class Grows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.extra = nn.Linear(4, 4), nn.ModuleList()

    def forward(self, x: Tensor) -> Tensor:
        self.extra.append(nn.Linear(4, 4))
        out: Tensor = self.layer(x)
        return out


class Remembers(nn.Module):
    """Counts its calls and keeps an activation: converting must leave no trace of itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 8), nn.Linear(8, 2)
        self.calls, self.kept = 0, None
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.steps += 1
        self.kept: Any = torch.relu(self.layer(x))
        out: Tensor = self.out(self.kept)
        return out


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("adjacency", torch.eye(4).to_sparse())
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(torch.sparse.mm(self.adjacency, x))
        return out


class TwoDevices(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(self.a(x))
        return out


X = torch.randn(4, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Grows, r"registers \['0'\] on its modules"),
        (lambda: nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 2)), "'0.weight' has no shape yet"),
        (Sparse, "'adjacency' is sparse or quantized"),
        (TwoDevices, "cannot run on its example inputs"),
    ],
    ids=["grows", "lazy", "sparse", "two devices"],
)
@pytest.mark.filterwarnings("ignore::netgraph.errors.ConversionWarning")
def test_it_is_refused_and_left_as_it_was(make: Any, message: str) -> None:
    module = make()
    names = list(module.state_dict())
    with pytest.raises(ConversionError, match=message):
        to_graph(module, X)
    assert list(module.state_dict()) == names


def test_converting_leaves_no_trace() -> None:
    module = Remembers()
    graph = to_graph(module, X)
    assert (module.calls, module.kept, float(module.steps)) == (0, None, 0.0)
    assert {g.name: g.size for g in graph.structure.groups if g.role == "hidden"} == {"layer": 8}


def test_hooks_that_a_forward_registers_are_taken_away_with_the_flag_that_says_so() -> None:
    class Hooks(nn.Sequential):
        ready = False
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            if not self.ready:
                self.ready = True
                self[0].register_forward_hook(lambda *_: setattr(self, "calls", self.calls + 1))
            return super().forward(x)

    module = Hooks(nn.Linear(4, 8), nn.Linear(8, 2))
    to_graph(module, X)
    assert not module.ready and not module[0]._forward_hooks
    module(X)
    assert module.calls == 1


def test_a_module_that_cannot_be_copied_is_told() -> None:
    module = Remembers()
    module(X)
    with pytest.raises(SurgeryError, match="keeps activations in attributes"):
        prune(module, X, budget=Budget(macs=0.5))
    assert module.layer.out_features == 8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_convert_and_prune(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).to(dtype)
    graph = to_graph(module, X.to(dtype))
    assert torch.equal(graph.to_module()(X.to(dtype)), module(X.to(dtype)))
    small = prune(module, X.to(dtype), budget=Budget(macs=0.5)).module
    assert small[0].out_features == 4 and small[0].weight.dtype == dtype


def test_weights_that_share_storage_stay_apart() -> None:
    """One weight is a view of rows of the other: two tensors, and a cut of one leaves the other alone."""
    base = torch.randn(8, 4)
    module = nn.ModuleDict({"a": nn.Linear(4, 8, bias=False), "b": nn.Linear(4, 3, bias=False)})
    module["a"].weight, module["b"].weight = nn.Parameter(base), nn.Parameter(base[:3])

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.out = module, nn.Linear(11, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.out(torch.cat([self.inner["a"](x), self.inner["b"](x)], 1))
            return out

    net = Both()
    graph = to_graph(net, X)
    assert torch.equal(graph.to_module()(X), net(X))
    small = prune(net, X, budget=Budget(params=0.6)).module
    assert small(X).shape == (4, 2) and torch.equal(net.inner["a"].weight, base)
