"""The operator graph: one node per operator of a network's program, and no weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Any, Final, NamedTuple, final

import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.graph.cost import MACS
from netgraph.graph.flow import Flow, written
from netgraph.graph.neural_graph import NeuralGraph
from netgraph.graph.structure import Operator, Ref, Size, Structure

__all__ = ["MOVES", "OPERATOR_FEATURES", "OperatorEdge", "OperatorGraph", "operator_graph"]

OPERATOR_FEATURES: Final = (
    *("elements", "size_1", "size_2", "size_3"),
    *("parameters", "macs"),
    *("kernel", "stride", "dilation", "groups"),
)
"""Columns of `OperatorGraph.features`."""

MOVES: Final = frozenset(
    [
        *("view", "_unsafe_view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "unfold"),
        *("permute", "transpose", "t", "numpy_T", "mT", "movedim", "moveaxis", "swapaxes"),
        *("squeeze", "unsqueeze", "atleast_1d", "atleast_2d", "flip", "roll"),
        *("expand", "expand_as", "broadcast_to", "repeat", "tile", "repeat_interleave"),
        *("slice", "select", "narrow", "diagonal", "chunk", "split", "split_with_sizes", "unbind"),
        *("unsafe_chunk", "unsafe_split", "tensor_split"),
        *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
        *("contiguous", "clone", "detach", "alias", "lift_fresh", "lift_fresh_copy"),
        *("to", "_to_copy", "type_as", "dropout", "feature_dropout", "alpha_dropout"),
    ]
)
"""Operators that compute nothing in a trained network: they move, copy, pick or pass on an operand."""

_Place = tuple[int, int]


class OperatorEdge(NamedTuple):
    """Data that one operator makes and another one reads.

    Attributes:
        source, target: nodes.
        position: which operand of the target it is, weights and constants in tensors counted: `a - b` reads a
            at 0 and b at 1.
        result: which result of the source it is: the second piece of a `chunk` is 1.
    """

    source: int
    target: int
    position: int
    result: int


@final
@dataclass(frozen=True)
class OperatorGraph:
    """What a network computes, operator by operator: a directed acyclic graph in topological order.

    Graphs are equal, and have the same hash, if all but the names is the same.

    Attributes:
        kinds: per node: `input`, `output`, or the base name of a torch operator (`conv2d`, `add`).
        features: per node, whole numbers in the order of `OPERATOR_FEATURES`: elements of the output for one
            sample, of all results together; sizes of the dimensions behind the first, of the first result,
            the third with all that follow; scalars in parameters, each counted where it is read first;
            multiply-accumulates, as `netgraph.graph.CostModel` counts them; taps of a window; largest stride
            and dilation; groups of a convolution or norm. What a node does not have is 0.
        edges: sorted by target and position.
        names: per node, that of its operator or of the input or output value.

    >>> import netgraph
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    >>> graph = operator_graph(netgraph.to_graph(net, torch.zeros(1, 3)))
    >>> graph.kinds, graph.edge_index.tolist()
    (('input', 'linear', 'relu', 'output'), [[0, 1, 2], [1, 2, 3]])
    >>> dict(zip(OPERATOR_FEATURES, graph.features[1]))["macs"]
    6
    """

    kinds: tuple[str, ...]
    features: tuple[tuple[int, ...], ...]
    edges: tuple[OperatorEdge, ...]
    names: tuple[str, ...] = field(default=(), compare=False)

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.kinds)

    @property
    def num_edges(self) -> int:
        """E."""
        return len(self.edges)

    @cached_property
    def edge_index(self) -> Tensor:
        """Producers above consumers, `(2, E)`."""
        return self._columns[:2]

    @cached_property
    def position(self) -> Tensor:
        """Which operand of its target each edge is, `(E,)`."""
        return self._columns[2]

    @cached_property
    def result(self) -> Tensor:
        """Which result of its source each edge is, `(E,)`."""
        return self._columns[3]

    @cached_property
    def x(self) -> Tensor:
        """The features as they are, `(N, F)` of float64; most networks learn better from `x.log1p()`."""
        return torch.tensor(self.features, dtype=torch.float64).reshape(-1, len(OPERATOR_FEATURES))

    @cached_property
    def depth(self) -> tuple[int, ...]:
        """Per node, the edges on the longest way to it."""
        found = [0] * self.num_nodes
        for edge in self.edges:  # by target, and every source stands before it
            found[edge.target] = max(found[edge.target], found[edge.source] + 1)
        return tuple(found)

    @cached_property
    def _columns(self) -> Tensor:
        return torch.tensor(self.edges, dtype=torch.long).reshape(-1, 4).T


def operator_graph(graph: NeuralGraph | Structure, *, contract: bool = False) -> OperatorGraph:
    """The operators of a network's program, with its inputs and outputs, joined by the data that flows.

    An operator that writes in place is read by whoever reads what it wrote into afterwards. What the outputs
    do not depend on is left out, as is the counting of batches.

    Args:
        graph: a network, or its structure.
        contract: leave out operators of `MOVES`; their readers are joined with whatever made their first
            operand, and get the parameters that come through them.

    Raises:
        GraphError: the network has no program, because it could not be traced.

    >>> import netgraph
    >>> class Net(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x + x.flatten(1).relu().view(-1, 2, 2)
    >>> structure = netgraph.to_graph(Net(), torch.zeros(1, 2, 2)).structure
    >>> operator_graph(structure).kinds
    ('input', 'flatten', 'relu', 'view', 'add', 'output')
    >>> graph = operator_graph(structure, contract=True)
    >>> graph.kinds
    ('input', 'relu', 'add', 'output')
    >>> [tuple(edge) for edge in graph.edges]
    [(0, 1, 0, 0), (0, 2, 0, 0), (1, 2, 1, 0), (2, 3, 0, 0)]
    """
    structure = graph.structure if isinstance(graph, NeuralGraph) else graph
    if not structure.outputs:
        raise GraphError(
            "operator_graph: expected a network with a program, got one whose module could not be traced; "
            "read the warning of to_graph"
        )
    walk = _Walk(structure)
    for name in structure.inputs:
        walk.add("input", name, (Ref("value", name),), (name,), ())
    alive = walk.flow.alive
    for i, op in enumerate(structure.operators):
        target = written(op)
        if i not in alive or not (op.results or (target is not None and target.kind == "value")):
            continue
        operands = tuple(_operands((op.args, tuple(v for _, v in op.kwargs))))
        if contract and op.kind in MOVES:
            walk.pass_on(op, operands)
        else:
            walk.call(op, operands, target)
    for i, output in enumerate(structure.outputs):
        operands = (output,) if isinstance(output, Ref) else ()
        name = output.name if isinstance(output, Ref) else f"output_{i}"
        walk.add("output", name, operands, tuple(o.name for o in operands if o.kind == "value"), operands)
    return OperatorGraph(tuple(walk.kinds), tuple(walk.features), tuple(walk.edges), tuple(walk.names))


class _Walk:
    """Goes through a program and remembers where each value and tensor was last made."""

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.flow = Flow(structure)
        self.kinds: list[str] = []
        self.names: list[str] = []
        self.features: list[tuple[int, ...]] = []
        self.edges: list[OperatorEdge] = []
        self._made: dict[Ref, _Place | None] = {}
        self._weights: dict[Ref, tuple[str, ...]] = {
            Ref("tensor", t.name): (t.name,) for t in structure.tensors if t.kind == "parameter"
        }
        self._counted: set[str] = set()

    def add(
        self,
        kind: str,
        name: str,
        makes: tuple[Ref, ...],
        shown: tuple[str, ...],
        operands: tuple[Ref, ...],
        rest: tuple[int, ...] = (0,) * 6,
    ) -> None:
        node = len(self.kinds)
        for position, operand in enumerate(operands):
            made = self._made.get(operand)
            if made is not None:
                self.edges.append(OperatorEdge(made[0], node, position, made[1]))
        self.kinds.append(kind)
        self.names.append(name)
        self.features.append((*self._sizes(shown), *rest))
        if kind != "output":
            self._made.update((ref, (node, i)) for i, ref in enumerate(makes))

    def call(self, op: Operator, operands: tuple[Ref, ...], target: Ref | None) -> None:
        read = {w: None for o in operands for w in self._weights.get(o, ()) if w not in self._counted}
        self._counted.update(read)
        parameters = sum(self.structure.tensor[w].numel for w in read)
        macs = MACS[op.kind](op, self.shape) if op.kind in MACS else 0
        node = len(self.kinds)
        makes = tuple(Ref("value", v) for v in op.results)
        self.add(op.kind, op.name, makes, op.results, operands, (parameters, macs, *_window(op, self.shape)))
        if target is not None:
            names = self.flow.owners[target.name] if target.kind == "value" else (target.name,)
            self._made.update((Ref(target.kind, name), (node, 0)) for name in names)

    def pass_on(self, op: Operator, operands: tuple[Ref, ...]) -> None:
        made = self._made.get(operands[0]) if operands else None
        weights = tuple(w for o in operands for w in self._weights.get(o, ()))
        for name in op.results:
            self._made[Ref("value", name)] = made
            self._weights[Ref("value", name)] = weights

    def shape(self, ref: Ref) -> tuple[int, ...]:
        """Of a tensor, or of a value for one sample."""
        if ref.kind == "tensor":
            return self.structure.tensor[ref.name].shape
        return tuple(n.factor if isinstance(n, Size) else n for n in self.structure.value[ref.name].shape)

    def _sizes(self, values: tuple[str, ...]) -> tuple[int, int, int, int]:
        shapes = [self.shape(Ref("value", v)) for v in values] or [(0,)]
        _, *rest = *shapes[0], 0, 0, 0, 0
        inner = shapes[0][3:]
        return sum(map(prod, shapes)), rest[0], rest[1], prod(inner) if inner else 0


def _operands(item: Any) -> Iterator[Ref]:
    if isinstance(item, Ref):
        if item.kind != "training":
            yield item
    elif isinstance(item, tuple):
        for inner in item:
            yield from _operands(inner)


class _Options(NamedTuple):
    """Where an operator's arguments say what its windows are like; -1 for nowhere."""

    kernel: int = -1
    stride: int = -1
    dilation: int = -1
    groups: int = -1


_OPTIONS: Final[Mapping[str, _Options]] = MappingProxyType(
    {
        **{f"conv{d}d": _Options(1, 3, 5, 6) for d in (1, 2, 3)},
        **{f"conv_transpose{d}d": _Options(1, 3, 7, 6) for d in (1, 2, 3)},
        **{f"max_pool{d}d{s}": _Options(1, 2, 4) for d in (1, 2, 3) for s in ("", "_with_indices")},
        **{f"avg_pool{d}d": _Options(1, 2) for d in (1, 2, 3)},
        **{f"lp_pool{d}d": _Options(2, 3) for d in (1, 2, 3)},
        "im2col": _Options(1, 4, 2),
        "group_norm": _Options(groups=1),
    }
)


def _window(op: Operator, shape: Callable[[Ref], tuple[int, ...]]) -> tuple[int, int, int, int]:
    """Taps, largest stride, largest dilation, groups."""
    places = _OPTIONS.get(op.kind)
    if places is None:
        return 0, 0, 0, 0
    given = dict(op.kwargs)

    def numbers(name: str, place: int) -> tuple[int, ...]:
        found = given.get(name, op.args[place] if len(op.args) > place else ())
        if isinstance(found, Ref):
            return shape(found)[2:]
        return tuple(n for n in (found if isinstance(found, tuple) else (found,)) if isinstance(n, int))

    if places.kernel < 0:
        return 0, 0, 0, max(numbers("num_groups", places.groups), default=1)
    kernel = numbers("kernel_size", places.kernel)
    space = int(op.kind[-2]) if op.kind[-2:] in ("1d", "2d", "3d") else 2
    # A pool without a stride moves by its whole window.
    pooled = max(kernel, default=1) if "pool" in op.kind else 1
    return (
        prod(kernel) ** (space if len(kernel) == 1 else 1),
        max(numbers("stride", places.stride), default=pooled),
        max(numbers("dilation", places.dilation), default=1) if places.dilation >= 0 else 1,
        max(numbers("groups", places.groups), default=1) if places.groups >= 0 else 0,
    )
