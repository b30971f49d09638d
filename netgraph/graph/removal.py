"""Leave residual branches out of a program, or silence them where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

from netgraph.graph.axis import Axis
from netgraph.graph.branch import Branch
from netgraph.graph.flow import Flow, written
from netgraph.graph.structure import Operator, Ref, Structure, TensorSpec, Value

__all__ = ["Removal", "leave_out", "removal", "removed", "silence"]


@final
@dataclass(frozen=True)
class Removal:
    """Names of what goes when branches are left out.

    `copied` names the sums that become copies of what they keep, because something is written into their
    result afterwards; all other sums among `operators` are gone, and their users read what they keep.
    """

    operators: frozenset[str]
    values: frozenset[str]
    tensors: frozenset[str]
    groups: frozenset[str]
    copied: frozenset[str]


def removed(structure: Structure, branches: Iterable[Branch]) -> Removal:
    """What goes when these branches of a structure are left out together: at least what goes with each.

    >>> import torch, netgraph
    >>> from netgraph.graph import branches
    >>> from netgraph.zoo import CifarResNet
    >>> graph = netgraph.to_graph(CifarResNet(2, widths=(2, 4, 6)), torch.zeros(1, 3, 8, 8))
    >>> sorted(removed(graph.structure, branches(graph.structure)[:2]).groups)
    ['layer1.0.conv1', 'layer1.1.conv1']
    """
    return removal(Flow(structure), {b.join: b.kept for b in branches})


def removal(flow: Flow, bypass: Mapping[str, str]) -> Removal:
    """What goes when sums (by operator name) only pass on the value that `bypass` names."""
    structure = flow.structure
    before, after = flow.alive, flow.live(bypass)
    gone: set[str] = set()
    lost: set[str] = set()
    for i, op in enumerate(structure.operators):
        # what nothing ever read stays, unless its own input goes
        if i not in after and (i in before or not lost.isdisjoint(op.refs())):
            gone.add(op.name)
            lost.update(op.results)
    rest = [op for op in structure.operators if op.name not in gone and op.name not in bypass]
    copied = set()
    for i, op in enumerate(structure.operators):
        if op.name in bypass and op.name not in gone:
            if _overwritten(flow, i, bypass[op.name], rest):
                copied.add(op.name)
            else:
                gone.add(op.name)
                lost.update(op.results)
    used = {n for op in rest for n in op.refs("tensor")}
    used |= {o.name for o in structure.outputs if isinstance(o, Ref) and o.kind == "tensor"}
    tensors = {n for op in structure.operators if op.name in gone for n in op.refs("tensor")} - used
    groups = _groups(
        structure,
        [*(structure.tensor[n] for n in tensors), *(structure.value[n] for n in lost)],
    ) - _groups(
        structure,
        [
            *(t for t in structure.tensors if t.name not in tensors),
            *(v for v in structure.values if v.name not in lost),
        ],
    )
    return Removal(frozenset(gone), frozenset(lost), frozenset(tensors), frozenset(groups), frozenset(copied))


def _overwritten(flow: Flow, join: int, kept: str, rest: list[Operator]) -> bool:
    """Whether a later write would tell a sum that is a tensor of its own from the value it keeps."""
    op = flow.structure.operators[join]
    if written(op) == Ref("value", kept):
        return False
    storage = flow.owners[kept] | set(op.results)
    later = {o.name for o in flow.structure.operators[join + 1 :]}
    targets = [written(o) for o in rest if o.name in later]
    return any(
        t is not None and t.kind == "value" and not storage.isdisjoint(flow.owners[t.name]) for t in targets
    )


def leave_out(structure: Structure, branches: Iterable[Branch]) -> Structure:
    """The structure without branches: their sums pass on what they keep.

    Nodes that only a branch tied together stay tied: tracing the smaller network anew may find more freedom,
    never less.
    """
    branches = tuple(branches)
    if not branches:
        return structure
    gone = removed(structure, branches)
    kept = {b.join: b.kept for b in branches}
    passes = {
        op.results[0]: kept[op.name]
        for op in structure.operators
        if op.name in kept and op.name in gone.operators
    }

    def read(item: Any) -> Any:
        if isinstance(item, Ref):
            name = item.name
            while item.kind == "value" and name in passes:
                name = passes[name]
            return item if name == item.name else Ref("value", name)
        return tuple(read(i) for i in item) if type(item) is tuple else item

    operators = []
    for op in structure.operators:
        if op.name in gone.copied:
            source = Ref("value", kept[op.name])
            op = replace(op, target="aten.clone.default", args=(source,), kwargs=())
        if op.name not in gone.operators:
            operators.append(
                replace(op, args=read(op.args), kwargs=tuple((k, read(v)) for k, v in op.kwargs))
            )
    aliases = tuple(pair for pair in structure.aliases if pair[1] not in gone.tensors)
    keys = gone.tensors | {other for other, name in structure.aliases if name in gone.tensors}
    smaller = replace(
        structure,
        tensors=tuple(t for t in structure.tensors if t.name not in gone.tensors),
        values=tuple(v for v in structure.values if v.name not in gone.values),
        operators=tuple(operators),
        outputs=tuple(read(o) for o in structure.outputs),
        aliases=aliases,
        order=tuple(n for n in structure.order if n not in keys),
    )
    return _compact(smaller, gone.groups)


def silence(structure: Structure, branches: Iterable[Branch]) -> Structure:
    """The structure with the same values and tensors, in which the sums count their branches times zero."""
    dropped = {b.join: b for b in branches}

    def silent(op: Operator) -> Operator:
        if op.name not in dropped:
            return op
        kept, gone = (Ref("value", n) for n in (dropped[op.name].kept, dropped[op.name].dropped))
        # alpha belongs to the second operand; an in-place sum into the branch must not write there any more
        target = op.target if op.args[1] == gone else "aten.add.Tensor"
        return replace(op, target=target, args=(kept, gone), kwargs=(("alpha", 0),))

    return replace(structure, operators=tuple(silent(op) for op in structure.operators))


def _axes(items: Iterable[TensorSpec | Value]) -> set[int]:
    return {a for item in items for a in item.axes if a is not None}


def _groups(structure: Structure, items: Iterable[TensorSpec | Value]) -> set[str]:
    return {structure.groups[g].name for a in _axes(items) for g in structure.axes[a].group_ids}


def _compact(structure: Structure, gone: frozenset[str]) -> Structure:
    """Without the groups that go and the axes that are out of use, the others renumbered."""
    axis_ids = sorted(_axes([*structure.tensors, *structure.values]))
    group_ids = [i for i, g in enumerate(structure.groups) if g.name not in gone]
    axis_of = {old: new for new, old in enumerate(axis_ids)}
    group_of = {old: new for new, old in enumerate(group_ids)}

    def renumbered(axes: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return tuple(None if a is None else axis_of[a] for a in axes)

    return replace(
        structure,
        groups=tuple(structure.groups[i] for i in group_ids),
        axes=tuple(
            Axis(tuple(s._replace(group=group_of[s.group]) for s in structure.axes[i].segments))
            for i in axis_ids
        ),
        tensors=tuple(replace(t, axes=renumbered(t.axes)) for t in structure.tensors),
        values=tuple(replace(v, axes=renumbered(v.axes)) for v in structure.values),
    )
