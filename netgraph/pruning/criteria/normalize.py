"""Making the scores of different groups comparable."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from netgraph.errors import UsageError

__all__ = ["Normalize", "normalize_scores"]

Normalize = Literal["max", "mean"]


def normalize_scores(score: Tensor, how: Normalize | None) -> Tensor:
    """Divide the scores of one group by their maximum or mean; a group of zeros stays zero.

    Raises:
        UsageError: an unknown way.

    >>> import torch
    >>> normalize_scores(torch.tensor([1.0, 4.0]), "max")
    tensor([0.2500, 1.0000])
    """
    if how not in ("max", "mean", None):
        raise UsageError(f"normalize: expected 'max', 'mean' or None, got {how!r}; choose one of the three")
    if how is None or not len(score):
        return score
    scale = score.max() if how == "max" else score.mean()
    return score / scale if bool(scale != 0) else score
