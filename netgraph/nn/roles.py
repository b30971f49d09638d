"""What a one-dimensional tensor does in the network: scale, shift, statistic or bias."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from netgraph.graph import Operator, Ref, Structure, TensorSpec

__all__ = ["ROLES", "TensorRole", "tensor_roles"]

TensorRole: TypeAlias = Literal["norm_weight", "norm_bias", "running_mean", "running_var", "bias", "other"]

ROLES: Final[tuple[TensorRole, ...]] = (
    "norm_weight",
    "norm_bias",
    "running_mean",
    "running_var",
    "bias",
    "other",
)
"""All roles, in the order in which a metanetwork numbers them."""

_STATISTICS: Final[Mapping[int, TensorRole]] = {
    1: "norm_weight",
    2: "norm_bias",
    3: "running_mean",
    4: "running_var",
}
_BIAS_AT_2: Final[Mapping[int, TensorRole]] = {2: "bias"}
_SHAPED_NORM: Final[Mapping[int, TensorRole]] = {2: "norm_weight", 3: "norm_bias"}

_ARGUMENTS: Final[Mapping[str, Mapping[int, TensorRole]]] = MappingProxyType(
    {
        **dict.fromkeys(("batch_norm", "instance_norm", "native_batch_norm"), _STATISTICS),
        **dict.fromkeys(("_native_batch_norm_legit", "_native_batch_norm_legit_no_training"), _STATISTICS),
        **dict.fromkeys(("cudnn_batch_norm", "miopen_batch_norm"), _STATISTICS),
        **dict.fromkeys(("layer_norm", "group_norm", "rms_norm", "native_layer_norm"), _SHAPED_NORM),
        "native_group_norm": _STATISTICS,
        **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "convolution"), _BIAS_AT_2),
        **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _BIAS_AT_2),
        "bilinear": {3: "bias"},
        **dict.fromkeys(("addmm", "baddbmm", "addmv"), MappingProxyType({0: "bias"})),
    }
)
"""Role by argument position, per operator."""

_MOVES: Final = frozenset(
    ["view", "reshape", "flatten", "squeeze", "unsqueeze", "expand", "permute", "transpose", "t"]
    + ["slice", "narrow", "select", "split", "split_with_sizes", "chunk", "unbind"]
    + ["contiguous", "clone", "detach", "alias", "to", "_to_copy"]
)
"""Operators that hand their first operand on: a packed bias is cut before it is added."""

_SUFFIXES: Final[Mapping[str, TensorRole]] = {
    "running_mean": "running_mean",
    "running_var": "running_var",
    "bias": "bias",
    "weight": "norm_weight",
}


def tensor_roles(structure: Structure) -> dict[str, TensorRole]:
    """Role of every tensor that sits on nodes, read from the first operator whose argument it is.

    A tensor that no such operator reads is `other`. Only a structure without a program is judged by names.

    >>> from netgraph.graph import Axis, Group, Operator, Ref, Segment, Structure, TensorSpec
    >>> bias = TensorSpec("b", (2,), "float32", "parameter", (0,), out_axis=0)
    >>> call = Operator(
    ...     "y", "aten.linear.default", (Ref("value", "x"), Ref("tensor", "w"), Ref("tensor", "b")), (), ()
    ... )
    >>> tensor_roles(Structure((Group("g", 2),), (Axis((Segment(0, 0, 2),)),), (bias,), operators=(call,)))
    {'b': 'bias'}
    """
    wanted = {t.name: t for t in structure.tensors if t.placement == "node"}
    if not structure.operators:
        return {name: _by_name(spec) for name, spec in wanted.items()}
    found: dict[str, TensorRole] = {}
    origin: dict[str, str] = {}
    for op in structure.operators:
        positions = _ARGUMENTS.get(op.kind, {})
        for position, argument in enumerate(op.args):
            name = _source(argument, origin)
            role = positions.get(position)
            if name in wanted and role is not None:
                found.setdefault(name, role)
        _follow(op, origin)
    return {name: found.get(name, "other") for name in wanted}


def _source(argument: object, origin: Mapping[str, str]) -> str:
    if not isinstance(argument, Ref):
        return ""
    return argument.name if argument.kind == "tensor" else origin.get(argument.name, "")


def _follow(op: Operator, origin: dict[str, str]) -> None:
    if op.kind in _MOVES and op.args and (name := _source(op.args[0], origin)):
        origin.update(dict.fromkeys(op.results, name))


def _by_name(spec: TensorSpec) -> TensorRole:
    return _SUFFIXES.get(spec.name.rpartition(".")[2], "other")
