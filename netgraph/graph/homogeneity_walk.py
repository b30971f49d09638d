"""How factors travel through a program: the walk behind `homogeneity`.

A *slot* is a hidden group on a value, or on one dimension of a tensor. It is multiplied, node by node, with
the power `e` of a node's factor. Operators relate the powers of their slots: most make two equal or opposite
(a signed union-find), a product adds two, and whatever no rule claims gets the power zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from netgraph.graph.axis import Axis
from netgraph.graph.structure import Operator, Ref, Structure, TensorSpec, Value

__all__ = ["Kind", "Rule", "Slot", "Walk"]

Kind: TypeAlias = Literal["scale", "sign"]
Rule: TypeAlias = "Callable[[Walk, Operator, list[Ref]], None]"


class Slot(NamedTuple):
    """A hidden group on a value (`dim` is -1), or on one dimension of a tensor."""

    kind: str
    name: str
    group: int
    dim: int = -1


class Walk:
    """One walk over one program.

    Args:
        structure: of a network.
        kind: `scale` lets factors c > 0 through positively homogeneous operators, `sign` lets c = -1 through
            odd ones.
        rules: what is known about operators, by base name (`conv2d`).
    """

    def __init__(self, structure: Structure, kind: Kind, rules: Mapping[str, Rule]) -> None:
        self.structure, self.kind, self.rules = structure, kind, rules
        self.hidden = {i for i, g in enumerate(structure.groups) if g.role == "hidden"}
        self.parent: dict[Slot, tuple[Slot, int]] = {}
        self.zero: set[Slot] = set()
        self.products: list[tuple[Slot, Slot, Slot]] = []
        self.quotients: dict[Slot, list[tuple[Slot, Slot]]] = {}
        self.claimed: set[Slot] = set()
        for op in structure.operators:
            self._step(op)
        for output in structure.outputs:
            if isinstance(output, Ref) and output.kind != "training":
                self._pin(self.slots(output))
        self._resolve()

    def powers(self) -> dict[Slot, dict[Slot, int]]:
        """Per tensor slot its power in each free class of slots, by the class's root."""
        found: dict[Slot, dict[Slot, int]] = {}
        for slot in [*self.parent, *self.quotients]:
            if slot.kind == "tensor" and slot not in found:
                pairs = self.quotients.get(slot, [])
                terms = [(p, s) for out, given in pairs[:1] for p, s in ((out, 1), (given, -1))]
                total: dict[Slot, int] = {}
                for part, sign in [(slot, 1)] if not pairs else terms:
                    root, own = self.find(part)
                    if root not in self.zero:
                        total[root] = total.get(root, 0) + sign * own
                found[slot] = {r: n for r, n in total.items() if n and (self.kind == "scale" or n % 2)}
        return found

    def find(self, slot: Slot) -> tuple[Slot, int]:
        """The root of a slot's class, and the slot's power relative to it."""
        if slot not in self.parent:
            self.parent[slot] = slot, 1
            if not self._may_move(slot):
                self.zero.add(slot)
        sign = 1
        while self.parent[slot][0] != slot:
            slot, step = self.parent[slot]
            sign *= step
        return slot, sign

    # What a rule may ask.

    def record(self, ref: Ref) -> Value | TensorSpec:
        """The record of an operand."""
        return (self.structure.value if ref.kind == "value" else self.structure.tensor)[ref.name]

    def axis(self, ref: Ref, dim: int) -> Axis | None:
        """What runs along a dimension of an operand, if any."""
        axes = self.record(ref).axes
        index = axes[dim] if -len(axes) <= dim < len(axes) else None
        return None if index is None else self.structure.axes[index]

    def on(self, ref: Ref, dim: int) -> dict[int, Slot]:
        """The slots of the hidden groups along one dimension of an operand."""
        axis, rank = self.axis(ref, dim), len(self.record(ref).axes)
        if axis is None:
            return {}
        place = dim % rank if ref.kind == "tensor" else -1
        return {g: Slot(ref.kind, ref.name, g, place) for g in axis.group_ids if g in self.hidden}

    def slots(self, ref: Ref) -> list[Slot]:
        """All slots of an operand."""
        return [s for d in range(len(self.record(ref).axes)) for s in self.on(ref, d).values()]

    # What a rule may say. Slots that an operator's rule says nothing about get the power zero.

    def tie(self, a: Slot, b: Slot, sign: int = 1) -> None:
        """The power of one slot is `sign` times that of another."""
        self.claimed |= {a, b}
        self._unite(a, b, sign)

    def product(self, out: Slot, a: Slot, b: Slot) -> None:
        """The power of `out` is the sum of two. A parameter among the two makes up for the difference."""
        self.claimed |= {out, a, b}
        tensor, other = (a, b) if a.kind == "tensor" else (b, a)
        values = out.kind == other.kind == "value"
        if tensor.kind == "tensor" and values and self._may_move(tensor):
            self.quotients.setdefault(tensor, []).append((out, other))
        else:
            self.products.append((out, a, b))
            for slot in (out, a, b):
                self.find(slot)

    def _step(self, op: Operator) -> None:
        self.claimed = set()
        rule = self.rules.get(op.kind)
        results = [Ref("value", name) for name in op.results]
        if rule is not None and results:
            rule(self, op, results)
        first = op.args[0] if op.args else None
        if op.target.split(".")[1].endswith("_") and isinstance(first, Ref) and results:
            for slot in self.slots(first):  # written in place: operand and result are one
                for other in [s for s in self.slots(results[0]) if s.group == slot.group]:
                    self._unite(slot, other, 1)
        operands = [Ref("value", n) for n in op.refs()] + [Ref("tensor", n) for n in op.refs("tensor")]
        self._pin(s for r in operands + results for s in self.slots(r) if s not in self.claimed)

    def _may_move(self, slot: Slot) -> bool:
        """Of tensors only weights may; and not a value whose group runs along two of its dimensions."""
        if slot.kind == "tensor":
            spec = self.structure.tensor[slot.name]
            return spec.kind == "parameter" and "float" in spec.dtype
        value = self.structure.value[slot.name]
        running = [a for a in value.axes if a is not None and slot.group in self.structure.axes[a].group_ids]
        return "float" in value.dtype and len(running) == 1

    def _pin(self, slots: Iterable[Slot]) -> None:
        self.zero.update([self.find(s)[0] for s in slots])

    def _unite(self, a: Slot, b: Slot, sign: int) -> bool:
        (left, own), (right, other) = self.find(a), self.find(b)
        sign *= own * other
        if left == right:
            if sign == 1 or left in self.zero or self.kind == "sign":  # c = 1 / c for a sign
                return False
            self.zero.add(left)
            return True
        self.parent[right] = left, sign
        if right in self.zero:
            self.zero.add(left)
        return True

    def _resolve(self) -> None:
        """Make all products and quotients hold. Where two free activations meet in a product, the second is
        pinned: one of several choices."""
        for tensor, uses in self.quotients.items():
            if len(uses) > 1 or tensor in self.parent:
                self._pin([tensor])
                for out, given in uses:
                    self._unite(out, given, 1)
        while True:
            changed = [self._settle(*relation) for relation in self.products]
            if any(changed):
                continue
            free = [r for r in self.products if not any(self.find(s)[0] in self.zero for s in r)]
            if not free:
                return
            self._pin([free[0][2]])

    def _settle(self, out: Slot, a: Slot, b: Slot) -> bool:
        """Draw the conclusion that a product allows, if there is a new one."""
        roots = [self.find(s) for s in (out, a, b)]
        pinned = [root in self.zero for root, _ in roots]
        if all(pinned):
            return False
        if any(pinned):
            if pinned[0]:
                return self._unite(a, b, -1)
            return self._unite(out, a if pinned[2] else b, 1)
        for i, j, rest in ((0, 1, b), (0, 2, a), (1, 2, out)):
            if roots[i][0] == roots[j][0]:
                equal = roots[i][1] == roots[j][1] or self.kind == "sign"
                fits = equal if i == 0 else (not equal or self.kind == "sign")
                self._pin([rest] if fits else [out, a, b])
                return True
        return False
