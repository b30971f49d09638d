"""The fused training step, against the same layer run operation by operation."""

from copy import deepcopy

import networkx as nx
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch

import netgraph.subgraph.fused_conv as fused_conv_module
import netgraph.subgraph.kernels.terms as terms_module
from netgraph.nn.kernels import load_kernels
from netgraph.subgraph import AGGREGATIONS, SubgraphConv, SubgraphTransform, pairs_of
from netgraph.subgraph.kernels.terms import KINDS, PROGRAM, can_run
from tests.subgraph.graphs import random_data

TRANSFORMS = {
    "whole": SubgraphTransform("marking"),
    "ego-nets": SubgraphTransform("marking", hops=1),
    "deletion": SubgraphTransform("deletion"),
}


@pytest.fixture(params=["kernels", "kernels, graph by graph", "torch"])
def terms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What runs between the linear maps of a layer."""
    if request.param == "torch":
        monkeypatch.setattr(fused_conv_module, "can_run", lambda *_: False)
    elif load_kernels(PROGRAM) is None:
        pytest.skip("no C++ compiler")
    if request.param == "kernels, graph by graph":
        monkeypatch.setattr(terms_module, "CACHE", 0)
    return str(request.param)


def step(conv: SubgraphConv, h: Tensor, pairs: object, weight: Tensor) -> dict[str, Tensor]:
    h = h.clone().requires_grad_()
    out = conv(h, pairs)
    (out * weight).sum().backward()
    grads = {name: p.grad for name, p in conv.named_parameters() if p.grad is not None}
    return {"out": out.detach(), "h": h.grad, **grads, **dict(conv.named_buffers())}  # type: ignore[dict-item]


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("names", [[name] for name in AGGREGATIONS] + [list(AGGREGATIONS)])
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("backend", ["dense", "sparse"])
def test_output_gradients_and_statistics(
    names: list[str],
    transform: SubgraphTransform,
    momentum: float | None,
    backend: str,
    terms: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = Batch.from_data_list([transform(random_data(seed)) for seed in (0, 1, 3, 5)])
    fused = SubgraphConv(3, 4, names).double().train()
    for module in fused.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = momentum
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_()
    plain = deepcopy(fused)
    pairs = pairs_of(batch, backend=backend)
    h = torch.randn(len(pairs.u), 3, dtype=torch.float64)
    weight = torch.randn(len(pairs.u), 4, dtype=torch.float64)
    unlisted = backend == "dense" and not pairs.complete and any(name.startswith("local") for name in names)
    assert can_run(names, pairs, h) == (set(names) <= set(KINDS) and not unlisted)
    found = step(fused, h, pairs, weight)
    monkeypatch.setattr(SubgraphConv, "_fuses", lambda self, h: False)
    expected = step(plain, h, pairs, weight)
    assert found.keys() | {"terms.point_uv.eps"} == expected.keys() | {"terms.point_uv.eps"}
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-9, atol=1e-9), name


def test_batches_that_share_buffers_do_not_disturb_each_other(terms: str) -> None:
    """Two forward passes over the same pairs before either backward pass."""
    pairs = pairs_of(SubgraphTransform()(nx.gnp_random_graph(6, 0.5, seed=0)))
    conv = SubgraphConv(3, 3, ["local_u", "global_v"]).double()
    one, other = (torch.randn(36, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    first, second = conv(one, pairs), conv(conv(other, pairs), pairs)
    (together,) = torch.autograd.grad(first.square().sum() + second.square().sum(), one)
    (alone,) = torch.autograd.grad(conv(one, pairs).square().sum(), one)
    assert torch.allclose(together, alone, atol=1e-12)


def test_norms_that_are_frozen_stay_as_they_are() -> None:
    pairs = pairs_of(SubgraphTransform()(nx.gnp_random_graph(6, 0.5, seed=0)))
    conv = SubgraphConv(3, 3, ["local_u"]).train()
    h = torch.randn(36, 3)
    expected = deepcopy(conv).eval()(h, pairs)
    for module in conv.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.eval()
    assert torch.equal(conv(h, pairs), expected)


def test_few_states_are_kept_for_the_backward_pass(terms: str) -> None:
    pairs = pairs_of(SubgraphTransform()(nx.gnp_random_graph(20, 0.3, seed=0)))
    conv = SubgraphConv(8, 8, ["local_u", "local_v", "point_vv"])
    h = torch.randn(400, 8, requires_grad=True)
    kept: set[int] = set()

    def pack(tensor: Tensor) -> Tensor:
        if tensor.numel() == h.numel():
            kept.add(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        conv(h, pairs)
    # The input, the sum before the last norm, and one state per aggregation; torch keeps the output besides.
    assert len(kept) == 2 + 3 + (terms == "torch")


def test_features_far_from_zero_keep_their_deviation(terms: str) -> None:
    """In float32, of which the squares hold seven digits."""
    pairs = pairs_of(SubgraphTransform()(nx.gnp_random_graph(12, 0.4, seed=0)))
    conv = SubgraphConv(3, 4, ["local_u", "point_vv", "global_v"])
    h, weight = torch.randn(144, 3), torch.randn(144, 4)
    h[:, 1] += 3000
    exact = step(deepcopy(conv).double(), h.double(), pairs, weight.double())
    found = step(conv, h, pairs, weight)
    assert torch.allclose(found["out"].double(), exact["out"], atol=0.01)
    assert torch.allclose(found["h"].double(), exact["h"], atol=0.01)
