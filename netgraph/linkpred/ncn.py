"""Neural common neighbours, and their completion by neighbours that are probable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.adjacency import drop_edges
from netgraph.linkpred.encoders import Encoder
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.neighbour_head import NeighbourHead
from netgraph.linkpred.neighbours import gather_sum
from netgraph.linkpred.net import LinkNet
from netgraph.linkpred.reading_pairs import PairNeighbours, Weighted, pair_chunks, read_pairs

__all__ = ["NCN", "NCNC"]


@final
class NCN(LinkNet):
    """Neural common neighbours (Wang, Yang and Zhang, ICLR 2024).

        s(i, j) = MLP(MLP_1(h_i * h_j) + beta MLP_2(sum over u in N(i) & N(j) of h'_u)),   h' = h + MLP_3(h)

    Args:
        encoder: states of nodes.
        hidden: channels of the perceptrons; None for those of the encoder.
        edge_dropout: of the edges that make common neighbours, while training.
        max_common: while training, at most so many common neighbours of a pair, drawn by chance and
            weighted so that their sum is right in the mean; None for all.
        head: more of `NeighbourHead`.

    Raises:
        UsageError: a number that makes no sense.

    >>> from netgraph.linkpred.encoders import make_encoder
    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, x=torch.eye(3))
    >>> NCN(make_encoder("puregcn", 3, 8))(graph, torch.tensor([[0], [2]])).shape
    torch.Size([1])
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        hidden: int | None = None,
        edge_dropout: float = 0.0,
        max_common: int | None = None,
        **head: Any,
    ) -> None:
        super().__init__()
        _check_counts(edge_dropout, max_common=max_common)
        self.encoder = encoder
        self.head = NeighbourHead(encoder.out_channels, hidden or encoder.out_channels, **head)
        self.edge_dropout, self.max_common = edge_dropout, max_common

    def encode(self, graph: LinkGraph) -> Tensor:
        """States of all nodes, `(N, F)`."""
        return self.encoder(graph)

    def score(
        self, graph: LinkGraph, states: Tensor, pairs: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Logits of pairs `(2, P)`, `(P,)`. Relations make no difference."""
        parts = [pairs] if torch.is_grad_enabled() else pair_chunks(graph, pairs)
        return torch.cat([self.score_read(states, self.read(graph, part)) for part in parts])

    def read(self, graph: LinkGraph, pairs: Tensor) -> PairNeighbours:
        """What `score_read` needs to know of a graph."""
        graph = drop_edges(graph, self.edge_dropout) if self.training and self.edge_dropout else graph
        return read_pairs(graph, pairs, max_common=self.max_common if self.training else None)

    def score_read(self, states: Tensor, read: PairNeighbours) -> Tensor:
        """Logits of pairs whose neighbours are known, `(P,)`."""
        return _scored(self.head, states, read.pairs, [read.common], self.training)


@final
class NCNC(LinkNet):
    """NCN with completion (Wang, Yang and Zhang, ICLR 2024): neighbours that both ends may have count too.

        s(i, j) = MLP(MLP_1(h_i * h_j) + beta MLP_2(sum over u in N(i) & N(j) of h'_u
                  + sum over u in N(j) \\ N(i) of P(i, u) h'_u + sum over u in N(i) \\ N(j) of P(u, j) h'_u))
        P = alpha pt q / (pt q + 1 - q),   q = sigmoid(scale (logit - offset))

    The logits behind P are those of the same network with one completion less, at depth 0 those of `NCN`. No
    gradient flows through P, and there is no dropout of units on the way to it.

    Args:
        encoder: states of nodes.
        depth: how often common neighbours are completed, from 1.
        alpha: of the probabilities.
        pt: prior odds by which the training's even share of true links is corrected.
        scale: of the logits.
        offset: of the logits.
        max_single: while training, at most so many neighbours of one end only; see `max_common`.
        max_single_scored: the same while not training, where they are not drawn by chance.
        hidden: as in `NCN`.
        edge_dropout: as there.
        max_common: as there.
        head: as there.

    Raises:
        UsageError: a number that makes no sense.

    >>> from netgraph.linkpred.encoders import make_encoder
    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 4, x=torch.eye(4))
    >>> NCNC(make_encoder("puregcn", 4, 8))(graph, torch.tensor([[0], [2]])).shape
    torch.Size([1])
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        hidden: int | None = None,
        edge_dropout: float = 0.0,
        max_common: int | None = None,
        max_single: int | None = None,
        max_single_scored: int | None = None,
        depth: int = 1,
        alpha: float = 1.0,
        pt: float = 0.5,
        scale: float = 5.0,
        offset: float = 3.0,
        **head: Any,
    ) -> None:
        super().__init__()
        counts = {"max_common": max_common, "max_single": max_single, "depth": depth}
        _check_counts(edge_dropout, max_single_scored=max_single_scored, **counts)
        self.encoder = encoder
        self.head = NeighbourHead(encoder.out_channels, hidden or encoder.out_channels, **head)
        self.edge_dropout, self.max_common = edge_dropout, max_common
        self.max_single, self.max_single_scored = max_single, max_single_scored
        self.depth, self.alpha, self.pt, self.scale, self.offset = depth, alpha, pt, scale, offset

    def encode(self, graph: LinkGraph) -> Tensor:
        """States of all nodes, `(N, F)`."""
        return self.encoder(graph)

    def score(
        self, graph: LinkGraph, states: Tensor, pairs: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Logits of pairs `(2, P)`, `(P,)`. Relations make no difference."""
        most = self.max_single if self.training else self.max_single_scored
        parts = [pairs] if torch.is_grad_enabled() else pair_chunks(graph, pairs, self.depth, most)
        return torch.cat([self.score_read(states, self.read(graph, part)) for part in parts])

    def read(self, graph: LinkGraph, pairs: Tensor) -> PairNeighbours:
        """What `score_read` needs to know of a graph."""
        graph = drop_edges(graph, self.edge_dropout) if self.training and self.edge_dropout else graph
        return read_pairs(
            graph,
            pairs,
            self.depth,
            max_common=self.max_common if self.training else None,
            max_single=self.max_single if self.training else self.max_single_scored,
            by_chance=self.training,
        )

    def score_read(self, states: Tensor, read: PairNeighbours) -> Tensor:
        """Logits of pairs whose neighbours are known, `(P,)`."""
        return self._score_read(states, read, self.training)

    def _score_read(self, states: Tensor, read: PairNeighbours, noisy: bool) -> Tensor:
        parts = [read.common]
        if read.single:
            with torch.no_grad():
                logits = [self._score_read(states, part, noisy=False) for part in read.further]
                q = torch.sigmoid(self.scale * (torch.cat([states.new_empty(0), *logits]) - self.offset))
                probability = self.alpha * self.pt * q / (self.pt * q + 1 - q)
            each = probability.split([len(found.node) for found, _ in read.single])
            parts += [(f, p if w is None else p * w) for (f, w), p in zip(read.single, each, strict=True)]
        return _scored(self.head, states, read.pairs, parts, noisy)


def _scored(head: NeighbourHead, states: Tensor, pairs: Tensor, parts: list[Weighted], noisy: bool) -> Tensor:
    """Logits of pairs from weighted lists of their neighbours."""
    product = states.index_select(0, pairs[0]) * states.index_select(0, pairs[1])
    sizes = [len(found.node) for found, _ in parts]
    rows, place = head.neighbour_states(states, torch.cat([found.node for found, _ in parts]), noisy)
    near, some = torch.zeros_like(product), torch.zeros(len(product), dtype=torch.bool, device=product.device)
    for (found, weight), where in zip(parts, place.split(sizes), strict=True):
        share = None if weight is None else weight.to(rows.dtype)
        near = near + gather_sum(rows, replace(found, node=where), share)
        some |= found.count > 0
    return head(product, near, some, noisy)


def _check_counts(edge_dropout: float, **counts: int | None) -> None:
    if not 0 <= edge_dropout < 1:
        raise UsageError(f"ncn: expected edge_dropout from 0 to below 1, got {edge_dropout!r}; change it")
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"ncn: expected {name} from 1, got {value!r}; change it")
