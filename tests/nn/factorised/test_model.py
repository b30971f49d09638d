"""The factorised metanetwork: equal to its slow twin, blind to the order of nodes, careful with its input."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.errors import GraphError, UsageError
from netgraph.graph import NeuralGraph, Structure, permute
from netgraph.nn.factorised import HEADS, FactorisedConfig, FactorisedMetanetwork, Reading
from tests.nn.factorised.networks import random_graph
from tests.nn.factorised.oracle import Oracle
from tests.nn.networks import NETWORKS, build

CONFIG = FactorisedConfig(hidden=6, layers=2, views=3, rank=2, rho=1.0, heads=HEADS, outputs=2, probe=3)
GRAPHS = [*NETWORKS, *range(8)]


def graph_of(name: str | int, dtype: torch.dtype = torch.float64) -> NeuralGraph:
    return build(name, dtype) if isinstance(name, str) else random_graph(name, dtype)


def meta_of(config: FactorisedConfig = CONFIG, seed: int = 0) -> FactorisedMetanetwork:
    torch.manual_seed(seed)
    return FactorisedMetanetwork(config).double()


def probe_of(graph: NeuralGraph) -> dict[str, Tensor]:
    """Statistics of every second group."""
    return {g.name: torch.randn(g.size, 3, dtype=torch.float64) for g in graph.structure.groups[::2]}


def told(reading: Reading) -> dict[str, Tensor]:
    """All that a metanetwork says, by head and name."""
    found = {
        f"{head} {n}": v
        for head in ("values", "scores", "budgets")
        for n, v in (getattr(reading, head) or {}).items()
    }
    return found if reading.output is None else {**found, "output": reading.output}


def leaves(graph: NeuralGraph) -> dict[str, Tensor]:
    return {n: t.detach().clone().requires_grad_() for n, t in graph.state.items() if t.is_floating_point()}


@pytest.mark.parametrize("name", GRAPHS)
def test_equals_the_oracle_forward_and_backward(name: str | int) -> None:
    graph, meta = graph_of(name), meta_of()
    oracle = Oracle(meta, graph.structure)
    state, probe = leaves(graph), probe_of(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = told(meta.read(graph, state, probe=probe, target=0.4))
    expected = oracle.read(graph, state, probe, target=0.4)
    without_axis = {f"values {t.name}" for t in graph.structure.tensors if t.placement == "graph"}
    assert set(expected) == set(found) - without_axis
    for key, value in expected.items():
        assert found[key].shape == value.shape
        assert torch.allclose(found[key], value, rtol=1e-9, atol=1e-9), key
    loss = {key: torch.randn_like(value) for key, value in expected.items()}
    wanted = [*meta.parameters(), *state.values()]
    gradients = [
        torch.autograd.grad(sum((out[k] * w).sum() for k, w in loss.items()), wanted, allow_unused=True)
        for out in (found, expected)
    ]
    for one, other in zip(*gradients, strict=True):
        one, other = (torch.zeros((), dtype=torch.float64) if g is None else g for g in (one, other))
        assert (one - other).abs().max() <= 1e-8 * max(1.0, float(other.abs().max()))


@pytest.mark.parametrize("name", GRAPHS)
def test_reordering_nodes_reorders_what_every_head_says(name: str | int) -> None:
    """On every group: hidden ones by symmetry, the others because the metanetwork knows no positions."""
    graph, meta = graph_of(name), meta_of(seed=1)
    probe = probe_of(graph)
    orders = {g.name: torch.randperm(g.size) for g in graph.structure.groups}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = meta.read(graph, probe=probe, target=0.3)
        turned = {n: p[orders[n]] for n, p in probe.items()}
        second = told(meta.read(permute(graph, orders), probe=turned, target=0.3))
    assert first.values is not None
    moved = permute(graph.replace(first.values), orders).state
    for key, value in told(first).items():
        head, _, group = key.partition(" ")
        expected = moved[group] if head == "values" else value[orders[group]] if head == "scores" else value
        assert torch.allclose(second[key], expected, rtol=1e-11, atol=1e-11), key


@pytest.mark.parametrize("name", ["cifar_resnet_pad", "attention", "flatten", 1])
def test_reordering_hidden_channels_leaves_the_rewritten_function(name: str | int) -> None:
    graph, meta = graph_of(name), meta_of(FactorisedConfig(hidden=6, layers=2, rho=0.1))
    inputs = torch.randn(1, 2, 4, 4) if isinstance(name, int) else NETWORKS[name]()[1]
    orders = {g.name: torch.randperm(g.size) for g in graph.structure.groups if g.role == "hidden"}
    with torch.no_grad():
        expected = meta.rewrite(graph).to_module().eval()(inputs.double())
        found = meta.rewrite(permute(graph, orders)).to_module().eval()(inputs.double())
    assert torch.allclose(found, expected, atol=1e-9)
    assert not torch.allclose(expected, graph.to_module().eval()(inputs.double()), atol=1e-3)


@pytest.mark.parametrize("heads", [(h,) for h in HEADS])
def test_a_head_alone_says_the_rest_is_none(heads: tuple[str, ...]) -> None:
    graph = graph_of("mlp", torch.float32)
    reading = FactorisedMetanetwork(FactorisedConfig(hidden=4, layers=1, heads=heads)).read(graph)
    parts = dict(zip(HEADS, reading, strict=True))
    assert [name for name, part in parts.items() if part is not None] == list(heads)


def test_scores_and_budgets_name_the_hidden_groups() -> None:
    graph = graph_of("cifar_resnet_conv")
    reading = meta_of().read(graph, target=0.5)
    hidden = {g.name: g.size for g in graph.structure.groups if g.role == "hidden"}
    assert reading.scores is not None and reading.budgets is not None and reading.output is not None
    assert {n: len(s) for n, s in reading.scores.items()} == hidden
    assert set(reading.budgets) == set(hidden)
    assert all(b.shape == () and 0 < b <= 1 for b in reading.budgets.values())
    assert reading.output.shape == (2,)


def test_a_smaller_target_gives_smaller_budgets() -> None:
    graph, meta = graph_of("digits_resnet"), meta_of()
    budgets = [meta.read(graph, target=t).budgets for t in (0.1, 0.9)]
    assert budgets[0] is not None and budgets[1] is not None
    assert sum(budgets[0].values()) < sum(budgets[1].values())
    whole = meta.read(graph, target=1.0).budgets
    assert whole is not None and all(b <= 1 for b in whole.values())


@pytest.mark.parametrize("target", [0.0, -0.1, 1.01, float("nan")])
def test_a_target_that_is_no_share_is_refused(target: float) -> None:
    with pytest.raises(UsageError, match=r"expected target to be a share of the MACs in \(0, 1\]"):
        meta_of().read(graph_of("mlp"), target=target)


def test_probes_are_read_and_checked() -> None:
    graph, meta = graph_of("mlp"), meta_of()
    name = next(g.name for g in graph.structure.groups if g.role == "hidden")
    size = graph.structure.groups[graph.structure.group_index[name]].size
    with torch.no_grad():
        plain, probed = meta(graph), meta(graph, probe={name: torch.ones(size, 3)})
    assert not torch.equal(next(iter(plain.values())), next(iter(probed.values())))
    with pytest.raises(UsageError, match="expected a probe of groups of the graph, got \\['nothing'\\]"):
        meta(graph, probe={"nothing": torch.ones(2, 3)})
    with pytest.raises(UsageError, match=rf"expected a probe of shape \[{size}, 3\] for group '{name}'"):
        meta(graph, probe={name: torch.ones(size, 2)})
    with pytest.raises(UsageError, match="expected no probe, this metanetwork reads weights alone"):
        meta_of(FactorisedConfig(hidden=4, layers=1))(graph, probe={name: torch.ones(size, 3)})


def test_without_the_rewriting_head_forward_and_rewrite_are_refused() -> None:
    graph = graph_of("mlp", torch.float32)
    meta = FactorisedMetanetwork(FactorisedConfig(hidden=4, layers=1, heads=("scores",)))
    for call in (meta, meta.rewrite):
        with pytest.raises(UsageError, match="expected the head 'rewrite' for new weights"):
            call(graph)


def test_operators_of_unknown_kinds_are_named_once_and_read_all_the_same() -> None:
    graph = graph_of("attention")
    meta = meta_of(FactorisedConfig(hidden=4, layers=1, kinds=("add",)))
    with pytest.warns(UserWarning, match=r"kinds it never saw: 'linear' \(weight 'head.weight'\)") as caught:
        rewritten = meta.rewrite(graph)
    assert len(caught) == 1
    assert not torch.equal(rewritten.state["head.weight"], graph.state["head.weight"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meta_of().rewrite(graph)


def test_a_structure_without_a_program_is_read() -> None:
    s = graph_of("concat").structure
    bare = NeuralGraph(
        Structure(s.groups, s.axes, s.tensors, aliases=s.aliases, order=s.order), graph_of("concat").state
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reading = meta_of().read(bare)
    assert all(v.isfinite().all() for v in told(reading).values())
    expected = Oracle(meta_of(), bare.structure).read(bare)
    assert all(torch.allclose(told(reading)[k], v) for k, v in expected.items())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("key", ["left.weight", "norm.bias"])
def test_rewrite_refuses_weights_that_are_not_finite(key: str, value: float) -> None:
    graph = graph_of("concat").clone()
    graph.state[key].view(-1)[0] = value
    with pytest.raises(GraphError, match=f"rewrite: expected finite weights, tensor '{key}' holds"):
        meta_of().rewrite(graph)


def test_a_weight_of_zeros_and_an_infinite_statistic_do_no_harm() -> None:
    graph = graph_of("concat").clone()
    graph.state["left.weight"].zero_()
    graph.state["norm.running_var"][0] = torch.inf
    state = {"left.weight": graph.state["left.weight"].clone().requires_grad_()}
    found = told(meta_of().read(graph, state))
    assert all(v.isfinite().all() for v in found.values())
    sum(v.sum() for v in found.values()).backward()
    assert state["left.weight"].grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_values_keep_the_dtype_of_their_parameter(dtype: torch.dtype) -> None:
    graph = to_graph(nn.Conv1d(3, 2, 3).to(dtype), torch.zeros(1, 3, 4, dtype=dtype))
    meta = FactorisedMetanetwork(FactorisedConfig(hidden=4, layers=1, heads=HEADS))
    reading = meta.read(graph)
    assert reading.values is not None and reading.output is not None
    assert {v.dtype for v in reading.values.values()} == {dtype}
    assert reading.output.dtype == torch.float32
    meta.rewrite(graph).validate()


def test_only_floating_parameters_change() -> None:
    graph = graph_of("scaled")
    rewritten = meta_of().rewrite(graph)
    changed = {n for n, t in graph.state.items() if not torch.equal(rewritten.state[n], t)}
    assert changed == {"first.weight", "scale", "second.weight", "second.bias"}
    rewritten.validate()


def test_a_state_stands_in_for_the_graphs_own() -> None:
    graph, meta = graph_of("mlp"), meta_of()
    name = next(n for n in graph.state if n.endswith("weight"))
    other = {name: graph.state[name] * 2}
    found, expected = told(meta.read(graph, other)), told(meta.read(graph.replace(other)))
    assert all(torch.equal(found[k], expected[k]) for k in expected)
    with pytest.raises(GraphError, match="no tensor 'nothing'"):
        meta(graph, {"nothing": torch.zeros(1)})


def test_the_scale_of_a_layer_reaches_nothing_but_its_logarithm() -> None:
    """Ten times the weights: what other weights change by moves little, what these change by tenfold."""
    graph = graph_of("mlp")
    meta = meta_of(FactorisedConfig(hidden=6, layers=2, rho=1.0))
    with torch.no_grad():
        meta.weight_encoder.weight[:, -1] = 0  # forget the logarithm
    name = next(n for n in graph.state if n.endswith("weight"))
    large = graph.replace({name: graph.state[name] * 10})
    first, second = meta(graph), meta(large)
    for key, value in first.items():
        assert torch.allclose(second[key], value * (10 if key == name else 1), atol=1e-9), key


def test_the_same_twice() -> None:
    graph, meta = (
        graph_of("digits_resnet", torch.float32),
        FactorisedMetanetwork(FactorisedConfig(heads=HEADS)),
    )
    first, second = told(meta.read(graph)), told(meta.read(graph))
    assert all(torch.equal(second[k], v) for k, v in first.items())


def test_autocast_changes_nothing() -> None:
    graph, meta = (
        graph_of("concat", torch.float32),
        FactorisedMetanetwork(FactorisedConfig(hidden=4, layers=1)),
    )
    expected = meta(graph)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = meta(graph)
    assert all(torch.equal(found[n], v) for n, v in expected.items())


def test_it_learns_the_scale_of_a_layer() -> None:
    """A target for the whole network that only its weights tell."""
    graph = graph_of("mlp", torch.float32)
    name = next(n for n in graph.state if n.endswith("weight"))
    torch.manual_seed(0)
    meta = FactorisedMetanetwork(FactorisedConfig(hidden=8, layers=1, heads=("graph",)))
    pairs = [({name: graph.state[name] * s}, torch.tensor([s])) for s in (0.5, 1.0, 2.0)]
    optimizer = torch.optim.Adam(meta.parameters(), 0.02)
    losses = []
    for _ in range(60):
        outputs = [(meta.read(graph, state).output, s) for state, s in pairs]
        loss = sum((o - s).square().sum() for o, s in outputs if o is not None)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 4
