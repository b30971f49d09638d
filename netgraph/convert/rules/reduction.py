"""Reductions drop what runs along the reduced dimensions; pooling and resizing drop what runs over space."""

from __future__ import annotations

from netgraph.convert.labels import varying
from netgraph.convert.propagate import Fields, Propagation, Rule, rule
from netgraph.convert.rules.elementwise import elementwise, tensor_refs
from netgraph.graph import Operator


@rule(
    "mean",
    "sum",
    "amax",
    "amin",
    "max",
    "min",
    "var",
    "std",
    "prod",
    "norm",
    "linalg_vector_norm",
    "logsumexp",
    "any",
    "all",
    "argmax",
    "argmin",
    "var_mean",
    "std_mean",
    "nansum",
    "median",
)
def reduce(p: Propagation, op: Operator) -> Fields | list[Fields] | None:
    source = op.args[0]
    if len(tensor_refs(op)) > 1:  # max(a, b)
        return elementwise(p, op)
    shape = p.concrete(source)
    result = p.concrete(op.results[0])
    dims = _dims(p, op, len(shape))
    if op.kind in {"argmax", "argmin", "median"}:
        for f in p.fields(source):
            if varying(f) & dims:
                p.freeze(f)
    keep = len(result) == len(shape)
    out: Fields = []
    for f in p.fields(source):
        for d in varying(f) & dims:
            if varying(f) - dims:
                p.space.union(f, f.narrow(d, 0, 1))
        for d in sorted(dims, reverse=True):
            f = f.narrow(d, 0, 1) if keep else f.select(d, 0)
        out.append(f)
    return [list(out) for _ in op.results] if op.unpack else out


def _dims(p: Propagation, op: Operator, rank: int) -> set[int]:
    position = 2 if op.kind in {"norm", "linalg_vector_norm"} else 1
    given = op.args[position] if len(op.args) > position else dict(op.kwargs).get("dim")
    if given is None or isinstance(given, bool):
        return set(range(rank))
    listed = p.number(given) if isinstance(given, tuple) else [given]
    return {d % rank for d in listed} if listed else set(range(rank))


@rule("cumsum", "cumprod", "logcumsumexp")
def cumulate(p: Propagation, op: Operator) -> Fields:
    """Sums of what came before: along that dimension the order counts."""
    dim = op.args[1] % len(p.concrete(op.args[0]))
    for f in p.fields(op.args[0]):
        if dim in varying(f):
            p.freeze(f)
    return p.fields(op.args[0])


def _spatial(count: int) -> Rule:
    def over_space(p: Propagation, op: Operator) -> Fields | list[Fields]:
        result = p.concrete(op.results[0])
        out: Fields = []
        for f in p.fields(op.args[0]):
            space = set(range(f.dim() - count, f.dim()))
            if varying(f) <= space:  # neighbours are mixed, so their order counts
                p.freeze(f)
                continue
            for d in sorted(space):
                if d in varying(f):
                    p.space.union(f, f.narrow(d, 0, 1))
                f = f.narrow(d, 0, 1)
            out.append(f.expand(result))
        for (name, dim), labels in list(p.single.items()):
            if name == getattr(op.args[0], "name", None) and dim < len(result) - count:
                p.single[op.results[0], dim] = labels
        return [list(out) for _ in op.results] if op.unpack else out

    return over_space


for _count in (1, 2, 3):
    rule(
        f"max_pool{_count}d",
        f"avg_pool{_count}d",
        f"adaptive_avg_pool{_count}d",
        f"adaptive_max_pool{_count}d",
        f"max_pool{_count}d_with_indices",
        f"lp_pool{_count}d",
    )(_spatial(_count))
rule("upsample_nearest1d", "upsample_linear1d")(_spatial(1))
rule(
    "upsample_nearest2d",
    "upsample_bilinear2d",
    "upsample_bicubic2d",
    "grid_sampler",
    "_upsample_bilinear2d_aa",
    "_upsample_nearest_exact2d",
    "replication_pad_2d",
)(_spatial(2))
rule("upsample_nearest3d", "upsample_trilinear3d")(_spatial(3))
