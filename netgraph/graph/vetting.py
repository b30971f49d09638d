"""What a structure may hold before it is turned into Python code.

`torch.fx` writes a program out as source text and runs it, and torch's pytree specifications can name a
module to import. A structure may come from a file of unknown origin, so every text that ends up in either is
checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from keyword import iskeyword
from typing import Any, NoReturn

import torch

from netgraph.errors import GraphError
from netgraph.graph.structure import Structure, TorchConstant

_CONSTANTS = {"dtype": torch.dtype, "layout": torch.layout, "memory_format": torch.memory_format}


def vet(structure: Structure) -> None:
    """Check that building a module from a structure can run nothing but its operators.

    Raises:
        GraphError: a name would break out of the generated source, a torch constant is none, or a call
            specification asks for an import.
    """
    for name in {*structure.tensor, *structure.order, *(a for pair in structure.aliases for a in pair)}:
        if not all(name.split(".")) or not name.isprintable() or '"' in name or "\\" in name:
            _refuse(f"tensor name {name!r}", "dotted, printable, without quotes and backslashes")
    for op in structure.operators:
        for key, _ in op.kwargs:
            _identifier(f"keyword {key!r} of operator {op.name!r}", key)
        for constant in _constants((op.args, op.kwargs)):
            _check_constant(constant)
    for constant in _constants(structure.outputs):
        _check_constant(constant)
    for spec in (structure.in_spec, structure.out_spec):
        if spec:
            vet_spec(spec)
    if structure.in_spec:
        vet_call(structure.in_spec)


def _refuse(what: str, expected: str) -> NoReturn:
    raise GraphError(f"program: {what} is refused; expected it to be {expected}")


def _identifier(what: str, text: object) -> None:
    if not isinstance(text, str) or not text.isidentifier() or iskeyword(text):
        _refuse(what, "a Python identifier")


def _constants(items: tuple[Any, ...]) -> Iterator[TorchConstant]:
    for item in items:
        if isinstance(item, TorchConstant):
            yield item
        elif isinstance(item, tuple):
            yield from _constants(item)


def _check_constant(constant: TorchConstant) -> None:
    if constant.kind == "device":
        try:
            torch.device(constant.name)
        except RuntimeError:
            _refuse(f"device {constant.name!r}", "a device of torch, such as 'cpu'")
    elif not isinstance(getattr(torch, constant.name, None), _CONSTANTS[constant.kind]):
        _refuse(f"constant {constant.name!r}", f"a torch.{constant.kind}")


def vet_spec(text: str) -> None:
    """A specification is `[1, node]`, a node `{type, context, children_spec}`; contexts are JSON again."""
    try:
        version, root = json.loads(text)
        nodes = [root]
        while nodes:
            node = nodes.pop()
            context = node["context"]
            if node["type"] == "collections.defaultdict":
                _refuse("a defaultdict in a call specification", "a dict: its factory would be imported")
            if not isinstance(context, str | None) or "__enum__" in str(_loads(context)):
                _refuse("an enum in a call specification", "a string: its class would be imported")
            nodes.extend(node["children_spec"])
    except (ValueError, TypeError, KeyError, RecursionError):
        _refuse(f"call specification {text[:60]!r}", "what torch.utils._pytree.treespec_dumps writes")
    if version != 1:
        _refuse(f"call specification of version {version!r}", "of version 1")


def vet_call(text: str) -> None:
    """The names of keyword arguments become parameters of the generated function."""
    children = json.loads(text)[1]["children_spec"]
    if len(children) != 2 or children[1]["type"] != "builtins.dict":
        _refuse(f"call specification {text[:60]!r}", "a tuple of positional and a dict of keyword arguments")
    keys = _loads(children[1]["context"])
    if not isinstance(keys, list):
        _refuse(f"call specification {text[:60]!r}", "one that lists its keyword arguments")
    for key in keys:
        _identifier(f"argument name {key!r}", key)


def _loads(context: str | None) -> object:
    """Contexts are JSON, except a named tuple's, which is the plain name of its registered type."""
    try:
        return None if context is None else json.loads(context)
    except ValueError:
        return context
