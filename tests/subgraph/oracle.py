"""A straightforward subgraph network: PyG message passing over the edges of the product graph, all built.

The slow and obvious twin of `SubgraphNet`, for tests and for timing: same weights, same output.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing, global_add_pool, global_max_pool, global_mean_pool
from torch_geometric.typing import OptTensor

from netgraph.subgraph import SubgraphConv, SubgraphNet

POOL = {"mean": global_mean_pool, "sum": global_add_pool, "max": global_max_pool}

ProductEdges = dict[str, tuple[Tensor, Tensor | None]]
"""Per aggregation the edges (2, M) between pairs, and for local ones the column of `edge_index` of each."""


def product_edges(graphs: Sequence[Data], aggregations: Sequence[str]) -> ProductEdges:
    """All edges between pairs, from the definition of each aggregation, graph by graph."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in aggregations}
    pairs = edges = 0
    for graph in graphs:
        for name in aggregations:
            edge_index, label = _edges_of(graph, name)
            found[name].append((edge_index + pairs, label + edges))
        pairs, edges = pairs + graph.pair_index.shape[1], edges + graph.edge_index.shape[1]
    out: ProductEdges = {}
    for name, parts in found.items():
        label = torch.cat([label for _, label in parts]) if name.startswith("local") else None
        out[name] = (torch.cat([edge_index for edge_index, _ in parts], dim=1), label)
    return out


def _edges_of(graph: Data, name: str) -> tuple[Tensor, Tensor]:
    n, (u, v) = graph.num_nodes, graph.pair_index
    table = torch.full((n, n), -1)
    table[u, v] = torch.arange(len(u))
    label = torch.zeros(0, dtype=torch.long)
    a, b, c = torch.arange(n)[:, None, None], torch.arange(n)[None, :, None], torch.arange(n)[None, None, :]
    w, t = graph.edge_index
    one = torch.arange(n)[:, None]
    match name:
        case "point_uv":
            source, target = table, table
        case "point_vu":
            source, target = table.T, table
        case "point_uu":
            source, target = table.diagonal()[:, None].expand(n, n), table
        case "point_vv":
            source, target = table.diagonal()[None, :].expand(n, n), table
        case "global_u":  # (a, c) -> (a, b)
            source, target = table[a, c].expand(n, n, n), table[a, b].expand(n, n, n)
        case "global_v":  # (c, b) -> (a, b)
            source, target = table[c, b].expand(n, n, n), table[a, b].expand(n, n, n)
        case "local_u":  # (one, w) -> (one, t)
            source, target = table[one, w], table[one, t]
        case "local_v":  # (w, one) -> (t, one)
            source, target = table[w[None, :], one], table[t[None, :], one]
        case "local_global_v":  # edges between nodes; `Oracle` sums over the copies itself
            return torch.zeros(2, 0, dtype=torch.long), label
    there = (source >= 0) & (target >= 0)
    if name.startswith("local"):
        label = torch.arange(len(w)).expand(n, -1)[there]
    return torch.stack((source[there], target[there])), label


class Sum(MessagePassing):
    """Sum of messages x_j, or ReLU(x_j + e)."""

    def __init__(self) -> None:
        super().__init__(aggr="add")

    def forward(self, x: Tensor, edge_index: Tensor, edge: Tensor | None) -> Tensor:
        return self.propagate(edge_index, x=x, edge=edge)

    def message(self, x_j: Tensor, edge: OptTensor) -> Tensor:
        return x_j if edge is None else F.relu(x_j + edge)


class Oracle(nn.Module):
    """Computes what `network` computes, with its weights, over product edges."""

    def __init__(self, network: SubgraphNet) -> None:
        super().__init__()
        self.network = network
        self.sum = Sum()

    def forward(self, batch: Data, edges: ProductEdges) -> Tensor:
        net = self.network
        _, v = batch.pair_index
        graph = batch.batch if batch.batch is not None else torch.zeros(batch.num_nodes, dtype=torch.long)
        h = net.start(batch.pair_start)
        if net.encoder is not None:
            x = batch.x
            onehot = x if x.is_floating_point() else F.one_hot(x.reshape(-1), net.encoder.linear.in_features)
            h = h + net.encoder.linear(onehot.to(h.dtype))[v]
        for conv in net.convs:
            h = F.relu(conv.norm(sum(self._term(conv, name, h, batch, edges) for name in conv.aggregations)))
        return self._readout(h, batch, graph)

    def _term(self, conv: SubgraphConv, name: str, h: Tensor, batch: Data, edges: ProductEdges) -> Tensor:
        edge_index, label = edges[name]
        edge, term = None, conv.terms[name]
        if term.edge is not None:
            width = term.edge.linear.in_features
            given = batch.edge_attr
            onehot = given if given.is_floating_point() else F.one_hot(given.reshape(-1), width)
            edge = term.edge.linear(onehot.to(h.dtype))
        if name == "local_global_v":
            nodes = global_add_pool(h, batch.pair_index[1], batch.num_nodes)
            read = self.sum(nodes, batch.edge_index, edge)[batch.pair_index[1]]
        else:
            read = self.sum(h, edge_index, None if edge is None else edge[label])
        own = 0 if name == "point_uv" else (1 + term.eps) * h
        return term.second(F.relu(term.norm(term.first(own + read))))

    def _readout(self, h: Tensor, batch: Data, graph: Tensor) -> Tensor:
        out, (u, v) = self.network.readout, batch.pair_index
        if out.level == "edge":
            place = {pair: i for i, pair in enumerate(zip(u.tolist(), v.tolist(), strict=True))}
            ends = list(zip(*batch.edge_index.tolist(), strict=True))
            there = [place[a, b] for a, b in ends]
            back = [place[b, a] for a, b in ends]
            return out.head(torch.cat((h[there], h[back]), dim=1))
        if out.pooling == "root":
            rows = h[u == v]
        else:
            first = global_max_pool if out.pool == "max" else global_add_pool
            rows = first(h, u if out.pooling == "VS" else v, batch.num_nodes)
        rows = out.between(rows)
        if out.level == "graph":
            rows = POOL[out.pool](rows, graph, int(graph.max()) + 1)
        return out.head(rows)
