"""Small graphs for the tests of subgraph networks."""

import torch
from torch_geometric.data import Data


def random_data(seed: int, features: str = "none") -> Data:
    """A random graph of 1 to 9 nodes, often disconnected; features of nodes and edges: none, float or int."""
    generator = torch.Generator().manual_seed(seed)
    n = int(torch.randint(1, 10, (), generator=generator))
    upper = torch.rand(n, n, generator=generator).triu(1) > 0.65
    adjacency = upper | upper.T
    data = Data(edge_index=adjacency.nonzero().T.contiguous(), num_nodes=n)
    source, target = data.edge_index
    if features == "float":
        table = torch.randn(n, n, 3, generator=generator)
        data.x = torch.randn(n, 4, generator=generator)
        data.edge_attr = (table + table.transpose(0, 1))[source, target]
    elif features == "int":
        kinds = torch.randint(0, 3, (n, n), generator=generator)
        data.x = torch.randint(0, 4, (n,), generator=generator)
        data.edge_attr = torch.minimum(kinds, kinds.T)[source, target]
    return data


def permuted(data: Data, order: torch.Tensor) -> Data:
    """An isomorphic copy: node i of the copy is node `order[i]`."""
    place = order.argsort()
    out = Data(edge_index=place[data.edge_index], num_nodes=data.num_nodes)
    if data.x is not None:
        out.x = data.x[order]
    if data.edge_attr is not None:
        out.edge_attr = data.edge_attr
    return out
