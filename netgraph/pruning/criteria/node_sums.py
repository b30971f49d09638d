"""Sums over everything that touches a node: the one reduction that all criteria share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from netgraph.graph import Structure, TensorSpec

__all__ = ["NodeSlice", "node_slices", "node_sums"]

Reduce = Literal["mean", "sum"]


class NodeSlice(NamedTuple):
    """The places of one group's nodes along one dimension of one parameter.

    Attributes:
        tensor: name of the parameter.
        dim: the dimension whose slices belong to nodes.
        positions, nodes: places along `dim`, and the node of each; None if place `i` is node `i`.
        share: how many parameters' slices touch each node through this record, `(size,)` of 0 and 1.
        makes: whether the tensor produces the nodes (they stand on its output axis).
    """

    tensor: str
    dim: int
    positions: Tensor | None
    nodes: Tensor | None
    share: Tensor
    makes: bool


@lru_cache(maxsize=64)
def node_slices(structure: Structure) -> Mapping[str, tuple[NodeSlice, ...]]:
    """Per hidden group: every dimension of every floating-point parameter that runs over its nodes.

    A weight that joins a group to itself is met twice, once from each end.
    """
    found: dict[str, list[NodeSlice]] = {g.name: [] for g in structure.groups if g.role == "hidden"}
    for spec in structure.tensors:
        if spec.kind == "parameter" and "float" in spec.dtype:
            for dim, axis in enumerate(spec.axes):
                if axis is not None:
                    for name, item in _along(structure, spec, dim):
                        found.get(name, []).append(item)
    return {name: tuple(items) for name, items in found.items()}


def _along(structure: Structure, spec: TensorSpec, dim: int) -> Iterator[tuple[str, NodeSlice]]:
    axis = structure.axis_of(spec, dim)
    makes = dim == spec.out_axis
    for index in axis.group_ids:
        group = structure.groups[index]
        positions = np.flatnonzero(axis.groups == index)
        nodes = axis.indices[positions]
        plain = np.array_equal(nodes, np.arange(group.size)) and len(positions) == axis.size
        share = torch.zeros(group.size)
        share[torch.from_numpy(nodes)] = 1
        yield (
            group.name,
            NodeSlice(
                spec.name,
                dim,
                None if plain else torch.from_numpy(positions),
                None if plain else torch.from_numpy(nodes),
                share,
                makes,
            ),
        )


def node_sums(
    structure: Structure,
    values: Mapping[str, Tensor],
    *,
    inside: Reduce = "sum",
    across: Reduce = "mean",
) -> dict[str, Tensor]:
    """Reduce one value per weight to one value per node.

    `out[k] = across over tensors touching k of ( inside over the tensor's slice at k of value )`

    Args:
        structure: whose hidden groups are meant.
        values: one tensor of the parameter's own shape per name, for example squared weights; parameters left
            out count as absent. Gradients flow through.
        inside: reduction over the slice of one tensor.
        across: reduction over the tensors; a mean is taken over those that touch the node.

    Returns:
        Per hidden group `(size,)`; zero for nodes that nothing touches.
    """
    out: dict[str, Tensor] = {}
    sizes = {g.name: g.size for g in structure.groups}
    for name, items in node_slices(structure).items():
        total: Tensor | None = None
        touched = torch.zeros(sizes[name])
        for item in items:
            value = values.get(item.tensor)
            if value is not None:
                part = _reduced(value, item, sizes[name], inside)
                total = part if total is None else total + part
                touched += item.share
        if total is None:
            total = torch.zeros(sizes[name])
        out[name] = total / touched.clamp(min=1).to(total) if across == "mean" else total
    return out


def _reduced(value: Tensor, item: NodeSlice, size: int, inside: Reduce) -> Tensor:
    other = [d for d in range(value.dim()) if d != item.dim]
    reduce: Callable[..., Tensor] = torch.sum if inside == "sum" else torch.mean
    along = reduce(value, dim=other) if other else value
    if item.positions is None or item.nodes is None:
        return along
    nodes = item.nodes.to(along.device)
    part = along.new_zeros(size).index_add(0, nodes, along[item.positions.to(along.device)])
    if inside == "sum":
        return part
    return part / torch.bincount(nodes, minlength=size).clamp(min=1).to(part)
