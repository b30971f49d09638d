"""ONNX operators that move data or only make it, as torch functions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from netgraph.convert.onnx.numbers import (
    Node,
    axes_of,
    ints,
    lengths,
    shape_of,
    steps,
    target_shape,
)
from netgraph.convert.onnx.operators import Computed, Value, operator, optional, tensor, torch_dtype


@operator("Shape")
def _shape(node: Node, operands: list[Any]) -> Value:
    return shape_of(operands[0])[slice(node.get("start", 0), node.get("end"))]


@operator("Size")
def _size(node: Node, operands: list[Any]) -> Value:
    return np.asarray(prod(operands[0].shape))


@operator("Reshape")
def _reshape(node: Node, operands: list[Any]) -> Tensor:
    x = tensor(operands[0])
    wanted = list(node.get("shape")) if node.opset < 5 else ints(node, operands[1])
    return x.reshape(target_shape(node, x.shape, wanted))


@operator("Flatten")
def _flatten(node: Node, operands: list[Any]) -> Tensor:
    x = tensor(operands[0])
    axis = node.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    if axis == 0:
        return x.reshape(1, -1)
    return (x.unsqueeze(-1) if axis == x.dim() else x.flatten(axis)).flatten(0, axis - 1)


@operator("Transpose")
def _transpose(node: Node, operands: list[Any]) -> Tensor:
    x = tensor(operands[0])
    return x.permute(node.get("perm", list(range(x.dim()))[::-1]))


@operator("Squeeze")
def _squeeze(node: Node, operands: list[Any]) -> Tensor:
    axes = axes_of(node, operands)
    x = tensor(operands[0])
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


@operator("Unsqueeze")
def _unsqueeze(node: Node, operands: list[Any]) -> Tensor:
    x = tensor(operands[0])
    axes = axes_of(node, operands) or []
    for axis in sorted(a % (x.dim() + len(axes)) for a in axes):
        x = x.unsqueeze(axis)
    return x


@operator("Concat")
def _concat(node: Node, operands: list[Any]) -> Tensor:
    return torch.cat([tensor(o) for o in operands], node.get("axis", 1))


@operator("Split")
def _split(node: Node, operands: list[Any]) -> Computed:
    x, axis = tensor(operands[0]), node.get("axis", 0)
    return torch.split(x, lengths(node, operands, x.shape[axis]), axis)


@operator("Slice")
def _slice(node: Node, operands: list[Any]) -> Tensor:
    x = tensor(operands[0])
    for axis, piece in enumerate(steps(node, operands, x.dim())):
        if piece == slice(None):
            continue
        if piece.step is not None and piece.step < 0:
            size = x.shape[axis]
            first, last, step = piece.indices(size)
            x = x.flip(axis)
            piece = slice(size - 1 - first, size - 1 - last, -step)
        x = x[(slice(None),) * axis + (piece,)]
    return x


@operator("Gather")
def _gather(node: Node, operands: list[Any]) -> Tensor:
    x, picked = tensor(operands[0]), operands[1]
    axis = node.get("axis", 0) % x.dim()
    if isinstance(picked, np.ndarray):
        if picked.ndim == 0:
            return x.select(axis, picked.item())
        if picked.ndim == 1 and len(picked) and (np.diff(picked) == 1).all() and picked[0] >= 0:
            return x.narrow(axis, int(picked[0]), len(picked))
        picked = tensor(picked)
    if axis == 0 and x.dim() == 2 and x.is_floating_point():
        return F.embedding(picked, x)
    return x[(slice(None),) * axis + (picked.long(),)]


@operator("GatherElements")
def _gather_elements(node: Node, operands: list[Any]) -> Tensor:
    x, index = tensor(operands[0]), tensor(operands[1])
    axis = node.get("axis", 0)
    return torch.gather(x, axis, torch.where(index < 0, index + x.shape[axis], index))


@operator("GatherND")
def _gather_nd(node: Node, operands: list[Any]) -> Tensor:
    if node.get("batch_dims", 0):
        raise node.refuse("gathers with batch dimensions", "expected batch_dims=0")
    return tensor(operands[0])[tuple(tensor(operands[1]).unbind(-1))]


@operator("ScatterND")
def _scatter_nd(node: Node, operands: list[Any]) -> Tensor:
    if node.get("reduction", "none") != "none":
        raise node.refuse("scatters with a reduction", "expected reduction='none'")
    return tensor(operands[0]).index_put(tuple(tensor(operands[1]).unbind(-1)), tensor(operands[2]))


@operator("ScatterElements")
def _scatter_elements(node: Node, operands: list[Any]) -> Tensor:
    if node.get("reduction", "none") != "none":
        raise node.refuse("scatters with a reduction", "expected reduction='none'")
    x, index, updates = (tensor(o) for o in operands)
    axis = node.get("axis", 0)
    return x.scatter(axis, torch.where(index < 0, index + x.shape[axis], index), updates)


@operator("Expand")
def _expand(node: Node, operands: list[Any]) -> Tensor:
    x, wanted = tensor(operands[0]), ints(node, operands[1])
    own = [1] * (len(wanted) - x.dim()) + list(x.shape)
    wanted = [1] * (len(own) - len(wanted)) + wanted
    return x.expand([w if n == 1 else n for n, w in zip(own, wanted, strict=True)])


@operator("Tile")
def _tile(node: Node, operands: list[Any]) -> Tensor:
    return tensor(operands[0]).repeat(ints(node, operands[1]))


@operator("ConstantOfShape")
def _constant_of_shape(node: Node, operands: list[Any]) -> Tensor:
    value = node.get("value", np.zeros(1, dtype=np.float32))
    return torch.full(ints(node, operands[0]), value.reshape(-1)[0].item(), dtype=torch_dtype(value))


@operator("Range")
def _range(node: Node, operands: list[Any]) -> Tensor:
    start, limit, delta = (o.item() for o in operands)
    return torch.arange(start, limit, delta)


@operator("Trilu")
def _trilu(node: Node, operands: list[Any]) -> Tensor:
    found = optional(operands, 1)
    function = torch.triu if node.get("upper", 1) else torch.tril
    return function(tensor(operands[0]), 0 if found is None else ints(node, found)[0])


@operator("CumSum")
def _cumsum(node: Node, operands: list[Any]) -> Tensor:
    if node.get("exclusive", 0) or node.get("reverse", 0):
        raise node.refuse("sums backwards or exclusively", "expected a plain cumulative sum")
    return torch.cumsum(tensor(operands[0]), ints(node, operands[1])[0])


@operator("DepthToSpace")
def _depth_to_space(node: Node, operands: list[Any]) -> Tensor:
    x, size = operands[0], node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, size)
    b, c, h, w = x.shape
    x = x.reshape(b, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(b, c // size**2, h * size, w * size)


@operator("SpaceToDepth")
def _space_to_depth(node: Node, operands: list[Any]) -> Tensor:
    x, size = operands[0], node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_unshuffle(x, size)
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(b, c * size**2, h // size, w // size)


__all__: list[str] = []
