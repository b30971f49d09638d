"""An exported program, put into our own records: operators with constants and references, values with shapes.

Knows the nodes and signatures of `torch.export`; how a program is had is `trace`'s business.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from netgraph.graph import Operator, Ref, Size, Symbol, TorchConstant, dtype_name
from netgraph.graph.vetting import vet_call, vet_spec

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass
class Trace:
    """A program before anything is known about channels."""

    operators: list[Operator] = field(default_factory=list)
    shapes: dict[str, tuple[int | Size, ...]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)
    extra_buffers: dict[str, Tensor] = field(default_factory=dict)
    in_spec: str = ""
    out_spec: str = ""

    def concrete(self, shape: tuple[int | Size, ...]) -> tuple[int, ...]:
        """A shape at the example inputs."""
        examples = {s.name: s.example for s in self.symbols}
        return tuple(d.factor * examples[d.symbol] if isinstance(d, Size) else d for d in shape)


class Untraceable(Exception):
    """The module runs, but no program could be had; the text says why."""


class Importer:
    """Walks one exported program into a `Trace`."""

    def __init__(self, module: nn.Module, program: ExportedProgram, inputs: Arguments) -> None:
        self.module = module
        self.program = program
        self.inputs = inputs
        self.found: dict[str, int] | None = None
        self.open: dict[str, tuple[str, int]] = {}
        self.out = Trace()
        self.env: dict[fx.Node, Any] = {}
        self.lists: dict[str, list[str]] = {}
        self.names: set[str] = set()
        self.buffers = {name for name, _ in module.named_buffers(remove_duplicate=False)}

    def run(self) -> Trace:
        kinds = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node, kinds[node.name])
        self._body(self.program.graph, self.program.graph_module)
        (results,) = self.program.graph.find_nodes(op="output")[0].args
        for spec, result in zip(self.program.graph_signature.output_specs, results, strict=True):
            if spec.kind == OutputKind.USER_OUTPUT:
                self.out.outputs.append(self._argument(result))
        with contextlib.suppress(Exception):  # a nesting that a file could not hold: flat calls still work
            in_spec = pytree.treespec_dumps(self.program.call_spec.in_spec)
            out_spec = pytree.treespec_dumps(self.program.call_spec.out_spec)
            vet_spec(in_spec)
            vet_spec(out_spec)
            vet_call(in_spec)
            self.out.in_spec, self.out.out_spec = in_spec, out_spec
        return self.out

    def _placeholder(self, node: fx.Node, spec: Any) -> None:
        if spec.kind == InputKind.USER_INPUT:
            value = node.meta.get("val")
            if isinstance(value, Tensor):
                self._declare(node.name, value, first=True)
                self.env[node] = Ref("value", node.name)
                self.out.inputs.append(node.name)
            else:
                self.env[node] = value
                self.out.inputs.append(node.name)
                self.out.shapes[node.name], self.out.dtypes[node.name] = (), "constant"
        elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            self.env[node] = Ref("tensor", spec.target)
            if spec.kind == InputKind.BUFFER and not spec.persistent:
                self.out.extra_buffers[spec.target] = self.program.constants[spec.target]
        elif spec.kind == InputKind.CONSTANT_TENSOR:
            self.env[node] = Ref("tensor", spec.target)
            self.out.constants[spec.target] = self.program.constants[spec.target]
        else:
            raise Untraceable(f"input of kind {spec.kind.name}")

    def _body(self, graph: fx.Graph, owner: nn.Module) -> None:
        for node in graph.nodes:
            if node.op == "get_attr":
                self.env[node] = owner.get_submodule(node.target) if "." not in node.target else None
            elif node.op == "call_function":
                self._call(node)

    def _call(self, node: fx.Node) -> None:
        target, value = node.target, node.meta.get("val")
        name = getattr(target, "__name__", str(target))
        if name == "getitem":
            source = self.env[node.args[0]]  # type: ignore[index]
            self.env[node] = source[node.args[1]]
        elif isinstance(target, torch._ops.HigherOrderOperator):
            self._inline(node)
        elif isinstance(value, (torch.SymInt, torch.SymBool, torch.SymFloat, int, float, bool)):
            self.env[node] = self._scalar(value)
        elif name.startswith(("_assert", "sym_constrain")) or "_assert_" in str(target):
            self.env[node] = None
        elif isinstance(target, torch._ops.OpOverload):
            self._operator(node, target, value)
        else:
            raise Untraceable(f"the program calls {name}, which is no torch operator")

    def _inline(self, node: fx.Node) -> None:
        """Regions under `no_grad` or `autocast(enabled=False)`: their body, in place."""
        held = [self.env.get(a) if isinstance(a, fx.Node) else None for a in node.args]
        position = next((i for i, a in enumerate(held) if isinstance(a, fx.GraphModule)), None)
        if position is None or "wrap_with" not in str(node.target):
            raise Untraceable(f"the program uses control flow ({node.target})")
        body: Any = held[position]
        inputs = [self._argument(a) for a in node.args[position + 1 :]]
        holders = body.graph.find_nodes(op="placeholder")
        self.env.update(zip(holders, inputs, strict=True))
        self._body(body.graph, body)
        (results,) = body.graph.find_nodes(op="output")[0].args
        self.env[node] = (
            [self.env.get(r) for r in results] if isinstance(results, (tuple, list)) else self.env[results]
        )

    def _operator(self, node: fx.Node, target: torch._ops.OpOverload, value: Any) -> None:
        if self._made_like(node, target, value):
            return
        args = tuple(self._argument(a) for a in node.args)
        kwargs = {k: self._argument(v) for k, v in node.kwargs.items()}
        base = _TWINS.get(str(target), str(target))
        first = args[0] if args else None
        if isinstance(first, Ref) and first.kind == "tensor" and first.name.endswith("num_batches_tracked"):
            self.env[node] = first
            return
        unpack = isinstance(value, (list, tuple))
        name = self._unique(node.name)
        results: list[str] = []
        for i, item in enumerate(value if unpack else [value]):
            if isinstance(item, Tensor):
                result = f"{name}.{i}" if unpack else name
                self._declare(result, item)
                results.append(result)
            elif unpack:
                raise Untraceable(f"operator {base} returns {type(item).__name__} among tensors")
        args, kwargs = _modes(base, args, kwargs, self.out)
        op = Operator(name, base, args, tuple(kwargs.items()), tuple(results), unpack, _caller(node))
        self.out.operators.append(op)
        refs = [Ref("value", r) for r in results]
        self.env[node] = refs if unpack else (refs[0] if refs else None)
        self._count_batches(op)

    def _made_like(self, node: fx.Node, target: torch._ops.OpOverload, value: Any) -> bool:
        """A vector of ones or zeros as long as a value whose length depends on the data is made after it."""
        base = str(target)
        size = node.args[0] if node.args else None
        if base not in {"aten.ones.default", "aten.zeros.default"} or not isinstance(size, (list, tuple)):
            return False
        length = self.env[size[0]] if len(size) == 1 and isinstance(size[0], fx.Node) else None
        if not isinstance(length, _Open) or length.expression not in self.open:
            return False
        source, dim = self.open[length.expression]
        for d in reversed(range(len(self.out.shapes[source]))):
            if d != dim:
                name = self._unique(f"{node.name}_like")
                op = Operator(name, "aten.select.int", (Ref("value", source), d, 0), (), (name,), False)
                shape = self.out.shapes[source]
                self.out.shapes[name], self.out.dtypes[name] = (
                    shape[:d] + shape[d + 1 :],
                    self.out.dtypes[source],
                )
                self.out.operators.append(op)
                source = name
        name = self._unique(node.name)
        kwargs = tuple((k, self._argument(v)) for k, v in node.kwargs.items())
        self._declare(name, value)
        like = base.replace(".default", "_like.default")
        self.out.operators.append(
            Operator(name, like, (Ref("value", source),), kwargs, (name,), False, _caller(node))
        )
        self.env[node] = Ref("value", name)
        return True

    def _count_batches(self, op: Operator) -> None:
        """In training, a batch norm counts its batches; evaluation mode exports none of it."""
        if op.kind == "batch_norm" and len(op.args) > 5 and isinstance(op.args[5], Ref):
            counter = op.args[3].name.rpartition("running_mean")[0] + "num_batches_tracked"
            if counter in self.buffers:
                count = (Ref("tensor", counter), Ref("training"))
                name = self._unique(f"{op.name}_count")
                self.out.operators.append(Operator(name, "aten.add_.Tensor", count, (), (), False, op.module))

    def _unique(self, name: str) -> str:
        fresh, i = name, 1
        while fresh in self.names or fresh in self.out.shapes:
            fresh, i = f"{name}_{i}", i + 1
        self.names.add(fresh)
        return fresh

    def _declare(self, name: str, value: Tensor, first: bool = False) -> None:
        if first:
            for dim, size in enumerate(value.shape):
                if _is_symbol(size):
                    node: Any = size.node  # type: ignore[attr-defined]
                    symbol = str(node.expr)
                    if symbol not in {s.name for s in self.out.symbols}:
                        self.out.symbols.append(Symbol(symbol, name, dim, int(node.hint)))
        scalars = [self._scalar(s) for s in value.shape]
        # a size that is no multiple of an input's is recorded as it is at the example
        self.out.shapes[name] = tuple(
            self._example(size) if isinstance(found, _Open) else found
            for size, found in zip(value.shape, scalars, strict=True)
        )
        for dim, found in enumerate(scalars):
            if isinstance(found, _Open):
                self.open.setdefault(found.expression, (name, dim))
        self.out.dtypes[name] = dtype_name(value.dtype)

    def _example(self, size: Any) -> int:
        """A size at the example inputs, one that depends on the data (how many edges are no loops) too."""
        if size.node.hint is not None:
            return int(size.node.hint)
        if self.found is None:
            self.found = _found_sizes(self.program, self.inputs)
        known = {**self.found, **{s.name: s.example for s in self.out.symbols}}
        expression = size.node.expr
        return int(expression.subs({s: known[str(s)] for s in expression.free_symbols}))

    def _scalar(self, value: Any) -> Any:
        if not isinstance(value, (torch.SymInt, torch.SymBool, torch.SymFloat)):
            return value
        expression = value.node.expr
        whole = isinstance(value, torch.SymInt)
        if expression.is_number:
            return int(expression) if whole else float(expression)
        if isinstance(value, torch.SymBool):  # a check of sizes; the checks themselves are left out
            return _Open(str(expression))
        factor, symbol = expression.as_coeff_Mul()
        known = {s.name for s in self.out.symbols}
        if (
            isinstance(value, torch.SymInt)
            and symbol.is_Symbol
            and factor.is_integer
            and str(symbol) in known
        ):
            return Size(int(factor), str(symbol))
        return _Open(str(expression))

    def _argument(self, item: Any) -> Any:
        if isinstance(item, fx.Node):
            found = self.env[item]
            if isinstance(found, _Open):
                raise Untraceable(f"the program computes with the size {found.expression}")
            return tuple(found) if isinstance(found, list) else found
        if isinstance(item, (list, tuple)):
            return tuple(self._argument(i) for i in item)
        if isinstance(item, torch.dtype):
            return TorchConstant("dtype", dtype_name(item))
        if isinstance(item, torch.device):
            return TorchConstant("device", str(item))
        if isinstance(item, torch.layout):
            return TorchConstant("layout", str(item).removeprefix("torch."))
        if isinstance(item, torch.memory_format):
            return TorchConstant("memory_format", str(item).removeprefix("torch."))
        if item is None or isinstance(item, (bool, int, float, str, complex)):
            return item
        raise Untraceable(f"an argument of type {type(item).__name__}")


def _found_sizes(program: ExportedProgram, inputs: Arguments) -> dict[str, int]:
    """What the sizes that depend on the data are at the example: the program is run once on copies."""
    flat = iter(pytree.tree_leaves(inputs))
    values = []
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            value = next(flat)
        elif spec.target in program.constants:
            value = program.constants[spec.target]
        else:
            value = program.state_dict[spec.target]
        values.append(value.detach().clone() if isinstance(value, Tensor) else value)
    found: dict[str, int] = {}

    class Measure(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            value = n.meta.get("val")
            if isinstance(value, Tensor) and isinstance(result, Tensor):
                for size, real in zip(value.shape, result.shape, strict=True):
                    if _is_symbol(size):
                        found[str(size.node.expr)] = int(real)  # type: ignore[attr-defined]
            return result

    with torch.no_grad():
        Measure(program.graph_module).run(*values)
    return found


def _is_symbol(size: Any) -> bool:
    return isinstance(size, torch.SymInt) and bool(size.node.expr.is_Symbol)


@dataclass(frozen=True)
class _Open:
    """A size that is no multiple of an input's; harmless until an operator takes it as an argument."""

    expression: str


# Other libraries' operators that compute what one of torch's own does.
_TWINS = {"transformers.grouped_mm_fallback.default": "aten._grouped_mm.default"}


def _modes(
    target: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Trace
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replace what evaluation mode fixed (batch statistics, dropout) by the mode itself, and an attention's
    implied scale by its number."""
    training = Ref("training")
    if (".batch_norm." in target or ".instance_norm." in target) and args[5] is False and args[3] is not None:
        args = (*args[:5], training, *args[6:])
    elif any(f".{d}." in target for d in ("dropout", "dropout_", "feature_dropout", "alpha_dropout")):
        args = (*args[:2], training) if args[2] is False else args
    elif any(f".{r}.input" in target for r in ("lstm", "gru", "rnn_tanh", "rnn_relu")) and args[6] is False:
        args = (*args[:6], training, *args[7:])
    elif ".scaled_dot_product_attention." in target and kwargs.get("scale") is None:
        width = out.shapes[args[0].name][-1]
        kwargs = {**kwargs, "scale": 1.0 / math.sqrt(width)} if isinstance(width, int) else kwargs
    return args, kwargs


def _caller(node: fx.Node) -> str:
    """Qualified name of the module whose forward made the call."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack and isinstance(stack[-1], tuple) else ""


__all__ = ["Arguments", "Importer", "Trace", "Untraceable"]
