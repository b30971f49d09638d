"""Neural graphs and PyTorch Geometric's `Data`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from netgraph.convert.flat import FlatGraph, flatten, unflatten
from netgraph.convert.origin import Origin
from netgraph.errors import InterchangeError
from netgraph.graph import NeuralGraph

if TYPE_CHECKING:
    from torch_geometric.data import Data

_TENSORS = ("edge_index", "edge_attr", "edge_block", "x", "node_group", "graph_attr")


def to_pyg(graph: NeuralGraph) -> Data:
    """A graph as PyTorch Geometric `Data`: any GNN can read it, and `from_pyg` brings it back.

    `edge_index` `(2, E)`, `edge_attr` `(E, K)`, `edge_block` `(E,)`, `x` `(N, F)`, `node_group` `(N,)`
    and `graph_attr` `(1, F)` are those of `netgraph.convert.flat.FlatGraph`; `data.origin` holds the
    structure and the tensors that are not floating-point. Clones, moves between devices and batches of equal
    structures (`Batch.from_data_list`, then `batch[i]` or `to_data_list`) keep all of it.

    >>> import torch, netgraph
    >>> from netgraph.convert.pyg import to_pyg
    >>> data = to_pyg(netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3)))
    >>> data.num_nodes, data.num_edges, data.edge_attr.shape
    (5, 6, torch.Size([6, 1]))
    >>> data.origin
    Origin(groups=2, verbatim=0)
    """
    from torch_geometric.data import Data

    flat = flatten(graph)
    return Data(
        x=flat.x,
        edge_index=flat.edge_index,
        edge_attr=flat.edge_attr,
        edge_block=flat.edge_block,
        node_group=flat.node_group,
        graph_attr=flat.graph_attr.unsqueeze(0),
        origin=Origin(graph.structure, flat.verbatim),
    )


def from_pyg(data: Data) -> NeuralGraph:
    """The graph behind a `Data` of `to_pyg`, bit for bit, with whatever was written into its tensors.

    Differentiable in `edge_attr`, `x` and `graph_attr`.

    Raises:
        InterchangeError: `data` was not made by `to_pyg`, lacks one of its attributes, is a batch, or nodes
            or edges were removed, added or reordered.

    >>> import torch, netgraph
    >>> from netgraph.convert.pyg import from_pyg, to_pyg
    >>> graph = netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    >>> data = to_pyg(graph)
    >>> from_pyg(data) == graph
    True
    >>> data.edge_attr *= 2
    >>> torch.equal(from_pyg(data).state["weight"], 2 * graph.state["weight"])
    True
    """
    from torch_geometric.data import Data

    if not isinstance(data, Data):
        raise InterchangeError(
            f"from_pyg: expected torch_geometric.data.Data, got {type(data).__name__}; "
            "pass what netgraph.to_pyg returned"
        )
    if missing := [name for name in (*_TENSORS, "origin") if name not in data]:
        raise InterchangeError(
            f"from_pyg: expected the attributes of netgraph.to_pyg, {missing} are missing; "
            "keep them on the object, or copy them from the original"
        )
    origin = data.origin
    if not isinstance(origin, Origin):
        raise InterchangeError(
            f"from_pyg: expected data.origin as netgraph.to_pyg made it, got {type(origin).__name__}; "
            "take one graph of a batch with batch[i]"
        )
    parts = {name: data[name] for name in _TENSORS}
    if isinstance(data.graph_attr, Tensor) and data.graph_attr.dim() == 2 and len(data.graph_attr) == 1:
        parts["graph_attr"] = data.graph_attr[0]
    return unflatten(FlatGraph(**parts, verbatim=origin.verbatim), origin.structure, operation="from_pyg")


__all__ = ["from_pyg", "to_pyg"]
