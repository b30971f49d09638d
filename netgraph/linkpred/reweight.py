"""Edges that join a node with neighbours like its others count more: concentration raised by weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import torch
from torch import Tensor
from torch_geometric.utils import softmax

from netgraph.errors import UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.head import Head
from netgraph.linkpred.net import LinkNet

__all__ = ["Reweighted", "reweighted"]

_EDGES_AT_ONCE: Final = 1 << 16

Predictor = Callable[[Tensor], Tensor]


def reweighted(
    graph: LinkGraph,
    states: Tensor,
    predictor: Predictor | None = None,
    alpha: float = 1.0,
    *,
    weight: Tensor | None = None,
) -> Tensor:
    """Weights of edges, more for neighbours that the other neighbours of a node would be linked to.

    ```
    w_ij = a_ij + alpha * (sum over k of a_ik) * softmax over j in N(i) of g(m_i * h_j)
    m_i = (sum over k of a_ik h_k) / (sum over k of a_ik)
    ```

    so that the weights of each row grow by the same share, alpha, and only their proportions change. Edges
    that are left out get 0 and share nothing.

    Args:
        graph: the graph; row i of it is N(i).
        states: of the nodes, h, `(N, F)`.
        predictor: g, from products `(M, F)` to scores `(M,)` or `(M, 1)`: the decoder of the link predictor,
            best as a probability, so that few neighbours do not take all; None for the plain sum.
        alpha: how much is added, from 0.
        weight: a, of each entry of `graph.indices`, `(E,)`; None for 1.

    Returns:
        `(E,)`, as `graph.indices`. Differentiable in all that is given.

    Raises:
        UsageError: a negative `alpha`, or states or weights of another length than the graph has.

    Paper: Wang et al., A Topological Perspective on Demystifying GNN-Based Link Prediction Performance, ICLR
    2024.

    >>> star = LinkGraph.from_edges(torch.tensor([[0, 0, 0, 1], [1, 2, 3, 2]]), 4)
    >>> states = torch.tensor([[0.0], [1.0], [1.0], [-1.0]])
    >>> reweighted(star, states, torch.sigmoid)[:3]  # of 1, 2 and 3 as neighbours of 0
    tensor([2.0535, 2.0535, 1.8931])
    """
    _check(graph, states, alpha, weight)
    base = states.new_ones(len(graph.indices)) if weight is None else weight.to(states.dtype)
    if graph.kept is not None:
        base = base * graph.kept
    place = torch.arange(len(base), device=base.device) if graph.kept is None else graph.kept.nonzero()[:, 0]
    source, target, kept = graph.indices[place], graph.rows[place], base[place]
    total = kept.new_zeros(graph.num_nodes).index_add(0, target, kept)
    near = torch.zeros_like(states)
    for part in torch.arange(len(place), device=base.device).split(_EDGES_AT_ONCE):
        near.index_add_(0, target[part], kept[part, None] * states[source[part]])
    near = near / torch.where(total == 0, 1, total)[:, None]
    score = torch.cat(
        [
            _scores(near[target[part]] * states[source[part]], predictor)
            for part in torch.arange(len(place), device=base.device).split(_EDGES_AT_ONCE)
        ]
    )
    share = softmax(score, target, num_nodes=graph.num_nodes)
    return base.index_add(0, place, alpha * share * total[target])


@final
class Reweighted(LinkNet):
    """A network whose encoder reads a graph with the weights of `reweighted`.

    The states under equal weights give the weights, those give the states that count, and so on for some
    rounds. Weights are made anew whenever the graph is encoded: from the graph as it is shown then, so that
    links that are left out of it leave no trace, and without gradient or dropout. Layers normalise the
    weighted adjacency as they do any other; those that ignore weights (attention) see no difference.

    Args:
        net: with an `encoder` that is called as `encoder(graph, weight)`.
        alpha: see `reweighted`. The paper takes from 0.2 to 3.
        predictor: from products of two states `(M, F)` to logits, of which the sigmoid counts; None for
            `net.head` where that is a `Head` of products, and for the sum of the product elsewhere.
        rounds: how often weights are made.

    Raises:
        UsageError: a negative `alpha`, fewer than one round, or a network without such an encoder.

    >>> from netgraph.linkpred.encoders import make_encoder
    >>> from netgraph.linkpred.gae import DotProduct
    >>> net = Reweighted(DotProduct(make_encoder("gcn", 3, 8)), alpha=2.0)
    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, x=torch.eye(3))
    >>> net(graph, torch.tensor([[0], [2]])).shape
    torch.Size([1])
    """

    def __init__(
        self, net: LinkNet, alpha: float = 1.0, *, predictor: Predictor | None = None, rounds: int = 1
    ) -> None:
        super().__init__()
        if not 0 <= alpha < float("inf") or rounds < 1:
            raise UsageError(
                f"Reweighted: expected alpha of at least 0 and rounds of at least 1, got {alpha} and "
                f"{rounds}; alpha=1 and rounds=1 are usual"
            )
        if not callable(getattr(net, "encoder", None)):
            raise UsageError(
                f"Reweighted: expected a network with an encoder, got {type(net).__name__}; "
                "wrap one such as DotProduct or NCN"
            )
        self.net = net
        self.alpha, self.rounds = alpha, rounds
        # In a tuple, lest parameters of the network be registered twice.
        self._predictor = (predictor,)

    def encode(self, graph: LinkGraph) -> Tensor:
        """States of all nodes under the weights that were found, `(N, F)`."""
        return self._read(graph, self.weights(graph))

    @torch.no_grad()
    def weights(self, graph: LinkGraph) -> Tensor:
        """Weights of the edges of a graph, `(E,)`."""
        mode = self.net.training
        self.net.eval()
        try:
            weight: Tensor | None = None
            for _ in range(self.rounds):
                weight = reweighted(graph, self._read(graph, weight), self._probability, self.alpha)
        finally:
            self.net.train(mode)
        assert weight is not None
        return weight

    def score(
        self, graph: LinkGraph, states: Tensor, pairs: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Logits of pairs by the network inside, `(P,)`."""
        return self.net.score(graph, states, pairs, relation)

    def score_all(
        self, graph: LinkGraph, states: Tensor, heads: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Logits of every node as a tail by the network inside, `(B, N)`."""
        return self.net.score_all(graph, states, heads, relation)

    def _read(self, graph: LinkGraph, weight: Tensor | None) -> Tensor:
        encoder: Any = self.net.encoder
        return encoder(graph, weight)

    def _probability(self, product: Tensor) -> Tensor:
        predictor = self._predictor[0]
        if predictor is None and isinstance(head := getattr(self.net, "head", None), Head):
            predictor = head
        return _scores(product, predictor).sigmoid()


def _scores(product: Tensor, predictor: Predictor | None) -> Tensor:
    return product.sum(1) if predictor is None else predictor(product).reshape(-1)


def _check(graph: LinkGraph, states: Tensor, alpha: float, weight: Tensor | None) -> None:
    if not 0 <= alpha < float("inf"):
        raise UsageError(f"reweighted: expected alpha of at least 0, got {alpha}; 1 is usual")
    if states.dim() != 2 or len(states) != graph.num_nodes:
        raise UsageError(
            f"reweighted: expected states of shape ({graph.num_nodes}, F), got {tuple(states.shape)}; "
            "pass those of the same graph"
        )
    if weight is not None and weight.shape != graph.indices.shape:
        raise UsageError(
            f"reweighted: expected weights of shape ({len(graph.indices)},), got {tuple(weight.shape)}; "
            "pass one for each entry of graph.indices, also of those left out"
        )
