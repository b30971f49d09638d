"""Where each tensor of a structure stands in the edge list and in the node features."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, reduce

import numpy as np
import torch
from torch import Tensor

from netgraph.graph import Axis, Block, Structure, TensorSpec, dtype_name, to_dtype
from netgraph.graph.axis import IntArray

_WIDTH: Mapping[str, int] = {"bfloat16": 0, "float16": 0, "float32": 1, "float64": 2}


class Layout:
    """The plan by which `flatten` and `unflatten` write and read, computed from a structure alone.

    Attributes:
        dtype: common to all numbers of the edge list: what the floating-point parameters on edges promote to.
        blocks: `(tensor, block)` of all edges, in their order.
        node_tensors: tensors that stand in the node features.
        scalars: 0-D floats, in the order of the graph features.
        verbatim: tensors that would not go in exactly (integers, wider floats) or have no node axis.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.dtype = _common_dtype(structure)
        self.node_tensors: list[TensorSpec] = []
        self.scalars: list[TensorSpec] = []
        self.verbatim: list[TensorSpec] = []
        on_edges = set()
        for spec in structure.tensors:
            if not _widens(spec.dtype, dtype_name(self.dtype)) or (spec.placement == "graph" and spec.shape):
                self.verbatim.append(spec)
            elif spec.placement == "block":
                on_edges.add(spec.name)
            elif spec.placement == "node":
                self.node_tensors.append(spec)
            else:
                self.scalars.append(spec)
        self.blocks = [(structure.tensor[b.tensor], b) for b in structure.blocks if b.tensor in on_edges]
        self._numbers = [i for i, b in enumerate(structure.blocks) if b.tensor in on_edges]

    @property
    def num_edges(self) -> int:
        """E: edges of all blocks."""
        return sum(b.edges for _, b in self.blocks)

    @property
    def taps(self) -> int:
        """K: the most taps that an edge has."""
        return max((spec.taps for spec, _ in self.blocks), default=1)

    @property
    def features(self) -> int:
        """F: the most numbers that a node has."""
        return max(self.widths, default=0)

    def edge_index(self) -> Tensor:
        """Source node above destination node of every edge, `(2, E)`."""
        out = torch.empty(2, self.num_edges, dtype=torch.int64)
        start = 0
        for _, block in self.blocks:
            dst, src = (
                torch.arange(s.length) + (self.structure.offsets[s.group] + s.start)
                for s in (block.dst, block.src)
            )
            part = out[:, start : start + block.edges].unflatten(1, edge_shape(block))  # (2, D, S, P)
            part[0] = dst[:, None, None] if block.loop else src[None, :, None]
            part[1] = dst[:, None, None]
            start += block.edges
        return out

    def edge_block(self) -> Tensor:
        """Index of every edge's block in `structure.blocks`, `(E,)`."""
        sizes = torch.tensor([b.edges for _, b in self.blocks], dtype=torch.int64)
        return torch.tensor(self._numbers, dtype=torch.int64).repeat_interleave(sizes)

    def node_group(self) -> Tensor:
        """Index of every node's group in `structure.groups`, `(N,)`."""
        sizes = torch.tensor([g.size for g in self.structure.groups], dtype=torch.int64)
        return torch.arange(len(sizes)).repeat_interleave(sizes)

    @property
    def widths(self) -> list[int]:
        """How many columns of `x` the nodes of each group use."""
        return self._columns[1]

    @cached_property
    def columns(self) -> dict[str, dict[int, slice]]:
        """Columns of every node tensor, by its name and by group."""
        return self._columns[0]

    @cached_property
    def _columns(self) -> tuple[dict[str, dict[int, slice]], list[int]]:
        used = [0] * len(self.structure.groups)
        found: dict[str, dict[int, slice]] = {}
        for spec in self.node_tensors:
            axis = self._axis(spec)
            times = occurrence(axis)
            places = found.setdefault(spec.name, {})
            for group in axis.group_ids:
                first = used[group]
                used[group] += (int(times[axis.groups == group].max()) + 1) * spec.taps
                places[group] = slice(first, used[group])
        return found, used

    def cells(self, spec: TensorSpec) -> tuple[Tensor, Tensor]:
        """Row `(C, 1)` and columns `(C, K)` of `x` for every position of a node tensor."""
        axis = self._axis(spec)
        rows = np.asarray(self.structure.offsets, dtype=np.int64)[axis.groups] + axis.indices
        begin = np.zeros(len(self.structure.groups), dtype=np.int64)
        for group, place in self.columns[spec.name].items():
            begin[group] = place.start
        columns = (begin[axis.groups] + occurrence(axis) * spec.taps)[:, None] + np.arange(spec.taps)
        return torch.from_numpy(rows[:, None]), torch.from_numpy(columns)

    def _axis(self, spec: TensorSpec) -> Axis:
        assert spec.out_axis is not None
        return self.structure.axis_of(spec, spec.out_axis)


def node_columns(structure: Structure) -> dict[str, dict[str, slice]]:
    """Which columns of the node features `x` hold a tensor: by tensor name, then by group name.

    The tensors of one group stand side by side; groups use the same columns for different tensors. A tensor
    that meets a node several times (a norm over a flattened feature map) has a column for each.

    >>> import torch, netgraph
    >>> from netgraph.convert.layout import node_columns
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    >>> node_columns(netgraph.to_graph(net, torch.zeros(4, 3)).structure)["1.weight"]
    {'0': slice(1, 2, None)}
    """
    layout = Layout(structure)
    return {
        name: {structure.groups[group].name: place for group, place in places.items()}
        for name, places in layout.columns.items()
    }


def edge_shape(block: Block) -> tuple[int, int, int]:
    """`(D, S, P)` of a block's edges."""
    if block.loop:
        return block.dst.length, 1, block.dst.repeat
    return block.dst.length, block.src.length, block.dst.repeat * block.src.repeat


def occurrence(axis: Axis) -> IntArray:
    """How many positions before it hold the same node, for every position of an axis.

    >>> from netgraph.graph import Axis, Segment
    >>> occurrence(Axis((Segment(0, 0, 2, repeat=2), Segment(0, 1, 1)))).tolist()
    [0, 1, 0, 1, 2]
    """
    order = np.lexsort((np.arange(axis.size), axis.indices, axis.groups))
    groups, indices = axis.groups[order], axis.indices[order]
    first = np.ones(axis.size, dtype=np.bool_)
    first[1:] = (np.diff(groups) != 0) | (np.diff(indices) != 0)
    begin = np.maximum.accumulate(np.where(first, np.arange(axis.size), 0))
    out = np.empty(axis.size, dtype=np.int64)
    out[order] = np.arange(axis.size) - begin
    return out


def _common_dtype(structure: Structure) -> torch.dtype:
    """Of the floating-point parameters on edges; where there are none, of all tensors; else float32."""
    floats = [t for t in structure.tensors if t.dtype in _WIDTH]
    on_edges = [t for t in floats if t.placement == "block" and t.kind == "parameter"]
    for chosen in (on_edges, floats):
        if chosen:
            return reduce(torch.promote_types, [to_dtype(t.dtype) for t in chosen])
    return torch.float32


def _widens(dtype: str, common: str) -> bool:
    """Whether each number of a dtype is one of the common dtype."""
    return dtype == common or (dtype in _WIDTH and _WIDTH[dtype] < _WIDTH[common])


__all__ = ["Layout", "edge_shape", "node_columns", "occurrence"]
