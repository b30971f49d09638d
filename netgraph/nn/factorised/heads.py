"""What a factorised metanetwork says about a network, from the last states of its nodes."""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.graph import Structure
from netgraph.nn.factorised.layer import Weights, compressed, group_means
from netgraph.nn.factorised.plan import FactorisedPlan
from netgraph.nn.factorised.products import low_rank_change
from netgraph.nn.factorised.taps import TapEncoder
from netgraph.nn.plan import GROUP_ROLES

__all__ = ["BudgetHead", "EdgeHead", "GraphHead", "ScoreHead", "group_statistics"]

WIDEST = 1 - 1e-4
"""Share of the nodes from which a budget head starts where nothing is to be saved."""


@final
class EdgeHead(nn.Module):
    """New values of all weights, low-rank functions of the states at both ends and of the weight.

        w'_ijt = w_ijt + rho (w_ijt sum_r a_r(x_i) b_r(x_j) + s sum_r c_r(x_i) d_r(x_j) P_r(t))

    `s` is the weight's root mean square, `P` a function of where a tap lies (`TapEncoder`); `a` and `c` are
    scaled by functions of the weight's own state, and of its owner's. `i` is the edge's target, `j` its
    source.

    Args:
        hidden: F, features of a node.
        rank: terms of each of the two sums.
        rho: how far to go.

    Shapes: nodes `(N, F)` to one `(R, C, T)` for each weight.

    >>> from netgraph.graph import Axis, Group, Segment, TensorSpec
    >>> from netgraph.nn.factorised import factorised_plan
    >>> axes = Axis((Segment(0, 0, 2),)), Axis((Segment(1, 0, 3),))
    >>> spec = TensorSpec("w", (3, 2), "float32", "parameter", (1, 0), out_axis=0, in_axis=1)
    >>> plan = factorised_plan(Structure((Group("in", 2), Group("out", 3)), axes, (spec,)))
    >>> weights = Weights([torch.randn(3, 2, 1)], torch.ones(1), torch.randn(1, 4))
    >>> [new.shape for new in EdgeHead(hidden=4, rank=2, rho=0.1)(torch.randn(5, 4), weights, plan)]
    [torch.Size([3, 2, 1])]
    """

    def __init__(self, hidden: int, rank: int, rho: float) -> None:
        super().__init__()
        self.rank, self.rho = rank, rho
        self.mix = nn.Linear(hidden, hidden)
        self.factors = nn.Linear(hidden, 4 * rank)
        self.owner = nn.Linear(hidden, hidden)
        self.modulate = nn.Linear(hidden, 2 * rank)
        self.taps = TapEncoder(rank)

    def forward(self, nodes: Tensor, weights: Weights, plan: FactorisedPlan) -> Iterator[Tensor]:
        """New values `(R, C, T)` of all weights, one after another in the order of the plan."""
        x = F.silu(self.mix(F.layer_norm(nodes, nodes.shape[1:])))
        target, source = self.factors(x).split(2 * self.rank, 1)  # (N, 2 rank) each: a and c, b and d
        states = weights.states.index_add(0, plan.owned, self.owner(x[plan.owners]))
        modulation = 1 + self.modulate(states)
        places = {kernel: self.taps(kernel) for kernel in plan.kernels}  # (T, rank)
        for number, (weight, matrix) in enumerate(zip(plan.weights, weights.matrices, strict=True)):
            sides = (target, source) if weight.rows_are_targets else (source, target)
            rows, cols = sides[0][weight.rows], sides[1][weight.cols]
            rows = rows * modulation[number]
            (a, c), (b, d) = rows.split(self.rank, 1), cols.split(self.rank, 1)
            place = places[weight.kernel] * weights.scale[number]
            if weight.loop:
                old = matrix.to(a)
                factor, shift = (a * b).sum(1).view(-1, 1, 1), ((c * d) @ place.t()).unsqueeze(1)
                yield (old + self.rho * (old * factor + shift)).to(matrix)
            else:
                yield low_rank_change(matrix, a, b, c, d.unsqueeze(1) * place, self.rho)


@final
class ScoreHead(nn.Module):
    """One logit per node: whether it should be kept. Logits compare across groups.

    Read are a node's state and how far it lies from its group's mean, in the group's standard deviations.

    Args:
        hidden: F, features of a node.

    Shapes: nodes `(N, F)` and the statistics of their groups, `(N, 3F)`, to `(N,)`.

    >>> ScoreHead(hidden=4)(torch.randn(3, 4), torch.ones(3, 12)).shape
    torch.Size([3])
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * hidden, hidden)
        self.out = nn.Linear(hidden, 1)

    def forward(self, nodes: Tensor, statistics: Tensor) -> Tensor:
        mean, deviation, _ = statistics.chunk(3, 1)
        given = torch.cat([F.layer_norm(nodes, nodes.shape[1:]), (nodes - mean) / deviation], 1)
        scores: Tensor = self.out(F.silu(self.mix(given)))
        return scores.squeeze(1)


@final
class BudgetHead(nn.Module):
    """Share of the nodes that every group should keep, in (0, 1).

    A head that knows nothing would cut all groups alike: the share starts from the square root of the wanted
    share of the MACs, which most layers' cost is quadratic in, and from one half without a target.

    Args:
        hidden: F, features of a node.

    Shapes: group statistics `(G, 3F)` to `(G,)`.

    >>> BudgetHead(hidden=4)(torch.randn(5, 12), target=0.25).shape
    torch.Size([5])
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * hidden + 2, hidden)
        self.out = nn.Linear(hidden, 1)

    def forward(self, statistics: Tensor, target: float | None) -> Tensor:
        start = 0.5 if target is None else min(target**0.5, WIDEST)
        given = target_features(target, statistics).expand(len(statistics), 2)
        logits: Tensor = self.out(F.silu(self.mix(torch.cat([compressed(statistics), given], 1))))
        return torch.sigmoid(logits.squeeze(1) + log(start / (1 - start)))


@final
class GraphHead(nn.Module):
    """A few numbers about a whole network, from its groups: all groups of one role weigh alike.

    Args:
        hidden: F, features of a node.
        outputs: how many numbers.

    Shapes: group statistics `(G, 3F)` to `(outputs,)`.

    >>> from netgraph.graph import Group
    >>> structure = Structure((Group("in", 2, "input"), Group("out", 3, "output")), (), ())
    >>> GraphHead(hidden=4, outputs=5)(torch.randn(2, 12), structure).shape
    torch.Size([5])
    """

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * hidden * len(GROUP_ROLES), 2 * hidden)
        self.out = nn.Linear(2 * hidden, outputs)

    def forward(self, statistics: Tensor, structure: Structure) -> Tensor:
        roles = [GROUP_ROLES.index(g.role) for g in structure.groups]
        role = torch.tensor(roles, dtype=torch.long, device=statistics.device)
        sums = statistics.new_zeros(len(GROUP_ROLES), statistics.shape[1]).index_add(0, role, statistics)
        counts = role.bincount(minlength=len(GROUP_ROLES)).clamp(min=1).to(sums).unsqueeze(1)
        pooled = compressed((sums / counts).flatten())
        outputs: Tensor = self.out(F.silu(self.mix(pooled)))
        return outputs


def group_statistics(nodes: Tensor, plan: FactorisedPlan) -> Tensor:
    """Mean, standard deviation `sqrt(var + 1e-6)` and maximum over the nodes of every group, `(G, 3F)`."""
    means = group_means(nodes, plan)
    spread = group_means((nodes - means[plan.node_group]).square(), plan)
    place = plan.node_group.unsqueeze(1).expand_as(nodes)
    highest = torch.zeros_like(means).scatter_reduce(0, place, nodes, "amax", include_self=False)
    return torch.cat([means, (spread + 1e-6).sqrt(), highest], 1)


def target_features(target: float | None, like: Tensor) -> Tensor:
    """Logarithm of a wanted share of the MACs, and whether there is one, `(2,)`."""
    return like.new_tensor([0.0, 0.0] if target is None else [log(target), 1.0])
