"""The pairs of a batch, against their definition pair by pair."""

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch

from netgraph.errors import UsageError
from netgraph.subgraph import SubgraphTransform, pairs_of
from netgraph.subgraph.pairs import Pairs
from tests.subgraph.graphs import random_data

TRANSFORMS = {
    "whole": SubgraphTransform("marking"),
    "ego-nets": SubgraphTransform("distance", hops=1),
    "deletion": SubgraphTransform("deletion"),
}


def batch_of(transform: SubgraphTransform, seeds: range = range(7)) -> Batch:
    return Batch.from_data_list([transform(random_data(seed)) for seed in seeds])


def ends_of(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.u.tolist(), pairs.v.tolist(), strict=True))


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_positions(transform: SubgraphTransform) -> None:
    batch = batch_of(transform)
    pairs = pairs_of(batch)
    ends = ends_of(pairs)
    place = {pair: i for i, pair in enumerate(ends)}
    assert pairs.transposed.tolist() == [place[v, u] for u, v in ends]
    if transform.policy == "deletion":
        assert pairs.diagonal is None
    else:
        assert pairs.diagonal is not None
        assert pairs.diagonal.tolist() == [place[u, u] for u in range(batch.num_nodes)]
    assert pairs.edge_pair.tolist() == [place[a, b] for a, b in batch.edge_index.T.tolist()]


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_lists_of_neighbours(transform: SubgraphTransform) -> None:
    batch = batch_of(transform)
    pairs = pairs_of(batch, backend="sparse")
    ends = ends_of(pairs)
    place = {pair: i for i, pair in enumerate(ends)}
    label = {(a, b): i for i, (a, b) in enumerate(batch.edge_index.T.tolist())}
    for keep, triples in (("u", pairs.triples_u), ("v", pairs.triples_v)):
        assert triples is not None
        found = [set() for _ in ends]  # type: ignore[var-annotated]
        for row, pair, edge in zip(
            *(t.tolist() for t in (triples.row, triples.pair, triples.edge)), strict=True
        ):
            found[row].add((pair, edge))
        for (u, v), read in zip(ends, found, strict=True):
            moving = v if keep == "u" else u
            near = [(b, e) for (a, b), e in label.items() if a == moving]
            pair_of = [((u, w) if keep == "u" else (w, v), e) for w, e in near]
            assert read == {(place[p], e) for p, e in pair_of if p in place}
        assert torch.equal(triples.ends.diff(), torch.bincount(triples.row, minlength=len(ends)).int())


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_blocks(transform: SubgraphTransform) -> None:
    batch = batch_of(transform)
    blocks = pairs_of(batch, backend="dense").blocks
    assert blocks is not None and not blocks.whole
    n = int(batch.ptr.diff().max())
    for place in (blocks.slot_u, blocks.slot_v):
        assert len(set(place.tolist())) == len(place) and int(place.max()) < 7 * n * n
    assert int(blocks.adjacency.sum()) == batch.edge_index.shape[1]
    assert torch.equal(blocks.adjacency, blocks.adjacency.transpose(1, 2))


def test_auto_takes_blocks_for_small_whole_graphs_and_lists_for_ego_nets() -> None:
    near, whole = SubgraphTransform(hops=2), SubgraphTransform()
    assert pairs_of(whole(nx.gnp_random_graph(20, 0.3, seed=0))).blocks is not None
    assert pairs_of(near(nx.cycle_graph(100))).blocks is None
    assert pairs_of(whole(nx.cycle_graph(100))).blocks is None  # 100 products for 2 neighbours
    uneven = Batch.from_data_list([whole(nx.complete_graph(n)) for n in (40, 3, 3, 3)])
    assert pairs_of(uneven).blocks is None  # most places would be padding


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(UsageError, match="auto, dense, sparse"):
        pairs_of(batch_of(TRANSFORMS["whole"]), backend="blocks")
