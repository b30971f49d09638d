"""What a metanetwork must know about a structure before it sees a single weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netgraph.graph import Structure, TensorSpec
from netgraph.graph.axis import IntArray
from netgraph.nn.joining import Joining, join_rows
from netgraph.nn.roles import ROLES, tensor_roles
from netgraph.nn.stack import Stack, is_floating, position_nodes, stack_weights

__all__ = ["GROUP_ROLES", "MessagePlan", "message_plan"]

GROUP_ROLES = ("hidden", "input", "output", "fixed")
"""Roles of groups, in the order in which a metanetwork numbers them."""

NO_ROWS = np.zeros(2, dtype=np.int64)
"""Edges in the two rows that do not exist: one that joins without effect, one of zeros."""

CACHED_PLANS = 32
"""Structures whose plans are kept; the one unused for longest goes first."""


@dataclass(frozen=True, eq=False)
class MessagePlan:
    """Which weights stack, and which node every row and every one-dimensional entry belongs to.

    A *slot* is a node and a direction: slot `i` collects what arrives at node `i` along the edges, slot
    `num_nodes + i` what arrives against them.

    Attributes:
        num_nodes: nodes of the structure.
        stacks: all edges, stacked.
        row_node: node of every row, `(R,)`.
        row_slot: slot of every row, `(R,)`.
        row_edges: edges that meet in every row, then twice none, `(R + 2,)`: tables of statistics end with a
            row that leaves every join unchanged and with a row of zeros.
        vectors: names of the floating tensors that sit on nodes, parameters first.
        num_parameters: how many of `vectors` are parameters.
        entry_node, entry_role: node and role of every scalar in them, `(T,)`.
        entry_repeats: scalars that the entry's tensor has on the entry's node, `(T,)`.
        role_counts: tensors of each role on each node, `(N, roles)`.
        group_role: role of every node's group, `(N,)`.
    """

    num_nodes: int
    stacks: tuple[Stack, ...]
    row_node: Tensor
    row_slot: Tensor
    row_edges: Tensor
    vectors: tuple[str, ...]
    num_parameters: int
    entry_node: Tensor
    entry_role: Tensor
    entry_repeats: Tensor
    role_counts: Tensor
    group_role: Tensor

    @property
    def num_rows(self) -> int:
        """Rows of all stacks, both directions."""
        return len(self.row_node)

    @property
    def num_edges(self) -> int:
        """Edges of all stacks."""
        return sum(s.edges for s in self.stacks)

    @cached_property
    def slot_edges(self) -> Tensor:
        """Edges that arrive at every slot, `(2N,)`."""
        return self.row_edges.new_zeros(2 * self.num_nodes).index_add_(
            0, self.row_slot, self.row_edges[: self.num_rows]
        )

    @cached_property
    def joining(self) -> Joining:
        """How rows are brought together by slot."""
        return join_rows(self.row_slot, 2 * self.num_nodes)

    def to(self, device: torch.device) -> MessagePlan:
        """The same plan with its index tensors on a device; kept, so that a second call costs nothing."""
        if device == self.row_node.device:
            return self
        if device not in self._moved:
            fields = {n: getattr(self, n) for n in self.__dataclass_fields__}
            moved: dict[str, Any] = {n: v.to(device) for n, v in fields.items() if isinstance(v, Tensor)}
            self._moved[device] = replace(self, **moved)
        return self._moved[device]

    @cached_property
    def _moved(self) -> dict[torch.device, MessagePlan]:
        return {}


@lru_cache(maxsize=CACHED_PLANS)
def message_plan(structure: Structure, taps: int) -> MessagePlan:
    """Plan message passing over a structure; equal structures share one plan.

    Edges come from the floating-point parameters that are blocks. Node features come from all floating-point
    tensors that sit on nodes. (Two-dimensional buffers and constants are masks and tables, not weights.)

    Args:
        structure: of the graph.
        taps: size of the metanetwork's window, the square of an odd number.

    Raises:
        UsageError: `taps` is not the square of an odd number.

    >>> import torch
    >>> from netgraph.graph import Axis, Group, Segment, Structure, TensorSpec
    >>> axes = Axis((Segment(0, 0, 2),)), Axis((Segment(1, 0, 3),))
    >>> weight = TensorSpec("w", (3, 2), "float32", "parameter", (1, 0), out_axis=0, in_axis=1)
    >>> plan = message_plan(Structure((Group("in", 2), Group("out", 3)), axes, (weight,)), taps=9)
    >>> plan.num_nodes, plan.num_edges, plan.stacks[0].shape
    (5, 6, (1, 3, 2))
    """
    stacks, rows = stack_weights(structure, taps)
    roles = tensor_roles(structure)
    vectors = [t for t in structure.tensors if t.placement == "node" and is_floating(t)]
    vectors.sort(key=lambda t: t.kind != "parameter")
    nodes = [_entry_nodes(structure, t) for t in vectors]
    role_of = [np.full(len(n), ROLES.index(roles[t.name])) for t, n in zip(vectors, nodes, strict=True)]
    counts = np.zeros((structure.num_nodes, len(ROLES)), dtype=np.float32)
    repeats = []
    for spec, found in zip(vectors, nodes, strict=True):
        present, inverse, times = np.unique(found, return_inverse=True, return_counts=True)
        counts[present, ROLES.index(roles[spec.name])] += 1
        repeats.append(times[inverse])
    return MessagePlan(
        num_nodes=structure.num_nodes,
        stacks=stacks,
        row_node=torch.from_numpy(_join([r.nodes for r in rows])),
        row_slot=torch.from_numpy(_join([r.nodes + r.side * structure.num_nodes for r in rows])),
        row_edges=torch.from_numpy(_join([*(np.full(len(r.nodes), r.edges) for r in rows), NO_ROWS])).float(),
        vectors=tuple(t.name for t in vectors),
        num_parameters=sum(t.kind == "parameter" for t in vectors),
        entry_node=torch.from_numpy(_join(nodes)),
        entry_role=torch.from_numpy(_join(role_of)),
        entry_repeats=torch.from_numpy(_join(repeats)),
        role_counts=torch.from_numpy(counts),
        group_role=torch.tensor(
            [GROUP_ROLES.index(g.role) for g in structure.groups for _ in range(g.size)], dtype=torch.long
        ),
    )


def _entry_nodes(structure: Structure, spec: TensorSpec) -> IntArray:
    """Node of every scalar of a tensor that sits on nodes, its node dimension first, the others behind."""
    nodes = position_nodes(structure, spec, spec.out_axis)
    return np.repeat(nodes, spec.numel // max(len(nodes), 1))


def _join(parts: list[IntArray]) -> IntArray:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
