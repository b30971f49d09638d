"""From scores to the mask that meets a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netgraph.errors import BudgetError, UsageError
from netgraph.graph import NodeMask, Structure
from netgraph.pruning.criteria import Scores
from netgraph.pruning.ranking import Ranking, rank

__all__ = ["fit_mask"]

_Ints: TypeAlias = npt.NDArray[np.int64]


def fit_mask(
    structure: Structure,
    scores: Scores,
    cost: Callable[[NodeMask], float],
    target: float,
    *,
    floors: Mapping[str, int] | None = None,
    branches: Mapping[str, float] | None = None,
    ranking: str | Ranking = "global",
    round_to: int = 1,
    unit: str = "units of cost",
) -> NodeMask:
    """Drop as few nodes as possible, the least important first, so that the cost is at most the target.

    The order is fixed by the scores, so the cost falls with the number of dropped nodes, and bisection
    finds that number with about `log2(N)` evaluations of the cost. Widths are rounded *up* to the multiple.

    Args:
        structure: what is cut.
        scores: per group `(size,)`, higher is more important; groups without scores are kept whole.
        cost: of the network under a mask, in any unit. Where it is measured and therefore noisy, the mask
            returned is one whose measurement met the target.
        target: upper bound on the cost.
        floors: the groups that may be cut, with the nodes that each must keep; None for all, down to one.
        branches: scores of the residual branches that may be left out, by name (`netgraph.graph.branches`).
            They stand in one order with the nodes; a ranking compares them among each other as it does the
            nodes of a group.
        ranking: `"global"`, `"uniform"` (the same share of every group), or a function.
        round_to: kept widths are multiples of this, or the whole group.
        unit: what the cost counts, for messages.

    Returns:
        A mask with an entry for every group that loses nodes, and the branches that are left out.

    Raises:
        UsageError: a score is missing nodes or is not finite, or the ranking is unknown.
        BudgetError: the target cannot be reached; the message says what can.

    >>> from netgraph.graph import Group, Structure
    >>> structure = Structure((Group("a", 3), Group("b", 2)), (), ())
    >>> scores = {"a": torch.tensor([0.1, 0.9, 0.2]), "b": torch.tensor([0.3, 0.8])}
    >>> mask = fit_mask(structure, scores, cost=lambda m: 5 - m.dropped, target=3)
    >>> {name: keep.tolist() for name, keep in mask.keep.items()}
    {'a': [False, True, False]}
    """
    names = _candidates(structure, scores, floors)
    sizes = np.array([len(scores[n]) for n in names], dtype=np.int64)
    least = np.array([1 if floors is None else floors[n] for n in names], dtype=np.int64)
    least = np.minimum(sizes, -(-least // round_to) * round_to)
    priorities = rank({n: scores[n] for n in names}, ranking)
    ascending = [torch.argsort(priorities[n].detach().cpu(), stable=True) for n in names]
    layers = _layer_priorities(branches or {}, ranking)
    order = _drop_order(
        [*(priorities[n] for n in names), *layers.values()],
        [*ascending, *(torch.zeros(1, dtype=torch.int64) for _ in layers)],
        np.append(sizes - least, np.ones(len(layers), dtype=np.int64)),
    )

    def mask_after(dropped: int) -> NodeMask:
        lost = np.bincount(order[:dropped], minlength=len(sizes) + len(layers))
        widths = sizes - lost[: len(sizes)]
        widths = np.minimum(sizes, -(-widths // round_to) * round_to)
        keep = {}
        for name, width, nodes in zip(names, widths.tolist(), ascending, strict=True):
            if width < len(nodes):
                keep[name] = torch.ones(len(nodes), dtype=torch.bool)
                keep[name][nodes[: len(nodes) - width]] = False
        skip = frozenset(n for n, gone in zip(layers, lost[len(sizes) :].tolist(), strict=True) if gone)
        return NodeMask(keep, skip)

    best = mask_after(0)
    if cost(best) <= target:
        return best
    low, high = 0, len(order)
    best = mask_after(high)
    reached = cost(best)
    if not reached <= target:
        raise BudgetError(
            f"budget: expected at most {target:,.6g} {unit}, got {reached:,.6g} as the smallest that can be "
            f"reached by cutting {len(names)} groups to {least.sum()} of {sizes.sum()} nodes"
            f"{f' and leaving out {len(layers)} branches' if layers else ''}; allow more, "
            "or ignore fewer layers"
        )
    while high - low > 1:
        middle = (low + high) // 2
        mask = mask_after(middle)
        if cost(mask) <= target:
            high, best = middle, mask
        else:
            low = middle
    return best


def _candidates(structure: Structure, scores: Scores, floors: Mapping[str, int] | None) -> list[str]:
    known = {g.name: g for g in structure.groups}
    for name, score in scores.items():
        if name not in known:
            raise UsageError(
                f"criterion: expected scores of groups, got one for {name!r}, which the graph does not have; "
                f"its groups are {', '.join(list(known)[:5])} ..."
            )
        if tuple(score.shape) != (known[name].size,):
            raise UsageError(
                f"criterion: expected scores of shape ({known[name].size},) for group {name!r}, got "
                f"{tuple(score.shape)}; give one score per node"
            )
    names = [g.name for g in structure.groups if g.role == "hidden" and g.name in scores]
    names = [n for n in names if floors is None or n in floors]
    for name in names:
        if not bool(scores[name].isfinite().all()):
            raise UsageError(
                f"criterion: expected finite scores, got NaN or infinity in group {name!r}; "
                "check the weights of the network"
            )
    return names


def _layer_priorities(scores: Mapping[str, float], ranking: str | Ranking) -> dict[str, Tensor]:
    """A priority `(1,)` per branch."""
    if not scores:
        return {}
    given = torch.tensor(list(scores.values()), dtype=torch.float64)
    for name, finite in zip(scores, given.isfinite().tolist(), strict=True):
        if not finite:
            raise UsageError(
                f"layers: expected finite scores, got {scores[name]!r} for branch {name!r}; "
                "check the weights of the network"
            )
    return dict(zip(scores, rank({"branches": given}, ranking)["branches"].split(1), strict=True))


def _drop_order(priorities: list[Tensor], ascending: list[Tensor], droppable: _Ints) -> _Ints:
    """Index of the group that loses a node at each step; ties go by the order of groups.

    Branches are groups of one node that come last.
    """
    if not priorities:
        return np.zeros(0, dtype=np.int64)
    keys = [
        p.detach().double().cpu()[nodes][:count].numpy()
        for p, nodes, count in zip(priorities, ascending, droppable.tolist(), strict=True)
    ]
    owner = np.repeat(np.arange(len(priorities), dtype=np.int64), droppable)
    return owner[np.argsort(np.concatenate(keys), kind="stable")]
