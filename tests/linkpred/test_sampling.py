"""Sampled neighbourhoods: exact with whole rows, right in the mean otherwise, usable through a DataLoader."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph, LinkNet, LinkSplit
from netgraph.linkpred.encoders import make_encoder
from netgraph.linkpred.gae import DotProduct
from netgraph.linkpred.nbfnet import NBFNet
from netgraph.linkpred.ncn import NCN, NCNC
from netgraph.linkpred.sampling import SampledLinks, neighbourhood, sample_rows, sampled_logits
from netgraph.linkpred.split import random_split
from netgraph.linkpred.training_pairs import Removal


def example(nodes: int = 40) -> LinkGraph:
    chance = torch.Generator().manual_seed(0)
    edges = torch.randint(nodes, (2, 150), generator=chance)
    hub = torch.stack((torch.zeros(25).long(), torch.randint(1, nodes, (25,), generator=chance)))
    x = torch.randn(nodes, 5, generator=chance, dtype=torch.float64)
    return LinkGraph.from_edges(torch.cat((edges, hub), 1), nodes, x=x)


def split() -> LinkSplit:
    return random_split(example(), 0.1, 0.1)


def build(name: str, encoder: str = "gcn", layers: int = 2, **options: object) -> LinkNet:
    torch.manual_seed(0)
    kind = {"gae": DotProduct, "ncn": NCN, "ncnc": NCNC}[name]
    return kind(make_encoder(encoder, 5, 8, layers), **options).double()


@pytest.mark.parametrize("left_out", [False, True])
def test_rows_that_are_sampled(left_out: bool) -> None:
    graph = example()
    graph = graph.without(graph.edge_index[:, ::7]) if left_out else graph
    nodes = torch.tensor([0, 3, 17, 39])
    every = torch.cat([torch.arange(*graph.indptr[v : v + 2].tolist()) for v in nodes])
    if left_out:
        every = every[graph.kept[every]]
    assert torch.equal(sample_rows(graph, nodes, -1), every)
    assert torch.equal(sample_rows(graph, nodes, 1000), every)
    seen = torch.zeros(len(graph.indices))
    for _ in range(300):
        entry = sample_rows(graph, nodes, 4)
        assert (entry.diff() > 0).all() and set(entry.tolist()) <= set(every.tolist())
        assert torch.bincount(graph.rows[entry], minlength=40).max() <= 4
        seen[entry] += 1
    assert (seen[every] > 0).all()
    hub = seen[graph.indptr[0] : graph.indptr[1]]
    assert hub[hub > 0].std() / hub[hub > 0].mean() < 0.3


@pytest.mark.parametrize("jumping", ["none", "sum"])
@pytest.mark.parametrize("encoder", ["gcn", "puregcn", "sage", "gin", "gat", "mlp"])
def test_whole_rows_give_the_states_of_the_whole_graph(encoder: str, jumping: str) -> None:
    graph = example()
    graph = graph.without(graph.edge_index[:, :9])
    net = make_encoder(encoder, 5, 8, 3, norm=True, jumping=jumping, residual=True).double()
    seeds = torch.tensor([5, 0, 5, 33])
    near = neighbourhood(graph, seeds, [-1, -1, -1])
    states = near.encode(net)
    assert len(states) == near.within[0] == 3
    torch.testing.assert_close(states[near.number(seeds)], net(graph)[seeds], rtol=0, atol=1e-10)
    assert torch.equal(near.nodes[near.number(seeds)], seeds)
    assert torch.equal(near.degree, graph.degree[near.nodes])


def test_mostly_empty_features_and_no_features() -> None:
    graph = example()
    sparse = replace(graph, x=graph.x * (torch.rand(40, 5) < 0.1))
    for given, width in ((sparse, 5), (replace(graph, x=None), 0)):
        for name in ("gcn", "sage", "mlp"):
            net = make_encoder(name, width, 8, 2).double()
            near = neighbourhood(given, torch.tensor([0, 4]), [-1, -1])
            torch.testing.assert_close(near.encode(net), net(given)[[0, 4]], rtol=0, atol=1e-10)


def test_edge_dropout_of_sampled_neighbourhoods() -> None:
    graph = example()
    net = make_encoder("puregcn", 5, 8, 2, edge_dropout=0.3).double()
    near = neighbourhood(graph, torch.tensor([0, 4]), [-1, -1])
    mean = torch.stack([near.encode(net) for _ in range(800)]).mean(0)
    torch.testing.assert_close(mean, net.eval()(graph)[[0, 4]], rtol=0, atol=0.1)


def test_sums_over_sampled_neighbours_are_right_in_the_mean() -> None:
    graph = example()
    net = make_encoder("puregcn", 5, 8, 1).double()
    expected = net(graph)[0]
    draws = []
    for _ in range(800):
        near = neighbourhood(graph, torch.tensor([0]), [5])
        assert near.graph.num_edges <= 5
        draws.append(near.encode(net)[0])
    spread = torch.stack(draws).std(0) / 800**0.5
    assert ((torch.stack(draws).mean(0) - expected).abs() < 5 * spread + 1e-9).all()


def test_neighbourhoods_are_parts_of_the_graph() -> None:
    graph = example()
    near = neighbourhood(graph, torch.tensor([1, 2]), [3, 2])
    edges = near.nodes[near.graph.edge_index]
    assert graph.has(edges).all()
    order = (near.graph.rows * 1000 + near.graph.indices).diff()
    assert (order > 0).all()
    alone = neighbourhood(graph, torch.tensor([1, 2]), [])
    assert alone.nodes.tolist() == [1, 2] and alone.graph.num_edges == 0


@pytest.mark.parametrize(
    ("name", "options"), [("gae", {}), ("ncn", {}), ("ncnc", {}), ("ncnc", {"depth": 2, "own": False})]
)
@pytest.mark.parametrize("remove", [True, False])
def test_logits_of_whole_rows_are_those_of_the_whole_graph(
    name: str, options: dict[str, object], remove: bool
) -> None:
    parts, net = split(), build(name, **options)
    removal: Removal = "pairs" if remove else "none"
    source = SampledLinks(parts, net, [-1, -1], batch_size=20, negatives=2, remove_targets=removal)
    count = 0
    for batch in source:
        pairs = batch.near.nodes[batch.pairs]
        graph = parts.graph.without(pairs[:, :, 0]) if remove else parts.graph
        expected = net(graph, pairs.flatten(1)).view(pairs.shape[1:])
        logits = sampled_logits(net, batch)
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)
        mine = torch.autograd.grad(logits.sum(), net.parameters())
        theirs = torch.autograd.grad(expected.sum(), net.parameters())
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-8)
        count += pairs.size(1)
    assert count == len(parts.train)


def test_caps_bound_what_is_read() -> None:
    parts = split()
    few, many = (
        SampledLinks(parts, build("ncnc", max_single=most), [2, 2], batch_size=20) for most in (2, None)
    )
    sizes = [sum(len(b.read.nodes()) for b in source) for source in (few, many)]
    assert sizes[0] < 0.5 * sizes[1]
    assert all(torch.isfinite(sampled_logits(few.net, b)).all() for b in few)


def test_embeddings_are_those_of_the_nodes() -> None:
    parts = split()
    encoder = make_encoder("sage", 5, 8, 1, num_nodes=40, embedding=3)
    net = DotProduct(encoder).double()
    for batch in SampledLinks(parts, net, [-1], batch_size=30):
        pairs = batch.near.nodes[batch.pairs]
        graph = parts.graph.without(pairs[:, :, 0])
        expected = net(graph, pairs.flatten(1)).view(pairs.shape[1:])
        torch.testing.assert_close(sampled_logits(net, batch), expected, rtol=0, atol=1e-10)


def true_links(batches: list[object]) -> list[tuple[int, ...]]:
    found: list[Tensor] = [b.near.nodes[b.pairs[:, :, 0]] for b in batches]
    return [tuple(p) for p in torch.cat(found, dim=1).T.tolist()]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_gives_every_link_once(workers: int) -> None:
    parts = split()
    source = SampledLinks(parts, build("ncn"), [3, 3], batch_size=16)
    batches = list(DataLoader(source, batch_size=None, num_workers=workers))
    assert sorted(true_links(batches)) == sorted(tuple(p) for p in parts.train.pairs.T.tolist())
    assert len({tuple(b.near.nodes[b.pairs[:, :, 1]].flatten().tolist()) for b in batches}) == len(batches)
    assert all(sampled_logits(source.net, b).shape == b.pairs.shape[1:] for b in batches)


def test_seeds_repeat() -> None:
    source = SampledLinks(split(), build("ncn"), [2, 2], batch_size=16)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(true_links(list(source)))
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("fanouts", [[3], [3, 0], [3, -2], [3, 2.5]])
def test_fanouts_that_make_no_sense(fanouts: list[int]) -> None:
    with pytest.raises(UsageError, match="a fanout, from 1 or -1 for all, for each of 2 layers"):
        SampledLinks(split(), build("gae"), fanouts)


def test_networks_that_cannot_be_sampled_for() -> None:
    with pytest.raises(UsageError, match="a DotProduct, NCN or NCNC to sample for, got NBFNet"):
        SampledLinks(split(), NBFNet(dim=4, layers=1), [3])
