"""The registry of criteria: functions that say how much each node matters."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph

__all__ = ["CRITERIA", "Criterion", "Loss", "Scores", "criterion", "resolve_criterion"]

Scores: TypeAlias = Mapping[str, Tensor]
"""A score per node, `(size,)`, by group name; higher means more important. Groups left out are kept whole."""

Criterion: TypeAlias = Callable[[NeuralGraph], Scores]
"""Scores the nodes of a graph's hidden groups."""

Loss: TypeAlias = Callable[[nn.Module], Tensor]
"""Runs a network on some data and returns a scalar."""

CRITERIA: dict[str, Callable[..., Scores]] = {}
"""Criteria by name. One that has a parameter called `loss` is given the loss closure as well."""

_F = TypeVar("_F", bound=Callable[..., Any])


def criterion(name: str) -> Callable[[_F], _F]:
    """Register a criterion under a name: a function `graph -> {group: score per node}`.

    A function that also has a parameter called `loss` gets the loss closure of `prune(..., loss=...)`.

    Raises:
        UsageError: the name is taken.

    >>> import torch
    >>> @criterion("first-come")
    ... def first_come(graph):
    ...     return {g.name: -torch.arange(g.size) for g in graph.structure.groups if g.role == "hidden"}
    >>> CRITERIA.pop("first-come") is first_come
    True
    """

    def register(function: _F) -> _F:
        if name in CRITERIA:
            raise UsageError(
                f"criterion: expected a new name, got {name!r}, which is registered; "
                "choose another, or remove it from CRITERIA first"
            )
        CRITERIA[name] = function
        return function

    return register


def resolve_criterion(given: str | Callable[..., Scores], loss: Loss | None = None) -> Criterion:
    """The function `graph -> scores` behind a name or a function, with the loss closure bound where it asks.

    Raises:
        UsageError: an unknown name, something that cannot be called, or a criterion that needs a loss and got
            none.

    >>> resolve_criterion("tailor")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    netgraph.errors.UsageError: criterion: expected one of bn_scale, fpgm, l1, l2, random, taylor, ...
    """
    if isinstance(given, str):
        if given not in CRITERIA:
            close = difflib.get_close_matches(given, CRITERIA, n=1, cutoff=0.5)
            meant = f"; did you mean {close[0]!r}?" if close else "; choose one of these"
            raise UsageError(
                f"criterion: expected one of {', '.join(sorted(CRITERIA))}, got {given!r}{meant}"
            )
        label, function = given, CRITERIA[given]
    elif callable(given):
        label, function = getattr(given, "__name__", type(given).__name__), given
    else:
        raise UsageError(
            f"criterion: expected a name, a function or a metanetwork, got {type(given).__name__}; "
            f"names are {', '.join(sorted(CRITERIA))}"
        )
    if "loss" not in _parameters(function):
        return function
    if loss is None:
        raise UsageError(
            f"criterion: {label!r} expected a loss closure, got none; "
            "pass loss=lambda module: <a scalar on some data>"
        )
    return partial(function, loss=loss)


def _parameters(function: Callable[..., Scores]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a callable written in C has no signature
        return {}
