"""The metanetwork: equal to its slow twin, blind to the order of channels, careful with what it is given."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.errors import GraphError
from netgraph.graph import NeuralGraph, permute
from netgraph.nn import Metanetwork, MetanetworkConfig
from tests.nn.networks import NETWORKS, build
from tests.nn.oracle import OracleMetanetwork, flatten

SMALL = MetanetworkConfig(hidden=6, layers=3, rho=1.0)


def leaves(graph: NeuralGraph) -> dict[str, Tensor]:
    """The floating tensors of a graph as leaves that want a gradient."""
    return {n: t.detach().clone().requires_grad_() for n, t in graph.state.items() if t.is_floating_point()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_oracle_forward_and_backward(name: str, dtype: torch.dtype) -> None:
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    graph = build(name, dtype)
    meta = Metanetwork(SMALL).to(dtype)
    oracle = OracleMetanetwork(meta, flatten(graph.structure, SMALL.taps))
    state = leaves(graph)
    found, expected = meta(graph, state), oracle(graph, state)
    assert set(expected) == {n for n in found if graph.structure.tensor[n].placement != "graph"}
    for key, value in expected.items():
        assert torch.allclose(found[key], value, rtol=tolerance, atol=tolerance), key
    if not expected:
        return
    weights = {key: torch.randn_like(value) for key, value in expected.items()}
    wanted = [*meta.parameters(), *state.values()]
    gradients = [
        torch.autograd.grad(sum((out[k] * w).sum() for k, w in weights.items()), wanted, allow_unused=True)
        for out in (found, expected)
    ]
    for one, other in zip(*gradients, strict=True):
        one, other = (torch.zeros(()) if g is None else g for g in (one, other))
        assert (one - other).abs().max() <= tolerance * max(1.0, float(other.abs().max()))


@given(name=st.sampled_from(sorted(NETWORKS)), seed=st.integers(0, 2**31 - 1), taps=st.sampled_from([1, 9]))
def test_reordering_nodes_reorders_the_result(name: str, seed: int, taps: int) -> None:
    """On every group: hidden ones by symmetry, the others because the metanetwork knows no positions."""
    graph = build(name)
    generator = torch.Generator().manual_seed(seed)
    orders = {g.name: torch.randperm(g.size, generator=generator) for g in graph.structure.groups}
    torch.manual_seed(seed)
    meta = Metanetwork(MetanetworkConfig(hidden=6, layers=2, taps=taps, rho=1.0))
    first = permute(meta.rewrite(graph), orders)
    second = meta.rewrite(permute(graph, orders))
    for key, value in first.state.items():
        if value.is_floating_point():
            assert torch.allclose(second.state[key], value, rtol=1e-5, atol=1e-5, equal_nan=True), key


@pytest.mark.parametrize("name", ["cifar_resnet_pad", "attention", "flatten"])
def test_reordering_hidden_channels_leaves_the_rewritten_function(name: str) -> None:
    graph = build(name)
    _, inputs = NETWORKS[name]()
    orders = {g.name: torch.randperm(g.size) for g in graph.structure.groups if g.role == "hidden"}
    meta = Metanetwork(MetanetworkConfig(hidden=6, layers=2, rho=0.1))
    with torch.no_grad():
        expected = meta.rewrite(graph).to_module().eval()(inputs)
        found = meta.rewrite(permute(graph, orders)).to_module().eval()(inputs)
    assert torch.allclose(found, expected, atol=1e-4)


def test_only_floating_parameters_change() -> None:
    graph = build("scaled")
    rewritten = Metanetwork(SMALL).rewrite(graph)
    changed = {n for n, t in graph.state.items() if not torch.equal(rewritten.state[n], t)}
    assert changed == {"first.weight", "scale", "second.weight", "second.bias"}
    assert all(rewritten.state[n] is graph.state[n] for n in ("mask", "steps"))
    rewritten.validate()


def test_running_statistics_are_read() -> None:
    graph, meta = build("concat"), Metanetwork(SMALL)
    other = graph.replace({"norm.running_mean": graph.state["norm.running_mean"] + 1})
    assert not torch.equal(meta.rewrite(graph).state["join.weight"], meta.rewrite(other).state["join.weight"])
    assert torch.equal(meta.rewrite(other).state["norm.running_mean"], other.state["norm.running_mean"])


def test_rho_scales_the_step() -> None:
    graph = build("concat")
    small, large = (Metanetwork(MetanetworkConfig(6, 2, rho=rho)) for rho in (0.1, 0.2))
    large.load_state_dict(small.state_dict())
    for key, value in small(graph).items():
        step, double = value - graph.state[key], large(graph)[key] - graph.state[key]
        assert torch.allclose(2 * step, double, atol=1e-5)
    still = Metanetwork(MetanetworkConfig(6, 2, rho=0.0))
    assert still.rewrite(graph) == graph


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_values_keep_the_dtype_of_their_parameter(dtype: torch.dtype) -> None:
    graph = to_graph(nn.Linear(3, 2).to(dtype), torch.zeros(1, 3, dtype=dtype))
    meta = Metanetwork(SMALL)
    assert {v.dtype for v in meta(graph).values()} == {dtype}
    meta.rewrite(graph).validate()


def test_a_state_stands_in_for_the_graphs_own() -> None:
    graph, meta = build("mlp"), Metanetwork(SMALL)
    name = next(n for n in graph.state if n.endswith("weight"))
    other = {name: graph.state[name] * 2}
    found, expected = meta(graph, other), meta(graph.replace(other))
    assert all(torch.equal(found[k], expected[k]) for k in expected)


@pytest.mark.parametrize(
    ("state", "words"),
    [({"nothing": torch.zeros(1)}, "no tensor 'nothing'"), ({"fc": torch.zeros(1)}, "no tensor 'fc'")],
)
def test_a_state_that_does_not_fit_is_refused(state: dict[str, Tensor], words: str) -> None:
    with pytest.raises(GraphError, match=words):
        Metanetwork(SMALL)(build("mlp"), state)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("key", ["left.weight", "norm.bias"])
def test_rewrite_refuses_weights_that_are_not_finite(key: str, value: float) -> None:
    graph = build("concat").clone()
    graph.state[key].view(-1)[0] = value
    with pytest.raises(GraphError, match=f"rewrite: expected finite weights, tensor '{key}' holds"):
        Metanetwork(SMALL).rewrite(graph)


def test_infinite_statistics_are_read_as_zero() -> None:
    graph = build("concat").clone()
    graph.state["norm.running_var"][0] = torch.inf
    assert all(
        t.isfinite().all()
        for n, t in Metanetwork(SMALL).rewrite(graph).state.items()
        if n != "norm.running_var"
    )


def test_rewrite_keeps_no_graph_and_shares_no_parameter() -> None:
    graph = build("mlp")
    rewritten = Metanetwork(SMALL).rewrite(graph)
    for key, value in rewritten.state.items():
        assert not value.requires_grad and value.data_ptr() != graph.state[key].data_ptr()


def test_it_learns() -> None:
    """A few steps towards given weights: the loss falls by half."""
    graph = build("digits_resnet")
    target = {
        n: t.detach() + 0.1 * torch.randn_like(t) for n, t in graph.state.items() if n.endswith("weight")
    }
    meta = Metanetwork(MetanetworkConfig(hidden=8, layers=2, rho=1.0))
    optimizer = torch.optim.Adam(meta.parameters(), 0.01)
    losses = []
    for _ in range(30):
        outputs = meta(graph)
        loss = sum(((outputs[n] - t) ** 2).sum() for n, t in target.items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_one_metanetwork_reads_any_architecture() -> None:
    meta = Metanetwork(SMALL)
    for name in NETWORKS:
        graph = build(name)
        assert meta.rewrite(graph).structure is graph.structure


def test_autocast_changes_nothing() -> None:
    graph, meta = build("concat"), Metanetwork(SMALL)
    expected = meta(graph)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = meta(graph)
        sum(v.sum() for v in found.values()).backward()
    assert all(torch.equal(found[n], v) for n, v in expected.items())
