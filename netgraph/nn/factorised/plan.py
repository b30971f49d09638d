"""Every weight of a structure as a matrix of kernels, and whose nodes its rows and columns are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from netgraph.graph import Structure, TensorSpec
from netgraph.nn.factorised.kinds import weight_uses
from netgraph.nn.stack import is_floating, position_nodes

__all__ = ["FactorisedPlan", "Kernel", "WeightMatrix", "factorised_plan"]

NUM_FACTS = 11
"""Numbers in a row of `FactorisedPlan.facts`."""

MOST_PARTS = 512
"""Weights with more owners count as one matrix, with a tap for each owner."""

JOINS = ("own", "add", "product", "concat", "contraction")
"""Ways in which the mean state of a group reaches nodes: those of the group itself, and over joins."""


class Kernel(NamedTuple):
    """The taps of a weight: `parallel` copies of a kernel of up to three dimensions, the last ones filled."""

    parallel: int
    size: tuple[int, int, int]

    @property
    def taps(self) -> int:
        """Scalars between two positions."""
        return self.parallel * prod(self.size)


@final
@dataclass(frozen=True, eq=False)
class WeightMatrix:
    """One weight as `(R, C, T)`: row position, column position, tap.

    A weight with a third dimension that runs over nodes (a stack of experts) is several matrices, one for
    each of the *owners* along the shortest of the three dimensions.

    Rows run over the channel dimension that stands first in memory, so that the matrix is a view; they are
    the edges' targets (`rows_are_targets`) or their sources. A *loop* (depthwise and grouped convolutions)
    has one column: its edges go from each row to itself.

    Attributes:
        name: of the tensor.
        shape: of the tensor, or of one owner's part of it.
        order: its dimensions as row, column, parallel ones, kernel.
        rows, cols: nodes of the positions, `(R,)` and `(C,)`; `cols` repeats `rows` in a loop.
        part: dimension and place of an owner's part; None for a whole tensor.
        owner: the owner's node, `(1,)`, or `(0,)`.
    """

    name: str
    shape: tuple[int, ...]
    order: tuple[int, ...]
    kernel: Kernel
    rows: Tensor
    cols: Tensor
    rows_are_targets: bool
    loop: bool
    part: tuple[int, int] | None
    owner: Tensor

    @property
    def fans(self) -> tuple[int, int]:
        """Scalars that meet in one row, and in one column."""
        if self.loop:
            return self.kernel.taps, self.kernel.taps
        return len(self.cols) * self.kernel.taps, len(self.rows) * self.kernel.taps

    def matrix(self, tensor: Tensor) -> Tensor:
        """The tensor as `(R, C, T)`: a view, unless its taps lie scattered in memory."""
        if self.part is not None:
            tensor = tensor.select(*self.part)
        cols = 1 if self.loop else len(self.cols)
        return tensor.permute(self.order).reshape(len(self.rows), cols, self.kernel.taps)

    def tensor(self, matrix: Tensor) -> Tensor:
        """The exact way back from `(R, C, T)` to `shape`."""
        inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
        return matrix.reshape([self.shape[d] for d in self.order]).permute(inverse)


@final
@dataclass(frozen=True, eq=False)
class FactorisedPlan:
    """What a factorised metanetwork must know about a structure before it sees a weight.

    Attributes:
        weights: all floating-point parameters that are blocks, as matrices; parts of a tensor stand in order.
        kernels: their distinct taps.
        facts: what is known of each weight's use, `(W, facts)`: logarithms of its fans, taps, stride,
            dilation and groups, whether it is a loop, whether it is known which operator uses it.
        owned, owners: places of the weights that have an owner, and its node, `(O,)` each.
        tensor: a number for the tensor of each weight, `(W,)`.
        arrivals: rows, columns and parts that reach each node along the edges and against them, `(2, N)`.
        node_group: group of each node, `(N,)`.
        sizes: nodes of each group, `(G,)`.
        join_to, join_from, join_kind, join_share: the mean of group `join_from` reaches group `join_to` in
            the way `JOINS[join_kind]` with weight `join_share`, `(J,)` each.
    """

    weights: tuple[WeightMatrix, ...]
    kernels: tuple[Kernel, ...]
    facts: Tensor
    owned: Tensor
    owners: Tensor
    tensor: Tensor
    arrivals: Tensor
    node_group: Tensor
    sizes: Tensor
    join_to: Tensor
    join_from: Tensor
    join_kind: Tensor
    join_share: Tensor

    def to(self, device: torch.device) -> FactorisedPlan:
        """The same plan with its tensors on a device; kept, so that a second call costs nothing."""
        if device == self.node_group.device:
            return self
        if device not in self._moved:
            weights = tuple(
                replace(w, rows=w.rows.to(device), cols=w.cols.to(device), owner=w.owner.to(device))
                for w in self.weights
            )
            fields = {n: getattr(self, n) for n in self.__dataclass_fields__}
            moved: dict[str, Any] = {n: v.to(device) for n, v in fields.items() if isinstance(v, Tensor)}
            self._moved[device] = replace(self, weights=weights, **moved)
        return self._moved[device]

    @cached_property
    def _moved(self) -> dict[torch.device, FactorisedPlan]:
        return {}


@lru_cache(maxsize=32)
def factorised_plan(structure: Structure) -> FactorisedPlan:
    """Plan message passing over a structure; equal structures share one plan.

    >>> from netgraph.graph import Axis, Group, Segment, Structure, TensorSpec
    >>> axes = Axis((Segment(0, 0, 2),)), Axis((Segment(1, 0, 3),))
    >>> weight = TensorSpec("w", (3, 2, 5), "float32", "parameter", (1, 0, None), out_axis=0, in_axis=1)
    >>> plan = factorised_plan(Structure((Group("in", 2), Group("out", 3)), axes, (weight,)))
    >>> plan.weights[0].matrix(torch.zeros(3, 2, 5)).shape, plan.kernels
    (torch.Size([3, 2, 5]), (Kernel(parallel=1, size=(1, 1, 5)),))
    """
    weights = tuple(
        matrix
        for t in structure.tensors
        if t.placement == "block" and t.kind == "parameter" and is_floating(t) and t.numel
        for matrix in _matrices(structure, t)
    )
    arrivals = np.zeros((2, structure.num_nodes), dtype=np.int64)
    for weight in weights:
        along, against = (weight.rows, weight.cols) if weight.rows_are_targets else (weight.cols, weight.rows)
        np.add.at(arrivals[0], along.numpy(), 1)
        np.add.at(arrivals[1], against.numpy(), 1)
        arrivals[:, weight.owner.numpy()] += 1
    numbers = {name: i for i, name in enumerate(dict.fromkeys(w.name for w in weights))}
    sizes = torch.tensor([g.size for g in structure.groups], dtype=torch.long)
    joins = _joins(structure)
    return FactorisedPlan(
        weights=weights,
        kernels=tuple(dict.fromkeys(w.kernel for w in weights)),
        facts=_facts(structure, weights),
        owned=torch.tensor([i for i, w in enumerate(weights) if w.part is not None], dtype=torch.long),
        owners=torch.cat([torch.zeros(0, dtype=torch.long), *(w.owner for w in weights)]),
        tensor=torch.tensor([numbers[w.name] for w in weights], dtype=torch.long),
        arrivals=torch.from_numpy(arrivals),
        node_group=torch.arange(len(sizes)).repeat_interleave(sizes),
        sizes=sizes,
        join_to=torch.tensor([j[0] for j in joins], dtype=torch.long),
        join_from=torch.tensor([j[1] for j in joins], dtype=torch.long),
        join_kind=torch.tensor([j[2] for j in joins], dtype=torch.long),
        join_share=torch.tensor([j[3] for j in joins], dtype=torch.float64),
    )


def _matrices(structure: Structure, spec: TensorSpec) -> list[WeightMatrix]:
    out, into = spec.out_axis, spec.in_axis
    assert out is not None and into is not None
    others = [d for d, a in enumerate(spec.axes) if a is not None and d not in (out, into)]
    split = min((out, into, *others[:1]), key=lambda d: (spec.shape[d], d))
    if out == into or not others or spec.shape[split] > MOST_PARTS:
        return [_matrix(structure, spec, out, into)]
    out, into = others[0] if out == split else out, others[0] if into == split else into
    owners = position_nodes(structure, spec, split)
    return [_matrix(structure, spec, out, into, (split, i), owner) for i, owner in enumerate(owners.tolist())]


def _matrix(
    structure: Structure,
    spec: TensorSpec,
    out: int,
    into: int,
    part: tuple[int, int] | None = None,
    owner: int | None = None,
) -> WeightMatrix:
    loop = out == into
    channels = [out] if loop else sorted((out, into))
    left = [d for d in range(len(spec.shape)) if part is None or d != part[0]]
    rest = [d for d in left if d not in channels]
    kernel = [d for d in rest if d >= 2 and spec.axes[d] is None][-3:]
    parallel = [d for d in rest if d not in kernel]
    size = (1,) * (3 - len(kernel)) + tuple(spec.shape[d] for d in kernel)
    rows = torch.from_numpy(position_nodes(structure, spec, channels[0]))
    return WeightMatrix(
        name=spec.name,
        shape=tuple(spec.shape[d] for d in left),
        order=tuple(left.index(d) for d in (*channels, *parallel, *kernel)),
        kernel=Kernel(prod(spec.shape[d] for d in parallel), (size[0], size[1], size[2])),
        rows=rows,
        cols=rows if loop else torch.from_numpy(position_nodes(structure, spec, channels[1])),
        rows_are_targets=channels[0] == out,
        loop=loop,
        part=part,
        owner=torch.tensor([] if owner is None else [owner], dtype=torch.long),
    )


def _facts(structure: Structure, weights: tuple[WeightMatrix, ...]) -> Tensor:
    uses = weight_uses(structure)
    found = []
    for weight in weights:
        use = uses.get(weight.name)
        onto_rows, onto_cols = weight.fans
        along, against = (onto_rows, onto_cols) if weight.rows_are_targets else (onto_cols, onto_rows)
        stride, dilation, groups = (use.stride, use.dilation, use.groups) if use else (1, 1, 1)
        counts = (along, against, *weight.kernel.size, weight.kernel.parallel, stride, dilation, groups)
        logs = torch.tensor(counts, dtype=torch.float64).log() / 4
        found.append(torch.cat([logs, torch.tensor([float(weight.loop), float(use is not None)])]))
    return torch.stack(found) if found else torch.zeros(0, NUM_FACTS, dtype=torch.float64)


def _joins(structure: Structure) -> list[tuple[int, int, int, float]]:
    """Each group's own mean, and those of the others in its joins, all joins of a kind weighing alike."""
    found = [(g, g, 0, 1.0) for g in range(len(structure.groups))]
    for number, kind in enumerate(JOINS[1:], start=1):
        joins = [j.groups for j in structure.joins if j.kind == kind and len(j.groups) > 1]
        times: dict[int, int] = {}
        for groups in joins:
            for group in groups:
                times[group] = times.get(group, 0) + 1
        pairs: dict[tuple[int, int], float] = {}
        for groups in joins:
            for to in groups:
                for source in groups:
                    if source != to:
                        share = 1 / (times[to] * (len(groups) - 1))
                        pairs[to, source] = pairs.get((to, source), 0.0) + share
        found += [(to, source, number, share) for (to, source), share in pairs.items()]
    return found
