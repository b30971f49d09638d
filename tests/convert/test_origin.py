"""What rides along stays what it is."""

import copy
import pickle

import torch

from netgraph.convert.origin import Origin
from netgraph.graph import same_bytes
from tests.graph.networks import graph

ORIGIN = Origin(graph("odds").structure, {"flags": torch.tensor([True, False]), "batch": torch.tensor(3)})


def test_clone_shares_no_tensor() -> None:
    other = ORIGIN.clone()
    assert other.structure is ORIGIN.structure
    other.verbatim["flags"].zero_()
    assert ORIGIN.verbatim["flags"].any()


def test_to_moves_and_keeps_dtypes() -> None:
    moved = ORIGIN.to("meta", non_blocking=True)
    assert all(t.is_meta for t in moved.verbatim.values())
    assert moved.verbatim["flags"].dtype is torch.bool
    assert ORIGIN.to().verbatim["batch"] is ORIGIN.verbatim["batch"]


def test_copies_and_workers_can_take_it() -> None:
    for other in (copy.deepcopy(ORIGIN), pickle.loads(pickle.dumps(ORIGIN))):
        assert other.structure == ORIGIN.structure
        assert all(same_bytes(other.verbatim[n], t) for n, t in ORIGIN.verbatim.items())


def test_short_text() -> None:
    assert repr(ORIGIN) == "Origin(groups=12, verbatim=2)"
