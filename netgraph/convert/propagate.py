"""Carry labels through a program: the walk, and the four moves that every rule is made of.

A value has a list of *fields*: label tensors of its own shape, each changing along the dimensions it names.
An activation of a convolution has one field (its channels); a weight has one per axis; a score matrix of
attention has one along its heads. Rules combine four moves: `merge` (elementwise), `axis` (what runs along a
dimension), `contract` (sums over products) and running a data-moving operator on the labels themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from netgraph.convert.labels import FIXED, INPUT, WOVEN, LabelSpace, along, compact, varying
from netgraph.convert.trace import Trace
from netgraph.errors import ConversionError
from netgraph.graph import Operator, Ref, Size

Fields = list[Tensor]
Product = Literal["outer", "inner"]
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


class Propagation:
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
        self.space = LabelSpace()
        self.program = program
        self.product = product
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
        self._tuples: dict[tuple[int, ...], int] = {}

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

    def freeze(self, labels: Tensor) -> None:
        """Forbid these channels to move: something we do not know depends on their order or number."""
        self.space.mark(labels, FIXED)

    # The moves.

    def axis(self, fields: Fields, dim: int, shape: Sequence[int]) -> Tensor | None:
        """What runs along a dimension, as labels `(size,)`; None if nothing does.

        Labels that also change along other dimensions are united over those: who consumes an axis does so at
        every place alike. If several fields run along it, the outermost free one stays and the others are
        frozen.
        """
        dim %= len(shape)
        running = [f for f in fields if dim in varying(f)]
        if not running:
            return None
        rows = [compact(f.movedim(dim, -1)).reshape(-1, shape[dim]) for f in running]
        free = [r for r in rows if not self.space.marks(r).all()]
        if not free and len(rows) > 1:
            return self._tuple([r[0] for r in rows])
        keep = max(free or rows, key=_run_length)
        for row in free:
            if row is not keep:
                self.freeze(row)
        self.space.union(keep, keep[:1])
        return self.space.find(keep[0])

    def _tuple(self, vectors: list[Tensor]) -> Tensor:
        """One label for each combination of several marked ones (an input's pixels, flattened)."""
        keys = list(map(tuple, torch.stack(vectors, 1).tolist()))
        for key in keys:
            if key not in self._tuples:
                self._tuples[key] = int(self.space.fresh(1, INPUT)[0])
        return torch.tensor([self._tuples[k] for k in keys])

    def merge(self, operands: Iterable[tuple[Fields, frozenset[int]]]) -> Fields:
        """Elementwise: fields that run along a common dimension are united.

        Each operand comes as fields expanded to the common shape, with the dimensions it really has. A
        dimension that one operand labels and another has without labels is frozen: its length is written
        somewhere.
        """
        found = list(operands)
        result: Fields = []
        for fields, _ in found:
            for f in fields:
                hits = [i for i, r in enumerate(result) if varying(r) & varying(f)]
                for i in hits:
                    self._unite(result[i], f)
                    result[i] = self.space.normal(result[i])
                f = self.space.normal(f)
                if not hits or (varying(f) and not any(varying(f) & varying(result[i]) for i in hits)):
                    result.append(f)
        for i, r in enumerate(result):
            for fields, dims in found:
                covered = frozenset().union(*(varying(f) for f in fields)) if fields else frozenset()
                written = (varying(r) & dims) - covered
                if written:
                    self.hold(r, written)
                    result[i] = r = self.space.normal(r)
        return [r for r in result if varying(r)]

    def hold(self, field: Tensor, dims: frozenset[int]) -> None:
        """The lengths of these dimensions are written somewhere: a table keeps its rows or columns whole, any
        other field is frozen."""
        if varying(field) <= dims:
            self.freeze(field)
        for dim in dims:
            self.space.union(field, field.narrow(dim, 0, 1))

    def _unite(self, a: Tensor, b: Tensor) -> None:
        """Elementwise. A table (heads x head dimensions) that meets a vector along one of its sides, as
        queries meet a rotary table or the scale of a norm, is whole along one side: the vector's is held
        where the vector does not move, or where `product` asks for the other and no weight makes it."""
        table, vector = (a, b) if len(varying(a)) > len(varying(b)) else (b, a)
        if not self.keeps_whole(table, vector):
            self.space.union(a, b)

    def keeps_whole(self, table: Tensor, vector: Tensor) -> bool:
        """Whether a table is made whole along the side that a vector runs over, and the vector frozen."""
        side = varying(vector)
        if not side < varying(table) or self.space.marks(table).all():
            return False
        inner = max(varying(table), key=lambda d: -_stride(table, d)) in side
        other_side = inner == (self.product == "outer") and not self.space.woven(vector)
        if not other_side and not self.space.marks(vector).all():
            return False
        self.freeze(vector)
        self.hold(table, side)
        return True

    def contract(self, operands: Sequence[tuple[Fields, str, Sequence[int]]], out: str) -> Fields:
        """A sum of products, written as in einsum: `operands` are (fields, letters, shape), `out` letters.

        Labels along a summed letter are united over the operands. If they form a table with a letter that
        several operands and the result share (heads), it stays whole along one side, as `product` says.
        """
        letters = list(dict.fromkeys("".join(o[1] for o in operands) + out))
        sizes: dict[str, int] = {}
        for _, names, shape in operands:
            for letter, size in zip(names, shape, strict=True):
                sizes[letter] = max(size, sizes.get(letter, 1))
        space = [sizes[c] for c in letters]
        count = {c: sum(c in o[1] for o in operands) for c in letters}
        summed = [c for c in letters if c not in out]
        spread: list[tuple[Fields, frozenset[int]]] = []
        for fields, names, shape in operands:
            dims = frozenset(letters.index(c) for c, n in zip(names, shape, strict=True) if n > 1)
            order = [c for c in letters if c in names]
            full = []
            for f in fields:
                f = f.permute([names.index(c) for c in order])
                f = f[tuple(slice(None) if c in names else None for c in letters)].expand(space)
                full.append(f)
            spread.append((full, dims))
        for c in summed:
            here = letters.index(c)
            self._sum_over(here, [(f, d) for f, d in spread if here in d], letters, count, out)
        shared = {i for i, c in enumerate(letters) if count[c] > 1 and c in out}
        everywhere = shared.intersection(*(d for _, d in spread))
        kept = [
            ([self._whole(f, everywhere) for f in fields if not self._summed(f, letters, summed)], dims)
            for fields, dims in spread
        ]
        summed_dims = frozenset(letters.index(c) for c in summed)
        result = self.merge([(fields, dims - summed_dims) for fields, dims in kept])
        picked = [compact_letters(f, letters, out) for f in result]
        return picked

    def _summed(self, f: Tensor, letters: list[str], summed: list[str]) -> bool:
        return any(letters.index(c) in varying(self.space.normal(f)) for c in summed)

    def _whole(self, f: Tensor, shared: set[int]) -> Tensor:
        """A table of a shared dimension (heads) and others stays whole along one side, though nothing is
        summed over its columns: values of attention are cut as queries and keys are."""
        f = self.space.normal(f)
        rows, columns = varying(f) & shared, varying(f) - shared
        if rows and columns:
            for dim in columns if self.product == "outer" else rows:
                self.space.union(f, f.narrow(dim, 0, 1))
            f = self.space.normal(f)
        return f

    def _sum_over(
        self,
        dim: int,
        operands: list[tuple[Fields, frozenset[int]]],
        letters: list[str],
        count: Mapping[str, int],
        out: str,
    ) -> None:
        shared = {i for i, c in enumerate(letters) if count[c] > 1 and c in out}
        kept = {i for i, c in enumerate(letters) if c in out}
        for fields, dims in operands:
            for f in fields:
                f = self.space.normal(f)
                if dim not in varying(f):
                    continue
                for other in varying(f) - {dim}:
                    everyone = all(other in d for _, d in operands)
                    table = other in shared and everyone
                    if other in kept and not everyone and self.product == "outer":
                        # many queries for one key: heads are whole, and the key's width stays
                        for theirs, _ in operands:
                            for g in theirs:
                                if dim in varying(g) and other not in varying(g):
                                    self.freeze(g)
                        table = True
                    across = dim if table and self.product == "outer" and other in dims else other
                    self.space.union(f, f.narrow(across, 0, 1))
        vectors = [
            self.axis([self.space.normal(f) for f in fields], dim, fields[0].shape) if fields else None
            for fields, _ in operands
        ]
        known = [v for v in vectors if v is not None]
        for v in known[1:]:
            self.space.union(known[0], v)
        if known and len(known) < len(operands):
            self.freeze(known[0])

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


def compact_letters(f: Tensor, letters: list[str], out: str) -> Tensor:
    """Drop the letters that a result does not have, and order the rest."""
    index = tuple(slice(None) if c in out else 0 for c in letters)
    rest = [c for c in letters if c in out]
    return f[index].permute([rest.index(c) for c in out])


def _stride(table: Tensor, dim: int) -> int:
    """How far apart neighbours along a dimension stand: least along the innermost."""
    pair = compact(table.narrow(dim, 0, 2)).movedim(dim, 0).reshape(2, -1)[:, 0]
    return abs(int(pair[1] - pair[0]))


def _run_length(rows: Tensor) -> int:
    row = rows[0].numpy()
    changes = np.flatnonzero(np.diff(row))
    return int(changes[0]) + 1 if len(changes) else len(row)


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
