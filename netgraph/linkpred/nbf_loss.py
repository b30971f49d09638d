"""The loss that ranks each true link above its false ones."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from netgraph.errors import UsageError

__all__ = ["ranking_loss"]


def ranking_loss(positive: Tensor, negative: Tensor, temperature: float = 0.0) -> Tensor:
    """Binary cross entropy in which the false links of a true one weigh as much as it, and hard ones more.

        L = 1/(2B) sum_i ( -log s(p_i) - sum_k a_ik log(1 - s(n_ik)) ),  a_i = softmax(n_i / temperature)

    with s the logistic function and no gradient through `a`; at temperature 0 all false links weigh 1/K.

    Paper: Zhu et al., Neural Bellman-Ford Networks, NeurIPS 2021; the weights are those of Sun et al.,
    RotatE, ICLR 2019.

    Args:
        positive: logits of true links, p, `(B,)`.
        negative: logits of false links of each, n, `(B, K)`.
        temperature: the lower, the more the hardest false links count; 0 for all alike.

    Returns:
        A scalar.

    Raises:
        UsageError: other shapes, no link, or a temperature below 0.

    >>> import torch
    >>> round(float(ranking_loss(torch.zeros(2), torch.zeros(2, 3))), 4)
    0.6931
    """
    if positive.dim() != 1 or negative.dim() != 2 or len(positive) != len(negative) or not negative.numel():
        raise UsageError(
            "ranking_loss: expected logits of shapes (B,) and (B, K), got "
            f"{tuple(positive.shape)} and {tuple(negative.shape)}; pass the false links of each true link"
        )
    if not temperature >= 0:
        raise UsageError(
            f"ranking_loss: expected a temperature from 0, got {temperature}; 0 weighs all alike"
        )
    lost = F.softplus(negative)  # -log(1 - s(n))
    if temperature:
        false = ((negative.detach() / temperature).softmax(1) * lost).sum(1)
    else:
        false = lost.mean(1)
    return (F.softplus(-positive) + false).mean() / 2
