"""The adjacency as an operator, against a dense matrix; edges left out by chance."""

import pytest
import torch

from netgraph.linkpred import LinkGraph
from netgraph.linkpred.adjacency import Adjacency, drop_edges


def example(undirected: bool = True) -> LinkGraph:
    edges = torch.randint(9, (2, 25), generator=torch.Generator().manual_seed(1))
    return LinkGraph.from_edges(edges, 11, undirected=undirected).without(edges[:, :4])


def dense(graph: LinkGraph, weight: torch.Tensor | None = None) -> torch.Tensor:
    matrix = torch.zeros(11, 11, dtype=torch.float64)
    value = torch.ones(len(graph.indices), dtype=torch.float64) if weight is None else weight
    kept = slice(None) if graph.kept is None else graph.kept
    return matrix.index_put((graph.rows[kept], graph.indices[kept]), value[kept])


@pytest.mark.parametrize("scale", [1.0, 1.5])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("undirected", [True, False])
def test_sums_means_and_degrees_with_gradients(undirected: bool, weighted: bool, scale: float) -> None:
    graph = example(undirected)
    weight = torch.rand(len(graph.indices), dtype=torch.float64, requires_grad=True) if weighted else None
    x = torch.randn(11, 3, dtype=torch.float64, requires_grad=True)
    a, matrix = Adjacency(graph, weight, scale), dense(graph, weight) * scale
    degree = matrix.sum(1)
    torch.testing.assert_close(a.degree.double(), degree, rtol=0, atol=1e-6)
    norm = (1 + degree).rsqrt()
    expected = {
        a.sum: matrix @ x,
        a.mean: matrix / degree.clamp(min=1e-300)[:, None] @ x,
        a.normalised: norm[:, None] * (matrix + torch.eye(11)) * norm @ x,
    }
    into = [x] if weight is None else [x, weight]
    for operation, value in expected.items():
        mine = operation(x)
        torch.testing.assert_close(mine, value, rtol=0, atol=1e-10)
        ours = torch.autograd.grad(mine.sin().sum(), into, retain_graph=True)
        theirs = torch.autograd.grad(value.sin().sum(), into, retain_graph=True)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_edges_that_count() -> None:
    graph = example()
    assert torch.equal(Adjacency(graph).edge_index, graph.edge_index)


def test_dropped_edges_leave_those_that_were_left_out() -> None:
    graph = example()
    for _ in range(20):
        view = drop_edges(graph, 0.5)
        assert not (view.kept & ~graph.kept).any() and not view.undirected
        assert torch.equal(view.degree, dense(view).sum(1).long())
    assert drop_edges(graph, 0.0).num_edges == graph.num_edges
    share = sum(drop_edges(graph, 0.3).num_edges for _ in range(300)) / 300 / graph.num_edges
    assert share == pytest.approx(0.7, abs=0.03)
    assert "rows" not in drop_edges(graph, 0.1).__dict__ or drop_edges(graph, 0.1).rows is graph.rows
