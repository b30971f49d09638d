"""Module to graph."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

import netgraph.convert.rules  # noqa: F401  (registers the rules)
from netgraph.convert.assemble import assemble
from netgraph.convert.onnx import from_onnx
from netgraph.convert.propagate import Product, Propagation
from netgraph.convert.trace import Inputs, Trace, Untraceable, trace
from netgraph.errors import ConversionError, ConversionWarning
from netgraph.graph import NeuralGraph, Ref
from netgraph.graph.structure import Kind


def to_graph(
    module: nn.Module | str | os.PathLike[str],
    example_inputs: Inputs | None = None,
    *,
    product: Product = "outer",
) -> NeuralGraph:
    """Convert a module into its neural graph, whatever its architecture.

    The module is traced once in evaluation mode; channels are found by carrying integer labels through the
    traced operators. Every scalar of the `state_dict` (buffers and tied weights included) sits in the graph
    exactly once, and `graph.to_state_dict()` returns the same bytes. The state of the graph *is* the module's
    storage: nothing is copied, and training the module changes the graph (`graph.clone()` cuts the tie).

    Args:
        module: any module. Left as it was: its mode and its weights are not touched. Or the path of a `.onnx`
            file, which is read with `from_onnx`.
        example_inputs: a tensor, a tuple of positional arguments, or a dict of keyword arguments. If
            all tensors share their first size, it is taken for the batch and left open. An ONNX file declares
            its own, unless sizes besides the batch are open.
        product: what stays whole where channels form a table (attention heads x their dimensions, convolution
            groups x their channels): `outer` makes a node of each head or group, `inner` of each dimension
            across all heads.

    Returns:
        The graph. Operators without a rule freeze the channels that they touch and are named in a
        `ConversionWarning`; a module that cannot be traced at all becomes groups without connections.

    Raises:
        ConversionError: the module cannot run on its example inputs, or has no tensors that could be
        converted; the file cannot be read.
        InterchangeError: an ONNX file is given, and the package `onnx` is not installed.

    >>> import torch, netgraph
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3),
    ...     torch.nn.BatchNorm2d(8),
    ...     torch.nn.ReLU(),
    ...     torch.nn.Flatten(),
    ...     torch.nn.Linear(8 * 4, 10),
    ... )
    >>> graph = netgraph.to_graph(net, torch.randn(1, 3, 4, 4))
    >>> [(g.name, g.size, g.role) for g in graph.structure.groups]
    [('input', 3, 'input'), ('0', 8, 'hidden'), ('4', 10, 'output')]
    >>> graph.structure.blocks[1].src.repeat  # each channel feeds the classifier from four positions
    4
    """
    if isinstance(module, (str, os.PathLike)):
        if Path(module).suffix.lower() != ".onnx":
            raise ConversionError(
                f"to_graph: expected a torch.nn.Module or the path of a .onnx file, got "
                f"{Path(module).name!r}; load other files with netgraph.load_graph"
            )
        module, example_inputs = from_onnx(module, example_inputs)
    if not isinstance(module, nn.Module):
        raise ConversionError(
            f"to_graph: expected a torch.nn.Module, got {type(module).__name__}; wrap functions in a module"
        )
    if example_inputs is None:
        raise ConversionError(
            "to_graph: expected example_inputs beside a module, got none; pass a tensor, a tuple or a dict"
        )
    if product not in ("outer", "inner"):
        raise ConversionError(f"to_graph: expected product to be 'outer' or 'inner', got {product!r}")
    lazy = [n for n, t in module.state_dict(keep_vars=True).items() if isinstance(t, Tensor) and is_lazy(t)]
    if lazy:
        raise ConversionError(
            f"to_graph: tensor {lazy[0]!r} has no shape yet (a lazy layer); call the module once on its "
            "inputs before converting"
        )
    try:
        program = trace(module, example_inputs)
    except Untraceable as reason:
        warnings.warn(
            f"to_graph: {type(module).__name__} cannot be traced ({reason}); its tensors are converted "
            "without connections, so the graph can be saved and loaded but not pruned or rebuilt",
            ConversionWarning,
            stacklevel=2,
        )
        program = Trace()
    state, kinds, persistent, aliases = _collect(module, program)
    _resolve_aliases(program, dict(aliases))
    numbers = {n for n, t in state.items() if not (t.is_floating_point() or t.is_complex())}
    walk = Propagation(program, {n: tuple(t.shape) for n, t in state.items()}, product, numbers)
    walk.run()
    if walk.unknown:
        warnings.warn(
            f"to_graph: no channel rule for {', '.join(walk.unknown)}; the channels they touch are kept as "
            "they are (fixed groups). Add a rule with netgraph.convert.rule to prune through them",
            ConversionWarning,
            stacklevel=2,
        )
    structure = replace(
        assemble(program, walk, state, kinds, persistent),
        aliases=tuple(aliases),
        order=tuple(module.state_dict(keep_vars=True)),
    )
    return NeuralGraph(structure, {n: t.detach() for n, t in state.items()})


def _collect(
    module: nn.Module, program: Trace
) -> tuple[dict[str, Tensor], dict[str, Kind], dict[str, bool], list[tuple[str, str]]]:
    """All tensors under their first names, and the other names of tied ones."""
    state: dict[str, Tensor] = {}
    kinds: dict[str, Kind] = {}
    persistent: dict[str, bool] = {}
    aliases: list[tuple[str, str]] = []
    first: dict[object, str] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            raise ConversionError(
                f"to_graph: the state_dict entry {name!r} is a {type(tensor).__name__}, expected only "
                "tensors; drop the module's extra state before converting"
            )
        if tensor.is_sparse or tensor.is_quantized:
            raise ConversionError(
                f"to_graph: tensor {name!r} is sparse or quantized, expected a dense one; convert it first "
                "(tensor.to_dense() or tensor.dequantize())"
            )
        key = _identity(tensor)
        if key in first:
            aliases.append((name, first[key]))
            continue
        first[key] = name
        state[name] = tensor
        kinds[name] = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
    for name, tensor in program.extra_buffers.items():
        state[name], kinds[name], persistent[name] = tensor, "buffer", False
    for name, tensor in program.constants.items():
        state[name], kinds[name], persistent[name] = tensor, "constant", False
    return state, kinds, persistent, aliases


def _identity(tensor: Tensor) -> object:
    """Equal for tensors that are the same view of the same storage."""
    if tensor.device.type == "meta" or tensor.numel() == 0:
        return id(tensor)
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)


def _resolve_aliases(program: Trace, aliases: Mapping[str, str]) -> None:
    """The exporter may know a tied tensor by another of its names."""
    if not aliases:
        return

    def resolve(item: Any) -> Any:
        if isinstance(item, Ref):
            return Ref("tensor", aliases.get(item.name, item.name)) if item.kind == "tensor" else item
        return tuple(resolve(i) for i in item) if type(item) is tuple else item

    program.operators = [
        replace(op, args=resolve(op.args), kwargs=tuple((k, resolve(v)) for k, v in op.kwargs))
        for op in program.operators
    ]
    program.outputs = [resolve(o) for o in program.outputs]
