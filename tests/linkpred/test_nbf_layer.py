"""The layer against its equation, with the statistics concatenated and scaled before the linear map."""

import pytest
import torch
import torch.nn.functional as F

from netgraph.linkpred import LinkGraph
from netgraph.linkpred.bellman_ford import AGGREGATES
from netgraph.linkpred.nbf_layer import BellmanFordLayer
from tests.linkpred.bellman_ford_oracle import plain_propagate


@pytest.mark.parametrize("conditioned", [True, False])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_equals_the_equation(aggregate: str, conditioned: bool) -> None:
    edges, kind = torch.randint(9, (2, 30)), torch.arange(30) % 2
    graph = LinkGraph.from_edges(edges, 10, relation=kind, num_relations=2, undirected=False)
    layer = BellmanFordLayer(2, 6, aggregate=aggregate, conditioned=conditioned).double()  # type: ignore[arg-type]
    states, boundary = torch.randn(2, 10, 3, 6, dtype=torch.double)
    query = torch.randn(3, 6, dtype=torch.double)
    weight = torch.rand(len(graph.indices), dtype=torch.double)
    w = layer.relation.weight
    if isinstance(layer.relation, torch.nn.Linear):
        w = layer.relation(query).view(3, 2, 6)
    found = plain_propagate(graph, states, w, boundary, "distmult", aggregate, weight)
    expected = F.relu(layer.norm(layer.linear(torch.cat((states, found), -1)))) + states
    assert torch.allclose(layer(graph, states, query, boundary, weight), expected, rtol=0, atol=1e-10)
