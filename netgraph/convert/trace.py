"""From a module to an operator program: export, then put into our own records.

The only file that knows `torch.export`. What leaves it is plain: operators with constants and references,
values with shapes, and the module's own tensors.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from netgraph.convert.importer import Arguments, Importer, Trace, Untraceable
from netgraph.errors import ConversionError, ConversionWarning
from netgraph.graph import dtype_name

Inputs = Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]


def split_inputs(example_inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Example inputs as positional and keyword arguments."""
    if isinstance(example_inputs, Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, (tuple, list)):
        return tuple(example_inputs), {}
    raise ConversionError(
        "to_graph: expected example_inputs to be a tensor, a tuple of arguments or a dict of keyword "
        f"arguments, got {type(example_inputs).__name__}"
    )


def trace(module: nn.Module, example_inputs: Inputs) -> Trace:
    """Trace a module in evaluation mode.

    Raises:
        ConversionError: the module cannot run on the inputs.
        Untraceable: it runs, but cannot be exported.
    """
    args, kwargs = split_inputs(example_inputs)
    found, reason = _trace(module, args, kwargs)
    if reason is not None:
        warnings.warn(
            f"to_graph: the forward of {type(module).__name__} decides by its data ({reason}); the program "
            "follows the way that the example inputs took, and takes no other for other inputs",
            ConversionWarning,
            stacklevel=3,
        )
    return found


def _trace(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Trace, str | None]:
    """The program, and why the ordinary export failed, if it did."""
    with _quiet(), _evaluating(module):
        errors: list[Exception] = []
        for candidate, dims in _attempts(args, kwargs):
            try:
                program = _export(module, candidate, dims)
                return Importer(module, program, candidate).run(), None
            except Exception as error:
                errors.append(error)
        with torch.no_grad(), _unchanged(module):
            try:
                with _Decisions() as decisions:
                    module(*args, **kwargs)
            except Exception as error:
                raise ConversionError(
                    "to_graph: the module cannot run on its example inputs "
                    f"{_describe(args, kwargs)}: {_first_line(error)}"
                ) from error
        for candidate, dims in _attempts(args, kwargs) if decisions.values else ():
            with contextlib.suppress(Exception):
                with decisions.again():
                    program = _export(module, candidate, dims)
                if _agrees(program, module, args, kwargs):
                    return Importer(module, program, candidate).run(), _first_line(errors[-1])
        raise Untraceable(_first_line(errors[-1]))


class _Decisions(TorchFunctionMode):
    """Numbers that a forward takes out of its tensors (`if x.sum() > 0`): remembered in one run with real
    tensors, and given again in the same order while exporting, where tensors have no numbers."""

    def __init__(self, values: list[Any] | None = None) -> None:
        super().__init__()
        self.values: list[Any] = [] if values is None else values
        self.giving = iter(()) if values is None else cycle(values)
        self.known = values is not None

    def again(self) -> _Decisions:
        return _Decisions(self.values)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in _DECIDING:
            return func(*args, **(kwargs or {}))
        if self.known:
            return next(self.giving)
        self.values.append(func(*args, **(kwargs or {})))
        return self.values[-1]


_DECIDING = {
    *(Tensor.__bool__, Tensor.__float__, Tensor.__int__, Tensor.__index__, Tensor.item, Tensor.tolist),
    *(Tensor.is_nonzero, Tensor.equal, Tensor.allclose, torch.is_nonzero, torch.equal, torch.allclose),
}


def _agrees(
    program: ExportedProgram, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Whether a program that took one way through the module computes the example's outputs."""
    given = [t for t in pytree.tree_leaves(program.module()(*args, **kwargs)) if isinstance(t, Tensor)]
    expected = [t for t in pytree.tree_leaves(module(*args, **kwargs)) if isinstance(t, Tensor)]
    return len(given) == len(expected) and all(
        a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True)
        for a, b in zip(given, expected, strict=True)
    )


def _attempts(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[Arguments, list[int] | None]]:
    """With open sizes where that works, then as given: arguments, and the open dimension of each tensor that
    has one. A batch of one is never open, so it is doubled."""
    leaves = _tensors((args, kwargs))
    dims = _open_dims(leaves)
    if dims is not None and all(t.shape[d] == 1 for t, d in zip(leaves, dims, strict=True)):

        def twice(t: Any) -> Any:
            return torch.cat([t, t]) if isinstance(t, Tensor) and t.dim() > 0 else t

        yield pytree.tree_map(twice, (args, kwargs)), dims
    elif dims is not None:
        yield (
            pytree.tree_map(lambda t: t.detach().clone() if isinstance(t, Tensor) else t, (args, kwargs)),
            dims,
        )
    yield (args, kwargs), None


def _tensors(inputs: Any) -> list[Tensor]:
    return [t for t in pytree.tree_leaves(inputs) if isinstance(t, Tensor) and t.dim() > 0]


def _open_dims(leaves: list[Tensor]) -> list[int] | None:
    """The dimension of each input that may have any size: the batch, if all have the same; the nodes and
    edges of a graph, if a list of edges `(2, edges)` counts rows of another input; else none."""
    if leaves and len({t.shape[0] for t in leaves}) == 1:
        return [0] * len(leaves)
    edges = [_lists_edges(t, leaves) for t in leaves]
    return [int(e) for e in edges] if any(edges) else None


def _lists_edges(tensor: Tensor, leaves: list[Tensor]) -> bool:
    if tensor.dtype != torch.int64 or tensor.dim() != 2 or len(tensor) != 2 or tensor.numel() == 0:
        return False
    last = int(tensor.max()) if tensor.device.type != "meta" else 0
    return any(t is not tensor and t.dim() == 2 and len(t) > max(last, 2) for t in leaves)


def _export(module: nn.Module, inputs: Arguments, dims: list[int] | None) -> ExportedProgram:
    args, kwargs = inputs
    shapes: Any = None
    if dims is not None:
        shapes = ShapesCollection()
        for leaf, dim in zip(_tensors(inputs), dims, strict=True):
            shapes[leaf] = {dim: Dim.AUTO}
    return torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def _describe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    def one(item: Any) -> str:
        return (
            f"{dtype_name(item.dtype)}{list(item.shape)}" if isinstance(item, Tensor) else type(item).__name__
        )

    parts = [one(a) for a in pytree.tree_leaves(args)] + [f"{k}={one(v)}" for k, v in kwargs.items()]
    return "(" + ", ".join(parts) + ")"


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, unfused attention and gradients on; all is put back afterwards, also what a forward
    sets or registers on its module.

    Raises:
        ConversionError: the forward registers parameters, buffers or modules.
    """
    before = [(m, dict(vars(m)), [dict(vars(m)[kind]) for kind in _REGISTRIES]) for m in module.modules()]
    hooks = [
        (held, dict(held))
        for _, found, _ in before
        for name, held in found.items()
        if name.endswith("_hooks") and isinstance(held, dict)
    ]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    module.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        grown = sorted({n for m, _, held in before for n in _restore(m, held)})
        for m, attributes, _ in before:
            vars(m).clear()
            vars(m).update(attributes)
        for registry, entries in hooks:
            registry.clear()
            registry.update(entries)
    if grown:
        raise ConversionError(
            f"to_graph: the forward of {type(module).__name__} registers {grown[:3]} on its modules, "
            "expected a network that is complete when it is called; run it once before converting, or build "
            "its layers in __init__"
        )


_REGISTRIES = ("_parameters", "_buffers", "_modules")


def _restore(module: nn.Module, held: list[dict[str, Any]]) -> list[str]:
    """Put back what a module had registered, and name what came on top."""
    grown = []
    for kind, entries in zip(_REGISTRIES, held, strict=True):
        registry = vars(module)[kind]
        grown += [n for n in registry if n not in entries]
        registry.clear()
        registry.update(entries)
    return grown


@contextlib.contextmanager
def _unchanged(module: nn.Module) -> Iterator[None]:
    """Buffers keep their numbers, whatever a forward writes into them."""
    kept = [(b, b.detach().clone()) for b in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                if buffer.shape == value.shape:
                    buffer.copy_(value)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(n) for n in ("torch.export", "torch.fx", "torch._dynamo", "torch._export")]
    levels = [logger.level for logger in loggers]
    # the exporter prints the program of a failed attempt on stderr
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


__all__ = ["Inputs", "Trace", "Untraceable", "split_inputs", "trace"]
