"""Operators that pick or write by numbers: what they pick from keeps its order, the rest passes."""

from __future__ import annotations

from netgraph.convert.labels import compact, varying
from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.graph import Operator, Ref


def _gather(p: Propagation, op: Operator, shape: tuple[int, ...], result: tuple[int, ...]) -> Fields:
    """Source and numbers go together along every dimension but the one that is picked from."""
    dim = op.args[1] % len(shape)
    kept: Fields = []
    for f in p.fields(op.args[0]):
        if dim in varying(f):
            p.freeze(f)
        elif all(shape[d] == result[d] for d in varying(f)):
            kept.append(f.narrow(dim, 0, 1).expand(result))
        else:
            p.freeze(f)
    everywhere = frozenset(d for d, n in enumerate(result) if n > 1)
    numbers = p.fields(op.args[2])
    return p.merge([(kept, everywhere - {dim}), (numbers, everywhere)])


@rule("topk", "sort", "argsort", "msort", "kthvalue", "mode")
def order(p: Propagation, op: Operator) -> list[Fields] | Fields:
    """Picking by rank: what is ranked keeps its order, for its places become numbers; the rest passes."""
    shape = p.concrete(op.args[0])
    position = 2 if op.kind in {"topk", "kthvalue"} else 1
    given = op.args[position] if len(op.args) > position else dict(op.kwargs).get("dim", -1)
    dim = given % len(shape)
    passing: Fields = []
    for f in p.fields(op.args[0]):
        if dim in varying(f):
            p.freeze(f)
        else:
            passing.append(f)
    results = []
    for name in op.results:
        result = p.concrete(name)
        same = len(result) == len(shape)
        results.append([f.narrow(dim, 0, 1).expand(result) if same else f.select(dim, 0) for f in passing])
    return results if op.unpack else results[0]


@rule("index_select", "gather", "index", "take_along_dim", "masked_select")
def pick(p: Propagation, op: Operator) -> Fields:
    """Picking by numbers that are data: what runs along the picked dimension is frozen, the rest passes."""
    shape = p.concrete(op.args[0])
    result = p.concrete(op.results[0])
    if op.kind in {"gather", "take_along_dim"}:
        return _gather(p, op, shape, result)
    if op.kind == "index":
        wanted = op.args[1]
        touched = {d for d, item in enumerate(wanted) if item is not None}
        adjacent = sorted(touched) == list(range(min(touched), max(touched) + 1))
        if not adjacent:
            touched = set(range(len(shape)))
        width = len(result) - (len(shape) - len(touched))
        first = min(touched)
        place = {
            d: d if d < first else d - len(touched) + width for d in range(len(shape)) if d not in touched
        }
    else:
        touched = {op.args[1] % len(shape)}
        place = {d: d for d in range(len(shape)) if d not in touched}
    out: Fields = []
    for f in p.fields(op.args[0]):
        if varying(f) & touched:
            p.freeze(f)
        else:
            dims = sorted(varying(f))
            small = compact(f).reshape([shape[d] for d in dims])
            view = [1] * len(result)
            for d in dims:
                view[place[d]] = shape[d]
            out.append(small.reshape(view).expand(result))
    return out


@rule("scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy", "index_reduce", "index_fill")
def scatter(p: Propagation, op: Operator) -> Fields:
    """Rows are put where numbers say: what runs along that dimension is frozen, the rest goes together."""
    target, dim, _, source = op.args[:4]
    result = p.concrete(op.results[0])
    dim %= max(len(result), 1)
    parts = []
    for ref in [r for r in (target, source) if isinstance(r, Ref)]:
        shape = p.concrete(ref)
        kept: Fields = []
        for f in p.fields(ref):
            if dim in varying(f) or any(shape[d] != result[d] for d in varying(f)):
                p.freeze(f)
            else:
                kept.append(f.narrow(dim, 0, 1).expand(result))
        parts.append((kept, frozenset(d for d, n in enumerate(shape) if n > 1 and d != dim)))
    return p.merge(parts)


@rule("index_put", "_index_put_impl", "masked_scatter")
def put(p: Propagation, op: Operator) -> Fields:
    """Like `scatter`, for numbers along the first dimensions."""
    target, places = op.args[0], op.args[1]
    result = p.concrete(op.results[0])
    leading = isinstance(places, tuple) and not isinstance(places, Ref) and all(i is not None for i in places)
    lead = len(places) if leading else len(result)
    out: Fields = []
    for f in p.fields(target):
        if min(varying(f)) < lead:
            p.freeze(f)
        else:
            out.append(f)
    everywhere = frozenset(d for d, n in enumerate(result) if n > 1 and d >= lead)
    parts = [(out, everywhere)]
    for ref in [r for r in op.args[2:] if isinstance(r, Ref)]:
        own = p.concrete(ref)
        width = len(result) - lead
        tail: Fields = []
        for f in p.fields(ref):
            behind = all(
                d >= len(own) - width and own[d] == result[d + len(result) - len(own)] for d in varying(f)
            )
            if behind:
                small = compact(f).reshape(
                    [f.shape[d] if d in varying(f) else 1 for d in range(len(own))][-width:]
                )
                tail.append(small.expand(result))
            else:
                p.freeze(f)
        dims = frozenset(
            d + len(result) - len(own) for d, n in enumerate(own) if n > 1 and d >= len(own) - width
        )
        parts.append((tail, dims))
    return p.merge(parts)
