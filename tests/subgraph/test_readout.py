"""Pooling in two stages, against loops over one graph."""

import networkx as nx
import pytest
import torch

from netgraph.subgraph import SubgraphTransform, pairs_of
from netgraph.subgraph.readout import Readout

REDUCE = {"mean": torch.mean, "sum": torch.sum, "max": torch.amax}


@pytest.mark.parametrize("pooling", ["VS", "SV", "root"])
@pytest.mark.parametrize("pool", REDUCE)
def test_pooling(pooling: str, pool: str) -> None:
    pairs = pairs_of(SubgraphTransform()(nx.path_graph(4)))
    h = torch.randn(16, 3, dtype=torch.float64)
    out = Readout(3, 2, pooling=pooling, pool=pool, level="graph", norm=None, dropout=0.0).double()
    square = h.reshape(4, 4, 3)
    first = torch.amax if pool == "max" else torch.sum
    rows = {
        "VS": first(square, 1),
        "SV": first(square, 0),
        "root": torch.stack([square[i, i] for i in range(4)]),
    }[pooling]
    expected = out.head(REDUCE[pool](out.between(rows), 0))
    assert torch.allclose(out(h, pairs), expected[None], atol=1e-12)
