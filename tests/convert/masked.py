"""The slow twin of cutting: the whole network, with dropped channels set to zero after every operator.

Operators whose result at kept channels depends on the dropped ones being absent rather than zero (norms,
softmax, means over channels) are restricted to what is kept, and their results are put back among zeros.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from netgraph.graph import NeuralGraph, NodeMask, Operator, Ref, Size, kept_positions, select
from netgraph.graph.program import resolve
from netgraph.graph.structure import TorchConstant

RESTRICTED = {
    *("layer_norm", "native_layer_norm", "rms_norm", "group_norm", "_weight_norm", "weight_norm"),
    *("softmax", "_softmax", "log_softmax", "logsumexp", "mean", "var", "std", "var_mean", "std_mean"),
    *("max", "min", "amax", "amin", "argmax", "argmin", "topk", "sort", "argsort", "prod", "cumprod"),
}


class MaskedRun:
    """One run of a graph's program under a mask.

    Attributes:
        restricted: names of the operators that were restricted to what is kept.
    """

    def __init__(self, graph: NeuralGraph, mask: NodeMask) -> None:
        self.graph, self.small = graph, select(graph, NodeMask(mask.keep))
        self.positions = [
            None if p is None else torch.from_numpy(p) for p in kept_positions(graph.structure, mask)
        ]
        self.state = mask.apply(graph).state
        self.restricted: list[str] = []

    @torch.no_grad()
    def __call__(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """The outputs, at kept channels only."""
        structure = self.graph.structure
        flat = [v.clone() if isinstance(v, Tensor) else v for v in pytree.tree_leaves((args, kwargs))]
        env: dict[str, Any] = dict(zip(structure.inputs, flat, strict=True))
        sizes = {s.name: env[s.value].shape[s.dim] for s in structure.symbols}
        tensors = {n: t.clone() for n, t in self.state.items()}
        for op, less in zip(structure.operators, self.small.structure.operators, strict=True):
            if (op.kind in RESTRICTED and self._cut(op)) or self._norms_a_weight(op):
                self.restricted.append(op.name)
                cut_env = {n: self._kept(env[n], structure.value[n].axes) for n in op.refs()}
                cut_tensors = {n: self._kept(tensors[n], structure.tensor[n].axes) for n in op.refs("tensor")}
                found = _run(less, cut_env, cut_tensors, sizes)
                results = [
                    self._among_zeros(t, env, op, name)
                    for name, t in zip(op.results, found if op.unpack else (found,), strict=False)
                ]
            else:
                found = _run(op, env, tensors, sizes)
                results = [
                    self._zeroed(t, structure.value[name].axes)
                    for name, t in zip(op.results, found if op.unpack else (found,), strict=False)
                ]
            env.update(zip(op.results, results, strict=False))
        out = []
        for item in structure.outputs:
            if isinstance(item, Ref) and item.kind == "value" and isinstance(env[item.name], Tensor):
                out.append(self._kept(env[item.name], structure.value[item.name].axes))
            elif isinstance(item, Ref) and item.kind == "tensor":
                out.append(self._kept(tensors[item.name], structure.tensor[item.name].axes))
        return out

    def _cut(self, op: Operator) -> bool:
        structure = self.graph.structure
        axes = [a for n in op.refs() for a in structure.value[n].axes]
        axes += [a for n in op.refs("tensor") for a in structure.tensor[n].axes]
        return any(a is not None and self.positions[a] is not None for a in axes)

    def _norms_a_weight(self, op: Operator) -> bool:
        """Whether a batch norm runs over cut channels: over the inputs of a weight that it standardises."""
        first = op.args[0] if op.args else None
        if op.kind != "batch_norm" or not isinstance(first, Ref) or first.kind != "value":
            return False
        axes = self.graph.structure.value[first.name].axes
        return any(a is not None and self.positions[a] is not None for a in axes[:1] + axes[2:])

    def _kept(self, value: Any, axes: tuple[int | None, ...]) -> Any:
        for dim, axis in enumerate(axes):
            kept = None if axis is None else self.positions[axis]
            if kept is not None:
                value = value.index_select(dim, kept)
        return value

    def _zeroed(self, value: Any, axes: tuple[int | None, ...]) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        for dim, axis in enumerate(axes):
            kept = None if axis is None else self.positions[axis]
            if kept is not None:
                gone = torch.ones(value.shape[dim], dtype=torch.bool)
                gone[kept] = False
                if 0 in value.stride():  # cannot be written in place
                    value = value.contiguous()
                value.index_fill_(dim, gone.nonzero().squeeze(1), 0)
        return value

    def _among_zeros(self, value: Tensor, env: dict[str, Any], op: Operator, name: str) -> Tensor:
        spec = self.graph.structure.value[name]
        shape = list(value.shape)
        for dim, axis in enumerate(spec.axes):
            if axis is not None and self.positions[axis] is not None:
                shape[dim] = self.graph.structure.axes[axis].size
        full = value.new_zeros(shape)
        index: Any = [
            torch.arange(n) if a is None or self.positions[a] is None else self.positions[a]
            for n, a in zip(shape, spec.axes, strict=True)
        ]
        if not shape:
            return value
        full[torch.meshgrid(*index, indexing="ij")] = value
        return full


def at_example(graph: NeuralGraph, inputs: Any) -> Any:
    """Inputs with as many samples as the example had: an axis may run over samples as well as channels."""
    structure = graph.structure
    examples = {s.name: s.example for s in structure.symbols}
    leaves, spec = pytree.tree_flatten(inputs)
    for i, name in enumerate(structure.inputs):
        for dim, size in enumerate(structure.value[name].shape):
            if isinstance(size, Size):
                times = size.factor * examples[size.symbol] // leaves[i].shape[dim]
                leaves[i] = torch.cat([leaves[i]] * max(times, 1), dim)
    return pytree.tree_unflatten(leaves, spec)


def _run(op: Operator, env: dict[str, Any], tensors: dict[str, Tensor], sizes: dict[str, int]) -> Any:
    def read(item: Any) -> Any:
        if isinstance(item, Ref):
            return (
                {"value": env, "tensor": tensors}[item.kind][item.name] if item.kind != "training" else False
            )
        if isinstance(item, Size):
            return sizes[item.symbol] * item.factor
        if isinstance(item, TorchConstant):
            return torch.device(item.name) if item.kind == "device" else getattr(torch, item.name)
        if isinstance(item, tuple):
            return [read(i) for i in item]
        return item

    return resolve(op.target)(*(read(a) for a in op.args), **{k: read(v) for k, v in op.kwargs})
