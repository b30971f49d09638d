"""Which operators of a program matter for its outputs, in-place writes and buffers included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import final

from netgraph.errors import GraphError
from netgraph.graph.program import resolve
from netgraph.graph.structure import Operator, Ref, Structure

__all__ = ["Flow"]

_MAY_RETURN_ITS_INPUT = {"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"}


@final
class Flow:
    """The flow of data through a program.

    Attributes:
        maker: per value the position of the operator that makes it; inputs have none.
        owners: per value the values whose storage it may share, itself included. Only values that were there
            before it count, so that a write into it is a write into all of them.

    >>> from netgraph.graph import Operator, Ref
    >>> x, y = Ref("value", "x"), Ref("value", "y")
    >>> double = Operator("double", "aten.add.Tensor", (x, x), (), ("y",))
    >>> cut = Operator("cut", "aten.relu_.default", (y,), (), ("z",))
    >>> flow = Flow(Structure((), (), (), operators=(double, cut), inputs=("x",), outputs=(y,)))
    >>> sorted(flow.owners["z"]), sorted(flow.alive)  # z is not read, but cut writes into y, which is
    (['y', 'z'], [0, 1])
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.maker = {name: i for i, op in enumerate(structure.operators) for name in op.results}
        self._reads = [tuple(op.refs()) for op in structure.operators]
        self._tensors = [tuple(op.refs("tensor")) for op in structure.operators]
        self.owners: dict[str, frozenset[str]] = {name: frozenset({name}) for name in structure.inputs}
        self._writers: dict[str, list[int]] = defaultdict(list)
        self._hosted: dict[int | None, list[int]] = defaultdict(list)
        self._touching: dict[str, list[int]] = defaultdict(list)
        self._effects: set[int] = set()
        hosts: dict[str, int] = {}
        for i, op in enumerate(structure.operators):
            shared = self._shared(i, op)
            for name in op.results:
                self.owners[name] = shared | {name}
            target = written(op)
            if target is not None and target.kind == "value":
                for name in self.owners[target.name]:
                    self._writers[name].append(i)
            if target is not None and target.kind == "tensor":
                self._effects.add(i)
                self._hosted[hosts.get(op.module)].append(i)
                for name in self._tensors[i]:
                    self._touching[name].append(i)
            elif op.results:
                hosts[op.module] = i

    def _shared(self, i: int, op: Operator) -> frozenset[str]:
        target = written(op)
        if target is not None:
            return self.owners[target.name] if target.kind == "value" else frozenset()
        if not _is_view(op):
            return frozenset()
        return frozenset().union(*(self.owners[name] for name in self._reads[i]))

    def ancestors(self, value: str) -> frozenset[str]:
        """The values that a value is computed from, itself included."""
        found, pending = {value}, [value]
        while pending:
            made = self.maker.get(pending.pop())
            fresh = set(self._reads[made]) - found if made is not None else set()
            found |= fresh
            pending += fresh
        return frozenset(found)

    @cached_property
    def alive(self) -> frozenset[int]:
        """`live` as the program stands."""
        return self.live({})

    def live(self, bypass: Mapping[str, str]) -> frozenset[int]:
        """Positions of the operators that the outputs depend on.

        An operator that writes into a buffer (a count of batches) lives with the operator before it in the
        same module, and with whatever else reads that buffer.

        Args:
            bypass: operators, by name, that only pass a value on: the name of that value.
        """
        operators = self.structure.operators
        found: set[int] = set()
        seen: set[str] = set()
        pending = list(self._hosted[None]) if None in self._hosted else []
        names = [o.name for o in self.structure.outputs if isinstance(o, Ref) and o.kind == "value"]
        for o in self.structure.outputs:
            if isinstance(o, Ref) and o.kind == "tensor":
                pending += self._touching.get(o.name, [])
        while pending or names:
            if names:
                name = names.pop()
                if name in seen:
                    continue
                seen.add(name)
                pending += [i for i in self._writers.get(name, []) if operators[i].name not in bypass]
                if name in self.maker:
                    pending.append(self.maker[name])
                continue
            i = pending.pop()
            if i in found:
                continue
            found.add(i)
            passed = bypass.get(operators[i].name)
            names += self._reads[i] if passed is None else [passed]
            pending += self._hosted.get(i, [])
            if i not in self._effects:
                for name in self._tensors[i]:
                    pending += self._touching.get(name, [])
        return frozenset(found)


def written(op: Operator) -> Ref | None:
    """What an operator writes in place, by torch's convention of a trailing underscore: its first operand."""
    name = op.target.split(".")[1]
    if not name.endswith("_") or name.endswith("__") or not op.args:
        return None
    first = op.args[0]
    return first if isinstance(first, Ref) and first.kind != "training" else None


def _is_view(op: Operator) -> bool:
    if op.kind in _MAY_RETURN_ITS_INPUT:
        return True
    try:
        return any(r.alias_info is not None for r in resolve(op.target)._schema.returns)
    except GraphError:  # an operator of another torch: the program cannot run here anyway
        return True
