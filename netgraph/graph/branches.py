"""Layers that a network can do without: what stands beside the identity in a residual sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from netgraph.errors import GraphError
from netgraph.graph.branch import Branch
from netgraph.graph.flow import Flow
from netgraph.graph.removal import Removal, removal
from netgraph.graph.structure import Operator, Ref, Structure

__all__ = ["branches", "chosen"]


@lru_cache(maxsize=32)
def branches(structure: Structure) -> tuple[Branch, ...]:
    """All branches of a network that can be left out one by one or together, in program order.

    A branch is what only feeds one operand of an elementwise sum `kept + branch(...)`, where both operands
    have the same shape and run over the same nodes, the branch reads the stream that `kept` belongs to (the
    value itself, or a summand of it, as in parallel attention and feed-forward layers), some parameter is
    the branch's alone, and the network has others.

    Shortcuts that change the shape, concatenations and sums of two layers are no residuals: leaving out one
    side of them leaves no identity behind.

    >>> import torch, netgraph
    >>> from netgraph.zoo import CifarResNet
    >>> graph = netgraph.to_graph(CifarResNet(2, widths=(2, 4, 6)), torch.zeros(1, 3, 8, 8))
    >>> [branch.name for branch in branches(graph.structure)]
    ['layer1.0', 'layer1.1', 'layer2.1', 'layer3.1']
    """
    flow = Flow(structure)
    weights = {t.name for t in structure.tensors if t.kind == "parameter"}
    found: list[tuple[Operator, str, str, Removal]] = []
    for i, op in enumerate(structure.operators):
        if i not in flow.alive:
            continue
        for kept, dropped in _residuals(structure, flow, op):
            gone = removal(flow, {op.name: kept})
            if gone.tensors & weights and not weights <= gone.tensors:
                found.append((op, kept, dropped, gone))
    names = _names(structure, [gone.tensors for *_, gone in found])
    return tuple(
        Branch(
            name,
            op.name,
            kept,
            dropped,
            tuple(o.name for o in structure.operators if o.name in gone.operators and o.name != op.name),
            tuple(t.name for t in structure.tensors if t.name in gone.tensors),
            tuple(g.name for g in structure.groups if g.name in gone.groups),
        )
        for name, (op, kept, dropped, gone) in zip(names, found, strict=True)
    )


def chosen(structure: Structure, names: Iterable[str]) -> tuple[Branch, ...]:
    """The branches of these names.

    Raises:
        GraphError: a name is unknown.
    """
    wanted = frozenset(names)
    if not wanted:
        return ()
    known = {b.name: b for b in branches(structure)}
    if unknown := wanted - set(known):
        offered = f"branches are {list(known)[:8]} ..." if known else "this network has none"
        raise GraphError(
            f"mask: expected names of branches that can be left out, got {min(unknown)!r}; {offered} "
            "(see netgraph.graph.branches)"
        )
    return tuple(b for b in known.values() if b.name in wanted)


def _residuals(structure: Structure, flow: Flow, op: Operator) -> Iterator[tuple[str, str]]:
    """Pairs of (kept, dropped) operands."""
    operands = _summands(structure, op)
    if operands is None:
        return
    for kept, dropped in (operands, operands[::-1]):
        own = _stream(structure, flow, dropped)
        if (_stream(structure, flow, kept) - own) & flow.ancestors(dropped):
            yield kept, dropped


def _summands(structure: Structure, op: Operator) -> tuple[str, str] | None:
    """The operands of a plain sum of two activations that are alike."""
    if op.target not in ("aten.add.Tensor", "aten.add_.Tensor") or op.kwargs or len(op.args) != 2:
        return None
    left, right = op.args
    if not all(isinstance(a, Ref) and a.kind == "value" for a in op.args) or left == right:
        return None
    a, b, total = (structure.value[n] for n in (left.name, right.name, op.results[0]))
    alike = a.shape == b.shape == total.shape and a.axes == b.axes == total.axes
    return (a.name, b.name) if alike and a.dtype == b.dtype == total.dtype else None


def _stream(structure: Structure, flow: Flow, value: str) -> set[str]:
    """A value and, where it is a sum, its summands, and so on."""
    found, pending = set(), [value]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found.add(name)
        if name in flow.maker:
            pending += _summands(structure, structure.operators[flow.maker[name]]) or ()
    return found


def _names(structure: Structure, owned: list[frozenset[str]]) -> list[str]:
    """After the module around a branch's weights; after its largest layer where that holds another branch."""
    weights = [[t for t in structure.tensors if t.name in names and t.kind == "parameter"] for names in owned]
    around = [_common([_module(t.name) for t in ts if t.placement == "block"] or [""]) for ts in weights]

    def shared(i: int) -> bool:
        return any(
            j != i and not owned[j] < owned[i] and f"{around[j]}.".startswith(f"{around[i]}.")
            for j in range(len(owned))
        )

    counts: dict[str, int] = {}
    out = []
    for i, name in enumerate(around):
        if not name or shared(i):
            name = _module(max(weights[i], key=lambda t: t.numel).name)
        counts[name] = counts.get(name, 0) + 1
        out.append(name if counts[name] == 1 else f"{name}~{counts[name]}")
    return out


def _module(tensor: str) -> str:
    return tensor.rpartition(".")[0] or tensor


def _common(names: list[str]) -> str:
    first, *others = (n.split(".") for n in names)
    size = 0
    while size < len(first) and all(o[: size + 1] == first[: size + 1] for o in others):
        size += 1
    return ".".join(first[:size])
