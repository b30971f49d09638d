"""The numbers in an ONNX program: shapes, axes and what is computed from them, outside torch.

ONNX computes shapes with the same operators as activations (`Shape`, `Gather`, `Concat`, `Reshape`). Here
such values are NumPy arrays, so that a shape reaches torch as plain integers. A size that torch leaves open
while it traces (the batch) travels in an array of objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netgraph.errors import ConversionError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Node:
    """One ONNX node: its operator, names of values ("" for one left out), and attributes as plain data."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what ONNX takes where it is left out."""
        return self.attributes.get(name, default)

    def refuse(self, what: str, remedy: str) -> ConversionError:
        """The error for something in this node that cannot be converted."""
        return ConversionError(f"from_onnx: node {self.name!r} ({self.kind}) {what}; {remedy}")


# Types of the numbers of TensorProto.DataType that NumPy and torch share.
DTYPES: dict[int, tuple[str, torch.dtype]] = {
    1: ("float32", torch.float32),
    2: ("uint8", torch.uint8),
    3: ("int8", torch.int8),
    5: ("int16", torch.int16),
    6: ("int32", torch.int32),
    7: ("int64", torch.int64),
    9: ("bool", torch.bool),
    10: ("float16", torch.float16),
    11: ("float64", torch.float64),
    16: ("float32", torch.bfloat16),
}

SHORT = 64
"""Integers and flags in longer arrays than this are tables, which become buffers of the module."""

Number = Callable[[Node, list[Any]], "Array | list[Array]"]
NUMBERS: dict[str, Number] = {}


def number(*kinds: str) -> Callable[[Number], Number]:
    """Register how operators compute on arrays: from the node and its operands (None for one left out)."""

    def register(function: Number) -> Number:
        for kind in kinds:
            if kind in NUMBERS:
                raise ConversionError(f"number: {kind!r} is known already; remove it from NUMBERS first")
            NUMBERS[kind] = function
        return function

    return register


def settle(array: Any) -> Array:
    """An array of objects as one of plain integers, where none of its sizes is open."""
    array = np.asarray(array)
    if array.dtype == object and all(isinstance(i, (int, np.integer)) for i in array.flat):
        return array.astype(np.int64)
    return array


def shape_of(x: Tensor | Array) -> Array:
    """The shape of a value `(rank,)`; open sizes stay open."""
    sizes = np.empty(len(x.shape), dtype=object)
    for i, size in enumerate(x.shape):
        sizes[i] = size if isinstance(size, torch.SymInt) else int(size)
    return settle(sizes)


def ints(node: Node, value: Tensor | Array | None) -> list[Any]:
    """The integers in a value that must be known before the program runs."""
    if value is None:
        return []
    if isinstance(value, Tensor):
        raise node.refuse(
            "takes a shape, axis or position that is computed from data", "export the model with fixed sizes"
        )
    return [i if isinstance(i, torch.SymInt) else int(i) for i in np.asarray(value).reshape(-1)]


def axes_of(node: Node, operands: Sequence[Any], position: int = 1) -> list[int] | None:
    """Axes, which older opsets hold as an attribute and newer ones take as an input; None for all."""
    given = operands[position] if len(operands) > position else None
    if given is not None:
        return ints(node, given)
    found = node.get("axes")
    return None if found is None else list(found)


def steps(node: Node, operands: Sequence[Any], rank: int) -> list[slice]:
    """The slices that a Slice node takes, one per axis."""
    if node.opset < 10:
        starts, ends = list(node.get("starts")), list(node.get("ends"))
        axes, strides = node.get("axes"), None
    else:
        starts, ends = ints(node, operands[1]), ints(node, operands[2])
        axes = ints(node, operands[3]) if len(operands) > 3 and operands[3] is not None else None
        strides = ints(node, operands[4]) if len(operands) > 4 and operands[4] is not None else None
    out = [slice(None)] * rank
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = (axes[i] if axes is not None else i), (strides[i] if strides is not None else 1)
        far = isinstance(end, int) and (end >= 2**31 - 1 or end <= -(2**31) + 1)
        out[axis] = slice(start, None if far else end, step)
    return out


def lengths(node: Node, operands: Sequence[Any], size: int) -> list[int]:
    """How long the pieces of a Split node are."""
    given = operands[1] if len(operands) > 1 else None
    if given is not None:
        return ints(node, given)
    if node.get("split") is not None:
        return list(node.get("split"))
    count = len(node.outputs)
    whole = -(-size // count)
    return [min(whole, size - i * whole) for i in range(count)]


def target_shape(node: Node, shape: Sequence[Any], wanted: Sequence[Any]) -> list[Any]:
    """A Reshape's target, with its zeros (sizes to keep) filled in."""
    if node.get("allowzero", 0):
        return list(wanted)
    return [shape[i] if isinstance(n, int) and n == 0 else n for i, n in enumerate(wanted)]


def _plain(function: Callable[..., Any]) -> Number:
    return lambda node, operands: settle(function(*operands))


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f" or b.dtype.kind == "f":
        return np.asarray(np.divide(a, b))
    return np.asarray(a // b)


_PLAIN: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Mod": np.mod,
    "Neg": np.negative,
    "Abs": np.abs,
    "Pow": np.power,
    "Sqrt": np.sqrt,
    "Reciprocal": np.reciprocal,
    "Exp": np.exp,
    "Log": np.log,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Not": np.logical_not,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Where": np.where,
    "Identity": np.asarray,
}
for _kind, _function in _PLAIN.items():
    number(_kind)(_plain(_function))


@number("Max")
def _max(node: Node, operands: list[Any]) -> Array:
    return settle(np.maximum.reduce(np.broadcast_arrays(*operands)))


@number("Min")
def _min(node: Node, operands: list[Any]) -> Array:
    return settle(np.minimum.reduce(np.broadcast_arrays(*operands)))


@number("Cast")
def _cast(node: Node, operands: list[Any]) -> Array | list[Array]:
    (x,) = operands
    if x.dtype == object:  # an open size is an integer, and stays one
        return np.asarray(x)
    return np.asarray(x.astype(DTYPES[node.get("to")][0]))


@number("Constant")
def _constant(node: Node, operands: list[Any]) -> Array:
    for key, dtype in (
        ("value", None),
        ("value_int", "int64"),
        ("value_ints", "int64"),
        ("value_float", "float32"),
        ("value_floats", "float32"),
    ):
        if key in node.attributes:
            return np.asarray(node.attributes[key], dtype=dtype)
    raise node.refuse("holds text or a sparse tensor", "expected a dense tensor of numbers")


@number("ConstantOfShape")
def _constant_of_shape(node: Node, operands: list[Any]) -> Array:
    value = node.get("value", np.zeros(1, dtype=np.float32))
    return np.full([int(n) for n in operands[0]], value.reshape(-1)[0], dtype=value.dtype)


@number("Range")
def _range(node: Node, operands: list[Any]) -> Array:
    start, limit, delta = (o.item() for o in operands)
    return np.arange(start, limit, delta, dtype=operands[0].dtype)


@number("Gather")
def _gather(node: Node, operands: list[Any]) -> Array:
    return settle(np.take(operands[0], operands[1].astype(np.int64), axis=node.get("axis", 0)))


@number("Concat")
def _concat(node: Node, operands: list[Any]) -> Array:
    return settle(np.concatenate(operands, axis=node.get("axis", 1)))


@number("Slice")
def _slice(node: Node, operands: list[Any]) -> Array:
    return settle(operands[0][tuple(steps(node, operands, operands[0].ndim))])


@number("Split")
def _split(node: Node, operands: list[Any]) -> list[Array]:
    axis = node.get("axis", 0)
    sizes = lengths(node, operands, operands[0].shape[axis])
    return [settle(p) for p in np.split(operands[0], np.cumsum(sizes)[:-1].tolist(), axis=axis)]


@number("Squeeze")
def _squeeze(node: Node, operands: list[Any]) -> Array:
    axes = axes_of(node, operands)
    return np.asarray(np.squeeze(operands[0], None if axes is None else tuple(axes)))


@number("Unsqueeze")
def _unsqueeze(node: Node, operands: list[Any]) -> Array:
    return np.asarray(np.expand_dims(operands[0], tuple(axes_of(node, operands) or ())))


@number("Reshape")
def _reshape(node: Node, operands: list[Any]) -> Array:
    wanted = target_shape(node, operands[0].shape, ints(node, operands[1]))
    return np.asarray(operands[0].reshape([int(n) for n in wanted]))


@number("Flatten")
def _flatten(node: Node, operands: list[Any]) -> Array:
    axis = node.get("axis", 1) % (operands[0].ndim + 1)
    return np.asarray(operands[0].reshape(int(np.prod(operands[0].shape[:axis])), -1))


@number("Transpose")
def _transpose(node: Node, operands: list[Any]) -> Array:
    return np.asarray(np.transpose(operands[0], node.get("perm")))


@number("Expand")
def _expand(node: Node, operands: list[Any]) -> Array:
    wanted = np.broadcast_shapes(operands[0].shape, tuple(int(n) for n in operands[1]))
    return np.asarray(np.broadcast_to(operands[0], wanted))


@number("Tile")
def _tile(node: Node, operands: list[Any]) -> Array:
    return np.asarray(np.tile(operands[0], [int(n) for n in operands[1]]))


@number("Trilu")
def _trilu(node: Node, operands: list[Any]) -> Array:
    k = int(operands[1]) if len(operands) > 1 and operands[1] is not None else 0
    return np.asarray((np.triu if node.get("upper", 1) else np.tril)(operands[0], k))


@number("CumSum")
def _cumsum(node: Node, operands: list[Any]) -> Array:
    if node.get("exclusive", 0) or node.get("reverse", 0):
        raise node.refuse("sums backwards or exclusively", "expected a plain cumulative sum")
    return np.asarray(np.cumsum(operands[0], int(operands[1])))


def _reduced(function: Callable[..., Any]) -> Number:
    def reduce(node: Node, operands: list[Any]) -> Array:
        axes = axes_of(node, operands)
        axis = None if axes is None else tuple(axes)
        return settle(function(operands[0], axis=axis, keepdims=bool(node.get("keepdims", 1))))

    return reduce


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceSum": np.sum,
    "ReduceProd": np.prod,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
}
for _kind, _reduction in _REDUCTIONS.items():
    number(_kind)(_reduced(_reduction))


__all__ = [
    "Array",
    "DTYPES",
    "NUMBERS",
    "Node",
    "SHORT",
    "axes_of",
    "ints",
    "lengths",
    "number",
    "settle",
    "shape_of",
    "steps",
    "target_shape",
]
