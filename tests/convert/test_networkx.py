"""NetworkX: lossless both ways, in any order, and as plain data."""

import json
import random
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch

from netgraph.convert import to_graph
from netgraph.convert.layout import node_columns
from netgraph.convert.networkx_ import from_networkx, to_networkx
from netgraph.errors import InterchangeError
from netgraph.graph import NeuralGraph
from tests.graph.networks import NETWORKS, by_hand, graph

Net = nx.MultiDiGraph


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(name: str) -> None:
    assert from_networkx(to_networkx(graph(name))) == graph(name)


def test_what_stands_where() -> None:
    hand = by_hand()
    net = to_networkx(hand)
    assert list(net.nodes) == [("in", 0), ("in", 1), ("hidden", 0), ("hidden", 1), ("hidden", 2), ("out", 0)]
    assert net.nodes["hidden", 1] == {
        "group": "hidden",
        "role": "hidden",
        "x": [hand.state["a.bias"][1].item()],
    }
    assert net.nodes["in", 0]["x"] == []
    weight = hand.state["a.weight"][2, 1].item()
    assert net["in", 1]["hidden", 2] == {"0:0": {"tensor": "a.weight", "weight": [weight]}}
    assert nx.is_directed_acyclic_graph(net)
    assert net.in_degree(("hidden", 0)) == 2


def test_kernels_parallel_edges_and_self_loops() -> None:
    net = to_networkx(graph("grouped"))
    assert {len(w) for _, _, w in net.edges(data="weight")} == {1, 9, 3}
    assert net.number_of_edges(("up", 0), ("out", 0)) == 16
    assert net.number_of_edges(("up", 1), ("up", 1)) == 3 + 4
    columns = node_columns(graph("grouped").structure)["out.bias"]["out"]
    assert net.nodes["out", 1]["x"][columns] == [graph("grouped").state["out.bias"][1].item()]


@pytest.mark.parametrize("name", NETWORKS)
def test_survives_json(name: str) -> None:
    text = json.dumps(nx.node_link_data(to_networkx(graph(name)), edges="edges"))
    again = from_networkx(nx.node_link_graph(json.loads(text), edges="edges"))
    expected = graph(name).clone()
    if name == "odds":  # JSON has one NaN, which Python reads with the plain payload
        expected.state["nan"][0] = float("nan")
    assert again == expected


def test_order_does_not_matter() -> None:
    net = to_networkx(graph("grouped"))
    nodes, edges = list(net.nodes(data=True)), list(net.edges(keys=True, data=True))
    random.shuffle(nodes)
    random.shuffle(edges)
    mixed: Net[Any] = nx.MultiDiGraph(**net.graph)
    mixed.add_nodes_from(nodes)
    mixed.add_edges_from(edges)
    assert from_networkx(mixed) == graph("grouped")


def test_copies_come_back() -> None:
    net = to_networkx(graph("concat"))
    assert from_networkx(net.copy()) == graph("concat")
    assert from_networkx(net.reverse().reverse()) == graph("concat")


def test_edits_come_back() -> None:
    net = to_networkx(by_hand())
    net["in", 1]["hidden", 2]["0:0"]["weight"] = np.array([4.0])
    net.nodes["hidden", 0]["x"] = (2,)
    net.nodes["hidden", 0]["colour"] = "red"
    again = from_networkx(net)
    expected = by_hand()
    expected.state["a.weight"][2, 1] = 4
    expected.state["a.bias"][0] = 2
    assert again == expected


def test_wide_and_narrow_numbers_are_exact() -> None:
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        module = torch.nn.Linear(3, 2).to(dtype)
        converted = to_graph(module, torch.zeros(1, 3, dtype=dtype))
        assert from_networkx(to_networkx(converted)) == converted


def test_not_a_number_stays_one() -> None:
    hand = by_hand()
    state = {**hand.state, "a.bias": torch.tensor([float("nan"), -0.0, float("-inf")])}
    again = from_networkx(to_networkx(NeuralGraph(hand.structure, state)))
    assert again.state["a.bias"].isnan().tolist() == [True, False, False]
    assert torch.equal(again.state["a.bias"][1:].view(torch.int32), state["a.bias"][1:].view(torch.int32))


def change(edit: Callable[[Any], object]) -> Callable[[Any], Any]:
    def take(net: Any) -> Any:
        edit(net)
        return net

    return take


def rename(net: Any) -> Any:
    return nx.relabel_nodes(net, {("one", 0): ("one", 9)})


def set_weight(value: object) -> Callable[[Any], Any]:
    return change(lambda n: n["input", 0]["one", 0]["2:0"].__setitem__("weight", value))


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "nothing": (lambda n: None, "expected a MultiDiGraph"),
    "foreign": (lambda n: nx.MultiDiGraph([(0, 1)]), "with a 'netgraph' entry"),
    "simple": (lambda n: nx.DiGraph(n), "expected a MultiDiGraph"),
    "undirected": (lambda n: n.to_undirected(), "expected a MultiDiGraph"),
    "structure dropped": (change(lambda n: n.graph.pop("netgraph")), "with a 'netgraph' entry"),
    "structure damaged": (change(lambda n: n.graph["netgraph"].pop("axes")), "expected the fields"),
    "structure of another": (
        change(lambda n: n.graph.update(netgraph=to_networkx(graph("mlp")).graph["netgraph"])),
        "expected 14 nodes, got 37",
    ),
    "node removed": (change(lambda n: n.remove_node(("flags", 0))), "expected 37 nodes, got 36"),
    "node added": (change(lambda n: n.add_node("more")), "expected 37 nodes, got 38"),
    "node renamed": (rename, r"node \('one', 0\), which is missing"),
    "edge removed": (
        change(lambda n: n.remove_edge(("input", 0), ("one", 0), "2:0")),
        "expected 26 edges, got 25",
    ),
    "edge added": (change(lambda n: n.add_edge(("one", 0), ("one", 1))), "expected 26 edges, got 27"),
    "edge moved": (
        change(
            lambda n: (
                n.remove_edge(("input", 0), ("one", 0), "2:0"),
                n.add_edge(("input", 0), ("two", 0), "2:0", weight=[1.0]),
            )
        ),
        "is none of the converted graph",
    ),
    "edge turned around": (lambda n: n.reverse(), "is none of the converted graph"),
    "keys dropped": (lambda n: rekeyed(n), "is none of the converted graph"),
    "weight missing": (
        change(lambda n: n["input", 0]["one", 0]["2:0"].pop("weight")),
        "weight of the edges of 'one.weight'",
    ),
    "weight too long": (set_weight([1.0, 2.0]), "weight of the edges of 'one.weight'"),
    "weight is a number": (set_weight(1.0), "weight of the edges of 'one.weight'"),
    "weight is a text": (set_weight(["a"]), "weight of the edges of 'one.weight'"),
    "features missing": (
        change(lambda n: n.nodes["one", 0].pop("x")),
        "x of the nodes of group 'one'",
    ),
    "features too short": (
        change(lambda n: n.nodes["one", 0].update(x=[])),
        "x of the nodes of group 'one'",
    ),
    "graph features dropped": (change(lambda n: n.graph.pop("graph_attr")), "the graph's graph_attr"),
    "verbatim dropped": (change(lambda n: n.graph.pop("verbatim")), "'verbatim' to be a dict"),
    "verbatim lost one": (
        change(lambda n: n.graph["verbatim"].pop("flags")),
        "expected the verbatim tensors",
    ),
    "verbatim no text": (change(lambda n: n.graph["verbatim"].update(flags=3)), "'flags' is damaged"),
    "verbatim no base64": (
        change(lambda n: n.graph["verbatim"]["flags"].update(data="?")),
        "'flags' is damaged",
    ),
    "verbatim cut short": (
        change(lambda n: n.graph["verbatim"]["flags"].update(data="AQ==")),
        "'flags' is damaged",
    ),
    "verbatim dtype": (
        change(lambda n: n.graph["verbatim"]["flags"].update(dtype="float31")),
        "'flags' is damaged",
    ),
    "verbatim shape": (
        change(lambda n: n.graph["verbatim"]["flags"].update(shape=[3, 1])),
        "verbatim tensor 'flags'",
    ),
}


def rekeyed(net: Any) -> Any:
    other: Net[Any] = nx.MultiDiGraph(**net.graph)
    other.add_nodes_from(net.nodes(data=True))
    other.add_edges_from(net.edges(data=True))
    return other


@pytest.mark.parametrize(("take", "message"), REFUSED.values(), ids=REFUSED)
def test_from_networkx_refuses(take: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(InterchangeError, match=message) as caught:
        from_networkx(take(to_networkx(graph("odds"))))
    assert str(caught.value).startswith("from_networkx: ")
