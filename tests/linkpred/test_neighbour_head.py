"""The head of pairs: states that are needed, and pairs without neighbours."""

import pytest
import torch

from netgraph.errors import UsageError
from netgraph.linkpred.neighbour_head import NeighbourHead


@pytest.mark.parametrize("own", [True, False])
def test_states_of_the_nodes_that_are_needed(own: bool) -> None:
    head = NeighbourHead(4, 6, own=own)
    states, nodes = torch.randn(9, 4), torch.tensor([7, 2, 7, 0])
    rows, place = head.neighbour_states(states, nodes, False)
    assert len(rows) == (3 if own else 9)
    expected = states + head.own(states) if own else states
    torch.testing.assert_close(rows[place], expected[nodes])


def test_pairs_without_neighbours_get_what_zeros_get() -> None:
    head = NeighbourHead(4, 6, dropout=0.5)
    product, some = torch.randn(10, 4), torch.arange(10) % 3 == 0
    near = torch.randn(10, 4) * some[:, None]
    quiet = head(product, near, some, False)
    by_hand = head.last(head.pair(product, False) + head.beta * head.near(near, False), False).squeeze(1)
    torch.testing.assert_close(quiet, by_hand)
    assert not torch.equal(head(product, near, some, True), head(product, near, some, True))


def test_layers_that_were_asked_for() -> None:
    plain, more = NeighbourHead(4, 6), NeighbourHead(4, 6, tail=False, deep=True)
    assert [len(plain.near.lins), len(plain.pair.lins), len(plain.last.lins)] == [2, 1, 2]
    assert [len(more.near.lins), len(more.pair.lins), len(more.last.lins)] == [3, 2, 3]
    assert float(NeighbourHead(4, 6, beta=0.3).beta.detach()) == pytest.approx(0.3)


def test_refusals() -> None:
    for changes in ({"hidden": 0}, {"hidden": 4, "dropout": 1.0}):
        with pytest.raises(UsageError, match="ncn: expected hidden channels from 1"):
            NeighbourHead(4, **changes)
