"""Norms: statistics and scales belong to the channels that flow through."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from netgraph.convert.labels import along, varying
from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.convert.rules.elementwise import operands
from netgraph.graph import Operator, Ref


def _tie(p: Propagation, x: Ref, dim: int, tensors: list[Any]) -> None:
    for item in tensors:
        if isinstance(item, Ref):
            _tie_axis(p, x, dim, item, 0)
    shape = p.concrete(x)
    for item in tensors:
        if isinstance(item, Ref) and item.kind == "tensor" and shape[dim] == 1:
            p.single.setdefault((x.name, dim % len(shape)), p.tensor_axis(item.name, 0))


def _tie_axis(p: Propagation, x: Ref, dim: int, item: Ref, axis: int) -> None:
    """Tie channels to an axis of a scale or statistic, which may have been computed (cast, say) from one."""
    if item.kind == "tensor":
        labels: Tensor | None = p.tensor_axis(item.name, axis)
    else:
        labels = p.axis(p.fields(item), axis, p.concrete(item))
    if labels is not None:
        shape = p.concrete(x)
        scale = along(labels, dim, shape)
        if any(dim % len(shape) in varying(f) and p.keeps_whole(f, scale) for f in p.fields(x)):
            return  # the norm of every head has one scale
        p.tie(x, dim, labels)


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
        for i in range(len(shape)) if isinstance(item, Ref) else ():
            _tie_axis(p, x, i - len(shape), item, i)
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


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(p: Propagation, op: Operator) -> Fields | list[Fields]:
    """Direction times length: the lengths belong to the rows (or columns) of the direction."""
    shape = p.concrete(op.results[0])
    fields = p.merge(operands(p, list(op.args[:2]), shape))
    return [fields, []] if op.unpack else fields
