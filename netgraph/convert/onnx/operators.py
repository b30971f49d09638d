"""ONNX operators that compute elementwise or reduce, as torch functions, and where all operators register.

An operator is a function of its node and its operands: tensors, NumPy arrays for what is known before the
program runs, None for one left out. `netgraph.convert.onnx.movement` has those that move data, `layers`
those with weights or over space.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from netgraph.convert.onnx.numbers import DTYPES, Array, Node, axes_of, ints
from netgraph.errors import ConversionError

Value = Tensor | Array
Computed = Value | tuple[Value, ...] | list[Value]
Function = Callable[[Node, list[Any]], Computed]
OPERATORS: dict[str, Function] = {}


def operator(*kinds: str) -> Callable[[Function], Function]:
    """Register what an ONNX operator is in torch, by its name in the default domain.

    Raises:
        ConversionError: a name is taken.
    """

    def register(function: Function) -> Function:
        for kind in kinds:
            if kind in OPERATORS:
                raise ConversionError(f"operator: {kind!r} is known already; remove it from OPERATORS first")
            OPERATORS[kind] = function
        return function

    return register


def tensor(value: Any) -> Tensor:
    """An operand as a tensor."""
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    if array.dtype == object:
        return torch.tensor(array.tolist(), dtype=torch.int64)
    return torch.tensor(array.tolist(), dtype=torch_dtype(array)).reshape(array.shape)


def torch_dtype(array: Array) -> torch.dtype:
    """The torch type of an array's entries."""
    return {np.dtype(name): dtype for name, dtype in DTYPES.values() if dtype != torch.bfloat16}[array.dtype]


def scalar(value: Any) -> Any:
    """An operand for elementwise work: a single number as a Python one, anything else as a tensor."""
    if isinstance(value, Tensor):
        return value
    return value.item() if value.ndim == 0 else tensor(value)


def optional(operands: list[Any], position: int) -> Any:
    """An operand that may be left out."""
    return operands[position] if len(operands) > position else None


# Elementwise.


def _unary(function: Callable[[Tensor], Tensor]) -> Function:
    return lambda node, operands: function(tensor(operands[0]))


_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": F.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sqrt": torch.sqrt,
    "Reciprocal": torch.reciprocal,
    "Neg": torch.neg,
    "Abs": torch.abs,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tan": torch.tan,
    "Atan": torch.atan,
    "Not": torch.logical_not,
    "IsNaN": torch.isnan,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Mish": F.mish,
    "HardSwish": F.hardswish,
}
for _kind, _function in _UNARY.items():
    operator(_kind)(_unary(_function))


def _binary(function: Callable[[Any, Any], Tensor]) -> Function:
    def compute(node: Node, operands: list[Any]) -> Tensor:
        a, b = (scalar(o) for o in operands)
        if not isinstance(a, Tensor) and not isinstance(b, Tensor):
            a = torch.tensor(a)
        return function(a, b)

    return compute


def _divide(a: Any, b: Any) -> Tensor:
    whole = not any(x.is_floating_point() if isinstance(x, Tensor) else isinstance(x, float) for x in (a, b))
    return torch.div(torch.as_tensor(a), b, rounding_mode="trunc") if whole else a / b


for _kind, _pair in {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": _divide,
    "Pow": lambda a, b: a**b,
    "Equal": lambda a, b: a == b,
    "Greater": lambda a, b: a > b,
    "GreaterOrEqual": lambda a, b: a >= b,
    "Less": lambda a, b: a < b,
    "LessOrEqual": lambda a, b: a <= b,
    "And": lambda a, b: torch.logical_and(torch.as_tensor(a), torch.as_tensor(b)),
    "Or": lambda a, b: torch.logical_or(torch.as_tensor(a), torch.as_tensor(b)),
    "Xor": lambda a, b: torch.logical_xor(torch.as_tensor(a), torch.as_tensor(b)),
}.items():
    operator(_kind)(_binary(_pair))


@operator("Mod")
def _mod(node: Node, operands: list[Any]) -> Tensor:
    function = torch.fmod if node.get("fmod", 0) else torch.remainder
    return function(tensor(operands[0]), scalar(operands[1]))


def _variadic(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    return lambda node, operands: reduce(function, [tensor(o) for o in operands])


operator("Max")(_variadic(torch.maximum))
operator("Min")(_variadic(torch.minimum))
operator("Sum")(_variadic(torch.add))


@operator("Mean")
def _mean(node: Node, operands: list[Any]) -> Tensor:
    return reduce(torch.add, [tensor(o) for o in operands]) / len(operands)


@operator("Identity")
def _identity(node: Node, operands: list[Any]) -> Value:
    return operands[0]


@operator("Dropout")
def _dropout(node: Node, operands: list[Any]) -> Value:
    if any(node.outputs[1:]):
        raise node.refuse("returns its mask", "export the model in evaluation mode")
    mode = optional(operands, 2)
    if mode is not None and (isinstance(mode, Tensor) or mode.any()):
        raise node.refuse("drops at random", "export the model in evaluation mode")
    return operands[0]


@operator("LeakyRelu")
def _leaky(node: Node, operands: list[Any]) -> Tensor:
    return F.leaky_relu(operands[0], node.get("alpha", 0.01))


@operator("Elu")
def _elu(node: Node, operands: list[Any]) -> Tensor:
    return F.elu(operands[0], node.get("alpha", 1.0))


@operator("Celu")
def _celu(node: Node, operands: list[Any]) -> Tensor:
    return F.celu(operands[0], node.get("alpha", 1.0))


@operator("Selu")
def _selu(node: Node, operands: list[Any]) -> Tensor:
    alpha, gamma = node.get("alpha", 1.6732632), node.get("gamma", 1.050701)
    return gamma * F.elu(operands[0], alpha)


@operator("Gelu")
def _gelu(node: Node, operands: list[Any]) -> Tensor:
    return F.gelu(operands[0], approximate=node.get("approximate", "none"))


@operator("HardSigmoid")
def _hard_sigmoid(node: Node, operands: list[Any]) -> Tensor:
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid(operands[0])
    return torch.clamp(operands[0] * alpha + beta, 0, 1)


@operator("PRelu")
def _prelu(node: Node, operands: list[Any]) -> Tensor:
    x, slope = operands[0], scalar(operands[1])
    return torch.where(x >= 0, x, x * slope)


@operator("Clip")
def _clip(node: Node, operands: list[Any]) -> Value:
    low = node.get("min") if node.opset < 11 else optional(operands, 1)
    high = node.get("max") if node.opset < 11 else optional(operands, 2)
    low, high = (None if v is None else v.item() if isinstance(v, np.ndarray) else v for v in (low, high))
    if (low, high) == (None, None):
        return operands[0]
    return F.relu6(operands[0]) if (low, high) == (0, 6) else torch.clamp(operands[0], low, high)


@operator("Cast", "CastLike")
def _cast(node: Node, operands: list[Any]) -> Tensor:
    if node.kind == "CastLike":
        return tensor(operands[0]).to(tensor(operands[1]).dtype)
    if node.get("to") not in DTYPES:
        raise node.refuse(f"casts to ONNX type {node.get('to')}", "expected a type of numbers that torch has")
    return tensor(operands[0]).to(DTYPES[node.get("to")][1])


@operator("Where")
def _where(node: Node, operands: list[Any]) -> Tensor:
    a, b = scalar(operands[1]), scalar(operands[2])
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = tensor(operands[1])
    return torch.where(tensor(operands[0]), a, b)


@operator("Softmax", "LogSoftmax")
def _softmax(node: Node, operands: list[Any]) -> Tensor:
    x = operands[0]
    function = F.softmax if node.kind == "Softmax" else F.log_softmax
    axis = node.get("axis", -1 if node.opset >= 13 else 1) % x.dim()
    if node.opset >= 13 or all(n == 1 for n in x.shape[axis + 1 :]):
        return function(x, dim=axis)
    return function(x.flatten(axis), dim=-1).reshape(x.shape)  # before opset 13, over all axes from here on


# Reductions.


def _reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Function:
    def compute(node: Node, operands: list[Any]) -> Value:
        x = tensor(operands[0])
        axes = axes_of(node, operands)
        if not axes:
            if node.get("noop_with_empty_axes", 0):
                return x
            axes = list(range(x.dim()))
        return function(x, axes, bool(node.get("keepdims", 1)))

    return compute


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


for _kind, _reduced in {
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keepdim=keep),
    "ReduceProd": _product,
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "ReduceL2": lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt(),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keepdim=keep),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keepdim=keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep),
}.items():
    operator(_kind)(_reduction(_reduced))


@operator("ArgMax", "ArgMin")
def _arg(node: Node, operands: list[Any]) -> Tensor:
    if node.get("select_last_index", 0):
        raise node.refuse("picks the last of equal entries", "expected select_last_index=0")
    function = torch.argmax if node.kind == "ArgMax" else torch.argmin
    return function(operands[0], dim=node.get("axis", 0), keepdim=bool(node.get("keepdims", 1)))


@operator("TopK")
def _top(node: Node, operands: list[Any]) -> Computed:
    count = node.get("k") if node.opset < 10 else ints(node, operands[1])[0]
    return tuple(torch.topk(operands[0], count, node.get("axis", -1), bool(node.get("largest", 1))))


__all__ = [
    "OPERATORS",
    "Computed",
    "Function",
    "Value",
    "operator",
    "optional",
    "scalar",
    "tensor",
    "torch_dtype",
]
