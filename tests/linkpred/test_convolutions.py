"""Layers on a part of a graph; that they equal PyG's on a whole one is for the tests of encoders."""

import pytest
import torch

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred.adjacency import Adjacency
from netgraph.linkpred.convolutions import GAT, GCN, GIN, MLP, SAGE, PureGCN
from netgraph.linkpred.features import Features, read_features


@pytest.mark.parametrize("kind", [GCN, PureGCN, SAGE, GIN, GAT, MLP])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_the_first_nodes_alone_get_the_states_they_have_among_all(kind: type, share: float) -> None:
    # Nodes 0 to 3 know nodes 0 to 7 only.
    chance = torch.Generator().manual_seed(0)
    near = torch.stack((torch.randint(8, (20,), generator=chance), torch.randint(4, (20,), generator=chance)))
    far = torch.randint(4, 12, (2, 20), generator=chance)
    x = torch.randn(12, 8, dtype=torch.float64) * (torch.rand(12, 8) < share)
    graph = LinkGraph.from_edges(torch.cat((near, far), dim=1), 12, x=x, undirected=False)
    layer, whole = kind(8, 8).double(), Adjacency(graph)
    part = whole.first(4, 8)
    expected = layer(Features(*read_features(x)), whole)[:4]
    for given in (x[:8].contiguous(), Features(*read_features(x[:8].contiguous()))):
        torch.testing.assert_close(layer(given, part), expected, rtol=0, atol=1e-10)


def test_widths_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="puregcn: expected as many channels"):
        PureGCN(4, 8)
    with pytest.raises(UsageError, match="gat: expected a multiple of 4 channels, got 6"):
        GAT(4, 6)
