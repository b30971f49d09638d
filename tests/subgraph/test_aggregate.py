"""Each aggregation, against its product edges."""

import pytest
import torch
from torch_geometric.data import Batch

from netgraph.subgraph import AGGREGATIONS, SubgraphTransform, pairs_of
from tests.subgraph.graphs import random_data
from tests.subgraph.oracle import Sum, product_edges

TRANSFORMS = {
    "whole": SubgraphTransform("marking"),
    "ego-nets": SubgraphTransform("marking", hops=2),
    "deletion": SubgraphTransform("deletion"),
}


@pytest.mark.parametrize("name", [a for a in AGGREGATIONS if a != "local_global_v"])
@pytest.mark.parametrize("backend", ["dense", "sparse"])
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_aggregations_are_sums_over_product_edges(
    name: str, backend: str, transform: SubgraphTransform
) -> None:
    data = [transform(random_data(seed)) for seed in range(8)]
    batch = Batch.from_data_list(data)
    y = torch.randn(batch.pair_index.shape[1], 3, dtype=torch.float64)
    edge_index, _ = product_edges(data, [name])[name]
    found = AGGREGATIONS[name](y, pairs_of(batch, backend=backend))
    assert torch.allclose(found, Sum()(y, edge_index, None), atol=1e-12)


def test_local_global_v_passes_messages_on_the_sum_of_all_copies() -> None:
    batch = SubgraphTransform()(random_data(5))
    n = batch.num_nodes
    y = torch.randn(n, n, 3, dtype=torch.float64)
    adjacency = torch.zeros(n, n, dtype=torch.float64)
    adjacency[tuple(batch.edge_index)] = 1
    found = AGGREGATIONS["local_global_v"](y.reshape(n * n, 3), pairs_of(batch)).reshape(n, n, 3)
    assert torch.allclose(found, (adjacency @ y.sum(0)).expand(n, n, 3), atol=1e-12)
