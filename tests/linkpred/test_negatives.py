"""Negatives against the set of all pairs that are none."""

import itertools

import pytest
import torch

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred import LinkGraph, Links
from netgraph.linkpred.known import KnownTails
from netgraph.linkpred.negatives import NonEdges, corrupt, uniform_negatives


def random_graph(seed: int, undirected: bool, nodes: int = 9, count: int = 14) -> LinkGraph:
    edges = torch.randint(nodes, (2, count), generator=torch.Generator().manual_seed(seed))
    return LinkGraph.from_edges(edges, nodes, undirected=undirected)


def listed(pairs: torch.Tensor) -> list[tuple[int, int]]:
    return list(zip(*pairs.tolist(), strict=True))


def non_edges(graph: LinkGraph) -> set[tuple[int, int]]:
    edges = set(listed(graph.edge_index))
    pairs = itertools.permutations(range(graph.num_nodes), 2)
    return {(u, v) for u, v in pairs if (u, v) not in edges and (u < v or not graph.undirected)}


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_all_non_edges_each_once(seed: int, undirected: bool) -> None:
    graph = random_graph(seed, undirected)
    if seed == 3:
        graph = graph.without(graph.edge_index[:, :4])
    expected = non_edges(graph)
    none = NonEdges.of(graph)
    found = listed(none.pairs(torch.arange(none.total)))
    assert none.total == len(expected) and len(found) == len(set(found)) and set(found) == expected
    assert set(listed(none.draw(none.total))) == expected


@pytest.mark.parametrize("undirected", [True, False])
def test_pairs_to_avoid_may_come_in_any_order(undirected: bool) -> None:
    avoid = torch.tensor([[3, 0, 1, 3, 2], [0, 3, 2, 0, 2]])
    found = listed(uniform_negatives(4, 3 if undirected else 9, avoid=avoid, undirected=undirected))
    barred = {(3, 0), (0, 3), (1, 2)} | ({(2, 1)} if undirected else set())
    wanted = {p for p in itertools.permutations(range(4), 2) if p not in barred}
    assert set(found) <= wanted and len(set(found)) == len(found)
    if undirected:
        assert all(u < v for u, v in found)
    graph = random_graph(0, undirected)
    more = listed(uniform_negatives(graph, 10, avoid=torch.tensor([[0, 5], [8, 6]])))
    assert set(more) <= non_edges(graph) - {(0, 8), (5, 6)}


def test_a_directed_graph_read_without_direction() -> None:
    graph = random_graph(1, undirected=False)
    both = LinkGraph.from_edges(graph.edge_index, 9)
    none = NonEdges.of(graph, undirected=True)
    assert set(listed(none.pairs(torch.arange(none.total)))) == non_edges(both)


def test_every_non_edge_is_equally_likely() -> None:
    graph = random_graph(2, undirected=True)
    expected, generator = sorted(non_edges(graph)), torch.Generator().manual_seed(0)
    none, seen = NonEdges.of(graph), dict.fromkeys(expected, 0)
    for _ in range(1_000):
        for pair in listed(none.draw(3, generator)):
            seen[pair] += 1
    share = 3 * 1_000 / len(expected)
    assert all(abs(count - share) < 5 * share**0.5 for count in seen.values())


def test_a_seed_means_the_same_again() -> None:
    graph = random_graph(3, undirected=True)
    draws = [uniform_negatives(graph, 8, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("undirected", [True, False])
def test_graphs_of_very_many_nodes(undirected: bool) -> None:
    nodes = 2**31
    ends = torch.tensor([[0, nodes - 2, 0], [1, nodes - 1, nodes - 1]])
    none = NonEdges.of(nodes, avoid=ends, undirected=undirected)
    places = torch.tensor([0, none.total // 3, none.total - 1])
    found = none.pairs(places)
    assert int(found.min()) >= 0 and int(found.max()) < nodes and bool((found[0] != found[1]).all())
    last = listed(found)[-1]
    assert last == (nodes - 3, nodes - 1)  # the pair (nodes - 2, nodes - 1) is avoided
    drawn = none.draw(1_000, torch.Generator().manual_seed(0))
    assert len(set(listed(drawn))) == 1_000 and int(drawn.max()) < nodes


def test_no_pairs_left() -> None:
    complete = LinkGraph.from_edges(torch.combinations(torch.arange(4)).T, 4)
    assert NonEdges.of(complete).total == 0
    assert uniform_negatives(complete, 0).shape == (2, 0)
    for nodes in (complete, 0, 1):
        with pytest.raises(GraphError, match="expected 1 pairs that are no edges, got a graph with 0"):
            uniform_negatives(nodes, 1)
    with pytest.raises(UsageError, match="count from 0, got -1"):
        uniform_negatives(complete, -1)
    with pytest.raises(GraphError, match="nodes from 0 to 3, got 4"):
        uniform_negatives(4, 1, avoid=torch.tensor([[0], [4]]))


def typed_links(seed: int, count: int = 25) -> Links:
    generator = torch.Generator().manual_seed(seed)
    return Links(
        torch.randint(8, (2, count), generator=generator), torch.randint(2, (count,), generator=generator)
    )


@pytest.mark.parametrize("which", ["tail", "head", "both"])
@pytest.mark.parametrize("kind", ["undirected", "directed", "typed"])
def test_corrupted_links_are_false_and_share_an_end(which: str, kind: str) -> None:
    if kind == "typed":
        links = typed_links(0)
        known = KnownTails.from_links(links, num_nodes=8, num_relations=2)
        true = set(zip(*links.pairs.tolist(), links.relation.tolist(), strict=True))
    else:
        graph = random_graph(5, kind == "undirected")
        edges = graph.edge_index
        links = Links(edges[:, edges[0] < edges[1]])
        known, true = KnownTails.from_graph(graph), {(*p, 0) for p in listed(edges)}
    found = corrupt(links, known, 5, which=which)  # type: ignore[arg-type]
    assert found.shape == (2, len(links), 5)
    tails = {"tail": 5, "head": 0, "both": 3}[which]
    assert torch.equal(found[0, :, :tails], links.pairs[0][:, None].expand(-1, tails))
    assert torch.equal(found[1, :, tails:], links.pairs[1][:, None].expand(-1, 5 - tails))
    relation = [0] * len(links) if links.relation is None else links.relation.tolist()
    for row, r in enumerate(relation):
        for u, v in listed(found[:, row]):
            assert u != v and (u, v, r) not in true


def test_all_false_tails_are_equally_likely_and_the_link_itself_never_comes() -> None:
    graph = LinkGraph.from_edges(torch.tensor([[0, 0], [1, 2]]), 7)
    link = Links(torch.tensor([[0], [3]]))  # no edge: it must be avoided all the same
    drawn = corrupt(link, graph, 20_000, which="tail", generator=torch.Generator().manual_seed(0))[1, 0]
    share = torch.bincount(drawn, minlength=7) / len(drawn)
    assert share.tolist() == pytest.approx([0, 0, 0, 0, 1 / 3, 1 / 3, 1 / 3], abs=0.015)


def test_a_seed_corrupts_alike() -> None:
    graph, links = random_graph(6, True), Links(random_graph(6, True).edge_index[:, :6])
    draws = [corrupt(links, graph, 4, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_many_links_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netgraph.linkpred.negatives._LINKS_AT_ONCE", 4)
    graph = random_graph(7, True)
    links = Links(graph.edge_index)
    found = corrupt(links, graph, 3)
    assert found.shape == (2, len(links), 3)
    assert not graph.has(found.reshape(2, -1)).any()
    assert corrupt(links[:0], graph, 3).shape == (2, 0, 3)


def test_corruptions_that_cannot_be() -> None:
    star = LinkGraph.from_edges(torch.tensor([[0, 0, 0], [1, 2, 3]]), 4)
    link = Links(torch.tensor([[0], [1]]))
    with pytest.raises(GraphError, match="not linked to node 0, got none"):
        corrupt(link, star, 1, which="tail")
    assert corrupt(link, star, 1, which="head").tolist()[1] == [[1]]
    with pytest.raises(UsageError, match="an end of tail, head, both"):
        corrupt(link, star, 1, which="middle")  # type: ignore[arg-type]
