"""Node masks (keep or drop channels) and edge masks (a value per weight)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.graph.axis import Axis, BoolArray, IntArray
from netgraph.graph.branches import chosen
from netgraph.graph.neural_graph import NeuralGraph
from netgraph.graph.removal import removed, silence
from netgraph.graph.structure import Structure, TensorSpec


@dataclass(frozen=True, eq=False)
class NodeMask:
    """Which nodes and layers to keep.

    Attributes:
        keep: a boolean tensor `(size,)` per group name; groups left out are kept whole.
        skip: names of residual branches that are left out (`netgraph.graph.branches`).

    >>> import torch
    >>> mask = NodeMask({"fc1": torch.tensor([True, False])}) & NodeMask({"fc1": torch.tensor([True, True])})
    >>> mask.keep["fc1"].tolist()
    [True, False]
    """

    keep: Mapping[str, Tensor]
    skip: frozenset[str] = frozenset()

    def __and__(self, other: NodeMask) -> NodeMask:
        names = dict.fromkeys([*self.keep, *other.keep])
        both = {n: self.keep[n] & other.keep[n] for n in names if n in self.keep and n in other.keep}
        keep = {n: both.get(n, self.keep.get(n, other.keep.get(n))) for n in names}
        return NodeMask(keep, frozenset(self.skip) | frozenset(other.skip))  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NodeMask):
            return NotImplemented
        return (
            set(self.keep) == set(other.keep)
            and set(self.skip) == set(other.skip)
            and all(torch.equal(k, other.keep[n]) for n, k in self.keep.items())
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def dropped(self) -> int:
        """Number of nodes that are dropped, those of branches left out not counted."""
        return sum(int((~k).sum()) for k in self.keep.values())

    def validate(self, structure: Structure) -> None:
        """Check that the mask fits a structure and leaves a network.

        Raises:
            GraphError: unknown group or branch, wrong size or dtype, an emptied group, or a cut into a
                group that is not `hidden`.
        """
        chosen(structure, self.skip)
        for name, keep in self.keep.items():
            index = structure.group_index.get(name)
            if index is None:
                raise GraphError(
                    f"mask: there is no group {name!r}; groups are {list(structure.group_index)[:8]} ..."
                )
            group = structure.groups[index]
            if keep.dtype != torch.bool or tuple(keep.shape) != (group.size,):
                raise GraphError(
                    f"mask: group {name!r} needs a bool tensor of shape ({group.size},), "
                    f"got {keep.dtype} {tuple(keep.shape)}"
                )
            if not bool(keep.any()):
                raise GraphError(
                    f"mask: group {name!r} would be empty; keep at least one of its {group.size} nodes"
                )
            if group.role != "hidden" and not bool(keep.all()):
                raise GraphError(
                    f"mask: group {name!r} is {group.role!r} and cannot be cut; only hidden groups can"
                )

    def arrays(self, structure: Structure) -> list[BoolArray]:
        """One boolean array per group of the structure, in its order."""
        return [
            np.asarray(self.keep[g.name].cpu().numpy(), dtype=np.bool_)
            if g.name in self.keep
            else np.ones(g.size, dtype=np.bool_)
            for g in structure.groups
        ]

    def apply(self, graph: NeuralGraph) -> NeuralGraph:
        """The same network with every weight that touches a dropped node set to zero (shapes unchanged).

        A branch left out keeps its weights; the sum that it feeds counts it times zero.
        """
        self.validate(graph.structure)
        positions = kept_positions(graph.structure, self)
        state = dict(graph.state)
        for spec in graph.structure.tensors:
            kept = [
                (d, positions[a])
                for d, a in enumerate(spec.axes)
                if a is not None and positions[a] is not None
            ]
            if not kept or not state[spec.name].dtype.is_floating_point:
                continue
            tensor = state[spec.name].detach().clone()
            for dim, index in kept:
                gone = torch.ones(spec.shape[dim], dtype=torch.bool)
                gone[torch.from_numpy(index)] = False
                tensor.index_fill_(dim, gone.nonzero().squeeze(1).to(tensor.device), 0)
            state[spec.name] = tensor
        return NeuralGraph(silence(graph.structure, chosen(graph.structure, self.skip)), state)


def kept_positions(structure: Structure, mask: NodeMask) -> list[IntArray | None]:
    """Per pooled axis: the positions that a mask keeps, or None where it keeps all."""
    keep = mask.arrays(structure)
    cut = {i for i, k in enumerate(keep) if not k.all()}
    return [_kept(axis, keep) if cut.intersection(axis.group_ids) else None for axis in structure.axes]


def _kept(axis: Axis, keep: list[BoolArray]) -> IntArray:
    flags = np.concatenate(
        [np.repeat(keep[s.group][s.start : s.start + s.length], s.repeat) for s in axis.segments]
    )
    return np.flatnonzero(flags).astype(np.int64)


@dataclass(frozen=True, eq=False)
class EdgeMask:
    """A value per weight, real or binary: one tensor of the weight's own shape per tensor name.

    Tensors left out are kept whole (as if their mask were one).
    """

    values: Mapping[str, Tensor]

    @classmethod
    def ones(cls, structure: Structure) -> EdgeMask:
        """A mask of ones over every floating-point parameter."""
        return cls({t.name: torch.ones(t.shape) for t in _weights(structure)})

    @classmethod
    def from_nodes(cls, structure: Structure, mask: NodeMask) -> EdgeMask:
        """Zero on every weight that touches a dropped node or goes with a branch left out, one elsewhere."""
        mask.validate(structure)
        ones = NeuralGraph(structure, {t.name: torch.ones(t.shape) for t in structure.tensors})
        masked = mask.apply(ones).state
        gone = removed(structure, chosen(structure, mask.skip)).tensors if mask.skip else frozenset()
        return cls(
            {t.name: masked[t.name] * 0 if t.name in gone else masked[t.name] for t in _weights(structure)}
        )

    def validate(self, structure: Structure) -> None:
        """Check names and shapes.

        Raises:
            GraphError: an unknown tensor or a shape that differs.
        """
        for name, value in self.values.items():
            spec = structure.tensor.get(name)
            if spec is None:
                raise GraphError(
                    f"mask: there is no tensor {name!r}; tensors are {list(structure.tensor)[:5]} ..."
                )
            if tuple(value.shape) != spec.shape:
                raise GraphError(
                    f"mask: tensor {name!r} needs a mask of shape {list(spec.shape)}, got {list(value.shape)}"
                )

    def sparsity(self) -> float:
        """Share of entries that are exactly zero."""
        total = sum(v.numel() for v in self.values.values())
        return sum(int((v == 0).sum()) for v in self.values.values()) / max(total, 1)

    def apply(self, graph: NeuralGraph) -> NeuralGraph:
        """The graph with every masked tensor multiplied by its mask."""
        self.validate(graph.structure)
        state = {
            n: t * self.values[n].to(device=t.device, dtype=t.dtype) if n in self.values else t
            for n, t in graph.state.items()
        }
        return NeuralGraph(graph.structure, state)


def _weights(structure: Structure) -> list[TensorSpec]:
    return [t for t in structure.tensors if t.kind == "parameter" and "float" in t.dtype]
