"""One layer of a neural Bellman-Ford network."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.linkpred.bellman_ford import Aggregate, Message, propagate, scale_factors, statistics
from netgraph.linkpred.graph import LinkGraph

__all__ = ["BellmanFordLayer"]


@final
class BellmanFordLayer(nn.Module):
    """One step of a learned Bellman-Ford recursion.

        h_v <- ReLU( Norm( W [h_v, AGG( {MSG(h_x, w_q(r))} and h0_v )] ) ) + h_v

    Args:
        num_relations: R.
        dim: F.
        message, aggregate: as for `propagate`.
        conditioned: make `w_q(r)` from the query by a linear map; else each relation has a vector of its own.
        layer_norm: whether there is a norm.
        shortcut: whether the state before is added.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
    >>> boundary = torch.zeros(3, 2, 8)
    >>> BellmanFordLayer(1, 8)(graph, boundary, torch.zeros(2, 8), boundary).shape
    torch.Size([3, 2, 8])
    """

    def __init__(
        self,
        num_relations: int,
        dim: int,
        message: Message = "distmult",
        aggregate: Aggregate = "pna",
        conditioned: bool = True,
        layer_norm: bool = True,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.message: Message = message
        self.aggregate: Aggregate = aggregate
        self.shortcut = shortcut
        self.relation: nn.Linear | nn.Embedding = (
            nn.Linear(dim, num_relations * dim) if conditioned else nn.Embedding(num_relations, dim)
        )
        self.linear = nn.Linear(dim * (13 if aggregate == "pna" else 2), dim)
        self.norm = nn.LayerNorm(dim) if layer_norm else nn.Identity()

    def forward(
        self,
        graph: LinkGraph,
        states: Tensor,
        query: Tensor,
        boundary: Tensor,
        edge_weight: Tensor | None = None,
    ) -> Tensor:
        """States after the step, `(N, B, F)`.

        Args:
            graph: to walk on.
            states, boundary: h and h0, `(N, B, F)`.
            query: q, `(B, F)`.
            edge_weight: `(E,)`, as for `propagate`.
        """
        if isinstance(self.relation, nn.Linear):
            w = self.relation(query).view(len(query), -1, self.dim)  # (B, R, F)
        else:
            w = self.relation.weight
        own, others = self.linear.weight.split((self.dim, self.linear.in_features - self.dim), 1)
        new = F.linear(states, own, self.linear.bias)
        if self.aggregate == "pna":
            found = statistics(graph, states, w, boundary, message=self.message, edge_weight=edge_weight)
            # W [s, s d, s / d] = W1 s + d W2 s + W3 s / d: what is scaled has 3F numbers, not 12F.
            stacked = others.view(self.dim, 3, -1).transpose(0, 1).flatten(0, 1)
            parts = F.linear(found, stacked).chunk(3, -1)
            for part, factor in zip(parts, scale_factors(graph, parts[0].dtype), strict=True):
                new = torch.addcmul(new, part, factor.view(-1, 1, 1))
        else:
            found = propagate(
                graph,
                states,
                w,
                boundary,
                message=self.message,
                aggregate=self.aggregate,
                edge_weight=edge_weight,
            )
            new = new + F.linear(found, others)
        new = F.relu(self.norm(new))
        return new + states if self.shortcut else new
