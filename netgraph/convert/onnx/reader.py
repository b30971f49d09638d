"""ONNX files as torch modules."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netgraph.convert.onnx.module import OnnxModule
from netgraph.convert.onnx.numbers import DTYPES, NUMBERS, Array, Node
from netgraph.convert.onnx.operators import OPERATORS
from netgraph.convert.trace import Inputs, split_inputs
from netgraph.errors import ConversionError, InterchangeError

_TENSOR, _GRAPHS = 4, (5, 10)  # of AttributeProto.AttributeType
_DOMAINS = ("", "ai.onnx")
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "LayerNormalization"}


def from_onnx(
    model: str | os.PathLike[str] | Any, example_inputs: Inputs | None = None
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Read an ONNX model of floats (opset 7 and later) as a torch module.

    Its weights become parameters, the statistics of its norms and its tables buffers, under their own names
    with what torch does not allow in names replaced; shapes that it computes become plain numbers, and the
    batch stays open where the nodes allow it. A single number stays a number and is not trained.

    Args:
        model: path of a `.onnx` file, or an `onnx.ModelProto`.
        example_inputs: what `to_graph` takes, a dict by the names of the model's inputs. By default noise
            (zeros for integers) in the shapes that the model declares, with a batch of one where the first
            size is open.

    Returns:
        The module in evaluation mode, taking the model's inputs as positional arguments, and example inputs.

    Raises:
        ConversionError: the file is missing or no valid ONNX model, an operator has no equal here, a size
            other than the batch is open and no `example_inputs` are given, or the model cannot run on them.
        InterchangeError: the package `onnx` is not installed.

    >>> import importlib.util, tempfile, torch, netgraph
    >>> from netgraph.convert import export_onnx, from_onnx
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).eval()
    >>> if importlib.util.find_spec("onnx"):
    ...     with tempfile.TemporaryDirectory() as folder:
    ...         export_onnx(net, f"{folder}/net.onnx", torch.randn(1, 3))
    ...         again, (x,) = from_onnx(f"{folder}/net.onnx")
    ...     assert torch.allclose(again(x), net(x), atol=1e-6)
    """
    onnx = package("onnx", "from_onnx")
    proto = _checked(onnx, _loaded(onnx, model))
    graph = proto.graph
    opset = max((o.version for o in proto.opset_import if o.domain in _DOMAINS), default=0)
    if opset < 7:
        raise ConversionError(
            f"from_onnx: the model is of opset {opset}, expected 7 or later; bring it up with "
            "onnx.version_converter.convert_version(model, 17)"
        )
    constants = {t.name: _array(onnx, t) for t in graph.initializer}
    weights = {i for n in graph.node if n.op_type in _WEIGHTED for i in n.input[1:3]}
    written = {o for n in graph.node if n.op_type == "Constant" for o in n.output}
    stored = frozenset(constants) | (weights & written)
    inputs = [i for i in graph.input if i.name not in constants]
    module = OnnxModule(
        [_node(onnx, n, i, opset) for i, n in enumerate(graph.node)],
        tuple(i.name for i in inputs),
        tuple(o.name for o in graph.output),
        constants,
        stored,
    )
    given = _given(inputs, example_inputs)
    try:
        module.keep_first_sizes(given)
    except ConversionError:
        raise
    except Exception as error:
        shapes = [list(t.shape) for t in given]
        raise ConversionError(
            f"from_onnx: the model cannot run on example inputs of shapes {shapes}: {_first_line(error)}; "
            "pass example_inputs as the model expects them"
        ) from error
    return module, given


def package(name: str, operation: str) -> Any:
    """An optional package, or what to install.

    Raises:
        InterchangeError: it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise InterchangeError(
            f"{operation}: expected the package {name!r}, which cannot be imported ({error}); "
            'install it with: pip install "netgraph-metanet[onnx]"'
        ) from error


def _loaded(onnx: Any, model: Any) -> Any:
    if isinstance(model, onnx.ModelProto):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise ConversionError(
            f"from_onnx: expected the path of a .onnx file or an onnx.ModelProto, got {type(model).__name__}"
        )
    path = Path(model)
    if not path.is_file():
        raise ConversionError(f"from_onnx: expected an ONNX file, {path.name!r} is missing; check the path")
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's own exceptions, and those of a missing file of weights
        raise ConversionError(
            f"from_onnx: {path.name!r} is no ONNX model, is truncated or lacks a file of weights beside it "
            f"({_first_line(error)}); export it again"
        ) from error


def _checked(onnx: Any, proto: Any) -> Any:
    """The model, its functions unfolded, if it is valid and all its operators are known."""
    if proto.functions:
        proto = importlib.import_module("onnx.inliner").inline_local_functions(proto)
    known = OPERATORS.keys() | NUMBERS.keys()
    odd = [n for n in proto.graph.node if n.domain not in _DOMAINS or n.op_type not in known]
    if odd:
        kinds = ", ".join(sorted({f"{n.domain}.{n.op_type}".strip(".") for n in odd}))
        where = odd[0].name or (odd[0].output[0] if odd[0].output else "")
        raise ConversionError(
            f"from_onnx: operator {kinds} is unknown here, first at node {where!r}; export the model without "
            "it, or register a torch function for it with netgraph.convert.onnx.operators.operator"
        )
    try:
        onnx.checker.check_model(proto)
        if not proto.graph.output:
            raise ValueError("it has no outputs")
    except Exception as error:
        raise ConversionError(
            f"from_onnx: expected a valid ONNX model, the file is none or truncated ({_first_line(error)}); "
            "export it again"
        ) from error
    return proto


def _array(onnx: Any, proto: Any) -> Array:
    array: Array = onnx.numpy_helper.to_array(proto)
    if array.dtype.name != "bfloat16" and array.dtype.name not in {name for name, _ in DTYPES.values()}:
        raise ConversionError(
            f"from_onnx: tensor {proto.name!r} is of type {array.dtype.name}, expected floats, integers or "
            "flags that torch has; export the model in float32"
        )
    return array


def _node(onnx: Any, proto: Any, place: int, opset: int) -> Node:
    attributes: dict[str, Any] = {}
    name = proto.name or f"{proto.op_type}_{place}"
    for attribute in proto.attribute:
        if attribute.type in _GRAPHS:
            raise ConversionError(
                f"from_onnx: node {name!r} holds a nested graph; export without control flow"
            )
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.type == _TENSOR:
            value = _array(onnx, value)
        elif isinstance(value, bytes):
            value = value.decode()
        elif isinstance(value, list):
            value = [v.decode() if isinstance(v, bytes) else v for v in value]
        attributes[attribute.name] = value
    return Node(proto.op_type, name, tuple(proto.input), tuple(proto.output), attributes, opset)


def _given(inputs: list[Any], example_inputs: Inputs | None) -> tuple[Tensor, ...]:
    """Example inputs in the order of the model's own."""
    names = [i.name for i in inputs]
    if example_inputs is None:
        generator = torch.Generator().manual_seed(0)
        return tuple(_example(i, generator) for i in inputs)
    args, kwargs = split_inputs(example_inputs)
    if isinstance(example_inputs, Mapping):
        args = tuple(kwargs[n] for n in names if n in kwargs)
    if len(args) != len(names) or set(kwargs) - set(names) or not all(isinstance(a, Tensor) for a in args):
        raise ConversionError(
            f"from_onnx: expected one tensor for each of the model's inputs {names}, got "
            f"{sorted(kwargs) or len(args)}; pass a tuple in this order or a dict by name"
        )
    return args


def _example(info: Any, generator: torch.Generator) -> Tensor:
    kind = info.type.tensor_type
    if not kind.HasField("shape") or kind.elem_type not in DTYPES:
        raise ConversionError(
            f"from_onnx: input {info.name!r} declares no shape, or a type that torch has not; pass "
            "example_inputs"
        )
    shape = []
    for place, size in enumerate(kind.shape.dim):
        if size.dim_value > 0:
            shape.append(size.dim_value)
        elif place == 0:
            shape.append(1)
        else:
            raise ConversionError(
                f"from_onnx: size {place} of input {info.name!r} is open ({size.dim_param or 'unknown'!r}); "
                "pass example_inputs with the size to convert for"
            )
    dtype = DTYPES[kind.elem_type][1]
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    return torch.zeros(shape, dtype=dtype)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


__all__ = ["from_onnx", "package"]
