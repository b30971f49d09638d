"""A structure as plain JSON data, and back: what graph files and interchange formats carry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, NoReturn

from netgraph.errors import GraphError, GraphFileError
from netgraph.graph.axis import Axis, Segment
from netgraph.graph.structure import (
    Group,
    Operator,
    Ref,
    Size,
    Structure,
    Symbol,
    TensorSpec,
    TorchConstant,
    Value,
)
from netgraph.graph.vetting import vet

FORMAT: Final = "netgraph"
VERSION: Final = 1


def encode_structure(structure: Structure) -> dict[str, Any]:
    """A structure as a dict of lists, strings, numbers, booleans and None, ready for `json.dumps`.

    Records become lists in the order of their fields. Among an operator's constants a list is a tuple, and
    what JSON does not know is an object of one key: `ref`, `size`, `torch`, `float` (inf, nan), `complex`.

    Raises:
        GraphFileError: the structure holds a constant of a type that the format does not know.

    >>> from netgraph.graph import Group, Structure
    >>> encode_structure(Structure((Group("fc", 3),), (), ()))["groups"]
    [['fc', 3, 'hidden']]
    """
    try:
        return {"format": FORMAT, "version": VERSION, **_STRUCTURE.encode_fields(structure)}
    except _Mismatch as error:
        raise GraphFileError(f"encode_structure: {error}; a graph file cannot hold it") from None


def decode_structure(data: object) -> Structure:
    """The structure that `encode_structure` wrote, equal in every record; what comes out is valid.

    Only the records of `netgraph.graph.structure` can come out of it, so data of unknown origin is safe to
    decode.

    Raises:
        GraphFileError: no netgraph data, another version, a record of the wrong type, an invalid structure.

    >>> from netgraph.graph import Group, Structure
    >>> decode_structure(encode_structure(Structure((Group("fc", 3),), (), ()))).groups
    (Group(name='fc', size=3, role='hidden'),)
    """
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise GraphFileError(
            "decode_structure: expected the structure of a neural graph, got something else; "
            "save it with netgraph.save_graph"
        )
    version = data.get("version")
    if version != VERSION or isinstance(version, bool):
        raise GraphFileError(
            f"decode_structure: expected format version {VERSION}, got {str(version)[:20]}; "
            "read it with the version of netgraph that wrote it, or save it again"
        )
    try:
        structure: Structure = _STRUCTURE.decode_fields(
            {k: v for k, v in data.items() if k not in {"format", "version"}}
        )
        structure.validate()
        vet(structure)
    except _Mismatch as error:
        raise GraphFileError(f"decode_structure: {error}; the data is corrupt") from None
    except GraphError as error:
        raise GraphFileError(f"decode_structure: the structure is corrupt: {error}") from None
    except RecursionError:
        raise GraphFileError("decode_structure: constants are nested too deep; the data is corrupt") from None
    return structure


class _Mismatch(Exception):
    """Where in the data (built up from the inside) and what was expected there."""

    def __init__(self, problem: str, place: str = "") -> None:
        super().__init__(f"{place.lstrip('.')}: {problem}" if place else problem)
        self.problem, self.place = problem, place

    def inside(self, place: str) -> _Mismatch:
        return _Mismatch(self.problem, place + self.place)


def _fail(expected: str, got: object) -> NoReturn:
    raise _Mismatch(f"expected {expected}, got {repr(got)[:40]} ({type(got).__name__})")


@dataclass(frozen=True)
class _Codec:
    """A pair of inverse functions; both refuse what is not of their type."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _scalar(kind: type, expected: str, accept: Callable[[Any], bool] = lambda _: True) -> _Codec:
    def same(item: object) -> object:
        # The exact type: True is no integer here, and a subclass would not come back as itself.
        return item if type(item) is kind and accept(item) else _fail(expected, item)

    return _Codec(same, same)


def _optional(inner: _Codec) -> _Codec:
    return _Codec(
        lambda item: None if item is None else inner.encode(item),
        lambda item: None if item is None else inner.decode(item),
    )


def _many(inner: _Codec) -> _Codec:
    def each(function: Callable[[Any], Any], items: tuple[Any, ...] | list[Any]) -> list[Any]:
        out = []
        for i, item in enumerate(items):
            try:
                out.append(function(item))
            except _Mismatch as error:
                raise error.inside(f"[{i}]") from None
        return out

    return _Codec(
        lambda item: each(inner.encode, item) if isinstance(item, tuple) else _fail("a tuple", item),
        lambda item: tuple(each(inner.decode, item)) if isinstance(item, list) else _fail("a list", item),
    )


@dataclass(frozen=True)
class _Record:
    """A record as the list of its fields."""

    kind: type
    parts: tuple[_Codec, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (
            tuple(f.name for f in fields(self.kind)) if is_dataclass(self.kind) else self.kind._fields  # type: ignore[attr-defined]
        )

    def encode_fields(self, item: object) -> dict[str, Any]:
        if type(item) is not self.kind:
            _fail(f"a {self.kind.__name__}", item)
        return {
            name: self._at(name, part.encode, getattr(item, name))
            for name, part in zip(self.names, self.parts, strict=True)
        }

    def decode_fields(self, items: Mapping[str, object]) -> Any:
        if set(items) != set(self.names):
            _fail(f"the fields {list(self.names)} of a {self.kind.__name__}", sorted(map(str, items)))
        return self.kind(
            *(
                self._at(name, part.decode, items[name])
                for name, part in zip(self.names, self.parts, strict=True)
            )
        )

    @staticmethod
    def _at(name: str, function: Callable[[Any], Any], item: object) -> Any:
        try:
            return function(item)
        except _Mismatch as error:
            raise error.inside(f".{name}") from None


def _record(kind: type, *parts: _Codec) -> _Codec:
    record = _Record(kind, parts)

    def decode(item: object) -> Any:
        if not isinstance(item, list) or len(item) != len(parts):
            _fail(f"a list of {len(parts)} for a {kind.__name__}", item)
        return record.decode_fields(dict(zip(record.names, item, strict=True)))

    return _Codec(lambda item: list(record.encode_fields(item).values()), decode)


def _choice(*names: str) -> _Codec:
    return _scalar(str, f"one of {list(names)}", lambda item: item in names)


_text = _scalar(str, "a string")
_flag = _scalar(bool, "true or false")
_number = _scalar(int, "an integer of 64 bits", lambda item: -(2**63) <= item < 2**63)
_count = _scalar(int, "a size", lambda item: 0 <= item < 2**63)

_SIZE = _record(Size, _count, _text)
_TAGGED: Final[Mapping[str, tuple[type, _Codec]]] = {
    "ref": (Ref, _record(Ref, _choice("value", "tensor", "training"), _text)),
    "size": (Size, _SIZE),
    "torch": (
        TorchConstant,
        _record(TorchConstant, _choice("dtype", "device", "layout", "memory_format"), _text),
    ),
    "float": (
        float,
        _Codec(repr, lambda item: float(item) if item in ("inf", "-inf", "nan") else None),
    ),
    "complex": (
        complex,
        _Codec(
            lambda item: [_encode_constant(item.real), _encode_constant(item.imag)],
            lambda item: _decode_complex(item),
        ),
    ),
}
_TAGS: Final = {kind: (tag, codec) for tag, (kind, codec) in _TAGGED.items()}


def _encode_constant(item: object) -> Any:
    if item is None or type(item) in (bool, str):
        return item
    if type(item) is int:
        return _number.encode(item)
    if type(item) is float and math.isfinite(item):
        return item
    if type(item) in _TAGS:
        tag, codec = _TAGS[type(item)]
        return {tag: codec.encode(item)}
    if type(item) is tuple:
        return [_encode_constant(part) for part in item]
    _fail("None, a bool, a number, a string, a record of the program, or a tuple of these", item)


def _decode_constant(item: object) -> Any:
    if item is None or type(item) in (bool, str) or (type(item) is float and math.isfinite(item)):
        return item
    if type(item) is int:
        return _number.decode(item)
    if isinstance(item, list):
        return tuple(_decode_constant(part) for part in item)
    if isinstance(item, dict) and len(item) == 1:
        tag, content = next(iter(item.items()))
        if tag in _TAGGED and (decoded := _TAGGED[tag][1].decode(content)) is not None:
            return decoded
    _fail(f"a constant or one of {list(_TAGGED)}", item)


def _decode_complex(item: object) -> complex:
    if isinstance(item, list) and len(item) == 2:
        parts = [_decode_constant(part) for part in item]
        if all(type(part) is float for part in parts):
            return complex(*parts)
    _fail("two floats", item)


_dimension = _Codec(
    lambda item: _SIZE.encode(item) if isinstance(item, Size) else _count.encode(item),
    lambda item: _SIZE.decode(item) if isinstance(item, list) else _count.decode(item),
)
_constants = _Codec(
    lambda item: _encode_constant(item) if type(item) is tuple else _fail("a tuple", item),
    lambda item: _decode_constant(item) if isinstance(item, list) else _fail("a list", item),
)


def _keyword_tuple(item: object) -> tuple[tuple[str, Any], ...]:
    if not isinstance(item, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in item
    ):
        _fail("a list of [name, constant]", item)
    return tuple((name, _decode_constant(value)) for name, value in item)


_axes = _many(_optional(_count))
_place = _optional(_count)
_pair = _Codec(
    lambda item: [_text.encode(part) for part in item],
    lambda item: (
        tuple(map(_text.decode, item)) if isinstance(item, list) and len(item) == 2 else _fail("a pair", item)
    ),
)

_STRUCTURE: Final = _Record(
    Structure,
    (
        _many(_record(Group, _text, _count, _choice("hidden", "input", "output", "fixed"))),
        _many(_record(Axis, _many(_record(Segment, _count, _count, _count, _count)))),
        _many(
            _record(
                TensorSpec,
                _text,
                _many(_count),
                _text,
                _choice("parameter", "buffer", "constant"),
                _axes,
                _place,
                _place,
                _flag,
                _flag,
            )
        ),
        _many(_record(Value, _text, _many(_dimension), _text, _axes)),
        _many(
            _record(
                Operator,
                _text,
                _text,
                _constants,
                _Codec(_encode_constant, _keyword_tuple),
                _many(_text),
                _flag,
                _text,
            )
        ),
        _many(_text),
        _constants,
        _many(_record(Symbol, _text, _text, _count, _count)),
        _many(_pair),
        _many(_text),
        _text,
        _text,
    ),
)
"""The fixed list of what decoding may create: these records, and nothing else."""
