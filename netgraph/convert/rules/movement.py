"""Operators that only move data are run, as they are, on the labels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from netgraph.convert.labels import along, compact, varying
from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.graph import Operator, Ref, Size
from netgraph.graph.program import resolve


@rule(
    "view",
    "reshape",
    "_unsafe_view",
    "permute",
    "transpose",
    "t",
    "numpy_T",
    "mT",
    "movedim",
    "moveaxis",
    "swapaxes",
    "squeeze",
    "unsqueeze",
    "flatten",
    "unflatten",
    "expand",
    "expand_as",
    "view_as",
    "reshape_as",
    "broadcast_to",
    "repeat",
    "tile",
    "repeat_interleave",
    "flip",
    "roll",
    "chunk",
    "split",
    "split_with_sizes",
    "unsafe_chunk",
    "unsafe_split",
    "tensor_split",
    "unbind",
    "slice",
    "select",
    "narrow",
    "diagonal",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
    "atleast_1d",
    "atleast_2d",
)
def move(p: Propagation, op: Operator) -> Fields | list[Fields]:
    source = op.args[0]
    # labels are expanded, so what torch calls a view may have to be a copy here
    function = torch.reshape if op.kind in {"view", "_unsafe_view"} else resolve(op.target)
    rest = [_like(p, a) for a in op.args[1:]]
    kwargs = {k: _like(p, v) for k, v in op.kwargs}
    _remember_view(p, op)
    moved = []
    for f in p.fields(source):
        result = function(f, *rest, **kwargs)
        if op.kind in {"select", "slice", "narrow", "flip", "roll", "diagonal"}:
            _freeze_picked(p, op, f, result)
        _freeze_singled(p, f, list(result) if op.unpack else [result])
        if op.kind in _PIECES and len(varying(f)) == 1:
            (dim,) = varying(f)
            places = function(along(torch.arange(f.shape[dim]), dim, f.shape), *rest, **kwargs)
            for piece in list(places) if op.unpack else [places]:
                p.pieces.append((compact(f).reshape(-1), piece.reshape(-1).unique()))
        moved.append(result)
    if op.unpack:
        return [[m[i] for m in moved] for i in range(len(op.results))]
    if op.kind in {"expand", "expand_as", "broadcast_to"}:
        return moved + _copies(p, op, only_new=bool(moved))
    return moved


_PIECES = frozenset(
    "slice narrow chunk split split_with_sizes unsafe_chunk unsafe_split tensor_split".split()  # noqa: SIM905
)


@rule("channel_shuffle")
def channel_shuffle(p: Propagation, op: Operator) -> Fields:
    """Channels read as a table (groups x channels inside) and written column by column."""
    groups = op.args[1]
    tables = [compact(f.unflatten(1, (groups, -1))) for f in p.fields(op.args[0])]
    p.values[f"{op.name}.table"] = [t for t in map(p.space.normal, tables) if varying(t)]  # stays a table
    return [resolve(op.target)(f, groups) for f in p.fields(op.args[0])]


def _is_batch(size: int | Size) -> bool:
    return isinstance(size, Size) and size.factor == 1


def _copies(p: Propagation, op: Operator, only_new: bool) -> Fields:
    """What has no channels (positions, a mask) and is copied along a dimension has places there that are all
    alike: free, until someone ties them. So has whatever is copied along a new first dimension."""
    before, shape = p.concrete(op.args[0]), p.concrete(op.results[0])
    sizes = p.program.shapes[op.results[0]]
    lead = len(shape) - len(before)
    return [
        along(p.space.fresh(n), d, shape)
        for d, n in enumerate(shape)
        if n > 1 and not _is_batch(sizes[d]) and (d < lead or (before[d - lead] == 1 and not only_new))
    ]


def _like(p: Propagation, item: Any) -> Any:
    """Arguments with numbers for sizes; a tensor that only lends its shape becomes an empty one of it."""
    if isinstance(item, Ref):
        return torch.empty(1).expand(p.concrete(item))
    return p.number(item)


def _freeze_picked(p: Propagation, op: Operator, before: torch.Tensor, after: torch.Tensor) -> None:
    """Picking one channel by number, or moving channels by a fixed amount, depends on their order.

    Taking a run of channels does not (the run is recounted after a cut), nor does picking an entry of a
    dimension that only counts copies (query, key, value)."""
    if op.kind == "slice" and (len(op.args) < 5 or op.args[4] == 1):
        return
    if op.kind == "narrow":
        return
    dims = (
        op.args[1]
        if op.kind == "flip"
        else op.args[2]
        if op.kind == "roll" and len(op.args) > 2
        else op.args[1]
    )
    touched = {d % before.dim() for d in (p.number(dims) if isinstance(dims, tuple) else [p.number(dims)])}
    running = varying(before)
    if op.kind == "diagonal" or (running and running <= touched):
        p.freeze(before)


def _freeze_singled(p: Propagation, before: torch.Tensor, pieces: Sequence[torch.Tensor]) -> None:
    """A piece of one channel no longer shows along which dimension it is one: that channel stays."""
    for piece in pieces:
        if varying(before) and not varying(p.space.normal(piece)):
            p.freeze(piece)


def _remember_view(p: Propagation, op: Operator) -> None:
    """Keep track of permuted weights, so that `x @ weight.T` knows its weight."""
    found = p.tensor_of(op.args[0])
    if found is None or op.kind not in {"t", "numpy_T", "transpose", "permute", "mT"}:
        return
    name, dims = found
    order = list(range(len(dims)))
    if op.kind == "permute":
        order = [d % len(dims) for d in op.args[1]]
    else:
        a, b = (op.args[1], op.args[2]) if op.kind == "transpose" else (-2, -1)
        if len(dims) > 1:
            order[a], order[b] = order[b], order[a]
    p.views[op.results[0]] = (name, tuple(dims[i] for i in order))


@rule("cat", "concat", "concatenate", "stack")
def cat(p: Propagation, op: Operator) -> Fields:
    refs = list(op.args[0])
    dim = op.args[1] if len(op.args) > 1 else dict(op.kwargs).get("dim", 0)
    result = p.concrete(op.results[0])
    dim %= len(result)
    stacking = op.kind == "stack"
    parts = []
    for ref in refs:
        shape = list(p.concrete(ref))
        fields = p.fields(ref)
        if stacking:
            shape.insert(dim, 1)
            fields = [f.unsqueeze(dim) for f in fields]
        elif len(shape) != len(result) or shape[dim] == 0:
            continue  # empty
        parts.append((ref, shape, fields))
    running = []
    if any(dim in varying(f) for _, _, fields in parts for f in fields) and not stacking:
        running = [_joined(p, dim, parts, result)]
    # a table: heads, say, of which parts are joined
    across = varying(running[0]) - {dim} if running else frozenset()
    others = []
    for _, shape, fields in parts:
        rest = [f for f in fields if dim not in varying(f) and not varying(f) & across]
        rest = [f.narrow(dim, 0, 1).expand(result) for f in rest]
        others.append((rest, frozenset(d for d, n in enumerate(shape) if n > 1 and d != dim) - across))
    return running + p.merge(others)


def _joined(
    p: Propagation, dim: int, parts: list[tuple[Ref, list[int], Fields]], result: tuple[int, ...]
) -> torch.Tensor:
    """Labels along the joined dimension; an operand without any gets frozen ones of its own."""
    pieces = []
    tables = {d for _, _, fields in parts for f in fields if dim in varying(f) for d in varying(f)} - {dim}
    for ref, shape, fields in parts:
        here = [f for f in fields if dim in varying(f)]
        whole = [f for f in fields if varying(f) and varying(f) <= tables]
        if whole and all(p.space.marks(f).all() for f in here):
            pieces.append(whole[0].expand(shape))  # rows of a table that are whole already
        elif not here:
            labels = p.space.fresh(shape[dim]) if (ref.name, dim) not in p.single else p.single[ref.name, dim]
            if (ref.name, dim) not in p.single:
                p.freeze(labels)
            pieces.append(along(labels, dim, shape))
        elif len(here) == 1:
            pieces.append(here[0])
        else:
            vector = p.axis(here, dim, shape)
            assert vector is not None
            pieces.append(along(vector, dim, shape))
    for d in range(len(result)):
        if d != dim and all(d not in varying(f) for f in pieces):
            pieces = [f.narrow(d, 0, 1) if f.shape[d] > 1 else f for f in pieces]
    if all(f.numel() == f.shape[dim] for f in pieces):
        joined, start = torch.cat(pieces, dim).reshape(-1), 0
        for f in pieces:
            p.pieces.append((joined, torch.arange(f.numel()) + start))
            start += f.numel()
    return torch.cat(pieces, dim).expand(result)


@rule("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad2d")
def pad(p: Propagation, op: Operator) -> Fields:
    """Channels padded with a constant are channels too: their label is new, and whoever adds them ties it."""
    result = p.concrete(op.results[0])
    pads = p.number(op.args[1])
    out = []
    for f in p.fields(op.args[0]):
        moved = compact(f)
        for i in range(len(pads) // 2):
            dim = f.dim() - 1 - i
            if dim in varying(f) and pads[2 * i : 2 * i + 2] != [0, 0]:
                if op.kind not in {"pad", "constant_pad_nd"} or varying(f) != {dim}:
                    p.freeze(f)
                    moved = moved.narrow(dim, 0, 1)
                    continue
                ends = [p.space.fresh(max(n, 0)) for n in pads[2 * i : 2 * i + 2]]
                body = moved.narrow(
                    dim,
                    max(-pads[2 * i], 0),
                    moved.shape[dim] + sum(min(n, 0) for n in pads[2 * i : 2 * i + 2]),
                )
                shape = list(body.shape)
                sides = [
                    along(e, dim, [len(e) if d == dim else n for d, n in enumerate(shape)]) for e in ends
                ]
                moved = torch.cat([sides[0], body, sides[1]], dim)
                p.pieces.append((moved.reshape(-1), torch.arange(body.shape[dim]) + len(ends[0])))
        out.append(moved.expand(result))
    return out


@rule("im2col")
def im2col(p: Propagation, op: Operator) -> Fields:
    """Windows of a map, one under another: every channel stands at as many places as a window has."""
    taps = prod(op.args[1])
    shape, result = p.concrete(op.args[0]), p.concrete(op.results[0])
    labels = p.axis(p.fields(op.args[0]), -3, shape)
    _freeze_space(p, p.fields(op.args[0]))
    return [] if labels is None else [along(labels.repeat_interleave(taps), len(result) - 2, result)]


@rule("col2im")
def col2im(p: Propagation, op: Operator) -> Fields:
    """The way back: places of one channel are summed."""
    taps = prod(op.args[2])
    shape, result = p.concrete(op.args[0]), p.concrete(op.results[0])
    labels = p.axis(p.fields(op.args[0]), -2, shape)
    if labels is None:
        return []
    table = labels.view(-1, taps)
    p.space.union(table, table[:, :1])
    return [along(p.space.find(table[:, 0]), len(result) - 3, result)]


def _freeze_space(p: Propagation, fields: Fields) -> None:
    """Neighbours are mixed, so what runs over space keeps its order."""
    for f in fields:
        if varying(f) and varying(f) <= {f.dim() - 1, f.dim() - 2}:
            p.freeze(f)
