"""Sums over neighbours, against loops, with their gradients."""

import pytest
import torch
from torch_geometric.data import Batch

from netgraph.subgraph import SubgraphTransform, pairs_of
from netgraph.subgraph.neighbour_sum import edge_messages, neighbour_sum, padded, unpadded
from netgraph.subgraph.pairs import Side
from tests.subgraph.graphs import random_data

SIDES: list[Side] = ["u", "v"]


def batch_of(policy: str, hops: int | None, seeds: list[int]) -> Batch:
    transform = SubgraphTransform(policy, hops=hops)
    return Batch.from_data_list([transform(random_data(seed)) for seed in seeds])


BATCHES = {
    "whole": batch_of("marking", None, [0, 1, 2, 3]),
    "one size": batch_of("marking", None, [4, 4]),
    "ego-nets": batch_of("distance", 1, [0, 1, 2, 3]),
    "deletion": batch_of("deletion", None, [0, 1, 2]),
}


def neighbours(batch: Batch, keep: Side) -> list[tuple[int, int, int]]:
    """(pair, neighbouring pair, column of edge_index)."""
    ends = batch.pair_index.T.tolist()
    place = {(u, v): i for i, (u, v) in enumerate(ends)}
    found = []
    for i, (u, v) in enumerate(ends):
        for e, (w, moving) in enumerate(batch.edge_index.T.tolist()):
            if moving == (v if keep == "u" else u):
                other = (u, w) if keep == "u" else (w, v)
                if other in place:
                    found.append((i, place[other], e))
    return found


@pytest.mark.parametrize("keep", SIDES)
@pytest.mark.parametrize("backend", ["dense", "sparse"])
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_sums_are_those_of_a_loop(batch: Batch, backend: str, keep: Side) -> None:
    y = torch.randn(batch.pair_index.shape[1], 5, dtype=torch.float64, requires_grad=True)
    expected = torch.zeros_like(y)
    for row, pair, _ in neighbours(batch, keep):
        expected[row] += y[pair]
    found = neighbour_sum(y, pairs_of(batch, backend=backend), keep)
    assert torch.allclose(found, expected, atol=1e-12)
    weight = torch.randn_like(found)
    (slow,) = torch.autograd.grad((expected * weight).sum(), y)
    (fast,) = torch.autograd.grad((found * weight).sum(), y)
    assert torch.allclose(fast, slow, atol=1e-12)


@pytest.mark.parametrize("keep", SIDES)
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_messages_along_edges_are_those_of_a_loop(
    batch: Batch, keep: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netgraph.subgraph.neighbour_sum._CHUNK", 35)  # seven triples at a time
    h = torch.randn(batch.pair_index.shape[1], 5, dtype=torch.float64, requires_grad=True)
    table = torch.randn(batch.num_nodes, batch.num_nodes, 5, dtype=torch.float64)
    edge = (table + table.transpose(0, 1))[batch.edge_index[0], batch.edge_index[1]].requires_grad_()
    expected = torch.zeros_like(h)
    for row, pair, e in neighbours(batch, keep):
        expected[row] += (h[pair] + edge[e]).relu()
    found = edge_messages(h, edge, pairs_of(batch, edge_features=True), keep)
    assert torch.allclose(found, expected, atol=1e-12)
    weight = torch.randn_like(found)
    slow = torch.autograd.grad((expected * weight).sum(), (h, edge))
    fast = torch.autograd.grad((found * weight).sum(), (h, edge))
    assert torch.allclose(fast[0], slow[0], atol=1e-12)
    # Which of the two directions of an edge a message reads is no concern of the sum.
    both = {tuple(e): i for i, e in enumerate(batch.edge_index.T.tolist())}
    back = [both[b, a] for a, b in batch.edge_index.T.tolist()]
    assert torch.allclose(fast[1] + fast[1][back], slow[1] + slow[1][back], atol=1e-12)


@pytest.mark.parametrize("keep", SIDES)
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_unpadded_undoes_padded(batch: Batch, keep: Side) -> None:
    blocks = pairs_of(batch, backend="dense").blocks
    assert blocks is not None
    y = torch.randn(batch.pair_index.shape[1], 2)
    assert torch.equal(unpadded(padded(y, blocks, keep), blocks, keep), y)
