"""The operator program as a runnable `torch.fx.GraphModule`."""

from __future__ import annotations

import operator as python_operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from netgraph.errors import GraphError
from netgraph.graph.structure import Ref, Size, Structure, TorchConstant
from netgraph.graph.vetting import vet


def resolve(target: str) -> Any:
    """The torch operator behind a target such as `aten.conv2d.default`.

    Only operators of the `aten` namespace that touch no file are allowed, so that running a graph from an
    untrusted file can compute but nothing else.

    Raises:
        GraphError: the name is not allowed, or this torch does not know it.
    """
    parts = target.split(".")
    if len(parts) != 3 or parts[0] != "aten":
        raise GraphError(f"program: operator {target!r} is not of the form 'aten.<name>.<overload>'")
    packet = getattr(torch.ops.aten, parts[1], None)
    overload = getattr(packet, parts[2], None) if packet is not None else None
    if not isinstance(overload, torch._ops.OpOverload):
        raise GraphError(f"program: torch {torch.__version__} has no operator {target!r}")
    if any("file" in argument.name for argument in overload._schema.arguments):
        raise GraphError(f"program: operator {target!r} reads files and is refused")
    return overload


class ProgramModule(fx.GraphModule):
    """A module rebuilt from a graph: an ordinary `torch.fx.GraphModule`.

    Its tensors have the names and the order of the converted module's, unused and non-persistent ones too.
    """

    def __init__(self, structure: Structure, state: Mapping[str, Tensor]) -> None:
        vet(structure)  # fx is about to write its names into source text
        root = nn.Module()
        _populate(root, structure, state)
        super().__init__(root, _fx_graph(structure), class_name="ProgramModule")
        # fx copies what the program reads, and forgets which buffers are persistent: take all from the root
        for own, made in (
            (self._modules, root._modules),
            (self._parameters, root._parameters),
            (self._buffers, root._buffers),
        ):
            own.clear()
            own.update(made)  # type: ignore[arg-type]
        self._non_persistent_buffers_set = root._non_persistent_buffers_set
        self.structure = structure

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgramModule:
        named = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        new = build_module(self.structure, {s.name: named[s.name] for s in self.structure.tensors})
        for mine, theirs in zip(self.modules(), new.modules(), strict=True):
            theirs.training = mine.training
        for name, parameter in new.named_parameters():
            parameter.requires_grad_(named[name].requires_grad)
        return new


def build_module(structure: Structure, state: Mapping[str, Tensor]) -> ProgramModule:
    """Build the module; parameters and buffers are copies of `state`, under their own names."""
    if not structure.outputs:
        raise GraphError(
            "to_module: this graph has no program, because its module could not be traced; "
            "use load_into(module, graph) with the original class instead"
        )
    return ProgramModule(structure, state)


def _fx_graph(structure: Structure) -> fx.Graph:
    graph = fx.Graph()
    env: dict[str, fx.Node] = {name: graph.placeholder(_identifier(name)) for name in structure.inputs}
    symbols = {
        s.name: graph.call_function(torch.ops.aten.sym_size.int, (env[s.value], s.dim))
        for s in structure.symbols
    }
    used = {name for op in structure.operators for name in op.refs("tensor")}
    used |= {o.name for o in structure.outputs if isinstance(o, Ref) and o.kind == "tensor"}
    tensors = {name: graph.get_attr(name) for name in structure.tensor if name in used}
    training: list[fx.Node] = []

    def convert(item: Any) -> Any:
        if isinstance(item, Ref):
            if item.kind == "value":
                return env[item.name]
            if item.kind == "tensor":
                return tensors[item.name]
            if not training:
                training.append(graph.create_node("get_attr", "training"))
            return training[0]
        if isinstance(item, Size):
            node = symbols[item.symbol]
            if item.factor == 1:
                return node
            return graph.call_function(python_operator.mul, (node, item.factor))
        if isinstance(item, TorchConstant):
            return torch.device(item.name) if item.kind == "device" else getattr(torch, item.name)
        if isinstance(item, tuple):
            return [convert(i) for i in item]
        return item

    for op in structure.operators:
        args = tuple(convert(a) for a in op.args)
        kwargs = {k: convert(v) for k, v in op.kwargs}
        node = graph.call_function(resolve(op.target), args, kwargs)
        if op.unpack:
            for i, name in enumerate(op.results):
                env[name] = graph.call_function(python_operator.getitem, (node, i))
        elif op.results:
            env[op.results[0]] = node
    outputs = [convert(o) for o in structure.outputs]
    graph.output(
        tuple(outputs) if structure.out_spec else outputs[0] if len(outputs) == 1 else tuple(outputs)
    )
    _codegen(graph, structure)
    return graph


def _codegen(graph: fx.Graph, structure: Structure) -> None:
    """Give the module the original's call signature: same arguments, same nesting of inputs and outputs."""
    if structure.in_spec and structure.out_spec:
        in_spec = pytree.treespec_loads(structure.in_spec)
        out_spec = pytree.treespec_loads(structure.out_spec)
        args_spec, kwargs_spec = in_spec.children()
        names = [f"arg_{i}" for i in range(args_spec.num_children)] + list(kwargs_spec.context or [])
        graph.set_codegen(fx.graph._PyTreeCodeGen(fx.graph._PyTreeInfo(names, in_spec, out_spec)))


def _populate(root: nn.Module, structure: Structure, state: Mapping[str, Tensor]) -> None:
    made: dict[str, Tensor] = {}
    for spec in structure.tensors:
        data = state[spec.name].detach().clone()
        made[spec.name] = (
            nn.Parameter(data, requires_grad=spec.requires_grad and data.dtype.is_floating_point)
            if spec.kind == "parameter"
            else data
        )
    alias = dict(structure.aliases)
    taken = {name.split(".")[0] for name in structure.tensor} & set(dir(fx.GraphModule))
    if taken:
        raise GraphError(
            f"to_module: {sorted(taken)[0]!r} is an attribute of every torch.fx.GraphModule, so no layer "
            "or tensor of a rebuilt module can be called so; rename it in the original and convert again"
        )
    ordered = list(structure.order) + [
        s.name for s in structure.tensors if s.name not in set(structure.order)
    ]
    for name in ordered:
        spec = structure.tensor[alias.get(name, name)]
        owner = root
        *path, leaf = name.split(".")
        for part in path:
            inner = owner._modules.get(part) or nn.Module()
            owner._modules[part] = inner
            owner = inner
        tensor = made[spec.name]
        if isinstance(tensor, nn.Parameter):
            owner.register_parameter(leaf, tensor)
        else:
            owner.register_buffer(leaf, tensor, persistent=spec.kind == "buffer" and spec.persistent)


def _identifier(name: str) -> str:
    return name if name.isidentifier() else "in_" + "".join(c if c.isalnum() else "_" for c in name)
