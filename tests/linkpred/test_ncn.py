"""NCN and NCNC against their equations on a dense adjacency, pair by pair."""

import pytest
import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph, LinkNet, reading_pairs
from netgraph.linkpred.encoders import make_encoder
from netgraph.linkpred.ncn import NCN, NCNC


def example(seed: int = 0, nodes: int = 13) -> LinkGraph:
    chance = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes - 1, (2, 34), generator=chance)
    x = torch.randn(nodes, 5, generator=chance, dtype=torch.float64)
    return LinkGraph.from_edges(edges, nodes, x=x).without(edges[:, :4])


def every_pair(nodes: int = 13) -> Tensor:
    return torch.cartesian_prod(torch.arange(nodes), torch.arange(nodes)).T


def neighbour_sets(graph: LinkGraph) -> list[set[int]]:
    sets: list[set[int]] = [set() for _ in range(graph.num_nodes)]
    for u, v in graph.edge_index.T.tolist():
        sets[v].add(u)
    return sets


def oracle(net: NCN | NCNC, graph: LinkGraph, pair: tuple[int, int], depth: int) -> Tensor:
    """The logit of one pair, straight from the equations."""
    dense = torch.eye(graph.num_nodes, dtype=torch.float64)
    dense[graph.edge_index[1], graph.edge_index[0]] = 1
    norm = dense.sum(1).rsqrt()
    encoder = net.encoder
    h = norm[:, None] * dense * norm @ (graph.x @ encoder.projection.weight + encoder.projection.bias)
    near = neighbour_sets(graph)
    own = h if net.head.own is None else h + net.head.own(h)

    def probability(i: int, u: int) -> Tensor:
        with torch.no_grad():
            q = torch.sigmoid(net.scale * (oracle(net, graph, (i, u), depth - 1) - net.offset))
            return net.alpha * net.pt * q / (net.pt * q + 1 - q)

    i, j = pair
    total = torch.zeros(h.shape[1], dtype=torch.float64)
    for u in near[i] & near[j]:
        total = total + own[u]
    if depth:
        for u in near[j] - near[i] - {i}:
            total = total + probability(i, u) * own[u]
        for u in near[i] - near[j] - {j}:
            total = total + probability(j, u) * own[u]
    head = net.head
    return head.last(head.pair((h[i] * h[j])[None]) + head.beta * head.near(total[None]))[0, 0]


def build(depth: int, **options: object) -> NCN | NCNC:
    torch.manual_seed(depth)
    encoder = make_encoder("puregcn", 5, 6, 1)
    net = NCNC(encoder, depth=depth, alpha=0.8, pt=0.4, scale=1.7, offset=-0.1, **options) if depth else None
    return (net or NCN(encoder, **options)).double()


@pytest.mark.parametrize("options", [{}, {"own": False, "norm": False}, {"tail": False, "deep": True}])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_scores_and_gradients_are_those_of_the_equations(depth: int, options: dict[str, object]) -> None:
    graph, net = example(), build(depth, beta=0.7, **options)
    pairs = every_pair()[:, torch.randperm(169)[: 40 if depth < 2 else 6]]
    if depth == 2:
        graph = LinkGraph.from_edges(graph.edge_index[:, :18], 13, x=graph.x)
    expected = torch.stack([oracle(net, graph, tuple(p), depth) for p in pairs.T.tolist()])
    scores = net(graph, pairs)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-10)
    weight = torch.randn(len(scores), dtype=torch.float64)
    parameters = list(net.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(scores, parameters, weight),
        torch.autograd.grad(expected, parameters, weight),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)


def test_completion_makes_a_difference_and_alpha_0_makes_none() -> None:
    graph, net = example(), build(1)
    plain = NCN(net.encoder).double()
    plain.load_state_dict(net.state_dict())
    pairs = every_pair()
    assert not torch.allclose(net(graph, pairs), plain(graph, pairs))
    net.alpha = 0.0
    torch.testing.assert_close(net(graph, pairs), plain(graph, pairs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_edges_left_out_do_not_exist_and_pairs_have_no_direction(depth: int) -> None:
    graph, net = example(), build(depth)
    pairs = every_pair()
    rebuilt = LinkGraph.from_edges(graph.edge_index, 13, x=graph.x)
    scores = net(graph, pairs)
    torch.testing.assert_close(scores, net(rebuilt, pairs), rtol=0, atol=1e-10)
    torch.testing.assert_close(scores, net(graph, pairs.flip(0)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("depth", [0, 1])
def test_a_link_in_the_graph_scores_otherwise_than_without_it(depth: int) -> None:
    graph, net = example(), build(depth)
    link = graph.edge_index[:, :1]
    assert not torch.allclose(net(graph, link), net(graph.without(link), link))


@pytest.mark.parametrize("depth", [0, 1])
def test_score_all(depth: int) -> None:
    graph, net = example(), build(depth)
    states = net.encode(graph)
    rows = net.score_all(graph, states, torch.tensor([4, 12]))
    torch.testing.assert_close(rows.flatten(), net(graph, every_pair()).view(13, 13)[[4, 12]].flatten())


def test_pairs_without_neighbours_share_a_row_unless_there_is_dropout() -> None:
    graph, pairs = example(), every_pair()
    net = build(1, dropout=0.5)
    net.eval()
    still = net(graph, pairs)
    assert torch.equal(still, net(graph, pairs))
    net.train()
    lonely = torch.tensor([[12, 12], [12, 12]])
    assert len(set(net(graph, lonely.repeat(1, 20)).tolist())) > 2
    net.head.near.dropout = net.head.last.dropout = net.head.pair.dropout = net.head.own.dropout = 0.0
    torch.testing.assert_close(net(graph, pairs), still, rtol=0, atol=1e-12)


def test_edge_dropout_takes_common_neighbours_while_training() -> None:
    graph, pairs = example(), every_pair()
    net = build(0, edge_dropout=0.6)
    assert len({tuple(net(graph, pairs).tolist()) for _ in range(5)}) == 5
    plain = build(0)
    plain.load_state_dict(net.state_dict())
    net.eval()
    assert torch.equal(net(graph, pairs), plain(graph, pairs))


def test_caps_make_a_difference_where_they_should() -> None:
    for depth in (0, 1):
        options = {"max_common": 1} | ({"max_single": 1} if depth else {})
        net, plain = build(depth, **options), build(depth)
        scores = plain(example(), every_pair())
        assert len({tuple(net(example(), every_pair()).tolist()) for _ in range(4)}) == 4
        torch.testing.assert_close(net.eval()(example(), every_pair()), scores)
    net = build(1, max_single_scored=1).eval()
    assert torch.equal(net(example(), every_pair()), net(example(), every_pair()))
    assert not torch.allclose(net(example(), every_pair()), scores)
    torch.testing.assert_close(net.train()(example(), every_pair()), scores)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_parts_that_are_scored_on_their_own_make_no_difference(
    depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, net, pairs = example(), build(depth), every_pair()[:, ::4]
    scores = net(graph, pairs)
    monkeypatch.setattr(reading_pairs, "_PAIRS_AT_ONCE", 10)
    monkeypatch.setattr(reading_pairs, "_NEIGHBOURS_AT_ONCE", 12)
    with torch.no_grad():
        torch.testing.assert_close(net(graph, pairs), scores, rtol=0, atol=1e-10)
    torch.testing.assert_close(net(graph, pairs), scores, rtol=0, atol=1e-10)


def test_no_pairs_and_no_edges() -> None:
    bare = LinkGraph.from_edges(torch.empty(2, 0, dtype=torch.long), 4, x=torch.randn(4, 5).double())
    none = torch.empty(2, 0, dtype=torch.long)
    for depth in (0, 1, 2):
        net: LinkNet = build(depth, max_common=2)
        assert net(example(), none).shape == (0,)
        assert torch.isfinite(net(bare, torch.tensor([[0, 1], [2, 1]]))).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edge_dropout": 1.0}, "edge_dropout from 0 to below 1, got 1.0"),
        ({"max_common": 0}, "max_common from 1, got 0"),
        ({"max_single": 0}, "max_single from 1, got 0"),
        ({"max_single_scored": 0}, "max_single_scored from 1, got 0"),
        ({"depth": 0}, "depth from 1, got 0"),
        ({"dropout": 2.0}, "dropout from 0 to below 1, got 256 and 2.0"),
    ],
)
def test_refusals(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        NCNC(make_encoder("puregcn", 5), **changes)
