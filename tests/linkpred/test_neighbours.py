"""Neighbours of pairs against Python sets, and sums over them against a dense matrix."""

import itertools

import pytest
import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred import neighbours as module
from netgraph.linkpred.neighbours import Neighbours, common_neighbours, exclusive_neighbours, gather_sum

NODES = 14
EVERY_PAIR = torch.tensor(list(itertools.product(range(NODES), repeat=2))).T


def random_graph(seed: int, kind: str, nodes: int = NODES, count: int = 40) -> LinkGraph:
    """The last node has no edges, and node 0 many."""
    draw = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes - 1, (2, count), generator=draw)
    edges[0, : count // 4] = 0
    relation = torch.randint(3, (count,), generator=draw) if "relations" in kind else None
    graph = LinkGraph.from_edges(edges, nodes, relation=relation, undirected="directed" not in kind)
    if "without" in kind:
        graph = graph.without(edges[:, ::5])
    if "dropped" in kind:
        kept = torch.rand(len(graph.indices), generator=draw) < 0.7
        graph = LinkGraph(graph.indptr, graph.indices, graph.relation, graph.num_relations, kept=kept)
    return graph


def neighbour_sets(graph: LinkGraph) -> list[set[int]]:
    sets: list[set[int]] = [set() for _ in range(graph.num_nodes)]
    for u, v in graph.edge_index.T.tolist():
        sets[v].add(u)
    return sets


def listed(found: Neighbours) -> list[list[int]]:
    return [part.tolist() for part in found.node.split(found.count.tolist())]


KINDS = ["plain", "without", "dropped", "directed", "relations directed", "relations directed dropped"]


@pytest.mark.parametrize("step", [1, 7, 1 << 18])
@pytest.mark.parametrize("slots", [1, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_against_sets(monkeypatch: pytest.MonkeyPatch, kind: str, slots: int, step: int) -> None:
    monkeypatch.setattr(module, "_NODES_AT_ONCE", {"cpu": step})
    monkeypatch.setattr(module, "_SLOTS", slots)
    for seed in range(2):
        graph = random_graph(seed, kind)
        sets = neighbour_sets(graph)
        pairs = EVERY_PAIR[:, torch.randperm(EVERY_PAIR.size(1))]
        for part in (pairs[:, :5], pairs, pairs):  # the table of the graph comes in between
            assert listed(common_neighbours(graph, part)) == [
                sorted(sets[i] & sets[j]) for i, j in part.T.tolist()
            ]
            assert listed(exclusive_neighbours(graph, part)) == [
                sorted(sets[i] - sets[j] - {i, j}) for i, j in part.T.tolist()
            ]


def test_a_view_reads_the_table_of_its_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(0, "plain")
    made = []
    monkeypatch.setattr(module, "_make_table", lambda g, make=module._make_table: made.append(1) or make(g))
    common_neighbours(graph, EVERY_PAIR[:, :3])
    assert not made
    for view in (graph, graph.without(EVERY_PAIR[:, 1:9]), graph.without(EVERY_PAIR[:, 60:80])):
        sets = neighbour_sets(view)
        found = common_neighbours(view, EVERY_PAIR)
        assert listed(found) == [sorted(sets[i] & sets[j]) for i, j in EVERY_PAIR.T.tolist()]
    assert made == [1]


def test_the_shorter_row_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    star = LinkGraph.from_edges(torch.stack((torch.zeros(50, dtype=torch.long), torch.arange(1, 51))), 51)
    rows = []
    present = module._present
    monkeypatch.setattr(module, "_present", lambda *a: rows.append(len(a[-1])) or present(*a))
    common_neighbours(star, torch.tensor([[0, 1], [2, 0]]))
    assert rows == [2]


def test_chunks_hold_a_step_and_one_row_at_most() -> None:
    draw = torch.Generator().manual_seed(0)
    for _ in range(50):
        size = torch.randint(6, (20,), generator=draw) * (torch.rand(20, generator=draw) < 0.5)
        begin, total = size.cumsum(0) - size, int(size.sum())
        ends = (0, 0)
        for part, first, last in module._chunks(begin, total, 4):
            assert (part.start, first) == ends
            assert 0 < last - first == int(size[part].sum()) <= 4 + 5
            ends = (part.stop, last)
        assert ends == ((20, total) if total else (0, 0))


def test_nothing_to_find() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for graph in (LinkGraph.from_edges(none, 3), LinkGraph.from_edges(none, 0), random_graph(0, "plain")):
        for find in (common_neighbours, exclusive_neighbours):
            assert listed(find(graph, none)) == []
    bare = LinkGraph.from_edges(none, 3, relation=none[0])
    found = common_neighbours(bare, torch.tensor([[0, 1], [1, 1]]))
    assert found.ptr.tolist() == [0, 0, 0]
    assert found.pair.tolist() == []
    assert gather_sum(torch.ones(3, 2), found).tolist() == [[0, 0], [0, 0]]


def dense(found: Neighbours, nodes: int, weight: Tensor) -> Tensor:
    return weight.new_zeros(len(found.count), nodes).index_put(
        (found.pair, found.node), weight, accumulate=True
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_gather_sum_against_a_dense_matrix(weighted: bool) -> None:
    found = common_neighbours(random_graph(1, "plain"), EVERY_PAIR[:, ::3])
    x = torch.randn(NODES, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(len(found.node), dtype=torch.float64, requires_grad=True)
    given = (x, weight) if weighted else (x,)
    matrix = dense(found, NODES, weight if weighted else torch.ones_like(weight))
    out, expected = gather_sum(x, found, weight if weighted else None), matrix @ x
    torch.testing.assert_close(out, expected)
    pull = torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad(out, given, pull), torch.autograd.grad(expected, given, pull)
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients(weighted: bool) -> None:
    found = exclusive_neighbours(random_graph(2, "without"), EVERY_PAIR[:, :30])
    x = torch.randn(NODES, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(len(found.node), dtype=torch.float64, requires_grad=True)
    given = (x, weight) if weighted else (x,)
    assert torch.autograd.gradcheck(lambda x, weight=None: gather_sum(x, found, weight), given)


def test_no_state_per_neighbour_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    found = exclusive_neighbours(random_graph(3, "plain", 40, 300), torch.randint(40, (2, 200)))
    x = torch.randn(40, 16, requires_grad=True)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        gather_sum(x, found, torch.rand(len(found.node), requires_grad=True)).sum().backward()
    assert len(found.node) > 1000
    assert all(t.numel() <= max(x.numel(), len(found.node)) for t in kept)


@pytest.mark.parametrize("find", [common_neighbours, exclusive_neighbours])
@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (torch.zeros(3, 2, dtype=torch.long), r"got torch.int64 of shape \(3, 2\)"),
        (torch.zeros(2, 2), "got torch.float32"),
        (torch.tensor([[0], [NODES]]), f"nodes from 0 to {NODES - 1}, got {NODES}"),
        (torch.tensor([[-1], [0]]), "got -1"),
    ],
)
def test_refusals(find: object, pairs: Tensor, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        find(random_graph(0, "plain"), pairs)  # type: ignore[operator]
