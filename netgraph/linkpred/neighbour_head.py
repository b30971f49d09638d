"""What scores a pair by the product of its states and the sum of its neighbours' states."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.linkpred.head import Head

__all__ = ["NeighbourHead"]


@final
class NeighbourHead(nn.Module):
    """Logits of pairs from products of states and sums over neighbours.

        s = MLP(MLP_1(h_i * h_j) + beta MLP_2(sum over u of h'_u)),   h'_u = h_u + MLP_3(h_u)

    Args:
        channels: of the states.
        hidden: channels inside.
        dropout: probability, in all perceptrons.
        norm: layer norms in all perceptrons.
        own: whether there is MLP_3; without, h' is h.
        tail: whether MLP_1 and MLP_2 end with an activation, rather than with one more linear layer.
        deep: whether the outer perceptron has one more layer.
        beta: where the learned weight of the neighbours starts.

    Raises:
        UsageError: a number that makes no sense.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        dropout: float = 0.0,
        norm: bool = True,
        own: bool = True,
        tail: bool = True,
        deep: bool = False,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        if hidden < 1 or not 0 <= dropout < 1:
            raise UsageError(
                "ncn: expected hidden channels from 1 and dropout from 0 to below 1, "
                f"got {hidden} and {dropout}; change them"
            )

        def perceptron(*widths: int, whole: bool, norm_from: int = 0) -> Head:
            return Head(widths, tail=whole, norm=norm, norm_from=norm_from, dropout=dropout)

        more = () if tail else (hidden,)
        # The length of a sum tells how many neighbours there are: no norm before the first activation.
        self.own = perceptron(channels, channels, channels, whole=True, norm_from=1) if own else None
        self.near = perceptron(channels, hidden, hidden, *more, whole=tail, norm_from=1)
        self.pair = perceptron(channels, hidden, *more, whole=tail)
        self.last = perceptron(*[hidden] * (3 if deep else 2), 1, whole=False)
        self.beta = nn.Parameter(torch.tensor(beta))

    def neighbour_states(self, states: Tensor, nodes: Tensor, noisy: bool) -> tuple[Tensor, Tensor]:
        """The states h' that are needed, `(D, F)`, and which of them belongs to each node, `(M,)`."""
        if self.own is None:
            return states, nodes
        wanted = torch.zeros(len(states), dtype=torch.bool, device=states.device)
        wanted[nodes] = True
        distinct = wanted.nonzero().squeeze(1)
        base = states.index_select(0, distinct)
        return base + self.own(base, noisy), (wanted.cumsum(0) - 1)[nodes]

    def forward(self, product: Tensor, near: Tensor, some: Tensor, noisy: bool) -> Tensor:
        """Logits `(P,)`.

        Args:
            product: of the two states of each pair, `(P, F)`.
            near: sums over neighbours, `(P, F)`.
            some: whether a pair has any, `(P,)`; those that have none share one row unless there is chance.
            noisy: whether there is dropout.
        """
        if noisy and self.near.dropout:
            y = self.near(near, noisy)
        else:
            rows = some.nonzero().squeeze(1)
            none = self.near(near.new_zeros(1, near.size(1)), noisy).expand(len(near), -1)
            y = none.index_copy(0, rows, self.near(near.index_select(0, rows), noisy))
        return self.last(self.pair(product, noisy) + self.beta * y, noisy).squeeze(1)
