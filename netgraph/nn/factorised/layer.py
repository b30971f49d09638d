"""One layer of message passing whose messages are matrix products with the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.nn.factorised.plan import JOINS, FactorisedPlan, Kernel, WeightMatrix
from netgraph.nn.factorised.products import weight_products
from netgraph.nn.factorised.taps import TapEncoder

__all__ = ["FactorisedLayer", "Weights", "compressed", "group_means"]


class Weights(NamedTuple):
    """The weights of a network as a layer reads them, in the order of the plan.

    Attributes:
        matrices: `(R, C, T)` each, see `WeightMatrix`.
        scale: root mean square of each, `(W,)`.
        states: what is known of each as a whole, `(W, F)`.
    """

    matrices: Sequence[Tensor]
    scale: Tensor
    states: Tensor


@final
class FactorisedLayer(nn.Module):
    """Message passing along and against all edges of a network, without a state per edge.

    With `x = LayerNorm(h)`, `A(x) = SiLU(W x + b)` and `B` alike with a quarter of the features, every
    position `i` of a weight `w` with fan-in `n` (scalars that meet there), root mean square `s` and
    views `v^k = sum_t c_k(t) w_t` (`TapEncoder`) receives

        m_i = 1 / (s sqrt(n)) sum_k U_k sum_j v^k_ij A(x_j)        the first moment
        q_i = 1 / (s^2 n) sum_j |w_ij|^2 B(x_j)                    the second, |w_ij|^2 summed over taps

    each scaled and shifted by functions of the weight's own state. A node takes the mean over all its
    positions in all weights, along the edges and against them with parameters of their own. Where a weight
    has an owner (an expert), the owner's state moves the weight's, and the owner receives the mean over the
    positions. Over joins without parameters, and from its own group, a node takes means of group states,
    mapped by the kind of join. Then

        h_i <- h_i + MLP(sigmoid(G x_i) * log-compressed messages, x_i).

    The views are never formed: `U_k` and `c_k` meet the node states before or after one product with the
    weight as it lies in memory, so that time is linear in the weights and memory in the nodes.

    Args:
        hidden: F, features of a node and of a weight's state.
        views: K, views of a kernel.

    Shapes: nodes `(N, F)` to `(N, F)`.

    >>> from netgraph.graph import Axis, Group, Segment, Structure, TensorSpec
    >>> from netgraph.nn.factorised import factorised_plan
    >>> axes = Axis((Segment(0, 0, 2),)), Axis((Segment(1, 0, 3),))
    >>> spec = TensorSpec("w", (3, 2), "float32", "parameter", (1, 0), out_axis=0, in_axis=1)
    >>> plan = factorised_plan(Structure((Group("in", 2), Group("out", 3)), axes, (spec,)))
    >>> weights = Weights([torch.randn(3, 2, 1)], torch.ones(1), torch.randn(1, 4))
    >>> FactorisedLayer(hidden=4, views=2)(torch.randn(5, 4), weights, plan).shape
    torch.Size([5, 4])
    """

    def __init__(self, hidden: int, views: int) -> None:
        super().__init__()
        self.hidden, self.squares = hidden, max(hidden // 4, 1)
        width = hidden + self.squares
        self.sources = nn.Linear(hidden, 2 * width)
        self.taps = nn.ModuleList(TapEncoder(views) for _ in range(2))
        self.views = nn.Parameter(torch.randn(2, views, hidden, hidden) * (views * hidden) ** -0.5)
        self.owner = nn.Linear(hidden, hidden)
        self.modulate = nn.Linear(hidden, 4 * width)
        self.joins = nn.Parameter(torch.randn(len(JOINS), hidden, hidden) * hidden**-0.5)
        self.gates = nn.Linear(hidden, 2 * width + hidden)
        self.mix = nn.Linear(2 * width + 2 * hidden, 2 * hidden)
        self.out = nn.Linear(2 * hidden, hidden)

    def forward(self, nodes: Tensor, weights: Weights, plan: FactorisedPlan) -> Tensor:
        x = F.layer_norm(nodes, (self.hidden,))
        messages = [*self._messages(x, weights, plan), self._joined(x, plan)]
        given = torch.cat(messages, 1)
        given = torch.sigmoid(self.gates(x)) * compressed(given)
        return nodes + self.out(F.silu(self.mix(torch.cat([given, x], 1))))

    def _messages(self, x: Tensor, weights: Weights, plan: FactorisedPlan) -> list[Tensor]:
        """Means of what arrives at each node along the edges and against them, `(N, F + Q)` each."""
        width = self.hidden + self.squares
        sources = F.silu(self.sources(x)).split(width, 1)
        mixes = {kernel: self._mix(kernel) for kernel in plan.kernels}
        states = weights.states.index_add(0, plan.owned, self.owner(x[plan.owners]))
        modulation = self.modulate(states).view(-1, 2, 2, width)  # (W, way, scale and shift, F + Q)
        sums = [x.new_zeros(len(x), width) for _ in range(2)]
        for number, (weight, matrix) in enumerate(zip(plan.weights, weights.matrices, strict=True)):
            found = (self._loop if weight.loop else self._dense)(
                weight, matrix, sources, mixes[weight.kernel]
            )
            ways = (0, 1) if weight.rows_are_targets else (1, 0)
            sides = zip(ways, (weight.rows, weight.cols), weight.fans, found, strict=True)
            for way, place, fan, (first, second) in sides:
                scale = weights.scale[number] * fan**0.5
                message = torch.cat([first / scale, second / scale.square()], 1)
                grow, shift = modulation[number, way]
                message = message * (1 + grow) + shift
                sums[way].index_add_(0, place, message)
                if weight.part is not None:
                    sums[way].index_add_(0, weight.owner, message.mean(0, keepdim=True))
        counts = plan.arrivals.clamp(min=1).to(x).unsqueeze(-1)
        return [total / count for total, count in zip(sums, counts, strict=True)]

    def _mix(self, kernel: Kernel) -> tuple[tuple[Tensor, Tensor], ...]:
        """Per way: coefficients `(T, K)`, and what a tap maps by, `sum_k c_k(t) U_k`, `(T, F, F)`."""
        found = []
        for taps, views in zip(self.taps, self.views, strict=True):
            coefficients = taps(kernel)
            found.append((coefficients, torch.einsum("tk,kio->tio", coefficients, views)))
        return tuple(found)

    def _dense(
        self,
        weight: WeightMatrix,
        matrix: Tensor,
        sources: Sequence[Tensor],
        mixes: tuple[tuple[Tensor, Tensor], ...],
    ) -> list[tuple[Tensor, Tensor]]:
        """First and second moments that arrive at the rows, and at the columns."""
        onto_rows, onto_cols = (0, 1) if weight.rows_are_targets else (1, 0)
        split = [self.hidden, self.squares]
        a, p = sources[onto_rows][weight.cols].split(split, 1)
        z, q = sources[onto_cols][weight.rows].split(split, 1)
        before, after = mixes[onto_rows][1], mixes[onto_cols][1]
        y = (a @ before.transpose(0, 1).flatten(1)).view(len(a), -1, self.hidden)  # (C, T, F)
        found = weight_products(matrix, y, z, p, q)
        return [
            (found.onto_rows, found.squares_onto_rows),
            (found.onto_cols.flatten(1) @ after.flatten(0, 1), found.squares_onto_cols),
        ]

    def _loop(
        self,
        weight: WeightMatrix,
        matrix: Tensor,
        sources: Sequence[Tensor],
        mixes: tuple[tuple[Tensor, Tensor], ...],
    ) -> list[tuple[Tensor, Tensor]]:
        taps = matrix.flatten(1).to(sources[0])  # (R, T)
        squares = taps.square().sum(1, keepdim=True)
        found = []
        for way in (0, 1) if weight.rows_are_targets else (1, 0):
            a, b = sources[way][weight.rows].split([self.hidden, self.squares], 1)
            views = taps @ mixes[way][0]  # (R, K)
            product = (views.unsqueeze(2) * a.unsqueeze(1)).flatten(1)
            found.append((product @ self.views[way].flatten(0, 1), squares * b))
        return found

    def _joined(self, x: Tensor, plan: FactorisedPlan) -> Tensor:
        means = group_means(x, plan)
        found = torch.zeros_like(means)
        for kind, matrix in enumerate(self.joins):
            here = plan.join_kind == kind
            given = (means @ matrix)[plan.join_from[here]] * plan.join_share[here].to(x).unsqueeze(1)
            found = found.index_add(0, plan.join_to[here], given)
        return found[plan.node_group]


def group_means(nodes: Tensor, plan: FactorisedPlan) -> Tensor:
    """Mean over the nodes of every group, `(N, F)` to `(G, F)`."""
    sums = nodes.new_zeros(len(plan.sizes), nodes.shape[1]).index_add(0, plan.node_group, nodes)
    return sums / plan.sizes.clamp(min=1).to(nodes).unsqueeze(1)


def compressed(values: Tensor) -> Tensor:
    """`sign(v) log(1 + |v|)`: large numbers stay large, but do not drown the others.

    >>> compressed(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.6931,  0.0000,  0.6931])
    """
    return values.sign() * values.abs().log1p()
