"""Structures as JSON: exact in every record, and deaf to everything else."""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netgraph.errors import GraphFileError
from netgraph.graph import (
    Ref,
    Size,
    Structure,
    TorchConstant,
    decode_structure,
    encode_structure,
)
from tests.graph.networks import NETWORKS, by_hand, graph

S = by_hand().structure
CONSTANTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.complex_numbers(allow_nan=True)
    | st.text()
    | st.builds(Ref, st.sampled_from(["value"]), st.just("x"))
    | st.builds(Ref, st.just("tensor"), st.sampled_from(["a.bias", "a.weight"]))
    | st.builds(Ref, st.just("training"))
    | st.builds(Size, st.integers(0, 9), st.just("n"))
    | st.builds(TorchConstant, st.just("dtype"), st.sampled_from(["float32", "bool"])),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=12,
)


def through_json(structure: Structure) -> Structure:
    return decode_structure(json.loads(json.dumps(encode_structure(structure))))


def with_constant(item: object) -> Structure:
    op = replace(S.operators[0], args=(*S.operators[0].args, item), kwargs=(("k", item),))
    return replace(S, operators=(op, *S.operators[1:]))


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip_of_networks(name: str) -> None:
    structure = graph(name).structure
    again = through_json(structure)
    assert again == structure
    assert repr(again) == repr(structure)
    assert hash(again) == hash(structure)


@given(CONSTANTS)
def test_round_trip_of_constants(item: object) -> None:
    structure = with_constant(item)
    again = through_json(structure)
    assert again == structure
    assert repr(again.operators[0].args[-1]) == repr(item)


EXACT = [
    math.inf,
    -math.inf,
    math.nan,
    -0.0,
    0.1,
    1e300,
    5e-324,
    True,
    1,
    1.0,
    (),
    ((),),
    "",
    "\x00\u2028é",
    None,
]


@pytest.mark.parametrize("item", [*EXACT, complex(math.nan, -0.0), complex(math.inf, 1.5)], ids=repr)
def test_constants_keep_type_and_bits(item: object) -> None:
    again = through_json(with_constant(item)).operators[0].args[-1]
    assert type(again) is type(item)
    assert repr(again) == repr(item)


def test_plain_data() -> None:
    data = encode_structure(with_constant(math.nan))
    text = json.dumps(data, allow_nan=False)  # strict JSON, which other languages read too
    assert data["format"] == "netgraph"
    assert data["version"] == 1
    assert data["operators"][0][2] == [
        {"ref": ["value", "x"]},
        {"ref": ["tensor", "a.weight"]},
        {"ref": ["tensor", "a.bias"]},
        {"float": "nan"},
    ]
    assert len(text) < 2000


UNKNOWN: dict[str, object] = {
    "list": [1],
    "bytes": b"x",
    "function": print,
    "numpy integer": np.int64(3),
    "numpy float": np.float64(3),
    "wide integer": 2**63,
    "set": frozenset({1}),
    "deep": ({"a": 1},),
}


@pytest.mark.parametrize("item", UNKNOWN.values(), ids=UNKNOWN)
def test_encoding_refuses_what_would_not_come_back(item: object) -> None:
    with pytest.raises(GraphFileError, match=r"operators\[0\].args.*cannot hold it"):
        encode_structure(with_constant(item))


def test_encoding_refuses_numpy_sizes() -> None:
    spec = replace(S.tensors[0], shape=(np.int64(3), 2))
    with pytest.raises(GraphFileError, match=r"tensors\[0\].shape\[0\]: expected a size"):
        encode_structure(replace(S, tensors=(spec, *S.tensors[1:])))


Edit = Callable[[dict[str, Any]], object]


def put(*path: Any) -> Edit:
    *steps, last, value = path

    def edit(data: dict[str, Any]) -> None:
        target: Any = data
        for step in steps:
            target = target[step]
        target[last] = value

    return edit


def nested(depth: int) -> list[Any]:
    out: list[Any] = []
    for _ in range(depth):
        out = [out]
    return out


DAMAGED: dict[str, tuple[Edit, str]] = {
    "other format": (put("format", "onnx"), "expected the structure of a neural graph"),
    "no format": (lambda d: d.pop("format"), "expected the structure of a neural graph"),
    "newer version": (put("version", 2), "expected format version 1, got 2"),
    "version as text": (put("version", "1"), "expected format version 1"),
    "version as a truth": (put("version", True), "expected format version 1"),
    "no version": (lambda d: d.pop("version"), "expected format version 1, got None"),
    "missing field": (lambda d: d.pop("axes"), "expected the fields"),
    "unknown field": (put("more", 1), "expected the fields"),
    "groups are a dict": (put("groups", {}), "groups: expected a list"),
    "group is a text": (put("groups", 0, "hidden"), r"groups\[0\]: expected a list of 3"),
    "group too short": (lambda d: d["groups"][0].pop(), r"groups\[0\]: expected a list of 3"),
    "group name": (put("groups", 0, 0, 7), r"groups\[0\].name: expected a string"),
    "group size": (put("groups", 0, 1, 2.0), r"groups\[0\].size: expected a size"),
    "group size below zero": (put("groups", 0, 1, -2), r"groups\[0\].size: expected a size"),
    "group size is a truth": (put("groups", 0, 1, True), r"groups\[0\].size: expected a size"),
    "group role": (put("groups", 0, 2, "king"), r"groups\[0\].role: expected one of"),
    "segment": (put("axes", 0, 0, 0, 1, None), r"axes\[0\].segments\[0\].start: expected a size"),
    "tensor kind": (put("tensors", 0, 3, "secret"), r"tensors\[0\].kind"),
    "tensor axis": (put("tensors", 0, 4, 0, "1"), r"tensors\[0\].axes\[0\]: expected a size"),
    "tensor flag": (put("tensors", 0, 7, 1), r"tensors\[0\].persistent: expected true or false"),
    "value shape": (put("values", 0, 1, 0, [1]), r"values\[0\].shape\[0\]: expected a list of 2 for a Size"),
    "target": (put("operators", 0, 1, 3), r"operators\[0\].target: expected a string"),
    "arguments": (put("operators", 0, 2, "x"), r"operators\[0\].args: expected a list"),
    "unknown record": (put("operators", 0, 2, 0, {"eval": "1"}), r"expected a constant or one of"),
    "two tags": (put("operators", 0, 2, 0, {"ref": ["value", "x"], "size": [1, "n"]}), "expected a constant"),
    "empty object": (put("operators", 0, 2, 0, {}), "expected a constant or one of"),
    "reference kind": (put("operators", 0, 2, 0, {"ref": ["file", "x"]}), "expected one of"),
    "float": (put("operators", 0, 2, 0, {"float": "1.5"}), "expected a constant"),
    "float as a list": (put("operators", 0, 2, 0, {"float": []}), "expected a constant"),
    "bare infinity": (put("operators", 0, 2, 0, math.inf), "expected a constant"),
    "complex": (put("operators", 0, 2, 0, {"complex": [1.0]}), "expected two floats"),
    "complex of integers": (put("operators", 0, 2, 0, {"complex": [1, 2]}), "expected two floats"),
    "wide integer": (put("operators", 0, 2, 0, 2**64), "integer of 64 bits"),
    "keywords": (put("operators", 0, 3, [["k"]]), r"kwargs: expected a list of \[name, constant\]"),
    "keyword name": (put("operators", 0, 3, [[1, 2]]), r"kwargs: expected a list of \[name, constant\]"),
    "alias": (put("aliases", [["a"]]), r"aliases\[0\]: expected a pair"),
    "spec": (put("in_spec", None), "in_spec: expected a string"),
    "outputs": (put("outputs", "y"), "outputs: expected a list"),
    "nested without end": (lambda d: d.update(outputs=nested(100_000)), "nested too deep"),
    "invalid structure": (put("groups", 0, 1, 1), "takes nodes"),
    "unsafe structure": (put("operators", 0, 3, [["a b", 1]]), "keyword 'a b'"),
    "unsafe specification": (put("in_spec", "[]"), "call specification"),
}


@pytest.mark.parametrize(("edit", "message"), DAMAGED.values(), ids=DAMAGED)
def test_decoding_refuses(edit: Edit, message: str) -> None:
    data = copy.deepcopy(encode_structure(S))
    edit(data)
    with pytest.raises(GraphFileError, match=message) as caught:
        decode_structure(data)
    assert str(caught.value).startswith("decode_structure: ")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("data", [None, 3, "netgraph", [], {}, {"format": 1}], ids=repr)
def test_decoding_refuses_other_data(data: object) -> None:
    with pytest.raises(GraphFileError, match="expected the structure of a neural graph"):
        decode_structure(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_decoding_anything_raises_one_error(data: st.DataObject) -> None:
    encoded = encode_structure(S)
    places: list[tuple[Any, Any]] = []
    stack: list[Any] = [encoded]
    while stack:
        item = stack.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item))
        places += [(item, key) for key in keys]
        stack += [item[key] for key in keys if isinstance(item[key], dict | list)]
    holder, key = data.draw(st.sampled_from(places))
    before, after = holder[key], data.draw(JSON)
    holder[key] = after
    try:
        decoded = decode_structure(encoded)
    except GraphFileError:
        return
    holder[key] = before
    assert decoded != S or repr(after) == repr(before) or after == before
    decoded.validate()
