"""What the structure of a network says about each of its groups, before any weight is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import log1p
from typing import Final

import torch
from torch import Tensor

from netgraph.graph import CostModel, Structure, Value
from netgraph.nn.factorised.kinds import KINDS, weight_uses
from netgraph.nn.factorised.plan import factorised_plan
from netgraph.nn.plan import GROUP_ROLES

__all__ = ["num_structure_features", "structure_features"]

NORMS: Final = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
ACTIVATIONS: Final = (
    *("relu", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu"),
    *("elu", "softmax", "mish", "prelu"),
)
_SAME: Final[Mapping[str, str]] = {"relu6": "hardtanh", "_softmax": "softmax"}
_JOIN_KINDS: Final = ("add", "product", "concat", "contraction")
_COUNTS: Final = 26
"""Numbers that are neither one of a kind nor one of a role."""


def num_structure_features(kinds: int = len(KINDS)) -> int:
    """Numbers per group that `structure_features` gives for so many operator kinds."""
    return len(GROUP_ROLES) + 2 * (kinds + 1) + len(NORMS) + len(ACTIVATIONS) + _COUNTS


@lru_cache(maxsize=32)
def structure_features(structure: Structure, kinds: tuple[str, ...] = KINDS) -> Tensor:
    """Facts about every group, `(G, S)`: the same for all nodes of a group, and free of weights.

    - role of the group; kinds of the operators that make it and that use it, as shares, the last for kinds
      that are not among `kinds`
    - logarithms of: its size; fan-in and fan-out; taps, stride, dilation and convolution groups of the
      weights that make it and use it; those weights; attention heads
    - place in the network: weights passed until it is first met, until it is last met, and left from there
      to the outputs, as shares of the depth and as logarithms
    - norms and activations that read it; joins that it takes part in
    - share of the MACs in operators that make it, and that use it

    Logarithms are `log(1 + n) / 4`. Without a program, all but role, size, fans and taps are zero.

    >>> import torch, netgraph
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> structure = netgraph.to_graph(net, torch.zeros(1, 4)).structure
    >>> structure_features(structure).shape == (3, num_structure_features())
    True
    """
    roles = torch.zeros(len(structure.groups), len(GROUP_ROLES))
    for g, group in enumerate(structure.groups):
        roles[g, GROUP_ROLES.index(group.role)] = 1
    parts = [roles, *_weights(structure, kinds), *_program(structure)]
    return torch.cat(parts, dim=1)


def _weights(structure: Structure, kinds: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Kinds of the operators on both sides, `(G, 2 (kinds + 1))`; counts, `(G, 15)`."""
    uses = weight_uses(structure)
    total = len(structure.groups)
    macs = _macs(structure)
    shares = torch.zeros(2, total, len(kinds) + 1)
    sums, seen = torch.zeros(2, total, 5), torch.zeros(2, total)
    cost = torch.zeros(2, total)
    counted: set[tuple[int, int, int]] = set()
    for weight in factorised_plan(structure).weights:
        spec, use = structure.tensor[weight.name], uses.get(weight.name)
        fans = weight.fans if weight.rows_are_targets else weight.fans[::-1]
        for side, dim in enumerate((spec.out_axis, spec.in_axis)):
            assert dim is not None
            numbers = [fans[side], weight.kernel.taps]
            numbers += [use.stride, use.dilation, use.groups] if use else [0, 0, 0]
            for group in structure.axis_of(spec, dim).group_ids:
                seen[side, group] += 1
                sums[side, group] += torch.tensor([_log(n) for n in numbers])
                if use:
                    kind = kinds.index(use.kind) if use.kind in kinds else len(kinds)
                    shares[side, group, kind] += 1
                    if (side, group, use.operator) not in counted:
                        counted.add((side, group, use.operator))
                        cost[side, group] += macs[use.operator]
    mean = seen.clamp(min=1).unsqueeze(-1)
    size = torch.tensor([[_log(g.size)] for g in structure.groups]).view(total, 1)
    counts = [*(sums / mean).unbind(0), (seen.log1p() / 4).T, cost.T, size]
    return torch.cat([*(shares / mean).unbind(0)], dim=1), torch.cat(counts, dim=1)


def _macs(structure: Structure) -> list[float]:
    """Share of the MACs in every operator."""
    found = [CostModel(replace(structure, operators=(op,))).macs() for op in structure.operators]
    return [n / max(sum(found), 1) for n in found]


def _program(structure: Structure) -> tuple[Tensor, Tensor, Tensor]:
    """Norms `(G, norms)`, activations `(G, activations)`, and counts: heads, place and joins `(G, 11)`."""
    total = len(structure.groups)
    norms, activations = torch.zeros(total, len(NORMS)), torch.zeros(total, len(ACTIVATIONS))
    heads = torch.zeros(total, 1)
    on = {v.name: _groups(structure, v) for v in structure.values}
    for op in structure.operators:
        kind = _SAME.get(op.kind, op.kind)
        read = sorted({g for name in op.refs() for g in on[name]})
        if kind in NORMS:
            norms[read, NORMS.index(kind)] = 1
        elif kind in ACTIVATIONS:
            activations[read, ACTIVATIONS.index(kind)] = 1
        elif kind == "scaled_dot_product_attention":
            shape = structure.value[next(iter(op.refs()))].shape
            if len(shape) > 2 and isinstance(shape[-3], int):
                heads[read] = heads[read].clamp(min=_log(shape[-3]))
    joins = torch.zeros(total, len(_JOIN_KINDS))
    for join in structure.joins:
        joins[list(join.groups), _JOIN_KINDS.index(join.kind)] += 1
    return norms, activations, torch.cat([heads, _places(structure, on), joins.log1p() / 4], dim=1)


def _places(structure: Structure, on: Mapping[str, tuple[int, ...]]) -> Tensor:
    """Where each group lies in the network, `(G, 6)`."""
    found = torch.zeros(len(structure.groups), 6)
    if not structure.operators:
        return found
    uses = weight_uses(structure)
    heavy = {uses[w.name].operator for w in factorised_plan(structure).weights if w.name in uses}
    before = dict.fromkeys(structure.inputs, 0)
    for i, op in enumerate(structure.operators):
        deepest = max((before.get(v, 0) for v in op.refs()), default=0) + (i in heavy)
        before.update(dict.fromkeys(op.results, deepest))
    after: dict[str, int] = {}
    for i, op in reversed(list(enumerate(structure.operators))):
        left = max((after.get(v, 0) for v in op.results), default=0) + (i in heavy)
        for value in op.refs():
            after[value] = max(after.get(value, 0), left)
    total = max(1, *before.values())
    for group, names in _carriers(on).items():
        first, last = min(before.get(n, 0) for n in names), max(before.get(n, 0) for n in names)
        left = min(after.get(n, 0) for n in names)
        for at, number in enumerate((first, last, left)):
            found[group, at], found[group, 3 + at] = number / total, _log(number)
    return found


def _carriers(on: Mapping[str, Iterable[int]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name, groups in on.items():
        for group in groups:
            found.setdefault(group, []).append(name)
    return found


def _groups(structure: Structure, value: Value) -> tuple[int, ...]:
    return tuple(dict.fromkeys(g for a in value.axes if a is not None for g in structure.axes[a].group_ids))


def _log(number: float) -> float:
    return log1p(number) / 4
