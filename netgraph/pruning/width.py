"""How many nodes of a group must stay."""

from __future__ import annotations

import math

from netgraph.errors import UsageError

__all__ = ["smallest_width"]


def smallest_width(size: int, min_keep: int | float = 1, round_to: int = 1) -> int:
    """The fewest nodes that a group of `size` may keep.

    `min(size, ceil(max(1, min_keep) / round_to) * round_to)`; a share `min_keep` counts `min_keep * size`.

    Args:
        size: nodes of the group.
        min_keep: a number of nodes (int) or a share (float up to 1).
        round_to: widths are multiples of this, or the whole group.

    Raises:
        UsageError: `min_keep` is neither a number of at least 1 nor a share, or `round_to` is below 1.

    >>> smallest_width(16, min_keep=0.3, round_to=4), smallest_width(3, min_keep=8)
    (8, 3)
    """
    given: object = round_to
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise UsageError(
            f"round_to: expected a whole number of at least 1, got {round_to!r}; use e.g. round_to=8"
        )
    whole = isinstance(min_keep, int) and not isinstance(min_keep, bool) and min_keep >= 1
    if not whole and not (isinstance(min_keep, float) and 0 <= min_keep <= 1):
        raise UsageError(
            f"min_keep: expected a number of nodes of at least 1 or a share between 0.0 and 1.0, got "
            f"{min_keep!r}; use e.g. min_keep=4 or min_keep=0.1"
        )
    count = min_keep if isinstance(min_keep, int) else math.ceil(min_keep * size - 1e-9)
    return min(size, -(-max(count, 1) // round_to) * round_to)
