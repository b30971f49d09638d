"""In which order nodes go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.pruning.criteria import Scores

__all__ = ["RANKINGS", "Ranking", "global_ranking", "rank", "uniform_ranking"]

Ranking: TypeAlias = Callable[[Scores], Scores]
"""Turns scores into priorities that compare across groups: nodes of low priority go first."""


def global_ranking(scores: Scores) -> Mapping[str, Tensor]:
    """Scores of all groups compare as they are: groups of unimportant nodes lose more.

    >>> global_ranking({"a": torch.tensor([2.0, 1.0])})["a"]
    tensor([2., 1.])
    """
    return scores


def uniform_ranking(scores: Scores) -> Mapping[str, Tensor]:
    """Every group loses the same share: the priority of a node is its rank inside its group over the size.

    >>> uniform_ranking({"a": torch.tensor([2.0, 1.0]), "b": torch.tensor([7.0])})
    {'a': tensor([1.0000, 0.5000], dtype=torch.float64), 'b': tensor([1.], dtype=torch.float64)}
    """
    out = {}
    for name, score in scores.items():
        rank = torch.empty(len(score), dtype=torch.float64)
        rank[torch.argsort(score, stable=True).cpu()] = torch.arange(1, len(score) + 1, dtype=torch.float64)
        out[name] = rank / max(len(score), 1)
    return out


RANKINGS: dict[str, Ranking] = {"global": global_ranking, "uniform": uniform_ranking}
"""Rankings by name; add one by assigning to it."""


def rank(scores: Scores, ranking: str | Ranking = "global") -> Mapping[str, Tensor]:
    """Priorities by the name of a ranking, or by a function.

    Raises:
        UsageError: an unknown name.

    >>> rank({"a": torch.tensor([2.0, 1.0])}, "uniform")["a"].tolist()
    [1.0, 0.5]
    """
    if isinstance(ranking, str):
        if ranking not in RANKINGS:
            raise UsageError(
                f"ranking: expected one of {', '.join(sorted(RANKINGS))}, got {ranking!r}; choose one, "
                "or pass a function from scores to priorities"
            )
        ranking = RANKINGS[ranking]
    return ranking(scores)
