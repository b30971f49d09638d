"""Slow loops over every scalar: what the criteria must agree with."""

from collections.abc import Iterator

import torch
from torch import Tensor

from netgraph.graph import NeuralGraph


def touching(graph: NeuralGraph, group: str, node: int) -> Iterator[tuple[str, int, list[Tensor]]]:
    """For each (tensor, dimension) that runs over a group and holds the node: the node's slices, in order."""
    structure = graph.structure
    number = structure.group_index[group]
    for spec in structure.tensors:
        if spec.kind != "parameter" or "float" not in spec.dtype:
            continue
        for dim, axis_index in enumerate(spec.axes):
            if axis_index is None:
                continue
            axis = structure.axes[axis_index]
            slices = [
                graph.state[spec.name].select(dim, place)
                for place in range(axis.size)
                if axis.groups[place] == number and axis.indices[place] == node
            ]
            if slices:
                yield spec.name, dim, slices


def magnitude_loops(graph: NeuralGraph, p: float, inside: str, reduce: str) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {}
    for group in graph.structure.groups:
        if group.role != "hidden":
            continue
        out[group.name] = []
        for node in range(group.size):
            parts = []
            for _, _, slices in touching(graph, group.name, node):
                scalars = [abs(float(w)) ** p for s in slices for w in s.flatten()]
                parts.append(sum(scalars) / (len(scalars) if inside == "mean" else 1))
            total = sum(parts)
            out[group.name].append(total / len(parts) if reduce == "mean" and parts else total)
    return out


def fpgm_loops(graph: NeuralGraph) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {}
    for group in graph.structure.groups:
        if group.role != "hidden":
            continue
        filters: dict[tuple[str, int], dict[int, Tensor]] = {}
        for node in range(group.size):
            for name, dim, slices in touching(graph, group.name, node):
                spec = graph.structure.tensor[name]
                if spec.placement == "block" and dim == spec.out_axis:
                    filters.setdefault((name, dim), {})[node] = torch.stack([s.flatten() for s in slices])
        out[group.name] = []
        for node in range(group.size):
            sums = [
                sum(float((mine[node] - other).norm()) for other in mine.values())
                for mine in filters.values()
                if node in mine
            ]
            out[group.name].append(sum(sums) / len(sums))
    return out
