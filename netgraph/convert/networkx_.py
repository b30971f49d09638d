"""Neural graphs and NetworkX."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from netgraph.convert.flat import FlatGraph, flatten, unflatten
from netgraph.convert.layout import Layout, edge_shape
from netgraph.errors import GraphError, GraphFileError, InterchangeError
from netgraph.graph import NeuralGraph, Structure, decode_structure, dtype_name, encode_structure, to_dtype

if TYPE_CHECKING:
    from networkx import MultiDiGraph

_REMEDY = "change the numbers of a converted graph, not its nodes and edges"


def to_networkx(graph: NeuralGraph) -> MultiDiGraph[tuple[str, int]]:
    """A graph as a NetworkX `MultiDiGraph`: one node per channel, one edge per weight (kernels counted once).

    - nodes are `(group name, index)` with `group`, `role` and `x`, the list of the node's own numbers
      (columns as in `netgraph.convert.layout.node_columns`);
    - edges run from source to destination channel under the key `"block:parallel"` with `tensor`, the name
      of their parameter, and `weight`, the list of kernel taps;
    - `.graph` holds `netgraph` (the structure), `graph_attr` (0-D floats) and `verbatim` (tensors that are
      not floating-point, base64), which `from_networkx` needs and everything else may drop.

    All of it is plain data that survives `networkx.node_link_data` and JSON. For some hundred thousand edges;
    beyond that use `to_pyg`.

    >>> import torch, netgraph
    >>> from netgraph.convert.networkx_ import to_networkx
    >>> net = to_networkx(netgraph.to_graph(torch.nn.Linear(3, 2, bias=False), torch.zeros(1, 3)))
    >>> net.number_of_nodes(), net.number_of_edges(), list(net.nodes)[0]
    (5, 6, ('input', 0))
    """
    import networkx as nx

    structure, flat = graph.structure, flatten(graph)
    layout = Layout(structure)
    net: MultiDiGraph[tuple[str, int]] = nx.MultiDiGraph(
        netgraph=encode_structure(structure),
        graph_attr=flat.graph_attr.tolist(),
        verbatim={name: _packed(tensor) for name, tensor in flat.verbatim.items()},
    )
    rows = flat.x.tolist()
    for group, offset, width in zip(structure.groups, structure.offsets[:-1], layout.widths, strict=True):
        for i in range(group.size):
            net.add_node((group.name, i), group=group.name, role=group.role, x=rows[offset + i][:width])
    names = list(net.nodes)
    sources, targets = flat.edge_index.tolist()
    weights = flat.edge_attr.tolist()
    numbers = dict.fromkeys(flat.edge_block.tolist())
    start = 0
    for number, (spec, block) in zip(numbers, layout.blocks, strict=True):
        keys = [f"{number}:{p}" for p in range(edge_shape(block)[2])]
        for e in range(start, start + block.edges):
            ends = names[sources[e]], names[targets[e]]
            key = keys[(e - start) % len(keys)]
            net.add_edge(*ends, key, tensor=spec.name, weight=weights[e][: spec.taps])
        start += block.edges
    return net


def from_networkx(net: MultiDiGraph[Any]) -> NeuralGraph:
    """The graph behind a NetworkX graph of `to_networkx`, with whatever was written into `x` and `weight`.

    Bit for bit, but for the payload of a NaN, which Python's floats need not keep. Nodes and edges may come
    in any order.

    Raises:
        InterchangeError: `net` was not made by `to_networkx`, nodes or edges were removed, added or renamed,
            or a list of numbers has another length.

    >>> import torch, netgraph
    >>> from netgraph.convert.networkx_ import from_networkx, to_networkx
    >>> graph = netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    >>> from_networkx(to_networkx(graph)) == graph
    True
    """
    structure = _structure(net)
    layout = Layout(structure)
    x = _node_features(net, layout)
    flat = FlatGraph(
        edge_index=layout.edge_index(),
        edge_attr=_edge_attr(net, layout),
        edge_block=layout.edge_block(),
        x=x,
        node_group=layout.node_group(),
        graph_attr=_numbers(net.graph.get("graph_attr"), (len(layout.scalars),), "the graph's graph_attr"),
        verbatim=_unpacked(net.graph.get("verbatim")),
    )
    return unflatten(flat, structure, operation="from_networkx")


def _fail(problem: str) -> InterchangeError:
    return InterchangeError(f"from_networkx: {problem}; {_REMEDY}")


def _structure(net: object) -> Structure:
    import networkx as nx

    if not isinstance(net, nx.MultiDiGraph) or "netgraph" not in net.graph:
        raise InterchangeError(
            f"from_networkx: expected a MultiDiGraph with a 'netgraph' entry in its .graph, got {net!s}; "
            "pass what netgraph.to_networkx returned"
        )
    try:
        return decode_structure(net.graph["netgraph"])
    except GraphFileError as error:
        raise InterchangeError(f"from_networkx: {error}") from None


def _node_features(net: MultiDiGraph[Any], layout: Layout) -> Tensor:
    structure = layout.structure
    x = torch.zeros(structure.num_nodes, layout.features, dtype=torch.float64)
    if net.number_of_nodes() != structure.num_nodes:
        raise _fail(f"expected {structure.num_nodes} nodes, got {net.number_of_nodes()}")
    for group, offset, width in zip(structure.groups, structure.offsets[:-1], layout.widths, strict=True):
        names = [(group.name, i) for i in range(group.size)]
        if lost := next((n for n in names if n not in net), None):
            raise _fail(f"expected a node {lost}, which is missing")
        rows = [net.nodes[name].get("x") for name in names]
        what = f"x of the nodes of group {group.name!r}"
        x[offset : offset + group.size, :width] = _numbers(rows, (group.size, width), what)
    return x


def _edge_attr(net: MultiDiGraph[Any], layout: Layout) -> Tensor:
    """Weights in the order of the layout: an edge's place follows from its ends and its key."""
    if net.number_of_edges() != layout.num_edges:
        raise _fail(f"expected {layout.num_edges} edges, got {net.number_of_edges()}")
    groups = layout.structure.groups
    places = {}
    start = 0
    numbers = dict.fromkeys(layout.edge_block().tolist())
    for number, (_, block) in zip(numbers, layout.blocks, strict=True):
        _, width, parallel = edge_shape(block)
        ends = (groups[block.src.group].name, groups[block.dst.group].name)
        for p in range(parallel):
            places[f"{number}:{p}"] = (start + p, width, parallel, ends, block)
        start += block.edges
    rows: list[object] = [None] * layout.num_edges
    weight: object
    for source, target, key, weight in net.edges(keys=True, data="weight"):
        try:
            first, width, parallel, ends, block = places[key]
            d, s = target[1] - block.dst.start, source[1] - block.src.start
            fits = (source[0], target[0]) == ends and 0 <= d < block.dst.length and 0 <= s < block.src.length
            if not fits or (block.loop and d != s):
                raise KeyError(key)
            rows[first + (d if block.loop else d * width + s) * parallel] = weight
        except (KeyError, TypeError, IndexError):
            raise _fail(
                f"edge {source} -> {target} with key {key!r} is none of the converted graph"
            ) from None
    out = torch.zeros(layout.num_edges, layout.taps, dtype=torch.float64)
    start = 0
    for spec, block in layout.blocks:
        end = start + block.edges
        what = f"weight of the edges of {spec.name!r}"
        out[start:end, : spec.taps] = _numbers(rows[start:end], (block.edges, spec.taps), what)
        start = end
    return out


def _numbers(rows: object, shape: tuple[int, ...], what: str) -> Tensor:
    try:
        found = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != shape and not (found.size == 0 and 0 in shape):
        raise _fail(f"expected numbers of shape {list(shape)} in {what}, got lists of other lengths or none")
    return torch.from_numpy(found).reshape(shape)


def _packed(tensor: Tensor) -> dict[str, Any]:
    data = tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return {
        "dtype": dtype_name(tensor.dtype),
        "shape": list(tensor.shape),
        "data": base64.b64encode(data).decode("ascii"),
    }


def _unpacked(items: object) -> dict[str, Tensor]:
    if not isinstance(items, Mapping):
        raise _fail("expected the graph's entry 'verbatim' to be a dict")
    out = {}
    for name, item in items.items():
        try:
            data = bytearray(base64.b64decode(item["data"], validate=True))
            raw = torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
            out[name] = raw.view(to_dtype(item["dtype"])).reshape(item["shape"])
        except (KeyError, TypeError, ValueError, RuntimeError, binascii.Error, GraphError):
            raise _fail(f"the verbatim tensor {name!r} is damaged") from None
    return out


__all__ = ["from_networkx", "to_networkx"]
