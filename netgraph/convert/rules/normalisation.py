"""Norms: statistics and scales belong to the channels that flow through."""

from __future__ import annotations

from typing import Any

from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.graph import Operator, Ref


def _tie(p: Propagation, x: Ref, dim: int, tensors: list[Any]) -> None:
    for item in tensors:
        if isinstance(item, Ref) and item.kind == "tensor":
            p.consume(x, dim, item.name, 0)
        elif isinstance(item, Ref) and item.kind == "value":
            labels = p.axis(p.fields(item), 0, p.concrete(item))
            if labels is not None:
                p.tie(x, dim, labels)
    shape = p.concrete(x)
    for item in tensors:
        if isinstance(item, Ref) and item.kind == "tensor" and shape[dim] == 1:
            p.single.setdefault((x.name, dim % len(shape)), p.tensor_axis(item.name, 0))


def _same_single(p: Propagation, op: Operator) -> None:
    for (name, dim), labels in list(p.single.items()):
        if name == op.args[0].name:
            p.single.setdefault((op.results[0], dim), labels)


@rule("batch_norm", "instance_norm")
def batch_norm(p: Propagation, op: Operator) -> Fields:
    _tie(p, op.args[0], 1, list(op.args[1:5]))
    _same_single(p, op)
    return p.fields(op.args[0])


@rule("layer_norm", "rms_norm")
def layer_norm(p: Propagation, op: Operator) -> Fields:
    x, shape = op.args[0], op.args[1]
    for item in op.args[2:4]:
        if isinstance(item, Ref) and item.kind == "tensor":
            for i in range(len(shape)):
                p.consume(x, i - len(shape), item.name, i)
    return p.fields(x)


@rule("group_norm")
def group_norm(p: Propagation, op: Operator) -> Fields:
    """Channels that share statistics stay together: groups are whole, or keep the same places of each."""
    x, groups = op.args[0], op.args[1]
    labels = p.axis(p.fields(x), 1, p.concrete(x))
    if labels is not None and groups > 1:
        table = labels.view(groups, -1)
        p.space.union(table, table[:, :1] if p.product == "outer" else table[:1])
    _tie(p, x, 1, list(op.args[2:4]))
    _same_single(p, op)
    return p.fields(x)
