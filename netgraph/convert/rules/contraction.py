"""Linear layers and matrix products: a sum over products unites what runs along the summed axis."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

from netgraph.convert.labels import varying
from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.convert.rules.elementwise import operands
from netgraph.graph import Operator, Ref


@rule("linear")
def linear(p: Propagation, op: Operator) -> Fields:
    x, weight = op.args[0], op.args[1]
    bias = op.args[2] if len(op.args) > 2 else None
    found = p.tensor_of(weight)
    if found is None:
        rank = len(p.concrete(x))
        lead = ascii_letters[: rank - 1]
        fields = p.contract(
            [(p.fields(x), lead + "Y", p.concrete(x)), (p.fields(weight), "ZY", p.concrete(weight))],
            lead + "Z",
        )
        return _add_bias(p, op, fields, bias)
    name, (out_axis, in_axis) = found
    p.role(name, out_axis, in_axis)
    p.consume(x, -1, name, in_axis)
    return _dense(p, op, x, name, out_axis, bias)


def _dense(p: Propagation, op: Operator, x: Ref, name: str, out_axis: int, bias: Any) -> Fields:
    labels = p.tensor_axis(name, out_axis)
    if isinstance(bias, Ref) and bias.kind == "tensor":
        p.space.union(p.tensor_axis(bias.name, 0), labels)
        bias = None
    result = p.concrete(op.results[0])
    passing = [f for f in p.fields(x) if f.dim() == len(result)]
    last = len(result) - 1
    kept = [f.narrow(last, 0, 1).expand(result) for f in passing if f.stride(last) == 0 or f.shape[last] == 1]
    fields = p.produce(op.results[0], -1, labels) + kept
    return _add_bias(p, op, fields, bias)


def _add_bias(p: Propagation, op: Operator, fields: Fields, bias: Any) -> Fields:
    if not isinstance(bias, Ref):
        return fields
    result = p.concrete(op.results[0])
    everywhere = frozenset(d for d, n in enumerate(result) if n > 1)
    return p.merge([(fields, everywhere), *operands(p, [bias], result)])


@rule("matmul", "mm", "bmm", "mv", "dot", "vdot", "__matmul__")
def matmul(p: Propagation, op: Operator) -> Fields:
    return product(p, op, op.args[0], op.args[1])


@rule("addmm", "baddbmm", "addmv", "addbmm")
def addmm(p: Propagation, op: Operator) -> Fields:
    return _add_bias(p, op, product(p, op, op.args[1], op.args[2]), op.args[0])


def product(p: Propagation, op: Operator, a: Ref, b: Ref) -> Fields:
    """`a @ b` with torch's broadcasting; a weight on either side becomes a block."""
    shape_a, shape_b = p.concrete(a), p.concrete(b)
    found = p.tensor_of(b)
    if found is not None and len(shape_b) == 2:
        name, (in_axis, out_axis) = found
        p.role(name, out_axis, in_axis)
        p.consume(a, -1, name, in_axis)
        return _dense(p, op, a, name, out_axis, None)
    batch = max(len(shape_a), len(shape_b), 2) - 2
    lead = ascii_letters[:batch]
    names_a = "Y" if len(shape_a) == 1 else lead[batch - (len(shape_a) - 2) :] + "XY"
    names_b = "Y" if len(shape_b) == 1 else lead[batch - (len(shape_b) - 2) :] + "YZ"
    out = lead + ("X" if len(shape_a) > 1 else "") + ("Z" if len(shape_b) > 1 else "")
    found_a = p.tensor_of(a)
    if found_a is not None and len(shape_a) == 2:
        p.role(found_a[0], *found_a[1])
    if found is not None and len(shape_b) == 3:
        p.role(found[0], found[1][2], found[1][1])
    fields = p.contract([(p.fields(a), names_a, shape_a), (p.fields(b), names_b, shape_b)], out)
    return [f.expand(p.concrete(op.results[0])) for f in fields]


@rule("outer", "ger")
def outer(p: Propagation, op: Operator) -> Fields:
    """Every entry of one vector times every entry of another."""
    a, b = op.args[:2]
    return p.contract([(p.fields(a), "X", p.concrete(a)), (p.fields(b), "Y", p.concrete(b))], "XY")


@rule("einsum")
def einsum(p: Propagation, op: Operator) -> Fields | None:
    equation = str(op.args[0]).replace(" ", "")
    refs = list(op.args[1])
    if "..." in equation or "->" not in equation:
        for ref in refs:
            for f in p.fields(ref):
                p.freeze(f)
        return None
    terms, out = equation.split("->")
    for term, ref in zip(terms.split(","), refs, strict=True):
        found = p.tensor_of(ref)
        if found is not None and len(term) >= 2:
            outer = [found[1][i] for i, c in enumerate(term) if c in out]
            inner = [found[1][i] for i, c in enumerate(term) if c not in out]
            if outer and inner:
                p.role(found[0], outer[0], inner[0])
    return p.contract(
        [(p.fields(r), t, p.concrete(r)) for t, r in zip(terms.split(","), refs, strict=True)], out
    )


@rule("_grouped_mm")
def grouped_mm(p: Propagation, op: Operator) -> Fields:
    """Rows of one matrix, sorted by expert, times the expert's own: experts keep their order."""
    x, weight = op.args[0], op.args[1]
    found = p.tensor_of(weight)
    if found is not None:
        name, (experts, in_axis, out_axis) = found
        p.role(name, out_axis, in_axis)
        p.freeze(p.tensor_axis(name, experts))
    fields = [f for f in p.fields(weight) if 0 not in varying(f)]
    shape = p.concrete(weight)
    return p.contract(
        [
            (p.fields(x), "XY", p.concrete(x)),
            ([f.select(0, 0) for f in fields], "YZ", shape[1:]),
        ],
        "XZ",
    )
