"""Which nodes of a network may be multiplied by a factor without anybody noticing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.graph.axis import IntArray
from netgraph.graph.homogeneity_rules import RULES
from netgraph.graph.homogeneity_walk import Kind, Slot, Walk
from netgraph.graph.neural_graph import NeuralGraph
from netgraph.graph.structure import Structure

__all__ = ["Exponent", "Symmetry", "homogeneity", "multiplier", "places", "rescale"]


class Exponent(NamedTuple):
    """What a symmetry does to a tensor: along dimension `dim`, every position that is node `i` of the group
    is multiplied by `c_i ** power`; positions of other groups stay."""

    tensor: str
    dim: int
    power: int


@final
@dataclass(frozen=True)
class Symmetry:
    """One way of multiplying the nodes of a group, each by a factor of its own, that the outputs do not show.

    Attributes:
        kind: `scale` (every factor c > 0) or `sign` (c = -1 or 1).
        group: name of the hidden group.
        value: name of the first activation that is multiplied by `c`; unique among symmetries of one kind.
        exponents: what becomes of the weights. Those that make the activation have the power 1 (weight, bias,
            scale and shift of a norm), those that read it -1. A tensor that is not named stays.

    >>> from netgraph.graph.homogeneity import Exponent, Symmetry
    >>> Symmetry("sign", "fc1", "linear", (Exponent("fc1.weight", 0, 1), Exponent("fc2.weight", 1, -1))).group
    'fc1'
    """

    kind: Kind
    group: str
    value: str
    exponents: tuple[Exponent, ...]


@lru_cache(maxsize=32)
def homogeneity(structure: Structure) -> tuple[Symmetry, ...]:
    """All rescalings of hidden nodes that leave a network's function unchanged, as its program shows them.

    If everything that comes into a node is multiplied by `c` and everything that goes out of it by `1 / c`,

        f(x) = W_2 act(W_1 x + b) = (W_2 / c) act(c W_1 x + c b),

    nothing changes as long as `act(c x) = c act(x)`: for c > 0 that is so for ReLU, LeakyReLU, PReLU and
    pooling (`scale`), for c = -1 for tanh, erf, sin, hardtanh, softsign and pooling by means (`sign`), and
    for whatever is linear in both cases. A batch or instance norm with scale and shift starts a symmetry:
    what comes into it stays, its scale and shift are multiplied. Where a group meets an operator that is not
    known to let factors through (softmax, sigmoid, GELU, LayerNorm, a sum with a constant), it has none
    there. So what is listed holds, but there may be more.

    A group has several symmetries if its nodes carry activations that may be multiplied independently: the
    norms of a pre-activation residual stream, both sides of a depthwise convolution, queries with keys (`c`
    and `1 / c`) beside values.

    Only floating-point parameters are multiplied, buffers never. A group that an output shows has none.

    Returns:
        Scales before signs, each in the order of the program.

    Paper: Kalogeropoulos et al., Scale Equivariant Graph Metanetworks, NeurIPS 2024, arXiv 2406.10685.

    >>> import torch, netgraph
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> (symmetry,) = homogeneity(netgraph.to_graph(net, torch.zeros(1, 2)).structure)
    >>> symmetry.kind, symmetry.group, [tuple(e) for e in symmetry.exponents]
    ('scale', '0', [('0.weight', 0, 1), ('0.bias', 0, 1), ('2.weight', 1, -1)])
    """
    return *_of_kind(structure, "scale"), *_of_kind(structure, "sign")


def rescale(graph: NeuralGraph, factors: Mapping[Symmetry, Tensor]) -> NeuralGraph:
    """The same function with other weights: nodes multiplied along symmetries of the network.

    Args:
        graph: any graph.
        factors: per symmetry of `homogeneity(graph.structure)` one factor per node of its group, `(size,)`;
            positive for scales, -1 or 1 for signs.

    Raises:
        GraphError: a symmetry is not one of this structure, or its factors do not fit it.

    >>> import torch, netgraph
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> x = torch.randn(4, 2)
    >>> graph = netgraph.to_graph(net, x)
    >>> (symmetry,) = homogeneity(graph.structure)
    >>> other = rescale(graph, {symmetry: torch.tensor([0.5, 2.0, 3.0])})
    >>> torch.allclose(other.to_module()(x), net(x), atol=1e-5)
    True
    """
    known = homogeneity(graph.structure)
    state = dict(graph.state)
    for symmetry, given in factors.items():
        if symmetry not in known:
            raise GraphError(
                f"rescale: expected symmetries of this structure, got a {symmetry.kind} of group "
                f"{symmetry.group!r}; take them from homogeneity(graph.structure)"
            )
        _check(graph.structure, symmetry, given)
        for exponent in symmetry.exponents:
            tensor = state[exponent.tensor]
            by = multiplier(graph.structure, symmetry, exponent, given.to(tensor.device))
            state[exponent.tensor] = (tensor * by).to(tensor.dtype)
    return NeuralGraph(graph.structure, state)


def places(structure: Structure, symmetry: Symmetry, exponent: Exponent) -> IntArray:
    """For every position along a tensor's dimension its node in the group of a symmetry, `(n,)`; the size of
    the group where the position belongs to another."""
    group = structure.group_index[symmetry.group]
    axis = structure.axis_of(structure.tensor[exponent.tensor], exponent.dim)
    return np.where(axis.groups == group, axis.indices, structure.groups[group].size)


def multiplier(structure: Structure, symmetry: Symmetry, exponent: Exponent, factors: Tensor) -> Tensor:
    """What a tensor is multiplied with, ready to broadcast: 1 along all dimensions but `exponent.dim`.

    Args:
        structure: that the symmetry belongs to.
        symmetry: one of `homogeneity(structure)`.
        exponent: one of the symmetry's.
        factors: one per node of the group, `(size,)`; differentiable.

    >>> import torch, netgraph
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    >>> structure = netgraph.to_graph(net, torch.zeros(1, 2)).structure
    >>> (symmetry,) = homogeneity(structure)
    >>> multiplier(structure, symmetry, symmetry.exponents[-1], torch.tensor([2.0, 4.0]))
    tensor([[0.5000, 0.2500]])
    """
    index = torch.from_numpy(places(structure, symmetry, exponent)).to(factors.device)
    along = torch.cat([factors, factors.new_ones(1)])[index] ** exponent.power
    shape = structure.tensor[exponent.tensor].shape
    return along.reshape([-1 if d == exponent.dim else 1 for d in range(len(shape))])


def _of_kind(structure: Structure, kind: Kind) -> list[Symmetry]:
    walk = Walk(structure, kind, RULES[kind])
    found: dict[Slot, list[tuple[Slot, int]]] = {}
    for slot, powers in walk.powers().items():
        for root, power in powers.items():
            found.setdefault(root, []).append((slot, power))
    rank = {t.name: i for i, t in enumerate(structure.tensors)}
    out = []
    for first, sign in _first_values(structure, walk):
        root = walk.find(first)[0]
        if root in found:
            members = sorted(found[root], key=lambda item: (rank[item[0].name], item[0].dim))
            powers_of = tuple(Exponent(s.name, s.dim, p * sign) for s, p in members)
            out.append(Symmetry(kind, structure.groups[first.group].name, first.name, powers_of))
    return out


def _first_values(structure: Structure, walk: Walk) -> list[tuple[Slot, int]]:
    """Per free class its first activation in the program, and that one's power."""
    found: dict[Slot, tuple[Slot, int]] = {}
    made = [*structure.inputs, *(name for op in structure.operators for name in op.results)]
    order = {name: i for i, name in enumerate(made)}
    values = [s for s in walk.parent if s.kind == "value"]
    for slot in sorted(values, key=lambda s: (order[s.name], s.group)):
        root, sign = walk.find(slot)
        if root not in walk.zero:
            found.setdefault(root, (slot, sign))
    return list(found.values())


def _check(structure: Structure, symmetry: Symmetry, given: Tensor) -> None:
    size = structure.groups[structure.group_index[symmetry.group]].size
    numbers = given.detach()
    fits = tuple(given.shape) == (size,) and given.is_floating_point() and bool(numbers.isfinite().all())
    if symmetry.kind == "scale":
        fits, wanted = fits and bool((numbers > 0).all()), "positive numbers"
    else:
        fits, wanted = fits and bool((numbers.abs() == 1).all()), "numbers -1.0 or 1.0"
    if not fits:
        raise GraphError(
            f"rescale: group {symmetry.group!r} needs {size} {wanted} for its {symmetry.kind}, got "
            f"{given.dtype} {list(given.shape)} {numbers.reshape(-1).tolist()[:4]} ..."
        )
