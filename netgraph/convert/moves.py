"""The moves that rules are made of: elementwise, what runs along a dimension, sums over products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from netgraph.convert.labels import FIXED, INPUT, LabelSpace, compact, varying

Fields: TypeAlias = list[Tensor]
Product: TypeAlias = Literal["outer", "inner"]


class Moves:
    """Moves on fields of labels.

    Args:
        product: what remains whole where channels form a table: `outer` keeps whole rows (heads, groups),
            `inner` the same columns of every row.
    """

    def __init__(self, product: Product) -> None:
        self.space = LabelSpace()
        self.product = product
        self._tuples: dict[tuple[int, ...], int] = {}

    def freeze(self, labels: Tensor) -> None:
        """Forbid these channels to move: something we do not know depends on their order or number."""
        self.space.mark(labels, FIXED)

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
                covered = frozenset[int]().union(*(varying(self.space.normal(f)) for f in fields))
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
