"""The best paths against all walks of tiny graphs, and explanations of networks that are known."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred.explanation import Path, best_paths, explain
from netgraph.linkpred.nbfnet import NBFNet

Edge = tuple[int, int, int, int]


def graph_of(seed: int, relations: int = 2, nodes: int = 6, count: int = 16) -> LinkGraph:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes, (2, count), generator=generator)
    kind = torch.randint(relations, (count,), generator=generator) if relations > 1 else None
    return LinkGraph.from_edges(edges, nodes, relation=kind, num_relations=relations, undirected=False)


def edges_of(graph: LinkGraph) -> list[Edge]:
    """Source, target, relation and place of the edges that count."""
    kind = torch.zeros_like(graph.indices) if graph.relation is None else graph.relation
    kept = torch.ones_like(kind, dtype=torch.bool) if graph.kept is None else graph.kept
    return [
        (int(graph.indices[i]), int(graph.rows[i]), int(kind[i]), i)
        for i in kept.nonzero().flatten().tolist()
    ]


def walks(
    edges: list[Edge], node: int, tail: int, most: int, so_far: tuple[Edge, ...] = ()
) -> Iterator[tuple[Edge, ...]]:
    """All walks to the tail of at most `most` edges, which end there."""
    if so_far and node == tail:
        yield so_far
    elif len(so_far) < most:
        for edge in edges:
            if edge[0] == node:
                yield from walks(edges, edge[1], tail, most, (*so_far, edge))


def brute_force(graph: LinkGraph, importance: list[Tensor], head: int, tail: int, k: int) -> list[Path]:
    found = []
    for walk in walks(edges_of(graph), head, tail, len(importance)):
        nodes, kinds = (head, *(edge[1] for edge in walk)), tuple(edge[2] for edge in walk)
        totals = [
            sum(float(importance[first + i][edge[3]]) for i, edge in enumerate(walk))
            for first in range(len(importance) - len(walk) + 1)
        ]
        found.append(Path(nodes, kinds, max(totals)))
    return sorted(found, key=lambda path: -path.weight)[:k]


def same(found: list[Path], expected: list[Path]) -> None:
    assert [(p.nodes, p.relations) for p in found] == [(p.nodes, p.relations) for p in expected]
    assert [p.weight for p in found] == pytest.approx([p.weight for p in expected])


@pytest.mark.parametrize("k", [1, 3, 1000])
@pytest.mark.parametrize("seed", range(8))
def test_best_paths_are_the_best_of_all_walks(seed: int, k: int) -> None:
    graph = graph_of(seed, relations=1 + seed % 2)
    if seed % 3 == 0:
        graph = graph.without(graph.edge_index[:, :2])
    importance = [torch.randn(len(graph.indices), dtype=torch.double) for _ in range(4)]
    for head, tail in ((0, 1), (2, 3), (4, 4)):
        same(best_paths(graph, importance, head, tail, k), brute_force(graph, importance, head, tail, k))


def test_the_walk_is_found_that_greedy_search_would_miss() -> None:
    graph = LinkGraph.from_edges(torch.tensor([[0, 0, 1, 2], [1, 2, 3, 3]]), 4, undirected=False)
    gain = {(0, 1): 5.0, (0, 2): 1.0, (1, 3): -9.0, (2, 3): 2.0}
    layer = torch.tensor([gain[pair] for pair in zip(*graph.edge_index.tolist(), strict=True)])
    (path,) = best_paths(graph, [layer] * 2, 0, 3, k=1)
    assert path == Path((0, 2, 3), (0, 0), 3.0)


def test_nothing_leads_to_the_tail() -> None:
    graph = LinkGraph.from_edges(torch.tensor([[0, 2], [1, 3]]), 4)
    assert explain(NBFNet(dim=4, layers=3), graph, 0, 3) == []


@pytest.mark.parametrize("symmetric", [False, True])
def test_weights_are_the_derivatives_of_the_score(symmetric: bool) -> None:
    """On a path without detours, the one explanation is the sum of two derivatives, taken by differences."""
    graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, undirected=False)
    net = NBFNet(1, 8, 2, symmetric=symmetric).double()
    (path,) = explain(net, graph, 0, 2)
    assert path.nodes == (0, 1, 2) and path.relations == (0, 0)
    pair = torch.tensor([[0], [2]])
    total = 0.0
    for layer, edge in ((0, 0), (1, 1)):
        ends = []
        for step in (1e-6, -1e-6):
            weights = [torch.ones(2, dtype=torch.double) for _ in range(2)]
            weights[layer][edge] += step
            with torch.no_grad():
                ends.append(float(net.score(graph, net.encode(graph), pair, edge_weights=weights)))
        total += (ends[0] - ends[1]) / 2e-6
    assert path.weight == pytest.approx(total, rel=1e-5, abs=1e-8) and abs(total) > 1e-6


def test_a_network_that_was_taught_a_rule_explains_itself_by_it() -> None:
    """Links are chains of relation 0 and then 1; other ways between the same nodes are noise."""
    generator = torch.Generator().manual_seed(0)
    first = torch.stack((torch.arange(12), torch.arange(12) + 12))
    second = torch.stack((torch.arange(12) + 12, torch.arange(12) + 24))
    noise = torch.randint(36, (2, 40), generator=generator)
    kind = torch.cat((torch.zeros(12), torch.ones(12), torch.full((40,), 2.0))).long()
    edges = torch.cat((first, second, noise), 1)
    graph = LinkGraph.from_edges(edges, 36, relation=kind, num_relations=3, undirected=False)
    net = NBFNet(3, 8, 2, conditioned=False)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    heads = torch.arange(12)
    target = torch.zeros(12, 36)
    target[heads, heads + 24] = 1
    weight = 1 + 10 * target
    for _ in range(40):
        optimizer.zero_grad()
        scores = net.score_all(graph, net.encode(graph), heads, torch.zeros(12, dtype=torch.long))
        torch.nn.functional.binary_cross_entropy_with_logits(scores, target, weight).backward()
        optimizer.step()
    right = 0
    for head in range(12):
        best = explain(net, graph, head, head + 24, relation=0, k=3)[0]
        right += best.nodes == (head, head + 12, head + 24) and best.relations == (0, 1)
    assert right >= 10


def test_explaining_leaves_no_gradients_behind() -> None:
    net = NBFNet(2, 4, 2)
    with torch.no_grad():
        explain(net, graph_of(0), 0, 1, relation=1)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head": 6}, "head from 0 to 5, got 6"),
        ({"tail": -1}, "tail from 0 to 5, got -1"),
        ({"relation": 2}, "relation from 0 to 1, got 2"),
        ({"k": 0}, "number of paths from 1, got 0"),
        ({"relation": None}, "one of 2 relations per pair"),
    ],
)
def test_refusals(changes: dict[str, int | None], words: str) -> None:
    given = {"head": 0, "tail": 1, "relation": 0, "k": 5} | changes
    with pytest.raises(UsageError, match=words):
        explain(NBFNet(2, 4, 2), graph_of(0), **given)  # type: ignore[arg-type]
