"""Elementwise operators: operands at the same place belong to the same channel."""

from __future__ import annotations

from netgraph.convert.labels import varying
from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.graph import Operator, Ref


def operands(p: Propagation, refs: list[Ref], shape: tuple[int, ...]) -> list[tuple[Fields, frozenset[int]]]:
    """Fields of several operands, broadcast to one shape, with the dimensions each really has."""
    found = []
    for ref in refs:
        own = p.concrete(ref)
        lead = len(shape) - len(own)
        dims = frozenset(d + lead for d, size in enumerate(own) if size > 1)
        found.append(([f.broadcast_to(shape) for f in p.fields(ref)], dims))
    return found


def tensor_refs(op: Operator) -> list[Ref]:
    """All tensor operands, in order."""
    flat: list[Ref] = []
    stack = [*op.args, *(v for _, v in op.kwargs)]
    while stack:
        item = stack.pop(0)
        if isinstance(item, Ref):
            if item.kind != "training":
                flat.append(item)
        elif type(item) is tuple:
            stack[:0] = item
    return flat


# `add` serves every operator that torch tags as pointwise; named are those it does not tag.
@rule(
    "add",
    "dropout",
    "feature_dropout",
    "alpha_dropout",
    "softmax",
    "log_softmax",
    "_softmax",
    "normalize",
    "copy",
    "fill",
    "masked_fill",
    "zero",
    "clone",
    "contiguous",
    "to",
    "_to_copy",
    "type_as",
    "lift_fresh_copy",
    "lift_fresh",
    "detach",
    "alias",
    "relu6",
    "hardtanh",
    "rrelu",
    "softplus",
    "celu",
    "selu",
    "empty_like",
    "rand_like",
    "randn_like",
    "bernoulli",
    "where",
    "hardswish",
    "hardsigmoid",
    "hardshrink",
    "log_sigmoid",
    "mish",
)
def elementwise(p: Propagation, op: Operator) -> Fields | None:
    refs = tensor_refs(op)
    if not op.results:
        return None
    shape = p.concrete(op.results[0])
    for ref in refs:
        for dim, size in enumerate(p.concrete(ref)):
            key = (ref.name, dim)
            if size == 1 and key in p.single and len(p.concrete(ref)) == len(shape) and shape[dim] == 1:
                p.single.setdefault((op.results[0], dim), p.single[key])
    return p.merge(operands(p, refs, shape))


@rule("prelu", "_prelu_kernel")
def prelu(p: Propagation, op: Operator) -> Fields:
    x, weight = op.args[0], op.args[1]
    if weight.kind == "tensor" and p.concrete(weight)[0] > 1:
        p.consume(x, 1, weight.name, 0)
    return p.fields(x)


@rule("glu")
def glu(p: Propagation, op: Operator) -> Fields:
    dim = op.args[1] if len(op.args) > 1 else -1
    shape = p.concrete(op.results[0])
    if shape[dim] == 1:  # a half of one channel no longer shows along which dimension it is one
        for f in p.fields(op.args[0]):
            if dim % len(shape) in varying(f):
                p.freeze(f)
    halves = [(list(pair), frozenset(range(len(shape)))) for pair in _halves(p.fields(op.args[0]), dim)]
    return p.merge(halves)


def _halves(fields: Fields, dim: int) -> tuple[Fields, Fields]:
    chunks = [f.chunk(2, dim) for f in fields]
    return [c[0] for c in chunks], [c[1] for c in chunks]
