"""Builds the pairs of a batch from what the transform left in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.subgraph.pairs import Blocks, Pairs, Side, Triples

if TYPE_CHECKING:
    from torch_geometric.data import Data

__all__ = ["BACKENDS", "pairs_of"]

BACKENDS: Final = ("auto", "dense", "sparse")

_GATHERED = 8
"""What a row of a sum along lists costs, in rows of a matrix product (measured on one CPU core)."""


def pairs_of(
    batch: Data,
    *,
    backend: str = "auto",
    local: Collection[Side] = ("u", "v"),
    edge_features: bool = False,
) -> Pairs:
    """The pairs of a batch of graphs that `SubgraphTransform` made, or of one such graph.

    With `"auto"` the dense backend is taken where at least half of the padded places are real pairs and the
    matrix products cost no more than the lists of neighbours would: for whole copies of small graphs.

    Args:
        batch: graphs with `pair_index` and `pair_start`.
        backend: `"auto"`, `"dense"` or `"sparse"`.
        local: the nodes that sums over neighbours will leave alone: u, v, both or none.
        edge_features: whether these sums will read features of edges.

    Raises:
        UsageError: an unknown backend.

    >>> import networkx as nx
    >>> from netgraph.subgraph.transform import SubgraphTransform
    >>> pairs = pairs_of(SubgraphTransform("marking")(nx.path_graph(3)), backend="sparse")
    >>> pairs.start.tolist(), pairs.transposed.tolist()
    ([1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 3, 6, 1, 4, 7, 2, 5, 8])
    >>> pairs.triples_u.pair.tolist()  # the path 0 - 1 - 2 in each of its three copies
    [1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7]
    """
    if backend not in BACKENDS:
        raise UsageError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}; choose one")
    nodes, edges = int(batch.num_nodes), batch.edge_index
    u, v = batch.pair_index
    graph = u.new_zeros(nodes) if batch.batch is None else batch.batch
    graphs = 1 if batch.batch is None else int(batch.num_graphs)
    sizes = torch.bincount(graph, minlength=graphs)  # (B,)
    place = torch.arange(nodes, device=u.device) - (sizes.cumsum(0) - sizes)[graph]  # (N,)
    degree = torch.bincount(edges[0], minlength=nodes)  # (N,)
    n, every, entries = torch.stack((sizes.max(), sizes.square().sum(), degree[v].sum())).tolist()

    complete = len(u) == every
    find = _finder(sizes[graph], place) if complete else _searcher(u, v, nodes)
    everyone = torch.arange(nodes, device=u.device)
    diagonal = find(everyone, everyone)
    padded = graphs * n * n
    cheap = padded <= 2 * len(u) and padded * n <= _GATHERED * entries
    dense = backend == "dense" or (backend == "auto" and cheap)
    lists = dict[Side, Triples]()
    if edge_features or not dense:
        lists = {keep: _triples(u, v, edges, degree, keep, find) for keep in local}
    return Pairs(
        num_graphs=graphs,
        num_nodes=nodes,
        graph=graph,
        u=u,
        v=v,
        start=batch.pair_start,
        transposed=find(v, u),
        diagonal=None if bool((diagonal < 0).any()) else diagonal,
        edge_index=edges,
        edge_pair=find(edges[0], edges[1]),
        pairs_of=_begin(torch.bincount(u, minlength=nodes)),
        edges_of=_begin(degree),
        complete=complete,
        x=batch.x,
        edge_attr=batch.edge_attr,
        blocks=_blocks(u, v, graph, place, edges, graphs, n) if dense else None,
        triples_u=lists.get("u"),
        triples_v=lists.get("v"),
    )


def _finder(sizes: Tensor, place: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Positions of pairs if all are there: the pairs of u begin at `first[u]`, in the order of the nodes."""
    first = sizes.cumsum(0) - sizes  # (N,)
    return lambda a, b: first[a] + place[b]


def _searcher(u: Tensor, v: Tensor, nodes: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Positions of pairs if some are missing, -1 for those."""
    keys = u * nodes + v  # (P,), sorted

    def find(a: Tensor, b: Tensor) -> Tensor:
        if not len(keys):
            return torch.full_like(a, -1)
        wanted = a * nodes + b
        position = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
        return torch.where(keys[position] == wanted, position, -1)

    return find


def _blocks(u: Tensor, v: Tensor, graph: Tensor, place: Tensor, edges: Tensor, graphs: int, n: int) -> Blocks:
    adjacency = torch.zeros(graphs, n, n, dtype=torch.bool, device=u.device)
    adjacency[graph[edges[0]], place[edges[0]], place[edges[1]]] = True
    base, i, j = graph[u] * (n * n), place[u], place[v]
    return Blocks(adjacency, base + j * n + i, base + i * n + j, whole=len(u) == graphs * n * n)


def _triples(
    u: Tensor, v: Tensor, edges: Tensor, degree: Tensor, keep: Side, find: Callable[[Tensor, Tensor], Tensor]
) -> Triples:
    moving = v if keep == "u" else u
    count = degree[moving]  # (P,)
    row = torch.repeat_interleave(count)  # (T,)
    first = (degree.cumsum(0) - degree)[moving] - (count.cumsum(0) - count)  # (P,)
    edge = torch.arange(len(row), device=u.device) + first[row]
    w = edges[1][edge]
    pair = find(u[row], w) if keep == "u" else find(w, v[row])
    if bool((pair < 0).any()):
        there = pair >= 0
        row, pair, edge = row[there], pair[there], edge[there]
        count = torch.bincount(row, minlength=len(u))
    short = torch.int32 if len(row) < 2**31 else torch.int64
    return Triples(*(index.to(short) for index in (_begin(count), row, pair, edge)))


def _begin(count: Tensor) -> Tensor:
    """Where each of a row of lists begins, and the end of the last."""
    return torch.cat((count.new_zeros(1), count.cumsum(0)))
