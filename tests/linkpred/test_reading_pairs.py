"""Neighbours of pairs and of the pairs behind their completion, against sets."""

import pytest
import torch
from torch import Tensor

from netgraph.linkpred import LinkGraph, reading_pairs
from netgraph.linkpred.neighbours import Neighbours, common_neighbours
from netgraph.linkpred.reading_pairs import capped, pair_chunks, read_pairs


def example() -> LinkGraph:
    edges = torch.randint(15, (2, 50), generator=torch.Generator().manual_seed(0))
    return LinkGraph.from_edges(edges, 15).without(edges[:, :6])


def every_pair(nodes: int = 15) -> Tensor:
    return torch.cartesian_prod(torch.arange(nodes), torch.arange(nodes)).T


def as_sets(found: Neighbours) -> list[set[int]]:
    return [set(part.tolist()) for part in found.node.split(found.count.tolist())]


def test_neighbours_to_depth_two() -> None:
    graph = example()
    near: list[set[int]] = [set() for _ in range(15)]
    for u, v in graph.edge_index.T.tolist():
        near[v].add(u)
    read = read_pairs(graph, every_pair(), depth=2)
    todo = [read]
    for step in range(3):
        pairs = torch.cat([part.pairs for part in todo], dim=1).T.tolist()
        common = [s for part in todo for s in as_sets(part.common[0])]
        assert common == [near[i] & near[j] for i, j in pairs]
        for part in todo:
            assert len(part.single) == (2 if step < 2 else 0)
            if part.single:
                ends = part.pairs.T.tolist()
                only = [as_sets(found) for found, _ in part.single]
                assert only[0] == [near[i] - near[j] - {i, j} for i, j in ends]
                assert only[1] == [near[j] - near[i] - {i, j} for i, j in ends]
                wanted = [(j, u) for (_, j), us in zip(ends, only[0], strict=True) for u in sorted(us)]
                wanted += [(i, u) for (i, _), us in zip(ends, only[1], strict=True) for u in sorted(us)]
                asked = torch.cat([p.pairs for p in part.further], dim=1).T.tolist()
                assert [tuple(p) for p in asked] == wanted
        todo = [further for part in todo for further in part.further]


def test_nodes_and_other_numbers_for_them() -> None:
    read = read_pairs(example(), every_pair()[:, :40], depth=1)
    moved = read.renumbered(lambda nodes: nodes + 100)
    assert torch.equal(moved.nodes(), read.nodes() + 100)
    assert set(moved.pairs.flatten().tolist()) <= set(moved.nodes().tolist())
    lists = [read.common, *read.single, *(p.common for p in read.further)]
    mentioned = {n for found, _ in lists for n in found.node.tolist()}
    ends = {n for part in (read, *read.further) for n in part.pairs.flatten().tolist()}
    assert set(read.nodes().tolist()) == mentioned | ends


def test_chunks_keep_the_order_and_bound_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, pairs = example(), every_pair()
    size = graph.indptr.diff()
    monkeypatch.setattr(reading_pairs, "_PAIRS_AT_ONCE", 50)
    monkeypatch.setattr(reading_pairs, "_NEIGHBOURS_AT_ONCE", 60)
    for depth, most in ((0, None), (1, None), (1, 2)):
        parts = list(pair_chunks(graph, pairs, depth, most))
        assert torch.equal(torch.cat(parts, dim=1), pairs)
        assert all(part.size(1) <= 50 for part in parts)
        sizes = [int(size[part].clamp(max=most or 99).sum()) for part in parts]
        assert (max(sizes) <= 60 + 2 * int(size.max())) == (depth > 0)
    assert [p.size(1) for p in pair_chunks(graph, pairs[:, :0], 1)] == [0]


@pytest.mark.parametrize("by_chance", [True, False])
def test_caps_keep_the_mean_of_sums(by_chance: bool) -> None:
    graph = LinkGraph.from_edges(every_pair(9), 9)
    found = common_neighbours(graph, torch.tensor([[0, 1, 3, 4], [1, 5, 8, 4]]))
    assert found.count.tolist() == [7, 7, 7, 8]
    total, draws = torch.zeros(4, 9), 600 if by_chance else 1
    for _ in range(draws):
        some, weight = capped(found, 3, by_chance)
        assert some.count.tolist() == [3, 3, 3, 3]
        assert all(a <= b for a, b in zip(as_sets(some), as_sets(found), strict=True))
        torch.testing.assert_close(weight, torch.tensor([7 / 3] * 9 + [8 / 3] * 3))
        total.index_put_((some.pair, some.node), weight, accumulate=True)
    every = torch.zeros(4, 9).index_put((found.pair, found.node), torch.ones(len(found.node)))
    torch.testing.assert_close((total / draws).sum(1), every.sum(1))
    if by_chance:
        torch.testing.assert_close(total / draws, every, rtol=0, atol=0.25)
        assert torch.equal((total > 0).float(), every)


@pytest.mark.parametrize("by_chance", [True, False])
def test_caps_of_lists_of_all_lengths(by_chance: bool) -> None:
    lengths = torch.arange(12)
    found = Neighbours(torch.cat((torch.zeros(1).long(), lengths.cumsum(0))), torch.arange(66))
    for most in range(1, 12):
        some, weight = capped(found, most, by_chance)
        assert some.count.tolist() == lengths.clamp(max=most).tolist()
        if weight is not None:
            sums = torch.zeros(12).index_add(0, some.pair, weight)
            torch.testing.assert_close(sums, lengths.float())
    assert capped(found, None, by_chance)[1] is None and capped(found, 11, by_chance)[1] is None
