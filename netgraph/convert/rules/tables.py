"""Embedding tables and operators that make tensors out of nothing."""

from __future__ import annotations

from netgraph.convert.labels import along
from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.graph import Operator


@rule("embedding")
def embedding(p: Propagation, op: Operator) -> Fields:
    """Rows of the table are looked up by number (they keep their order); its columns flow on."""
    table, numbers = op.args[0], op.args[1]
    result = p.concrete(op.results[0])
    passing = [f.unsqueeze(-1).expand(result) for f in p.fields(numbers)]
    found = p.tensor_of(table)
    if found is None:
        return passing
    name, (rows, columns) = found
    p.role(name, columns, rows)
    p.freeze(p.tensor_axis(name, rows))
    return p.produce(op.results[0], -1, p.tensor_axis(name, columns)) + passing


@rule("zeros", "ones", "full", "new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")
def constant(p: Propagation, op: Operator) -> Fields:
    """The same number everywhere: its places are free, and whoever meets them ties them to channels."""
    shape = p.concrete(op.results[0])
    sizes = p.program.shapes[op.results[0]]
    return [
        along(p.space.fresh(n), d, shape) for d, n in enumerate(shape) if n > 1 and isinstance(sizes[d], int)
    ]


@rule(
    "arange",
    "empty",
    "new_empty",
    "rand",
    "randn",
    "scalar_tensor",
    "eye",
    "linspace",
    "one_hot",
    "size",
    "sym_size",
    "tril_indices",
    "meshgrid",
)
def nothing(p: Propagation, op: Operator) -> list[Fields] | Fields:
    """Values without channels; tied to channels later they freeze them: their length is written down."""
    empty: list[Fields] = [[] for _ in op.results]
    return empty if op.unpack else []
