"""How strong the weights that meet in a node are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netgraph.nn.factorised.plan import FactorisedPlan
from netgraph.nn.factorised.products import Squares

__all__ = ["node_magnitudes"]


def node_magnitudes(plan: FactorisedPlan, squares: Sequence[Squares], scale: Tensor) -> Tensor:
    """Logarithm of how strong the weights that meet in a node are beside all of their tensor, `(N, 2)`.

    A mean over the node's positions in all weights, along the edges and against them. An owner's part is
    compared with the parts of all owners.

    Args:
        plan: of the structure.
        squares: sums of squares of every weight, over rows and columns.
        scale: root mean square of every weight, `(W,)`.
    """
    sums = [scale.new_zeros(len(plan.node_group)) for _ in range(2)]
    for number, (weight, found) in enumerate(zip(plan.weights, squares, strict=True)):
        rows, cols = found.rows, found.rows if weight.loop else found.cols
        ways = (0, 1) if weight.rows_are_targets else (1, 0)
        sides = zip(ways, (weight.rows, weight.cols), weight.fans, (rows, cols), strict=True)
        for way, place, fan, total in sides:
            share = total / (fan * scale[number].square())
            sums[way].index_add_(0, place, (share + 1e-6).log())
    square = scale.square()
    parts = torch.bincount(plan.tensor, minlength=len(square)).to(scale)
    means = torch.zeros_like(square).index_add(0, plan.tensor, square) / parts.clamp(min=1)
    shares = (square / means[plan.tensor])[plan.owned]
    for onto in sums:
        onto.index_add_(0, plan.owners, (shares + 1e-6).log())
    counts = plan.arrivals.clamp(min=1).to(scale)
    return torch.stack([total / count for total, count in zip(sums, counts, strict=True)], 1)
