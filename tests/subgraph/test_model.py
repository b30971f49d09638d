"""Subgraph networks: both backends, the straightforward twin, symmetry, and what is refused."""

from copy import deepcopy

import networkx as nx
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from netgraph.errors import UsageError
from netgraph.subgraph import MODELS, SubgraphNet
from tests.subgraph.graphs import permuted, random_data
from tests.subgraph.oracle import Oracle, product_edges

SIZES = {"none": (0, None), "float": (4, 3), "int": (4, 3)}
"""Features: (in_channels, edge_dim)."""


def network(model: str | None = "SSWL", features: str = "none", **options: object) -> SubgraphNet:
    torch.manual_seed(1)
    in_channels, edge_dim = SIZES[features]
    settings = {"hidden_channels": 8, "num_layers": 2, **options}
    net = SubgraphNet(in_channels, 3, model=model, edge_dim=edge_dim, **settings)  # type: ignore[arg-type]
    for name, parameter in net.named_parameters():
        if name.endswith(".eps"):
            parameter.data.normal_()  # zero at the start, and zero hides mistakes
    return net


def data_for(net: SubgraphNet, features: str, seeds: range = range(9)) -> list[Data]:
    return [net.transform(random_data(seed, features)) for seed in seeds]


def with_gradients(net: SubgraphNet, out: Tensor) -> dict[str, Tensor]:
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
    names, parameters = zip(*net.named_parameters(), strict=True)
    grads = torch.autograd.grad((out * weight).sum(), parameters, allow_unused=True)
    return {"out": out.detach(), **{n: g for n, g in zip(names, grads, strict=True) if g is not None}}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = float(value.abs().max()) + 1
        assert float((found[name] - value).abs().max()) <= tolerance * scale, name


CASES = [
    *((model, {}, features) for model in MODELS for features in SIZES),
    *(
        ("SSWL+", {"policy": policy, "hops": hops}, "float")
        for policy in ("marking", "deletion")
        for hops in (None, 2)
    ),
    *(("SUN", {"policy": "deletion"}, features) for features in SIZES),
    *(
        ("SSWL", {"level": level, "pooling": pooling}, "int")
        for level in ("node", "edge")
        for pooling in ("VS", "SV")
    ),
    *(
        ("SSWL", {"pool": pool, "pooling": pooling}, "none")
        for pool in ("sum", "max")
        for pooling in ("VS", "SV", "root")
    ),
    ("GSWL", {"norm": None}, "none"),
    (None, {"aggregations": ["point_uv", "point_vu", "local_u"]}, "none"),
    ("GNN-AK", {"norm": None, "policy": "deletion", "hops": 1}, "int"),
]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
@pytest.mark.parametrize(("model", "options", "features"), CASES)
def test_both_backends_and_the_twin_agree(
    model: str | None, options: dict[str, object], features: str, training: bool
) -> None:
    found = []
    for backend in ("dense", "sparse"):
        net = network(model, features, backend=backend, **options).double().train(training)
        data = data_for(net, features)
        found.append(with_gradients(net, net(Batch.from_data_list(data))))
    net = network(model, features, **options).double().train(training)
    edges = product_edges(data, net.aggregations)
    expected = with_gradients(net, Oracle(net)(Batch.from_data_list(data), edges))
    assert_same(found[0], found[1], 1e-10)
    assert_same(found[0], expected, 1e-10)


@pytest.mark.parametrize("model", ["SSWL+", "SUN"])
def test_both_backends_agree_in_single_precision(model: str) -> None:
    outputs = []
    for backend in ("dense", "sparse"):
        net = network(model, "float", backend=backend)
        outputs.append(net(Batch.from_data_list(data_for(net, "float"))))
    assert torch.allclose(*outputs, rtol=1e-5, atol=1e-5)


def test_running_statistics_agree() -> None:
    states = []
    for backend in ("dense", "sparse"):
        net = network(backend=backend).double()
        net(Batch.from_data_list(data_for(net, "none")))
        states.append(net.state_dict())
    expected = network().double()
    data = data_for(expected, "none")
    Oracle(expected)(Batch.from_data_list(data), product_edges(data, expected.aggregations))
    for name, value in expected.state_dict().items():
        assert torch.allclose(states[0][name], value, atol=1e-12), name
        assert torch.allclose(states[1][name], value, atol=1e-12), name


@pytest.mark.parametrize("level", ["graph", "node"])
@pytest.mark.parametrize("model", MODELS)
def test_outputs_do_not_depend_on_the_order_of_the_nodes(model: str, level: str) -> None:
    net = network(model, "int", level=level).double().eval()
    data = random_data(5, "int")
    order = torch.randperm(data.num_nodes)
    out, other = net(net.transform(data)), net(net.transform(permuted(data, order)))
    assert torch.allclose(other, out[order] if level == "node" else out, atol=1e-12)


def test_a_batch_gives_what_its_graphs_give_alone() -> None:
    net = network("SSWL+", "float").double().eval()
    data = data_for(net, "float")
    alone = torch.cat([net(one) for one in data])
    assert torch.allclose(net(Batch.from_data_list(data)), alone, atol=1e-12)


def test_outputs_of_edges_follow_edge_index() -> None:
    net = network("SSWL", "none", level="edge").double().eval()
    data = net.transform(nx.path_graph(3))
    out = net(data)
    assert out.shape == (4, 3)
    ends = data.edge_index.T.tolist()
    assert torch.allclose(
        out[ends.index([0, 1])], out[ends.index([2, 1])], atol=1e-12
    )  # a symmetry of the path
    assert not torch.allclose(out[ends.index([0, 1])], out[ends.index([1, 0])], atol=1e-3)


def test_parameters_are_about_as_many_as_in_the_paper() -> None:
    """274k and 387k there; the two biases before each norm are left out here, and one embedding is larger."""
    for model, count in (("SSWL", 274_000), ("SSWL+", 387_000)):
        net = SubgraphNet(28, 1, model=model, hidden_channels=96, num_layers=6, edge_dim=4)
        assert abs(sum(p.numel() for p in net.parameters()) / count - 1) < 0.02


@pytest.mark.parametrize("backend", ["dense", "sparse"])
def test_mixed_precision(backend: str) -> None:
    for features in SIZES:
        net = network("SUN", features, backend=backend)
        batch = Batch.from_data_list(data_for(net, features))
        with torch.autocast("cpu", torch.bfloat16):
            out = net(batch)
        out.float().sum().backward()
        net = network("SUN", features, backend=backend)
        assert torch.allclose(out.float(), net(batch), atol=0.1)


def test_dropout_is_off_when_evaluating() -> None:
    net = network(dropout=0.5)
    batch = Batch.from_data_list(data_for(net, "none"))
    assert not torch.equal(net(batch), net(batch))
    net.eval()
    assert torch.equal(net(batch), net(batch))


@pytest.mark.slow
@pytest.mark.parametrize("features", ["none", "float"])
def test_the_dense_network_compiles_as_a_whole(features: str) -> None:
    net = network("SSWL+", features, backend="dense")
    if features == "float":
        net = SubgraphNet(4, 3, hidden_channels=8, num_layers=2, backend="dense")
    data = [net.transform(random_data(seed, features)) for seed in range(5)]
    for one in data:
        if features == "float":
            del one.edge_attr
    pairs = net.pairs(Batch.from_data_list(data))
    expected = with_gradients(net, net(pairs))
    found = with_gradients(net, torch.compile(net, fullgraph=True)(pairs))
    assert_same(found, expected, 1e-4)


def test_whole_networks_of_single_nodes() -> None:
    for model in MODELS:
        net = network(model).eval()
        out = net(Batch.from_data_list([net.transform(nx.empty_graph(n)) for n in (1, 1, 3)]))
        assert torch.isfinite(out).all() and torch.equal(out[0], out[1])
    net = network(policy="deletion").eval()
    assert torch.isfinite(net(net.transform(nx.empty_graph(1)))).all()  # no pairs at all


BAD_OPTIONS = {
    "model": ({"model": "SSVL"}, "did you mean 'SSWL'"),
    "model and aggregations": ({"aggregations": ["local_u"]}, "got both"),
    "pooling": ({"pooling": "SS"}, "pooling: expected one of VS, SV, root"),
    "pool": ({"pool": "median"}, "pool: expected one of mean, sum, max"),
    "level": ({"level": "pair"}, "level: expected one of graph, node, edge"),
    "policy": ({"policy": "colouring"}, "policy of marking, distance, deletion"),
    "backend": ({"backend": "blocks"}, "backend: expected one of auto, dense, sparse"),
    "norm": ({"norm": "layer"}, "norm: expected 'batch' or None"),
    "layers": ({"num_layers": 0}, "num_layers"),
    "hops": ({"hops": 0}, "hops"),
    "dropout": ({"dropout": 1.0}, "dropout"),
    "channels": ({"hidden_channels": 2.5}, "hidden_channels"),
    "root without marks": ({"pooling": "root", "policy": "deletion"}, "pairs \\(u, u\\)"),
}


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        network(**{"model": "SSWL", **options})  # type: ignore[arg-type]


def _without(name: str) -> Data:
    data = network(features="float").transform(random_data(5, "float"))
    del data[name]
    return data


def _with(name: str, value: Tensor) -> Data:
    data = network(features="float").transform(random_data(5, "float"))
    data[name] = value
    return data


BAD_BATCHES = {
    "untransformed": ("none", random_data(5), "network.transform"),
    "no graph": ("none", 7, "network.transform"),
    "pairs of unknown origin": (
        "none",
        Data(pair_index=torch.zeros(2, 1, dtype=torch.long), num_nodes=1),
        "network.transform",
    ),
    "no nodes": ("none", network().transform(nx.empty_graph(0)), "at least one node"),
    "no nodes in one graph": (
        "none",
        Batch.from_data_list([network().transform(nx.empty_graph(n)) for n in (2, 0, 1)]),
        "at least one node",
    ),
    "another transform": ("none", network(hops=2).transform(random_data(5)), "hops=2"),
    "features missing": ("float", _without("x"), "expected a tensor x, got none"),
    "edge features missing": ("float", _without("edge_attr"), "expected a tensor edge_attr, got none"),
    "features not wanted": ("none", network().transform(random_data(5, "float")), "expected no x"),
    "too many features": ("float", _with("x", torch.randn(9, 5)), "4 numbers per row"),
    "one feature as a vector": ("float", _with("x", torch.randn(9)), "4 numbers per row"),
    "category out of range": ("int", _with("x", torch.full((9,), 4)), "categories from 0 to 3"),
    "two categories per row": (
        "int",
        _with("x", torch.zeros(9, 2, dtype=torch.long)),
        "one category per row",
    ),
}


@pytest.mark.parametrize(("features", "batch", "message"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_bad_batches_are_refused(features: str, batch: Data, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        network(features=features)(batch)


def test_graphs_without_edges_need_no_features_of_edges() -> None:
    net = network("SUN", "float").eval()
    data = net.transform(Data(x=torch.randn(3, 4), edge_index=torch.zeros(2, 0, dtype=torch.long)))
    alone = net(data)
    data.edge_attr = torch.zeros(0, 3)
    assert torch.allclose(net(data), alone, atol=1e-6)


def test_a_single_pair_has_no_variance_to_train_with() -> None:
    net = network()
    with pytest.raises(UsageError, match="at least two pairs"):
        net(net.transform(nx.empty_graph(1)))


def test_training_steps_round_less_than_the_straightforward_twin() -> None:
    """Deep networks on regular graphs: features that hardly vary, whose norms magnify what was rounded."""
    torch.manual_seed(0)
    network = SubgraphNet(0, 1, model="SSWL", hidden_channels=32, num_layers=6)
    graphs = [network.transform(nx.random_regular_graph(5, 10, seed=seed)) for seed in range(32)]
    batch, edges = Batch.from_data_list(graphs), product_edges(graphs, network.aggregations)
    exact = Oracle(deepcopy(network).double())(batch, edges).detach()
    ours, plain = (
        float((side.detach().double() - exact).abs().max() / exact.abs().max())
        for side in (network(batch), Oracle(network)(batch, edges))
    )
    assert ours < min(1e-4, plain)
