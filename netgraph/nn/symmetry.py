"""Networks that differ by sign and scale symmetries alone, seen as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from netgraph.errors import GraphError, UsageError
from netgraph.graph import NeuralGraph, Structure
from netgraph.graph.homogeneity import Exponent, Symmetry, homogeneity, multiplier, places

__all__ = ["Canonical", "SymmetryKind", "Symmetric", "canonical"]

SymmetryKind: TypeAlias = Literal["scale", "sign"]


@final
@dataclass(frozen=True, eq=False)
class Canonical:
    """A network in the gauge that all networks of its orbit share.

    Attributes:
        state: all tensors of the canonical network, by name.
        scales: what every node of the given network is multiplied with, relative to the canonical one,
            `(N,)`: the norm of what comes in, negative where the sign was turned; 1 where a node has no
            symmetry, the product where it has several. Differentiable.
        multipliers: per tensor what the given network's differs by, ready to broadcast.
    """

    state: Mapping[str, Tensor]
    scales: Tensor
    multipliers: Mapping[str, tuple[Tensor, ...]]

    def restore(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of the canonical network (rewritten weights, say), as they would be in the given one.

        Args:
            values: by name, with the shape of the tensor of that name. What no symmetry moves, and names that
                are no tensors, are handed through.
        """
        return {n: _times(value, self.multipliers.get(n, ()), 1) for n, value in values.items()}


def canonical(
    graph: NeuralGraph,
    state: Mapping[str, Tensor] | None = None,
    kinds: Sequence[SymmetryKind] = ("scale", "sign"),
) -> Canonical:
    """The representative of all networks that `netgraph.graph.rescale` makes of one.

    Along every symmetry of `netgraph.graph.homogeneity`, from input to output, nodes are rescaled so that
    what comes into node `i` (all tensors with the power 1 there: weights, bias, scale and shift of a norm)
    has the norm 1, `c_i = 1 / ||w_i||`, and then turned so that `sum_j w_ij^3 > 0`. What comes in is measured
    after the layers before were rescaled, so one pass is enough; a weight whose other end is not settled yet
    (that of a loop) is not counted. All producers of a residual stream are measured together.

    The result is the same network function. It depends on the given network only through its orbit, with
    exceptions that stay as they are: a node into which only zeros come or only loops lead, and a sign where
    the sum of cubes is zero. It is differentiable with respect to the state (signs are constants).

    Args:
        graph: any graph.
        state: tensors that stand in for the graph's own, such as leaves that want a gradient.
        kinds: which symmetries to remove.

    Raises:
        GraphError: a tensor of `state` is unknown or has another shape.
        UsageError: an unknown kind.

    Paper: Kalogeropoulos et al., Scale Equivariant Graph Metanetworks, NeurIPS 2024, arXiv 2406.10685, for
    the symmetries.

    >>> import torch, netgraph
    >>> from netgraph.nn.symmetry import canonical
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> graph = netgraph.to_graph(net, torch.zeros(1, 2))
    >>> found = canonical(graph)
    >>> incoming = torch.cat([found.state["0.weight"], found.state["0.bias"][:, None]], 1)
    >>> torch.allclose(incoming.norm(dim=1), torch.ones(3))
    True
    >>> restored = found.restore(found.state)
    >>> all(torch.allclose(restored[name], value) for name, value in graph.state.items())
    True
    """
    _check_kinds(kinds)
    tensors = dict((graph if state is None else graph.replace(state)).state)
    structure = graph.structure
    multipliers: dict[str, tuple[Tensor, ...]] = {}
    like = _like(tensors)
    nodes = [like.new_ones(g.size) for g in structure.groups]
    for symmetry, incoming in _plan(structure):
        if symmetry.kind not in kinds:
            continue
        index = structure.group_index[symmetry.group]
        factors = _measure(structure, symmetry, incoming, tensors, like)
        nodes[index] = nodes[index] * factors
        for exponent in symmetry.exponents:
            by = multiplier(structure, symmetry, exponent, factors)
            tensors[exponent.tensor] = _times(tensors[exponent.tensor], (by,), -1)
            multipliers[exponent.tensor] = (*multipliers.get(exponent.tensor, ()), by)
    return Canonical(tensors, torch.cat([like.new_ones(0), *nodes]), multipliers)


@final
class Symmetric(nn.Module):
    """A metanetwork made exactly equivariant under sign and scale symmetries.

    The wrapped metanetwork `f` reads the canonical network, and what it writes is put back on the given
    network's scale,

        g(theta) = T f(T^-1 theta),    T^-1 theta canonical,

    so that rescaling the nodes of a network rescales the result alike and changes nothing else, whichever
    way messages run. Steps of a fixed size become relative to the norm of what comes into a node.

    Args:
        metanetwork: called as `metanetwork(graph, state)`, gives tensors by name, as `Metanetwork` does.
        kinds: which symmetries to respect.

    Raises:
        UsageError: an unknown kind.

    >>> import torch, netgraph
    >>> from netgraph.graph.homogeneity import homogeneity, rescale
    >>> from netgraph.nn import Metanetwork, MetanetworkConfig
    >>> from netgraph.nn.symmetry import Symmetric
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> graph = netgraph.to_graph(net, torch.zeros(1, 2))
    >>> factors = {s: torch.tensor([0.5, 2.0, 3.0]) for s in homogeneity(graph.structure)}
    >>> meta = Symmetric(Metanetwork(MetanetworkConfig(hidden=4, layers=1)))
    >>> one, other = rescale(meta.rewrite(graph), factors), meta.rewrite(rescale(graph, factors))
    >>> all(torch.allclose(other.state[name], value, atol=1e-5) for name, value in one.state.items())
    True
    """

    def __init__(self, metanetwork: nn.Module, kinds: Sequence[SymmetryKind] = ("scale", "sign")) -> None:
        super().__init__()
        _check_kinds(kinds)
        self.metanetwork = metanetwork
        self.kinds = tuple(kinds)

    def forward(self, graph: NeuralGraph, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """What the metanetwork makes of the canonical network, on the scale of the given one.

        Args:
            graph: any graph.
            state: tensors that stand in for the graph's own, such as leaves that want a gradient.

        Raises:
            GraphError: a tensor of `state` is unknown or has another shape.
        """
        found = canonical(graph, state, self.kinds)
        return found.restore(self.metanetwork(graph, found.state))

    @torch.no_grad()
    def rewrite(self, graph: NeuralGraph) -> NeuralGraph:
        """The same graph with rewritten parameters; all else is shared with `graph`.

        Raises:
            GraphError: a parameter holds a number that is not finite.
        """
        for spec in graph.structure.tensors:
            tensor = graph.state[spec.name]
            if spec.kind == "parameter" and not bool(tensor.isfinite().all()):
                raise GraphError(
                    f"rewrite: expected finite weights, tensor {spec.name!r} holds NaN or infinity; "
                    "train or load the network again"
                )
        return graph.replace({n: v.detach() for n, v in self(graph).items()})

    def extra_repr(self) -> str:
        return f"kinds={self.kinds}"


@lru_cache(maxsize=32)
def _plan(structure: Structure) -> tuple[tuple[Symmetry, tuple[Exponent, ...]], ...]:
    """The symmetries in the order of settling them, each with the tensors that are measured for it.

    Entries of a tensor are measured once nothing else that is still to settle moves them. If no symmetry is
    ready with all of its tensors, the first that is ready with some comes next; one that never is (nothing
    but loops come in) is left out.
    """
    out: list[tuple[Symmetry, tuple[Exponent, ...]]] = []
    for kind in ("scale", "sign"):
        waiting = [s for s in homogeneity(structure) if s.kind == kind]
        moving: dict[str, list[tuple[Symmetry, Exponent]]] = {}
        for symmetry in waiting:
            for exponent in symmetry.exponents:
                moving.setdefault(exponent.tensor, []).append((symmetry, exponent))
        while waiting:
            partly = None
            for symmetry in waiting:
                own = [e.tensor for e in symmetry.exponents]
                incoming = [e for e in symmetry.exponents if e.power == 1 and own.count(e.tensor) == 1]
                ready = tuple(e for e in incoming if _alone(symmetry, e, moving[e.tensor]))
                if ready and (len(ready) == len(incoming) or partly is None):
                    partly = symmetry, ready
                    if len(ready) == len(incoming):
                        break
            if partly is None:
                break
            out.append(partly)
            waiting.remove(partly[0])
            for exponent in partly[0].exponents:
                moving[exponent.tensor].remove((partly[0], exponent))
    return tuple(out)


def _alone(symmetry: Symmetry, exponent: Exponent, moving: list[tuple[Symmetry, Exponent]]) -> bool:
    """Whether all else that moves a tensor stands beside, at places of other groups on the same dimension."""
    return all(
        (s == symmetry and e == exponent) or (e.dim == exponent.dim and s.group != symmetry.group)
        for s, e in moving
    )


def _measure(
    structure: Structure,
    symmetry: Symmetry,
    incoming: tuple[Exponent, ...],
    tensors: Mapping[str, Tensor],
    like: Tensor,
) -> Tensor:
    """Factor of every node of the group, `(size,)`: the norm or the sign of what comes in."""
    size = structure.groups[structure.group_index[symmetry.group]].size
    rows = []
    for e in incoming:
        whole = tensors[e.tensor].to(like.device, torch.float64).movedim(e.dim, 0)
        index = torch.from_numpy(places(structure, symmetry, e)).to(like.device)
        rows.append((index, whole.reshape(len(whole), -1)))

    def gather(entries: list[Tensor]) -> Tensor:
        total = like.new_zeros(size + 1, dtype=torch.float64)  # squares of small weights would be zero
        for (index, _), found in zip(rows, entries, strict=True):
            total = total.index_add(0, index, found)
        return total[:size]

    squares = gather([row.square().sum(1) for _, row in rows])
    norms = torch.where(squares > 0, squares, 1.0).sqrt()
    if symmetry.kind == "scale":
        return norms.to(like)
    units = torch.cat([norms.detach(), norms.new_ones(1)])  # what belongs to other groups is not gathered
    cubes = gather([(row.detach() / units[index, None]).pow(3).sum(1) for index, row in rows])
    return torch.where(cubes < 0, -1.0, 1.0).to(like)


def _times(value: Tensor, multipliers: tuple[Tensor, ...], power: int) -> Tensor:
    for by in multipliers:
        by = by.to(value.device)
        value = (value * by if power > 0 else value / by).to(value.dtype)
    return value


def _like(tensors: Mapping[str, Tensor]) -> Tensor:
    """An empty tensor of the device and the dtype of factors: double precision if any weight has it."""
    floating = [t for t in tensors.values() if t.is_floating_point()]
    wide = any(t.dtype == torch.float64 for t in floating)
    device = floating[0].device if floating else torch.device("cpu")
    return torch.empty(0, dtype=torch.float64 if wide else torch.float32, device=device)


def _check_kinds(kinds: Sequence[str]) -> None:
    if isinstance(kinds, str) or set(kinds) - {"scale", "sign"}:
        raise UsageError(
            f"canonical: expected kinds among 'scale' and 'sign', got {kinds!r}; "
            "pass a tuple such as ('scale',)"
        )
