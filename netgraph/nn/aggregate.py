"""From the statistics of rows to the messages of nodes: four aggregates over all edges that arrive."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from netgraph.nn.plan import MessagePlan

__all__ = ["STD_EPS", "aggregate", "direction_sign"]

STD_EPS = 1e-6
"""Added to a variance before its root, so that equal messages have a gradient."""


def direction_sign(hidden: int, like: Tensor) -> Tensor:
    """What an edge's state is multiplied with when it is read against its direction: +1 on the first half of
    the features, -1 on the rest, `(F,)`."""
    sign = torch.ones(hidden, dtype=like.dtype, device=like.device)
    sign[(hidden + 1) // 2 :] = -1
    return sign


def aggregate(stats: Tensor, gate: Tensor, plan: MessagePlan) -> Tensor:
    """Mean, standard deviation, maximum and minimum of the messages at every node, both directions added.

    A message is `g_i u` with the target's own factor `g_i = A2(x_i)` (times the sign, against the direction),
    the same for all messages of a slot. So it can be applied after the reduction:

        mean = g mean(u),  std = sqrt(g^2 var(u) + eps),  max = max(g max(u), g min(u)),  min likewise.

    Statistics of several rows of one slot are joined as Chan et al. (1979) join variances. A slot at which no
    edge arrives gets four zeros.

    Args:
        stats: mean, squared deviations, maximum and minimum of every row, `(R + 2, 4F)`.
        gate: `A2` of every node, `(N, F)`.
        plan: of the structure.

    Returns:
        `(N, 4F)`, the aggregates side by side.
    """
    hidden = gate.shape[1]
    mean, squares, highest, lowest = _slots(stats, plan)  # each (2N, F)
    count = plan.slot_edges.to(gate).unsqueeze(1)
    present = count > 0
    gates = torch.cat([gate, gate * direction_sign(hidden, gate)])
    deviation = torch.sqrt(squares / count.clamp(min=1) * gates.square() + STD_EPS)
    first, second = gates * highest, gates * lowest
    found = [
        gates * mean,
        torch.where(present, deviation, 0),
        torch.maximum(first, second),
        torch.minimum(first, second),
    ]
    both = torch.cat(found, 1)
    return both[: plan.num_nodes] + both[plan.num_nodes :]


def _slots(stats: Tensor, plan: MessagePlan) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Join the rows of each slot: `(R + 2, 4F)` to four times `(2N, F)`."""
    joining, hidden = plan.joining, stats.shape[1] // 4
    single, *several, zeros = _pick(stats, joining.rows, joining.places).split(joining.sizes)
    _, *edges, _ = plan.row_edges.to(stats)[joining.rows].split(joining.sizes)
    results = [single]
    for (number, width), part, count in zip(joining.buckets, several, edges, strict=True):
        mean, squares, highest, lowest = part.view(number, width, 4, hidden).unbind(2)  # (n, p, F)
        weight = count.view(number, width, 1)
        center = (mean * weight).sum(1) / weight.sum(1)
        spread = squares.sum(1) + ((mean - center.unsqueeze(1)).square() * weight).sum(1)
        results.append(torch.cat([center, spread, highest.amax(1), lowest.amin(1)], 1))
    joined = torch.cat([*results, zeros])
    mean, squares, highest, lowest = _pick(joined, joining.slots, joining.results).chunk(4, 1)
    return mean, squares, highest, lowest


def _pick(table: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
    """`table[index]`, where every row that matters is picked once, so that its gradient is picked as well."""
    picked: Tensor = _Pick.apply(table, index, inverse)  # type: ignore[no-untyped-call]
    return picked


class _Pick(Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return table.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad.index_select(0, ctx.saved_tensors[0]), None, None
