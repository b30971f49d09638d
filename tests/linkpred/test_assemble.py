"""What all splits share, against sets of links."""

import pytest
import torch

from netgraph.linkpred import LinkGraph, Links
from netgraph.linkpred.assemble import divide, graph_links, joined, read_graph


def test_all_links_between_two_nodes_stay_together() -> None:
    pairs = torch.tensor([[0, 1, 0, 2, 3, 2, 4], [1, 0, 1, 3, 2, 3, 5]])
    for seed in range(20):
        found = divide(Links(pairs), 2, 3, torch.Generator().manual_seed(seed))
        sizes = [len(part) for part in found]
        assert sum(sizes) == 7 and sizes[1] <= 2 and sizes[2] <= 3
        seen = [set(map(frozenset, part.pairs.T.tolist())) for part in found]
        assert sum(map(len, seen)) == 3


def test_single_links_fill_the_parts_and_each_comes_anywhere() -> None:
    pairs = torch.stack((torch.arange(10), torch.arange(10) + 10))
    count = torch.zeros(3, 10)
    for seed in range(300):
        parts = divide(Links(pairs), 3, 2, torch.Generator().manual_seed(seed))
        assert [len(part) for part in parts] == [5, 3, 2]
        assert all(part.pairs[0].tolist() == sorted(part.pairs[0].tolist()) for part in parts)
        for row, part in zip(count, parts, strict=True):
            row[part.pairs[0]] += 1
    assert (count / 300 - torch.tensor([[0.5], [0.3], [0.2]])).abs().max() < 0.12


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("typed", [True, False])
def test_links_of_a_graph_give_the_graph(typed: bool, undirected: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(9, (2, 30), generator=generator)
    kind = torch.randint(2, (30,), generator=generator) if typed else None
    graph = LinkGraph.from_edges(edges, 9, relation=kind, x=torch.ones(9, 1), undirected=undirected).without(
        edges[:, :5]
    )
    links = graph_links(graph)
    assert len(links) == graph.num_edges // (2 if undirected else 1)
    some = slice(0, len(links) // 2)
    halves = links[some], links[some.stop :]
    assert torch.equal(joined(*halves).pairs, links.pairs)
    again = read_graph(graph, *halves)
    assert again.x is graph.x and again.undirected == undirected
    found, expected = again.edge_index, graph.edge_index
    if typed and not undirected:
        assert again.num_relations == 4 and again.num_edges == 2 * len(links)
        base = again.edge_relation < 2
        assert torch.equal(again.edge_relation[base], graph.edge_relation)
        inverse = found[:, ~base].flip(0), again.edge_relation[~base] - 2
        back = LinkGraph.from_edges(inverse[0], 9, relation=inverse[1], undirected=False)
        assert torch.equal(back.edge_index, expected)
        found = found[:, base]
    assert torch.equal(found, expected)
