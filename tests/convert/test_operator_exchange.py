"""Operator graphs in PyTorch Geometric and NetworkX: all of it, batched, and as JSON."""

import json

import networkx as nx
import pytest
import torch
from torch_geometric.loader import DataLoader

from netgraph.convert.operator_exchange import (
    OPERATOR_KINDS,
    kind_categories,
    operators_to_networkx,
    operators_to_pyg,
)
from netgraph.errors import InterchangeError
from netgraph.graph.operators import MOVES, OPERATOR_FEATURES, OperatorGraph, operator_graph
from tests.graph.networks import NETWORKS, graph

NAMES = [name for name in NETWORKS if name != "half"]


@pytest.fixture(params=NAMES)
def operators(request: pytest.FixtureRequest) -> OperatorGraph:
    return operator_graph(graph(request.param))


def test_pyg_has_all_of_it(operators: OperatorGraph) -> None:
    data = operators_to_pyg(operators)
    assert [OPERATOR_KINDS[k] for k in data.kind.tolist()] == [
        k if k in OPERATOR_KINDS else "other" for k in operators.kinds
    ]
    assert [tuple(e) for e in torch.stack((*data.edge_index, data.position, data.result)).T.tolist()] == list(
        operators.edges
    )
    torch.testing.assert_close(data.x.double().expm1(), operators.x, rtol=1e-4, atol=1e-4)
    assert data.x.shape == (operators.num_nodes, len(OPERATOR_FEATURES)) and data.x.dtype == torch.float32
    assert tuple(data.depth.tolist()) == operators.depth
    data.validate()


def test_loaders_batch_them() -> None:
    singles = [operators_to_pyg(operator_graph(graph(name))) for name in NAMES]
    (batch,) = DataLoader(singles, batch_size=len(NAMES))
    for one, back in zip(singles, batch.to_data_list(), strict=True):
        for key in ("kind", "x", "depth", "edge_index", "position", "result"):
            assert torch.equal(one[key], back[key])


def test_networkx_has_all_of_it(operators: OperatorGraph) -> None:
    net = operators_to_networkx(operators)
    assert list(net.nodes) == list(range(operators.num_nodes))
    assert [net.nodes[n]["kind"] for n in net] == list(operators.kinds)
    assert [tuple(net.nodes[n]["x"]) for n in net] == list(operators.features)
    assert [net.nodes[n]["name"] for n in net] == list(operators.names)
    assert sorted((u, v, d["position"], d["result"]) for u, v, d in net.edges(data=True)) == sorted(
        operators.edges
    )
    assert nx.is_directed_acyclic_graph(net)
    again = nx.node_link_graph(json.loads(json.dumps(nx.node_link_data(net, edges="edges"))), edges="edges")
    assert nx.utils.graphs_equal(again, net) and again.graph == net.graph


def test_vocabulary() -> None:
    assert len(set(OPERATOR_KINDS)) == len(OPERATOR_KINDS) and OPERATOR_KINDS[0] == "other"
    assert {"view", "dropout", "permute"} <= MOVES & set(OPERATOR_KINDS)
    # Files and trained predictors hold these numbers, so they may not move.
    assert kind_categories(["input", "output", "conv2d", "linear", "batch_norm", "relu", "add", "cat"]) == [
        *(1, 2, 4, 9, 22, 28, 47, 60),
    ]
    assert operators_to_pyg(operator_graph(graph("mlp")), ["relu", "other"]).kind.tolist().count(0) == 2


@pytest.mark.parametrize("vocabulary", [["relu"], ["relu", "relu", "other"]])
def test_bad_vocabularies_are_refused(vocabulary: list[str]) -> None:
    for read in (operators_to_pyg, operators_to_networkx):
        with pytest.raises(InterchangeError, match="distinct kinds with 'other' among them"):
            read(operator_graph(graph("mlp")), vocabulary)
