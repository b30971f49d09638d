"""What an operator's constants become when its operands shrink.

A traced program holds sizes as numbers (a view's shape, a convolution's groups). Each rule here derives the
new numbers from the axes of the operator's operands and results; an operator without a rule holds no such
number. Users add a rule with `@rewriter("name")`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netgraph.errors import GraphError
from netgraph.graph.axis import BoolArray, IntArray
from netgraph.graph.structure import Operator, Ref, Size, Structure, TensorSpec, Value


@dataclass(frozen=True)
class Cut:
    """A structure, the positions kept on each of its axes, and its values after the cut."""

    structure: Structure
    positions: list[IntArray | None]
    values: Mapping[str, Value]
    tensors: Mapping[str, TensorSpec]

    def old(self, ref: Ref | str) -> Value | TensorSpec:
        """The operand (or, by name, the value) before the cut."""
        if isinstance(ref, Ref):
            return self.structure.tensor[ref.name] if ref.kind == "tensor" else self.structure.value[ref.name]
        return self.structure.value[ref]

    def new(self, ref: Ref | str) -> Value | TensorSpec:
        """The operand (or, by name, the value) after the cut."""
        if isinstance(ref, Ref):
            return self.tensors[ref.name] if ref.kind == "tensor" else self.values[ref.name]
        return self.values[ref]

    def kept(self, ref: Ref | str, dim: int) -> BoolArray | None:
        """Which positions along a dimension are kept; None if all are."""
        value = self.old(ref)
        axis = value.axes[dim % len(value.axes)]
        positions = None if axis is None else self.positions[axis]
        if axis is None or positions is None:
            return None
        flags = np.zeros(self.structure.axes[axis].size, dtype=np.bool_)
        flags[positions] = True
        return flags

    def changed(self, op: Operator) -> bool:
        """Whether any operand or result of an operator shrinks."""
        names = [*op.refs(), *op.results]
        if any(self.old(n).shape != self.new(n).shape for n in names):
            return True
        return any(
            axis is not None and self.positions[axis] is not None
            for name in op.refs("tensor")
            for axis in self.structure.tensor[name].axes
        )


Rewriter = Callable[[Operator, Cut], Operator]
REWRITERS: dict[str, Rewriter] = {}


def rewriter(*kinds: str) -> Callable[[Rewriter], Rewriter]:
    """Register a rewrite rule for operators by base name.

    Raises:
        GraphError: a name is taken.
    """

    def register(function: Rewriter) -> Rewriter:
        for kind in kinds:
            if kind in REWRITERS:
                raise GraphError(
                    f"rewriter: a rule for {kind!r} exists already; remove it from REWRITERS first"
                )
            REWRITERS[kind] = function
        return function

    return register


def rewrite(op: Operator, cut: Cut) -> Operator:
    """The operator with the constants that the cut asks for."""
    rule = REWRITERS.get(op.kind)
    return rule(op, cut) if rule is not None and cut.changed(op) else op


def _set(op: Operator, position: int, value: Any) -> Operator:
    return replace(op, args=(*op.args[:position], value, *op.args[position + 1 :]))


def _sizes(given: tuple[Any, ...], old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    """Replace the sizes that changed; -1 (inferred or kept) and unchanged ones stay as written."""
    lead = len(new) - len(given)
    return tuple(
        size if size == -1 or old[i + lead] == new[i + lead] else new[i + lead]
        for i, size in enumerate(given)
    )


@rewriter("view", "reshape", "_unsafe_view", "expand", "new_zeros", "new_ones", "new_empty", "new_full")
def _shape(op: Operator, cut: Cut) -> Operator:
    result = op.results[0]
    return _set(op, 1, _sizes(op.args[1], cut.old(result).shape, cut.new(result).shape))


@rewriter("zeros", "ones", "full", "empty")
def _made(op: Operator, cut: Cut) -> Operator:
    result = op.results[0]
    return _set(op, 0, _sizes(op.args[0], cut.old(result).shape, cut.new(result).shape))


@rewriter("unflatten")
def _unflatten(op: Operator, cut: Cut) -> Operator:
    old, new = cut.old(op.results[0]).shape, cut.new(op.results[0]).shape
    dim = op.args[1] % len(cut.old(op.args[0]).shape)
    window = slice(dim, dim + len(op.args[2]))
    return _set(op, 2, _sizes(op.args[2], old[window], new[window]))


@rewriter("chunk", "split", "split_with_sizes", "unsafe_chunk", "unsafe_split", "tensor_split")
def _split(op: Operator, cut: Cut) -> Operator:
    rank = len(cut.old(op.args[0]).shape)
    dim = (op.args[2] if len(op.args) > 2 else dict(op.kwargs).get("dim", 0)) % rank
    sizes = tuple(cut.new(name).shape[dim] for name in op.results)
    if any(isinstance(s, Size) for s in sizes):
        return op
    return replace(op, target="aten.split_with_sizes.default", args=(op.args[0], sizes, dim), kwargs=())


@rewriter("slice")
def _slice(op: Operator, cut: Cut) -> Operator:
    dim = op.args[1] if len(op.args) > 1 else 0
    kept = cut.kept(op.args[0], dim)
    if kept is None:
        return op
    start = op.args[2] if len(op.args) > 2 and op.args[2] is not None else 0
    stop = op.args[3] if len(op.args) > 3 and op.args[3] is not None else len(kept)
    step = op.args[4] if len(op.args) > 4 else 1
    first, last, _ = slice(start, stop).indices(len(kept))
    if step != 1:
        places = (np.cumsum(kept) - 1)[first:last:step][kept[first:last:step]]  # of the picked ones, once cut
        gaps = np.unique(np.diff(places))
        if len(places) == 0 or len(gaps) > 1:
            raise GraphError(
                f"select: operator {op.name!r} takes every {step}th of a cut axis; exclude its groups"
            )
        begin, step = int(places[0]), int(gaps[0]) if len(gaps) else step
        return replace(op, args=(op.args[0], dim, begin, int(places[-1]) + 1, step))
    begin, width = int(kept[:first].sum()), int(kept[first:last].sum())
    return replace(op, args=(op.args[0], dim, begin, begin + width, step))


@rewriter("narrow")
def _narrow(op: Operator, cut: Cut) -> Operator:
    kept = cut.kept(op.args[0], op.args[1])
    if kept is None:
        return op
    start, length = op.args[2], op.args[3]
    begin = int(kept[:start].sum())
    return replace(op, args=(*op.args[:2], begin, int(kept[start : start + length].sum())))


@rewriter("pad", "constant_pad_nd")
def _pad(op: Operator, cut: Cut) -> Operator:
    pads = list(op.args[1])
    rank = len(cut.old(op.args[0]).shape)
    for i in range(len(pads) // 2):
        kept = cut.kept(op.results[0], rank - 1 - i)
        if kept is not None:
            before, after = pads[2 * i], pads[2 * i + 1]
            pads[2 * i] = int(kept[:before].sum())
            pads[2 * i + 1] = int(kept[len(kept) - after :].sum())
    return _set(op, 1, tuple(pads))


@rewriter("layer_norm", "rms_norm")
def _normalized_shape(op: Operator, cut: Cut) -> Operator:
    return _set(op, 1, tuple(cut.new(op.results[0]).shape[-len(op.args[1]) :]))


@rewriter("group_norm", "channel_shuffle")
def _group_norm(op: Operator, cut: Cut) -> Operator:
    kept = cut.kept(op.args[0], 1)
    return op if kept is None else _set(op, 1, surviving_groups(op, kept, op.args[1]))


@rewriter("conv1d", "conv2d", "conv3d")
def _conv(op: Operator, cut: Cut) -> Operator:
    return _grouped_conv(op, cut, position=6, spatial=int(op.kind[4]))


@rewriter("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(op: Operator, cut: Cut) -> Operator:
    return _grouped_conv(op, cut, position=6 if len(op.args) > 6 else 7, spatial=int(op.kind[-2]))


def _grouped_conv(op: Operator, cut: Cut, position: int, spatial: int) -> Operator:
    """`groups` stands seventh in conv's schema and in conv_transpose's (after output_padding)."""
    if len(op.args) <= position or op.args[position] == 1:
        return op
    kept = cut.kept(op.args[0], -spatial - 1)
    return op if kept is None else _set(op, position, surviving_groups(op, kept, op.args[position]))


def surviving_groups(op: Operator, kept: BoolArray, groups: int) -> int:
    """How many of an operator's channel groups remain: the kept channels must be a product set.

    Raises:
        GraphError: the kept channels neither fill whole groups nor take the same places of each.
    """
    if groups == 1:
        return 1
    table = kept.reshape(groups, -1)
    alive = table.any(axis=1)
    if not (table[alive] == table[alive][0]).all():
        raise GraphError(
            f"select: operator {op.name!r} works on {groups} channel groups; keep whole groups or the same "
            f"channels of each, got {table.sum(axis=1).tolist()[:8]} kept per group"
        )
    return int(alive.sum())
