"""The lists of edges that messages walk along."""

import gc
import weakref

import torch

from netgraph.linkpred import LinkGraph
from netgraph.linkpred.incoming import incoming_edges


def graph_of(relations: int) -> LinkGraph:
    edges = torch.randint(10, (2, 40))
    kind = torch.arange(40) % relations
    return LinkGraph.from_edges(edges, 10, relation=kind, num_relations=relations, undirected=False)


def test_edges_that_are_left_out_are_gone() -> None:
    graph = graph_of(3)
    less = graph.without(graph.edge_index[:, ::3])
    found = incoming_edges(less)
    assert len(found) == less.num_edges < graph.num_edges and found.position is not None
    assert torch.equal(torch.stack((found.source, found.target)), less.edge_index)
    assert torch.equal(graph.indices[found.position], found.source)
    assert found.relation is not None and less.edge_relation is not None
    assert torch.equal(found.relation, less.edge_relation)
    assert found.count.tolist() == (less.degree + 1).tolist()
    assert [
        found.target[b:e].unique().tolist() for b, e in zip(found.begin, found.begin[1:], strict=False)
    ] == [[v] * bool(d) for v, d in enumerate(less.degree.tolist())]
    assert found.short_source.dtype == torch.int32 and torch.equal(found.short_source.long(), found.source)


def test_one_relation_is_none() -> None:
    found = incoming_edges(graph_of(1))
    assert found.relation is None and found.short_relation is None and found.position is None


def test_they_are_listed_once_per_graph_and_die_with_it() -> None:
    graph = graph_of(3)
    found = incoming_edges(graph)
    assert incoming_edges(graph) is found
    assert incoming_edges(graph.without(graph.edge_index[:, :1])) is not found
    alive = weakref.ref(found)
    gc.disable()
    try:
        del found
        assert alive() is not None
        del graph
        assert alive() is None
    finally:
        gc.enable()
