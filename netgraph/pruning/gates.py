"""Gates: how much of each node is kept, as numbers that a decision can be learned through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.graph import Axis, Structure
from netgraph.pruning.soft_cost import soft_macs

__all__ = ["budget_gates", "gate", "score_gates"]


def gate(structure: Structure, state: Mapping[str, Tensor], gates: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Multiply the activation of every node by its gate, in the weights that read it.

    For every block that consumes a group, `w'_ij = w_ij g_j`. A group that no block consumes (queries and
    keys that only meet each other) is gated where it is made: all parameters on it are multiplied. With gates
    of 0 and 1 the network computes what it computes under the mask, as long as nothing but these blocks
    mixes its channels: behind a norm over channels, a node of gate zero still counts in mean and variance.

    Args:
        structure: of the network.
        state: parameters by name. Those left out are left out of the result.
        gates: one value per node `(size,)`, by hidden group; groups left out are whole.

    Returns:
        The parameters that change, by name; gradients flow into the state and into the gates.

    Raises:
        UsageError: a group that does not exist or is not hidden, or another shape.

    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    >>> _ = net[2].weight.data.copy_(torch.tensor([[3.0, 5.0]]))
    >>> graph = to_graph(net, torch.zeros(1, 1))
    >>> gate(graph.structure, graph.state, {"0": torch.tensor([1.0, 0.5])})["2.weight"]
    tensor([[3.0000, 2.5000]])
    """
    for name, given in gates.items():
        index = structure.group_index.get(name)
        group = None if index is None else structure.groups[index]
        if group is None or group.role != "hidden" or tuple(given.shape) != (group.size,):
            raise UsageError(
                f"gate: expected one value per node of a hidden group, got {tuple(given.shape)} for {name!r}"
                f"{'' if group is None else f', which is {group.role} and has {group.size} nodes'}; "
                "give (size,) tensors by the names of hidden groups"
            )
    changed: dict[str, Tensor] = {}
    for name, dims in _gated(structure).items():
        if name not in state:
            continue
        tensor = state[name]
        for dim, axis, groups in dims:
            along = _along(structure, axis, {n: gates[n] for n in groups if n in gates}, tensor)
            if along is not None:
                tensor = tensor * along.reshape([-1 if d == dim else 1 for d in range(tensor.dim())])
        if tensor is not state[name]:
            changed[name] = tensor
    return changed


@lru_cache(maxsize=256)
def _gated(structure: Structure) -> Mapping[str, tuple[tuple[int, Axis, frozenset[str]], ...]]:
    """Per parameter: dimensions whose slices are multiplied, and the groups whose gates count there."""
    weights = [t for t in structure.tensors if t.kind == "parameter" and "float" in t.dtype]
    hidden = {i: g.name for i, g in enumerate(structure.groups) if g.role == "hidden"}

    def names(axis: int | None) -> frozenset[str]:
        ids = () if axis is None else structure.axes[axis].group_ids
        return frozenset(hidden[i] for i in ids if i in hidden)

    reads = [
        (t.name, t.in_axis, names(t.axes[t.in_axis]))
        for t in weights
        if t.in_axis is not None and t.in_axis != t.out_axis
    ]
    consumed = frozenset[str]().union(*(groups for _, _, groups in reads))
    makes = [
        (t.name, dim, names(axis) - consumed)
        for t in weights
        for dim, axis in enumerate(t.axes)
        if dim != t.in_axis or t.in_axis == t.out_axis
    ]
    found: dict[str, tuple[tuple[int, Axis, frozenset[str]], ...]] = {}
    for name, dim, groups in reads + makes:
        if groups:
            item = (dim, structure.axis_of(structure.tensor[name], dim), groups)
            found[name] = (*found.get(name, ()), item)
    return found


def _along(structure: Structure, axis: Axis, gates: Mapping[str, Tensor], like: Tensor) -> Tensor | None:
    """The gates of the nodes on an axis, one per position; None if there are none."""
    if not gates:
        return None
    parts = []
    for segment in axis.segments:
        given = gates.get(structure.groups[segment.group].name)
        if given is None:
            parts.append(like.new_ones(segment.size))
        else:
            run = given[segment.start : segment.start + segment.length].to(like)
            parts.append(run.repeat_interleave(segment.repeat) if segment.repeat > 1 else run)
    return torch.cat(parts)


def score_gates(
    structure: Structure,
    scores: Mapping[str, Tensor],
    target: float,
    *,
    temperature: float = 1.0,
    hard: bool = True,
) -> dict[str, Tensor]:
    """Gates from keep scores that compare across groups: `g_k = sigmoid((s_k - threshold) / temperature)`.

    Soft gates: the threshold is such that their `soft_macs` meets the target. Hard gates are 1 above the
    lowest threshold at which they cost at most the target, and 0 elsewhere; each group keeps the node of its
    highest score, and the gradient is that of soft gates at the same threshold. Either way the threshold
    follows the scores: a gradient never leads to a higher or lower cost, it only says which nodes should
    change places.

    Args:
        structure: of the network.
        scores: `(size,)` by hidden group; groups left out are whole.
        target: MACs that the gated network may cost.
        temperature: the width of the step.
        hard: 0 or 1 in the forward pass.

    Returns:
        `(size,)` by group.

    Raises:
        UsageError: the temperature is not positive, or there are no scores.

    Paper: the gradient of hard gates is the straight-through estimator of Bengio et al., Estimating or
    Propagating Gradients Through Stochastic Neurons, 2013, arXiv 1308.3432.

    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4))
    >>> structure = to_graph(net, torch.zeros(1, 4)).structure
    >>> scores = {"0": torch.tensor([0.3, 2.0, -1.0, 1.0])}
    >>> score_gates(structure, scores, target=16.0)["0"]
    tensor([0., 1., 0., 1.])
    >>> soft = score_gates(structure, scores, target=16.0, hard=False)
    >>> round(float(soft_macs(structure, soft)), 3)
    16.0
    """
    _check(scores, temperature)

    def soft(threshold: float | Tensor, given: Mapping[str, Tensor] = scores) -> dict[str, Tensor]:
        return {n: torch.sigmoid((s - threshold) / temperature) for n, s in given.items()}

    held = {n: s.detach() for n, s in scores.items()}
    if hard:
        steps, level = _steps(structure, held, target)
    else:
        every = torch.cat(list(held.values()))
        low, high = (float(x) for x in every.aminmax())
        margin = _MARGIN * temperature
        level = _bisect(
            lambda t: float(soft_macs(structure, soft(t, held))), target, low - margin, high + margin
        )
    # The threshold follows the scores: MACs(s, t) = const gives dt = -(dMACs/ds . ds) / (dMACs/dt).
    with torch.enable_grad():
        start = torch.tensor(level, dtype=torch.float64, requires_grad=True)
        slope = torch.autograd.grad(soft_macs(structure, soft(start, held)), start)[0]
    macs = soft_macs(structure, soft(level))
    gates = soft(level - (macs - macs.detach()) / slope.clamp(max=-1e-12))
    if not hard:
        return gates
    return {n: steps[n] + (g - g.detach()) for n, g in gates.items()}


@torch.no_grad()
def _steps(
    structure: Structure, scores: Mapping[str, Tensor], target: float
) -> tuple[dict[str, Tensor], float]:
    """Gates of 0 and 1 that cost at most the target, if one node per group does, and their threshold."""
    ordered = sorted(set(torch.cat(list(scores.values())).tolist()))

    def stepped(threshold: float) -> dict[str, Tensor]:
        return {n: ((s > threshold) | (s == s.max())).to(s) for n, s in scores.items()}

    thresholds = [ordered[0] - 1.0, *ordered]
    first, last = -1, len(ordered)
    while last - first > 1:
        middle = (first + last) // 2
        if float(soft_macs(structure, stepped(thresholds[middle]))) <= target:
            last = middle
        else:
            first = middle
    above = thresholds[last + 1] if last + 1 < len(thresholds) else thresholds[last]
    return stepped(thresholds[last]), (thresholds[last] + above) / 2


def budget_gates(
    shares: Mapping[str, Tensor],
    scores: Mapping[str, Tensor],
    *,
    temperature: float = 1.0,
    hard: bool = True,
) -> dict[str, Tensor]:
    """Gates from the share of each group: a node is kept by its rank inside the group.

    Each group has a threshold of its own, such that its soft gates sum up to `share * size`; gradients reach
    the shares through it. Hard gates keep the `share * size` highest scores, rounded, and at least one.

    Args:
        shares: scalars in (0, 1], by hidden group.
        scores: `(size,)` for at least the same groups.
        temperature: the width of the step.
        hard: 0 or 1 in the forward pass.

    Raises:
        UsageError: the temperature is not positive, there are no shares, or a group has no scores.

    >>> shares, scores = {"a": torch.tensor(0.5)}, {"a": torch.tensor([0.3, 2.0, -1.0, 1.0])}
    >>> budget_gates(shares, scores)["a"]
    tensor([0., 1., 0., 1.])
    >>> round(float(budget_gates(shares, scores, hard=False)["a"].sum()), 4)
    2.0
    """
    _check(shares, temperature)
    if missing := sorted(set(shares) - set(scores)):
        raise UsageError(f"budget_gates: expected scores for every share, got none for {missing}; add them")
    return {n: _shared(share, scores[n], temperature, hard) for n, share in shares.items()}


def _shared(share: Tensor, scores: Tensor, temperature: float, hard: bool) -> Tensor:
    size = len(scores)
    width = (share * size).double()
    given = scores.double()
    held, wanted = given.detach(), float(width.detach())
    margin = _MARGIN * temperature
    level = _bisect(
        lambda t: float(torch.sigmoid((held - t) / temperature).sum()),
        wanted,
        float(held.min()) - margin,
        float(held.max()) + margin,
    )
    near = torch.sigmoid((given - level) / temperature)
    slope = (near * (1 - near)).detach().sum() / temperature
    excess = near.sum() - width
    soft = torch.sigmoid((given - level - (excess - excess.detach()) / slope.clamp(min=1e-12)) / temperature)
    soft = soft.to(scores)
    if not hard:
        return soft
    kept = min(max(round(wanted), 1), size)
    steps = torch.zeros_like(scores, requires_grad=False)
    steps[torch.argsort(held, descending=True, stable=True)[:kept]] = 1
    return steps + (soft - soft.detach())


_MARGIN: Final = 40.0
"""So many temperatures from a threshold, a gate is 0 or 1 to double precision."""


def _bisect(value: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where a falling function meets a target."""
    for _ in range(60):
        middle = (low + high) / 2
        if value(middle) > target:
            low = middle
        else:
            high = middle
    return high


def _check(given: Mapping[str, Tensor], temperature: float) -> None:
    if not given or not temperature > 0:
        raise UsageError(
            f"gates: expected at least one group and a temperature above 0, got {len(given)} groups and "
            f"temperature={temperature!r}; the default is 1.0"
        )
