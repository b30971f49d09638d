"""What a command works on, out of its arguments: a module by import path, a file, a model by name."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from netgraph.convert import to_graph
from netgraph.errors import GraphError, UsageError
from netgraph.graph import NeuralGraph, load_graph, to_dtype
from netgraph.hub import load_model_graph, load_weights, refuse_nan

__all__ = ["Source", "build_module", "example_inputs", "open_graph", "open_source", "recorded_inputs"]

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Source:
    """A network to work on: its graph, and its module and inputs where the source was code."""

    name: str
    graph: NeuralGraph
    module: nn.Module | None = None
    inputs: tuple[Tensor, ...] = ()


def open_source(
    text: str, weights: Path | None, shapes: Sequence[str], dtypes: Sequence[str], *, command: str
) -> Source:
    """Open `package.module:callable`, a graph file, or the name of a model."""
    if _TARGET.fullmatch(text) and not Path(text).exists():
        module = build_module(text, command).eval()
        if weights is not None:
            load_weights(module, weights)
        refuse_nan(module.state_dict(), text if weights is None else weights.name)
        inputs = example_inputs(shapes, dtypes, command)
        return Source(text.partition(":")[2], to_graph(module, inputs), module, inputs)
    if weights is not None or shapes:
        raise UsageError(
            f"{command}: --weights and --input-shape belong to a module 'package.module:callable', "
            f"got {text!r}; leave them out"
        )
    graph = open_graph(text)
    refuse_nan(graph.state, Path(text).name)
    return Source(
        Path(text).name.removesuffix(".onnx").removesuffix(".safetensors").removesuffix(".graph"), graph
    )


def open_graph(text: str) -> NeuralGraph:
    """A graph file or ONNX file, or the graph of a model that ships, lies in a folder, or is on the Hugging
    Face Hub."""
    path = Path(text)
    if path.suffix.lower() == ".onnx":
        return to_graph(path)
    if path.is_file() or path.suffix == ".safetensors":
        return load_graph(path)
    return load_model_graph(text)


def build_module(target: str, command: str) -> nn.Module:
    """Import `package.module:callable`, from the working directory too, and call it without arguments."""
    name, _, attribute = target.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: object = importlib.import_module(name)
        for part in attribute.split("."):
            found = getattr(found, part)
        made = found if isinstance(found, nn.Module) else found() if callable(found) else found
    except (Exception, SystemExit) as error:  # anything may go wrong in somebody's code
        reason = (str(error).splitlines() or [""])[0]
        raise UsageError(
            f"{command}: importing or calling {target!r} raised {type(error).__name__}: {reason[:160]}; "
            "give 'package.module:callable', a callable that needs no arguments"
        ) from error
    if not isinstance(made, nn.Module):
        raise UsageError(
            f"{command}: {target!r} should give a torch.nn.Module, gave {type(made).__name__}; "
            "point to a class or a function that returns one"
        )
    return made


def example_inputs(shapes: Sequence[str], dtypes: Sequence[str], command: str) -> tuple[Tensor, ...]:
    """Inputs of the given shapes: noise of a fixed seed for floating types, zeros for the others."""
    if not shapes:
        raise UsageError(f"{command}: a module needs --input-shape, such as --input-shape 1,3,32,32")
    if len(dtypes) not in (1, len(shapes)):
        raise UsageError(
            f"{command}: expected one --input-dtype or one per input ({len(shapes)}), got {len(dtypes)}"
        )
    kinds = list(dtypes) * (len(shapes) if len(dtypes) == 1 else 1)
    generator = torch.Generator().manual_seed(0)
    made = []
    for shape, kind in zip(shapes, kinds, strict=True):
        if re.fullmatch(r"[1-9]\d{0,8}(,[1-9]\d{0,8})*", shape) is None:
            raise UsageError(f"{command}: --input-shape should read like 1,3,32,32, got {shape!r}")
        try:
            dtype = to_dtype(kind)
        except GraphError:
            raise UsageError(
                f"{command}: --input-dtype should be a torch type such as int64, got {kind!r}"
            ) from None
        made.append(_noise([int(n) for n in shape.split(",")], dtype, generator))
    return tuple(made)


def recorded_inputs(graph: NeuralGraph) -> tuple[Any, ...] | dict[str, Any]:
    """Inputs of the shapes at which a graph was converted, nested as its program wants them."""
    structure = graph.structure
    generator = torch.Generator().manual_seed(0)
    examples = {s.name: s.example for s in structure.symbols}
    flat = []
    for name in structure.inputs:
        value = structure.value[name]
        shape = [n if isinstance(n, int) else n.factor * examples[n.symbol] for n in value.shape]
        flat.append(_noise(shape, to_dtype(value.dtype), generator))
    if not structure.in_spec:
        return tuple(flat)
    args, kwargs = pytree.tree_unflatten(flat, pytree.treespec_loads(structure.in_spec))
    if args and kwargs:
        raise UsageError(
            "prune: the network takes positional and keyword inputs, which only prune() in Python can"
        )
    return dict(kwargs) if kwargs else tuple(args)


def _noise(shape: Sequence[int], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Noise for a floating type; zeros for any other, where a value may be an index."""
    if dtype.is_floating_point:
        return torch.randn(list(shape), generator=generator).to(dtype)
    return torch.zeros(list(shape), dtype=dtype)
