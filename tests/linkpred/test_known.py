"""The index of true links against sets of triples."""

import itertools

import pytest
import torch

from netgraph.errors import GraphError
from netgraph.linkpred import LinkGraph, Links
from netgraph.linkpred.known import KnownTails

NODES, KINDS = 7, 3


def random_links(seed: int, count: int = 30, typed: bool = True) -> Links:
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(NODES, (2, count), generator=generator)
    return Links(pairs, torch.randint(KINDS, (count,), generator=generator) if typed else None)


def triples(*links: Links) -> set[tuple[int, int, int]]:
    found = set()
    for part in links:
        kind = [0] * len(part) if part.relation is None else part.relation.tolist()
        found |= set(zip(part.pairs[0].tolist(), kind, part.pairs[1].tolist(), strict=True))
    return found


@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_against_sets(seed: int, typed: bool, undirected: bool) -> None:
    links = random_links(seed, typed=typed), random_links(seed + 10, typed=typed)
    kinds = KINDS if typed else 1
    known = KnownTails.from_links(*links, num_nodes=NODES, num_relations=kinds, undirected=undirected)
    true = triples(*links)
    if undirected:
        true |= {(t, r, h) for h, r, t in true}
    questions = list(itertools.product(range(NODES), range(kinds)))
    nodes, kind = torch.tensor(questions).T
    for end in ("tail", "head"):
        expected = [
            (place, n)
            for place, (node, r) in enumerate(questions)
            for n in range(NODES)
            if ((node, r, n) if end == "tail" else (n, r, node)) in true
        ]
        found = known.mask(nodes, kind, end=end)
        assert list(zip(*(t.tolist() for t in found), strict=True)) == expected
    if not undirected:
        inverse = known.mask(nodes, kind + kinds)
        assert all(map(torch.equal, inverse, known.mask(nodes, kind, end="head")))
        assert all(map(torch.equal, known.mask(nodes, kind + kinds, end="head"), known.mask(nodes, kind)))
    every = list(itertools.product(range(NODES), range(kinds), range(NODES)))
    h, r, t = torch.tensor(every).T
    assert known.has(torch.stack((h, t)), r).tolist() == [triple in true for triple in every]


def test_of_a_graph() -> None:
    edges = torch.tensor([[0, 1, 3], [1, 2, 1]])
    graph = LinkGraph.from_edges(edges, 4).without(torch.tensor([[1], [0]]))
    known = KnownTails.from_graph(graph)
    assert known.mask(torch.arange(4))[1].tolist() == [2, 3, 1, 1]
    directed = KnownTails.from_graph(LinkGraph.from_edges(edges, 4, undirected=False))
    assert directed.mask(torch.tensor([1]))[1].tolist() == [2]
    assert directed.mask(torch.tensor([1]), end="head")[1].tolist() == [0, 3]


def test_many_nodes_and_relations_need_no_wide_keys() -> None:
    nodes, kinds = 2**31, 2**20
    links = Links(torch.tensor([[nodes - 1, 0], [nodes - 1, 5]]), torch.tensor([kinds - 1, 0]))
    known = KnownTails.from_links(links, num_nodes=nodes, num_relations=kinds)
    assert known.has(links.pairs, links.relation).tolist() == [True, True]
    assert known.has(links.pairs.flip(0), links.relation).tolist() == [True, False]


def test_nothing_known() -> None:
    empty = Links(torch.empty(2, 0, dtype=torch.long))
    for known in (KnownTails.from_links(num_nodes=3), KnownTails.from_links(empty, num_nodes=3)):
        assert known.has(torch.tensor([[0], [1]])).tolist() == [False]
        assert [len(t) for t in known.mask(torch.tensor([0, 2]))] == [0, 0]


def test_refusals() -> None:
    links = random_links(0)
    with pytest.raises(GraphError, match="nodes from 0 to 2"):
        KnownTails.from_links(links, num_nodes=3, num_relations=KINDS)
    with pytest.raises(GraphError, match="relations from 0 to 0"):
        KnownTails.from_links(links, num_nodes=NODES)
    with pytest.raises(GraphError, match="for all links or for none"):
        KnownTails.from_links(links, random_links(1, typed=False), num_nodes=NODES, num_relations=KINDS)
    known = KnownTails.from_links(links, num_nodes=NODES, num_relations=KINDS)
    with pytest.raises(GraphError, match="nodes from 0 to 6, got 7"):
        known.mask(torch.tensor([7]))
    with pytest.raises(GraphError, match="relations from 0 to 5, got 6"):
        known.mask(torch.tensor([0]), torch.tensor([6]))
