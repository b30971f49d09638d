"""What every network that scores links can do, whichever graph it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from netgraph.linkpred.graph import LinkGraph

__all__ = ["LinkNet"]

_PAIRS_AT_ONCE = 1 << 16


class LinkNet(nn.Module, ABC):
    """Abstract base of the networks: states of nodes first, then scores of pairs.

    A network holds no graph, so one that was trained on one graph can be shown another. Edges that must not
    be seen, as the links of a training batch, are left out of the graph by `LinkGraph.without`.
    """

    @abstractmethod
    def encode(self, graph: LinkGraph) -> Tensor:
        """States of all nodes, `(N, F)`; with F = 0 where a network has none."""

    @abstractmethod
    def score(
        self, graph: LinkGraph, states: Tensor, pairs: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Logits of pairs `(2, P)`, of relations `(P,)` where the graph has several, `(P,)`."""

    def forward(self, graph: LinkGraph, pairs: Tensor, relation: Tensor | None = None) -> Tensor:
        """Logits of pairs `(2, P)`, `(P,)`."""
        return self.score(graph, self.encode(graph), pairs, relation)

    def score_all(
        self, graph: LinkGraph, states: Tensor, heads: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Logits of every node as the tail of each head `(B,)`, `(B, N)`."""
        nodes = torch.arange(graph.num_nodes, device=heads.device)
        rows = []
        for i, head in enumerate(heads):
            kind = None if relation is None else relation[i].expand(_PAIRS_AT_ONCE)
            rows.append(
                torch.cat(
                    [
                        self.score(
                            graph,
                            states,
                            torch.stack((head.expand(len(tails)), tails)),
                            None if kind is None else kind[: len(tails)],
                        )
                        for tails in nodes.split(_PAIRS_AT_ONCE)
                    ]
                )
            )
        return torch.stack(rows)
