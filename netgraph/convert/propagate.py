"""Carry labels through a program: the walk, and the four moves that every rule is made of.

A value has a list of *fields*: label tensors of its own shape, each changing along the dimensions it names.
An activation of a convolution has one field (its channels); a weight has one per axis; a score matrix of
attention has one along its heads. Rules combine four moves: `merge` (elementwise), `axis` (what runs along a
dimension), `contract` (sums over products) and running a data-moving operator on the labels themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from netgraph.convert.importer import Trace
from netgraph.convert.labels import FIXED, INPUT, WOVEN, along, varying
from netgraph.convert.moves import Fields, Moves, Product
from netgraph.errors import ConversionError
from netgraph.graph import Operator, Ref, Size

Rule = Callable[["Propagation", Operator], "Fields | list[Fields] | None"]
RULES: dict[str, Rule] = {}


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """Register a label rule for operators by base name (`conv2d`, `add`).

    A rule gets the propagation and the operator, and returns the fields of the result (a list of fields per
    result where the operator returns a list).

    Raises:
        ConversionError: a name is taken.
    """

    def register(function: Rule) -> Rule:
        for kind in kinds:
            if kind in RULES:
                raise ConversionError(f"rule: {kind!r} has a rule already; remove it from RULES first")
            RULES[kind] = function
        return function

    return register


class Propagation(Moves):
    """One walk over one program.

    Args:
        program: the traced program.
        shapes: shape of every tensor of the state.
        product: what remains whole where channels form a table (heads x head dimensions, convolution groups):
            `outer` keeps whole rows (heads, groups), `inner` the same columns of every row.
        ordered: names of tensors whose entries are no weights (index tables): their axes are fixed.
    """

    def __init__(
        self,
        program: Trace,
        shapes: Mapping[str, tuple[int, ...]],
        product: Product,
        ordered: Container[str] = (),
    ) -> None:
        super().__init__(product)
        self.program = program
        self.ordered = ordered
        self.tensor_shapes = shapes
        self.tensor_fields: dict[str, list[Tensor | None]] = {}
        self.values: dict[str, Fields] = {}
        self.roles: dict[str, tuple[int, int]] = {}
        self.taps: dict[str, set[int]] = {}
        self.views: dict[str, tuple[str, tuple[int, ...]]] = {}
        self.computed: dict[str, str] = {}
        self.single: dict[tuple[str, int], Tensor] = {}
        self.unknown: dict[str, None] = {}
        self.pieces: list[tuple[Tensor, Tensor]] = []

    def run(self) -> None:
        """Label every value and tensor of the program."""
        for name in self.program.inputs:
            shape = self.concrete(name)
            fields = [
                along(self.space.fresh(size, INPUT), dim, shape)
                for dim, size in enumerate(shape)
                if dim > 0 and size > 1
            ]
            self.values[name] = fields
        for op in self.program.operators:
            self._step(op)
        self._products()

    def _step(self, op: Operator) -> None:
        found = RULES.get(op.kind) or RULES.get(op.kind.removesuffix("_"))  # in place or not is all the same
        if found is None and _is_pointwise(op.target):
            found = RULES["add"]
        if found is None:
            found = _unknown
        result = found(self, op)
        per_result: list[Fields]
        if result is None:
            per_result = [[] for _ in op.results]
        elif op.unpack:
            per_result = result  # type: ignore[assignment]
        else:
            per_result = [result] if op.results else []  # type: ignore[list-item]
        for name, fields in zip(op.results, per_result, strict=True):
            normal = [self.space.normal(f.expand(self.concrete(name))) for f in fields]
            self.values[name] = [f for f in normal if varying(f)]
        self._follow(op)

    def _follow(self, op: Operator) -> None:
        """Remember which values are a state tensor in another guise (standardised, scaled, reshaped)."""
        first = op.args[0] if op.args else None
        if not isinstance(first, Ref) or op.unpack or not op.results:
            return
        name = first.name if first.kind == "tensor" else self.computed.get(first.name)
        if name is not None and prod(self.tensor_shapes[name]) == prod(self.concrete(op.results[0])):
            self.computed[op.results[0]] = name

    def places(self) -> list[Tensor]:
        """For every piece of a vector, the channels whose first place in the vector lies in the piece, then
        those whose second does, and so on: only channels with like places may change places."""
        found = []
        for whole, picked in self.pieces:
            roots = self.space.roots(whole.numpy())
            order = np.argsort(roots, kind="stable")
            ranked = roots[order]
            first = np.searchsorted(ranked, ranked)
            nth = np.empty_like(order)
            nth[order] = np.arange(len(order)) - first
            if nth.any():
                for n in np.unique(nth[picked.numpy()]):
                    here = picked.numpy()[nth[picked.numpy()] == n]
                    found.append(torch.from_numpy(roots[here]))
        return found

    def _products(self) -> None:
        """Where labels still form a table on a value, what is kept must be a product: unite along its
        shorter side (whole rows of few, rather than few whole columns), until nothing changes."""
        again = True
        while again:
            again = False
            for fields in self.values.values():
                for i, stale in enumerate(fields):
                    fields[i] = f = self.space.normal(stale)
                    dims = sorted(varying(f), key=lambda d: f.shape[d])
                    if len(dims) > 1 and not self.space.marks(f).all():
                        self.space.union(f, f.narrow(dims[0], 0, 1))
                        again = True

    # What a rule may ask.

    def concrete(self, ref: Ref | str) -> tuple[int, ...]:
        """Shape of a value or tensor at the example inputs."""
        if isinstance(ref, Ref) and ref.kind == "tensor":
            return self.tensor_shapes[ref.name]
        return self.program.concrete(self.program.shapes[ref.name if isinstance(ref, Ref) else ref])

    def number(self, item: Any) -> Any:
        """An argument with open sizes replaced by their examples."""
        if isinstance(item, Size):
            return self.program.concrete((item,))[0]
        if isinstance(item, tuple) and not isinstance(item, Ref):
            return [self.number(i) for i in item]
        return item

    def tensor_axis(self, name: str, dim: int) -> Tensor:
        """Labels of one axis of a state tensor; made at its first use."""
        shape = self.tensor_shapes[name]
        fields = self.tensor_fields.setdefault(name, [None] * len(shape))
        labels = fields[dim]
        if labels is None:
            labels = fields[dim] = self.space.fresh(shape[dim], FIXED if name in self.ordered else 0)
        return labels

    def fields(self, ref: Any) -> Fields:
        """Current fields of a value, or of a state tensor (one per axis longer than one)."""
        if not isinstance(ref, Ref) or ref.kind == "training":
            return []
        if ref.kind == "tensor":
            shape = self.tensor_shapes[ref.name]
            return [along(self.tensor_axis(ref.name, d), d, shape) for d, n in enumerate(shape) if n > 1]
        return [self.space.normal(f) for f in self.values.get(ref.name, [])]

    def tensor_of(self, ref: Any) -> tuple[str, tuple[int, ...]] | None:
        """The state tensor behind an operand, if it is one or a permutation of one, and its dimensions."""
        if isinstance(ref, Ref) and ref.kind == "tensor":
            return ref.name, tuple(range(len(self.tensor_shapes[ref.name])))
        return self.views.get(ref.name) if isinstance(ref, Ref) else None

    def behind(self, ref: Any) -> str | None:
        """The state tensor that a computed weight of the same shape was made from."""
        name = self.computed.get(ref.name) if isinstance(ref, Ref) and ref.kind == "value" else None
        return name if name is not None and self.tensor_shapes[name] == self.concrete(ref) else None

    # What a rule may say.

    def consume(self, ref: Ref, dim: int, weight: str, axis: int) -> None:
        """Tie what flows along a value's dimension to an axis of a weight."""
        self.tie(ref, dim, self.tensor_axis(weight, axis))

    def tie(self, ref: Ref, dim: int, labels: Tensor) -> None:
        """Tie what flows along a value's dimension to labels."""
        shape = self.concrete(ref)
        dim %= len(shape)
        flowing = self.axis(self.fields(ref), dim, shape)
        if flowing is None and shape[dim] == 1 and ref.kind == "value":
            if (ref.name, dim) not in self.single:
                self.single[ref.name, dim] = self.space.fresh(
                    1, INPUT if ref.name in self.program.inputs else FIXED
                )
            flowing = self.single[ref.name, dim]
        if flowing is None:
            self.freeze(labels)
        else:
            self.space.union(flowing, labels)

    def produce(self, result: str, dim: int, labels: Tensor) -> Fields:
        """A field of fresh channels along a result's dimension."""
        shape = self.concrete(result)
        dim %= len(shape)
        if shape[dim] == 1:
            self.single[result, dim] = labels
        return [along(labels, dim, shape)]

    def role(self, name: str, out_axis: int, in_axis: int) -> None:
        """Say which axes of a weight its edges point to and come from; the first to say so is believed."""
        self.roles.setdefault(name, (out_axis, in_axis))
        for axis in {out_axis, in_axis}:
            self.space.mark(self.tensor_axis(name, axis), WOVEN)

    def tap(self, name: str, dims: Iterable[int]) -> None:
        """Say which axes of a weight are kernel positions rather than channels."""
        self.taps.setdefault(name, set()).update(dims)


def _unknown(p: Propagation, op: Operator) -> None:
    """Freeze the free channels that an operator without a rule touches; if any, remember its name."""
    kinds: tuple[Literal["value", "tensor"], ...] = ("value", "tensor")
    for kind in kinds:
        for name in op.refs(kind):
            for f in p.fields(Ref(kind, name)):
                if not p.space.marks(f).all():
                    p.unknown[op.target] = None
                    p.freeze(f)


def _is_pointwise(target: str) -> bool:
    _, name, overload = target.split(".")
    found = getattr(getattr(torch.ops.aten, name, None), overload, None)
    return isinstance(found, torch._ops.OpOverload) and torch.Tag.pointwise in found.tags


__all__ = ["RULES", "Fields", "Product", "Propagation", "Rule", "rule"]
