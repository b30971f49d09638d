"""ONNX operators with weights or over space, as torch functions: layers, norms, pooling, resizing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from netgraph.convert.onnx.numbers import Node, axes_of, ints
from netgraph.convert.onnx.operators import Computed, operator, optional, scalar, tensor

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVG_POOL: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def _space(node: Node, x: Tensor) -> int:
    """Number of spatial dimensions: 1, 2 or 3."""
    if x.dim() not in (3, 4, 5):
        raise node.refuse(f"works on {x.dim() - 2} spatial dimensions", "expected 1, 2 or 3")
    return x.dim() - 2


def _pads(node: Node, x: Tensor, kernel: list[int], stride: list[int], dilation: list[int]) -> list[int]:
    """Padding at the begins of all spatial dimensions, then at their ends."""
    n = len(kernel)
    auto = node.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        return list(node.get("pads", [0] * 2 * n))
    if auto == "VALID":
        return [0] * 2 * n
    totals = []
    for i in range(n):
        size = int(x.shape[i + 2])
        reach = (-(-size // stride[i]) - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1
        totals.append(max(0, reach - size))
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return small + large if auto == "SAME_UPPER" else large + small


def _for_torch(pads: list[int]) -> list[int]:
    """ONNX lists all begins, then all ends; torch lists pairs, the last dimension first."""
    n = len(pads) // 2
    return [p for i in reversed(range(n)) for p in (pads[i], pads[n + i])]


def _even(pads: list[int]) -> list[int] | None:
    """The padding of each dimension, if it is the same on both sides."""
    n = len(pads) // 2
    return pads[:n] if pads[:n] == pads[n:] else None


@operator("Conv")
def _conv(node: Node, operands: list[Any]) -> Tensor:
    x, weight, bias = operands[0], tensor(operands[1]), optional(operands, 2)
    n = _space(node, x)
    stride, dilation = node.get("strides", [1] * n), node.get("dilations", [1] * n)
    pads = _pads(node, x, list(weight.shape[2:]), stride, dilation)
    padding = _even(pads)
    if padding is None:
        x, padding = F.pad(x, _for_torch(pads)), [0] * n
    return _CONV[n](x, weight, bias, stride, padding, dilation, node.get("group", 1))


@operator("ConvTranspose")
def _conv_transpose(node: Node, operands: list[Any]) -> Tensor:
    x, weight, bias = operands[0], tensor(operands[1]), optional(operands, 2)
    n = _space(node, x)
    stride, dilation = node.get("strides", [1] * n), node.get("dilations", [1] * n)
    extra = list(node.get("output_padding", [0] * n))
    full = [
        stride[i] * (int(x.shape[i + 2]) - 1) + extra[i] + (weight.shape[i + 2] - 1) * dilation[i] + 1
        for i in range(n)
    ]
    auto, wanted = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if wanted is None and auto.startswith("SAME"):
        wanted = [int(x.shape[i + 2]) * stride[i] for i in range(n)]
    pads = list(node.get("pads", [0] * 2 * n))
    if wanted is not None:
        totals = [a - b for a, b in zip(full, wanted[-n:], strict=True)]
        extra = [e - min(0, t) for e, t in zip(extra, totals, strict=True)]
        totals = [max(0, t) for t in totals]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = small + large if auto == "SAME_UPPER" else large + small
    padding = _even(pads)
    crop = padding is None
    y = _TRANSPOSED[n](
        x,
        weight,
        bias,
        stride,
        [0] * n if padding is None else padding,
        extra,
        node.get("group", 1),
        dilation,
    )
    for i in range(n) if crop else ():
        y = y.narrow(i + 2, pads[i], y.shape[i + 2] - pads[i] - pads[n + i])
    return y


@operator("Gemm")
def _gemm(node: Node, operands: list[Any]) -> Tensor:
    a, b, c = operands[0], tensor(operands[1]), optional(operands, 2)
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    a = tensor(a).t() if node.get("transA", 0) else tensor(a)
    weight = b if node.get("transB", 0) else b.t()
    simple = isinstance(c, Tensor) and c.dim() == 1 and c.shape[0] == weight.shape[0]
    if c is None or (alpha == 1 and beta == 1 and simple):
        y = F.linear(a, weight, c)
        return y if alpha == 1 else y * alpha
    y = F.linear(a, weight)
    y = y if alpha == 1 else y * alpha
    return y + (scalar(c) if beta == 1 else scalar(c) * beta)


@operator("MatMul")
def _matmul(node: Node, operands: list[Any]) -> Tensor:
    return torch.matmul(tensor(operands[0]), tensor(operands[1]))


@operator("Einsum")
def _einsum(node: Node, operands: list[Any]) -> Tensor:
    return torch.einsum(node.get("equation").replace(" ", ""), *[tensor(o) for o in operands])


# Norms.


@operator("BatchNormalization")
def _batch_norm(node: Node, operands: list[Any]) -> Tensor:
    x, weight, bias, mean, variance = (tensor(o) for o in operands)
    if node.get("training_mode", 0):
        raise node.refuse("normalises by its batch", "export the model in evaluation mode")
    mean, variance = (t.detach() if t.requires_grad else t for t in (mean, variance))  # tiled weights, say
    momentum = 1 - node.get("momentum", 0.9)
    return F.batch_norm(x, mean, variance, weight, bias, False, momentum, node.get("epsilon", 1e-5))


@operator("InstanceNormalization")
def _instance_norm(node: Node, operands: list[Any]) -> Tensor:
    x, weight, bias = (tensor(o) for o in operands)
    return F.instance_norm(x, weight=weight, bias=bias, eps=node.get("epsilon", 1e-5))


@operator("LayerNormalization")
def _layer_norm(node: Node, operands: list[Any]) -> Tensor:
    x, weight, bias = operands[0], tensor(operands[1]), optional(operands, 2)
    if any(node.outputs[1:]):
        raise node.refuse("returns its statistics", "export the model in evaluation mode")
    shape = list(x.shape[node.get("axis", -1) :])
    return F.layer_norm(x, shape, weight, bias, node.get("epsilon", 1e-5))


@operator("RMSNormalization")
def _rms_norm(node: Node, operands: list[Any]) -> Tensor:
    x, weight = operands[0], tensor(operands[1])
    return F.rms_norm(x, list(x.shape[node.get("axis", -1) :]), weight, node.get("epsilon", 1e-5))


@operator("GroupNormalization")
def _group_norm(node: Node, operands: list[Any]) -> Tensor:
    x, weight, bias = (tensor(o) for o in operands)
    groups, eps = node.get("num_groups"), node.get("epsilon", 1e-5)
    if node.opset >= 21:
        return F.group_norm(x, groups, weight, bias, eps)
    y = F.group_norm(x, groups, None, None, eps).reshape(x.shape[0], groups, -1)  # a scale for each group
    return (y * weight[:, None] + bias[:, None]).reshape(x.shape)


@operator("LpNormalization")
def _lp_norm(node: Node, operands: list[Any]) -> Tensor:
    return F.normalize(operands[0], float(node.get("p", 2)), node.get("axis", -1))


@operator("LRN")
def _response_norm(node: Node, operands: list[Any]) -> Tensor:
    alpha, beta, bias = node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0)
    return F.local_response_norm(operands[0], node.get("size"), alpha, beta, bias)


# Pooling.


@operator("MaxPool")
def _max_pool(node: Node, operands: list[Any]) -> Tensor:
    (x,) = operands
    n = _space(node, x)
    if any(node.outputs[1:]):
        raise node.refuse("returns the places of its maxima", "expected pooling without indices")
    kernel = node.get("kernel_shape")
    stride, dilation = node.get("strides", [1] * n), node.get("dilations", [1] * n)
    pads = _pads(node, x, kernel, stride, dilation)
    padding = _even(pads)
    if padding is None or any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        x, padding = F.pad(x, _for_torch(pads), value=float("-inf")), [0] * n
    return _MAX_POOL[n](x, kernel, stride, padding, dilation, bool(node.get("ceil_mode", 0)))


@operator("AveragePool")
def _average_pool(node: Node, operands: list[Any]) -> Tensor:
    (x,) = operands
    n = _space(node, x)
    kernel, stride = node.get("kernel_shape"), node.get("strides", [1] * n)
    if any(d != 1 for d in node.get("dilations", [1] * n)):
        raise node.refuse("averages with dilation", "expected dilations of 1")
    pads = _pads(node, x, kernel, stride, [1] * n)
    padding, ceil, count = _even(pads), bool(node.get("ceil_mode", 0)), bool(node.get("count_include_pad", 0))
    pool = _AVG_POOL[n]
    if padding is not None and all(p <= k // 2 for p, k in zip(padding, kernel, strict=True)):
        return pool(x, kernel, stride, padding, ceil, count)
    y = pool(F.pad(x, _for_torch(pads)), kernel, stride, 0, ceil)
    if count:
        return y
    inside = F.pad(torch.ones(1, 1, *x.shape[2:], dtype=x.dtype), _for_torch(pads))
    return y / pool(inside, kernel, stride, 0, ceil)


@operator("GlobalAveragePool")
def _global_average(node: Node, operands: list[Any]) -> Tensor:
    return operands[0].mean(list(range(2, operands[0].dim())), keepdim=True)


@operator("GlobalMaxPool")
def _global_max(node: Node, operands: list[Any]) -> Tensor:
    return operands[0].amax(list(range(2, operands[0].dim())), keepdim=True)


# Padding and resizing.


@operator("Pad")
def _pad(node: Node, operands: list[Any]) -> Tensor:
    x, mode = operands[0], node.get("mode", "constant")
    pads = list(node.get("pads")) if node.opset < 11 else ints(node, operands[1])
    given = optional(operands, 2)
    value = node.get("value", 0.0) if node.opset < 11 else 0.0 if given is None else given.item()
    axes = axes_of(node, operands, 3) if node.opset >= 18 else None
    if axes is not None:
        places, n = [a % x.dim() for a in axes], len(axes)
        full = [0] * 2 * x.dim()
        for i, axis in enumerate(places):
            full[axis], full[axis + x.dim()] = pads[i], pads[n + i]
        pads = full
    if mode == "constant":
        listed = _for_torch(pads)
        while len(listed) > 2 and listed[-2:] == [0, 0]:
            listed = listed[:-2]
        return F.pad(x, listed, value=value)
    lead = x.dim() - 2
    if any(_for_torch(pads)[2 * lead :]) or mode not in ("reflect", "edge", "wrap"):
        raise node.refuse(f"pads batch or channels, or in mode {mode!r}", "expected padding of space only")
    return F.pad(
        x, _for_torch(pads)[: 2 * lead], {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}[mode]
    )


@operator("Resize", "Upsample")
def _resize(node: Node, operands: list[Any]) -> Tensor:
    x = operands[0]
    _space(node, x)
    place = 1 if node.kind == "Upsample" or node.opset < 11 else 2
    scales = node.get("scales") if node.kind == "Upsample" and node.opset < 9 else optional(operands, place)
    scales = None if scales is None else [float(s) for s in scales]
    sizes = ints(node, optional(operands, 3)) if place == 2 else []
    given = node.get("axes")
    if given is not None:
        places = [a % x.dim() for a in given]
        by_dim = {d: places.index(d) for d in range(x.dim()) if d in places}
        sizes = [sizes[by_dim[d]] if d in by_dim else n for d, n in enumerate(x.shape)] if sizes else []
        scales = [scales[by_dim[d]] if d in by_dim else 1.0 for d in range(x.dim())] if scales else None
    size = sizes[2:] or None
    factor = None if sizes or not scales else scales[2:]
    deep = sizes[1] != x.shape[1] if sizes else not scales or scales[:2] != [1.0, 1.0]
    if deep or (size is None and factor is None):
        raise node.refuse("resizes batch or channels", "expected resizing of space only")
    odd = [k for k in ("antialias", "exclude_outside") if node.get(k, 0)]
    odd += ["an aspect ratio to keep"] if node.get("keep_aspect_ratio_policy", "stretch") != "stretch" else []
    odd += ["cubic_coeff_a"] if abs(node.get("cubic_coeff_a", -0.75) + 0.75) > 1e-6 else []
    if odd:
        raise node.refuse(f"resizes with {', '.join(odd)}", "expected none of these, as torch exports it")
    before = [int(i) for i in x.shape[2:]]
    after = size or [f * b for f, b in zip(factor or [], before, strict=True)]
    mode, corners = _interpolation(node, before, after)
    return F.interpolate(x, size, factor, mode, corners, recompute_scale_factor=False)


def _interpolation(node: Node, before: list[int], after: list[Any]) -> tuple[str, bool | None]:
    """How torch calls a mode of interpolation, and whether corners are aligned."""
    mode = node.get("mode", "nearest")
    old = node.kind == "Upsample" or node.opset < 11
    where = "asymmetric" if old else node.get("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else node.get("nearest_mode", "round_prefer_floor")
    if mode == "nearest":
        if where == "asymmetric" and rounding == "floor":
            return "nearest", None
        # at whole multiples no place lies halfway between two
        either = "round_prefer_floor" if all(a % b == 0 for a, b in zip(after, before, strict=True)) else ""
        if where in ("half_pixel", "pytorch_half_pixel") and rounding in ("round_prefer_ceil", either):
            return "nearest-exact", None
    elif (
        where == "half_pixel"
        or (where == "pytorch_half_pixel" and min(after) > 1)
        or (where == "align_corners" and all(a == int(a) for a in after))
    ):
        linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(before)]
        return (linear if mode == "linear" else "bicubic"), where == "align_corners"
    raise node.refuse(
        f"resizes in mode {mode!r} with coordinates {where!r} and rounding {rounding!r} to {after}",
        "export it with torch's modes (nearest with floor, or linear with half_pixel or align_corners)",
    )


@operator("LSTM", "GRU", "RNN")
def _recurrent(node: Node, operands: list[Any]) -> Computed:
    """One layer; its weights were put into torch's order when the model was read: operands are the input, the
    weights and one or two initial states."""
    count = 2 if node.kind == "LSTM" else 1
    x, weights = operands[0], operands[1:-count]
    ways = 2 if node.get("direction", "forward") == "bidirectional" else 1
    zeros = x.new_zeros(ways, x.shape[1], node.get("hidden_size"))
    states = [zeros if s is None else tensor(s) for s in operands[-count:]]
    rest = (len(weights) == 4 * ways, 1, 0.0, False, ways == 2, False)
    if node.kind == "LSTM":
        y, *ends = torch.lstm(x, states, weights, *rest)
    else:
        function = torch.gru if node.kind == "GRU" else torch.rnn_tanh
        y, *ends = function(x, states[0], weights, *rest)
    y = y.unsqueeze(2) if ways == 1 else y.unflatten(-1, (2, -1))  # (time, batch, ways, hidden)
    return (y.movedim(2, 1), *ends)  # (time, ways, batch, hidden)


__all__: list[str] = []
