"""Stand-ins for the modules that a cut leaves out, so that a residual network keeps its class."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from netgraph.graph import Branch, Operator, Ref, Structure
from netgraph.graph.flow import Flow

Passes = Literal["input", "zeros"]


@final
class Skipped(nn.Module):
    """Stands where a module was that a cut left out.

    Args:
        passes: `"input"` passes the first tensor on, which leaves an identity; `"zeros"` gives as many zeros,
            so that what they are added to stays as it is.
        extras: what else the module returned, as None; without any, the tensor is returned alone.

    Numbers, flags and names that were attributes of the module stay, since its callers may read them.

    >>> Skipped("zeros")(torch.ones(2)), Skipped("input", extras=1)(torch.ones(2))
    (tensor([0., 0.]), (tensor([1., 1.]), None))
    """

    def __init__(self, passes: Passes, extras: int = 0) -> None:
        super().__init__()
        self._passes: Passes = passes
        self._extras = extras

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The first tensor among the arguments, or zeros like it."""
        first = next(a for a in (*args, *kwargs.values()) if isinstance(a, Tensor))
        found = first if self._passes == "input" else torch.zeros_like(first)
        return (found, *[None] * self._extras) if self._extras else found

    def extra_repr(self) -> str:
        return self._passes


def left_out(
    module: nn.Module,
    structure: Structure,
    rest: Structure,
    branches: Iterable[Branch],
    inputs: tuple[tuple[Any, ...], dict[str, Any]],
) -> dict[str, Skipped]:
    """What takes the place of which submodule, by path.

    A submodule goes if none of its operators is left. The last one of each branch gives zeros; the others,
    and whole blocks together with their sums, pass their input on.

    Args:
        module: a copy of the module, whole; it is run once, to see what its submodules return.
        structure: its structure.
        rest: the structure without the branches.
        branches: what is left out.
        inputs: positional and keyword arguments.
    """
    live = Flow(structure).alive
    left = {op.name for op in rest.operators}
    # what nothing reads (an assertion, say) or changes nothing (a cast to its own type) keeps no module alive
    alive = {
        path
        for i, op in enumerate(structure.operators)
        if op.name in left and i in live and not _idle_cast(structure, op)
        for path in _around(op.module)
    }
    extras = {path: count for path, count in _extras(module, inputs).items() if path not in alive}
    silent = {_last(structure, branch, extras) for branch in branches}
    found = {}
    for op in structure.operators:
        path = None if op.name in left else _outermost(op.module, extras)
        if path is None or path in found:
            continue
        found[path] = stand_in = Skipped("zeros" if path in silent else "input", extras[path])
        for name, value in vars(module.get_submodule(path)).items():
            if not name.startswith("_") and isinstance(value, (bool, int, float, str, tuple, type(None))):
                setattr(stand_in, name, value)
    return found


def put(module: nn.Module, stand_ins: Mapping[str, Skipped]) -> None:
    """Replace submodules, under every name that they have."""
    gone = {id(module.get_submodule(path)): s for path, s in stand_ins.items()}
    for owner in list(module.modules()):
        for name, child in list(owner.named_children()):
            if id(child) in gone:
                setattr(owner, name, gone[id(child)])


def _idle_cast(structure: Structure, op: Operator) -> bool:
    if op.kind != "to" or not isinstance(op.args[0], Ref) or op.args[0].kind != "value":
        return False
    return structure.value[op.args[0].name].dtype == structure.value[op.results[0]].dtype


def _around(path: str) -> list[str]:
    parts = path.split(".") if path else []
    return ["", *(".".join(parts[: i + 1]) for i in range(len(parts)))]


def _outermost(path: str, idle: Container[str]) -> str | None:
    """The largest module around an operator in which nothing lives on."""
    return next((p for p in _around(path) if p in idle), None)


def _last(structure: Structure, branch: Branch, idle: Container[str]) -> str | None:
    """The module that computes the end of a branch; None if it goes together with the sum."""
    join = next(op.module for op in structure.operators if op.name == branch.join)
    names = set(branch.operators)
    places = (_outermost(op.module, idle) for op in reversed(structure.operators) if op.name in names)
    last = next((path for path in places if path is not None), None)
    return None if last in _around(join) else last


def _extras(module: nn.Module, inputs: tuple[tuple[Any, ...], dict[str, Any]]) -> dict[str, int]:
    """The submodules that are called and return a tensor: how many values come after it."""
    found: dict[str, int] = {}

    def see(path: str, output: Any) -> None:
        values = output if isinstance(output, tuple) else (output,)
        if values and isinstance(values[0], Tensor):
            found[path] = len(values) - 1

    for path, child in module.named_modules(remove_duplicate=False):
        child.register_forward_hook(lambda *given, path=path: see(path, given[-1]))
    args, kwargs = inputs
    with torch.no_grad():
        module.eval()(*args, **kwargs)
    return found


__all__ = ["Skipped", "left_out", "put"]
