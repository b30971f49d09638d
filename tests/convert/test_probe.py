"""Probe features equal what forward hooks see, node by node, and follow the order of nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.convert.probe import PROBE_FEATURES, probe_features
from netgraph.errors import ConversionError, UsageError
from netgraph.graph import NeuralGraph, permute
from netgraph.zoo import MLP, CifarResNet, DigitsResNet
from tests.convert.cases import CASES, Call, conv, scramble
from tests.graph.networks import by_hand


def network(name: str) -> Callable[[], nn.Module]:
    return next(c for c in CASES if c.name == name).build


def image(channels: int = 3, size: int = 8) -> Callable[[], Tensor]:
    return lambda: torch.randn(3, channels, size, size)


HOOKED: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "mlp": (lambda: MLP((4, 6, 5, 3), norm=True), lambda: torch.randn(7, 4)),
    "flatten": (network("flatten"), image()),
    "residual": (lambda: DigitsResNet(3, (1, 2)), image(1)),
    "residual, pad": (lambda: CifarResNet(1, widths=(2, 4, 6)), image()),
    "concat": (network("concat"), image()),
    "dense block": (network("dense block"), image()),
    "depthwise": (network("depthwise"), image()),
    "in place": (
        lambda: nn.Sequential(conv(3, 4), nn.ReLU(inplace=True), conv(4, 3), nn.Tanh(), conv(3, 2)),
        image(),
    ),
    "reused": (network("reused module"), lambda: torch.randn(5, 3)),
}


def make(
    build: Callable[[], nn.Module], inputs: Callable[[], Tensor]
) -> tuple[nn.Module, NeuralGraph, Tensor]:
    torch.manual_seed(0)
    module, x = scramble(build()).eval(), inputs()
    return module, to_graph(module, x), x


def hooked(module: nn.Module, graph: NeuralGraph, x: Tensor) -> dict[str, Tensor]:
    """The slow twin: what every convolution and linear layer is given, seen from outside."""
    structure, seen = graph.structure, {}

    def watch(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(layer: nn.Module, args: Any) -> None:
            spec = structure.tensor[f"{name}.weight"]
            axis = structure.axis_of(spec, spec.in_axis)  # type: ignore[arg-type]
            given = args[0].movedim(1 if args[0].dim() > 2 else -1, 0).double().clone()
            for group in axis.group_ids:
                kept = seen.setdefault(group, [])
                if not any(torch.equal(given, other) for other, _ in kept):
                    kept.append((given, axis))

        return hook

    layers = {n: m for n, m in module.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    handles = [m.register_forward_pre_hook(watch(n)) for n, m in layers.items()]
    with torch.no_grad():
        module(x)
    for handle in handles:
        handle.remove()
    out = {}
    for index, group in enumerate(structure.groups):
        if group.role != "hidden":
            continue
        rows = []
        for node in range(group.size):
            found = []
            for given, axis in seen[index]:
                here = torch.from_numpy((axis.groups == index) & (axis.indices == node))
                values = given[here].flatten()
                if len(values):
                    mean = values.mean()
                    spread = (values - mean).square().mean().sqrt()
                    share, rms = (values > 0).double().mean(), values.square().mean().sqrt()
                    found.append(torch.stack([mean, spread, share, rms]))
            rows.append(torch.stack(found).mean(0))
        out[group.name] = torch.stack(rows).float()
    return out


@pytest.mark.parametrize("name", HOOKED)
def test_equals_what_hooks_see(name: str) -> None:
    module, graph, x = make(*HOOKED[name])
    found, expected = probe_features(graph, x), hooked(module, graph, x)
    assert list(found) == [g.name for g in graph.structure.groups if g.role == "hidden"]
    for group, values in expected.items():
        torch.testing.assert_close(found[group], values, rtol=1e-5, atol=1e-5)
        assert values.std() > 0


EVERY = [
    *("mlp", "residual", "padded shortcut", "concat", "chunk", "split", "glu", "depthwise", "grouped, inner"),
    *("transposed, grouped", "group norm", "squeeze-excite", "tied embedding", "reused module", "attention"),
    *("attention, inner", "lstm, last state", "channel shuffle", "single channels", "matrix products"),
    "two inputs, dict output",
]


@pytest.mark.parametrize("name", EVERY)
def test_reordering_nodes_reorders_the_features(name: str) -> None:
    case = next(c for c in CASES if c.name == name)
    module, args = case.make()
    graph = to_graph(module, args, product=case.product)  # type: ignore[arg-type]
    hidden = [g for g in graph.structure.groups if g.role == "hidden"]
    orders = {g.name: torch.randperm(g.size) for g in hidden}
    before, after = probe_features(graph, args), probe_features(permute(graph, orders), args)
    for group in hidden:
        assert before[group.name].shape == (group.size, 4) and before[group.name].isfinite().all()
        torch.testing.assert_close(after[group.name], before[group.name][orders[group.name]])
    if hidden:
        assert max(float(v.abs().max()) for v in before.values()) > 0


def test_the_first_features_are_the_same() -> None:
    _, graph, x = make(*HOOKED["residual"])
    whole = probe_features(graph, x)
    for number in (1, 2, 3):
        for group, values in probe_features(graph, x, features=number).items():
            assert torch.equal(values, whole[group][:, :number])
    assert PROBE_FEATURES == ("mean", "std", "positive", "rms")


def test_the_batch_may_have_any_size_and_the_graph_stays() -> None:
    module, graph, x = make(*HOOKED["residual"])
    before, given = graph.clone(), x.clone()
    one = probe_features(graph, x[:1])
    every = [probe_features(graph, sample[None]) for sample in x]
    torch.testing.assert_close(one["conv1"], every[0]["conv1"])
    mean = torch.stack([e["conv1"][:, 0] for e in every]).mean(0)
    torch.testing.assert_close(probe_features(graph, x)["conv1"][:, 0], mean)
    assert graph == before and torch.equal(x, given)
    module.train()
    torch.testing.assert_close(probe_features(graph, x)["conv1"], probe_features(before, x)["conv1"])


def test_dropout_is_off_and_nothing_wants_a_gradient() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    x = torch.randn(6, 3, requires_grad=True)
    graph = to_graph(net, x.detach())
    found = probe_features(graph, x)["0"]
    assert torch.equal(found, probe_features(graph, x)["0"]) and not found.requires_grad
    torch.testing.assert_close(found[:, 0], net[0](x).relu().mean(0).detach())


def test_a_turned_weight_is_still_a_weight() -> None:
    """What a product with a transposed parameter reads is measured after its activation function."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.w = nn.Linear(3, 4), nn.Parameter(torch.randn(2, 4))

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.a(x)) @ self.w.t()

    net, x = Turned(), torch.randn(6, 3)
    (found,) = probe_features(to_graph(net, x), x).values()
    torch.testing.assert_close(found[:, 0], F.relu(net.a(x)).mean(0).detach())


def test_masked_scores_are_no_error() -> None:
    def forward(s: Any, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = (p(x).view(b, n, 2, 3).transpose(1, 2) for p in (s.q, s.k, s.v))
        scores = (q @ k.transpose(-2, -1)).masked_fill(torch.ones(n, n).tril() == 0, -torch.inf)
        return s.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, 6))

    net = Call(forward, **{n: nn.Linear(3, 6) for n in "qkv"}, out=nn.Linear(6, 2))
    x = torch.randn(2, 5, 3)
    assert all(v.isfinite().all() for v in probe_features(to_graph(net, x), x).values())


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("weight", "expected finite activations, operator 'linear_1' of module 'layers.1' gives NaN"),
        ("input", "input 'x' holds NaN"),
        ("overflow", "expected finite activations, operator '\\w+' of module '.*' gives NaN or infinity"),
    ],
)
def test_activations_that_are_not_finite_are_one_clear_error(where: str, words: str) -> None:
    _, graph, x = make(*HOOKED["mlp"])
    graph = graph.clone()
    if where == "weight":
        graph.state["layers.1.weight"][0, 0] = torch.nan
    elif where == "input":
        x[0, 0] = torch.nan
    else:
        graph.state["layers.1.weight"][:] = 1e38
        x = x * 10
    with pytest.raises(ConversionError, match=words):
        probe_features(graph, x)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (torch.randn(2, 5), "operator 'linear' cannot run on these inputs"),
        (torch.randn(2, 4, 1, 1), r"input '\w+' should be a tensor of 2 dimensions, got \[2, 4, 1, 1\]"),
        ((torch.randn(2, 4), torch.randn(2, 4)), "expected 1 inputs .* got 2"),
        ((3,), r"input '\w+' should be a tensor of 2 dimensions, got int"),
    ],
)
def test_refuses_inputs_that_do_not_fit(inputs: Any, words: str) -> None:
    graph = to_graph(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(2, 4))
    with pytest.raises(ConversionError, match=f"probe_features: {words}"):
        probe_features(graph, inputs)


@pytest.mark.parametrize("features", [0, 5, 1.5, "4"])
def test_refuses_a_number_of_features_that_there_is_not(features: Any) -> None:
    with pytest.raises(UsageError, match="expected 1 to 4 features"):
        probe_features(by_hand(), torch.randn(4, 2), features=features)


def test_refuses_a_graph_without_a_program() -> None:
    graph = by_hand()
    bare = NeuralGraph(replace(graph.structure, operators=(), outputs=()), graph.state)
    with pytest.raises(ConversionError, match="expected a graph with a program"):
        probe_features(bare, torch.randn(4, 2))
