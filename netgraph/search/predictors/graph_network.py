"""Several networks on padded operator graphs at once."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["OperatorGraphNetworks", "message_weights", "ranking_loss"]

_USUAL_NODES: Final = 4.0
"""By which sums over nodes are divided: they then start out about as large as means."""


@final
class OperatorGraphNetworks(nn.Module):
    """Networks of one shape and weights of their own, each of which scores operator graphs.

    In each layer, with the neighbours before (P) and after (S) a node along the data,

        h_i <- h_i + relu(norm(W h_i + sum over j in P(i) of F h_j + sum over j in S(i) of B h_j + b))

    The score is that of a network with one hidden layer, of a quarter of the sum of all h_i and the mean of
    those h_i that have no node after them. All networks are computed together: a weight has a leading
    dimension M.

    Args:
        members: M.
        kinds: the number of categories of nodes. The category of this number is for all others: its
            embedding is zero.
        hidden_channels: C.
        num_layers: rounds of messages.
        seed: of the initial weights.

    Shapes:
        of `forward`: kinds `(M, B, N)`, int64, -1 where there is no node; messages `(M, B, N, 2 N)` as from
        `message_weights`; scores `(M, B)`.

    >>> networks = OperatorGraphNetworks(members=3, kinds=2, hidden_channels=8, num_layers=2, seed=0)
    >>> kinds, adjacency = torch.tensor([[0, 1, -1]]), torch.zeros(1, 3, 3, dtype=torch.bool)
    >>> adjacency[0, 0, 1] = True
    >>> networks(kinds.expand(3, 1, 3), message_weights(adjacency).expand(3, 1, 3, 6)).shape
    torch.Size([3, 1])
    """

    def __init__(self, members: int, kinds: int, hidden_channels: int, num_layers: int, seed: int) -> None:
        super().__init__()
        self.kinds = kinds
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(members, *shape, generator=generator) * scale)

        c = hidden_channels
        embedding = torch.randn(members, kinds + 1, c, generator=generator) / 2
        embedding[:, kinds] = 0
        self.embedding = nn.Parameter(embedding)
        self.weights = nn.ParameterList(normal(c, 3 * c, scale=c**-0.5) for _ in range(num_layers))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, c)) for _ in range(num_layers))
        self.gains = nn.ParameterList(nn.Parameter(torch.ones(members, 1, c)) for _ in range(num_layers))
        self.hidden = normal(2 * c, c, scale=c**-0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(members, 1, c))
        self.out = normal(c, 1, scale=c**-0.5)

    def forward(self, kinds: Tensor, messages: Tensor) -> Tensor:
        members, batch, nodes = kinds.shape
        present = kinds >= 0  # (M, B, N)
        row = torch.where(present & (kinds < self.kinds), kinds, self.kinds).reshape(members, -1, 1)
        c = self.embedding.shape[2]
        h = self.embedding.gather(1, row.expand(-1, -1, c))  # (M, B N, C)
        messages = messages.reshape(members * batch, nodes, 2 * nodes)
        for weight, bias, gain in zip(self.weights, self.biases, self.gains, strict=True):
            own, sent = torch.bmm(h, weight).split((c, 2 * c), dim=2)
            sent = sent.reshape(members * batch, nodes, 2, c).transpose(1, 2).reshape(-1, 2 * nodes, c)
            heard = torch.bmm(messages, sent).reshape(members, batch * nodes, c)
            h = h + functional.relu(functional.layer_norm(own + heard + bias, (c,)) * gain)
        h = h.reshape(members * batch, nodes, c)
        read = _readout(present.reshape(-1, nodes), messages)  # (M B, 2, N)
        pooled = torch.bmm(read, h).reshape(members, batch, 2 * c)
        pooled = functional.relu(torch.bmm(pooled, self.hidden) + self.hidden_bias)
        return torch.bmm(pooled, self.out).squeeze(2)


def _readout(present: Tensor, messages: Tensor) -> Tensor:
    """The shares of nodes (B, N) in the sum over all and in the mean over those without a successor."""
    last = present & (messages[..., present.shape[1] :].sum(2) == 0)
    shares = last / last.sum(1, keepdim=True).clamp(min=1)
    return torch.stack((present / _USUAL_NODES, shares), dim=1)  # (B, 2, N)


def message_weights(adjacency: Tensor) -> Tensor:
    """What each node hears: `(..., N, 2 N)`, first from the nodes before it, then from those after it.

    Args:
        adjacency: whether data flows from node i to node j, `(..., N, N)`.

    Returns:
        Zeros and ones, of float32.

    >>> message_weights(torch.tensor([[False, True], [False, False]])).tolist()
    [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]
    """
    return torch.cat((adjacency.transpose(-1, -2), adjacency), dim=-1).float()


def ranking_loss(scores: Tensor, targets: Tensor, margin: float) -> Tensor:
    """Mean over the pairs with t_i > t_j of max(0, margin - (s_i - s_j)), for each member.

    Args:
        scores: s, `(M, B)`.
        targets: t, `(M, B)`.
        margin: by which the score of the better one should be higher.

    Returns:
        `(M,)`; 0 where no two targets differ.

    Paper: Ning et al., A generic graph-based neural architecture encoding scheme for predictor-based NAS,
    https://arxiv.org/abs/2004.01899.

    >>> ranking_loss(torch.tensor([[0.5, 0.0]]), torch.tensor([[1.0, 2.0]]), margin=0.1).tolist()
    [0.6000000238418579]
    """
    better = (targets[:, :, None] > targets[:, None, :]).to(scores.dtype)  # (M, B, B)
    short = functional.relu(margin - (scores[:, :, None] - scores[:, None, :]))
    return (short * better).sum((1, 2)) / better.sum((1, 2)).clamp(min=1)
