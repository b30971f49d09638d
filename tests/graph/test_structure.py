"""Structures: equality, lookups, joins, and what `validate` refuses."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from netgraph.errors import GraphError
from netgraph.graph import (
    Axis,
    Group,
    Operator,
    Ref,
    Segment,
    Size,
    Structure,
    Symbol,
    TensorSpec,
    Value,
    dtype_name,
    to_dtype,
)
from tests.graph.networks import NETWORKS, by_hand, graph

S = by_hand().structure


@pytest.mark.parametrize("name", NETWORKS)
def test_converted_networks_are_valid(name: str) -> None:
    graph(name).validate()


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_hold_every_weight_once(name: str) -> None:
    structure = graph(name).structure
    for spec in structure.tensors:
        edges = sum(b.edges for b in structure.blocks if b.tensor == spec.name)
        assert edges * spec.taps == (spec.numel if spec.placement == "block" else 0)


def test_equality_is_that_of_all_records() -> None:
    assert by_hand().structure == S
    assert hash(by_hand().structure) == hash(S)
    assert replace(S, in_spec="x") != S
    assert S != "structure"


def test_equality_tells_what_tuples_do_not() -> None:
    def constant(item: object) -> Structure:
        return replace(S, outputs=(item,))

    assert constant(float("nan")) == constant(math.nan)
    assert constant(0.0) != constant(-0.0)
    assert constant(1) != constant(True)


def test_lookups() -> None:
    assert S.group_index == {"in": 0, "hidden": 1, "out": 2}
    assert S.offsets == (0, 2, 5, 6)
    assert (S.num_nodes, S.num_edges) == (6, 9)
    assert S.axis_of(S.tensor["a.weight"], 0) is S.axes[1]
    with pytest.raises(GraphError, match="runs over no nodes"):
        S.axis_of(S.value["x"], 0)


def test_placements() -> None:
    scalar = TensorSpec("t", (), "int64", "buffer", ())
    assert scalar.placement == "graph"
    assert S.tensor["a.bias"].placement == "node"
    assert S.tensor["a.weight"].placement == "block"
    assert TensorSpec("t", (4, 3, 5, 2), "float32", "parameter", (0, 1, None, None), 0, 1).taps == 10
    assert TensorSpec("t", (4, 3), "float32", "parameter", (0, None), 0, 0).taps == 3


def test_joins_of_concat_and_add() -> None:
    structure = graph("concat").structure
    found = [(j.kind, {structure.groups[g].name for g in j.groups}) for j in structure.joins]
    assert found == [("concat", {"left", "right"}), ("add", {"right"})]


def test_refs_walk_nested_arguments() -> None:
    op = Operator(
        "c",
        "aten.cat.default",
        ((Ref("value", "a"), Ref("value", "b")), 1),
        (("out", Ref("tensor", "t")),),
        (),
    )
    assert list(op.refs()) == ["a", "b"]
    assert list(op.refs("tensor")) == ["t"]
    assert op.kind == "cat"
    assert replace(op, target="aten.add_.Tensor").kind == "add"


def operator(**changes: object) -> Structure:
    return replace(S, operators=(replace(S.operators[0], **changes), *S.operators[1:]))


def tensor(**changes: object) -> Structure:
    return replace(S, tensors=(replace(S.tensors[0], **changes), *S.tensors[1:]))


def axis(*segments: Segment) -> Structure:
    return replace(S, axes=(Axis(segments), *S.axes[1:]))


BROKEN: dict[str, tuple[Callable[[], Structure], str]] = {
    "two groups of one name": (lambda: replace(S, groups=(*S.groups, Group("in", 2))), "unique"),
    "two tensors of one name": (lambda: replace(S, tensors=(*S.tensors, S.tensors[0])), "unique"),
    "two values of one name": (lambda: replace(S, values=(*S.values, S.values[0])), "unique"),
    "two operators of one name": (
        lambda: replace(S, operators=(*S.operators, replace(S.operators[0], results=()))),
        "unique",
    ),
    "two inputs of one name": (lambda: replace(S, inputs=("x", "x")), "unique"),
    "two symbols of one name": (lambda: replace(S, symbols=S.symbols * 2), "unique"),
    "a key twice": (lambda: replace(S, order=(*S.order, "a.bias")), "unique"),
    "unknown group": (lambda: axis(Segment(9, 0, 2)), "names group 9"),
    "negative group": (lambda: axis(Segment(-1, 0, 1)), "names group -1"),
    "segment past the end": (lambda: axis(Segment(0, 1, 2)), "takes nodes"),
    "segment before the start": (lambda: axis(Segment(0, -1, 2)), "takes nodes"),
    "empty segment": (lambda: axis(Segment(0, 0, 0)), "takes nodes"),
    "segment repeated zero times": (lambda: axis(Segment(0, 0, 2, 0)), "takes nodes"),
    "size against axis": (lambda: tensor(shape=(4, 2)), "has size 4"),
    "fewer axes than dimensions": (lambda: tensor(axes=(1,)), "2 dimensions but 1 axes"),
    "unknown axis": (lambda: tensor(axes=(7, 0)), "does not exist"),
    "negative axis": (lambda: tensor(axes=(-1, 0)), "does not exist"),
    "edges along a tap": (lambda: tensor(axes=(1, None)), "runs over no nodes"),
    "edges along no dimension": (lambda: tensor(in_axis=5), "runs over no nodes"),
    "edges to nowhere": (lambda: tensor(out_axis=None), "point to none"),
    "value against axis": (
        lambda: replace(S, values=(Value("x", (Size(1, "n"), 3), "float32", (None, 0)), *S.values[1:])),
        "has size 3",
    ),
    "size of an unknown symbol": (lambda: replace(S, symbols=()), "unknown 'n'"),
    "argument of an unknown symbol": (
        lambda: operator(args=(*S.operators[0].args, (Size(2, "m"),))),
        "unknown 'm'",
    ),
    "symbol of no input": (lambda: replace(S, symbols=(Symbol("n", "h", 0, 4),)), "no dimension of an input"),
    "symbol of no dimension": (
        lambda: replace(S, symbols=(Symbol("n", "x", 2, 4),)),
        "no dimension of an input",
    ),
    "reads before it is made": (lambda: replace(S, operators=S.operators[::-1]), "before it is made"),
    "reads an unknown tensor": (
        lambda: operator(kwargs=(("bias", Ref("tensor", "c")),)),
        "unknown tensor 'c'",
    ),
    "makes a value twice": (lambda: operator(results=("x",)), "a second time"),
    "several results, one tensor": (lambda: operator(results=("h", "h2")), "several results"),
    "no record of a value": (lambda: replace(S, values=S.values[:-1]), "no value record"),
    "no record of an input": (
        lambda: replace(S, values=S.values[1:], symbols=()),
        "follows the unknown|no value record",
    ),
    "target without overload": (lambda: operator(target="aten.linear"), "aten.<name>.<overload>"),
    "output that nobody makes": (
        lambda: replace(S, outputs=(Ref("value", "z"),)),
        "'z' is made by no operator",
    ),
    "output tensor unknown": (
        lambda: replace(S, outputs=(Ref("tensor", "y"),)),
        "'y' is made by no operator",
    ),
    "alias of nothing": (lambda: replace(S, aliases=(("c", "d"),)), "alias of the unknown"),
    "alias that is a tensor": (lambda: replace(S, aliases=(("a.bias", "a.weight"),)), "unique"),
    "unknown key": (lambda: replace(S, order=("c",)), "neither a tensor nor an alias"),
}


@pytest.mark.parametrize(("make", "message"), BROKEN.values(), ids=BROKEN)
def test_validate_refuses(make: Callable[[], Structure], message: str) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        make().validate()
    assert str(caught.value).startswith("validate: ")


def test_dtype_names() -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.int8, torch.bool, torch.complex64):
        assert to_dtype(dtype_name(dtype)) is dtype
    for name in ("float", "Tensor", "", "no"):
        if name != "float":
            with pytest.raises(GraphError, match="no torch dtype"):
                to_dtype(name)
