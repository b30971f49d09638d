"""Networks with random weights separate what the exact test of their class separates, and no more."""

import itertools
from typing import Any

import networkx as nx
import pytest

from benchmarks.subgraph.networks import APART, EQUAL, separation
from netgraph.subgraph import MODELS, distinguishes
from tests.subgraph.furer import furer_pair

DUMBBELL = nx.Graph([(0, 1), (0, 2), (1, 2), (0, 3), (3, 4), (3, 5), (4, 5)])
CLASSES = {**{name: MODELS[name].test for name in MODELS}, "PPGN": "FWL(2)"}


def two_triangles_and_a_hexagon() -> tuple[Any, Any]:
    return nx.convert_node_labels_to_integers(
        nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    ), nx.cycle_graph(6)


PAIRS = {
    "triangles, hexagon": two_triangles_and_a_hexagon(),
    "K4": furer_pair(nx.complete_graph(4)),
    "dumbbell": furer_pair(DUMBBELL),
    "rook and Shrikhande": (
        nx.convert_node_labels_to_integers(nx.line_graph(nx.complete_bipartite_graph(4, 4))),
        nx.Graph(
            ((a, b), ((a + i) % 4, (b + j) % 4))
            for a, b in itertools.product(range(4), range(4))
            for i, j in ((0, 1), (1, 0), (1, 1))
        ),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("model", CLASSES)
def test_networks_agree_with_exact_tests(model: str, pair: str) -> None:
    g, h = PAIRS[pair]
    difference, rounding = separation(model, g, h)
    assert rounding < EQUAL
    if distinguishes(CLASSES[model], g, h):
        assert difference > APART
    else:
        assert difference < EQUAL


def labelled(kinds: str) -> Any:
    """A cycle with labels on its edges; `edge_attr` is the label."""
    net = nx.cycle_graph(len(kinds))
    for i, kind in enumerate(kinds):
        net.edges[i, (i + 1) % len(kinds)]["edge_attr"] = int(kind)
    return net


def with_labelled_bridge(net: Any) -> Any:
    """The Fürer graph over the dumbbell, label 1 on the edges that stand for its bridge."""
    for (u, s), (v, t) in net.edges:
        net.edges[(u, s), (v, t)]["edge_attr"] = int({u, v} == {0, 3})
    return nx.convert_node_labels_to_integers(net)


LABELLED = {
    "dumbbell": tuple(with_labelled_bridge(net) for net in furer_pair(DUMBBELL)),
    "order of labels": (labelled("001122"), labelled("010122")),
    "same order": (labelled("001122"), labelled("221100")),
    "turning the other way": (labelled("001012"), labelled("210100")),
    "cycles of several": (
        nx.disjoint_union(labelled("001"), labelled("011")),
        nx.disjoint_union(labelled("000"), labelled("111")),
    ),
    "only between the cycles": (
        nx.disjoint_union(labelled("0101"), labelled("0101")),
        labelled("01010101"),
    ),
}


@pytest.mark.parametrize("pair", LABELLED)
@pytest.mark.parametrize("model", ["SWL(VS)", "PSWL(SV)", "GSWL", "SSWL", "DSS-GNN", "PPGN"])
def test_networks_agree_on_labels_of_edges(model: str, pair: str) -> None:
    g, h = LABELLED[pair]
    difference, rounding = separation(model, g, h, edge_dim=3)
    assert rounding < EQUAL
    if distinguishes(CLASSES[model], g, h):
        assert difference > APART
    else:
        assert difference < EQUAL


def test_means_forget_sizes_and_sums_do_not() -> None:
    one, two = nx.cycle_graph(5), nx.disjoint_union(nx.cycle_graph(5), nx.cycle_graph(5))
    assert separation("SWL(VS)", one, two, hops=2)[0] > APART
    assert separation("SWL(VS)", one, two, hops=2, pool="mean")[0] < EQUAL
