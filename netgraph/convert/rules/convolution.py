"""Convolutions: a linear layer over channels; a grouped one ties inputs and outputs group by group."""

from __future__ import annotations

from torch import Tensor

from netgraph.convert.labels import varying
from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.graph import Operator, Ref


@rule("conv1d", "conv2d", "conv3d")
def conv(p: Propagation, op: Operator) -> Fields:
    groups = op.args[6] if len(op.args) > 6 else dict(op.kwargs).get("groups", 1)
    return _convolve(p, op, groups, out_axis=0, in_axis=1)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(p: Propagation, op: Operator) -> Fields:
    groups = op.args[6] if len(op.args) > 6 else dict(op.kwargs).get("groups", 1)
    return _convolve(p, op, groups, out_axis=1, in_axis=0)


def _convolve(p: Propagation, op: Operator, groups: int, out_axis: int, in_axis: int) -> Fields:
    x, weight = op.args[0], op.args[1]
    found = p.tensor_of(weight)
    if found is None:
        return _from_activation(p, op)
    name = found[0]
    shape = p.tensor_shapes[name]
    channel = -(len(shape) - 2) - 1
    p.tap(name, range(2, len(shape)))
    if groups == 1:
        p.role(name, out_axis, in_axis)
        p.consume(x, channel, name, in_axis)
        labels = p.tensor_axis(name, out_axis)
    else:
        labels = _grouped(p, op, name, channel, groups, transposed=out_axis == 1)
    bias = op.args[2] if len(op.args) > 2 else None
    if isinstance(bias, Ref) and bias.kind == "tensor":
        p.space.union(p.tensor_axis(bias.name, 0), labels)
    return p.produce(op.results[0], channel, labels) + _passing(p, op, x, len(shape) - 1)


def _grouped(p: Propagation, op: Operator, name: str, channel: int, groups: int, transposed: bool) -> Tensor:
    """Labels of the result. The weight's first axis runs over all channels of one side, its second over the
    channels inside a group of the other."""
    shape = p.tensor_shapes[name]
    x = op.args[0]
    flowing = p.axis(p.fields(x), channel, p.concrete(x))
    if flowing is None:
        flowing = p.space.fresh(p.concrete(x)[channel])
        p.freeze(flowing)
    full, inside = p.tensor_axis(name, 0), shape[1]
    incoming = flowing.view(groups, -1)
    if p.product == "outer" or inside == 1:
        rows = full.view(groups, -1)
        anchor = incoming[:, :1]
        p.space.union(incoming, anchor)
        p.space.union(rows, anchor)
        p.role(name, 0, 0)
        p.tap(name, [1])
        return anchor.expand(groups, shape[1] if transposed else rows.shape[1]).reshape(-1)
    p.space.union(incoming, incoming[:1])
    column = p.tensor_axis(name, 1)
    rows = full.view(groups, -1)
    p.space.union(rows, rows[:1])
    if transposed:
        p.space.union(full, flowing)
        p.role(name, 1, 0)
        return column.repeat(groups)
    p.space.union(incoming[0], column)
    p.role(name, 0, 1)
    return full


def _passing(p: Propagation, op: Operator, x: Ref, rank: int) -> Fields:
    """What runs along the batch passes; what runs over space is consumed."""
    result = p.concrete(op.results[0])
    out: Fields = []
    for f in p.fields(x):
        inner = set(range(f.dim() - rank, f.dim()))
        if varying(f) and not varying(f) & inner:
            for d in inner:
                f = f.narrow(d, 0, 1)
            out.append(f.expand(result))
    return out


def _from_activation(p: Propagation, op: Operator) -> Fields:
    """A weight that is computed (parametrised, standardised): treated as unknown here."""
    for ref in op.args[:2]:
        for f in p.fields(ref):
            p.freeze(f)
    return []
