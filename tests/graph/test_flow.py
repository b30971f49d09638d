"""What shares storage and what matters for the outputs, in programs written by hand."""

import pytest

from netgraph.graph import Operator, Ref, Structure
from netgraph.graph.flow import Flow, written


def op(
    name: str, target: str, *args: object, results: tuple[str, ...] | None = None, module: str = ""
) -> Operator:
    """An operator whose single result has its own name."""
    return Operator(name, f"aten.{target}", args, (), (name,) if results is None else results, module=module)


def v(name: str) -> Ref:
    return Ref("value", name)


def t(name: str) -> Ref:
    return Ref("tensor", name)


def flow(*operators: Operator, outputs: tuple[str, ...]) -> Flow:
    program = Structure((), (), (), operators=operators, inputs=("x",), outputs=tuple(v(o) for o in outputs))
    return Flow(program)


@pytest.mark.parametrize(
    ("target", "shares"),
    [
        ("relu.default", False),
        ("relu_.default", True),
        ("view.default", True),
        ("reshape.default", True),
        ("contiguous.default", True),
        ("dropout.default", True),
        ("clone.default", False),
        ("unheard_of.default", True),
    ],
)
def test_who_shares_storage(target: str, shares: bool) -> None:
    found = flow(op("a", "neg.default", v("x")), op("b", target, v("a")), outputs=("b",))
    assert found.owners["b"] == ({"a", "b"} if shares else {"b"})
    assert found.ancestors("b") == {"x", "a", "b"}


def test_what_is_written() -> None:
    assert written(op("a", "add_.Tensor", v("x"), v("y"))) == v("x")
    assert written(op("a", "add_.Tensor", t("count"), Ref("training"))) == t("count")
    assert written(op("a", "add.Tensor", v("x"), v("y"))) is None
    assert written(op("a", "__and__.Tensor", v("x"), v("y"))) is None


def test_a_write_into_what_is_read_later_lives() -> None:
    found = flow(
        op("a", "neg.default", v("x")),
        op("part", "view.default", v("a"), (-1,)),
        op("zeroed", "zero_.default", v("part")),
        op("unread", "exp.default", v("a")),
        op("y", "abs.default", v("a")),
        outputs=("y",),
    )
    assert found.alive == {0, 1, 2, 4}
    assert found.live({"y": "x"}) == {4}


def test_counts_live_with_their_layer() -> None:
    def count(name: str, tensor: str) -> Operator:
        return op(name, "add_.Tensor", t(tensor), Ref("training"), results=(), module=tensor)

    found = flow(
        count("first", "alone"),
        op("a", "mul.Tensor", v("x"), t("scale"), module="norm"),
        count("a_count", "norm"),
        op("b", "mul.Tensor", v("a"), t("scale"), module="norm"),
        count("b_count", "norm"),
        op("y", "add.Tensor", v("x"), v("b")),
        outputs=("y",),
    )
    assert found.alive == set(range(6))
    assert found.live({"y": "x"}) == {0, 5}
    assert found.live({"b": "a"}) == set(range(6))
    assert found.live({"y": "a"}) == {0, 1, 2, 5}
