"""Splits: every link once, nothing seen, the same again with the same seed."""

from typing import Any

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.datasets import Planetoid

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred import LinkGraph, Links, LinkSplit
from netgraph.linkpred.assemble import graph_links
from netgraph.linkpred.known import known_tails
from netgraph.linkpred.leaks import check_split
from netgraph.linkpred.split import inductive_split, random_split, time_split

KINDS = ["undirected", "directed", "typed"]


def random_graph(kind: str, seed: int = 0, nodes: int = 30, count: int = 90) -> LinkGraph:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes, (2, count), generator=generator)
    edges = torch.cat((edges, edges[:, :20].flip(0)), dim=1)
    relation = torch.randint(3, (edges.size(1),), generator=generator) if kind == "typed" else None
    x = torch.randn(nodes, 4, generator=generator)
    return LinkGraph.from_edges(edges, nodes, relation=relation, x=x, undirected=kind == "undirected")


def as_set(links: Links) -> set[tuple[int, ...]]:
    columns = links.pairs.tolist()
    if links.relation is not None:
        columns.append(links.relation.tolist())
    found = list(zip(*columns, strict=True))
    assert len(set(found)) == len(found)
    return set(found)


def parts_of(split: LinkSplit) -> list[set[tuple[int, ...]]]:
    return [as_set(split.links(stage)) for stage in ("train", "valid", "test")]


def same(a: LinkSplit, b: LinkSplit) -> bool:
    tensors = [
        [s.train.pairs, s.valid.pairs, s.test.pairs, s.graph.edge_index]
        + [n for n in (s.valid.negatives, s.test.negatives) if n is not None]
        for s in (a, b)
    ]
    return all(map(torch.equal, *tensors))


@pytest.mark.parametrize("read_valid_edges", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_random_parts_hold_every_link_once(kind: str, seed: int, read_valid_edges: bool) -> None:
    graph = random_graph(kind)
    split = random_split(graph, 0.1, 0.2, seed=seed, read_valid_edges=read_valid_edges)
    check_split(split)
    train, valid, test = parts = parts_of(split)
    links = as_set(graph_links(graph))
    assert train | valid | test == links and sum(map(len, parts)) == len(links)
    if kind == "undirected":
        assert (len(valid), len(test)) == (len(links) // 10, len(links) // 5)
    assert len(links) // 10 - 4 <= len(valid) <= len(links) // 10
    assert len(links) // 5 - 4 <= len(test) <= len(links) // 5
    ends = [{frozenset(link[:2]) for link in part} for part in parts]
    assert not ends[0] & ends[1] and not ends[0] & ends[2] and not ends[1] & ends[2]
    read = train | valid if read_valid_edges else train
    for seen, shown in ((train, split.graph), (train, split.valid_graph), (read, split.test_graph)):
        expected = set(seen)
        if kind == "undirected":
            expected |= {(v, u) for u, v in seen}
        if kind == "typed":
            expected |= {(v, u, r + 3) for u, v, r in seen}
        assert as_set(Links(shown.edge_index, shown.edge_relation)) == expected
        assert shown.x is graph.x and shown.num_nodes == graph.num_nodes
    assert as_set(split.known) == links
    if kind == "typed":
        assert split.test.negatives is None and split.graph.num_relations == 6
    else:
        assert split.valid.negatives.shape == (2, len(valid)) and split.test.negatives.shape == (2, len(test))


def test_a_seed_means_the_same_whatever_the_order_of_edges() -> None:
    net = nx.gnm_random_graph(30, 80, seed=0)
    edges = torch.tensor(list(net.edges)).T
    shuffled = edges[:, torch.randperm(80)]
    shuffled = torch.where(torch.rand(80) < 0.5, shuffled, shuffled.flip(0))
    given = [Data(edge_index=e, num_nodes=30) for e in (edges, shuffled)]
    first, second = (random_split(d, undirected=True, seed=3) for d in given)
    assert same(first, second) and same(first, random_split(net, seed=3))
    assert not torch.equal(first.test.pairs, random_split(net, seed=4).test.pairs)


def test_options_of_the_negatives_do_not_change_the_parts() -> None:
    graph = random_graph("undirected")
    plain = random_split(graph, seed=1)
    for options in (
        {"num_negatives": 7},
        {"negatives": "hard", "num_negatives": 6},
        {"read_valid_edges": True},
    ):
        other = random_split(graph, seed=1, **options)  # type: ignore[arg-type]
        assert torch.equal(other.test.pairs, plain.test.pairs)
        assert torch.equal(other.valid.pairs, plain.valid.pairs)
        check_split(other)
    assert random_split(graph, num_negatives=7).test.negatives.shape == (2, 7)
    hard = random_split(graph, negatives="hard", num_negatives=6)
    assert hard.test.negatives.shape == (2, len(hard.test), 6)
    assert hard.about["negatives"] == "hard"


def test_a_known_split_stays_what_it_is() -> None:
    """Guards the stream of random numbers: a change of it changes published numbers."""
    split = random_split(nx.karate_club_graph(), seed=0)
    assert split.valid.pairs.tolist() == VALID_OF_KARATE
    assert split.valid.negatives.tolist() == NEGATIVES_OF_KARATE


VALID_OF_KARATE = [[3, 2, 0, 2, 6, 15, 26], [7, 8, 13, 13, 16, 32, 33]]
NEGATIVES_OF_KARATE = [[28, 13, 12, 17, 21, 0, 20], [32, 22, 26, 33, 32, 32, 30]]


def test_typed_links_with_negatives_of_their_own() -> None:
    split = random_split(random_graph("typed"), num_negatives=4)
    check_split(split)
    assert split.test.negatives.shape == (2, len(split.test), 4)


def test_the_largest_component() -> None:
    net = nx.disjoint_union(nx.path_graph(5), nx.cycle_graph(20))
    split = random_split(net, 0.1, 0.2, component="largest")
    check_split(split)
    assert split.graph.num_nodes == 20 and sum(map(len, parts_of(split))) == 20
    assert {k: split.about[k] for k in ("component", "input_nodes", "input_links", "nodes", "links")} == {
        "component": "largest",
        "input_nodes": 25,
        "input_links": 24,
        "nodes": 20,
        "links": 20,
    }
    assert random_split(net).about["component"] == "whole"


def test_loops_duplicates_and_isolated_nodes() -> None:
    edges = torch.tensor([[0, 1, 1, 2, 3, 3, 0, 4], [1, 0, 2, 3, 3, 4, 4, 0]])
    split = random_split(Data(edge_index=edges, num_nodes=9), 0.2, 0.2, undirected=True)
    check_split(split)
    assert set.union(*parts_of(split)) == {(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)}


def test_no_validation_or_no_test() -> None:
    graph = random_graph("undirected")
    split = random_split(graph, 0.0, 0.5)
    check_split(split)
    assert len(split.valid) == 0 and split.valid.negatives.shape == (2, 0)
    assert len(random_split(graph, 0.5, 0.0).test) == 0


def slow_time_parts(
    edges: list[tuple[int, int]], time: list[int], valid: float, test: float
) -> list[set[Any]]:
    first: dict[tuple[int, int], int] = {}
    for (u, v), t in zip(edges, time, strict=True):
        pair = min(u, v), max(u, v)
        if u != v:
            first[pair] = min(t, first.get(pair, t))
    times = sorted(first.values())
    cut_test = times[len(times) - int(test * len(times))]
    cut_valid = times[len(times) - int(test * len(times)) - int(valid * len(times))]
    return [
        {p for p, t in first.items() if t < cut_valid},
        {p for p, t in first.items() if cut_valid <= t < cut_test},
        {p for p, t in first.items() if t >= cut_test},
    ]


@pytest.mark.parametrize("seed", range(4))
def test_time_against_dictionaries(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(20, (2, 120), generator=generator)
    time = torch.randint(15, (120,), generator=generator)
    split = time_split(Data(edge_index=edges, num_nodes=20), time, 0.2, 0.2, undirected=True, seed=seed)
    check_split(split)
    expected = slow_time_parts([tuple(e) for e in edges.T.tolist()], time.tolist(), 0.2, 0.2)
    assert parts_of(split) == expected
    assert split.about["valid_from"] < split.about["test_from"]
    shuffle = torch.randperm(120, generator=generator)
    again = time_split(
        Data(edge_index=edges[:, shuffle], num_nodes=20), time[shuffle], 0.2, 0.2, undirected=True
    )
    assert parts_of(again) == expected


def test_time_of_directed_links() -> None:
    edges = torch.tensor([[0, 1, 0, 2, 3, 2, 3, 1, 0], [1, 2, 3, 1, 1, 3, 2, 3, 1]])
    data = Data(edge_index=edges, num_nodes=4)
    split = time_split(data, torch.arange(9), 0.25, 0.375, num_negatives=1)
    check_split(split)
    # (0, 1) counts at time 0; (2, 1) is the reverse of a training link, (1, 3) that of a validation link.
    assert parts_of(split) == [{(0, 1), (1, 2), (0, 3)}, {(3, 1)}, {(2, 3), (3, 2)}]
    assert split.about["reverses_dropped"] == 2
    assert (split.about["valid_from"], split.about["test_from"]) == (3, 5)
    typed = Data(edge_index=edges, num_nodes=4, edge_type=torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1]))
    kept = time_split(typed, torch.arange(9.0), 0.12, 0.24)
    check_split(kept)
    assert parts_of(kept)[1:] == [{(3, 2, 1)}, {(1, 3, 1), (0, 1, 1)}] and kept.graph.num_relations == 4


def test_time_of_a_networkx_graph() -> None:
    net = nx.path_graph(11)
    time = torch.tensor(list(range(10)) * 2)
    split = time_split(net, time, 0.1, 0.2)
    assert parts_of(split)[2] == {(8, 9), (9, 10)} and parts_of(split)[1] == {(7, 8)}


@pytest.mark.parametrize("kind", KINDS)
def test_inductive_graphs_share_no_node(kind: str) -> None:
    graph = random_graph(kind, nodes=40, count=200)
    held = torch.tensor(sorted({3, 5, 8, 13, 21, 34, 1, 2, 0, 30, 31, 32, 33, 39, 38, 37}))
    split = inductive_split(graph, held, 0.1, 0.3)
    check_split(split)
    other = [n for n in range(40) if n not in held.tolist()]
    links = as_set(graph_links(graph))
    back = [
        {(nodes[link[0]], nodes[link[1]], *link[2:]) for link in part}
        for nodes, part in zip((other, other, held.tolist()), parts_of(split), strict=True)
    ]
    assert back[0] | back[1] == {link for link in links if link[0] in other and link[1] in other}
    among_held = {link for link in links if link[0] in held and link[1] in held}
    asked = as_set(split.known)
    assert {(held.tolist()[a[0]], held.tolist()[a[1]], *a[2:]) for a in asked} == among_held
    assert len(split.test) <= int(0.3 * len(among_held))
    assert torch.equal(split.graph.x, graph.x[other]) and torch.equal(split.test_graph.x, graph.x[held])
    assert split.about["inductive"] and split.about["links_between_dropped"] == len(links) - len(
        back[0] | back[1]
    ) - len(among_held)
    known = known_tails(split, "valid")
    assert known.num_nodes == 24 and known_tails(split).num_nodes == 16
    assert known.has(split.valid.pairs, split.valid.relation).all()
    assert known_tails(split).has(split.test.pairs, split.test.relation).all()
    drawn = inductive_split(graph, 0.4, 0.1, 0.3, seed=5)
    check_split(drawn)
    assert drawn.test_graph.num_nodes == 16 and same(drawn, inductive_split(graph, 0.4, 0.1, 0.3, seed=5))


def test_known_links_of_splits_without_them() -> None:
    for kind in KINDS:
        split = random_split(random_graph(kind))
        bare = LinkSplit(
            split.train, split.valid, split.test, split.graph, split.valid_graph, split.test_graph
        )
        assert torch.equal(known_tails(split).keys, known_tails(bare).keys)
        inner = inductive_split(random_graph(kind, nodes=40, count=200), 0.4, 0.1, 0.3)
        less = LinkSplit(
            inner.train,
            inner.valid,
            inner.test,
            inner.graph,
            inner.valid_graph,
            inner.test_graph,
            about={"inductive": True},
        )
        assert torch.equal(known_tails(inner).keys, known_tails(less).keys)


def test_citation_graph(shared_data: Any) -> None:
    data = Planetoid(str(shared_data / "planetoid"), "Cora")[0]
    split = random_split(data, seed=0)
    check_split(split)
    assert [len(part) for part in parts_of(split)] == [3696, 527, 1055]
    assert len(random_split(data, component="largest").train) == 3550


@pytest.mark.parametrize("shares", [(0.5, 0.5), (-0.1, 0.2), (0.1, -0.2), (0.0, 1.5)])
def test_shares_that_are_none(shares: tuple[float, float]) -> None:
    graph = random_graph("undirected")
    words = f"random_split: expected shares .* below 1 in all, got {shares[0]} and {shares[1]}"
    with pytest.raises(UsageError, match=words):
        random_split(graph, *shares)
    with pytest.raises(UsageError, match="time_split: expected shares"):
        time_split(graph, torch.zeros(graph.num_edges), *shares)
    with pytest.raises(UsageError, match="inductive_split: expected shares"):
        inductive_split(graph, 0.3, 1.0, 0.1)
    with pytest.raises(UsageError, match="inductive_split: expected shares"):
        inductive_split(graph, 0.3, 0.1, -0.1)


def test_refusals() -> None:
    graph = random_graph("undirected")
    with pytest.raises(UsageError, match='"random" or "hard", got \'easy\''):
        random_split(graph, negatives="easy")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match='"whole" or "largest"'):
        random_split(graph, component="small")  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="got none for validation of 3"):
        random_split(nx.path_graph(4))
    with pytest.raises(GraphError, match="got none for training of 0"):
        random_split(nx.empty_graph(4), 0.0, 0.0)
    with pytest.raises(GraphError, match="pairs that are no edges"):
        random_split(nx.complete_graph(6))
    with pytest.raises(GraphError, match="ask for fewer negatives"):
        random_split(graph, negatives="hard")
    with pytest.raises(UsageError, match="links of one relation"):
        random_split(random_graph("typed"), negatives="hard")
    with pytest.raises(UsageError, match=r"one finite time per edge, \(\d+,\), got shape \(3,\)"):
        time_split(graph, torch.zeros(3))
    with pytest.raises(UsageError, match="got infinity or NaN"):
        time_split(graph, torch.full((graph.num_edges,), torch.nan))
    with pytest.raises(GraphError, match="got none for training"):
        time_split(graph, torch.zeros(graph.num_edges))
    with pytest.raises(UsageError, match=r"share of nodes between 0 and 1, got 1\.5"):
        inductive_split(graph, 1.5)
    with pytest.raises(GraphError, match="nodes from 0 to 29, got 30"):
        inductive_split(graph, torch.tensor([30]))
    with pytest.raises(GraphError, match="got none for test"):
        inductive_split(graph, torch.tensor([0]))
