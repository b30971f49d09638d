"""Colour refinement: the definition in loops, published verdicts, the proven order, hashes that collide."""

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import netgraph.subgraph.refinement as refinement
import netgraph.subgraph.refinement_rounds as rounds
from benchmarks.subgraph.data import brec, small_graphs, swl_pairs
from benchmarks.subgraph.verdicts import WEAKER, alike
from netgraph.convert import as_data
from netgraph.errors import InterchangeError, UsageError
from netgraph.subgraph.refinement import TESTS, color_counts, distinguishes
from tests.subgraph.furer import furer_pair
from tests.subgraph.refinement_oracle import pooling_of, summary

Graph = nx.Graph  # type: ignore[type-arg]

MARKED = ["SWL(VS)", "SWL(SV)", "PSWL(VS)", "PSWL(SV)", "GSWL", "SSWL"]
FOLKLORE = ["LFWL(2)", "SLFWL(2)", "FWL(2)"]


def shuffled(g: Graph, seed: int = 0) -> Graph:
    nodes = list(g)
    random.Random(seed).shuffle(nodes)
    out = nx.Graph()
    out.add_nodes_from((v, g.nodes[v]) for v in nodes)
    out.add_edges_from((v, u, data) for u, v, data in g.edges(data=True))
    return out


def labelled(g: Graph, seed: int) -> Graph:
    choose = random.Random(seed)
    g = g.copy()
    nx.set_node_attributes(g, {v: choose.choice([0.0, 1.5]) for v in g}, "x")
    nx.set_edge_attributes(g, {e: choose.choice("ab") for e in g.edges}, "label")
    return g


def partition(counts: Sequence["Counter[Any]"]) -> "Counter[tuple[int, ...]]":
    """Counts without the names of the colours: how many colours occur so often in each of the graphs."""
    return Counter(tuple(c[color] for c in counts) for color in set().union(*counts))


def collections() -> dict[str, list[Graph]]:
    plain = [nx.gnp_random_graph(n, p, seed=s) for s, (n, p) in enumerate([(5, 0.3), (6, 0.5), (7, 0.4)] * 3)]
    cubic = [nx.random_regular_graph(3, 8, seed=s) for s in range(4)]
    cycles = [nx.cycle_graph(8), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(5))]
    trees = [nx.random_labeled_tree(7, seed=s) for s in range(3)]
    return {
        "of several sizes": [*plain, nx.empty_graph(0), nx.empty_graph(1), nx.empty_graph(6)],
        "regular": [*cubic, *cycles],
        "labelled": [labelled(g, s) for s in range(3) for g in [plain[1], plain[4], cycles[1], trees[0]]],
        "labelled and regular": [labelled(g, s) for s in range(2) for g in [cubic[0], cycles[0]]],
        "trees": trees,
    }


@pytest.mark.parametrize("graphs", collections().values(), ids=collections())
@pytest.mark.parametrize("test", TESTS)
def test_same_partition_as_the_definition(test: str, graphs: list[Graph]) -> None:
    expected = summary(test, graphs, pooling_of(test))
    found = color_counts(test, *graphs)
    assert partition(found) == partition(expected)
    for i in range(len(graphs)):
        for j in range(i):
            assert distinguishes(test, graphs[i], graphs[j]) == (expected[i] != expected[j])


@pytest.mark.parametrize("test", ["GSWL", "SSWL"])
def test_pooling_does_not_matter_from_gswl_on(test: str) -> None:
    for graphs in [*collections().values(), list(furer_pair(nx.complete_graph(3)))]:
        vs, sv = (summary(test, graphs, pooling) for pooling in ("VS", "SV"))
        assert [[a == b for a in vs] for b in vs] == [[a == b for a in sv] for b in sv]


@pytest.mark.parametrize("test", TESTS)
def test_collisions_change_no_verdict(test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of so few bits that they merge much, but leave a way through within some hundred attempts."""
    graphs = [nx.path_graph(5), nx.star_graph(4), nx.cycle_graph(5), labelled(nx.path_graph(5), 0)]
    bits = 8 if test in ("PSWL(VS)", "PSWL(SV)", "GSWL") else 4
    exact = color_counts(test, *graphs)
    honest, exact_round = rounds.mix, refinement._is_stable
    found: list[bool] = []

    def noted(*args: Any) -> bool:
        found.append(exact_round(*args))
        return found[-1]

    monkeypatch.setattr(refinement, "_is_stable", noted)
    for seed in range(20):

        def weak(values: Any, salt: int, seed: int = seed) -> Any:
            return honest(values, salt + 10**6 * seed) & np.uint64(2**bits - 1)

        monkeypatch.setattr(rounds, "mix", weak)
        monkeypatch.setattr(refinement, "mix", weak)
        assert partition(color_counts(test, *graphs)) == partition(exact)
    assert False in found


BASES = {
    "K3": ([(0, 1), (0, 2), (1, 2)], {*TESTS} - {"1-WL"}),
    "K4": ([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], set()),
    "two triangles joined by an edge": (
        [(0, 1), (0, 2), (0, 3), (1, 2), (3, 4), (3, 5), (4, 5)],
        {*TESTS} - {"1-WL", "SWL(VS)"},
    ),
    "figure 4": (
        [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (3, 4), (3, 5), (4, 5), (4, 6), (5, 6)],
        {*TESTS} - {"1-WL", "SWL(VS)", "PSWL(VS)"},
    ),
    "wheel cut open": (
        [(0, 1), (0, 5), (1, 2), (1, 5), (2, 3), (2, 4), (3, 4), (4, 5)],
        {"SSWL", *FOLKLORE},
    ),
    "figure 8": (
        [(0, 1), (0, 2), (1, 2), (1, 3), (1, 4), (2, 4), (2, 5), (3, 4), (4, 5)],
        {*FOLKLORE},
    ),
    "figure 10": (
        [(0, 3), (0, 4), (0, 5), (0, 6), (1, 3), (1, 4), (1, 7), (1, 8), (2, 5), (2, 6), (2, 7), (2, 8)],
        {"FWL(2)"},
    ),
}


@pytest.mark.parametrize(("edges", "separated"), BASES.values(), ids=BASES)
def test_pairs_that_tell_the_classes_apart(edges: list[tuple[int, int]], separated: set[str]) -> None:
    g, h = furer_pair(nx.Graph(edges))
    assert {test for test in TESTS if distinguishes(test, g, h)} == separated
    assert not any(distinguishes(test, h, shuffled(h)) for test in TESTS)


def skip_links(n: int, skip: int) -> Graph:
    return nx.circulant_graph(n, [1, skip])


def test_well_known_pairs() -> None:
    circular = [skip_links(41, skip) for skip in (2, 3, 4, 5, 6, 9, 11, 12, 13, 16)]
    for test in TESTS:
        classes = {frozenset(c.items()) for c in color_counts(test, *circular)}
        assert len(classes) == (1 if test == "1-WL" else 10)
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    around = [(0, 1), (1, 0), (1, 1), (0, 3), (3, 0), (3, 3)]
    torus = [(i, j) for i in range(4) for j in range(4)]
    shrikhande = nx.Graph([(p, ((p[0] + a) % 4, (p[1] + b) % 4)) for p in torus for a, b in around])
    assert not any(distinguishes(test, rook, shrikhande) for test in TESTS)
    triangles, hexagon = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)), nx.cycle_graph(6)
    assert [test for test in TESTS if not distinguishes(test, triangles, hexagon)] == ["1-WL"]


def orders(fingerprints: dict[str, list[Any]]) -> bool:
    """Graphs alike to a stronger test are alike to a weaker one."""
    return all(
        len(set(zip(fingerprints[strong], fingerprints[weak], strict=True))) == len(set(fingerprints[strong]))
        for weak, strong in WEAKER
    )


def fingerprints(graphs: Sequence[Graph]) -> dict[str, list[Any]]:
    return {test: [frozenset(c.items()) for c in color_counts(test, *graphs)] for test in TESTS}


def test_order_on_random_labelled_graphs() -> None:
    cubic = [nx.random_regular_graph(3, 10, seed=s) for s in range(40)]
    sparse = [labelled(nx.gnm_random_graph(6, 6, seed=s), s % 7) for s in range(80)]
    assert orders(fingerprints(cubic)) and orders(fingerprints(sparse))


@pytest.mark.parametrize("nodes", [2, 3, 4, 5, 6, 7])
def test_small_connected_graphs(nodes: int, shared_data: Path) -> None:
    found = fingerprints(small_graphs(shared_data, nodes))
    assert orders(found)
    assert {test for test, prints in found.items() if len(set(prints)) < len(prints)} <= {"1-WL"}
    assert alike(found["1-WL"]) == {6: 3, 7: 17}.get(nodes, 0)


def test_published_verdicts(shared_data: Path) -> None:
    for name, (g, h, separated) in swl_pairs(shared_data).items():
        assert {test for test in TESTS if distinguishes(test, g, h)} == separated, name


def test_one_sided_folklore_lies_beside_the_chain(shared_data: Path) -> None:
    g, h = brec(shared_data)["cfi"][22]
    assert distinguishes("SWL(SV)", g, h) and not distinguishes("LFWL(2)", g, h)
    g, h = furer_pair(nx.Graph(BASES["figure 8"][0]))
    assert distinguishes("LFWL(2)", g, h) and not distinguishes("SSWL", g, h)


@pytest.mark.parametrize("test", TESTS)
def test_numbering_of_nodes_does_not_matter(test: str) -> None:
    for seed, g in enumerate([nx.gnp_random_graph(30, 0.2, seed=1), labelled(nx.cycle_graph(12), 4)]):
        one, other = color_counts(test, g, shuffled(g, seed))
        assert one == other
        assert not distinguishes(test, g, shuffled(g, seed))


@pytest.mark.parametrize("test", TESTS)
def test_labels_count(test: str) -> None:
    plain, red, far = (nx.cycle_graph(6) for _ in range(3))
    for g, marked in ((red, (0, 1)), (far, (0, 3))):
        nx.set_node_attributes(g, {v: "red" if v in marked else "blue" for v in g}, "label")
    assert distinguishes(test, plain, red) and distinguishes(test, red, far)
    one, other = nx.cycle_graph(6), nx.cycle_graph(6)
    nx.set_edge_attributes(one, {e: float(e in [(0, 1), (1, 2)]) for e in one.edges}, "edge_attr")
    nx.set_edge_attributes(other, {e: float(e in [(0, 1), (3, 4)]) for e in other.edges}, "edge_attr")
    assert distinguishes(test, one, other)
    assert not distinguishes(test, one, shuffled(one))


@pytest.mark.parametrize("test", MARKED)
def test_label_of_the_marked_node_reaches_other_components_no_sooner_than_pooling(test: str) -> None:
    """Marks in another component are not seen, so what a test says must not hang on their labels."""
    one = nx.disjoint_union(nx.path_graph(2), nx.path_graph(3))
    other = one.copy()
    nx.set_node_attributes(one, {v: int(v == 0) for v in one}, "x")
    nx.set_node_attributes(other, {v: int(v == 1) for v in other}, "x")
    assert not distinguishes(test, one, other)


@pytest.mark.parametrize("test", TESTS)
def test_graphs_without_edges_or_nodes(test: str) -> None:
    empty = [nx.empty_graph(n) for n in range(4)]
    for g in empty:
        assert [h for h in empty if not distinguishes(test, g, h)] == [g]
    assert color_counts(test) == []
    sizes = [sum(c.values()) for c in color_counts(test, *empty)]
    assert sizes == [n * n if test in FOLKLORE else n for n in range(4)]


@pytest.mark.parametrize("test", TESTS)
def test_other_libraries(test: str) -> None:
    g, h = labelled(nx.path_graph(5), 0), labelled(nx.path_graph(5), 1)
    expected = color_counts(test, g, h)
    data = as_data(g)
    codes = torch.tensor([["a", "b"].index(label) for label in data.edge_label])
    plain = Data(x=data.x, edge_index=data.edge_index, edge_attr=codes, num_nodes=5)
    assert not distinguishes(test, plain, plain.clone())
    assert partition(color_counts(test, data, h)) == partition(expected)


def test_dgl() -> None:
    os.environ.setdefault("DGLBACKEND", "pytorch")
    dgl = pytest.importorskip("dgl", reason="needs the extra netgraph-metanet[dgl]")
    g = nx.path_graph(4)
    same, marked = (dgl.graph(tuple(as_data(g).edge_index)) for _ in range(2))
    marked.ndata["x"] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    for test in TESTS:
        assert not distinguishes(test, g, same)
        assert distinguishes(test, g, marked)


@pytest.mark.parametrize("test", TESTS)
def test_pairs_of_two_hundred_nodes_take_less_than_two_seconds(test: str) -> None:
    g = nx.random_regular_graph(4, 200, seed=0)
    start = time.process_time()
    assert not distinguishes(test, g, shuffled(g))
    assert time.process_time() - start < 2


@pytest.mark.parametrize("name", ["SWL", "2-FWL", "", None])
def test_unknown_tests_are_refused(name: Any) -> None:
    for call in (distinguishes, color_counts):
        with pytest.raises(UsageError, match=r"expected one of 1-WL, SWL\(VS\)"):
            call(name, nx.path_graph(2), nx.path_graph(2))


REFUSED = {
    "directed": nx.DiGraph([(0, 1)]),
    "self-loop": nx.Graph([(0, 0)]),
    "multi-edge": nx.MultiGraph([(0, 1), (0, 1)]),
    "NaN": Data(edge_index=torch.tensor([[0, 1], [1, 0]]), x=torch.tensor([[1.0], [torch.nan]])),
    "no graph": "C~",
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
def test_bad_graphs_are_refused(bad: Any) -> None:
    for graphs in ((bad, nx.path_graph(2)), (nx.path_graph(2), bad)):
        with pytest.raises(InterchangeError, match="as_data: expected"):
            distinguishes("SSWL", *graphs)
        with pytest.raises(InterchangeError, match="as_data: expected"):
            color_counts("FWL(2)", *graphs)
