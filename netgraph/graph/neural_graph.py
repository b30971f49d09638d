"""A network as a graph: frozen structure plus a mapping of names to tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.graph.program import build_module
from netgraph.graph.structure import Block, Structure, dtype_name

if TYPE_CHECKING:
    from torch.fx import GraphModule


@dataclass(frozen=True, eq=False)
class NeuralGraph:
    """A neural network as a graph, in two halves.

    Attributes:
        structure: groups, blocks, joins and the operator program; frozen and hashable.
        state: one tensor per `structure.tensors` entry. Conversion fills it with the module's own storage
            (no copy); `clone()` cuts the tie.

    Two graphs are equal if their structures are equal and their states hold the same bytes.

    >>> import torch, netgraph
    >>> graph = netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    >>> graph.num_nodes, graph.num_edges
    (5, 6)
    """

    structure: Structure
    state: Mapping[str, Tensor]

    @property
    def num_nodes(self) -> int:
        """Number of nodes (channels)."""
        return self.structure.num_nodes

    @property
    def num_edges(self) -> int:
        """Number of edges (weights, kernels counted once)."""
        return self.structure.num_edges

    @property
    def num_parameters(self) -> int:
        """Number of scalars in parameters, tied ones counted once."""
        return sum(t.numel for t in self.structure.tensors if t.kind == "parameter")

    def validate(self) -> None:
        """Check structure, state, and that the two fit.

        Raises:
            GraphError: naming the first record or tensor that does not fit.
        """
        self.structure.validate()
        expected, given = set(self.structure.tensor), set(self.state)
        if expected != given:
            raise GraphError(
                f"validate: the state lacks {sorted(expected - given)[:3]} "
                f"and has {sorted(given - expected)[:3]} too many"
            )
        for spec in self.structure.tensors:
            tensor = self.state[spec.name]
            if tuple(tensor.shape) != spec.shape or dtype_name(tensor.dtype) != spec.dtype:
                raise GraphError(
                    f"validate: tensor {spec.name!r} should be {spec.dtype}{list(spec.shape)}, "
                    f"got {dtype_name(tensor.dtype)}{list(tensor.shape)}"
                )

    def clone(self) -> NeuralGraph:
        """The same graph with a state of its own."""
        return NeuralGraph(self.structure, {k: v.detach().clone() for k, v in self.state.items()})

    def replace(self, state: Mapping[str, Tensor]) -> NeuralGraph:
        """The same structure, with the given tensors in place of the present ones (others are kept).

        Raises:
            GraphError: a name is unknown, or a shape differs.
        """
        for name, tensor in state.items():
            spec = self.structure.tensor.get(name)
            if spec is None:
                raise GraphError(
                    f"replace: the graph has no tensor {name!r}; it has {list(self.state)[:5]} ..."
                )
            if tuple(tensor.shape) != spec.shape:
                raise GraphError(
                    f"replace: tensor {name!r} should have shape {list(spec.shape)}, got {list(tensor.shape)}"
                )
        return NeuralGraph(self.structure, {**self.state, **state})

    def to_state_dict(self) -> dict[str, Tensor]:
        """The module's `state_dict`: same keys, same order, same bytes; tied keys share one tensor."""
        alias = dict(self.structure.aliases)
        return {name: self.state[alias.get(name, name)] for name in self.structure.order}

    def to_module(self) -> GraphModule:
        """A `torch.fx.GraphModule` that computes what the converted module computes, without its class.

        Parameter and buffer names are the original's; its parameters are copies. Batch statistics and dropout
        follow `train()` and `eval()`.

        Raises:
            GraphError: the graph has no program (its module could not be traced).
        """
        return build_module(self.structure, self.state)

    def block_weights(self, block: Block) -> Tensor:
        """The weights of one block as `(D, S, P, K)`: target node, source node, parallel edge, kernel tap.

        Repeated positions of a node (a flattened feature map, a head's dimensions) are parallel edges.
        A loop block is `(D, 1, P, K)`. The result is a view where strides allow.
        """
        spec = self.structure.tensor[block.tensor]
        assert spec.out_axis is not None and spec.in_axis is not None
        tensor = self.state[block.tensor]
        if block.loop:
            rows = tensor.movedim(spec.out_axis, 0).narrow(0, block.dst_offset, block.dst.size)
            return rows.reshape(block.dst.length, 1, block.dst.repeat, spec.taps)
        pair = tensor.movedim((spec.out_axis, spec.in_axis), (0, 1))
        pair = pair.narrow(0, block.dst_offset, block.dst.size).narrow(1, block.src_offset, block.src.size)
        dst, src = block.dst, block.src
        pair = pair.reshape(dst.length, dst.repeat, src.length, src.repeat, spec.taps).transpose(1, 2)
        return pair.reshape(dst.length, src.length, dst.repeat * src.repeat, spec.taps)

    def summary(self) -> str:
        """A short text: sizes, and one line per group."""
        s = self.structure
        lines = [
            f"{len(s.groups)} groups, {len(s.blocks)} blocks, {len(s.joins)} joins, {s.num_nodes:,} nodes, "
            f"{s.num_edges:,} edges, {self.num_parameters:,} parameters, {len(s.operators)} operators"
        ]
        width = max((len(g.name) for g in s.groups), default=0)
        lines += [f"  {g.name:<{width}}  {g.size:>6}  {g.role}" for g in s.groups]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"NeuralGraph(groups={len(self.structure.groups)}, nodes={self.num_nodes}, "
            f"edges={self.num_edges}, tensors={len(self.state)})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NeuralGraph):
            return NotImplemented
        return self.structure == other.structure and all(
            same_bytes(tensor, other.state[name]) for name, tensor in self.state.items()
        )

    def __hash__(self) -> int:
        return hash(self.structure)


def same_bytes(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same dtype, shape and bytes (NaN equals NaN, 0.0 differs from -0.0)."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(_bytes(a), _bytes(b))


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
