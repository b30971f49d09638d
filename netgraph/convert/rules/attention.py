"""Scaled-dot-product attention: two contractions with a softmax between them."""

from __future__ import annotations

from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.graph import Operator

_LEAD = "abcdefg"


@rule("scaled_dot_product_attention")
def attention(p: Propagation, op: Operator) -> Fields:
    query, key, value = op.args[:3]
    shapes = [p.concrete(r) for r in (query, key, value)]
    fields = [p.fields(r) for r in (query, key, value)]
    if dict(op.kwargs).get("enable_gqa"):
        for i in (1, 2):
            times = shapes[0][-3] // shapes[i][-3]
            fields[i] = [f.repeat_interleave(times, -3) for f in fields[i]]
            shapes[i] = (*shapes[i][:-3], shapes[0][-3], *shapes[i][-2:])
    lead = _LEAD[: len(shapes[0]) - 2]
    scores = p.contract(
        [(fields[0], lead + "TD", shapes[0]), (fields[1], lead + "SD", shapes[1])], lead + "TS"
    )
    scores_shape = (*shapes[0][:-1], shapes[1][-2])
    mask = op.args[3] if len(op.args) > 3 else dict(op.kwargs).get("attn_mask")
    if mask is not None:
        own = p.concrete(mask)
        dims = frozenset(d + len(scores_shape) - len(own) for d, n in enumerate(own) if n > 1)
        everywhere = frozenset(range(len(scores_shape)))
        scores = p.merge(
            [(scores, everywhere), ([f.broadcast_to(scores_shape) for f in p.fields(mask)], dims)]
        )
    return p.contract([(scores, lead + "TS", scores_shape), (fields[2], lead + "SV", shapes[2])], lead + "TV")
