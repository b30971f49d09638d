"""The Bellman-Ford network against one that walks from one head at a time and stores every message."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred import LinkGraph, nbf_layer
from netgraph.linkpred.bellman_ford import AGGREGATES, MESSAGES
from netgraph.linkpred.nbfnet import NBFNet
from tests.linkpred.bellman_ford_oracle import plain_propagate

NODES = 15


def graph_of(relations: int, seed: int = 0, undirected: bool = False) -> LinkGraph:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(NODES - 2, (2, 40), generator=generator)
    kind = torch.randint(relations, (40,), generator=generator) if relations > 1 else None
    return LinkGraph.from_edges(edges, NODES, relation=kind, num_relations=relations, undirected=undirected)


def slow_states(
    net: NBFNet, graph: LinkGraph, head: int, kind: int, aggregate: str, message: str, shortcut: bool
) -> Tensor:
    """`(N, F)`, as the equations stand."""
    q = net.query.weight[kind]
    boundary = torch.zeros(graph.num_nodes, net.dim, dtype=q.dtype)
    boundary[head] = torch.ones_like(q) if net.indicator == "ones" else q
    h = boundary
    for layer in net.layers:
        if isinstance(layer.relation, torch.nn.Linear):
            w = layer.relation(q).view(net.num_relations, net.dim)
        else:
            w = layer.relation.weight
        found = plain_propagate(graph, h[:, None], w, boundary[:, None], message, aggregate)[:, 0]
        new = F.relu(layer.norm(layer.linear(torch.cat((h, found), 1))))
        h = new + h if shortcut else new
    return h


def slow_scores(
    net: NBFNet, graph: LinkGraph, asked: list[tuple[int, int, int]], **options: object
) -> Tensor:
    """Of heads, tails and relations; averaged with the way back where that is asked for."""
    averaged = options.pop("averaged", False)
    found = []
    for head, tail, kind in asked:
        features = slow_states(net, graph, head, kind, **options)[tail]  # type: ignore[arg-type]
        if averaged:
            back = slow_states(net, graph, tail, kind, **options)[head]  # type: ignore[arg-type]
            features = (features + back) / 2
        found.append(net.second(F.relu(net.first(torch.cat((features, net.query.weight[kind])))))[0])
    return torch.stack(found)


def asked_for(relations: int, count: int = 12) -> tuple[Tensor, Tensor | None, list[tuple[int, int, int]]]:
    """Pairs, some with a common head and relation, some twice."""
    pairs = torch.randint(NODES, (2, count))
    pairs[0, : count // 2] = pairs[0, 0]
    pairs[:, -1] = pairs[:, 0]
    kind = torch.randint(relations, (count,))
    kind[-1] = kind[0]
    asked = list(zip(*pairs.tolist(), kind.tolist(), strict=True))
    return pairs, kind if relations > 1 else None, asked


def grads(net: NBFNet, scores: Tensor) -> list[Tensor]:
    pull = torch.arange(1, len(scores) + 1, dtype=scores.dtype).sin()
    parameters = list(net.parameters())
    found = torch.autograd.grad(scores, parameters, pull, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]


@pytest.mark.parametrize(("message", "aggregate"), list(itertools.product(MESSAGES, AGGREGATES)))
def test_equals_the_equations(message: str, aggregate: str) -> None:
    for relations, options in (
        (3, {}),
        (3, {"conditioned": False, "layer_norm": False, "shortcut": False, "indicator": "ones"}),
    ):
        net = NBFNet(relations, 6, 3, message=message, aggregate=aggregate, **options).double()  # type: ignore[arg-type]
        assert isinstance(net.layers[0].relation, torch.nn.Linear) == (not options)
        graph = graph_of(relations).without(graph_of(relations).edge_index[:, :3])
        pairs, kind, asked = asked_for(relations)
        scores = net(graph, pairs, kind)
        how = {"aggregate": aggregate, "message": message, "shortcut": not options}
        expected = slow_scores(net, graph, asked, **how)
        assert torch.allclose(scores, expected, rtol=0, atol=1e-10)
        for one, other in zip(grads(net, scores), grads(net, expected), strict=True):
            assert torch.allclose(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("symmetric", [None, True, False])
def test_graphs_of_one_relation_are_averaged_as_the_paper_does(
    symmetric: bool | None, undirected: bool
) -> None:
    net = NBFNet(1, 4, 3, symmetric=symmetric).double()
    assert isinstance(net.layers[0].relation, torch.nn.Embedding)
    graph = graph_of(1, undirected=undirected)
    pairs, kind, asked = asked_for(1)
    scores = net(graph, pairs, kind)
    averaged = undirected if symmetric is None else symmetric
    how = {"aggregate": "pna", "message": "distmult", "shortcut": True, "averaged": averaged}
    expected = slow_scores(net, graph, asked, **how)
    assert torch.allclose(scores, expected, rtol=0, atol=1e-10)
    assert torch.allclose(net(graph, pairs.flip(0), kind), scores, rtol=0, atol=1e-10) == averaged
    for one, other in zip(grads(net, scores), grads(net, expected), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("at_once", [None, 1, 4])
@pytest.mark.parametrize("relations", [1, 3])
def test_all_tails_at_once(relations: int, at_once: int | None) -> None:
    net = NBFNet(relations, 4, 2, sources_at_once=at_once).double()
    graph = graph_of(relations, undirected=relations == 1)
    heads, kind = torch.tensor([3, 0, 3, 14, 3]), torch.tensor([0, 2, 1, 1, 0])
    given = kind if relations > 1 else None
    with torch.no_grad():
        found = net.score_all(graph, net.encode(graph), heads, given)
        expected = super(NBFNet, net).score_all(graph, net.encode(graph), heads, given)
        assert found.shape == (5, NODES)
        assert torch.allclose(found, expected, rtol=0, atol=1e-10)
        assert net.score_all(
            graph, net.encode(graph), heads[:0], given if given is None else kind[:0]
        ).shape == (
            0,
            NODES,
        )


@pytest.mark.parametrize("at_once", [1, 4])
def test_groups_in_turn_give_the_same_and_keep_no_states(at_once: int) -> None:
    net = NBFNet(3, 4, 3).double()
    graph = graph_of(3)
    pairs, kind, _ = asked_for(3, 14)
    whole = net(graph, pairs, kind)
    expected = grads(net, whole)
    net.sources_at_once = at_once
    saved: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor.untyped_storage().nbytes() // 8)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        parts = net(graph, pairs, kind)
    assert torch.allclose(parts, whole, rtol=0, atol=1e-12)
    assert max(saved) < NODES * 4 * 3 * 13  # parameters and pairs, not states
    for one, other in zip(grads(net, parts), expected, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-10)


def test_each_head_and_relation_is_propagated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []
    plain = nbf_layer.statistics

    def count(graph: LinkGraph, states: Tensor, *rest: Tensor, **options: object) -> Tensor:
        widths.append(states.size(1))
        return plain(graph, states, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(nbf_layer, "statistics", count)
    pairs = torch.tensor([[0, 0, 0, 1, 1, 0], [1, 2, 3, 4, 5, 6]])
    NBFNet(3, 4, 2)(graph_of(3), pairs, torch.tensor([0, 0, 1, 1, 1, 0]))
    assert widths == [3, 3]
    widths.clear()
    NBFNet(1, 4, 2, symmetric=True)(graph_of(1), torch.tensor([[0, 1, 2], [1, 2, 0]]))
    assert widths == [3, 3]


def test_one_network_reads_graphs_of_other_nodes_whatever_their_numbers() -> None:
    """Inductive: relabelled nodes have the same scores, and parameters do not depend on N."""
    net = NBFNet(3, 4, 3).double()
    graph = graph_of(3)
    pairs, kind, _ = asked_for(3)
    scores = net(graph, pairs, kind)
    name = torch.randperm(NODES)
    other = LinkGraph.from_edges(
        name[graph.edge_index], NODES, relation=graph.relation, num_relations=3, undirected=False
    )
    assert torch.allclose(net(other, name[pairs], kind), scores, rtol=0, atol=1e-10)
    larger = LinkGraph.from_edges(
        torch.randint(50, (2, 99)), 50, relation=torch.arange(99) % 3, undirected=False
    )
    assert net(larger, pairs, kind).isfinite().all()


def test_in_single_precision_the_kernel_is_as_good() -> None:
    net = NBFNet(3, 8, 4)
    graph = graph_of(3)
    pairs, kind, _ = asked_for(3)
    single = net(graph, pairs, kind)
    assert torch.allclose(single.double(), net.double()(graph, pairs, kind), atol=1e-4)


def test_no_pairs() -> None:
    for relations in (1, 3):
        net = NBFNet(relations, 4, 2)
        none = torch.empty(0, dtype=torch.long)
        scores = net(graph_of(relations, undirected=relations == 1), none.expand(2, 0), none)
        assert scores.shape == (0,)


def test_it_learns_to_count_the_steps() -> None:
    """Nodes of a ring that are two steps apart, against those that are three apart."""
    ring = torch.arange(16)
    graph = LinkGraph.from_edges(torch.stack((ring, (ring + 1) % 16)), 16)
    net = NBFNet(1, 8, 3)
    optimizer = torch.optim.Adam(net.parameters(), 2e-2)
    pairs = torch.cat([torch.stack((ring, (ring + d) % 16)) for d in (2, 3)], 1)
    target = torch.cat((torch.ones(16), torch.zeros(16)))
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(net(graph, pairs), target)
        loss.backward()
        optimizer.step()
    assert ((net(graph, pairs) > 0) == target.bool()).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"message": "complex"}, "message of distmult"),
        ({"aggregate": "median"}, "aggregate of sum"),
        ({"indicator": "zeros"}, "indicator of query, ones, got 'zeros'"),
        ({"dim": 0}, "dim to be a whole number from 1, got 0"),
        ({"layers": 1.5}, "layers to be a whole number"),
        ({"sources_at_once": 0}, "sources_at_once"),
        ({"message": "rotate", "dim": 5}, "even dim"),
        ({"symmetric": True, "num_relations": 2}, "one relation for symmetric=True, got 2"),
    ],
)
def test_refused_options(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        NBFNet(**options)  # type: ignore[arg-type]


def test_refused_graphs_and_questions() -> None:
    pairs = torch.tensor([[0], [1]])
    with pytest.raises(GraphError, match="graph of 3 relations, got 1"):
        NBFNet(3, 4, 1)(graph_of(1), pairs, torch.tensor([0]))
    with pytest.raises(UsageError, match="one of 3 relations per pair, got none"):
        NBFNet(3, 4, 1)(graph_of(3), pairs)
