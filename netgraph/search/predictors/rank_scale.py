"""A scale on which values are spread as a normal distribution."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from netgraph.search.space import FloatArray

__all__ = ["RankScale"]

_END: Final = 0.1
"""Share of the values at either end that give the slope beyond it."""


@final
class RankScale:
    """The map from values to the normal scores of their ranks, z = Phi^-1((rank - 1/2) / n), and back.

    Both ways it is linear between the values that were given, and beyond them as steep as on average over
    their last tenth; so it is strictly increasing.

    Args:
        values: n numbers of which at least two differ.

    >>> scale = RankScale(np.array([9.0, 70.0, 90.0]))
    >>> scale.scores.round(3).tolist()
    [-0.967, 0.0, 0.967]
    >>> scale.to_values(np.array([-0.4837, 0.0, 1.9348])).round(1).tolist()
    [39.5, 70.0, 110.0]
    """

    def __init__(self, values: FloatArray) -> None:
        self.scores: FloatArray = ndtri((rankdata(values) - 0.5) / len(values))
        self._values, first = np.unique(values, return_index=True)
        self._scores = self.scores[first]
        reach = max(1, round(_END * len(self._values)))
        rise, run = self._values[reach:] - self._values[:-reach], self._scores[reach:] - self._scores[:-reach]
        self._slopes = float(rise[0] / run[0]), float(rise[-1] / run[-1])

    def to_values(self, scores: FloatArray) -> FloatArray:
        """The values of scores, of any shape."""
        found = np.interp(scores, self._scores, self._values)
        below = np.minimum(scores - self._scores[0], 0.0)
        above = np.maximum(scores - self._scores[-1], 0.0)
        return np.asarray(found + self._slopes[0] * below + self._slopes[1] * above)
