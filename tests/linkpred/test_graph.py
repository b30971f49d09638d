"""The graph of link prediction against sets of edges."""

import itertools

import pytest
import torch

from netgraph.errors import GraphError
from netgraph.linkpred import LinkGraph


def random_edges(seed: int, nodes: int = 12, count: int = 40) -> torch.Tensor:
    return torch.randint(nodes, (2, count), generator=torch.Generator().manual_seed(seed))


def as_set(graph: LinkGraph) -> set[tuple[int, ...]]:
    edges = graph.edge_index.tolist()
    if graph.edge_relation is not None:
        edges.append(graph.edge_relation.tolist())
    listed = list(zip(*edges, strict=True))
    assert len(set(listed)) == len(listed)
    return set(listed)


@pytest.mark.parametrize("seed", range(5))
def test_undirected_edges_once_in_each_direction(seed: int) -> None:
    edges = random_edges(seed)
    graph = LinkGraph.from_edges(edges, 12)
    pairs = set(zip(*edges.tolist(), strict=True))
    expected = {(u, v) for a, b in pairs for u, v in ((a, b), (b, a)) if u != v}
    assert as_set(graph) == expected
    assert graph.degree.tolist() == [sum(v == n for _, v in expected) for n in range(12)]
    assert (graph.keys.diff() > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_relations_and_loops_of_directed_edges_stay(seed: int) -> None:
    edges = random_edges(seed)
    kind = torch.randint(3, (40,), generator=torch.Generator().manual_seed(seed + 100))
    graph = LinkGraph.from_edges(edges, 12, relation=kind, undirected=False)
    assert as_set(graph) == set(zip(*edges.tolist(), kind.tolist(), strict=True))
    order = list(zip(graph.rows.tolist(), graph.indices.tolist(), graph.relation.tolist(), strict=True))
    assert order == sorted(order)


@pytest.mark.parametrize("relations", [None, 3])
@pytest.mark.parametrize("seed", range(3))
def test_without_and_has(seed: int, relations: int | None) -> None:
    edges = random_edges(seed)
    kind = None
    if relations:
        kind = torch.randint(relations, (40,), generator=torch.Generator().manual_seed(seed))
    graph = LinkGraph.from_edges(edges, 12, relation=kind, undirected=relations is None)
    gone = torch.cat((edges[:, :7], torch.tensor([[0, 3], [1, 4]])), dim=1)
    pairs = set(zip(*gone.tolist(), strict=True))
    twice = graph.without(gone[:, :4]).without(gone[:, 4:])
    expected = {e for e in as_set(graph) if e[:2] not in pairs and e[1::-1] not in pairs}
    for view in (graph.without(gone), twice):
        assert as_set(view) == expected
        assert view.num_edges == len(expected)
        assert view.degree.tolist() == [sum(e[1] == n for e in expected) for n in range(12)]
        all_pairs = torch.tensor(list(itertools.product(range(12), repeat=2))).T
        heads_tails = {e[:2] for e in expected}
        assert view.has(all_pairs).tolist() == [tuple(p) in heads_tails for p in all_pairs.T.tolist()]
    assert graph.kept is None


@pytest.mark.parametrize("seed", range(3))
def test_without_some_relations_only(seed: int) -> None:
    edges = random_edges(seed)
    kind = torch.randint(3, (40,), generator=torch.Generator().manual_seed(seed))
    graph = LinkGraph.from_edges(edges, 12, relation=kind, num_relations=3, undirected=False)
    other = torch.tensor([[0, 3], [1, 4]])
    gone = set(zip(*edges[:, :9].tolist(), kind[:9].tolist(), strict=True))
    view = graph.without(torch.cat((edges[:, :9], other), 1), torch.cat((kind[:9], torch.tensor([9, 9]))))
    assert as_set(view) == as_set(graph) - gone
    with pytest.raises(GraphError, match="expected no relations"):
        LinkGraph.from_edges(edges, 12).without(edges, kind)


def test_no_edges_and_no_nodes() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    graph = LinkGraph.from_edges(none, 3)
    assert graph.degree.tolist() == [0, 0, 0]
    assert graph.has(torch.tensor([[0], [1]])).tolist() == [False]
    assert graph.without(torch.tensor([[0], [1]])).num_edges == 0
    assert LinkGraph.from_edges(none, 0).num_nodes == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edge_index": torch.ones(2, 3)}, "whole numbers of shape"),
        ({"edge_index": torch.ones(3, 2, dtype=torch.long)}, r"got torch.int64 of shape \(3, 2\)"),
        ({"edge_index": torch.tensor([[0], [4]])}, "nodes from 0 to 3, got 4"),
        ({"edge_index": torch.tensor([[-1], [1]])}, "nodes from 0 to 3, got -1"),
        ({"num_nodes": -1}, "number of nodes"),
        ({"relation": torch.tensor([0])}, r"one relation per edge, \(2,\)"),
        ({"relation": torch.tensor([0, 5]), "num_relations": 2}, "relations from 0 to 1"),
        ({"x": torch.ones(3, 2)}, r"features of shape \(4, F\)"),
        ({"x": torch.full((4, 1), torch.nan)}, "finite features"),
    ],
)
def test_refusals(changes: dict[str, object], words: str) -> None:
    given = {"edge_index": torch.tensor([[0, 1], [1, 2]]), "num_nodes": 4} | changes
    with pytest.raises(GraphError, match=words):
        LinkGraph.from_edges(**given)  # type: ignore[arg-type]
