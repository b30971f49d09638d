"""Losses of true links against false ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch.nn.functional as F
from torch import Tensor

from netgraph.linkpred.nbf_loss import ranking_loss

__all__ = ["LOSSES"]

Loss = Callable[[Tensor, Tensor, float], Tensor]


def bce(positive: Tensor, negative: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross entropy of true and of false links, each a mean, added.

    >>> import torch
    >>> float(bce(torch.zeros(2), torch.zeros(2, 3)))
    1.3862943649291992
    """
    return F.softplus(-positive).mean() + F.softplus(negative).mean()


def auc(positive: Tensor, negative: Tensor, temperature: float = 1.0) -> Tensor:
    """Squared distance of each margin from 1, a surrogate of the area under the ROC curve.

    >>> import torch
    >>> float(auc(torch.ones(1), torch.zeros(1, 3)))
    0.0
    """
    return (1 - positive[:, None] + negative).square().mean()


LOSSES: Final[dict[str, Loss]] = {"bce": bce, "auc": auc, "ranking": ranking_loss}
"""Losses by name: of logits `(P,)` and `(P, K)`, and a temperature, to a scalar."""
