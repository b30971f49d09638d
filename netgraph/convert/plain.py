"""Plain undirected graphs: NetworkX, PyTorch Geometric and DGL, read as one `Data`."""

from __future__ import annotations

import copy
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from netgraph.errors import InterchangeError

if TYPE_CHECKING:
    from torch_geometric.data import Data

_SYMMETRIC = ("edge_attr", "edge_weight", "edge_label")


def as_data(graph: Any) -> Data:
    """A simple undirected graph of NetworkX, PyTorch Geometric or DGL as a checked `Data`.

    `edge_index` `(2, E)` holds both directions of every edge, each once, sorted by source and then target;
    attributes of edges follow that order. `num_nodes` is set. The input is not changed, and what is
    not reordered is shared with it.

    - **PyTorch Geometric**: `x`, `edge_attr`, `y` and all other attributes are kept as they are.
    - **NetworkX**: nodes are numbered in the order of the graph. An attribute of the nodes keeps its name
      (`x`, `label`), one of the edges gets the prefix `edge_` unless it has it (`edge_attr`, `edge_label`,
      `edge_weight`). Numbers give a tensor `(N,)`, vectors `(N, F)`, anything else a list. An
      attribute of the graph (`y`) keeps its name as well. A `DiGraph` will do if each edge has its reverse.
    - **DGL**: `ndata` and `edata` are named like the attributes of NetworkX.

    No nodes, one node, no edges and several components are all accepted.

    Raises:
        InterchangeError: `graph` is of another type or holds several graphs; an edge stands twice, lacks its
            reverse or differs from it, joins a node with itself or with a node that is not there; `x` or
            `edge_attr` is not finite, or has another number of rows than there are nodes or edges.

    >>> import networkx as nx
    >>> from netgraph.convert import as_data
    >>> path = nx.path_graph(3)
    >>> nx.set_node_attributes(path, {0: [1.0], 1: [0.5], 2: [1.0]}, "x")
    >>> data = as_data(path)
    >>> data.edge_index.tolist(), data.x.tolist()
    ([[0, 1, 1, 2], [1, 0, 2, 1]], [[1.0], [0.5], [1.0]])
    >>> as_data(nx.DiGraph([(0, 1)]))
    Traceback (most recent call last):
    netgraph.errors.InterchangeError: as_data: expected an undirected graph, got the edge (0, 1) without \
(1, 0); add it, or call to_undirected() on the graph
    """
    with _naming("as_data"):
        data = _plain(graph, None)
        edges, nodes = data.edge_index, data.num_nodes
        _check_rows(data, "edge_attr", edges.size(1))
        order = (edges[0] * nodes + edges[1]).argsort()
        _check_simple(edges[:, order], nodes)
        for name, value in list(data):
            if name != "edge_index" and _is_of_edges(data, name):
                data[name] = _take(value, order, data.__cat_dim__(name, value))
        data.edge_index = edges[:, order]
        _check_reverse(data)
        return data


def read_plain(graph: Any, operation: str, *, only: Collection[str] | None = None) -> Data:
    """A graph of NetworkX, PyTorch Geometric or DGL as `Data`, directed or not, with its edges as they come.

    Edges may stand twice, join a node with itself and lack their reverse; an edge of an undirected NetworkX
    graph stands in both directions. They are whole numbers within `num_nodes`, which is set, and `x` is
    finite. Attributes are named as by `as_data`; the input is not changed.

    Args:
        graph: the graph.
        operation: the name of the caller, with which messages begin.
        only: attributes of NetworkX that are read, by the names that they get; None for all. One of
            them must be set on all nodes, or on all edges, or on none.

    Raises:
        InterchangeError: `graph` is of another type or holds several graphs; an edge has an end that is not
            there; `x` is not finite, or has another number of rows than there are nodes.

    >>> import networkx as nx
    >>> read_plain(nx.DiGraph([(0, 1), (1, 1)]), "example").edge_index.tolist()
    [[0, 1], [1, 1]]
    """
    with _naming(operation):
        return _plain(graph, only)


@contextmanager
def _naming(operation: str) -> Iterator[None]:
    try:
        yield
    except InterchangeError as error:
        raise InterchangeError(f"{operation}: {error}") from None


def _plain(graph: Any, only: Collection[str] | None) -> Data:
    data = copy.copy(_read(graph, only))
    edges = _checked_edges(data)
    data.num_nodes = _number_of_nodes(data, edges)
    data.edge_index = edges
    _check_rows(data, "x", data.num_nodes)
    return data


def _read(graph: Any, only: Collection[str] | None) -> Data:
    import networkx as nx
    from torch_geometric.data import Batch, Data

    if isinstance(graph, nx.Graph):
        return _from_networkx(graph, only)
    # Importing DGL is slow and may fail; whoever passes one of its graphs has done it already.
    dgl = sys.modules.get("dgl")
    if dgl is not None and isinstance(graph, dgl.DGLGraph):
        return _from_dgl(graph)
    if isinstance(graph, Batch):
        _fail(f"one graph, got a batch of {graph.num_graphs}", "pass each of batch.to_data_list()")
    if not isinstance(graph, Data):
        _fail(
            f"a networkx.Graph, a torch_geometric Data or a dgl.DGLGraph, got {type(graph).__name__}",
            "convert it to one of these",
        )
    return graph


def _from_networkx(net: Any, only: Collection[str] | None) -> Data:
    number = {node: i for i, node in enumerate(net.nodes)}
    ends = torch.tensor([(number[u], number[v]) for u, v in net.edges()], dtype=torch.long).reshape(-1, 2).T
    node_data = _columns([d for _, d in net.nodes(data=True)], "node", only)
    edge_data = _columns([d for _, _, d in net.edges(data=True)], "edge", only)
    if not net.is_directed():
        # A loop stays one edge: doubled, it would be called a repeated edge.
        proper = (ends[0] != ends[1]).nonzero().squeeze(1)
        both = torch.cat((torch.arange(ends.size(1)), proper))
        ends = torch.cat((ends, ends.flip(0)[:, proper]), dim=1)
        edge_data = {name: _take(values, both) for name, values in edge_data.items()}
    graph_data = {str(name): _column([value])[0] for name, value in net.graph.items()}
    return _assemble(len(number), ends, node_data, edge_data, graph_data)


def _from_dgl(graph: Any) -> Data:
    if not graph.is_homogeneous or graph.batch_size != 1:
        _fail(
            "one homogeneous dgl.DGLGraph, got one with several types or a batch",
            "use dgl.to_homogeneous or dgl.unbatch",
        )
    formats = [name for names in graph.formats().values() for name in names]
    by = "eid" if "coo" in formats else "srcdst"  # each sparse format knows one order only
    source, target, identity = graph.edges(form="all", order=by)
    ends = torch.stack((source, target))[:, identity.argsort()].long()
    return _assemble(graph.num_nodes(), ends, dict(graph.ndata), dict(graph.edata), {})


def _assemble(
    nodes: int, ends: Tensor, node: Mapping[str, Any], edge: Mapping[str, Any], graph: Mapping[str, Any]
) -> Data:
    from torch_geometric.data import Data

    data = Data()
    named = {_edge_name(name): value for name, value in edge.items()}
    for name, value in {**graph, **node, **named}.items():
        data[name] = value
    data.edge_index, data.num_nodes = ends, nodes
    return data


def _edge_name(name: str) -> str:
    return name if name.startswith("edge_") else f"edge_{name}"


def _columns(rows: Sequence[Mapping[Any, Any]], what: str, only: Collection[str] | None) -> dict[str, Any]:
    """Attributes by name: a tensor where all are numbers or vectors of one length, a list otherwise."""
    if only is not None:
        called = _edge_name if what == "edge" else str
        rows = [{key: row[key] for key in row if called(str(key)) in only} for row in rows]
    names = list(rows[0]) if rows else []
    for row in rows:
        if row.keys() != set(names):
            odd = sorted(map(str, row.keys() ^ set(names)))
            _fail(
                f"every {what} to have the same attributes, got {odd} on some only",
                "set them everywhere or remove them",
            )
    return {str(name): _column([row[name] for row in rows]) for name in names}


def _column(values: list[Any]) -> Any:
    try:
        if isinstance(values[0], Tensor):
            return torch.stack(values)
        if isinstance(values[0], np.ndarray):
            return torch.from_numpy(np.stack(values))
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return values


def _is_of_edges(data: Data, name: str) -> bool:
    # Where there are as many edges as nodes, PyG takes every list for an attribute of edges.
    return data.is_edge_attr(name) and (data.num_nodes != data.num_edges or "edge" in name)


def _take(values: Any, index: Tensor, dim: int = 0) -> Any:
    if isinstance(values, Tensor):
        return values.index_select(dim, index)
    if isinstance(values, np.ndarray):
        return values.take(index.cpu().numpy(), axis=dim)
    return [values[i] for i in index.tolist()]


def _checked_edges(data: Data) -> Tensor:
    edges = data.edge_index
    if not isinstance(edges, Tensor) or edges.dim() != 2 or edges.size(0) != 2:
        found = list(edges.shape) if isinstance(edges, Tensor) else type(edges).__name__
        _fail(
            f"edge_index of shape [2, E], got {found}", "a graph without edges has torch.empty(2, 0).long()"
        )
    if edges.is_floating_point() or edges.is_complex() or edges.dtype == torch.bool:
        _fail(f"edge_index of whole numbers, got {edges.dtype}", "pass edge_index.long()")
    return edges.long()


def _number_of_nodes(data: Data, edges: Tensor) -> int:
    nodes = data.num_nodes or 0
    outside = (edges < 0) | (edges >= nodes)
    if bool(outside.any()):
        _fail(
            f"node numbers from 0 to {nodes - 1} in edge_index, got {int(edges[outside][0])}",
            "number the nodes from 0, or set num_nodes",
        )
    return nodes


def _check_rows(data: Data, name: str, rows: int) -> None:
    value = data.get(name)
    if value is None:
        return
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        _fail(
            f"{name} to be a dense tensor of numbers, got {_kind(value)}",
            "pass one number or vector per row",
        )
    if value.dim() == 0 or len(value) != rows:
        _fail(f"{name} to have {rows} rows, got shape {list(value.shape)}", "pass one row for each")
    if not bool(torch.isfinite(value).all()):
        _fail(f"finite numbers in {name}, got NaN or infinity", "clean the features first")


def _check_simple(edges: Tensor, nodes: int) -> None:
    loops = edges[0] == edges[1]
    if bool(loops.any()):
        _fail(
            f"a graph without self-loops, got one at node {int(edges[0][loops][0])}",
            "remove them, with torch_geometric.utils.remove_self_loops for one",
        )
    key, back = edges[0] * nodes + edges[1], edges[1] * nodes + edges[0]
    twice = key[1:] == key[:-1]
    if bool(twice.any()):
        u, v = edges[:, 1:][:, twice][:, 0].tolist()
        _fail(f"each edge once, got ({u}, {v}) several times", "merge them, with Data.coalesce() for one")
    lonely = ~torch.isin(key, back)
    if bool(lonely.any()):
        u, v = edges[:, lonely][:, 0].tolist()
        _fail(
            f"an undirected graph, got the edge ({u}, {v}) without ({v}, {u})",
            "add it, or call to_undirected() on the graph",
        )


def _check_reverse(data: Data) -> None:
    """Every edge carries what its reverse carries; edges are sorted and complete by now."""
    reverse = (data.edge_index[1] * data.num_nodes + data.edge_index[0]).argsort()
    for name in _SYMMETRIC:
        if name not in data or not _is_of_edges(data, name):
            continue
        there, back = data[name], _take(data[name], reverse)
        if not (torch.equal(there, back) if isinstance(there, Tensor) else there == back):
            _fail(
                f"an undirected graph, got an edge whose reverse has another {name}",
                "give both directions the same",
            )


def _kind(value: Any) -> str:
    return f"a {value.layout} tensor" if isinstance(value, Tensor) else type(value).__name__


def _fail(problem: str, remedy: str) -> NoReturn:
    raise InterchangeError(f"expected {problem}; {remedy}")


__all__ = ["as_data", "read_plain"]
