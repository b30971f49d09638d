"""What a network costs: multiply-accumulates and parameters, also under a mask that was not applied yet."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from netgraph.graph.branches import chosen
from netgraph.graph.masks import NodeMask
from netgraph.graph.neural_graph import NeuralGraph
from netgraph.graph.removal import Removal, removed
from netgraph.graph.structure import Operator, Ref, Size, Structure, TensorSpec, Value

Shapes = Callable[[Ref], tuple[int, ...]]


class CostModel:
    """Counts MACs and parameters of a structure under node masks, quickly and without touching a tensor.

    One MAC is one multiplication with its addition (half of what counters that report FLOPs print).
    Counted are convolutions, linear layers, matrix products and attention; norms and elementwise work are
    not. A network whose batch size is open is counted for a batch of one.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self._examples = {s.name: s.example for s in structure.symbols}
        self._counted = [op for op in structure.operators if op.kind in MACS]
        self._removals: dict[frozenset[str], Removal] = {}

    def macs(self, mask: NodeMask | None = None) -> int:
        """Multiply-accumulates of one forward pass."""
        sizes = self._axis_sizes(mask)

        def shape(ref: Ref) -> tuple[int, ...]:
            if ref.kind == "tensor":
                return self._tensor_shape(self.structure.tensor[ref.name], sizes)
            return self._value_shape(self.structure.value[ref.name], sizes)

        gone = self._gone(mask)
        left = self._counted if gone is None else [o for o in self._counted if o.name not in gone.operators]
        return sum(MACS[op.kind](op, shape) for op in left)

    def params(self, mask: NodeMask | None = None) -> int:
        """Scalars in parameters (buffers not counted, tied weights once)."""
        sizes = self._axis_sizes(mask)
        gone = self._gone(mask)
        return sum(
            prod(self._tensor_shape(t, sizes))
            for t in self.structure.tensors
            if t.kind == "parameter" and (gone is None or t.name not in gone.tensors)
        )

    def _gone(self, mask: NodeMask | None) -> Removal | None:
        if mask is None or not mask.skip:
            return None
        names = frozenset(mask.skip)
        if names not in self._removals:
            self._removals[names] = removed(self.structure, chosen(self.structure, names))
        return self._removals[names]

    def _axis_sizes(self, mask: NodeMask | None) -> list[int]:
        if mask is None:
            return [a.size for a in self.structure.axes]
        keep = mask.arrays(self.structure)
        totals = [np.concatenate(([0], np.cumsum(k))) for k in keep]
        return [
            sum(
                int(totals[s.group][s.start + s.length] - totals[s.group][s.start]) * s.repeat
                for s in axis.segments
            )
            for axis in self.structure.axes
        ]

    def _tensor_shape(self, spec: TensorSpec, sizes: list[int]) -> tuple[int, ...]:
        return tuple(n if a is None else sizes[a] for n, a in zip(spec.shape, spec.axes, strict=True))

    def _value_shape(self, value: Value, sizes: list[int]) -> tuple[int, ...]:
        return tuple(
            (n.factor if a is None else sizes[a] // self._examples[n.symbol])
            if isinstance(n, Size)
            else n
            if a is None
            else sizes[a]
            for n, a in zip(value.shape, value.axes, strict=True)
        )


def macs(graph: NeuralGraph, mask: NodeMask | None = None) -> int:
    """Multiply-accumulates of one forward pass (batch one where the batch is open); see `CostModel`."""
    return CostModel(graph.structure).macs(mask)


def params(graph: NeuralGraph, mask: NodeMask | None = None) -> int:
    """Scalars in the parameters of a graph, under a mask if one is given."""
    return CostModel(graph.structure).params(mask)


def _conv(op: Operator, shape: Shapes) -> int:
    weight = shape(op.args[1])
    out = shape(Ref("value", op.results[0]))
    spatial = prod(out[-(len(weight) - 2) :])
    return prod(out) // max(out[-(len(weight) - 1)] * spatial, 1) * spatial * prod(weight)


def _conv_transpose(op: Operator, shape: Shapes) -> int:
    weight, given = shape(op.args[1]), shape(op.args[0])
    return prod(given) * prod(weight[1:])


def _linear(op: Operator, shape: Shapes) -> int:
    return prod(shape(op.args[0])) * shape(op.args[1])[0]


def _matmul(op: Operator, shape: Shapes) -> int:
    left = op.args[1] if op.kind in {"addmm", "baddbmm"} else op.args[0]
    return prod(shape(Ref("value", op.results[0]))) * shape(left)[-1]


def _attention(op: Operator, shape: Shapes) -> int:
    query, key, value = (shape(a) for a in op.args[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _einsum(op: Operator, shape: Shapes) -> int:
    letters: dict[str, int] = {}
    terms = str(op.args[0]).replace(" ", "").split("->")[0].split(",")
    for term, operand in zip(terms, op.args[1], strict=True):
        letters.update(zip(term, shape(operand), strict=False))
    return prod(letters.values()) if len(terms) > 1 else 0


MACS: dict[str, Callable[[Operator, Shapes], int]] = {
    "conv1d": _conv,
    "conv2d": _conv,
    "conv3d": _conv,
    "conv_transpose1d": _conv_transpose,
    "conv_transpose2d": _conv_transpose,
    "conv_transpose3d": _conv_transpose,
    "linear": _linear,
    "matmul": _matmul,
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": _matmul,
    "baddbmm": _matmul,
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
}
"""Multiply-accumulates of an operator, by its kind; of its sizes for one sample."""

__all__ = ["MACS", "CostModel", "macs", "params"]
