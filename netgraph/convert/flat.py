"""The homogeneous edge list of a neural graph: what PyG, DGL and NetworkX are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from netgraph.convert.layout import Layout
from netgraph.errors import InterchangeError
from netgraph.graph import Block, NeuralGraph, Structure, TensorSpec, to_dtype


@dataclass(frozen=True, eq=False)
class FlatGraph:
    """All weights of a graph as one edge list.

    Floating-point tensors stand in one dtype: that which the parameters on edges promote to. Columns that a
    node or an edge has no number for are zero.

    Attributes:
        edge_index: `(2, E)` int64, source node above destination node; nodes are numbered group by group.
        edge_attr: `(E, K)`, the kernel taps of each edge, first taps first. The edges of one block lie
            together, in the order of `graph.block_weights(block)`: `(D, S, P, K)` as `(D*S*P, K)`.
        edge_block: `(E,)` int64, each edge's index into `structure.blocks`.
        x: `(N, F)`, node features; `netgraph.convert.layout.node_columns` says which column is which.
        node_group: `(N,)` int64, each node's index into `structure.groups`.
        graph_attr: `(F,)`, the 0-D floats, in the order of `structure.tensors`.
        verbatim: tensors that do not go in exactly (integers, booleans, wider floats) or have no node axis.
    """

    edge_index: Tensor
    edge_attr: Tensor
    edge_block: Tensor
    x: Tensor
    node_group: Tensor
    graph_attr: Tensor
    verbatim: Mapping[str, Tensor]


def flatten(graph: NeuralGraph) -> FlatGraph:
    """Lay a graph out as an edge list: every scalar of its state once, bit for bit.

    Depthwise and grouped weights become self-loops; the positions of a flattened feature map become parallel
    edges. The tensors are copies without gradient history, on the device of the state.

    >>> import torch, netgraph
    >>> from netgraph.convert.flat import flatten
    >>> flat = flatten(netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3)))
    >>> flat.edge_index.tolist(), flat.edge_attr.shape, flat.x.shape
    ([[0, 1, 2, 0, 1, 2], [3, 3, 3, 4, 4, 4]], torch.Size([6, 1]), torch.Size([5, 1]))
    """
    structure = graph.structure
    layout = Layout(structure)
    state = {name: tensor.detach() for name, tensor in graph.state.items()}
    device = next((t.device for t in state.values()), torch.device("cpu"))
    edge_attr = torch.zeros(layout.num_edges, layout.taps, dtype=layout.dtype, device=device)
    x = torch.zeros(structure.num_nodes, layout.features, dtype=layout.dtype, device=device)
    start = 0
    for spec, block in layout.blocks:
        edges = edge_attr[start : start + block.edges, : spec.taps]
        edges.copy_(graph.block_weights(block).detach().reshape(edges.shape))
        start += block.edges
    for spec in layout.node_tensors:
        assert spec.out_axis is not None
        rows, columns = (i.to(device) for i in layout.cells(spec))
        values = state[spec.name].movedim(spec.out_axis, 0).reshape(columns.shape)
        x[rows, columns] = values.to(layout.dtype)
    scalars = [state[spec.name].to(layout.dtype) for spec in layout.scalars]
    return FlatGraph(
        edge_index=layout.edge_index().to(device),
        edge_attr=edge_attr,
        edge_block=layout.edge_block().to(device),
        x=x,
        node_group=layout.node_group().to(device),
        graph_attr=torch.stack(scalars) if scalars else torch.zeros(0, dtype=layout.dtype, device=device),
        verbatim={spec.name: state[spec.name].clone() for spec in layout.verbatim},
    )


def unflatten(flat: FlatGraph, structure: Structure, *, operation: str = "unflatten") -> NeuralGraph:
    """The graph that an edge list stands for, with whatever was written into `edge_attr`, `x` and the others.

    Differentiable in the floating-point tensors. Padding is ignored. Numbers in another floating-point dtype
    than their tensor's own are rounded to it.

    Args:
        flat: as `flatten` made it; numbers may differ, nodes and edges may not.
        structure: of the graph it was made from.
        operation: whom an error names.

    Raises:
        InterchangeError: nodes or edges were removed, added or reordered, or a tensor has another shape.

    >>> import torch, netgraph
    >>> from netgraph.convert.flat import flatten, unflatten
    >>> graph = netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    >>> unflatten(flatten(graph), graph.structure) == graph
    True
    """
    layout = Layout(structure)
    for problem in _problems(flat, layout):
        raise InterchangeError(
            f"{operation}: {problem}; change the numbers of a converted graph, not its nodes and edges"
        )
    state: dict[str, Tensor] = dict(flat.verbatim)
    start = 0
    for spec, block in layout.blocks:
        if spec.name not in state:
            state[spec.name] = flat.edge_attr.new_empty(spec.shape, dtype=to_dtype(spec.dtype))
        _write(state[spec.name], spec, block, flat.edge_attr[start : start + block.edges, : spec.taps])
        start += block.edges
    for spec in layout.node_tensors:
        assert spec.out_axis is not None
        rows, columns = (i.to(flat.x.device) for i in layout.cells(spec))
        shape = (spec.shape[spec.out_axis], *(n for d, n in enumerate(spec.shape) if d != spec.out_axis))
        values = flat.x[rows, columns].reshape(shape).movedim(0, spec.out_axis)
        state[spec.name] = values.to(to_dtype(spec.dtype)).contiguous()
    for spec, value in zip(layout.scalars, flat.graph_attr.unbind(), strict=True):
        state[spec.name] = value.to(to_dtype(spec.dtype))
    return NeuralGraph(structure, {spec.name: state[spec.name] for spec in structure.tensors})


def _write(tensor: Tensor, spec: TensorSpec, block: Block, edges: Tensor) -> None:
    """The inverse of `NeuralGraph.block_weights`: put a block's edges where they stand in its tensor."""
    assert spec.out_axis is not None and spec.in_axis is not None
    dst, src = block.dst, block.src
    if block.loop:
        part = tensor.movedim(spec.out_axis, 0).narrow(0, block.dst_offset, dst.size)
    else:
        part = tensor.movedim((spec.out_axis, spec.in_axis), (0, 1))
        part = part.narrow(0, block.dst_offset, dst.size).narrow(1, block.src_offset, src.size)
        part = part.unflatten(1, (src.length, src.repeat)).unflatten(0, (dst.length, dst.repeat))
        part = part.transpose(1, 2)
    part.copy_(edges.reshape(part.shape))


def _problems(flat: FlatGraph, layout: Layout) -> Iterator[str]:
    """What does not fit, the plainest first."""
    structure = layout.structure
    shapes = {
        "edge_index": (2, layout.num_edges),
        "edge_attr": (layout.num_edges, layout.taps),
        "edge_block": (layout.num_edges,),
        "x": (structure.num_nodes, layout.features),
        "node_group": (structure.num_nodes,),
        "graph_attr": (len(layout.scalars),),
    }
    for name, shape in shapes.items():
        tensor = getattr(flat, name)
        if not isinstance(tensor, Tensor):
            yield f"expected {name} to be a tensor, got {type(tensor).__name__}"
        elif tuple(tensor.shape) != shape:
            yield f"expected {name} of shape {list(shape)}, got {list(tensor.shape)}"
        elif tensor.is_floating_point() != (name in {"edge_attr", "x", "graph_attr"}):
            kind = "integers" if tensor.is_floating_point() else "floats"
            yield f"expected {name} to hold {kind}, got {tensor.dtype}"
    for name, expected in (
        ("edge_index", layout.edge_index()),
        ("edge_block", layout.edge_block()),
        ("node_group", layout.node_group()),
    ):
        if not torch.equal(getattr(flat, name).cpu().long(), expected):
            yield f"expected {name} as it was made, got other nodes or edges, or another order of them"
    wanted = {spec.name: (to_dtype(spec.dtype), spec.shape) for spec in layout.verbatim}
    if set(flat.verbatim) != set(wanted):
        yield f"expected the verbatim tensors {list(wanted)[:5]}, got {list(flat.verbatim)[:5]}"
    for name, (dtype, shape) in wanted.items():
        given: object = flat.verbatim[name]
        if not isinstance(given, Tensor):
            yield f"expected the verbatim tensor {name!r} to be a tensor, got {type(given).__name__}"
        elif (given.dtype, tuple(given.shape)) != (dtype, shape):
            yield (
                f"expected the verbatim tensor {name!r} as {dtype} {list(shape)}, "
                f"got {given.dtype} {list(given.shape)}"
            )


__all__ = ["FlatGraph", "flatten", "unflatten"]
