"""Why some nodes stand for many channels: heads, groups of a convolution or norm, pairs."""

from __future__ import annotations

from collections.abc import Iterator

from netgraph.graph.structure import Operator, Ref, Structure


def constraints(structure: Structure) -> dict[str, str]:
    """The product constraints of a structure, in words, by hidden group.

    A group is named if its nodes are whole attention heads, groups of a convolution or groups of a norm, or
    the same places in each of them, so that one node is several channels of one tensor.

    >>> import torch, netgraph
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 1), torch.nn.Conv2d(8, 8, 3, groups=4), torch.nn.Conv2d(8, 2, 1)
    ... )
    >>> constraints(netgraph.to_graph(net, torch.randn(1, 3, 5, 5)).structure)
    {'0': 'convolution groups: a node is 2 channels of 0.weight'}
    """
    found: dict[str, str] = {}
    for op in structure.operators:
        for group, kind in _touched(structure, op):
            place = _widest(structure, group)
            if place is not None and structure.groups[group].role == "hidden":
                found.setdefault(
                    structure.groups[group].name, f"{kind}: a node is {place[0]} channels of {place[1]}"
                )
    return found


def _touched(structure: Structure, op: Operator) -> Iterator[tuple[int, str]]:
    """Groups that an operator makes products of, and what the product is of."""
    if op.kind == "scaled_dot_product_attention":
        queries, keys = op.args[0], op.args[1]
        kind = "attention heads"
        if _repeat(structure, queries, -3) > 1:
            kind = "key-value heads with all their queries"
        for ref in (queries, keys):
            for dim in (-3, -1):
                yield from ((g, kind) for g in _groups(structure, ref, dim))
    elif op.kind in {"softmax", "_softmax"}:
        for dim in range(1, len(structure.value[op.results[0]].shape) - 1):
            yield from ((g, "attention heads") for g in _groups(structure, Ref("value", op.results[0]), dim))
    elif op.kind == "group_norm" and op.args[1] > 1:
        yield from ((g, "norm groups") for g in _groups(structure, op.args[0], 1))
    elif op.kind in {"conv1d", "conv2d", "conv3d"} and len(op.args) > 6 and op.args[6] > 1:
        rank = int(op.kind[4]) + 1
        yield from ((g, "convolution groups") for g in _groups(structure, op.args[0], -rank))


def _groups(structure: Structure, ref: object, dim: int) -> tuple[int, ...]:
    if not isinstance(ref, Ref) or ref.kind != "value":
        return ()
    axes = structure.value[ref.name].axes
    axis = axes[dim] if -len(axes) <= dim < len(axes) else None
    return () if axis is None else tuple(structure.axes[axis].group_ids)


def _repeat(structure: Structure, ref: Ref, dim: int) -> int:
    axes = structure.value[ref.name].axes
    axis = axes[dim] if -len(axes) <= dim < len(axes) else None
    return 1 if axis is None else max((s.repeat for s in structure.axes[axis].segments), default=1)


def _widest(structure: Structure, group: int) -> tuple[int, str] | None:
    """How many channels of one tensor a node is, at most, and which tensor that is."""
    best: tuple[int, str] | None = None
    for spec in structure.tensors:
        if spec.kind != "parameter" or spec.out_axis is None:
            continue
        axis = spec.axes[spec.out_axis]
        if axis is None:
            continue
        held = sum(s.length * s.repeat for s in structure.axes[axis].segments if s.group == group)
        times = held // structure.groups[group].size
        if times > 1 and (best is None or times > best[0]):
            best = times, spec.name
    return best


__all__ = ["constraints"]
