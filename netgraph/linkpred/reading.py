"""Graphs of PyTorch Geometric, NetworkX and DGL as the graph that link predictors read, and parts of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from netgraph.convert.plain import read_plain
from netgraph.errors import GraphError, InterchangeError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.known import KnownTails
from netgraph.linkpred.links import Links

__all__ = ["as_link_graph", "induced_subgraph", "largest_component", "read_edges"]

_RELATION = ("edge_type", "edge_relation")


def as_link_graph(data: Any, *, undirected: bool | None = None) -> LinkGraph:
    """A graph of PyTorch Geometric, NetworkX or DGL as a `LinkGraph`; a `LinkGraph` as it is.

    Edges that stand twice count once. Self-loops are dropped, except those of a directed graph with
    relations, where they may be facts. Nodes without edges stay.

    - **PyTorch Geometric**: `edge_index`, `x`, and `edge_type` as the relations.
    - **NetworkX**: nodes are numbered in the order of the graph; the attribute `x` of the nodes, a
      number or a vector, and `relation` or `type` of the edges, a number; each is set on all or on none.
    - **DGL**: the same names in `ndata` and `edata`; also `edge_type`.

    `x` gets a second axis if it has one only, and becomes floating point.

    Args:
        data: the graph.
        undirected: whether links have no direction; missing reverse edges are then added. None asks the
            graph: a `networkx.Graph` has none, nor has a graph in which every edge has its reverse, of the
            same relation.

    Raises:
        InterchangeError: `data` is of another type or holds several graphs; an edge has an end that is not
            there; `x` or the relations are not numbers, not finite, or of another length.
        GraphError: a `LinkGraph` that is not what `undirected` asks for.

    >>> import networkx as nx
    >>> from netgraph.linkpred.reading import as_link_graph
    >>> as_link_graph(nx.path_graph(3)).degree.tolist()
    [1, 2, 1]
    >>> graph = as_link_graph(nx.DiGraph([(0, 1), (1, 2), (1, 2), (2, 2)]))
    >>> graph.undirected, graph.edge_index.tolist()
    (False, [[0, 1], [1, 2]])
    """
    if isinstance(data, LinkGraph):
        if undirected is not None and undirected != data.undirected:
            raise GraphError(
                f"as_link_graph: expected undirected={data.undirected} for this LinkGraph, got {undirected}; "
                "build another with LinkGraph.from_edges"
            )
        return data
    edges, nodes, relation, x, undirected = read_edges(data, undirected=undirected)
    return LinkGraph.from_edges(edges, nodes, relation=relation, x=x, undirected=undirected)


def read_edges(
    data: Any, *, undirected: bool | None = None
) -> tuple[Tensor, int, Tensor | None, Tensor | None, bool]:
    """Edges as they come, nodes, relations, features, and whether links have no direction.

    What `as_link_graph` reads, before edges are sorted, dropped and completed: for attributes that stand in
    the order of the edges. An edge of an undirected NetworkX graph stands in both directions.

    Returns:
        `(2, E)`, N, `(E,)` or None, `(N, F)` or None, and the flag.

    Raises:
        InterchangeError: as `as_link_graph`.
    """
    if isinstance(data, LinkGraph):
        flag = data.undirected if undirected is None else undirected
        return data.edge_index, data.num_nodes, data.edge_relation, data.x, flag
    given = read_plain(data, "as_link_graph", only=("x", *_RELATION))
    edges, nodes = given.edge_index, int(given.num_nodes)
    relation = _relation(given, edges.size(1))
    x = given.get("x")
    if x is not None:
        if x.is_complex() or x.dim() > 2:
            _fail(
                f"x of shape (N, F), got {x.dtype} of shape {tuple(x.shape)}", "pass a real vector per node"
            )
        x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        x = x[:, None] if x.dim() == 1 else x
    if undirected is None:
        undirected = _has_reverses(edges, relation, nodes)
    return edges, nodes, relation, x, undirected


def induced_subgraph(graph: LinkGraph, nodes: Tensor) -> LinkGraph:
    """Some nodes and the edges among them, renumbered in the order of `nodes`.

    Args:
        graph: the graph; edges that are left out of it stay out.
        nodes: different nodes, `(M,)`.

    Raises:
        GraphError: nodes that are not there, or twice.

    >>> path = LinkGraph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4)
    >>> induced_subgraph(path, torch.tensor([3, 2, 0])).edge_index.tolist()
    [[1, 0], [0, 1]]
    """
    if nodes.numel() and (int(nodes.min()) < 0 or int(nodes.max()) >= graph.num_nodes):
        odd = int(nodes[(nodes < 0) | (nodes >= graph.num_nodes)][0])
        raise GraphError(
            f"induced_subgraph: expected nodes from 0 to {graph.num_nodes - 1}, got {odd}; choose among them"
        )
    number = torch.full((graph.num_nodes,), -1, device=graph.device)
    number[nodes] = torch.arange(len(nodes), device=graph.device)
    if not torch.equal(number[nodes], torch.arange(len(nodes), device=graph.device)):
        raise GraphError("induced_subgraph: expected each node once, got one twice; pass nodes.unique()")
    edges = number[graph.edge_index]
    kept = (edges >= 0).all(dim=0)
    return LinkGraph.from_edges(
        edges[:, kept],
        len(nodes),
        relation=None if graph.edge_relation is None else graph.edge_relation[kept],
        num_relations=graph.num_relations,
        x=None if graph.x is None else graph.x[nodes],
        undirected=graph.undirected,
    )


def largest_component(graph: LinkGraph) -> tuple[LinkGraph, Tensor]:
    """The largest set of nodes that are joined by paths, whichever way the edges point, and its nodes.

    Nodes keep their order; of components of equal size, the one with the smallest node is taken.

    Returns:
        The graph of M nodes, and which nodes of `graph` they are, `(M,)`.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 2, 3], [1, 3, 4]]), 6)
    >>> largest_component(graph)[1].tolist()
    [2, 3, 4]
    """
    source, target = graph.edge_index.cpu().numpy()
    ones = np.ones(len(source), dtype=bool)
    adjacency = sp.csr_array((ones, (source, target)), shape=(graph.num_nodes, graph.num_nodes))
    _, label = connected_components(adjacency, directed=False)
    if not len(label):
        return graph, torch.empty(0, dtype=torch.long, device=graph.device)
    # Components are numbered by their smallest node, and argmax takes the first.
    nodes = torch.from_numpy(np.flatnonzero(label == np.bincount(label).argmax())).to(graph.device)
    return induced_subgraph(graph, nodes), nodes


def _relation(data: Any, edges: int) -> Tensor | None:
    found = [name for name in _RELATION if data.get(name) is not None]
    if not found or (edges == 0 and not isinstance(data[found[0]], Tensor)):
        return None
    relation = data[found[0]]
    if not isinstance(relation, Tensor) or relation.is_floating_point() or relation.dtype == torch.bool:
        kind = relation.dtype if isinstance(relation, Tensor) else type(relation).__name__
        _fail(f"{found[0]} of whole numbers, got {kind}", "number the relations from 0")
    if relation.shape != (edges,):
        _fail(f"{found[0]} of shape ({edges},), got {tuple(relation.shape)}", "pass one number per edge")
    if edges and int(relation.min()) < 0:
        _fail(f"{found[0]} from 0, got {int(relation.min())}", "number the relations from 0")
    return relation.long()


def _has_reverses(edges: Tensor, relation: Tensor | None, nodes: int) -> bool:
    if not edges.numel():
        return True
    if relation is None:
        there, back = (way[0] * nodes + way[1] for way in (edges, edges.flip(0)))
        return torch.equal(there.unique(), back.unique())
    count = int(relation.max()) + 1
    known = KnownTails.from_links(Links(edges, relation), num_nodes=nodes, num_relations=count)
    return bool(known.has(edges.flip(0), relation).all())


def _fail(problem: str, remedy: str) -> None:
    raise InterchangeError(f"as_link_graph: expected {problem}; {remedy}")
