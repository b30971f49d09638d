"""Search spaces: what architectures there are, and which are next to which."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from netgraph.errors import UsageError

if TYPE_CHECKING:
    from torch_geometric.data import Data

__all__ = ["ChoiceSpace", "FloatArray", "Point", "SearchSpace"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

Point: TypeAlias = tuple[int, ...]
"""An architecture: for each variable of a space the position of its option."""

_TRIES = 10_000
"""Draws after which a space is believed to have no valid point."""


class SearchSpace(ABC):
    """A finite set of architectures, each a choice of one option for every variable.

    A space of one's own gives its `choices`, and overrides what it knows better: which points are valid,
    which are the same network, and what graph a point is. Predictors read `encode` or `to_graph`, strategies
    the rest.
    """

    @property
    @abstractmethod
    def choices(self) -> Mapping[str, tuple[Any, ...]]:
        """The options of each variable, in order."""

    def is_valid(self, point: Point) -> bool:
        """Whether a point, whose options exist, is an architecture of this space."""
        return True

    def canonical(self, point: Point) -> Point:
        """One of all points that are the same network; by default, each is one of its own."""
        return point

    def to_graph(self, point: Point) -> Data:
        """The operator graph of an architecture, for predictors on graphs.

        Returns:
            `x` `(N,)` with the category of each node, `edge_index` `(2, E)` along the data.

        Raises:
            UsageError: the space does not know graphs.
        """
        raise UsageError(
            f"{type(self).__name__}.to_graph: expected a space whose points have graphs, this one has none; "
            "define to_graph, or choose a predictor that reads choices"
        )

    @final
    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of options of each variable."""
        return tuple(len(options) for options in self.choices.values())

    @final
    @property
    def size(self) -> int:
        """The number of points, valid or not."""
        return math.prod(self.sizes)

    @final
    def check(self, point: Sequence[int]) -> Point:
        """The point as a tuple.

        Raises:
            UsageError: not a valid point of this space.
        """
        found = tuple(int(i) for i in point)
        sizes = self.sizes
        if len(found) != len(sizes) or any(not 0 <= i < n for i, n in zip(found, sizes, strict=True)):
            raise UsageError(
                f"{type(self).__name__}: expected {len(sizes)} positions below {sizes}, got {tuple(point)}; "
                "see `choices`"
            )
        if not self.is_valid(found):
            raise UsageError(
                f"{type(self).__name__}: expected a valid point, got {self.decode(found)}; see `is_valid`"
            )
        return found

    @final
    def decode(self, point: Point) -> dict[str, Any]:
        """The options of a point by the names of their variables."""
        return {name: options[i] for (name, options), i in zip(self.choices.items(), point, strict=True)}

    @final
    def point(self, **options: Any) -> Point:
        """The point with these options; the inverse of `decode`.

        Raises:
            UsageError: a variable that is missing, or an option that is not there.
        """
        if options.keys() != self.choices.keys():
            raise UsageError(
                f"{type(self).__name__}.point: expected {', '.join(self.choices)}, got {', '.join(options)}; "
                "give each variable once"
            )
        for name, value in options.items():
            if value not in self.choices[name]:
                raise UsageError(
                    f"{type(self).__name__}.point: expected {name} among {self.choices[name]}, got {value!r}"
                )
        return self.check([found.index(options[name]) for name, found in self.choices.items()])

    @final
    def sample(self, rng: np.random.Generator) -> Point:
        """A valid point at random, all options being equally likely.

        Raises:
            UsageError: no valid point was found.
        """
        sizes = self.sizes
        for _ in range(_TRIES):
            point = tuple(int(i) for i in rng.integers(sizes))
            if self.is_valid(point):
                return point
        raise UsageError(
            f"{type(self).__name__}.sample: expected valid points, found none in {_TRIES:,} draws; "
            "loosen is_valid"
        )

    @final
    def neighbours(self, point: Point) -> list[Point]:
        """All valid points that differ in one variable, in order."""
        near = (
            (*point[:k], option, *point[k + 1 :])
            for k, count in enumerate(self.sizes)
            for option in range(count)
            if option != point[k]
        )
        return [other for other in near if self.is_valid(other)]

    @final
    def encode(self, points: Sequence[Point]) -> FloatArray:
        """Points as rows of zeros and ones, one column per option: `(len(points), sum(sizes))`."""
        sizes = self.sizes
        found = np.zeros((len(points), sum(sizes)))
        if len(points):
            columns = np.asarray(points) + np.concatenate(([0], np.cumsum(sizes)[:-1]))
            np.put_along_axis(found, columns, 1.0, axis=1)
        return found


@final
class ChoiceSpace(SearchSpace):
    """A space of one's own: a dict of choices.

    Args:
        choices: the options of each variable.
        valid: whether the options, by name, are an architecture; all are if it is None.
        graph: the operator graph of the options, by name; None if predictors need not read graphs.

    Raises:
        UsageError: no variable, or one without an option, or with the same option twice.

    >>> space = ChoiceSpace(
    ...     {"depth": [2, 3, 4], "width": [16, 32]}, valid=lambda c: c["depth"] * c["width"] < 100
    ... )
    >>> space.size, space.point(depth=3, width=32), space.neighbours((1, 1))
    (6, (1, 1), [(0, 1), (1, 0)])
    >>> space.encode([(2, 0)])
    array([[0., 0., 1., 1., 0.]])
    """

    def __init__(
        self,
        choices: Mapping[str, Sequence[Any]],
        *,
        valid: Callable[[dict[str, Any]], bool] | None = None,
        graph: Callable[[dict[str, Any]], Data] | None = None,
    ) -> None:
        found = {str(name): tuple(options) for name, options in choices.items()}
        if not found:
            raise UsageError("ChoiceSpace: expected at least one variable, got none; name one")
        for name, options in found.items():
            if not options or any(options.index(option) < i for i, option in enumerate(options)):
                raise UsageError(
                    f"ChoiceSpace: expected distinct options for {name!r}, got {options}; give each once"
                )
        self._choices = MappingProxyType(found)
        self._valid, self._graph = valid, graph

    @property
    def choices(self) -> Mapping[str, tuple[Any, ...]]:
        return self._choices

    def is_valid(self, point: Point) -> bool:
        return self._valid is None or bool(self._valid(self.decode(point)))

    def to_graph(self, point: Point) -> Data:
        if self._graph is None:
            return super().to_graph(point)
        return self._graph(self.decode(point))
