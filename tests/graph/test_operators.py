"""Operator graphs against the rebuilt module's own graph, against costs, and by hand."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import networkx as nx
import pytest
import torch
from torch import Tensor, fx, nn

from netgraph.convert import to_graph
from netgraph.errors import GraphError
from netgraph.graph import NeuralGraph, macs, params
from netgraph.graph.operators import MOVES, OPERATOR_FEATURES, OperatorGraph, operator_graph
from netgraph.zoo import ViT, resnet8
from tests.graph.networks import NETWORKS, by_hand, graph

ZOO: dict[str, Callable[[], NeuralGraph]] = {
    **{name: lambda name=name: graph(name) for name in NETWORKS if name != "half"},  # type: ignore[misc]
    "by hand": by_hand,
    "resnet8": lambda: to_graph(resnet8(), torch.zeros(2, 3, 16, 16)),
    "vit": lambda: to_graph(ViT(), torch.zeros(2, 1, 8, 8)),
}


@cache
def found_network(name: str) -> NeuralGraph:
    return ZOO[name]()


@pytest.fixture(params=ZOO)
def network(request: pytest.FixtureRequest) -> NeuralGraph:
    return found_network(request.param)


def column(found: OperatorGraph, name: str) -> list[int]:
    return [row[OPERATOR_FEATURES.index(name)] for row in found.features]


def traced_edges(network: NeuralGraph) -> set[tuple[str, str]]:
    """Producer and consumer of every activation, from the graph of the rebuilt `torch.fx` module."""
    program = network.to_module().graph
    name: dict[fx.Node, str] = {}
    calls = iter(op.name for op in network.structure.operators)
    found = set()
    for node in program.nodes:
        if node.op == "placeholder":
            name[node] = network.structure.inputs[len(name)]
        elif node.op == "call_function" and "getitem" in str(node.target):
            name[node] = name[node.args[0]]
        elif node.op == "call_function" and "sym_size" not in str(node.target) and node.name[:3] != "mul":
            name[node] = next(calls)
        if node.op == "output":
            found |= {(name[n], "output") for n in node.all_input_nodes if n in name}
        elif node in name and "getitem" not in str(node.target):
            found |= {(name[n], name[node]) for n in node.all_input_nodes if n in name}
    return found


def test_edges_are_those_of_the_rebuilt_module() -> None:
    for name in ("mlp", "concat", "shuffle", "resnet8"):
        network = found_network(name)
        found = operator_graph(network)
        names = ["output" if k == "output" else n for k, n in zip(found.kinds, found.names, strict=True)]
        ours = {(names[e.source], names[e.target]) for e in found.edges}
        assert ours == traced_edges(network)


def test_sums_are_the_costs_of_the_network(network: NeuralGraph) -> None:
    for contract in (False, True):
        found = operator_graph(network, contract=contract)
        assert sum(column(found, "macs")) == macs(network)
        unused = {t.name for t in network.structure.tensors if t.kind == "parameter"}
        unused -= {n for op in network.structure.operators for n in op.refs("tensor")}
        left_out = sum(network.structure.tensor[n].numel for n in unused)
        assert sum(column(found, "parameters")) == params(network) - left_out


def test_topological_order_and_ends(network: NeuralGraph) -> None:
    for contract in (False, True):
        found = operator_graph(network, contract=contract)
        assert len(found.kinds) == len(found.features) == len(found.names) == found.num_nodes
        assert found.num_edges == found.edge_index.size(1) == len(found.position) == len(found.result)
        assert list(found.edges) == sorted(found.edges, key=lambda e: (e.target, e.position))
        assert all(e.source < e.target for e in found.edges)
        inputs, outputs = len(network.structure.inputs), len(network.structure.outputs)
        assert found.kinds[:inputs] == ("input",) * inputs and found.kinds[-outputs:] == ("output",) * outputs
        assert "input" not in found.kinds[inputs:] and "output" not in found.kinds[:-outputs]
        net = nx.DiGraph(found.edge_index.T.tolist())
        longest = max(nx.dag_longest_path_length(net), 0)
        assert max(found.depth) == longest
        fresh = operator_graph(network.structure, contract=contract)
        assert fresh == found and hash(fresh) == hash(found) and fresh.names == found.names


def test_contraction_keeps_what_reaches_what(network: NeuralGraph) -> None:
    """Whatever stays has the same ancestors among what stays."""
    whole, short = operator_graph(network), operator_graph(network, contract=True)
    assert not MOVES & set(short.kinds)
    labels = [f"{k} {n}" for k, n in zip(short.kinds, short.names, strict=True)]
    assert labels == [f"{k} {n}" for k, n in zip(whole.kinds, whole.names, strict=True) if k not in MOVES]

    def reach(found: OperatorGraph) -> dict[str, set[str]]:
        tag = [f"{k} {n}" for k, n in zip(found.kinds, found.names, strict=True)]
        net = nx.DiGraph()
        net.add_nodes_from(tag)
        net.add_edges_from((tag[e.source], tag[e.target]) for e in found.edges)
        return {t: nx.ancestors(net, t) & set(labels) for t in labels}

    assert reach(short) == reach(whole)


class Everything(nn.Module):
    """Order of operands, pieces of a result, a weight that comes through a view, a write into a slice."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3))
        self.token = nn.Parameter(torch.randn(1, 3))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        left, right = x.chunk(2, 1)
        z = torch.sub(right, left) @ self.weight.t()
        tokens = torch.cat([self.token.expand(x.shape[0], -1), y])
        return z, tokens * tokens


def test_by_hand() -> None:
    found = operator_graph(to_graph(Everything(), (torch.zeros(2, 6), torch.zeros(2, 3))))
    assert found.kinds == (
        *("input", "input", "chunk", "sub", "t", "matmul", "expand", "cat", "mul", "output", "output"),
    )
    assert [tuple(e) for e in found.edges] == [
        (0, 2, 0, 0),
        (2, 3, 0, 1),
        (2, 3, 1, 0),
        (3, 5, 0, 0),
        (4, 5, 1, 0),
        (6, 7, 0, 0),
        (1, 7, 1, 0),
        (7, 8, 0, 0),
        (7, 8, 1, 0),
        (5, 9, 0, 0),
        (8, 10, 0, 0),
    ]
    assert column(found, "parameters") == [0, 0, 0, 0, 12, 0, 3, 0, 0, 0, 0]
    assert found.depth == (0, 0, 1, 2, 0, 3, 0, 1, 2, 4, 3)


def test_by_hand_contracted() -> None:
    network = to_graph(Everything(), (torch.zeros(2, 6), torch.zeros(2, 3)))
    found = operator_graph(network, contract=True)
    assert found.kinds == ("input", "input", "sub", "matmul", "cat", "mul", "output", "output")
    assert [tuple(e) for e in found.edges] == [
        *((0, 2, 0, 0), (0, 2, 1, 0), (2, 3, 0, 0), (1, 4, 1, 0)),
        *((4, 5, 0, 0), (4, 5, 1, 0), (3, 6, 0, 0), (5, 7, 0, 0)),
    ]
    assert column(found, "parameters") == [0, 0, 0, 12, 3, 0, 0, 0]


def test_features_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(6, 12, 3, stride=2, padding=1, dilation=1, groups=3),
        nn.GroupNorm(4, 12),
        nn.MaxPool2d(2),
        nn.AvgPool2d((1, 2), stride=1),
        nn.ConvTranspose2d(12, 4, (2, 3), stride=(1, 3), dilation=2, bias=False),
    )
    found = operator_graph(to_graph(net, torch.zeros(2, 6, 16, 16)))
    kinds = ("input", "conv2d", "group_norm", "max_pool2d", "avg_pool2d", "conv_transpose2d", "output")
    assert found.kinds == kinds
    named = [dict(zip(OPERATOR_FEATURES, row, strict=True)) for row in found.features]
    window = [[n[k] for k in ("kernel", "stride", "dilation", "groups")] for n in named]
    assert window[1:6] == [[9, 2, 1, 3], [0, 0, 0, 4], [4, 2, 1, 0], [2, 1, 1, 0], [6, 3, 2, 1]]
    assert column(found, "elements")[:5] == [6 * 256, 12 * 64, 12 * 64, 12 * 16, 12 * 4 * 3]
    assert column(found, "size_1") == [6, 12, 12, 12, 12, 4, 4]
    assert column(found, "size_2")[:5] == [16, 8, 8, 4, 4] and column(found, "size_3")[3:5] == [4, 3]
    assert column(found, "parameters") == [0, 12 * 2 * 9 + 12, 24, 0, 0, 12 * 4 * 6, 0]
    assert column(found, "macs")[1] == 64 * 12 * 2 * 9
    assert found.x.tolist() == [list(map(float, row)) for row in found.features]


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        y[:, :2] = x[:, 2:]
        return y.exp()


def test_a_write_is_read_by_whoever_reads_what_was_written_into() -> None:
    found = operator_graph(to_graph(InPlace(), torch.zeros(2, 4)), contract=True)
    names = {k: i for i, k in enumerate(found.kinds)}
    ends = {(e.source, e.target) for e in found.edges}
    writer = names.get("copy", names.get("slice_scatter"))
    assert writer is not None
    assert {(names["add"], writer), (names["input"], writer), (writer, names["exp"])} <= ends
    assert (names["add"], names["exp"]) not in ends


def test_sizes_of_few_and_of_many_dimensions() -> None:
    class Shapes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp().view(-1, 2, 3, 4, 5).relu().sum((1, 2, 3, 4))

    found = operator_graph(to_graph(Shapes(), torch.zeros(2, 120)), contract=True)
    assert found.kinds == ("input", "exp", "relu", "sum", "output")
    sizes = [row[:4] for row in found.features]
    assert sizes[1:4] == [(120, 120, 0, 0), (120, 2, 3, 20), (1, 0, 0, 0)]


def test_equal_where_only_names_differ() -> None:
    def net(width: int) -> NeuralGraph:
        return to_graph(nn.Sequential(nn.Linear(3, width), nn.ReLU()), torch.zeros(1, 3))

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 4)

        def forward(self, signal: Tensor) -> Tensor:
            return torch.relu(self.first(signal))

    mine, other = operator_graph(net(4)), operator_graph(to_graph(Named(), torch.zeros(1, 3)))
    assert mine.names != other.names and mine == other and len({mine, other}) == 1
    assert operator_graph(net(5)) != mine


def test_what_no_output_depends_on_is_left_out() -> None:
    class Dead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.norm(x)

    found = operator_graph(to_graph(Dead().train(), (torch.zeros(2, 3), torch.zeros(2, 3))))
    assert found.kinds == ("input", "input", "batch_norm", "output")
    assert found.edge_index.tolist() == [[0, 2], [2, 3]]


def test_no_program_is_refused() -> None:
    bare = replace(by_hand().structure, operators=(), values=(), inputs=(), outputs=(), symbols=())
    with pytest.raises(GraphError, match="operator_graph: expected a network with a program"):
        operator_graph(bare)
