"""What every operator does to the factors of its operands; an operator that is not here lets none through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from netgraph.graph.axis import IntArray
from netgraph.graph.homogeneity_walk import Kind, Rule, Slot, Walk
from netgraph.graph.structure import Operator, Ref, Size, TensorSpec

__all__ = ["RULES"]


def _by_group(walk: Walk, ref: Ref) -> dict[int, Slot]:
    return {s.group: s for s in walk.slots(ref)}


def _passes(walk: Walk, op: Operator, results: list[Ref]) -> None:
    """The results are multiplied like the first operand; places of maxima, beside a result, are not."""
    followers = [r for r in results if not op.unpack or "float" in walk.record(r).dtype]
    held = [_by_group(walk, r) for r in followers]
    for given in walk.slots(op.args[0]):
        for slots in held if all(given.group in h for h in held) else []:
            walk.tie(given, slots[given.group])


def _passes_over(rank: int) -> Rule:
    """As `_passes`, for what mixes neighbours along the last `rank` dimensions."""

    def rule(walk: Walk, op: Operator, results: list[Ref]) -> None:
        if not any(walk.on(r, -d) for r in (op.args[0], *results) for d in range(1, rank + 1)):
            _passes(walk, op, results)

    return rule


def _even(walk: Walk, op: Operator, results: list[Ref]) -> None:
    """The sign of the operand does not show in the result."""
    walk.claimed.update(walk.slots(op.args[0]))


def _clamps(walk: Walk, op: Operator, results: list[Ref]) -> None:
    bounds: list[Any] = [*op.args[1:], *(v for _, v in op.kwargs)]
    if op.kind == "hardtanh":
        bounds = [*bounds, *(-1.0, 1.0)[len(bounds) :]]
    bounds = [*bounds, None, None][:2]
    if any(isinstance(b, (Ref, bool)) for b in bounds):
        return
    if walk.kind == "scale":
        fits = bounds in ([0, None], [None, 0])
    else:
        fits = None not in bounds and bounds[0] == -bounds[1]
    if fits:
        _passes(walk, op, results)


def _aligned(
    walk: Walk, refs: list[Ref], out: Ref, skip: int = 0
) -> Iterator[tuple[Slot, list[Slot | None]]]:
    """Per group along a dimension of a broadcast result (the last `skip` left out): its slot there and in
    every operand, None where an operand is the same for all nodes. Unclear operands leave it out."""
    for dim in range(-len(walk.record(out).axes), -skip):
        axis = walk.axis(out, dim)
        for g, slot in walk.on(out, dim).items():
            found: list[Slot | None] = []
            for ref in refs:
                record = walk.record(ref)
                inside = -len(record.axes) <= dim
                if inside and walk.axis(ref, dim) == axis:
                    found.append(walk.on(ref, dim)[g])
                elif not inside or record.shape[dim] == 1:
                    found.append(None)
            if len(found) == len(refs):
                yield slot, found


def _sums(walk: Walk, op: Operator, results: list[Ref]) -> None:
    operands = list(op.args[:2])
    if all(isinstance(a, Ref) for a in operands) and len(operands) == 2:
        for slot, found in _aligned(walk, operands, results[0]):
            for other in found if None not in found else []:
                assert other is not None
                walk.tie(slot, other)


def _multiplies(walk: Walk, op: Operator, results: list[Ref]) -> None:
    operands = list(op.args[:2])
    if len(op.args) > 2 or op.kwargs or not isinstance(operands[0], Ref):
        return
    if not isinstance(operands[1], Ref):
        _passes(walk, op, results)
        return
    for slot, (a, b) in _aligned(walk, operands, results[0]):
        if op.kind == "mul" or b is None:
            _relate(walk, slot, a, b)
        elif a is not None:
            walk.product(a, slot, b)
        else:
            walk.tie(slot, b, -1)


def _relate(walk: Walk, out: Slot, a: Slot | None, b: Slot | None) -> None:
    if a is not None and b is not None:
        walk.product(out, a, b)
    elif (one := a or b) is not None:
        walk.tie(out, one)


def _weighted(
    walk: Walk, x: Ref, channel: int, weight: Ref, dims: tuple[int, int], bias: Any, out: Ref
) -> None:
    """A sum over products with a weight: `dims` are its dimensions out and in."""
    made, read = walk.on(weight, dims[0]), walk.on(weight, dims[1])
    for g, slot in walk.on(x, channel).items():
        if g in read:
            walk.tie(slot, read[g], -1)
    shift = walk.on(bias, -1) if isinstance(bias, Ref) else made
    for g, slot in walk.on(out, channel).items():
        if g in made and g in shift:
            walk.tie(slot, made[g])
            walk.tie(slot, shift[g])


def _linear(walk: Walk, op: Operator, results: list[Ref]) -> None:
    x, weight, *rest = op.args
    bias = rest[0] if rest else None
    _weighted(walk, x, -1, weight, (0, 1), bias, results[0])
    if bias is None:
        for slot, (given,) in _aligned(walk, [x], results[0], skip=1):
            _relate(walk, slot, given, None)


def _addmm(walk: Walk, op: Operator, results: list[Ref]) -> None:
    _weighted(walk, op.args[1], -1, op.args[2], (1, 0), op.args[0], results[0])


def _conv(walk: Walk, op: Operator, results: list[Ref]) -> None:
    x, weight, *rest = op.args
    bias, out = (rest[0] if rest else None), results[0]
    channel = 1 - len(walk.record(weight).axes)
    record = walk.record(weight)
    groups = op.args[6] if len(op.args) > 6 else dict(op.kwargs).get("groups", 1)
    axis = record.out_axis if isinstance(record, TensorSpec) and record.out_axis == record.in_axis else None
    if groups > 1 and axis is not None:
        rows, given = walk.on(weight, axis), walk.on(x, channel)
        shift = walk.on(bias, 0) if isinstance(bias, Ref) else rows
        for g, slot in walk.on(out, channel).items():
            if g in rows and g in given and g in shift:
                walk.product(slot, given[g], rows[g])
                if isinstance(bias, Ref):
                    walk.tie(slot, shift[g])
        return
    dims = (1, 0) if "transpose" in op.kind else (0, 1)
    _weighted(walk, x, channel, weight, dims, bias, out)


def _matmul(walk: Walk, op: Operator, results: list[Ref]) -> None:
    a, b, out = *op.args[:2], results[0]
    if min(len(walk.record(r).axes) for r in (a, b)) < 2:
        return
    right, rows, columns = walk.on(b, -2), walk.on(out, -2), walk.on(out, -1)
    for g, slot in walk.on(a, -1).items():
        if g in right:
            walk.tie(slot, right[g], -1)
    for here, there in ((walk.on(a, -2), rows), (walk.on(b, -1), columns)):
        for g in here.keys() & there.keys():
            walk.tie(here[g], there[g])
    for slot, (left, other) in _aligned(walk, [a, b], out, skip=2):
        _relate(walk, slot, left, other)


def _attention(walk: Walk, op: Operator, results: list[Ref]) -> None:
    query, key, value = op.args[:3]
    for dim in (d for d in range(-len(walk.record(query).axes), 0) if d != -2):
        q, k, v, out = (walk.on(r, dim) for r in (query, key, value, results[0]))
        for g in q.keys() & k.keys():
            walk.tie(q[g], k[g], -1)
        for g in v.keys() & out.keys():
            walk.tie(v[g], out[g])


def _channel_norm(walk: Walk, op: Operator, results: list[Ref]) -> None:
    """What comes in is made to have mean 0 and variance 1, whatever its factor; scale and shift follow."""
    weight, bias = op.args[1:3]
    if isinstance(weight, Ref) and isinstance(bias, Ref):
        scale, shift = walk.on(weight, 0), walk.on(bias, 0)
        for g, slot in walk.on(results[0], 1).items():
            if g in scale and g in shift:
                walk.tie(slot, scale[g])
                walk.tie(slot, shift[g])


def _embedding(walk: Walk, op: Operator, results: list[Ref]) -> None:
    columns = walk.on(op.args[0], 1)
    for g, slot in walk.on(results[0], -1).items():
        if g in columns:
            walk.tie(slot, columns[g])


def _cat(walk: Walk, op: Operator, results: list[Ref]) -> None:
    dim = op.args[1] if len(op.args) > 1 else dict(op.kwargs).get("dim", 0)
    _joins(walk, list(op.args[0]), results[0], dim)


def _split(walk: Walk, op: Operator, results: list[Ref]) -> None:
    dim = op.args[2] if len(op.args) > 2 else dict(op.kwargs).get("dim", 0)
    _joins(walk, results, op.args[0], dim)


def _joins(walk: Walk, pieces: list[Ref], whole: Ref, dim: int) -> None:
    """Pieces that make up a whole along one dimension. A piece in which all is one node may not show it: then
    places of the pieces and of the whole disagree, and nothing passes."""
    rank = len(walk.record(whole).axes)
    at = dim % rank - rank
    if any(len(walk.record(r).axes) != rank for r in pieces):
        return
    nodes, joined = [_nodes(walk, r, at) for r in pieces], _nodes(walk, whole, at)
    known = [n for n in nodes if n is not None]
    if joined is not None and len(known) == len(nodes):
        if not np.array_equal(np.concatenate(known), joined):
            return
        for g, slot in walk.on(whole, at).items():
            for piece in pieces:
                if g in (here := walk.on(piece, at)):
                    walk.tie(slot, here[g])
    for other in (d for d in range(-rank, 0) if d != at):
        for g, slot in walk.on(whole, other).items():
            if all(walk.axis(r, other) == walk.axis(whole, other) for r in pieces):
                for piece in pieces:
                    walk.tie(slot, walk.on(piece, other)[g])


def _nodes(walk: Walk, ref: Ref, dim: int) -> IntArray | None:
    """Number of the node at every position, -1 where that is no hidden one; None for an open size."""
    axis, size = walk.axis(ref, dim), walk.record(ref).shape[dim]
    if isinstance(size, Size):
        return None
    if axis is None:
        return np.full(size, -1, dtype=np.int64)
    nodes = np.asarray(walk.structure.offsets, dtype=np.int64)[axis.groups] + axis.indices
    return np.where(np.isin(axis.groups, list(walk.hidden)), nodes, -1)


def _stack(walk: Walk, op: Operator, results: list[Ref]) -> None:
    refs, out = list(op.args[0]), _by_group(walk, results[0])
    for g, slot in out.items():
        given = [_by_group(walk, r) for r in refs]
        for held in given if all(g in h for h in given) else []:
            walk.tie(slot, held[g])


def _pad(walk: Walk, op: Operator, results: list[Ref]) -> None:
    """Zeros stay zeros under any factor, so channels that are only padded may have any."""
    rest = [*op.args[2:], *(v for _, v in op.kwargs)]
    copies = any(isinstance(item, str) and item != "constant" for item in rest)
    zeros = all(item in (None, 0, "constant") for item in rest)
    if not zeros and not copies:
        return
    _passes(walk, op, results)
    for i in range(len(op.args[1]) // 2 if zeros else 0):
        axis, ends = walk.axis(results[0], -1 - i), op.args[1][2 * i : 2 * i + 2]
        if axis is not None and all(isinstance(n, int) for n in ends):
            inside = axis.groups[max(ends[0], 0) : axis.size - max(ends[1], 0)]
            slots = walk.on(results[0], -1 - i)
            walk.claimed.update(slot for g, slot in slots.items() if g not in inside)


_LINEAR: Final = (
    "view reshape _unsafe_view permute transpose t numpy_T mT movedim moveaxis swapaxes squeeze unsqueeze "
    "flatten unflatten expand expand_as view_as reshape_as broadcast_to repeat tile repeat_interleave unbind "
    "slice select narrow flip roll pixel_shuffle pixel_unshuffle channel_shuffle clone contiguous detach "
    "alias to _to_copy neg dropout feature_dropout mean sum"
)
"""Node by node, f(c x) = c f(x) for any c."""

_POSITIVE: Final = ["relu", "leaky_relu", "prelu", "_prelu_kernel", "abs", "amax", "amin"]
"""f(c x) = c f(x) for c > 0."""

_ODD: Final = "tanh erf erfinv sin sinh asin asinh tan atan atanh sign sgn hardshrink softshrink"
"""f(-x) = -f(x)."""


def _over_space(rank: int) -> dict[str, Rule]:
    resizing = {1: "linear", 2: "bilinear", 3: "trilinear"}[rank]
    names = ("avg_pool", "adaptive_avg_pool", "upsample_nearest", f"upsample_{resizing}")
    return dict.fromkeys([f"{name}{rank}d" for name in names], _passes_over(rank))


def _maxima(rank: int) -> dict[str, Rule]:
    names = (f"max_pool{rank}d", f"max_pool{rank}d_with_indices", f"adaptive_max_pool{rank}d")
    return dict.fromkeys(names, _passes_over(rank))


_SHARED: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_LINEAR.split(), _passes),
    **{name: rule for rank in (1, 2, 3) for name, rule in _over_space(rank).items()},
    **dict.fromkeys(("hardtanh", "clamp", "clamp_min"), _clamps),
    **dict.fromkeys(("chunk", "split", "split_with_sizes", "unsafe_chunk", "unsafe_split"), _split),
    "tensor_split": _split,
    **dict.fromkeys(("add", "sub"), _sums),
    **dict.fromkeys(("mul", "div"), _multiplies),
    **{f"conv{suffix}{rank}d": _conv for rank in (1, 2, 3) for suffix in ("", "_transpose")},
    **dict.fromkeys(("matmul", "mm", "bmm"), _matmul),
    **dict.fromkeys(("batch_norm", "instance_norm"), _channel_norm),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    "upsample_bicubic2d": _passes_over(2),
    "linear": _linear,
    "addmm": _addmm,
    "scaled_dot_product_attention": _attention,
    "embedding": _embedding,
    "cat": _cat,
    "stack": _stack,
}

RULES: Final[Mapping[Kind, Mapping[str, Rule]]] = MappingProxyType(
    {
        "scale": {
            **_SHARED,
            **dict.fromkeys(_POSITIVE, _passes),
            **{name: rule for rank in (1, 2, 3) for name, rule in _maxima(rank).items()},
            **dict.fromkeys(("maximum", "minimum"), _sums),
        },
        "sign": {**_SHARED, **dict.fromkeys(_ODD.split(), _passes), "abs": _even, "cos": _even},
    }
)
"""Rules by kind of factor and base name of the operator."""
