"""The frozen half of a neural graph: groups, tensors, blocks, joins and the operator program.

Longer than one concept's worth: these records only make sense together, and everything that reads a graph
reads all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Literal, NamedTuple

import torch

from netgraph.errors import GraphError
from netgraph.graph.axis import Axis, Segment

Role = Literal["hidden", "input", "output", "fixed"]
Kind = Literal["parameter", "buffer", "constant"]
Placement = Literal["graph", "node", "block"]


@dataclass(frozen=True)
class Group:
    """An ordered set of nodes.

    Attributes:
        name: unique inside its structure, after the first layer that produces the group.
        size: number of nodes.
        role: `hidden` groups may be permuted and pruned; `input` and `output` groups face the user; a `fixed`
            group is an axis that no rule tied to anything (its order means something that we do not know).
    """

    name: str
    size: int
    role: Role = "hidden"


class Size(NamedTuple):
    """A tensor size that follows an input: `factor * symbol`, for example 16 times the batch."""

    factor: int
    symbol: str


class Symbol(NamedTuple):
    """A size left open: axis `dim` of input value `value`. `example` is what it was during conversion."""

    name: str
    value: str
    dim: int
    example: int


class Ref(NamedTuple):
    """An operator argument that is not a constant.

    `kind` is `value` (an activation), `tensor` (an entry of the state), or `training` (the module's mode).
    """

    kind: Literal["value", "tensor", "training"]
    name: str = ""


class TorchConstant(NamedTuple):
    """A torch constant in the program: `kind` is `dtype`, `device`, `layout` or `memory_format`."""

    kind: Literal["dtype", "device", "layout", "memory_format"]
    name: str


@dataclass(frozen=True)
class Value:
    """An activation: its shape at the example inputs, and what its axes run over.

    `axes` holds one entry per dimension: an index into `Structure.axes`, or None where the dimension runs
    over no nodes (batch, space, time, taps).
    """

    name: str
    shape: tuple[int | Size, ...]
    dtype: str
    axes: tuple[int | None, ...]


@dataclass(frozen=True)
class Operator:
    """One call of the program.

    Attributes:
        name: unique.
        target: the operator, as `aten.conv2d.default`.
        args, kwargs: constants, `Ref`, `Size`, and tuples of these.
        results: names of the values it returns.
        unpack: whether the operator returns a list (chunk, split, unbind) rather than one tensor.
        module: qualified name of the module that called it ("" is the root).
    """

    name: str
    target: str
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]
    results: tuple[str, ...]
    unpack: bool = False
    module: str = ""

    @property
    def kind(self) -> str:
        """The operator's base name, without namespace, overload and in-place mark: `conv2d`, `add`."""
        return self.target.split(".")[1].rstrip("_")

    def refs(self, kind: str = "value") -> Iterator[str]:
        """Names of the values (or tensors) that this operator reads."""
        stack: list[Any] = [self.args, tuple(v for _, v in self.kwargs)]
        while stack:
            item = stack.pop(0)
            if isinstance(item, Ref):
                if item.kind == kind:
                    yield item.name
            elif isinstance(item, tuple) and not isinstance(item, (Size, TorchConstant)):
                stack[:0] = item


@dataclass(frozen=True)
class TensorSpec:
    """One entry of the state: where its scalars sit in the graph.

    Attributes:
        name: key in the state (and in the `state_dict`, unless `kind` is `constant`).
        shape, dtype: of the tensor.
        kind: `parameter`, `buffer`, or `constant` (needed to run the program, absent from the `state_dict`).
        axes: one entry per dimension, an index into `Structure.axes` or None for a tap dimension.
        out_axis, in_axis: the dimensions that a block's edges point to and come from. Equal for a *loop*
            block: every node has edges to itself only (depthwise and grouped convolutions).
        persistent: whether a buffer belongs to the `state_dict`.
        requires_grad: of a parameter.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: Kind
    axes: tuple[int | None, ...]
    out_axis: int | None = None
    in_axis: int | None = None
    persistent: bool = True
    requires_grad: bool = True

    @property
    def placement(self) -> Placement:
        """`graph` (a graph feature), `node` (a feature of one group's nodes) or `block` (edges)."""
        if self.out_axis is None:
            return "graph"
        return "node" if self.in_axis is None else "block"

    @property
    def numel(self) -> int:
        """Number of scalars."""
        return prod(self.shape)

    @property
    def taps(self) -> int:
        """Scalars per edge of a block, or per node position: the dimensions that are no channel axis."""
        return prod(n for d, n in enumerate(self.shape) if d not in (self.out_axis, self.in_axis))


class Block(NamedTuple):
    """The edges that one tensor puts between two runs of nodes.

    `dst_offset` and `src_offset` say where the runs begin on the tensor's axes. A `loop` block joins each
    node of `dst` with itself (`src` equals `dst`).
    """

    tensor: str
    dst: Segment
    src: Segment
    dst_offset: int
    src_offset: int
    loop: bool = False

    @property
    def edges(self) -> int:
        """Number of edges, parallel ones counted."""
        return self.dst.size if self.loop else self.dst.size * self.src.size


class Join(NamedTuple):
    """A parameterless operator that brings groups together: residual add, product, concat, contraction."""

    operator: str
    kind: Literal["add", "product", "concat", "contraction"]
    groups: tuple[int, ...]


JOIN_KINDS: Mapping[str, Literal["add", "product", "concat", "contraction"]] = {
    "add": "add",
    "sub": "add",
    "mul": "product",
    "div": "product",
    "cat": "concat",
    "stack": "concat",
    "matmul": "contraction",
    "bmm": "contraction",
    "baddbmm": "contraction",
    "einsum": "contraction",
    "scaled_dot_product_attention": "contraction",
}


@dataclass(frozen=True)
class Structure:
    """What a network is, without its numbers: frozen, hashable, and free of tensors.

    Attributes:
        groups: all node groups.
        axes: pool of distinct axes; tensors and values refer to it by index.
        tensors: all entries of the state.
        values: all activations.
        operators: the program, in order of execution; empty where the module could not be traced.
        inputs: names of the input values, flattened.
        outputs: the flattened outputs: references or constants.
        symbols: open sizes.
        aliases: `(other name, name)` of tied tensors: one storage, several keys in the `state_dict`.
        order: all keys of the `state_dict`, in the module's own order.
        in_spec, out_spec: the pytree shapes of the call, as JSON ("" for flat).
    """

    groups: tuple[Group, ...]
    axes: tuple[Axis, ...]
    tensors: tuple[TensorSpec, ...]
    values: tuple[Value, ...] = ()
    operators: tuple[Operator, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[Any, ...] = ()
    symbols: tuple[Symbol, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    order: tuple[str, ...] = ()
    in_spec: str = ""
    out_spec: str = ""

    @cached_property
    def group_index(self) -> Mapping[str, int]:
        """Position of each group by name."""
        return {g.name: i for i, g in enumerate(self.groups)}

    @cached_property
    def tensor(self) -> Mapping[str, TensorSpec]:
        """Tensor specification by name."""
        return {t.name: t for t in self.tensors}

    @cached_property
    def value(self) -> Mapping[str, Value]:
        """Value by name."""
        return {v.name: v for v in self.values}

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Number of the first node of each group, and the total number of nodes at the end."""
        out = [0]
        for group in self.groups:
            out.append(out[-1] + group.size)
        return tuple(out)

    @property
    def num_nodes(self) -> int:
        """Nodes of all groups."""
        return self.offsets[-1]

    @property
    def num_edges(self) -> int:
        """Edges of all blocks, parallel edges counted."""
        return sum(b.edges for b in self.blocks)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks: one per tensor and pair of segments on its two channel axes."""
        return tuple(b for t in self.tensors if t.placement == "block" for b in self._blocks(t))

    def _blocks(self, spec: TensorSpec) -> Iterator[Block]:
        assert spec.out_axis is not None and spec.in_axis is not None
        dst_axis = self.axis_of(spec, spec.out_axis)
        dst_offset = 0
        for dst in dst_axis.segments:
            if spec.in_axis == spec.out_axis:
                yield Block(spec.name, dst, dst, dst_offset, dst_offset, loop=True)
            else:
                src_offset = 0
                for src in self.axis_of(spec, spec.in_axis).segments:
                    yield Block(spec.name, dst, src, dst_offset, src_offset)
                    src_offset += src.size
            dst_offset += dst.size

    def axis_of(self, item: TensorSpec | Value, dim: int) -> Axis:
        """The axis that dimension `dim` of a tensor or value runs over.

        Raises:
            GraphError: the dimension runs over no nodes.
        """
        index = item.axes[dim]
        if index is None:
            raise GraphError(
                f"axis_of: dimension {dim} of {item.name!r} runs over no nodes; "
                f"its node dimensions are {[d for d, a in enumerate(item.axes) if a is not None]}"
            )
        return self.axes[index]

    @cached_property
    def joins(self) -> tuple[Join, ...]:
        """All parameterless joins, in program order."""
        found = []
        for op in self.operators:
            kind = JOIN_KINDS.get(op.kind)
            names = list(op.refs())
            if kind is None or len(names) < 2:
                continue
            groups: dict[int, None] = {}
            for name in names:
                for axis in self.value[name].axes:
                    if axis is not None:
                        groups.update(dict.fromkeys(self.axes[axis].group_ids))
            if groups:
                found.append(Join(op.name, kind, tuple(groups)))
        return tuple(found)

    @cached_property
    def digest(self) -> str:
        """sha256 of the structure: equal structures have equal digests."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        # By digest and not field by field: a NaN among the constants equals itself, and 0.0 is not -0.0.
        if not isinstance(other, Structure):
            return NotImplemented
        return self is other or self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def validate(self) -> None:
        """Check that all references and sizes agree.

        Raises:
            GraphError: naming the first record that does not fit.
        """
        names = [g.name for g in self.groups]
        _unique("group", names)
        _unique("tensor", [t.name for t in self.tensors])
        _unique("value", [v.name for v in self.values])
        for i, axis in enumerate(self.axes):
            for s in axis.segments:
                if not 0 <= s.group < len(names):
                    raise GraphError(
                        f"validate: axis {i} names group {s.group}; there are {len(names)} groups"
                    )
                if (
                    s.length < 1
                    or s.repeat < 1
                    or s.start < 0
                    or s.start + s.length > self.groups[s.group].size
                ):
                    raise GraphError(
                        f"validate: axis {i} takes nodes {s.start}..{s.start + s.length - 1} (x{s.repeat}) "
                        f"of group {names[s.group]!r}, which has {self.groups[s.group].size}"
                    )
        for t in self.tensors:
            self._check_axes("tensor", t.name, t.shape, t.axes)
            if t.out_axis is None and t.in_axis is not None:
                raise GraphError(
                    f"validate: the edges of tensor {t.name!r} come from nodes but point to none"
                )
            for role in (t.out_axis, t.in_axis):
                if role is not None and (not 0 <= role < len(t.axes) or t.axes[role] is None):
                    raise GraphError(
                        f"validate: tensor {t.name!r} points its edges along dimension {role}, "
                        "which runs over no nodes"
                    )
        self._check_values()
        self._check_program()
        self._check_names()

    def _check_values(self) -> None:
        _unique("symbol", [s.name for s in self.symbols])
        examples = {s.name: s.example for s in self.symbols}
        for symbol in self.symbols:
            value = self.value.get(symbol.value)
            if symbol.value not in self.inputs or value is None or not 0 <= symbol.dim < len(value.shape):
                raise GraphError(
                    f"validate: symbol {symbol.name!r} is dimension {symbol.dim} of {symbol.value!r}, "
                    "which is no dimension of an input"
                )
        for v in self.values:
            self._check_sizes(v.name, v.shape)
            shape = tuple(d.factor * examples[d.symbol] if isinstance(d, Size) else d for d in v.shape)
            self._check_axes("value", v.name, shape, v.axes)

    def _check_sizes(self, name: str, items: tuple[Any, ...]) -> None:
        for item in items:
            if isinstance(item, Size):
                if all(item.symbol != s.name for s in self.symbols):
                    raise GraphError(f"validate: a size of {name!r} follows the unknown {item.symbol!r}")
            elif isinstance(item, tuple):
                self._check_sizes(name, item)

    def _check_program(self) -> None:
        known = set(self.inputs)
        _unique("operator", [op.name for op in self.operators])
        _unique("input", list(self.inputs))
        for op in self.operators:
            if op.target.count(".") != 2:
                raise GraphError(
                    f"validate: operator {op.name!r} calls {op.target!r}, not 'aten.<name>.<overload>'"
                )
            self._check_sizes(op.name, (op.args, op.kwargs))
            for name in op.refs():
                if name not in known:
                    raise GraphError(f"validate: operator {op.name!r} reads {name!r} before it is made")
            for name in op.refs("tensor"):
                if name not in self.tensor:
                    raise GraphError(f"validate: operator {op.name!r} reads the unknown tensor {name!r}")
            if len(op.results) > 1 and not op.unpack:
                raise GraphError(f"validate: operator {op.name!r} names several results but returns one")
            if twice := known.intersection(op.results):
                raise GraphError(f"validate: operator {op.name!r} makes {min(twice)!r} a second time")
            known.update(op.results)
        if missing := known - set(self.value):
            raise GraphError(f"validate: no value record for {sorted(missing)[:3]}")
        for output in self.outputs:
            if isinstance(output, Ref) and (
                output.name not in known if output.kind == "value" else output.name not in self.tensor
            ):
                raise GraphError(f"validate: the output {output.name!r} is made by no operator")

    def _check_names(self) -> None:
        aliases = [other for other, _ in self.aliases]
        _unique("tensor", [*self.tensor, *aliases])
        for other, name in self.aliases:
            if name not in self.tensor:
                raise GraphError(f"validate: {other!r} is an alias of the unknown tensor {name!r}")
        _unique("key", list(self.order))
        if unknown := set(self.order) - set(self.tensor) - set(aliases):
            raise GraphError(f"validate: the key {min(unknown)!r} is neither a tensor nor an alias")

    def _check_axes(self, what: str, name: str, shape: tuple[int, ...], axes: tuple[int | None, ...]) -> None:
        if len(shape) != len(axes):
            raise GraphError(f"validate: {what} {name!r} has {len(shape)} dimensions but {len(axes)} axes")
        for dim, (size, axis) in enumerate(zip(shape, axes, strict=True)):
            if axis is not None and (not 0 <= axis < len(self.axes) or self.axes[axis].size != size):
                raise GraphError(
                    f"validate: dimension {dim} of {what} {name!r} has size {size}, its axis "
                    f"{self.axes[axis].size if 0 <= axis < len(self.axes) else 'does not exist'}"
                )


def _unique(what: str, names: list[str]) -> None:
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise GraphError(f"validate: two {what}s are called {twice!r}; names must be unique")


def dtype_name(dtype: torch.dtype) -> str:
    """`torch.float32` -> `"float32"`."""
    return str(dtype).removeprefix("torch.")


def to_dtype(name: str) -> torch.dtype:
    """`"float32"` -> `torch.float32`.

    Raises:
        GraphError: torch has no such dtype.
    """
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise GraphError(f"to_dtype: {name!r} is no torch dtype; expected a name such as 'float32'")
    return dtype
