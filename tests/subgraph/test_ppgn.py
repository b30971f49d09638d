"""PPGN: its formula, symmetry, and what is refused."""

import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Batch

from netgraph.errors import UsageError
from netgraph.subgraph import PPGN
from tests.subgraph.graphs import permuted, random_data

SIZES = {"none": (0, None), "float": (4, 3), "int": (4, 3)}


def network(features: str = "none", **options: object) -> PPGN:
    torch.manual_seed(1)
    in_channels, edge_dim = SIZES[features]
    settings = {"hidden_channels": 6, "num_layers": 2, "edge_dim": edge_dim, **options}
    return PPGN(in_channels, 3, **settings).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("features", SIZES)
def test_a_network_is_its_formula(features: str) -> None:
    net = network(features, norm=None, pool="sum", policy="marking").eval()
    data = random_data(5, features)
    n, (source, target) = data.num_nodes, net.transform(data).edge_index
    h = net.start(torch.eye(n, dtype=torch.long))
    edge = net.adjacent.expand(len(source), -1)
    if features != "none":
        x, e = data.x, net.transform(data).edge_attr
        x = x if features == "float" else F.one_hot(x, 4)
        e = e if features == "float" else F.one_hot(e, 3)
        h = h + (net.encoder.linear(x.double())[None, :] + net.encoder_u.linear(x.double())[:, None])
        edge = edge + net.edges.linear(e.double())
    h = h.index_put((source, target), edge, accumulate=True)
    for block in net.blocks:
        product = torch.einsum("uwf,wvf->uvf", block.left(h), block.right(h))
        h = F.relu(block.skip(torch.cat((h, product), dim=2)))
    out = net.readout
    expected = out.head(out.between(h.sum(1)).sum(0))
    assert torch.allclose(net(net.transform(data))[0], expected, atol=1e-12)


@pytest.mark.parametrize("level", ["graph", "node", "edge"])
def test_batches_and_order(level: str) -> None:
    net = network("int", level=level).eval()
    data = [random_data(seed, "int") for seed in (0, 5, 2)]
    alone = torch.cat([net(net.transform(one)) for one in data])
    assert torch.allclose(net(Batch.from_data_list([net.transform(one) for one in data])), alone, atol=1e-12)
    order = torch.randperm(9)
    out, other = (net(net.transform(one)) for one in (data[1], permuted(data[1], order)))
    if level != "edge":
        assert torch.allclose(other, out[order] if level == "node" else out, atol=1e-12)


def test_training_moves_every_parameter() -> None:
    net = network("float")
    net(Batch.from_data_list([net.transform(random_data(s, "float")) for s in range(6)])).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"policy": "deletion"}, "all pairs"), ({"pool": "median"}, "pool"), ({"num_layers": 0}, "num_layers")],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        network(**options)  # type: ignore[arg-type]


def test_bad_batches_are_refused() -> None:
    with pytest.raises(UsageError, match=r"network\.transform"):
        network()(random_data(5))
    with pytest.raises(UsageError, match="at least one node"):
        network()(network().transform(nx.empty_graph(0)))
    with pytest.raises(UsageError, match="at least two pairs"):
        network()(network().transform(nx.empty_graph(1)))
