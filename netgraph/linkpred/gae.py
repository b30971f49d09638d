"""The graph autoencoder: states of nodes, and products of two of them."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.encoders import ACTIVATIONS, Encoder
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.head import Head
from netgraph.linkpred.net import LinkNet

__all__ = ["DotProduct"]


@final
class DotProduct(LinkNet):
    """A graph autoencoder (Kipf and Welling, 2016): a pair scores by the product of its two states.

        s(i, j) = sum of (h_i * h_j)          decoder "dot"
        s(i, j) = MLP(h_i * h_j)              decoder "hadamard"

    With a linear encoder, norms, dropout and enough channels it is as strong as later networks (Ma, Wang,
    Wang and Zhang, CIKM 2025).

    Args:
        encoder: states of nodes.
        decoder: `"dot"` or `"hadamard"`.
        layers: of the perceptron.
        dropout: in the perceptron.
        norm: layer norms in the perceptron.
        residual: see `Head`.
        activation: of the perceptron, a name of `ACTIVATIONS`.

    Raises:
        UsageError: another decoder, or a number that makes no sense.

    >>> from netgraph.linkpred.encoders import make_encoder
    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, x=torch.eye(3))
    >>> net = DotProduct(make_encoder("gcn", 3, 16, 2))
    >>> net(graph, torch.tensor([[0, 1], [2, 2]])).shape
    torch.Size([2])
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        decoder: Literal["dot", "hadamard"] = "dot",
        layers: int = 2,
        dropout: float = 0.0,
        norm: bool = False,
        residual: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if decoder not in ("dot", "hadamard"):
            raise UsageError(f"gae: expected the decoder dot or hadamard, got {decoder!r}; choose one")
        if layers < 1 or not 0 <= dropout < 1 or activation not in ACTIVATIONS:
            raise UsageError(
                "gae: expected layers from 1, dropout from 0 to below 1 and an activation among "
                f"{', '.join(ACTIVATIONS)}, got {layers}, {dropout} and {activation!r}; change them"
            )
        self.encoder = encoder
        width = encoder.out_channels
        self.head: Head | None = None
        if decoder == "hadamard":
            self.head = Head(
                [*[width] * layers, 1], norm=norm, dropout=dropout, residual=residual, activation=activation
            )

    def encode(self, graph: LinkGraph) -> Tensor:
        """States of all nodes, `(N, F)`."""
        return self.encoder(graph)

    def score(
        self, graph: LinkGraph, states: Tensor, pairs: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Logits of pairs `(2, P)`, `(P,)`. Relations make no difference."""
        head, tail = states.index_select(0, pairs[0]), states.index_select(0, pairs[1])
        if self.head is None:
            return torch.linalg.vecdot(head, tail)
        return self.head(head * tail).squeeze(1)

    def score_all(
        self, graph: LinkGraph, states: Tensor, heads: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Logits of every node as the tail of each head `(B,)`, `(B, N)`."""
        if self.head is None:
            return states[heads] @ states.T
        return super().score_all(graph, states, heads, relation)
