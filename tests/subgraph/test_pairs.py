"""What layers read of a batch."""

import networkx as nx
import pytest
import torch

from netgraph.subgraph import SubgraphTransform, pairs_of


def test_buffers_are_shared_by_number_width_and_precision() -> None:
    pairs = pairs_of(SubgraphTransform()(nx.path_graph(3)))
    state = torch.zeros(9, 4)
    assert pairs.buffer(0, state) is pairs.buffer(0, torch.ones(9, 4))
    others = [pairs.buffer(1, state), pairs.buffer(0, state.double()), pairs.buffer(0, torch.zeros(9, 5))]
    assert len({pairs.buffer(0, state).data_ptr(), *(b.data_ptr() for b in others)}) == 4


def test_lists_that_were_not_asked_for_are_missed() -> None:
    pairs = pairs_of(SubgraphTransform()(nx.path_graph(3)), backend="sparse", local=("u",))
    assert pairs.triples("u") is pairs.triples_u
    with pytest.raises(AssertionError, match="local_v"):
        pairs.triples("v")
