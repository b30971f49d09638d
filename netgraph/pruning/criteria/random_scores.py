"""Random scores: what every criterion must beat."""

from __future__ import annotations

from collections.abc import Callable

import torch

from netgraph.graph import NeuralGraph
from netgraph.pruning.criteria.registry import Scores, criterion

__all__ = ["random_scores"]


def random_scores(seed: int = 0) -> Callable[[NeuralGraph], Scores]:
    """A criterion: uniform scores in [0, 1) that depend on the seed and on the groups' names and sizes alone.

    >>> from netgraph.graph import NeuralGraph, Group, Structure
    >>> graph = NeuralGraph(Structure((Group("a", 3),), (), ()), {})
    >>> bool((random_scores(1)(graph)["a"] == random_scores(1)(graph)["a"]).all())
    True
    """

    def scores(graph: NeuralGraph) -> Scores:
        generator = torch.Generator().manual_seed(seed)
        hidden = [g for g in graph.structure.groups if g.role == "hidden"]
        return {g.name: torch.rand(g.size, generator=generator) for g in hidden}

    return scores


@criterion("random")
def _random(graph: NeuralGraph) -> Scores:
    """`random_scores(seed=0)`."""
    return random_scores()(graph)
