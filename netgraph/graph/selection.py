"""The one pure function that shrinks a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from netgraph.graph.axis import Axis, BoolArray
from netgraph.graph.branches import chosen
from netgraph.graph.masks import NodeMask, kept_positions
from netgraph.graph.neural_graph import NeuralGraph
from netgraph.graph.removal import leave_out
from netgraph.graph.rewrite import Cut, rewrite
from netgraph.graph.structure import Size, Structure, Symbol, TensorSpec, Value
from netgraph.graph.take import take


def select(graph: NeuralGraph, mask: NodeMask) -> NeuralGraph:
    """Keep the nodes that a mask keeps: smaller groups, sliced tensors, and a program with the new sizes.

    Branches that the mask leaves out are gone with their operators, tensors and groups; what they were added
    to takes the place of the sum. Tensors that lose nothing are shared with `graph`, the others are new.

    Args:
        graph: any graph.
        mask: which nodes of its hidden groups to keep, and which branches to leave out.

    Raises:
        GraphError: the mask does not fit, or an operator cannot run with what is kept.

    >>> import torch, netgraph
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> graph = netgraph.to_graph(net, torch.randn(4, 2))
    >>> small = netgraph.select(graph, netgraph.NodeMask({"0": torch.tensor([True, False, True])}))
    >>> small.state["2.weight"].shape
    torch.Size([1, 2])
    """
    mask.validate(graph.structure)
    rest, mask = _without_branches(graph.structure, mask)
    whole = NeuralGraph(rest, {t.name: graph.state[t.name] for t in rest.tensors})
    return NeuralGraph(select_structure(rest, mask), take(whole, kept_positions(rest, mask)))


def select_structure(structure: Structure, mask: NodeMask) -> Structure:
    """The structure half of `select`."""
    structure, mask = _without_branches(structure, mask)
    keep = mask.arrays(structure)
    positions = kept_positions(structure, mask)
    axes = tuple(
        axis if kept is None else _shrink(axis, keep)
        for axis, kept in zip(structure.axes, positions, strict=True)
    )
    examples = {s.name: s for s in structure.symbols}
    cut = Cut(
        structure=structure,
        positions=positions,
        values={v.name: _value(v, axes, examples) for v in structure.values},
        tensors={t.name: _tensor(t, axes) for t in structure.tensors},
    )
    return replace(
        structure,
        groups=tuple(replace(g, size=int(k.sum())) for g, k in zip(structure.groups, keep, strict=True)),
        axes=axes,
        tensors=tuple(cut.tensors.values()),
        values=tuple(cut.values.values()),
        operators=tuple(rewrite(op, cut) for op in structure.operators),
    )


def _without_branches(structure: Structure, mask: NodeMask) -> tuple[Structure, NodeMask]:
    rest = leave_out(structure, chosen(structure, mask.skip))
    return rest, NodeMask({n: k for n, k in mask.keep.items() if n in rest.group_index})


def _shrink(axis: Axis, keep: list[BoolArray]) -> Axis:
    groups, indices = axis.groups, axis.indices
    renumber = [np.cumsum(k) - 1 for k in keep]
    kept = np.zeros(axis.size, dtype=np.bool_)
    fresh = indices.copy()
    for group in axis.group_ids:
        here = groups == group
        kept[here] = keep[group][indices[here]]
        fresh[here] = renumber[group][indices[here]]
    return Axis.from_nodes(groups[kept], fresh[kept])


def _tensor(spec: TensorSpec, axes: tuple[Axis, ...]) -> TensorSpec:
    shape = tuple(
        size if axis is None else axes[axis].size for size, axis in zip(spec.shape, spec.axes, strict=True)
    )
    return spec if shape == spec.shape else replace(spec, shape=shape)


def _value(value: Value, axes: tuple[Axis, ...], examples: dict[str, Symbol]) -> Value:
    shape = tuple(
        size
        if axis is None
        else size._replace(factor=axes[axis].size // examples[size.symbol].example)
        if isinstance(size, Size)
        else axes[axis].size
        for size, axis in zip(value.shape, value.axes, strict=True)
    )
    return value if shape == value.shape else replace(value, shape=shape)
