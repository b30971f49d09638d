"""An ONNX program as a torch module: read, folded where it only computes shapes, and run node by node."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

import netgraph.convert.onnx.layers
import netgraph.convert.onnx.movement  # noqa: F401  (both register their operators)
from netgraph.convert.onnx.numbers import NUMBERS, SHORT, Array, Node
from netgraph.convert.onnx.operators import OPERATORS, Value, torch_dtype
from netgraph.convert.onnx.recurrent import RECURRENT, is_weight, unpack
from netgraph.errors import ConversionError

# Operands that shape the computation rather than take part in it.
_SETTINGS: dict[str, tuple[int, ...]] = {
    "Clip": (1, 2),
    "ConstantOfShape": (0,),
    "CumSum": (1,),
    "Dropout": (1, 2),
    "Expand": (1,),
    "Pad": (1, 2, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
    **{k: (1,) for k in OPERATORS if k.startswith("Reduce")},
}
_STATISTICS = {"BatchNormalization": (3, 4)}
_OPEN = {"ConstantOfShape", "Expand", "Range", "Tile"}  # make arrays as large as their operands say

Watch = Callable[[int, Node, list[Any]], None]


class OnnxModule(nn.Module):
    """Runs the nodes of an ONNX graph; its weights are parameters, its other tensors buffers.

    Takes the graph's inputs as positional arguments, in their order; returns its output, or a tuple of them.
    """

    def __init__(
        self,
        nodes: list[Node],
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        constants: Mapping[str, Array],
        stored: frozenset[str],
    ) -> None:
        super().__init__()
        self.program, self.numbers, stored = fold(nodes, constants, stored, outputs)
        self.inputs, self.outputs = inputs, outputs
        self.paths: dict[str, str] = {}
        paths = _Paths()
        for name, node, position in _held(self.program, self.numbers, outputs):
            if name not in self.paths:
                self.paths[name] = paths.take(name, node, position)
                data = _to_torch(self.numbers[name])
                learned = data.is_floating_point() and _is_learned(name, node, position, stored)
                _place(self, self.paths[name], nn.Parameter(data) if learned else data)
        used = {name for node in self.program for name in node.inputs} | set(outputs)
        self.numbers = {
            n: a for n, a in self.numbers.items() if n in used and (n not in self.paths or a.size <= SHORT)
        }
        self.eval()

    def forward(self, *inputs: Tensor) -> Any:
        """The outputs of the graph."""
        return self.run(inputs)

    def run(self, inputs: tuple[Tensor, ...], watch: Watch | None = None) -> Any:
        """`forward`, with a look at every node and its operands before it runs."""
        if len(inputs) != len(self.inputs):
            raise ConversionError(
                f"from_onnx: the model takes {len(self.inputs)} inputs {list(self.inputs)}, got "
                f"{len(inputs)}; pass one tensor for each, in this order"
            )
        env: dict[str, Value] = dict(zip(self.inputs, inputs, strict=True))
        for place, node in enumerate(self.program):
            operands = [self._operand(env, node, i) for i in range(len(node.inputs))]
            if watch is not None:
                watch(place, node, operands)
            results = evaluate(node, operands)
            env.update(zip(node.outputs, results, strict=False))
        found = [self._output(env, name) for name in self.outputs]
        return found[0] if len(found) == 1 else tuple(found)

    def _operand(self, env: Mapping[str, Value], node: Node, position: int) -> Any:
        name = node.inputs[position]
        if not name:
            return None
        if name in env:
            return env[name]
        path = self.paths.get(name)
        if path is None or (position in _SETTINGS.get(node.kind, ()) and name in self.numbers):
            return self.numbers[name]
        return self._tensor(path)

    def _output(self, env: Mapping[str, Value], name: str) -> Tensor:
        value = env[name] if name in env else self._tensor(self.paths[name])
        return value if isinstance(value, Tensor) else torch.tensor(value.tolist())

    def _tensor(self, path: str) -> Tensor:
        owner: Any = self
        for part in path.split("."):
            owner = getattr(owner, part)
        found: Tensor = owner
        return found

    def keep_first_sizes(self, inputs: tuple[Tensor, ...]) -> None:
        """Let a Reshape that writes the first size of its operand as a number keep that size instead.

        Exporters write the batch of their example into shapes; so a model works at other batches too.
        """

        def look(place: int, node: Node, operands: list[Any]) -> None:
            if node.kind != "Reshape" or node.inputs[1] not in self.numbers or node.get("allowzero", 0):
                return
            x, wanted = operands[0], self.numbers[node.inputs[1]]
            if isinstance(x, Tensor) and x.dim() and wanted.size and x.shape[0] == wanted[0] > 0:
                name = f"{node.inputs[1]} of {place}"
                self.numbers[name] = np.concatenate([[0], wanted[1:]])
                self.program[place] = replace(node, inputs=(node.inputs[0], name))

        with torch.no_grad():
            self.run(inputs, look)


def evaluate(node: Node, operands: list[Any]) -> list[Value]:
    """Run one node: outside torch if all its operands are known numbers."""
    given = [o for o in operands if o is not None]
    known = node.kind in NUMBERS and all(isinstance(o, np.ndarray) for o in given)
    if known and not (node.kind in _OPEN and any(o.dtype == object for o in given)):
        result = NUMBERS[node.kind](node, operands)
        return list(result) if isinstance(result, list) else [result]
    computed = OPERATORS[node.kind](node, operands)
    return list(computed) if isinstance(computed, (tuple, list)) else [computed]


def fold(
    nodes: list[Node], constants: Mapping[str, Array], stored: frozenset[str], outputs: tuple[str, ...]
) -> tuple[list[Node], dict[str, Array], frozenset[str]]:
    """Compute what depends on constants only; weights (stored tensors of floats) stay as they are.

    Returns the nodes left that the outputs need, all constants, and the names of the stored ones: exporters
    keep equal weights once and name them again with `Identity`, here each has its own again.
    """
    known, left, weights = dict(constants), [], set(stored)
    made: dict[str, Node] = {}
    for node in nodes:
        if node.kind in RECURRENT:
            node = unpack(node, known, made)
        names = [n for n in node.inputs if n]
        fixed = node.kind in NUMBERS and all(n in known for n in names)
        heavy = any(n in weights and _is_weight(known[n]) for n in names) if fixed else False
        if fixed and (node.kind == "Identity" or not heavy):
            operands = [known[n] if n else None for n in node.inputs]
            known.update(zip(node.outputs, evaluate(node, operands), strict=False))  # type: ignore[arg-type]
            weights.update(node.outputs if heavy or set(node.outputs) <= stored else ())
        else:
            left.append(node)
            made.update(dict.fromkeys(node.outputs, node))
    needed, kept = set(outputs), []
    for node in reversed(left):
        if needed & set(node.outputs):
            kept.append(replace(node, outputs=tuple(o if o in needed else "" for o in node.outputs)))
            needed |= set(node.inputs)
    return kept[::-1], known, frozenset(weights)


def _is_weight(array: Array) -> bool:
    return array.ndim > 0 and array.size > 1 and _to_torch(array[..., :0]).is_floating_point()


def _held(
    nodes: list[Node], numbers: Mapping[str, Array], outputs: tuple[str, ...]
) -> list[tuple[str, Node | None, int]]:
    """Constants that the module must hold as tensors, with who takes them and as which operand."""
    found: list[tuple[str, Node | None, int]] = []
    for node in nodes:
        for position, name in enumerate(node.inputs):
            array = numbers.get(name)
            if array is None or position in _SETTINGS.get(node.kind, ()):
                continue
            if array.ndim and (array.size > SHORT or _to_torch(array[..., :0]).is_floating_point()):
                found.append((name, node, position))
    return found + [(name, None, 0) for name in outputs if name in numbers]


def _is_learned(name: str, node: Node | None, position: int, stored: frozenset[str]) -> bool:
    if node is not None and node.kind in RECURRENT:
        return is_weight(node, position)
    return name in stored and (node is None or position not in _STATISTICS.get(node.kind, ()))


def _to_torch(array: Array) -> Tensor:
    if array.dtype.name == "bfloat16":  # NumPy knows it through a package of its own
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    torch_dtype(array)
    return torch.from_numpy(np.array(array))


class _Paths:
    """Names for tensors of a module: dotted, of letters, digits and underscores, no two alike."""

    def __init__(self) -> None:
        self.leaves: set[str] = set()
        self.owners: set[str] = set()
        self.reserved = set(dir(fx.GraphModule)) | set(dir(nn.Module()))  # of a rebuilt module, and of any
        self.reserved |= {"program", "numbers", "inputs", "outputs", "paths", "structure", "meta"}

    def take(self, name: str, node: Node | None, position: int) -> str:
        """The path for an ONNX name, or for the layer that takes the tensor if the name says nothing."""
        if node is not None and re.fullmatch(r"(onnx::.*|\d+)", name):
            name = _layer(node.name, position) or name
        parts = [re.sub(r"\W+", "_", p, flags=re.ASCII).strip("_") for p in name.split(".")]
        parts = [p + "_" if p in self.reserved else p for p in parts if p] or ["tensor"]
        path, count = ".".join(parts), 1
        while self._clashes(path):
            count += 1
            path = "_".join([*parts, str(count)])
        self.leaves.add(path)
        self.owners.update(_prefixes(path))
        return path

    def _clashes(self, path: str) -> bool:
        return path in self.leaves | self.owners or any(p in self.leaves for p in _prefixes(path))


def _prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def _layer(name: str, position: int) -> str:
    """`layer1.0.conv1.weight` from the name that torch gives a node, `/layer1/layer1.0/conv1/Conv`."""
    parts: list[str] = []
    for part in name.strip("/").split("/")[:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()
        parts.append(part)
    return ".".join([*parts, "bias" if position == 2 else "weight"]) if parts else ""


def _place(root: nn.Module, path: str, data: Tensor) -> None:
    *owners, leaf = path.split(".")
    owner = root
    for part in owners:
        inner = owner._modules.get(part) or nn.Module()
        owner._modules[part] = inner
        owner = inner
    if isinstance(data, nn.Parameter):
        owner.register_parameter(leaf, data)
    else:
        owner.register_buffer(leaf, data)


__all__ = ["OnnxModule", "evaluate", "fold"]
