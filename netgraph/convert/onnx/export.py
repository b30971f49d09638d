"""Graphs and torch modules as ONNX files."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import operator
import os
import secrets
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from netgraph.convert.onnx.reader import package
from netgraph.convert.surgery import random_inputs
from netgraph.convert.trace import Inputs, split_inputs
from netgraph.errors import ConversionError, ConversionWarning
from netgraph.graph import NeuralGraph, Ref, Size, Structure

Call = tuple[tuple[Any, ...], dict[str, Any]]
Axes = dict[str, dict[int, str]]


def export_onnx(
    graph: NeuralGraph | nn.Module,
    path: str | os.PathLike[str],
    example_inputs: Inputs | None = None,
    *,
    opset: int = 17,
) -> None:
    """Write a network to an ONNX file, all of it or nothing, and check what was written.

    The file is run by onnxruntime, where that is installed, and must give what torch gives. The batch stays
    open in the file where it is open in the graph; a module is exported at the sizes of its example inputs.

    Args:
        graph: a graph, or a module, which is exported in evaluation mode and left as it was.
        path: of the file; its folder must exist.
        example_inputs: what `to_graph` takes; by default noise in the shapes that the graph was made with.
        opset: version of ONNX's operators.

    Raises:
        ConversionError: the network cannot be expressed in ONNX, example inputs are missing, the file cannot
            be written, or it computes something else than torch does.
        InterchangeError: the package `onnx` is not installed.

    >>> import importlib.util, pathlib, tempfile, torch, netgraph
    >>> from netgraph.convert import export_onnx
    >>> net = netgraph.to_graph(torch.nn.Linear(3, 2), torch.randn(1, 3))
    >>> if importlib.util.find_spec("onnx"):
    ...     with tempfile.TemporaryDirectory() as folder:
    ...         export_onnx(net, f"{folder}/net.onnx")
    ...         assert pathlib.Path(folder, "net.onnx").exists()
    """
    onnx = package("onnx", "export_onnx")
    target = Path(path)
    if not target.parent.is_dir() or target.is_dir():
        raise ConversionError(
            f"export_onnx: expected the path of a file in an existing folder, got {str(target)!r}; make the "
            "folder first"
        )
    if isinstance(graph, NeuralGraph):
        calls = _calls(graph.structure, example_inputs)
        flat, axes = _Flat(_for_exporter(graph.to_module()), calls[0]), _open_axes(graph.structure)
        names = _input_names(graph.structure)
    elif isinstance(graph, nn.Module):
        if example_inputs is None:
            raise ConversionError(
                "export_onnx: expected example_inputs beside a module, got none; pass them as to to_graph"
            )
        calls, axes = [split_inputs(example_inputs)], {}
        flat = _Flat(graph, calls[0])
        names = [f"input_{i}" for i in range(len(flat.tensors(calls[0])))]
    else:
        raise ConversionError(
            f"export_onnx: expected a NeuralGraph or a torch.nn.Module, got {type(graph).__name__}"
        )
    with _evaluating(flat.__dict__["net"]):
        data = _exported(onnx, flat, calls, names, axes, opset)
    _write(target, data)


def _calls(structure: Structure, example_inputs: Inputs | None) -> list[Call]:
    """Arguments to export with, and to compare with: of a larger batch too, if the batch is open."""
    first = random_inputs(structure) if example_inputs is None else split_inputs(example_inputs)
    if not structure.symbols:
        return [first]
    larger = replace(structure, symbols=tuple(s._replace(example=s.example + 1) for s in structure.symbols))
    return [first, random_inputs(larger)]


def _input_names(structure: Structure) -> list[str]:
    return [n for n in structure.inputs if structure.value[n].dtype != "constant"]


def _open_axes(structure: Structure) -> Axes:
    """Names of the open sizes of inputs and outputs."""
    axes: Axes = {n: _open(structure.value[n].shape) for n in _input_names(structure)}
    refs = [o for o in structure.outputs if isinstance(o, Ref)]
    for i, ref in enumerate(refs):
        axes[f"output_{i}"] = _open(structure.value[ref.name].shape) if ref.kind == "value" else {}
    return {n: found for n, found in axes.items() if found}


def _open(shape: tuple[int | Size, ...]) -> dict[int, str]:
    return {
        d: f"{n.symbol}_times_{n.factor}" if n.factor != 1 else str(n.symbol)
        for d, n in enumerate(shape)
        if isinstance(n, Size)
    }


class _Flat(nn.Module):
    """A module as torch's exporter wants it: tensors in, a tuple of tensors out, no attribute `graph`; its
    tensors keep their names."""

    def __init__(self, net: nn.Module, call: Call) -> None:
        super().__init__()
        self._modules, self._parameters, self._buffers = net._modules, net._parameters, net._buffers
        self.training = False  # the exporter gives the children back in the mode of the whole
        self.__dict__["net"] = net  # not as a child, whose name would stand before every tensor's
        self.__dict__["leaves"], self.__dict__["spec"] = pytree.tree_flatten(call)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        rest = iter(tensors)
        leaves = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in self.__dict__["leaves"]]
        args, kwargs = pytree.tree_unflatten(leaves, self.__dict__["spec"])
        return self.tensors(self.__dict__["net"](*args, **kwargs))

    @staticmethod
    def tensors(nested: Any) -> tuple[Tensor, ...]:
        """The tensors in a nesting."""
        return tuple(leaf for leaf in pytree.tree_leaves(nested) if isinstance(leaf, Tensor))


def _for_exporter(module: Any) -> nn.Module:
    """A rebuilt module without what the exporter does not know: copies of constants, and sizes read by an
    operator, which it takes for constants where it follows those read by a method."""
    copies = {torch.ops.aten.lift_fresh_copy.default, torch.ops.aten.detach_.default}
    sizes: set[Any] = set()
    for node in list(module.graph.nodes):
        if node.target in copies:
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
        elif node.target is torch.ops.aten.sym_size.int:
            node.op, node.target = "call_method", "size"
            sizes.add(node)
        elif sizes.intersection(node.all_input_nodes):
            if node.target is operator.mul:
                sizes.add(node)
                continue
            name = node.target._schema.name.rpartition("::")[2]
            if hasattr(Tensor, name):
                node.op, node.target = "call_method", name
            elif hasattr(torch, name):
                node.target = getattr(torch, name)
    module.recompile()
    return module


def _exported(onnx: Any, flat: _Flat, calls: list[Call], names: list[str], axes: Axes, opset: int) -> bytes:
    """The file's bytes, checked; with the batch fixed, and a warning, if it cannot be left open."""
    try:
        data = _traced(flat, calls[0], names, axes, opset)
        _check(onnx, data, flat, calls)
        return data
    except ConversionError as error:
        if not axes:
            raise
        data = _traced(flat, calls[0], names, {}, opset)
        _check(onnx, data, flat, calls[:1])
        reason = str(error).removeprefix("export_onnx: ").partition(";")[0]
        warnings.warn(
            f"export_onnx: the batch cannot be left open, the file has that of the example ({reason}); "
            "convert the network with the batch that you need",
            ConversionWarning,
            stacklevel=3,
        )
        return data


def _traced(flat: _Flat, call: Call, names: list[str], axes: Axes, opset: int) -> bytes:
    file = io.BytesIO()
    tensors = flat.tensors(call)
    with _quiet():
        try:
            outputs = [f"output_{i}" for i in range(len(flat(*tensors)))]
            # the exporter built on torch.export needs onnxscript; this one needs nothing
            torch.onnx.export(
                flat,
                tensors,
                file,  # type: ignore[arg-type]  # this exporter takes one
                input_names=names,
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=opset,
                dynamo=False,
            )
        except Exception as error:
            raise ConversionError(
                f"export_onnx: torch cannot express this network in ONNX opset {opset}: "
                f"{_first_line(error)}; try another opset, or put another operator in place of the one named"
            ) from error
    return file.getvalue()


def _check(onnx: Any, data: bytes, flat: _Flat, calls: list[Call]) -> None:
    """Valid, and with onnxruntime at hand: computing what torch computes."""
    try:
        onnx.checker.check_model(onnx.load_from_string(data))
    except Exception as error:
        raise ConversionError(f"export_onnx: torch wrote an invalid model: {_first_line(error)}") from error
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        found = [
            session.run(None, dict(zip(names, map(_numpy, flat.tensors(call)), strict=True)))
            for call in calls
        ]
    except Exception as error:
        raise ConversionError(
            f"export_onnx: onnxruntime cannot run what torch wrote: {_first_line(error)}; try another opset"
        ) from error
    for call, given in zip(calls, found, strict=True):
        with torch.no_grad():
            expected = [_numpy(t) for t in flat(*flat.tensors(call))]
        for a, b in zip(given, expected, strict=True):
            if a.shape != b.shape or not np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True):
                off = f"by up to {np.abs(a - b).max():.3g}" if a.shape == b.shape else "in shape"
                raise ConversionError(
                    f"export_onnx: the ONNX model differs from torch's {off}; nothing was written, try "
                    "another opset"
                )


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()


def _write(target: Path, data: bytes) -> None:
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        raise ConversionError(
            f"export_onnx: cannot write {str(target)!r}: {error.strerror or error}; nothing was changed"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and unfused attention, put back afterwards."""
    modes = [(m, m.training) for m in module.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for m, mode in modes:
            m.training = mode


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings and logs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), _no_dump():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _no_dump() -> Iterator[None]:
    """Where it fails, the exporter prints the whole program from C++; no switch of torch 2.13 stops it."""
    getattr(torch._C, "_jit_set_onnx_log_output_stream", lambda name: None)("stderr")
    try:
        kept = os.dup(2)
    except OSError:  # a process without a standard error stream
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


__all__ = ["export_onnx"]
