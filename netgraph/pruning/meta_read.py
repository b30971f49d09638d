"""What a metanetwork says about a network, whichever kind of metanetwork it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from netgraph.graph import NeuralGraph

__all__ = ["Reading", "read_network"]


class Reading(NamedTuple):
    """New weights, keep scores per node and budgets per group; None where a metanetwork gives none."""

    values: Mapping[str, Tensor] | None
    scores: Mapping[str, Tensor] | None
    budgets: Mapping[str, Tensor] | None


def read_network(metanetwork: nn.Module, graph: NeuralGraph, target: float | None = None) -> Reading:
    """One pass of a metanetwork over a network.

    A metanetwork with a method `read(graph, target=...)`, whose result has `values`, `scores` and `budgets`
    (`netgraph.nn.factorised.FactorisedMetanetwork`), says all that it can; any other is a function
    `graph -> {parameter: new value}`.

    Args:
        metanetwork: the one that reads.
        graph: the network.
        target: share of the MACs that is wanted.

    >>> import torch
    >>> from netgraph.convert import to_graph
    >>> from netgraph.nn import Metanetwork, MetanetworkConfig
    >>> graph = to_graph(nn.Linear(3, 2), torch.zeros(1, 3))
    >>> reading = read_network(Metanetwork(MetanetworkConfig(hidden=4, layers=1)), graph)
    >>> list(reading.values), reading.scores
    (['weight', 'bias'], None)
    """
    read: Any = getattr(metanetwork, "read", None)
    if read is None:
        return Reading(metanetwork(graph), None, None)
    found = read(graph, target=target)
    return Reading(found.values, found.scores or None, found.budgets or None)
