"""Neural graphs and DGL."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from netgraph.convert.flat import FlatGraph, flatten, unflatten
from netgraph.convert.origin import Origin
from netgraph.errors import InterchangeError
from netgraph.graph import NeuralGraph


def to_dgl(graph: NeuralGraph) -> Any:
    """A graph as a homogeneous `dgl.DGLGraph`, with the tensors of `netgraph.convert.flat.FlatGraph`.

    `ndata` holds `x` `(N, F)` and `node_group` `(N,)`, `edata` holds `edge_attr` `(E, K)` and `edge_block`
    `(E,)`; the attributes `graph_attr` `(F,)` and `origin` are what `from_dgl` needs besides. They stay on
    clones and on copies on another device; DGL's batches and files drop them.

    Raises:
        InterchangeError: DGL is not installed.

    >>> import importlib.util, torch, netgraph
    >>> from netgraph.convert.dgl_ import to_dgl
    >>> net = netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    >>> if importlib.util.find_spec("dgl"):
    ...     assert to_dgl(net).num_edges() == 6
    """
    dgl = _dgl("to_dgl")
    flat = flatten(graph)
    out = dgl.graph((flat.edge_index[0], flat.edge_index[1]), num_nodes=graph.num_nodes)
    out.ndata["x"], out.ndata["node_group"] = flat.x, flat.node_group
    out.edata["edge_attr"], out.edata["edge_block"] = flat.edge_attr, flat.edge_block
    out.graph_attr = flat.graph_attr
    out.origin = Origin(graph.structure, flat.verbatim)
    return out


def from_dgl(dgl_graph: Any) -> NeuralGraph:
    """The graph behind a `DGLGraph` of `to_dgl`, bit for bit, with whatever was written into its tensors.

    Differentiable in `edge_attr`, `x` and `graph_attr`.

    Raises:
        InterchangeError: DGL is not installed, the graph was not made by `to_dgl` or lacks one of its
            tensors, or nodes or edges were removed, added or reordered.

    >>> import importlib.util, torch, netgraph
    >>> from netgraph.convert.dgl_ import from_dgl, to_dgl
    >>> net = netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    >>> if importlib.util.find_spec("dgl"):
    ...     assert from_dgl(to_dgl(net)) == net
    """
    dgl = _dgl("from_dgl")
    if not isinstance(dgl_graph, dgl.DGLGraph) or not dgl_graph.is_homogeneous:
        raise InterchangeError(
            f"from_dgl: expected a homogeneous dgl.DGLGraph, got {type(dgl_graph).__name__}; "
            "pass what netgraph.to_dgl returned"
        )
    origin, graph_attr = (getattr(dgl_graph, name, None) for name in ("origin", "graph_attr"))
    missing = [n for n in ("x", "node_group") if n not in dgl_graph.ndata]
    missing += [n for n in ("edge_attr", "edge_block") if n not in dgl_graph.edata]
    if missing or not isinstance(origin, Origin) or not isinstance(graph_attr, Tensor):
        raise InterchangeError(
            f"from_dgl: expected the tensors and attributes of netgraph.to_dgl, {missing or 'its origin'} is "
            "missing; keep them on the graph, or copy them from the original"
        )
    formats = [name for names in dgl_graph.formats().values() for name in names]
    by = "eid" if "coo" in formats else "srcdst"  # each sparse format knows one order only
    source, target, order = dgl_graph.edges(form="all", order=by)
    flat = FlatGraph(
        edge_index=torch.stack((source, target))[:, order.argsort()],
        edge_attr=dgl_graph.edata["edge_attr"],
        edge_block=dgl_graph.edata["edge_block"],
        x=dgl_graph.ndata["x"],
        node_group=dgl_graph.ndata["node_group"],
        graph_attr=graph_attr,
        verbatim=origin.verbatim,
    )
    return unflatten(flat, origin.structure, operation="from_dgl")


def _dgl(operation: str) -> Any:
    # Without a chosen backend DGL prints a notice and writes one into the user's home folder.
    os.environ.setdefault("DGLBACKEND", "pytorch")
    try:
        import dgl
    except (ImportError, OSError) as error:
        raise InterchangeError(
            f"{operation}: expected DGL 1.1, which cannot be imported ({error}); "
            "install it with: pip install 'netgraph-metanet[dgl]'"
        ) from error
    return dgl


__all__ = ["from_dgl", "to_dgl"]
