"""Weights against loops over rows, and networks that read them against the same network by hand."""

import pytest
import torch
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred import reweight as module
from netgraph.linkpred.adjacency import Adjacency
from netgraph.linkpred.encoders import make_encoder
from netgraph.linkpred.gae import DotProduct
from netgraph.linkpred.ncn import NCN
from netgraph.linkpred.reweight import Reweighted, reweighted

NODES = 13


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_graph(seed: int, relations: int = 0) -> LinkGraph:
    edges = torch.randint(NODES - 1, (2, 30), generator=drawn(seed))
    kind = torch.randint(relations, (30,), generator=drawn(seed + 1)) if relations else None
    x = torch.randn(NODES, 5, generator=drawn(seed))
    return LinkGraph.from_edges(edges, NODES, x=x, relation=kind, undirected=not relations)


def slow(graph: LinkGraph, h: Tensor, predictor: object, alpha: float, weight: Tensor | None) -> list[float]:
    found = [0.0] * len(graph.indices)
    base = torch.ones(len(graph.indices)).to(h) if weight is None else weight
    for i in range(graph.num_nodes):
        row = [
            e
            for e in range(int(graph.indptr[i]), int(graph.indptr[i + 1]))
            if graph.kept is None or graph.kept[e]
        ]
        if not row:
            continue
        total = sum(base[e] for e in row)
        mean = sum(base[e] * h[graph.indices[e]] for e in row) / total
        products = torch.stack([mean * h[graph.indices[e]] for e in row])
        score = products.sum(1) if predictor is None else predictor(products).reshape(-1)  # type: ignore[operator]
        for e, share in zip(row, score.softmax(0), strict=True):
            found[e] = float((base[e] + alpha * total * share).detach())
    return found


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("relations", [0, 3])
@pytest.mark.parametrize("chunk", [7, 1 << 16])
def test_weights_are_those_of_a_loop(
    weighted: bool, relations: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_EDGES_AT_ONCE", chunk)
    torch.manual_seed(0)
    predictor = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    for seed in range(3):
        graph = random_graph(seed, relations)
        for view in (graph, graph.without(graph.edge_index[:, ::4])):
            h = torch.randn(NODES, 4, generator=drawn(seed)).double()
            weight = torch.rand(len(graph.indices), generator=drawn(seed)).double() if weighted else None
            for g in (None, predictor):
                found = reweighted(view, h, g, 0.7, weight=weight)
                expected = slow(view, h, g, 0.7, weight)
                torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_rows_grow_by_alpha() -> None:
    graph = random_graph(4)
    h = torch.randn(NODES, 4, generator=drawn(1))
    weight = reweighted(graph, h, alpha=0.5)
    total = torch.zeros(NODES).index_add(0, graph.rows, weight)
    torch.testing.assert_close(total, 1.5 * graph.degree)
    assert torch.equal(reweighted(graph, h, alpha=0), torch.ones(len(graph.indices)))


def test_gradient() -> None:
    graph = random_graph(5).without(torch.tensor([[0], [1]]))
    h = torch.randn(NODES, 3, dtype=torch.float64, generator=drawn(2), requires_grad=True)
    weight = torch.rand(len(graph.indices), dtype=torch.float64, generator=drawn(3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: reweighted(graph, a, weight=b), (h, weight))


def test_neighbours_among_themselves_count_more() -> None:
    """Node 0 stands in a clique and has two stray neighbours."""
    edges = [(a, b) for a in range(5) for b in range(a)] + [(0, 5), (0, 6), (5, 7), (6, 8)]
    graph = LinkGraph.from_edges(torch.tensor(edges).T, 9, x=torch.eye(9))
    h = Adjacency(graph).mean(torch.eye(9)) + torch.eye(9)
    weight = dict(zip(graph.indices[:6].tolist(), reweighted(graph, h)[:6].tolist(), strict=True))
    assert min(weight[k] for k in (1, 2, 3, 4)) > max(weight[5], weight[6])


@pytest.mark.parametrize("decoder", ["dot", "hadamard"])
def test_the_network_reads_them(decoder: str) -> None:
    torch.manual_seed(0)
    graph = random_graph(6)
    inner = DotProduct(make_encoder("sage", 5, 8, 2, dropout=0.5), decoder=decoder, dropout=0.5)  # type: ignore[arg-type]
    net = Reweighted(inner, alpha=0.8, rounds=2).eval()
    if inner.head is not None:
        nn.init.normal_(inner.head.lins[-1].weight, std=3)  # or all neighbours are equally probable
    pairs = torch.tensor([[0, 1, 2], [3, 4, 5]])

    def decode(product: Tensor) -> Tensor:
        return (product.sum(1) if inner.head is None else inner.head(product).squeeze(1)).sigmoid()

    weight = None
    for _ in range(2):
        weight = reweighted(graph, inner.encoder(graph, weight), decode, 0.8)
    states = inner.encoder(graph, weight)
    torch.testing.assert_close(net.weights(graph), weight.detach())
    torch.testing.assert_close(net(graph, pairs), inner.score(graph, states, pairs))
    torch.testing.assert_close(
        net.score_all(graph, states, pairs[0]), inner.score_all(graph, states, pairs[0])
    )
    plain = inner(graph, pairs)
    assert not torch.allclose(net(graph, pairs), plain, atol=1e-4)
    torch.testing.assert_close(Reweighted(inner, alpha=0)(graph, pairs), plain)


def test_training_goes_on_as_before() -> None:
    torch.manual_seed(0)
    graph, pairs = random_graph(7), torch.tensor([[0, 1], [3, 4]])
    net = Reweighted(DotProduct(make_encoder("gcn", 5, 8), decoder="hadamard"))
    assert net.train().training
    net(graph, pairs).sum().backward()
    assert net.net.training and all(p.grad is not None for p in net.parameters())
    assert not net.weights(graph).requires_grad
    assert set(net.state_dict()) == {f"net.{name}" for name in net.net.state_dict()}


def test_what_is_left_out_leaves_no_trace() -> None:
    torch.manual_seed(0)
    edges = torch.randint(NODES, (2, 30), generator=drawn(8))
    edges = edges[:, edges[0] < edges[1]]
    x = torch.randn(NODES, 5, generator=drawn(8))
    whole = LinkGraph.from_edges(edges, NODES, x=x)
    batch = whole.edge_index[:, :3]
    gone = {frozenset(p) for p in batch.T.tolist()}
    rest = torch.tensor([p for p in edges.T.tolist() if frozenset(p) not in gone]).T
    net = Reweighted(DotProduct(make_encoder("gcn", 5, 8)), alpha=2).eval()
    view = whole.without(batch)
    torch.testing.assert_close(net(view, batch), net(LinkGraph.from_edges(rest, NODES, x=x), batch))
    assert view.kept is not None and bool((net.weights(view)[~view.kept] == 0).all())


def test_around_common_neighbours() -> None:
    torch.manual_seed(0)
    graph = random_graph(9)
    inner = NCN(make_encoder("gcn", 5, 8))
    found = Reweighted(inner, alpha=2).eval()(graph, torch.tensor([[0, 1], [3, 4]]))
    assert found.shape == (2,) and bool(found.isfinite().all())


def test_no_edges() -> None:
    graph = LinkGraph.from_edges(torch.empty(2, 0, dtype=torch.long), 3, x=torch.eye(3))
    assert reweighted(graph, torch.ones(3, 2)).shape == (0,)
    net = Reweighted(DotProduct(make_encoder("gcn", 3, 4)))
    assert net(graph, torch.tensor([[0], [1]])).shape == (1,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda g: reweighted(g, torch.ones(NODES, 2), alpha=-1), "alpha of at least 0, got -1"),
        (lambda g: reweighted(g, torch.ones(3, 2)), r"states of shape \(13, F\), got \(3, 2\)"),
        (lambda g: reweighted(g, torch.ones(NODES, 2), weight=torch.ones(1)), "weights of shape"),
        (lambda g: Reweighted(DotProduct(make_encoder("gcn", 5, 8)), -0.1), "got -0.1 and 1"),
        (lambda g: Reweighted(DotProduct(make_encoder("gcn", 5, 8)), rounds=0), "rounds of at least 1"),
        (lambda g: Reweighted(nn.Linear(1, 1)), "network with an encoder, got Linear"),
    ],
)
def test_refusals(call: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call(random_graph(0))  # type: ignore[operator]
