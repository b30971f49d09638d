"""Predictors by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from netgraph.errors import UsageError
from netgraph.search.predictors.base import Predictor
from netgraph.search.space import SearchSpace

__all__ = ["PREDICTORS", "make_predictor", "register_predictor"]

PREDICTORS: dict[str, Callable[..., Predictor]] = {}
"""Predictors by name: classes, or functions of a space and options; `register_predictor` adds to them."""

_F = TypeVar("_F", bound=Callable[..., Predictor])


def register_predictor(name: str) -> Callable[[_F], _F]:
    """Register a predictor under a name: a class, or a function `(space, **options) -> Predictor`.

    Args:
        name: that `make_predictor` takes.

    Returns:
        A decorator that leaves what it decorates as it is.

    Raises:
        UsageError: the name is taken.

    >>> @register_predictor("rough trees")
    ... def rough_trees(space, random_state=None):
    ...     return make_predictor("trees", space, trees=10, random_state=random_state)
    >>> PREDICTORS.pop("rough trees") is rough_trees
    True
    """
    if name in PREDICTORS:
        raise UsageError(
            f"register_predictor: expected a new name, got {name!r}, which is registered; "
            "choose another, or remove it from PREDICTORS first"
        )

    def register(made: _F) -> _F:
        PREDICTORS[name] = made
        return made

    return register


def make_predictor(
    name: str, space: SearchSpace, *, random_state: int | None = None, **options: Any
) -> Predictor:
    """A predictor of one of the names in `PREDICTORS`, not yet fitted.

    Args:
        name: of the predictor.
        space: of the architectures.
        random_state: a number makes fits repeatable; a predictor without chance does not get it.
        options: of the predictor.

    Returns:
        The predictor.

    Raises:
        UsageError: an unknown name or option.

    >>> from netgraph.search.space import ChoiceSpace
    >>> space = ChoiceSpace({"depth": [2, 3, 4], "width": [16, 32]})
    >>> predictor = make_predictor("ridge", space).fit([(0, 0), (2, 0), (0, 1)], [1.0, 2.0, 3.0])
    >>> predictor.predict([(2, 1)]).round(1).tolist()
    [4.0]
    """
    if name not in PREDICTORS:
        close = difflib.get_close_matches(str(name), PREDICTORS, n=1, cutoff=0.5)
        meant = f"did you mean {close[0]!r}?" if close else "register_predictor adds others"
        raise UsageError(
            f"make_predictor: expected one of {', '.join(sorted(PREDICTORS))}, got {name!r}; {meant}"
        )
    made = PREDICTORS[name]
    parameters = inspect.signature(made).parameters
    if "random_state" in parameters:
        options["random_state"] = random_state
    known = [key for key, p in list(parameters.items())[1:] if p.kind is not p.VAR_KEYWORD]
    open_ended = len(known) + 1 < len(parameters)
    if not open_ended and (odd := sorted(options.keys() - set(known))):
        listed = ", ".join(known) or "no options"
        raise UsageError(f"make_predictor: expected {listed} for {name}, got {odd[0]!r}; leave it out")
    for key in known:
        if key not in options and parameters[key].default is inspect.Parameter.empty:
            raise UsageError(f"make_predictor: expected {key} for {name}, got none; pass {key}=...")
    return made(space, **options)
