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
        return _computed(p, op, groups, out_axis, in_axis)
    name = found[0]
    shape = p.tensor_shapes[name]
    channel = -(len(shape) - 2) - 1
    p.tap(name, range(2, len(shape)))
    if groups == 1:
        p.role(name, out_axis, in_axis)
        p.consume(x, channel, name, in_axis)
        labels = p.tensor_axis(name, out_axis)
    else:
        column = p.tensor_axis(name, 1) if p.product == "inner" and shape[1] > 1 else None
        labels = _grouped(p, op, name, p.tensor_axis(name, 0), column, groups, transposed=out_axis == 1)
    bias = op.args[2] if len(op.args) > 2 else None
    if isinstance(bias, Ref) and bias.kind == "tensor":
        p.space.union(p.tensor_axis(bias.name, 0), labels)
    return p.produce(op.results[0], channel, labels) + _passing(p, op, x, shape[2:])


def _grouped(
    p: Propagation,
    op: Operator,
    name: str | None,
    full: Tensor,
    column: Tensor | None,
    groups: int,
    transposed: bool,
) -> Tensor:
    """Labels of the result. The weight's first axis (`full`) runs over all channels of one side, its second
    (`column`) over the channels inside a group of the other."""
    x = op.args[0]
    channel = len(p.concrete(x)) - len(p.concrete(op.args[1])) + 1
    inside = p.concrete(op.args[1])[1]
    flowing = p.axis(p.fields(x), channel, p.concrete(x))
    if flowing is None:
        flowing = p.space.fresh(p.concrete(x)[channel])
        p.freeze(flowing)
    incoming = flowing.view(groups, -1)
    rows = full.view(groups, -1)
    if p.product == "outer" or inside == 1 or column is None:
        anchor = incoming[:, :1]
        p.space.union(incoming, anchor)
        p.space.union(rows, anchor)
        if name is not None:
            p.role(name, 0, 0)
            p.tap(name, [1])
        return anchor.expand(groups, inside if transposed else rows.shape[1]).reshape(-1)
    p.space.union(incoming, incoming[:1])
    p.space.union(rows, rows[:1])
    if transposed:
        p.space.union(full, flowing)
        if name is not None:
            p.role(name, 1, 0)
        return column.repeat(groups)
    p.space.union(incoming[0], column)
    if name is not None:
        p.role(name, 0, 1)
    return full


def _passing(p: Propagation, op: Operator, x: Ref, kernel: tuple[int, ...]) -> Fields:
    """What runs along the batch passes, and so does what runs over a dimension of space where the kernel has
    one tap and leaves the size. What else runs over space is mixed with its neighbours: its order counts."""
    before, result = p.concrete(x), p.concrete(op.results[0])
    rank = len(kernel) + 1
    untouched = {
        d
        for d in range(len(result))
        if d < len(result) - rank
        or (d > len(result) - rank and kernel[d - len(result)] == 1 and before[d] == result[d])
    }
    out: Fields = []
    for f in p.fields(x):
        running = varying(f)
        if len(result) - rank in running:
            continue
        if running <= untouched:
            for d in set(range(len(result))) - running:
                f = f.narrow(d, 0, 1)
            out.append(f.expand(result))
        else:
            p.freeze(f)
    return out


def _computed(p: Propagation, op: Operator, groups: int, out_axis: int, in_axis: int) -> Fields:
    """A weight that is computed first (standardised, reparametrised) keeps the axes of its parameter."""
    x, weight = op.args[0], op.args[1]
    shape = p.concrete(weight)
    channel = -(len(shape) - 2) - 1
    fields = p.fields(weight)
    for dim in range(2, len(shape)):
        taps = p.axis(fields, dim, shape)
        if taps is not None:
            p.freeze(taps)
    out, inside = p.axis(fields, out_axis, shape), p.axis(fields, in_axis, shape)
    name = p.behind(weight)
    if name is not None:
        p.role(name, out_axis, in_axis)
    first, second = (out, inside) if out_axis == 0 else (inside, out)
    if first is None or (groups == 1 and second is None and shape[1] > 1):
        for f in [*p.fields(x), *fields]:
            p.freeze(f)
        return []
    if groups > 1:
        if second is not None and p.product == "outer":
            p.freeze(second)  # the places inside a group stay, if groups are whole
        out = _grouped(p, op, None, first, second, groups, transposed=out_axis == 1)
    elif inside is not None:
        p.tie(x, channel, inside)
    assert out is not None
    bias = op.args[2] if len(op.args) > 2 else None
    if isinstance(bias, Ref):
        own = p.axis(p.fields(bias), 0, p.concrete(bias))
        p.freeze(out) if own is None else p.space.union(own, out)
    return p.produce(op.results[0], channel, out) + _passing(p, op, x, shape[2:])
