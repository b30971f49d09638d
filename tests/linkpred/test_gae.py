"""Graph autoencoders: products of states, one by one and all at once."""

import pytest
import torch
from torch_geometric.nn import GAE, GCNConv

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred.encoders import make_encoder
from netgraph.linkpred.gae import DotProduct


def example() -> LinkGraph:
    edges = torch.randint(10, (2, 20), generator=torch.Generator().manual_seed(0))
    return LinkGraph.from_edges(edges, 10, x=torch.randn(10, 5, dtype=torch.float64)).without(edges[:, :3])


PAIRS = torch.tensor([[0, 3, 3, 9, 9], [1, 5, 3, 2, 0]])


def test_dot_product_equals_pyg() -> None:
    graph = example()
    net = DotProduct(make_encoder("gcn", 5, 8, 1)).double()
    layer = net.encoder.layers[0]
    twin = GCNConv(5, 8).double()
    gae = GAE(twin)  # it draws the weights anew
    twin.load_state_dict({"bias": layer.bias, "lin.weight": layer.lin.weight.T})
    expected = gae.decode(gae.encode(graph.x, graph.edge_index), PAIRS, sigmoid=False)
    torch.testing.assert_close(net(graph, PAIRS), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("decoder", ["dot", "hadamard"])
def test_pairs_have_no_direction_and_score_all_holds_every_pair(decoder: str) -> None:
    graph = example()
    net = DotProduct(make_encoder("sage", 5, 8, 2), decoder=decoder, norm=True, layers=3).double()
    states = net.encode(graph)
    scores = net.score(graph, states, PAIRS)
    torch.testing.assert_close(net.score(graph, states, PAIRS.flip(0)), scores)
    every = net.score_all(graph, states, torch.tensor([9, 0, 3]))
    assert every.shape == (3, 10)
    torch.testing.assert_close(every[[1, 2, 2, 0, 0], PAIRS[1]], scores)


def test_hadamard_by_hand() -> None:
    graph = example()
    net = DotProduct(make_encoder("gcn", 5, 8, 1), decoder="hadamard", layers=2).double()
    h = net.encode(graph)
    first, last = net.head.lins
    expected = last(torch.relu(first(h[PAIRS[0]] * h[PAIRS[1]]))).squeeze(1)
    torch.testing.assert_close(net(graph, PAIRS), expected)


def test_no_pairs() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for decoder in ("dot", "hadamard"):
        assert DotProduct(make_encoder("gcn", 5, 8), decoder=decoder).double()(example(), none).shape == (0,)


@pytest.mark.parametrize(
    "changes", [{"decoder": "cosine"}, {"layers": 0}, {"dropout": 1.0}, {"activation": "tanh"}]
)
def test_refusals(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="gae: expected"):
        DotProduct(make_encoder("gcn", 5, 8), **changes)
